//! What of a kernel its `code` does not see.

use std::path::PathBuf;

use super::sign::Kernel;
use super::{SignatureError, image};
use crate::digest::Digest;

/// A hash of what a build may change although its `vmlinux.o` does the same: how its `vmlinux` is
/// laid out (where a linker script puts sections), the types that it describes (BTF, which names
/// parameters and members that no code has), and its boot images as `image` sees them, which are the
/// set-up code and the decompressor without the kernel in them. Builds that differ in lines alone have
/// the same one. Not of modules, nor of other bytes of `vmlinux`: so those of what is compiled after
/// `vmlinux.o` (`init_uts_ns`, the table of exported symbols) are in neither, and neither are names that
/// a linker script gives to places behind the last section.
///
/// `files` are the artifacts of the build by name; one must be `vmlinux`. It is compared within one
/// version of Kiln, and not kept. Blocks: the boot image is unpacked.
pub fn unseen_by_code(files: &[(String, PathBuf)]) -> Result<Digest, SignatureError> {
    let vmlinux = files.iter().find(|(name, _)| name == image::VMLINUX);
    let (_, vmlinux) = vmlinux.ok_or(SignatureError::NoVmlinux)?;
    let kernel = Kernel::open(vmlinux)?;
    let mut boot: Vec<_> = files.iter().filter(|(name, _)| image::is_boot_image(name)).collect();
    boot.sort();
    let mut text = kernel.layout()?.to_hex().to_string();
    for (name, path) in boot {
        let part = kernel.part(name, path)?;
        text += &format!("\n{name} {} {}", part.kind, part.hash().to_hex());
    }
    Ok(Digest::of(text.as_bytes()))
}
