//! A tiny kernel with everything that is masked, and the knowledge of where it was put.

use std::ops::Range;

use crate::signature::test_elf::{ALLOC, PROGBITS, TestElf, note};

/// What differs between builds of one source.
#[derive(Clone, Debug)]
pub(crate) struct Build {
    pub(crate) release: &'static str,
    pub(crate) version: &'static str,
    pub(crate) who: &'static str,
    pub(crate) salt: &'static str,
    pub(crate) build_id: u8,
    pub(crate) version_code: u32,
    /// The version text of the weak banner and name, if the linker left them in the image; with
    /// them go constants that are the release.
    pub(crate) weak_version: Option<&'static str>,
}

impl Build {
    pub(crate) fn new() -> Self {
        Self {
            release: "6.1.0-gaaaa",
            version: "#1 SMP Sun Nov 22",
            who: "alice@north) (cc 12",
            salt: "pepper",
            build_id: 0xa1,
            version_code: 0x06_01_00,
            weak_version: None,
        }
    }

    /// Another day, place and point release, all texts of the same length.
    pub(crate) fn other() -> Self {
        Self {
            release: "6.1.9-gbbbb",
            version: "#7 SMP Mon Dec 31",
            who: "betty@south) (cc 13",
            salt: "ginger",
            build_id: 0xb2,
            version_code: 0x06_01_09,
            weak_version: None,
        }
    }
}

/// A kernel, and what should be masked in its file: tag and place.
pub(crate) struct Kernel {
    pub(crate) elf: TestElf,
    pub(crate) hidden: Vec<(&'static str, Range<usize>)>,
}

/// Bytes with places remembered.
#[derive(Default)]
struct Blob {
    bytes: Vec<u8>,
    hidden: Vec<(&'static str, Range<usize>)>,
}

impl Blob {
    fn push(&mut self, bytes: impl AsRef<[u8]>) -> Range<usize> {
        let start = self.bytes.len();
        self.bytes.extend(bytes.as_ref());
        start..self.bytes.len()
    }

    fn push_hidden(&mut self, tag: &'static str, bytes: impl AsRef<[u8]>) -> Range<usize> {
        let range = self.push(bytes);
        self.hidden.push((tag, range.clone()));
        range
    }

    /// Bytes that look like no text.
    fn fill(&mut self, length: usize) {
        let start = self.bytes.len();
        self.bytes.extend((start..start + length).map(|i| 0x80 | (i * 37 % 127) as u8));
    }

    fn notes(&mut self, build: &Build, version: bool, big_endian: bool) {
        let mut push = |owner, kind, text: &[u8], tag| {
            let bytes = note(owner, kind, text, 4, big_endian);
            let head = 12 + (owner.len() + 1).next_multiple_of(4);
            let range = self.push(bytes);
            let start = range.start + head;
            self.hidden.push((tag, start..start + text.len()));
        };
        push("GNU", 3, &[build.build_id; 20], "build-id");
        push("Linux", 0x100, build.salt.as_bytes(), "build-salt");
        if version {
            push("Linux", 0, &build.version_code.to_le_bytes(), "vdso-version");
        }
    }

    /// Puts an ELF file with notes into the blob.
    fn vdso(&mut self, build: &Build, format: &TestElf) -> Range<usize> {
        let mut notes = Blob::default();
        notes.notes(build, true, format.big_endian);
        let mut elf = format.clone();
        elf.file_type = 3;
        let elf = elf.section(".text", PROGBITS, ALLOC, vec![0x55; 40]).note_section(
            ".note",
            notes.bytes,
            4,
        );
        let range = self.push(elf.build());
        let start = range.start + elf.offset(".note");
        let hidden =
            notes.hidden.into_iter().map(|(tag, it)| (tag, start + it.start..start + it.end));
        self.hidden.extend(hidden);
        range
    }

