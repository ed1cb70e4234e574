//! `image` of boot images: what of them belongs to the kernel inside, and what is their own.

use std::io::Write;
use std::ops::Range;

use super::kernel::{Build, kernel};
use crate::signature::elf::Elf;
use crate::signature::image::{Part, companion, companion_masks};
use crate::signature::test_elf::TestElf;

const SETUP: usize = 3 * 512;
const VERSION: usize = 0x300;
const HEAD: usize = 80;
const RELOCATIONS: [u8; 12] = [0, 0, 0, 0, 9, 1, 0, 0x81, 7, 1, 0, 0x81];

type Compress = fn(&[u8]) -> Vec<u8>;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

fn with_size(bytes: &[u8], mut packed: Vec<u8>) -> Vec<u8> {
    packed.extend((bytes.len() as u32).to_le_bytes());
    packed
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    with_size(bytes, zstd::encode_all(bytes, 19).unwrap())
}

fn through(bytes: &[u8], stream: liblzma::stream::Stream) -> Vec<u8> {
    let mut out = liblzma::write::XzEncoder::new_stream(Vec::new(), stream);
    out.write_all(bytes).unwrap();
    with_size(bytes, out.finish().unwrap())
}

fn xz(bytes: &[u8]) -> Vec<u8> {
    use liblzma::stream::{Check, Stream};
    through(bytes, Stream::new_easy_encoder(6, Check::Crc32).unwrap())
}

fn lzma(bytes: &[u8]) -> Vec<u8> {
    use liblzma::stream::{LzmaOptions, Stream};
    through(bytes, Stream::new_lzma_encoder(&LzmaOptions::new_preset(6).unwrap()).unwrap())
}

fn plain(bytes: &[u8]) -> Vec<u8> {
    bytes.to_vec()
}

/// A boot image, and where its parts are.
struct Boot {
    bytes: Vec<u8>,
    version: Range<usize>,
    payload: Range<usize>,
    /// With the zeros behind it.
    room: Range<usize>,
    lengths: [Range<usize>; 2],
}

/// A boot image around a kernel, with its checksum; `align` is that of what follows the payload.
fn boot(build: &Build, packed: &[u8], size: usize, align: usize) -> Boot {
    let mut bytes: Vec<u8> = (0..SETUP + HEAD).map(|i| 0x80 | (i * 31 % 127) as u8).collect();
    let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
    let text = format!("{} ({}) {}\0", build.release, build.who, build.version);
    put(0x1f1, &[2]);
    put(0x1fe, &[0x55, 0xaa]);
    put(0x202, b"HdrS");
    put(0x206, &0x20f_u16.to_le_bytes());
    put(0x20e, &(VERSION as u16 - 512).to_le_bytes());
    // No 64-bit entry: the decompressor is no code that could be read.
    put(0x236, &[0]);
    put(0x248, &(HEAD as u32).to_le_bytes());
    put(0x24c, &(packed.len() as u32).to_le_bytes());
    put(VERSION, text.as_bytes());
    let payload = bytes.len()..bytes.len() + packed.len();
    bytes.extend(packed);
    bytes.resize(bytes.len().next_multiple_of(align), 0);
    let room = payload.start..bytes.len();
    bytes.extend((0..200).map(|i| 0x81 | (i * 17 % 127) as u8));
    let second = bytes.len()..bytes.len() + 4;
    bytes.extend((packed.len() as u32).to_le_bytes());
    bytes.extend((size as u32).to_le_bytes());
    bytes.extend([0x90; 55]);
    let checksum = !crc32fast::hash(&bytes);
    bytes.extend(checksum.to_le_bytes());
    let version = VERSION..VERSION + text.len() - 1;
    Boot { bytes, version, payload, room, lengths: [0x24c..0x250, second] }
}

/// A kernel's file, and a boot image of it.
fn built(build: &Build, compress: Compress) -> (Vec<u8>, Boot) {
    let elf = kernel(build, TestElf::new()).elf;
    let mut unpacked = elf.clone().without_symbols().build();
    unpacked.extend(RELOCATIONS);
    (elf.build(), boot(build, &compress(&unpacked), unpacked.len(), 4096))
}

/// The same packed with gzip: the file, the boot image, and where in it the payload is.
pub(super) fn built_with_gzip(build: &Build) -> (Vec<u8>, Vec<u8>, Range<usize>) {
    let (vmlinux, boot) = built(build, gzip);
    (vmlinux, boot.bytes, boot.room)
}

