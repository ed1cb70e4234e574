//! Why two small kernels differ.

use std::path::Path;

use super::kernel::{Build, kernel};
use crate::signature::explain::{CauseKind, Explanation, Files, explain};
use crate::signature::test_elf::TestElf;

fn saved(folder: &Path, name: &str, elf: &TestElf, config: &str) -> Files {
    let place = folder.join(name);
    std::fs::create_dir(&place).unwrap();
    let files = [("vmlinux", elf.build()), (".config", config.as_bytes().to_vec())];
    let save = |(name, bytes): (&str, Vec<u8>)| {
        std::fs::write(place.join(name), bytes).unwrap();
        (name.to_owned(), place.join(name))
    };
    files.map(save).into()
}

fn compared(one: &TestElf, two: &TestElf, configs: [&str; 2]) -> Explanation {
    let folder = tempfile::tempdir().unwrap();
    let one = saved(folder.path(), "one", one, configs[0]);
    let two = saved(folder.path(), "two", two, configs[1]);
    explain(&one, &two).unwrap()
}

fn kinds(explanation: &Explanation) -> Vec<CauseKind> {
    let mut kinds: Vec<_> = explanation.causes.iter().map(|it| it.kind).collect();
    kinds.dedup();
    kinds
}

#[test]
fn what_masks_hide_is_told_by_its_cause() {
    let build = |build: Build| kernel(&build, TestElf::new()).elf;
    let base = build(Build::new());
    let told = compared(&base, &build(Build::other()), ["", ""]);
    assert!(told.image_equal);
    assert!(told.differences.iter().all(|it| it.masked), "{told:#?}");
    assert!(!kinds(&told).contains(&CauseKind::Unknown), "{told:#?}");
    for (other, kind) in [
        (Build { version: "#1 SMP Mon Dec 31", ..Build::new() }, CauseKind::BuildTimestamp),
        (Build { version: "#2 SMP Sun Nov 22", ..Build::new() }, CauseKind::BuildNumber),
        (Build { who: "betty@south) (cc 12", ..Build::new() }, CauseKind::BuildUser),
        (Build { release: "6.1.0-gbbbb", ..Build::new() }, CauseKind::Release),
        (Build { build_id: 9, ..Build::new() }, CauseKind::BuildId),
        (Build { salt: "ginger", ..Build::new() }, CauseKind::BuildSalt),
        (Build { version_code: 5, ..Build::new() }, CauseKind::VdsoVersion),
    ] {
        let told = compared(&base, &build(other), ["", ""]);
        assert_eq!(kinds(&told), [kind], "{told:#?}");
    }
}

#[test]
fn nothing_is_told_of_equal_files_and_no_cause_is_guessed() {
    let base = kernel(&Build::new(), TestElf::new()).elf;
    let told = compared(&base, &base, ["CONFIG_A=y\n", "CONFIG_A=y\n"]);
    assert!(told.image_equal && told.differences.is_empty());
    let mut other = base.clone();
    other.named(".text").data[77] ^= 1;
    let told = compared(&base, &other, ["CONFIG_A=y\n", "CONFIG_A=y\n"]);
    assert!(!told.image_equal);
    assert_eq!(told.code_equal, None);
    assert_eq!(kinds(&told), [CauseKind::Unknown]);
    assert_eq!((told.differences[0].bytes, told.differences[0].place.as_str()), (1, ".text"));
    // Another configuration is told, but not that it is why.
    let told = compared(&base, &other, ["CONFIG_A=y\n", "CONFIG_A=m\n"]);
    assert_eq!(kinds(&told), [CauseKind::Configuration, CauseKind::Unknown]);
    assert_eq!(told.causes[0].detail, "CONFIG_A (y, m)");
}
