//! Thousands of single flipped bits: each is seen, or is masked by name.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use kiln_cache::signature::{Masked, SignatureKind, masked, sign_build};
use object::{Object as _, ObjectSection as _, SectionFlags};
use tempfile::TempDir;

use crate::support::scratch;
use crate::tree::shared;

/// How many flips of each kind, unless the time is up before.
const FLIPS: usize = 2000;
const TIME: Duration = Duration::from_secs(30);

/// A kernel's files that are changed in place and put right again.
struct Kernel {
    _folder: TempDir,
    files: Vec<(String, PathBuf)>,
    image: String,
    /// Of the lone vmlinux.
    alone: String,
    masks: BTreeMap<String, Vec<Masked>>,
}

impl Kernel {
    fn new() -> Option<Self> {
        let tree = shared()?;
        let folder = scratch();
        let parts = [("vmlinux", "vmlinux"), ("bzImage", "arch/x86/boot/bzImage")];
        let files = parts.map(|(name, from)| {
            let to = folder.path().join(name);
            fs::copy(tree.objects().join(from), &to).unwrap();
            (name.to_owned(), to)
        });
        let mut kernel = Self {
            _folder: folder,
            masks: masked(&files).unwrap(),
            files: files.into(),
            image: String::new(),
            alone: String::new(),
        };
        (kernel.image, kernel.alone) = (kernel.sign(2), kernel.sign(1));
        Some(kernel)
    }

    /// The image of the first so many files: without the boot image it takes less time. What makes
    /// a file unreadable is seen as well.
    fn sign(&self, count: usize) -> String {
        match sign_build(&self.files[..count]) {
            Ok(signatures) => signatures.get(SignatureKind::Image).unwrap().hash.to_hex(),
            Err(error) => error.to_string(),
        }
    }

    /// How many of the files a file's image takes.
    fn count(file: &str) -> usize {
        if file == "vmlinux" { 1 } else { 2 }
    }

    /// What `look` sees while a bit of a file is flipped; with `seal`, and the checksum at its end
    /// put right.
    fn flipped<T>(
        &self,
        file: &str,
        at: usize,
        bit: u8,
        seal: bool,
        look: impl FnOnce() -> T,
    ) -> T {
        let path = &self.files.iter().find(|it| it.0 == file).unwrap().1;
        let handle = File::options().read(true).write(true).open(path).unwrap();
        let mut byte = [0];
        handle.read_exact_at(&mut byte, at as u64).unwrap();
        let end = handle.metadata().unwrap().len() - 4;
        let mut old = [0; 4];
        handle.read_exact_at(&mut old, end).unwrap();
        handle.write_all_at(&[byte[0] ^ bit], at as u64).unwrap();
        if seal {
            let bytes = fs::read(path).unwrap();
            handle.write_all_at(&checksum(&bytes[..end as usize]).to_le_bytes(), end).unwrap();
        }
        let seen = look();
        handle.write_all_at(&old, end).unwrap();
        handle.write_all_at(&byte, at as u64).unwrap();
        seen
    }

    /// Whether a flipped bit changes `image`.
    fn sees(&self, file: &str, at: usize, bit: u8, seal: bool) -> bool {
        let whole = if file == "vmlinux" { &self.alone } else { &self.image };
        self.flipped(file, at, bit, seal, || self.sign(Self::count(file)) != *whole)
    }

    /// Whether a flipped bit changes what is masked.
    fn moves_masks(&self, file: &str, at: usize, bit: u8) -> bool {
        self.flipped(file, at, bit, false, || {
            let masks = masked(&self.files[..Self::count(file)]);
            masks.map_or(true, |masks| masks.get(file) != self.masks.get(file))
        })
    }

    fn is_masked(&self, file: &str, at: usize) -> bool {
        let within = |it: &Masked| (it.start..it.start + it.length).contains(&(at as u64));
        self.masks[file].iter().any(within)
    }
}

/// The boot image's checksum (Linux, arch/x86/boot/tools/build.c).
fn checksum(bytes: &[u8]) -> u32 {
    bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg())
        })
    })
}

/// The same numbers every time (Steele and others, "SplitMix").
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((x ^ (x >> 31)) % limit as u64) as usize
    }
}

