//! Thousands of single flipped bits: each is seen, or is masked by name.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use kiln_cache::signature::{Masked, SignatureKind, masked, sign_build, sign_kind};
use object::{Object as _, ObjectSection as _, ObjectSegment as _, SectionFlags, elf};
use tempfile::TempDir;

use crate::support::scratch;
use crate::tree::{MODULE, shared};

/// How many bits of `vmlinux` are flipped.
const FLIPS: usize = 4000;
/// How many of the boot image: for each, the kernel in it is unpacked.
const BOOT_FLIPS: usize = 600;

/// The files of the kernel, by their names as artifacts.
const KERNEL: &str = "vmlinux";
const BOOT: &str = "bzImage";
const LOADABLE: &str = "modules/lib/crc7.ko";

/// A kernel's files that are changed in place and put right again.
struct Kernel {
    _folder: TempDir,
    files: BTreeMap<String, PathBuf>,
    /// The image of `vmlinux` with each of the files: with no more than that it takes less time.
    images: BTreeMap<String, String>,
    masks: BTreeMap<String, Vec<Masked>>,
}

/// A bit of a file.
#[derive(Clone, Copy, Debug)]
struct Bit {
    at: usize,
    bit: u8,
    /// Whether the checksum at the end of the file is put right.
    seal: bool,
}

impl Kernel {
    fn new() -> Option<Self> {
        let objects = shared()?.objects();
        let files = [(KERNEL, KERNEL), (BOOT, "arch/x86/boot/bzImage"), (LOADABLE, MODULE)];
        Some(Self::of(&objects, &files))
    }

    /// Of a folder of objects: files by their names as artifacts, and where they are.
    fn of(objects: &Path, named: &[(&str, &str)]) -> Self {
        let folder = scratch();
        let mut files = BTreeMap::new();
        for (number, (name, from)) in named.iter().enumerate() {
            let to = folder.path().join(number.to_string());
            fs::copy(objects.join(from), &to).unwrap();
            files.insert((*name).to_owned(), to);
        }
        let listed: Vec<_> = files.clone().into_iter().collect();
        let masks = masked(&listed).unwrap();
        let mut kernel = Self { _folder: folder, files, images: BTreeMap::new(), masks };
        let images = kernel.files.keys().map(|file| (file.clone(), kernel.sign(file)));
        kernel.images = images.collect();
        kernel
    }

    /// The same in files of its own.
    fn copy(&self) -> Self {
        let folder = scratch();
        let copied = |(name, from): (&String, &PathBuf)| {
            let to = folder.path().join(from.file_name().unwrap());
            fs::copy(from, &to).unwrap();
            (name.clone(), to)
        };
        let files = self.files.iter().map(copied).collect();
        Self { _folder: folder, files, images: self.images.clone(), masks: self.masks.clone() }
    }

    /// `vmlinux`, and a file if that is another one.
    fn with(&self, file: &str) -> Vec<(String, PathBuf)> {
        let taken = |name: &String| name == KERNEL || name == file;
        let files = self.files.iter().filter(|(name, _)| taken(name));
        files.map(|(name, path)| (name.clone(), path.clone())).collect()
    }

    /// The image of `vmlinux` with a file. What makes a file unreadable is seen as well.
    fn sign(&self, file: &str) -> String {
        let image = match file {
            KERNEL => sign_kind(&self.files[KERNEL], SignatureKind::Image),
            _ => sign_build(&self.with(file))
                .map(|signatures| *signatures.get(SignatureKind::Image).unwrap()),
        };
        image.map_or_else(|error| error.to_string(), |image| image.hash.to_hex())
    }

    fn read(&self, file: &str) -> Vec<u8> {
        fs::read(&self.files[file]).unwrap()
    }

