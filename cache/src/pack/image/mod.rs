//! Boot images taken apart: a compressed kernel defeats every other way to store it smaller.
//!
//! A `bzImage` is set-up code, a decompressor, and the compressed kernel. Uncompressed that kernel
//! is the build's `vmlinux` without its symbols, and takes nearly nothing beside it. So the image
//! is stored as two blobs, the kernel and the rest, and how to compress the kernel *to the same
//! bytes again*, which is tried out before anything is stored so. What does not come out the same
//! stays whole. So does a kernel in LZO: who makes `lzop`'s bytes (LZO1X-999) is under the GPL, and
//! Kiln is not.
//!
//! Behind a kernel that may be loaded anywhere are its relocations, of which `vmlinux` has not one
//! byte. They are a third blob, in a form that neighbouring builds have in common ([`relocs`]).

mod codec;
mod deflate;
mod locate;
mod lz4;
mod lzma;
pub(crate) mod relocs;
mod tail;
mod zstd;

#[cfg(test)]
mod golden;

pub(crate) use codec::Codec;
pub(crate) use locate::locate;

/// A boot image in parts.
#[derive(Debug)]
pub(crate) struct Apart {
    /// The image without the compressed kernel.
    pub(crate) rest: Vec<u8>,
    /// The kernel, uncompressed, without the relocations if they are apart.
    pub(crate) kernel: Vec<u8>,
    /// The relocations behind it, as [`relocs::shorten`] gives them.
    pub(crate) relocs: Option<Vec<u8>>,
    /// Where in the rest the compressed kernel belongs.
    pub(crate) split: u64,
    /// What compresses the kernel to the same bytes.
    pub(crate) codec: Codec,
}

/// Takes an image apart. `None` when it is none, or its compressed part can't be repeated.
pub(crate) fn take_apart(image: &[u8]) -> Option<Apart> {
    let place = locate(image)?;
    let (codec, mut kernel) = Codec::repeat(&image[place.clone()])?;
    let rest = [&image[..place.start], &image[place.end..]].concat();
    let relocs = take_relocs(&mut kernel);
    Some(Apart { rest, kernel, relocs, split: place.start as u64, codec })
}

/// Takes the relocations off the end of a kernel, shortened. `None` leaves it whole: there are none,
/// or they are something else.
fn take_relocs(kernel: &mut Vec<u8>) -> Option<Vec<u8>> {
    let end = tail::end_of_elf(kernel)?;
    let relocs = relocs::shorten(&kernel[end..])?;
    kernel.truncate(end);
    Some(relocs)
}

/// Whether bytes begin like a boot image that could be taken apart.
pub(crate) fn may_be_image(begin: &[u8]) -> bool {
    begin.get(0x202..0x206) == Some(b"HdrS")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;
    use crate::pack::parts::Recipe;
    use crate::signature::test_elf::{ALLOC, PROGBITS, TestElf};

    /// An image with this payload, packed by bzip2.
    fn image(payload: &[u8]) -> Vec<u8> {
        let mut image = vec![7; 2000];
        image[0x1f1] = 1;
        image[0x202..0x208].copy_from_slice(b"HdrS\x0f\x02");
        let packed = Codec::Bzip2 { level: 9 }.compress(payload).unwrap();
        image[0x248..0x24c].copy_from_slice(&976_u32.to_le_bytes());
        image[0x24c..0x250].copy_from_slice(&(packed.len() as u32 + 4).to_le_bytes());
        [&image[..], &packed, &(payload.len() as u32).to_le_bytes(), b"end"].concat()
    }

    fn relocations() -> Vec<u8> {
        let words = (0..5000_u32).map(|n| 0x8100_0000 + n * 20 + n % 9);
        [0, 0, 0].into_iter().chain(words).flat_map(u32::to_le_bytes).collect()
    }

    /// Takes an image apart, and puts it together again.
    fn apart(image: &[u8]) -> Apart {
        let apart = take_apart(image).unwrap();
        let recipe = Recipe {
            rest: Digest::of(&apart.rest),
            kernel: Digest::of(&apart.kernel),
            relocs: apart.relocs.as_deref().map(Digest::of),
            size: image.len() as u64,
            split: apart.split,
            codec: apart.codec.clone(),
        };
        let parts = [apart.rest.clone(), apart.kernel.clone()].into_iter();
        assert!(recipe.assemble(parts.chain(apart.relocs.clone()).collect()).unwrap() == image);
        apart
    }

    #[test]
    fn relocations_behind_a_kernel_are_a_part() {
        for elf in TestElf::every_format() {
            let kernel = elf.section(".text", PROGBITS, ALLOC, vec![0x90; 10_000]).build();
            let apart = apart(&image(&[&kernel[..], &relocations()].concat()));
            assert!(apart.kernel == kernel);
            assert!(apart.relocs.unwrap().len() < relocations().len() / 3);
        }
    }

    #[test]
    fn what_is_behind_a_kernel_and_no_relocations_stays_there() {
        let kernel = TestElf::new().section(".text", PROGBITS, ALLOC, vec![0x90; 10_000]).build();
        let relocs = relocations();
        let noise: Vec<u8> = (1..500_u32).flat_map(|n| n.pow(3).to_be_bytes()).collect();
        for tail in [&[][..], &relocs[1..], &[0; 3], &noise] {
            let payload = [&kernel[..], tail].concat();
            let apart = apart(&image(&payload));
            assert!(apart.kernel == payload && apart.relocs.is_none());
        }
        // No ELF file, and one that is cut off.
        for payload in [relocs, kernel[..kernel.len() - 4].to_vec()] {
            let apart = apart(&image(&payload));
            assert!(apart.kernel == payload && apart.relocs.is_none());
        }
    }
}
