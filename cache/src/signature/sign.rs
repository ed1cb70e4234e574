//! Signatures of files.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::elf::Elf;
use super::mapping::{ByteSource, Mapping};
use super::notes::notes;
use super::{
    ElfError, Signature, SignatureError, SignatureKind, Signatures, code, image, syzkaller,
};

/// The `image` and `syzkaller` signatures of a linked kernel, a `vmlinux`.
///
/// The file is mapped once and both are made at the same time; resident memory stays flat whatever
/// its size. Nobody may write to or truncate the file meanwhile. Blocks for as long as hashing the
/// allocated part takes.
pub fn sign_file(path: &Path) -> Result<Signatures, SignatureError> {
    let mapping = Mapping::open(path)?;
    sign_bytes(&mapping).map_err(|source| SignatureError::Elf { path: path.to_owned(), source })
}

fn sign_bytes(source: &dyn ByteSource) -> Result<Signatures, ElfError> {
    let elf = Elf::parse(source.bytes())?;
    let (image, syzkaller) = std::thread::scope(|scope| {
        let syzkaller = scope.spawn(|| signature(&elf, source, SignatureKind::Syzkaller));
        let image = signature(&elf, source, SignatureKind::Image);
        let syzkaller = syzkaller.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        (image, syzkaller)
    });
    let made = [(SignatureKind::Image, image?), (SignatureKind::Syzkaller, syzkaller?)];
    Ok(Signatures(made.into_iter().filter_map(|(kind, it)| Some((kind, it?))).collect()))
}

/// One signature of a file. `image` wants a linked kernel, `code` one that is not, `syzkaller` takes
/// both; `content` is of whole builds, so it is refused here.
pub fn sign_kind(path: &Path, kind: SignatureKind) -> Result<Signature, SignatureError> {
    let in_file = |source| SignatureError::Elf { path: path.to_owned(), source };
    let mapping = Mapping::open(path)?;
    let elf = Elf::parse(mapping.bytes()).map_err(in_file)?;
    signature(&elf, &mapping, kind)
        .map_err(in_file)?
        .ok_or_else(|| SignatureError::NotOfAFile { path: path.to_owned(), kind })
}

/// One signature of an ELF file, `None` if the kind is not one of files.
fn signature(
    elf: &Elf<'_>,
    source: &dyn ByteSource,
    kind: SignatureKind,
) -> Result<Option<Signature>, ElfError> {
    Ok(match kind {
        SignatureKind::Image => {
            Some(Signature { version: image::VERSION, hash: image::sign(elf, source)? })
        }
        SignatureKind::Syzkaller => {
            Some(Signature { version: syzkaller::VERSION, hash: syzkaller::sign(elf, source)? })
        }
        SignatureKind::Code => {
            Some(Signature { version: code::VERSION, hash: code::sign(elf, source)? })
        }
        SignatureKind::Content => None,
    })
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
    let is_debug = |name: &[u8]| name.starts_with(b".debug_") || name.starts_with(b".zdebug_");
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
