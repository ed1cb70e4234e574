//! Sections of `vmlinux.o` that do not count for `code`.

use object::elf as abi;

use crate::signature::elf::{Elf, Section};

/// Left out although loaded: where functions can be traced, at calls or gaps that are in the code
/// itself.
const DERIVED: [&[u8]; 2] = [b"__mcount_loc", b"__patchable_function_entries"];

/// How to unwind each instruction, as the compiler says. No x86 kernel reads it; arm64 does at boot,
/// to find what to patch (`UNWIND_PATCH_PAC_INTO_SCS`; Linux, arch/arm64/kernel/patch-scs.c).
const FRAMES: &[u8] = b".eh_frame";

/// How to unwind each instruction, and a checksum of the format (objtool; `UNWINDER_ORC`). It counts:
/// objtool makes it of the code and of hints beside it, which are in no section that is loaded.
const ORC: [&[u8]; 3] = [b".orc_unwind", b".orc_unwind_ip", b".orc_header"];

/// Notes to objtool; every kernel's linker script drops them.
const DROPPED: &[u8] = b".discard";

/// Whether a section of a file counts: loaded and not computed from others. Debug information, symbol
/// and relocation tables are not loaded.
pub(in crate::signature) fn counts(elf: &Elf<'_>, section: &Section<'_>) -> bool {
    let is_unread = section.name == FRAMES && elf.machine == abi::EM_X86_64.0;
    section.is_allocated()
        && !section.name.starts_with(DROPPED)
        && !DERIVED.contains(&section.name)
        && !is_unread
}

/// Whether what is in a section is told by name: it counts, and does not say again of each function
/// how it is to be unwound.
pub(in crate::signature) fn is_told(elf: &Elf<'_>, section: &Section<'_>) -> bool {
    counts(elf, section) && section.name != FRAMES && !ORC.contains(&section.name)
}
