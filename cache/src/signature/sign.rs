//! Signatures of files.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde::Serialize;

use super::elf::{Elf, is_debug};
use super::image::Part;
use super::mapping::{ByteSource, Mapping};
use super::masks;
use super::notes::notes;
use super::side_by_side::side_by_side;
use super::{
    ElfError, Signature, SignatureError, SignatureKind, Signatures, code, image, syzkaller,
};

/// The `image` and `syzkaller` signatures of a lone `vmlinux`.
///
/// The file is mapped once and both are made at the same time; resident memory stays flat whatever
/// its size. Nobody may write to or truncate the file meanwhile. Blocks for as long as hashing the
/// allocated part takes.
pub fn sign_file(path: &Path) -> Result<Signatures, SignatureError> {
    sign_build(&[(image::VMLINUX.to_owned(), path.to_owned())])
}

/// The `image` and `syzkaller` signatures of a build, by its artifacts' names and places. Those
/// that `image` does not name are passed over; one must be `vmlinux`. As [`sign_file`].
pub fn sign_build(files: &[(String, PathBuf)]) -> Result<Signatures, SignatureError> {
    let vmlinux = files.iter().find(|(name, _)| name == image::VMLINUX);
    let (_, vmlinux) = vmlinux.ok_or(SignatureError::NoVmlinux)?;
    let kernel = Kernel::open(vmlinux)?;
    let others: Vec<&(String, PathBuf)> =
        files.iter().filter(|(name, _)| name != image::VMLINUX && image::covers(name)).collect();
    let size = |index: usize| others[index].1.metadata().map_or(0, |it| it.len());
    std::thread::scope(|scope| {
        let syzkaller = scope.spawn(|| kernel.sign(SignatureKind::Syzkaller));
        let mut parts = kernel.parts()?;
        let made = side_by_side(others.len(), size, |index| {
            let (name, path) = others[index];
            kernel.part(name, path)
        });
        for ((name, _), part) in others.iter().zip(made) {
            parts.insert(name.clone(), part?);
        }
        let syzkaller =
            syzkaller.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        let image = image::name_of(&parts);
        Ok(Signatures(
            [(SignatureKind::Image, image), (SignatureKind::Syzkaller, syzkaller)].into(),
        ))
    })
}

/// Whether an artifact of a kernel's build is named by `image`: the kernel, a boot image of it, or
/// a module.
pub fn is_named_by_image(artifact: &str) -> bool {
    image::covers(artifact)
}

/// A `vmlinux`, mapped, and the parts of its build as they are added.
pub(crate) struct Kernel {
    path: PathBuf,
    mapping: Mapping,
    /// What it says its release is, known when a module was held against it.
    release: OnceLock<Option<Vec<u8>>>,
}

impl Kernel {
    pub(crate) fn open(path: &Path) -> Result<Self, SignatureError> {
        let mapping = Mapping::open(path)?;
        Ok(Self { path: path.to_owned(), mapping, release: OnceLock::new() })
    }

    fn elf(&self) -> Result<Elf<'_>, SignatureError> {
        Elf::parse(self.mapping.bytes()).map_err(|source| self.fail(source))
    }

    fn fail(&self, source: ElfError) -> SignatureError {
        SignatureError::Elf { path: self.path.clone(), source }
    }

    /// The part that is the `vmlinux` itself.
    pub(crate) fn parts(&self) -> Result<BTreeMap<String, Part>, SignatureError> {
        let part = image::kernel(&self.elf()?, &self.mapping).map_err(|it| self.fail(it))?;
        Ok([(image::VMLINUX.to_owned(), part)].into())
    }

    /// The part that is another file of the build.
    pub(crate) fn part(&self, name: &str, path: &Path) -> Result<Part, SignatureError> {
        let file = Mapping::open(path)?;
        if image::is_module(name) {
            return Ok(image::module_part(&file, self.release()?));
        }
        Ok(image::companion(&file, &self.elf()?, &self.mapping))
    }

    fn release(&self) -> Result<Option<&[u8]>, SignatureError> {
        if let Some(known) = self.release.get() {
            return Ok(known.as_deref());
        }
        let elf = self.elf()?;
        let masks = masks::locate(&elf, &self.mapping).map_err(|it| self.fail(it))?;
        let found = masks::kernels_release(&elf, &masks).map(<[u8]>::to_vec);
        Ok(self.release.get_or_init(|| found).as_deref())
    }

    /// How the `vmlinux` itself is laid out, and the types that it describes.
    pub(crate) fn layout(&self) -> Result<blake3::Hash, SignatureError> {
        Ok(image::layout(&self.elf()?, &self.mapping))
    }

    /// `syzkaller`, or `image` of the lone `vmlinux`.
    pub(crate) fn sign(&self, kind: SignatureKind) -> Result<Signature, SignatureError> {
        signature(&self.elf()?, &self.mapping, kind)
            .map_err(|it| self.fail(it))?
            .ok_or_else(|| SignatureError::NotOfAFile { path: self.path.clone(), kind })
    }
}

