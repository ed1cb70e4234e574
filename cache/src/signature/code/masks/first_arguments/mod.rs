//! Places in data that calls are given as their first argument.
//!
//! Proven, not guessed: from an instruction that loads the address, the code is followed to the call,
//! and only while each instruction on the way is known not to replace what was loaded. What is loaded
//! in some other way is not found.

mod arm64;
mod x86_64;

use object::elf as abi;

use crate::signature::relocatable::{Machine, Relocatable, Relocation, Target};

use super::relocation_at;

/// A place in data that a call is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Given<'data> {
    /// The name of the function, a global one.
    pub(super) callee: &'data [u8],
    pub(super) section: usize,
    /// In bytes from the start of the section.
    pub(super) offset: u64,
}

/// The places that functions of some names are given. A place that several calls are given is there
/// once for each.
pub(super) fn first_arguments<'data>(
    object: &Relocatable<'data>,
    is_wanted: impl Fn(&[u8]) -> bool,
) -> Vec<Given<'data>> {
    let mut found = Vec::new();
    let relocations: usize = object.relocations.iter().map(Vec::len).sum();
    let mut steps = relocations.saturating_mul(arm64::STEPS);
    for (section, relocations) in object.relocations.iter().enumerate() {
        let Some(code) = Code::of(object, section) else { continue };
        for relocation in relocations {
            let Target::Inside { section, offset } = object.target(section, relocation) else {
                continue;
            };
            if is_code(object, section) {
                continue;
            }
            let mut note = |callee, added| {
                let offset = offset.checked_add(added).and_then(|it| u64::try_from(it).ok());
                if let Some(offset) = offset.filter(|_| is_wanted(callee)) {
                    found.push(Given { callee, section, offset });
                }
            };
            match object.machine {
                Machine::X86_64 => {
                    if let Some(callee) = x86_64::callee(&code, relocation) {
                        note(callee, 0);
                    }
                }
                Machine::Arm64 => arm64::callees(&code, relocation, &mut steps, note),
            }
        }
    }
    found
}

fn is_code(object: &Relocatable<'_>, section: usize) -> bool {
    object.elf.sections[section].flags & abi::SHF_EXECINSTR.0 != 0
}

/// A section of instructions.
struct Code<'a, 'data> {
    object: &'a Relocatable<'data>,
    section: usize,
    bytes: &'data [u8],
}

impl<'a, 'data> Code<'a, 'data> {
    fn of(object: &'a Relocatable<'data>, section: usize) -> Option<Self> {
        let bytes = object.elf.sections[section].bytes.clone();
        let bytes = bytes.filter(|_| is_code(object, section))?;
        Some(Self { object, section, bytes: &object.elf.data[bytes] })
    }

    /// The relocation of a field, if it has one.
    fn relocation(&self, field: u64) -> Option<&'a Relocation> {
        relocation_at(self.object, self.section, field)
    }

    /// The name of what the relocation of a branch leads to, if it is a global symbol's first byte.
    fn name(&self, relocation: &Relocation) -> Option<&'data [u8]> {
        match self.object.target(self.section, relocation) {
            Target::Name(name, 0) => Some(name),
            _ => None,
        }
    }
}