fn part(boot: &[u8], vmlinux: &[u8]) -> Part {
    companion(&boot, &Elf::parse(vmlinux).unwrap(), &vmlinux)
}

#[test]
fn twins_have_one_boot_image_whatever_packed_them() {
    for compress in [gzip as Compress, zstd, xz, lzma] {
        let (one, other) = (built(&Build::new(), compress), built(&Build::other(), compress));
        assert_ne!(one.1.bytes, other.1.bytes);
        let name = part(&one.1.bytes, &one.0);
        assert_eq!(name.kind, "x86-boot");
        assert_eq!(part(&other.1.bytes, &other.0), name);
        // The kernel inside must be the one beside it.
        assert_eq!(part(&other.1.bytes, &one.0).kind, "bytes");
    }
}

#[test]
fn what_can_not_be_unpacked_counts_byte_by_byte() {
    let (vmlinux, image) = built(&Build::new(), plain);
    let name = part(&image.bytes, &vmlinux);
    assert_eq!(name.kind, "bytes");
    let mut bytes = image.bytes;
    bytes[image.payload.start + 70] ^= 1;
    assert_ne!(part(&bytes, &vmlinux), name);
}

/// Puts the checksum right, as whoever changes a byte before linking would have it.
pub(super) fn seal(bytes: &mut [u8]) {
    let end = bytes.len() - 4;
    let checksum = !crc32fast::hash(&bytes[..end]);
    bytes[end..].copy_from_slice(&checksum.to_le_bytes());
}

#[test]
fn every_byte_counts_or_is_masked() {
    let (vmlinux, image) = built(&Build::new(), gzip);
    let name = part(&image.bytes, &vmlinux);
    let mut bytes = image.bytes.clone();
    let end = bytes.len() - 4;
    let masked =
        |at: usize| image.version.contains(&at) || image.lengths.iter().any(|it| it.contains(&at));
    // The header's length is where the packed kernel is found by: changing it leads elsewhere.
    let known = |at: usize| image.lengths[0].contains(&at) || image.room.contains(&at);
    for at in (0..end).filter(|&at| !known(at)) {
        bytes[at] ^= 0x04;
        // A flip alone breaks the checksum, so it always counts.
        assert_ne!(part(&bytes, &vmlinux), name, "{at}");
        seal(&mut bytes);
        let same = part(&bytes, &vmlinux) == name;
        // A text is masked, and so are bytes that are the length; one that is no more is seen.
        assert_eq!(same, masked(at) && !image.lengths[1].contains(&at), "{at}");
        bytes.copy_from_slice(&image.bytes);
    }
    for at in end..bytes.len() {
        bytes[at] ^= 0x04;
        assert_ne!(part(&bytes, &vmlinux), name, "{at}");
        bytes[at] ^= 0x04;
    }
}

#[test]
fn a_flip_in_the_packed_kernel_or_behind_it_counts() {
    let (vmlinux, image) = built(&Build::new(), gzip);
    let name = part(&image.bytes, &vmlinux);
    let mut bytes = image.bytes.clone();
    for at in image.room.clone() {
        bytes[at] ^= 0x10;
        assert_ne!(part(&bytes, &vmlinux), name, "{at}");
        bytes[at] ^= 0x10;
    }
}

/// A boot image with a 64-bit entry, so that the decompressor is read as code; this one is none.
fn built_for_64_bits() -> (Vec<u8>, Boot) {
    let (vmlinux, mut image) = built(&Build::new(), gzip);
    image.bytes[0x236] = 1;
    seal(&mut image.bytes);
    assert_eq!(part(&image.bytes, &vmlinux).kind, "x86-boot");
    (vmlinux, image)
}

#[test]
fn what_lies_across_the_end_of_the_set_up_code_is_not_masked() {
    let (vmlinux, image) = built_for_64_bits();
    // A version that begins one byte before the decompressor, and the length of the packed kernel.
    let mut version = image.bytes.clone();
    version[0x20e..0x210].copy_from_slice(&(SETUP as u16 - 1 - 512).to_le_bytes());
    version[SETUP + 9] = 0;
    let mut length = image.bytes.clone();
    let packed = (image.payload.len() as u32).to_le_bytes();
    length[SETUP - 2..SETUP + 2].copy_from_slice(&packed);
    for (mut bytes, range) in [(version, SETUP - 1..SETUP + 9), (length, SETUP - 2..SETUP + 2)] {
        seal(&mut bytes);
        let name = part(&bytes, &vmlinux);
        assert_eq!(name.kind, "x86-boot");
        for at in range {
            bytes[at] ^= 0x04;
            seal(&mut bytes);
            assert_ne!(part(&bytes, &vmlinux), name, "{at}");
            bytes[at] ^= 0x04;
        }
    }
}

