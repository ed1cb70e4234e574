//! Masks hide exactly what they should: nothing less, and not one byte more.

use super::kernel::{Build, kernel};
use crate::signature::elf::Elf;
use crate::signature::test_elf::TestElf;
use crate::signature::{image, masks};

fn image_of(file: &[u8]) -> String {
    image::sign(&Elf::parse(file).unwrap(), &file).unwrap().hash.to_hex()
}

fn located(file: &[u8]) -> Vec<(&'static str, std::ops::Range<usize>)> {
    let masks = masks::locate(&Elf::parse(file).unwrap(), &file).unwrap();
    masks.into_iter().map(|it| (it.kind.tag(), it.range)).collect()
}

#[test]
fn every_mask_is_found_in_every_format() {
    for format in TestElf::every_format() {
        let build = Build::new();
        for (weak_version, masks) in [(None, 13), (Some("# SMP "), 17), (Some(build.version), 18)] {
            let build = Build { weak_version, ..build.clone() };
            let kernel = kernel(&build, format.clone());
            assert_eq!(located(&kernel.elf.build()), kernel.hidden);
            assert_eq!(kernel.hidden.len(), masks);
        }
    }
}

#[test]
fn flips_inside_keep_the_name_and_flips_just_outside_change_it() {
    for format in TestElf::every_format() {
        let kernel = kernel(&Build::new(), format);
        let mut file = kernel.elf.build();
        let name = image_of(&file);
        for (tag, range) in kernel.hidden {
            for at in range.clone() {
                file[at] ^= 0x04;
                assert_eq!(image_of(&file), name, "{tag} at {at}");
                file[at] ^= 0x04;
            }
            let places = [range.start - 1, range.end].into_iter();
            // Two masked fields touch; there is no byte between them to flip.
            let outside = places.filter(|&at| !(tag.starts_with("uts-") && is_between(at, &range)));
            for at in outside {
                file[at] ^= 0x04;
                assert_ne!(image_of(&file), name, "{tag} beside {at}");
                file[at] ^= 0x04;
            }
        }
        assert_eq!(image_of(&file), name);

        fn is_between(at: usize, range: &std::ops::Range<usize>) -> bool {
            // Release ends where version starts: only the outer ends of the pair are checked here.
            range.len() == 65 && (at == range.end || at + 1 == range.start)
        }
    }
}

#[test]
fn the_ends_of_the_masked_pair_in_uts_are_exact() {
    let kernel = kernel(&Build::new(), TestElf::new());
    let mut file = kernel.elf.build();
    let name = image_of(&file);
    let place = |tag| kernel.hidden.iter().find(|it| it.0 == tag).unwrap().1.clone();
    let (release, version) = (place("uts-release"), place("uts-version"));
    assert_eq!(release.end, version.start);
    for at in [release.start - 1, version.end] {
        file[at] ^= 0x04;
        assert_ne!(image_of(&file), name);
        file[at] ^= 0x04;
    }
}

#[test]
fn builds_of_one_source_have_one_name() {
    type Weak = fn(&Build) -> Option<&'static str>;
    let weak: [Weak; 3] = [|_| None, |_| Some("# SMP "), |it| Some(it.version)];
    for weak_version in weak {
        let [one, other] = [Build::new(), Build::other()].map(|build| {
            kernel(&Build { weak_version: weak_version(&build), ..build }, TestElf::new()).elf
        });
        assert_ne!(one.build(), other.build());
        assert_eq!(image_of(&one.build()), image_of(&other.build()));
    }
}

#[test]
fn copies_that_are_not_exact_stay_visible() {
    let build = Build { weak_version: Some("# SMP "), ..Build::new() };
    let kernel = kernel(&build, TestElf::new());
    let file = kernel.elf.build();
    let count = |file: &[u8], tag| located(file).iter().filter(|it| it.0 == tag).count();
    assert_eq!(count(&file, "release-text"), 2);
    // The first banner and the first name in the file are the copies.
    for (tag, copies) in [("linux-banner", 2), ("uts-release", 2)] {
        assert_eq!(count(&file, tag), copies);
        let range = &kernel.hidden.iter().find(|it| it.0 == tag).unwrap().1;
        for at in [range.start, range.end - 1] {
            let mut changed = file.clone();
            changed[at] ^= 1;
            assert_eq!(count(&changed, tag), copies - 1, "{tag} {at}");
        }
    }
    // A text that only begins or ends with the release is another text.
    let texts: Vec<_> = kernel.hidden.iter().filter(|it| it.0 == "release-text").collect();
    for at in [texts[0].1.start - 1, texts[1].1.end] {
        let mut changed = file.clone();
        changed[at] = b'-';
        assert_eq!(count(&changed, "release-text"), 1);
    }
}