/// One signature of a file. `image` wants a linked kernel, `code` one that is not, `syzkaller` takes
/// both; `content` is of whole builds, so it is refused here.
pub fn sign_kind(path: &Path, kind: SignatureKind) -> Result<Signature, SignatureError> {
    Kernel::open(path)?.sign(kind)
}

/// One signature of an ELF file, `None` if the kind is not one of files.
fn signature(
    elf: &Elf<'_>,
    source: &dyn ByteSource,
    kind: SignatureKind,
) -> Result<Option<Signature>, ElfError> {
    Ok(match kind {
        SignatureKind::Image => Some(image::sign(elf, source)?),
        SignatureKind::Syzkaller => {
            Some(Signature { version: syzkaller::VERSION, hash: syzkaller::sign(elf, source)? })
        }
        SignatureKind::Code => {
            Some(Signature { version: code::VERSION, hash: code::sign(elf, source)? })
        }
        SignatureKind::Content => None,
    })
}

/// A range of what is loaded of a file that `image` or `code` does not see.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Masked {
    /// What is there, by the name that goes into the signature.
    pub kind: &'static str,
    /// First byte, from the start of the file.
    pub start: u64,
    /// How many bytes.
    pub length: u64,
}

impl Masked {
    fn new(kind: &'static str, range: &Range<usize>) -> Self {
        Self { kind, start: range.start as u64, length: range.len() as u64 }
    }
}

/// What `image` hides in the files of a build, by artifact: of what is loaded of them each byte of
/// these and no other. (Not loaded, and not listed: debug information and the like, and the signature
/// behind a module.) Nothing of a file that counts byte by byte. One of the files must be `vmlinux`.
pub fn masked(
    files: &[(String, PathBuf)],
) -> Result<BTreeMap<String, Vec<Masked>>, SignatureError> {
    let vmlinux = files.iter().find(|(name, _)| name == image::VMLINUX);
    let (_, vmlinux) = vmlinux.ok_or(SignatureError::NoVmlinux)?;
    let kernel = Kernel::open(vmlinux)?;
    let elf = kernel.elf()?;
    let own = masks::locate(&elf, &kernel.mapping).map_err(|it| kernel.fail(it))?;
    let release = masks::kernels_release(&elf, &own);
    let mut all = BTreeMap::new();
    for (name, path) in files.iter().filter(|(name, _)| image::covers(name)) {
        let masks = match name.as_str() {
            image::VMLINUX => own.clone(),
            name if image::is_module(name) => image::module_masks(&Mapping::open(path)?, release),
            _ => image::companion_masks(&Mapping::open(path)?, &elf, &kernel.mapping),
        };
        let masked = masks.into_iter().map(|it| Masked::new(it.kind.tag(), &it.range));
        all.insert(name.clone(), masked.collect());
    }
    Ok(all)
}

/// What `code` hides in a `vmlinux.o`: of what is loaded of it each byte of these, and those that the
/// linker fills in. (Of the word with the line of a dynamic debug entry the upper 14 bits count.)
pub fn masked_code(path: &Path) -> Result<Vec<Masked>, SignatureError> {
    let kernel = Kernel::open(path)?;
    let masks = code::masked(&kernel.elf()?, &kernel.mapping).map_err(|it| kernel.fail(it))?;
    Ok(masks.into_iter().map(|(kind, range)| Masked::new(kind, &range)).collect())
}

/// The GNU build id of an ELF file in lower-case hexadecimal digits; `None` if it has none.
pub fn build_id(path: &Path) -> Result<Option<String>, SignatureError> {
    let mapping = Mapping::open(path)?;
    let elf = Elf::parse(mapping.bytes())
        .map_err(|source| SignatureError::Elf { path: path.to_owned(), source })?;
    let id =
        notes(&elf).into_iter().find(|note| note.is_build_id() && !note.description.is_empty());
    Ok(id.map(|note| elf.data[note.description].iter().map(|byte| format!("{byte:02x}")).collect()))
}

/// Whether an ELF file has debug information (sections `.debug_…` or, compressed, `.zdebug_…`).
/// `false` for a file that is no ELF file.
pub fn has_debug_sections(path: &Path) -> Result<bool, SignatureError> {
    if !is_elf(path)? {
        return Ok(false);
    }
    let mapping = Mapping::open(path)?;
    let elf = Elf::parse(mapping.bytes())
        .map_err(|source| SignatureError::Elf { path: path.to_owned(), source })?;
    Ok(elf.sections.iter().any(|it| is_debug(it.name)))
}

/// Whether a file begins as ELF files do. Reads four bytes; says nothing of the rest.
pub fn is_elf(path: &Path) -> Result<bool, SignatureError> {
    let failed = |source| SignatureError::Read { path: path.to_owned(), source };
    let mut magic = Vec::with_capacity(object::elf::ELFMAG.len());
    File::open(path)
        .and_then(|file| file.take(object::elf::ELFMAG.len() as u64).read_to_end(&mut magic))
        .map_err(failed)?;
    Ok(magic == object::elf::ELFMAG)
}
