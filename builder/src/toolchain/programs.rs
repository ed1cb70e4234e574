//! The programs that a toolchain's name stands for.

/// LLVM's programs by the make variables that name them, as `LLVM=1` sets them
/// (Documentation/kbuild/llvm.rst, "The LLVM Utilities"). Programs for the host are left to `gcc`:
/// the toolchain's id covers what it makes them of.
const LLVM: &[(&str, &str)] = &[
    ("CC", "clang"),
    ("LD", "ld.lld"),
    ("AR", "llvm-ar"),
    ("NM", "llvm-nm"),
    ("STRIP", "llvm-strip"),
    ("OBJCOPY", "llvm-objcopy"),
    ("OBJDUMP", "llvm-objdump"),
    ("READELF", "llvm-readelf"),
];

/// What Kbuild is to call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Programs {
    /// Make variable and program; the compiler first.
    named: Vec<(&'static str, String)>,
}

impl Programs {
    /// What a name stands for: `llvm`, `llvm-14` and `llvm:/folder` for clang with LLVM's linker and
    /// binutils (of that release, of that folder), anything else for a compiler of that name or path
    /// with the binutils of this machine.
    pub(crate) fn of(name: &str) -> Self {
        let rest = name.strip_prefix("llvm");
        let (folder, release) = match rest {
            Some("") => (String::new(), ""),
            Some(rest) if rest.starts_with(":/") => {
                (format!("{}/", rest[1..].trim_end_matches('/')), "")
            }
            Some(rest) if rest.starts_with('-') => (String::new(), rest),
            _ => return Self { named: vec![("CC", name.to_owned())] },
        };
        let named =
            LLVM.iter().map(|(variable, tool)| (*variable, format!("{folder}{tool}{release}")));
        Self { named: named.collect() }
    }

    /// The compiler.
    pub(crate) fn compiler(&self) -> &str {
        // `of` names it first, always.
        self.named.first().map_or("gcc", |(_, name)| name)
    }

    /// The linker.
    pub(crate) fn linker(&self) -> &str {
        self.named.iter().find(|(variable, _)| *variable == "LD").map_or("ld", |(_, name)| name)
    }

    /// Make variable and program of each.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.named.iter().map(|(variable, name)| (*variable, name.as_str()))
    }

    /// Variables for make's command line. None for `gcc`, which Kbuild calls by itself.
    pub(crate) fn variables(&self) -> Vec<String> {
        let told = self.iter().filter(|named| *named != ("CC", "gcc"));
        told.map(|(variable, name)| format!("{variable}={name}")).collect()
    }
}

/// Debian's package of one of LLVM's programs: `clang-14`, `lld-14` for `ld.lld-14`, `llvm-14` for
/// `llvm-ar-14`.
pub(crate) fn llvm_package(tool: &str) -> Option<String> {
    let (_, program) = LLVM
        .iter()
        .filter(|(_, program)| tool.starts_with(program))
        .max_by_key(|(_, p)| p.len())?;
    let release = &tool[program.len()..];
    let package = match *program {
        "clang" => "clang",
        "ld.lld" => "lld",
        _ => "llvm",
    };
    let is_release = release.is_empty() || release.starts_with('-');
    is_release.then(|| format!("{package}{release}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stands_for_a_compiler_or_for_all_of_llvm() {
        assert!(Programs::of("gcc").variables().is_empty());
        assert_eq!(Programs::of("gcc-9").variables(), ["CC=gcc-9"]);
        assert_eq!(Programs::of("clang-14").variables(), ["CC=clang-14"]);
        assert_eq!(Programs::of("llvmish-gcc").compiler(), "llvmish-gcc");
        let llvm = Programs::of("llvm-14");
        assert_eq!((llvm.compiler(), llvm.linker()), ("clang-14", "ld.lld-14"));
        assert!(llvm.variables().contains(&"OBJCOPY=llvm-objcopy-14".to_owned()));
        let folder = Programs::of("llvm:/opt/llvm/bin");
        assert_eq!(folder.linker(), "/opt/llvm/bin/ld.lld");
        assert_eq!(Programs::of("gcc").linker(), "ld");
    }

    #[test]
    fn packages_of_llvm() {
        let of = |tool| llvm_package(tool);
        assert_eq!(of("clang-14").as_deref(), Some("clang-14"));
        assert_eq!(of("ld.lld").as_deref(), Some("lld"));
        assert_eq!(of("llvm-ar-14").as_deref(), Some("llvm-14"));
        assert_eq!(of("clangd"), None);
        assert_eq!(of("gcc-9"), None);
    }
}
