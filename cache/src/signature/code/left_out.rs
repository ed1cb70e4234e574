//! Sections of `vmlinux.o` that do not count for `code`.

use crate::signature::elf::Section;

/// Left out although loaded: each is computed from sections that count, by objtool or by the
/// compiler, or is dropped by the linker script.
const DERIVED: [&[u8]; 6] = [
    // How to unwind each instruction, and a checksum of the format (objtool; `ORC_UNWINDER`).
    b".orc_unwind",
    b".orc_unwind_ip",
    b".orc_header",
    // The same for other unwinders; kernels drop it.
    b".eh_frame",
    // Where functions can be traced: at the calls or the gaps that are in the code itself.
    b"__mcount_loc",
    b"__patchable_function_entries",
];

/// Notes to objtool; every kernel's linker script drops them.
const DROPPED: &[u8] = b".discard";

/// Whether a section counts: loaded and not computed from others. Debug information, symbol and
/// relocation tables are not loaded.
pub(in crate::signature) fn counts(section: &Section<'_>) -> bool {
    section.is_allocated() && !section.name.starts_with(DROPPED) && !DERIVED.contains(&section.name)
}