    /// Flips each of some bits by itself, on every processor, and asserts that each changes `image`.
    fn sees_all(&self, file: &str, bits: &[Bit]) {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        std::thread::scope(|scope| {
            for share in bits.chunks(bits.len().div_ceil(threads)) {
                let own = self.copy();
                scope.spawn(move || {
                    for &bit in share {
                        assert!(own.sees(file, bit), "{bit:?} of {file}");
                    }
                    // All was put right again, so it was each flip that told.
                    assert_eq!(own.sign(file), own.images[file]);
                });
            }
        });
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
        let path = &self.files[file];
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
    fn sees(&self, file: &str, Bit { at, bit, seal }: Bit) -> bool {
        self.flipped(file, at, bit, seal, || self.sign(file) != self.images[file])
    }

    /// Whether a flipped bit changes what is masked.
    fn moves_masks(&self, file: &str, Bit { at, bit, seal }: Bit) -> bool {
        self.flipped(file, at, bit, seal, || {
            let masks = masked(&self.with(file));
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
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((x ^ (x >> 31)) % limit as u64) as usize
    }
}

/// Bytes of a file that are loaded: those of sections, and what lies between them.
fn loaded(vmlinux: &[u8]) -> Vec<Range<usize>> {
    let file = object::File::parse(vmlinux).unwrap();
    // (`object` gives PT_LOAD as segments.)
    let ranges = file.segments().map(|it| it.file_range());
    let ranges = ranges.map(|(start, size)| start as usize..(start + size) as usize);
    ranges.filter(|it| !it.is_empty()).collect()
}

/// Flips bits of what is loaded of `vmlinux`.
fn sees_what_is_loaded(kernel: &Kernel) {
    let ranges = loaded(&kernel.read(KERNEL));
    let total: usize = ranges.iter().map(ExactSizeIterator::len).sum();
    let mut random = Random(1);
    let begun = Instant::now();
    let mut bits = Vec::with_capacity(FLIPS);
    while bits.len() < FLIPS {
        let mut at = random.below(total);
        // Where in the file the so-manieth loaded byte is.
        let range = ranges.iter().find(|range| {
            let inside = at < range.len();
            at -= if inside { 0 } else { range.len() };
            inside
        });
        let at = range.unwrap().start + at;
        if !kernel.is_masked(KERNEL, at) {
            bits.push(Bit { at, bit: 1 << random.below(8), seal: false });
        }
    }
    kernel.sees_all(KERNEL, &bits);
    eprintln!(
        "{FLIPS} flipped bits of vmlinux, {total} loaded bytes: each changes `image` ({} s)",
        begun.elapsed().as_secs()
    );
}

#[test]
fn every_loaded_byte_that_is_not_masked_counts() {
    let Some(kernel) = Kernel::new() else { return };
    sees_what_is_loaded(&kernel);
}

/// The same of a kernel for arm64, by its folder of objects, and of its flat image, of which nothing is
/// masked: each byte is one of `vmlinux`, or counts itself.
pub(crate) fn every_loaded_byte_of_arm64(objects: &Path) {
    const FLAT: &str = "Image";
    let kernel = Kernel::of(objects, &[(KERNEL, KERNEL), (FLAT, "arch/arm64/boot/Image")]);
    sees_what_is_loaded(&kernel);
    assert!(kernel.masks[FLAT].is_empty(), "{:?}", kernel.masks[FLAT]);
    let length = kernel.read(FLAT).len();
    let mut random = Random(4);
    let bit = |_| Bit { at: random.below(length), bit: 1 << random.below(8), seal: false };
    let bits: Vec<Bit> = (0..BOOT_FLIPS).map(bit).collect();
    kernel.sees_all(FLAT, &bits);
    eprintln!("{BOOT_FLIPS} flipped bits of {length} bytes of a flat image: each changes `image`");
}

#[test]
fn every_byte_of_the_boot_image_counts_or_is_masked() {
    let Some(kernel) = Kernel::new() else { return };
    let length = kernel.read(BOOT).len() - 4;
    let payload = kernel.masks[BOOT].iter().find(|it| it.kind == "boot-payload").unwrap();
    let payload = payload.start as usize..(payload.start + payload.length) as usize;
    let mut random = Random(2);
    let begun = Instant::now();
    let mut bits = Vec::with_capacity(BOOT_FLIPS);
    while bits.len() < BOOT_FLIPS {
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
        if !in_payload && kernel.is_masked(BOOT, at) {
            continue;
        }
        // With the right checksum, so that it is not the checksum that tells. In the packed kernel
        // it is left wrong: a bit that no decompressor looks at changes nothing but that.
        bits.push(Bit { at, bit: 1 << random.below(8), seal: !in_payload });
    }
    kernel.sees_all(BOOT, &bits);
    let packed = bits.iter().filter(|it| payload.contains(&it.at)).count();
    eprintln!(
        "{} flipped bits of set-up code and decompressor, {packed} of the packed kernel: each \
         changes `image` ({} s)",
        BOOT_FLIPS - packed,
        begun.elapsed().as_secs()
    );
}

/// Bytes of a module that its loader puts into memory.
fn allocated(module: &[u8]) -> Vec<Range<usize>> {
    let file = object::File::parse(module).unwrap();
    let is_allocated = |flags| matches!(flags, SectionFlags::Elf { sh_flags, .. } if sh_flags.0 & elf::SHF_ALLOC.0 != 0);
    let sections = file.sections().filter(|it| is_allocated(it.flags()));
    let ranges = sections.filter_map(|it| it.file_range());
    ranges.map(|(start, size)| start as usize..(start + size) as usize).collect()
}

#[test]
fn every_loaded_byte_of_a_module_counts_or_is_masked() {
    let Some(kernel) = Kernel::new() else { return };
    let bytes = allocated(&kernel.read(LOADABLE)).into_iter().flatten();
    let counted = bytes.filter(|&at| !kernel.is_masked(LOADABLE, at));
    let mut random = Random(3);
    let bits: Vec<Bit> =
        counted.map(|at| Bit { at, bit: 1 << random.below(8), seal: false }).collect();
    assert!(bits.len() > 500, "{} bytes", bits.len());
    let begun = Instant::now();
    kernel.sees_all(LOADABLE, &bits);
    eprintln!(
        "a flipped bit in each of {} bytes of a module: each changes `image` ({} s)",
        bits.len(),
        begun.elapsed().as_secs()
    );
}

#[test]
fn masks_end_where_they_say() {
    let Some(kernel) = Kernel::new() else { return };
    for (file, kinds) in [
        (KERNEL, &["build-id", "uts-version"][..]),
        (BOOT, &["boot-crc", "boot-payload", "boot-payload-length", "boot-version"]),
        (LOADABLE, &["build-id", "vermagic"]),
    ] {
        let bytes = kernel.read(file);
        // Between the sections of a module there are bytes that nobody loads.
        let ranges = (file == LOADABLE).then(|| allocated(&bytes));
        let is_loaded = |at: usize| match &ranges {
            Some(ranges) => ranges.iter().any(|it| it.contains(&at)),
            None => at < bytes.len(),
        };
        let mut checked = BTreeMap::new();
        for it in &kernel.masks[file] {
            let (start, end) = (it.start as usize, (it.start + it.length) as usize);
            // So that it is not the checksum that tells, but where the checksum itself is flipped.
            let flip = |at| Bit { at, bit: 1, seal: file == BOOT && it.kind != "boot-crc" };
            for at in [start, end - 1] {
                let seen = kernel.sees(file, flip(at));
                // What is hidden because it equals something else is uncovered by a flip.
                let moved = kernel.moves_masks(file, flip(at));
                assert_eq!(seen, moved, "{} of {file} at {at}", it.kind);
            }
            let beside = [start - 1, end].into_iter();
            for at in beside.filter(|&at| is_loaded(at) && !kernel.is_masked(file, at)) {
                let bit = Bit { seal: file == BOOT, ..flip(at) };
                assert!(kernel.sees(file, bit), "{} of {file} beside {at}", it.kind);
            }
            *checked.entry(it.kind).or_insert(0) += 1;
        }
        assert!(kinds.iter().all(|kind| checked.contains_key(kind)), "{file}: {checked:?}");
        eprintln!("masks of {file}: {checked:?}");
    }
}