#[test]
fn texts_of_other_lengths_are_other_names() {
    let name = image_of(&kernel(&Build::new(), TestElf::new()).elf.build());
    let longer = Build { version: "#10 SMP Sun Nov 22", ..Build::new() };
    assert_ne!(image_of(&kernel(&longer, TestElf::new()).elf.build()), name);
}

#[test]
fn a_masked_byte_is_not_a_zero() {
    let build = Build { build_id: 0, ..Build::new() };
    let elf = kernel(&build, TestElf::new()).elf;
    let with_note = image_of(&elf.build());
    let mut without = elf;
    // Another owner: its description, all zeros, is no longer masked.
    let owner = without.named(".notes").data.windows(3).position(|it| it == b"GNU").unwrap();
    without.named(".notes").data[owner + 2] = b'T';
    assert_ne!(image_of(&without.build()), with_note);
}

#[test]
fn a_space_ends_the_release_of_vermagic() {
    let kernel = kernel(&Build::new(), TestElf::new());
    let mut file = kernel.elf.build();
    let name = image_of(&file);
    let place = kernel.hidden.iter().find(|it| it.0 == "vermagic").unwrap().1.clone();
    file[place.start + 3] = b' ';
    let found = located(&file);
    let shorter = place.start..place.start + 3;
    assert_eq!(found.iter().find(|it| it.0 == "vermagic").unwrap().1, shorter);
    assert_ne!(image_of(&file), name);
}

#[test]
fn nothing_is_masked_without_symbols_but_notes() {
    let kernel = kernel(&Build::new(), TestElf::new());
    let tags: Vec<_> =
        located(&kernel.elf.without_symbols().build()).into_iter().map(|it| it.0).collect();
    assert_eq!(tags, ["build-id", "build-salt"]);
}

#[test]
fn a_name_that_two_symbols_have_is_not_trusted() {
    let mut kernel = kernel(&Build::new(), TestElf::new());
    for name in ["linux_banner", "init_uts_ns", "vermagic"] {
        kernel.elf = kernel.elf.symbol(name, ".text", 0..40, 1);
    }
    let found = located(&kernel.elf.build());
    for tag in ["linux-banner", "uts-release", "uts-version", "vermagic"] {
        assert!(found.iter().all(|it| it.0 != tag), "{tag}");
    }
    assert!(found.iter().any(|it| it.0 == "linux-proc-banner"));
}

#[test]
fn the_release_is_that_which_modules_are_held_against() {
    let release = |elf: &TestElf| {
        let file = elf.build();
        let elf = Elf::parse(&file).unwrap();
        let masks = masks::locate(&elf, &&file[..]).unwrap();
        masks::kernels_release(&elf, &masks).map(<[u8]>::to_vec)
    };
    let weak = Build { weak_version: Some("# SMP "), ..Build::new() };
    for build in [Build::new(), Build::other(), weak] {
        let elf = kernel(&build, TestElf::new()).elf;
        assert_eq!(release(&elf).unwrap(), build.release.as_bytes());
        // Without a `vermagic` to trust, as `uname` says it.
        let elf = elf.symbol("vermagic", ".text", 0..40, 1);
        assert_eq!(release(&elf).unwrap(), build.release.as_bytes());
        assert_eq!(release(&elf.without_symbols()), None);
    }
}

#[test]
fn two_names_in_one_namespace_are_not_guessed_between() {
    let kernel = kernel(&Build::new(), TestElf::new());
    let mut file = kernel.elf.clone();
    let data = file.named(".data").data.clone();
    let start = data.windows(6).position(|it| it == b"Linux\0").unwrap();
    let twice = [&data[..start + 390], &data[start..start + 390]].concat();
    let end = twice.len();
    file.named(".data").data = twice;
    file.named(".data").size = end as u64;
    let file = file.without_symbols().symbol("init_uts_ns", ".data", 13..end, 1);
    assert!(located(&file.build()).iter().all(|it| !it.0.starts_with("uts-")));
}

#[test]
fn an_array_that_is_no_shared_object_is_not_read() {
    let mut kernel = kernel(&Build::new(), TestElf::new());
    let rodata = kernel.elf.offset(".rodata");
    let file = kernel.elf.build();
    let starts: Vec<usize> = (rodata..file.len() - 4)
        .filter(|&at| file[at..].starts_with(b"\x7fELF"))
        .map(|at| at - rodata)
        .collect();
    assert_eq!(starts.len(), 2);
    for start in starts {
        kernel.elf.named(".rodata").data[start + 16] = 1;
    }
    assert!(located(&kernel.elf.build()).iter().all(|it| it.0 != "vdso-version"));
}
