//! Boot images taken apart: a compressed kernel defeats every other way to store it smaller.
//!
//! A `bzImage` is set-up code, a decompressor, and the compressed kernel. Uncompressed that kernel
//! is the build's `vmlinux` without its symbols, and takes nearly nothing beside it. So the image
//! is stored as two blobs, the kernel and the rest, and how to compress the kernel *to the same
//! bytes again*, which is tried out before anything is stored so. What does not come out the same
//! stays whole. So does a kernel in LZO: who makes `lzop`'s bytes (LZO1X-999) is under the GPL, and
//! Kiln is not.

mod codec;
mod deflate;
mod locate;
mod lz4;
mod lzma;
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
    /// The kernel, uncompressed.
    pub(crate) kernel: Vec<u8>,
    /// Where in the rest the compressed kernel belongs.
    pub(crate) split: u64,
    /// What compresses the kernel to the same bytes.
    pub(crate) codec: Codec,
}

/// Takes an image apart. `None` when it is none, or its compressed part can't be repeated.
pub(crate) fn take_apart(image: &[u8]) -> Option<Apart> {
    let place = locate(image)?;
    let (codec, kernel) = Codec::repeat(&image[place.clone()])?;
    let rest = [&image[..place.start], &image[place.end..]].concat();
    Some(Apart { rest, kernel, split: place.start as u64, codec })
}

/// Whether bytes begin like a boot image that could be taken apart.
pub(crate) fn may_be_image(begin: &[u8]) -> bool {
    begin.get(0x202..0x206) == Some(b"HdrS")
}
