//! What programs that a build makes for itself (fixdep, modpost, objtool, compiler plugins) are
//! compiled and linked with: headers and libraries of this machine.
//!
//! They lie outside the sources, so the view that watches a build does not see them, and no key
//! but the toolchain's stands for them.

use std::path::{Path, PathBuf};

use super::files;

/// Where a compiler looks for them (GCC manual, "Search Path").
const INCLUDE: &str = "/usr/include";

/// Folders below it that host programs of Linux include from, beside the files in it: the C library,
/// the kernel's own interface, libelf and its kin, and OpenSSL. Those of the desktop, of other
/// languages and of other libraries are left out: no host program of a kernel includes them.
const FOLDERS: &[&str] = &[
    "arpa",
    "asm",
    "asm-generic",
    "bits",
    "elfutils",
    "gnu",
    "linux",
    "net",
    "netinet",
    "openssl",
    "rpc",
    "sys",
];

/// What the linker puts into each of them, by the compiler driver's own answer. A shared library's
/// name leads to the file that is linked, which may be a script that names others.
const LINKED: &[&str] = &[
    "crt1.o",
    "Scrt1.o",
    "crti.o",
    "crtn.o",
    "crtbeginS.o",
    "crtendS.o",
    "libc.so",
    "libc.so.6",
    "libc_nonshared.a",
    "libgcc_s.so.1",
    "libelf.so",
    "libelf.a",
    "libz.so",
    "libcrypto.so",
    "libstdc++.so",
];

/// Every header that a host program may be compiled with, by a name that does not depend on the
/// machine's layout of folders more than the compiler does.
pub(super) fn headers() -> Vec<(String, PathBuf)> {
    let mut roots = vec![PathBuf::from(INCLUDE)];
    for item in std::fs::read_dir(INCLUDE).into_iter().flatten().flatten() {
        // Debian's folder of an architecture ("x86_64-linux-gnu").
        if item.file_name().to_string_lossy().contains("-linux-") {
            roots.push(item.path());
        }
    }
    roots.iter().flat_map(|root| below(root)).collect()
}

fn below(root: &Path) -> Vec<(String, PathBuf)> {
    let mut found = Vec::new();
    for item in std::fs::read_dir(root).into_iter().flatten().flatten() {
        let (name, path) = (item.file_name().to_string_lossy().into_owned(), item.path());
        if path.is_file() {
            found.push((path.to_string_lossy().into_owned(), path));
        } else if FOLDERS.contains(&name.as_str()) {
            let inner = files::below(&path).into_iter().map(|(_, path)| path);
            found.extend(inner.map(|path| (path.to_string_lossy().into_owned(), path)));
        }
    }
    found
}

/// Names to ask the driver for with `-print-file-name=`.
pub(super) fn linked() -> impl Iterator<Item = &'static str> {
    LINKED.iter().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_c_library_is_covered_and_the_desktop_is_not() {
        let names: Vec<String> = headers().into_iter().map(|(name, _)| name).collect();
        for end in ["/stdio.h", "/bits/types.h", "/linux/types.h", "/sys/stat.h"] {
            assert!(names.iter().any(|name| name.ends_with(end)), "{end}");
        }
        assert!(!names.iter().any(|name| name.contains("/X11/")));
    }
}