    /// `struct new_utsname`.
    fn name(&mut self, build: &Build, version: &str, version_is_hidden: bool) {
        let field = |text: &str| {
            let mut field = text.as_bytes().to_vec();
            field.resize(65, 0);
            field
        };
        self.push(field("Linux"));
        self.push(field("(none)"));
        self.push_hidden("uts-release", field(build.release));
        if version_is_hidden {
            self.push_hidden("uts-version", field(version));
        } else {
            self.push(field(version));
        }
        self.push(field("x86_64"));
        self.push(field("(none)"));
    }
}

/// Builds the kernel in the format (word size, byte order) of an empty file.
pub(crate) fn kernel(build: &Build, format: TestElf) -> Kernel {
    let Build { release, version, who, .. } = build;
    let mut rodata = Blob::default();
    rodata.fill(24);
    if let Some(weak) = build.weak_version {
        rodata.push("Linux version ");
        if weak == *version {
            rodata.push_hidden("linux-banner", format!("{release} ({who}) {weak}"));
        } else {
            rodata.push_hidden("linux-banner", format!("{release} ({who}) "));
            rodata.push(weak);
        }
        rodata.push("\n\0");
        rodata.push_hidden("release-text", release);
        rodata.push("\0");
        rodata.push_hidden("release-text", release);
        // The release with something around it is not masked.
        rodata.push("\0x");
        rodata.push("linux-6.9 ");
        rodata.fill(9);
    }
    let start = rodata.push("%s version %s (").start;
    rodata.push_hidden("linux-proc-banner", who);
    let proc_banner = start..rodata.push(") %s\n\0").end;
    rodata.fill(7);
    let start = rodata.push("Linux version ").start;
    rodata.push_hidden("linux-banner", format!("{release} ({who}) {version}"));
    let banner = start..rodata.push("\n\0").end;
    rodata.fill(11);
    let start = rodata.push_hidden("vermagic", release).start;
    let vermagic = start..rodata.push(" SMP mod_unload \0").end;
    rodata.fill(5);
    let array = rodata.vdso(build, &format);
    rodata.fill(3);
    let mut narrow = format.clone();
    narrow.is_64 = false;
    let labelled = rodata.vdso(build, &narrow);
    rodata.fill(20);

    let mut notes = Blob::default();
    notes.notes(build, false, format.big_endian);

    let mut data = Blob::default();
    data.fill(13);
    if let Some(weak) = build.weak_version {
        data.name(build, weak, weak == *version);
        data.fill(8);
    }
    let start = data.push([2, 0, 0, 0]).start;
    data.name(build, version, true);
    let uts = start..data.push([9; 26]).end;
    data.fill(17);

    let mut text = Blob::default();
    text.fill(200);
    let elf = format
        .section(".text", PROGBITS, ALLOC | 4, text.bytes)
        .section(".rodata", PROGBITS, ALLOC, rodata.bytes)
        .note_section(".notes", notes.bytes, 4)
        .section(".data", PROGBITS, ALLOC | 1, data.bytes)
        .nobits(".bss", 0x3000)
        .section(".debug_info", PROGBITS, 0, vec![0xdb; 500])
        .symbol("linux_proc_banner", ".rodata", proc_banner, 1)
        .symbol("linux_banner", ".rodata", banner, 1)
        .symbol("vermagic", ".rodata", vermagic, 1)
        .symbol("raw_data", ".rodata", array, 1)
        .symbol("vdso32_start", ".rodata", labelled.start..labelled.start, 0)
        .symbol("vdso32_end", ".rodata", labelled.end..labelled.end, 0)
        .symbol("init_uts_ns", ".data", uts, 1);
    let mut hidden = Vec::new();
    for (section, blob) in
        [(".rodata", rodata.hidden), (".notes", notes.hidden), (".data", data.hidden)]
    {
        let at = elf.offset(section);
        hidden.extend(blob.into_iter().map(|(tag, it)| (tag, at + it.start..at + it.end)));
    }
    hidden.sort_by_key(|(_, range)| range.start);
    Kernel { elf, hidden }
}
