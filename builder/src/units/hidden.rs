//! What a compiler reads behind the preprocessor's back.

use crate::tree::KernelVersion;

/// Whether the preprocessor sees everything that becomes an object of such a kernel, so that its
/// output holds it and the compiler's record lists it. Not on s390, whose inline assembly includes
/// files (`.include`), and not for Linux 4.19 and 4.20, of which some revisions give the assembler a
/// file of macros (`-Wa,arch/x86/kernel/macros.s`). What two C files take in with `.incbin`
/// (`kernel/configs.c`, `kernel/kheaders.c`) is made by the build, and a prerequisite of their objects;
/// of an object that does so tokens alone decide nothing (see `stages::tokens`).
pub(crate) fn preprocessor_sees_all(arch: &str, kernel: KernelVersion) -> bool {
    arch != "s390" && !matches!((kernel.version, kernel.patchlevel), (4, 19 | 20))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_whose_assembler_reads_more() {
        let kernel = |version, patchlevel| KernelVersion { version, patchlevel };
        assert!(preprocessor_sees_all("x86_64", kernel(6, 1)));
        assert!(!preprocessor_sees_all("x86_64", kernel(4, 20)));
        assert!(!preprocessor_sees_all("s390", kernel(6, 1)));
    }
}
