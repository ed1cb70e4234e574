//! Names of symbols as they count for `code`, and as `symbols` maps them.

use std::borrow::Cow;

use object::elf as abi;

use crate::signature::relocatable::{Place, Relocatable, Symbol};
use crate::signature::writer::Writer;

/// Labels of initcalls: `__initcall__kmod_<module>__<__COUNTER__>_<__LINE__>_<function>` and, with
/// link-time optimization, a function of that name (Linux, include/linux/init.h).
const INITCALLS: [&[u8]; 2] = [b"__initcall__kmod_", b"__initstub__kmod_"];

/// A name without the line and counter that the kernel's macros put into it. Local data loses
/// every digit; a function keeps them, because crash titles show them.
pub(in crate::signature) fn without_lines<'data>(symbol: &Symbol<'data>) -> Cow<'data, [u8]> {
    let initcall = INITCALLS.iter().any(|it| symbol.name.starts_with(it));
    if !initcall && (!symbol.is_local() || symbol.is_function()) {
        return Cow::Borrowed(symbol.name);
    }
    if !symbol.name.iter().any(u8::is_ascii_digit) {
        return Cow::Borrowed(symbol.name);
    }
    Cow::Owned(symbol.name.iter().copied().filter(|byte| !byte.is_ascii_digit()).collect())
}

/// The hash of the named places of the sections that have a number. Local labels without a type
/// are left out: assembler macros number them.
pub(super) fn hash(object: &Relocatable<'_>, numbers: &[Option<u64>]) -> blake3::Hash {
    let mut named = Vec::new();
    for symbol in &object.symbols {
        let Place::Section(section) = symbol.place else { continue };
        let Some(number) = numbers[section] else { continue };
        let typed = symbol.is_function() || symbol.is_data();
        let label = symbol.kind == abi::STT_NOTYPE.0;
        if typed || (!symbol.is_local() && label) {
            let (kind, binding) = (symbol.kind, symbol.binding);
            let name = without_lines(symbol);
            named.push((number, symbol.value, symbol.size, kind, binding, name));
        }
    }
    // The order of a symbol table is the linker's choice.
    named.sort();
    let mut all = Writer::part();
    all.number(named.len() as u64);
    for (number, value, size, kind, binding, name) in named {
        all.number(number);
        all.number(value);
        all.number(size);
        all.number(kind.into());
        all.number(binding.into());
        all.text(&name);
    }
    all.finish()
}