/// Bytes of a file that the machine sees.
fn allocated(vmlinux: &[u8]) -> Vec<Range<usize>> {
    let file = object::File::parse(vmlinux).unwrap();
    let loaded = file.sections().filter(|section| {
        matches!(section.flags(), SectionFlags::Elf { sh_flags, .. } if sh_flags.0 & 2 != 0)
    });
    let ranges = loaded.filter_map(|it| it.file_range());
    ranges
        .map(|(start, size)| start as usize..(start + size) as usize)
        .filter(|it| !it.is_empty())
        .collect()
}

#[test]
fn every_loaded_byte_that_is_not_masked_counts() {
    let Some(kernel) = Kernel::new() else { return };
    let ranges = allocated(&fs::read(&kernel.files[0].1).unwrap());
    let total: usize = ranges.iter().map(ExactSizeIterator::len).sum();
    let mut random = Random(1);
    let begun = Instant::now();
    let mut flips = 0;
    while flips < FLIPS && begun.elapsed() < TIME {
        let mut at = random.below(total);
        // Where in the file the so-manieth loaded byte is.
        let range = ranges.iter().find(|range| {
            let inside = at < range.len();
            at -= if inside { 0 } else { range.len() };
            inside
        });
        let at = range.unwrap().start + at;
        if kernel.is_masked("vmlinux", at) {
            continue;
        }
        let bit = 1 << random.below(8);
        assert!(kernel.sees("vmlinux", at, bit, false), "byte {at} of vmlinux");
        flips += 1;
    }
    assert_eq!(kernel.sign(1), kernel.alone);
    assert!(flips >= 100, "too slow: {flips} flips");
    eprintln!("{flips} flipped bits of vmlinux, {total} loaded bytes: each changes `image`");
}

#[test]
fn every_byte_of_the_boot_image_counts_or_is_masked() {
    let Some(kernel) = Kernel::new() else { return };
    let length = fs::metadata(&kernel.files[1].1).unwrap().len() as usize - 4;
    let payload = kernel.masks["bzImage"].iter().find(|it| it.kind == "boot-payload").unwrap();
    let payload = payload.start as usize..(payload.start + payload.length) as usize;
    let mut random = Random(2);
    let begun = Instant::now();
    let (mut code, mut packed) = (0, 0);
    while code + packed < FLIPS && begun.elapsed() < TIME {
        // As often in the code around the packed kernel, which is short, as in it.
        let around = length - payload.len();
        let at = match random.below(2) {
            0 => payload.start + random.below(payload.len()),
            _ => match random.below(around) {
                at if at < payload.start => at,
                at => at + payload.len(),
            },
        };
        let in_payload = payload.contains(&at);
        if !in_payload && kernel.is_masked("bzImage", at) {
            continue;
        }
        // With the right checksum, so that it is not the checksum that tells. In the packed kernel
        // it is left wrong: a bit that no decompressor looks at changes nothing but that.
        let bit = 1 << random.below(8);
        assert!(kernel.sees("bzImage", at, bit, !in_payload), "byte {at} of bzImage");
        *(if in_payload { &mut packed } else { &mut code }) += 1;
    }
    assert_eq!(kernel.sign(2), kernel.image);
    assert!(code + packed >= 50, "too slow: {code} and {packed} flips");
    eprintln!(
        "{code} flipped bits of set-up code and decompressor, {packed} of the packed kernel: each changes `image`"
    );
}

#[test]
fn masks_end_where_they_say() {
    let Some(kernel) = Kernel::new() else { return };
    let mut checked = BTreeMap::new();
    for it in &kernel.masks["vmlinux"] {
        let (start, end) = (it.start as usize, (it.start + it.length) as usize);
        for at in [start, end - 1] {
            let seen = kernel.sees("vmlinux", at, 1, false);
            // A copy is hidden only while it equals the original, so its flip may uncover it.
            assert_eq!(seen, kernel.moves_masks("vmlinux", at, 1), "{} at {at}", it.kind);
        }
        for at in [start - 1, end].into_iter().filter(|&at| !kernel.is_masked("vmlinux", at)) {
            assert!(kernel.sees("vmlinux", at, 1, false), "{} beside {at}", it.kind);
        }
        *checked.entry(it.kind).or_insert(0) += 1;
    }
    assert!(checked.contains_key("build-id") && checked.contains_key("uts-version"), "{checked:?}");
    eprintln!("masks of vmlinux: {checked:?}");
}
