use super::*;
use crate::testing::Fixture;

/// Says what it was called with and what it sees.
const SCRIPT: &str = r#"
use strict;
my ($patch) = grep { !/^--/ } @ARGV;
die "no top of kernel tree\n" unless -f "COPYING" && -d "arch" && -d "fs/ext4" && ! -d "fs/file";
open(my $file, '<', $patch) or die "no patch\n";
while (<$file>) { print "Fs <fs\@example.org> (maintainer:FILE SYSTEMS)\n" if m{^\+\+\+ b/fs/}; }
print "tester\@example.org (open list)\nlinux-kernel\@vger.kernel.org (open list)\n";
"#;
const LIST: &str = "FILE SYSTEMS\nM:\tFs <fs@example.org>\nF:\tfs/ext4\nF:\tfs/file\nF:\tfs/none\n";

fn have_perl() -> bool {
    std::process::Command::new("perl").arg("-v").output().is_ok()
}

#[test]
fn a_commits_own_script_is_asked_about_its_change() {
    if !have_perl() {
        kiln_skip::skip(kiln_skip::Lack::Program, "perl is not installed");
        return;
    }
    let fixture = Fixture::new();
    let files = [
        ("scripts/get_maintainer.pl", SCRIPT),
        ("MAINTAINERS", LIST),
        ("fs/ext4/a.c", "int a;\n"),
        ("fs/file", "1\n"),
        ("mm/b.c", "int b;\n"),
    ];
    let first = fixture.commit("all of it", &files);
    let message =
        "fs: break it\n\nReported-by: R <r@example.org>\nSigned-off-by: S <s@example.org>";
    let second = fixture.commit(message, &[("fs/ext4/a.c", "int c;\n")]);
    let third = fixture.commit("mm: change it", &[("mm/b.c", "int d;\n")]);
    let of = |commit: &str| recipients(&fixture.repository(), commit).unwrap();
    let found = of(&second.commit);
    assert_eq!(found.to, ["tester@example.org", "s@example.org"]);
    let cc = ["fs@example.org", "linux-kernel@vger.kernel.org", "r@example.org"];
    assert_eq!(found.cc, cc);
    assert_eq!(of(&third.commit).cc, ["linux-kernel@vger.kernel.org"]);
    // The first commit of all changes everything.
    assert!(of(&first.commit).cc.contains(&"fs@example.org".to_owned()));
}

#[test]
fn what_stands_in_the_way_is_named() {
    let fixture = Fixture::new();
    let none = fixture.commit("no kernel", &[("a", "1")]);
    let error = recipients(&fixture.repository(), &none.commit).unwrap_err().to_string();
    assert!(error.contains("has no scripts/get_maintainer.pl"), "{error}");
    let error = recipients(&fixture.repository(), "v9").unwrap_err().to_string();
    assert!(error.contains("unknown revision"), "{error}");
    if have_perl() {
        let files = [("scripts/get_maintainer.pl", "die \"too hot\\n\";"), ("MAINTAINERS", "")];
        let bad = fixture.commit("a script that fails", &files);
        let error = recipients(&fixture.repository(), &bad.commit).unwrap_err().to_string();
        assert!(error.contains("too hot"), "{error}");
    }
}