#[test]
fn a_decompressor_that_is_larger_than_any_counts_byte_by_byte() {
    let (vmlinux, image) = built_for_64_bits();
    let mut bytes = image.bytes;
    bytes.resize(bytes.len() + (4 << 20), 0x90);
    seal(&mut bytes);
    assert_eq!(part(&bytes, &vmlinux).kind, "bytes");
    let elf = Elf::parse(&vmlinux).unwrap();
    assert_eq!(companion_masks(&&bytes[..], &elf, &&vmlinux[..]), []);
}

/// As many as there is room for, each of which would have all the zeros before it counted.
#[test]
fn many_fields_that_lead_behind_many_zeros_cost_little() {
    const JUMPS: usize = 300_000;
    const ZEROS: usize = 1 << 20;
    let (vmlinux, image) = built_for_64_bits();
    let mut bytes = image.bytes[..image.room.end].to_vec();
    let target = bytes.len() + JUMPS * 5 + ZEROS;
    for _ in 0..JUMPS {
        let distance = target - bytes.len() - 5;
        bytes.push(0xe9);
        bytes.extend((distance as u32).to_le_bytes());
    }
    bytes.resize(target, 0);
    bytes.extend([0x90; 5]);
    seal(&mut bytes);
    let name = part(&bytes, &vmlinux);
    assert_eq!(name.kind, "x86-boot");
    bytes[target] = 0x91;
    seal(&mut bytes);
    assert_ne!(part(&bytes, &vmlinux), name);
}

#[test]
fn relocations_and_room_count() {
    let build = Build::new();
    let elf = kernel(&build, TestElf::new()).elf;
    let vmlinux = elf.build();
    let name = |relocations: &[u8], align| {
        let mut unpacked = elf.clone().without_symbols().build();
        unpacked.extend(relocations);
        let image = boot(&build, &gzip(&unpacked), unpacked.len(), align);
        let part = part(&image.bytes, &vmlinux);
        assert_eq!(part.kind, "x86-boot");
        part
    };
    let base = name(&RELOCATIONS, 4096);
    let mut other = RELOCATIONS;
    other[5] ^= 1;
    assert_ne!(name(&other, 4096), base);
    assert_ne!(name(&RELOCATIONS[..8], 4096), base);
    assert_ne!(name(&RELOCATIONS, 64), base);
}

#[test]
fn flat_images_are_their_kernel_and_gaps() {
    let flat = |elf: &TestElf| {
        let physical = |address: u64| (address & 0xfff_ffff) as usize;
        let loaded = elf.sections.iter().filter(|it| it.flags & 2 != 0 && !it.data.is_empty());
        let base = loaded.clone().map(|it| physical(it.address)).min().unwrap();
        let mut bytes = Vec::new();
        for it in loaded {
            bytes.resize(physical(it.address) - base, 0);
            bytes.extend(&it.data);
        }
        bytes
    };
    let [one, other] = [Build::new(), Build::other()].map(|it| kernel(&it, TestElf::new()).elf);
    let part = |image: &[u8], elf: &TestElf| {
        let file = elf.build();
        companion(&image, &Elf::parse(&file).unwrap(), &&file[..])
    };
    let name = part(&flat(&one), &one);
    assert_eq!(name.kind, "flat");
    assert_eq!(part(&flat(&other), &other), name);
    assert_eq!(part(&flat(&other), &one).kind, "bytes");
    let mut bytes = flat(&one);
    for at in (0..bytes.len()).step_by(41).chain([bytes.len() - 1]) {
        bytes[at] ^= 2;
        assert_ne!(part(&bytes, &one), name, "{at}");
        bytes[at] ^= 2;
    }
    bytes.push(0);
    assert_ne!(part(&bytes, &one), name);
    assert_eq!(part(&bytes[..100], &one).kind, "bytes");
    assert_eq!(part(b"", &one).kind, "bytes");
}
