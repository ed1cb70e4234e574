//! Names of functions as people write them.

/// What the wrappers of a system call begin with, by architecture, ABI and release
/// (`include/linux/syscalls.h`, `arch/*/include/asm/syscall_wrapper.h`, `net/compat.c`): taken off,
/// so that one bug has one name everywhere.
const WRAPPERS: [&str; 15] = [
    "SyS_",
    "SYSC_",
    "compat_SyS_",
    "compat_SYSC_",
    "sys_",
    "ksys_",
    "__sys_",
    "___sys_",
    "____sys_",
    "__se_sys_",
    "__do_sys_",
    "__se_",
    "__x64_",
    "__ia32_",
    "__arm64_",
];

/// A function that a title may name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Function {
    /// The name to show.
    pub(crate) shown: String,
    /// The name as the kernel has it, readable.
    pub(crate) full: String,
}

impl Function {
    /// From a name in a stack.
    pub(crate) fn of(raw: &str) -> Self {
        let full = readable(raw);
        let shown = WRAPPERS
            .iter()
            .filter_map(|wrapper| full.strip_prefix(wrapper))
            .min_by_key(|rest| rest.len())
            .unwrap_or(&full)
            .to_owned();
        Self { shown, full }
    }

    /// One that is always called the same.
    pub(crate) fn called(name: &str) -> Self {
        Self { shown: name.to_owned(), full: name.to_owned() }
    }

    /// A name of our own for one that has several.
    pub(crate) fn known_as(raw: &str, shown: &str) -> Self {
        Self { shown: shown.to_owned(), full: raw.to_owned() }
    }

    /// Names that other releases and architectures would show, this one's own among them.
    pub(crate) fn other_names(&self) -> Vec<&str> {
        let wrappers = WRAPPERS.iter().filter_map(|wrapper| self.full.strip_prefix(wrapper));
        std::iter::once(self.full.as_str()).chain(wrappers).collect()
    }
}

/// A name as its author wrote it, without parameters: Rust's and C++'s are mangled in stacks.
fn readable(name: &str) -> String {
    let plain = if name.starts_with("_R") {
        rustc_demangle::try_demangle(name).ok().map(|d| format!("{d:#}"))
    } else {
        name.strip_prefix("_Z").and_then(cpp_name)
    };
    plain.unwrap_or_else(|| name.to_owned())
}

/// The name in a mangled C++ name that is a plain or nested one: lengths and parts, as the
/// Itanium C++ ABI has them.
fn cpp_name(mangled: &str) -> Option<String> {
    let (nested, mut rest) = match mangled.strip_prefix('N') {
        Some(rest) => (true, rest),
        None => (false, mangled),
    };
    let mut parts = Vec::new();
    loop {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        if digits == 0 {
            break;
        }
        let length: usize = rest[..digits].parse().ok()?;
        let end = digits.checked_add(length)?;
        parts.push(rest.get(digits..end)?);
        rest = &rest[end..];
        if !nested {
            break;
        }
    }
    if parts.is_empty() || (nested && !rest.starts_with('E')) {
        return None;
    }
    Some(parts.join("::"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn system_calls_have_one_name() {
        for raw in ["SyS_mremap", "__x64_sys_mremap", "__se_sys_mremap", "mremap"] {
            let shown = Function::of(raw).shown;
            assert!(shown == "mremap" || shown == "sys_mremap", "{raw}: {shown}");
        }
        let function = Function::of("__se_sys_mremap");
        assert_eq!(function.shown, "mremap");
        assert_eq!(function.other_names(), ["__se_sys_mremap", "mremap", "sys_mremap"]);
    }

    #[test]
    fn mangled_names_are_readable() {
        let name = "_RNvMs_NtCs1a2B_11rust_binder7processNtB4_7Process10update_ref";
        assert!(readable(name).contains("rust_binder::process::Process"), "{}", readable(name));
        assert_eq!(readable("_Z8fakeNameiii"), "fakeName");
        assert_eq!(readable("_ZN3foo3barEv"), "foo::bar");
        for name in ["vfs_read", "_Z", "_Z99x", "_ZN3foo", "_Rubbish", "_Z99999999999999999999x"] {
            assert_eq!(readable(name), name);
        }
    }
}
