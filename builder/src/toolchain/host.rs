//! What programs that a build makes for itself (fixdep, modpost, objtool, compiler plugins) are
//! compiled and linked with: headers and libraries of this machine.
//!
//! They lie outside the sources, so the view that watches a build does not see them, and no key
//! but the toolchain's stands for them.

use std::path::{Path, PathBuf};

use super::files::{self, Below};

/// Folders below one of the compiler's that host programs of Linux include from, beside the files in it: the C library,
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
    // The compiler has the linker load it.
    "liblto_plugin.so",
];

/// Descriptions of libraries that makefiles of Linux ask `pkg-config` for, and those that they name.
const DESCRIBED: &[&str] =
    &["libelf.pc", "libcrypto.pc", "libssl.pc", "libzstd.pc", "openssl.pc", "zlib.pc"];

/// Every header that a host program may be compiled with, by a name that does not depend on the
/// machine's layout of folders more than the compiler does, and the places in which one may come that
/// shadows another. `roots`: where the compiler looks.
pub(super) fn headers(roots: &[PathBuf]) -> Below {
    let mut found = Below::default();
    for root in roots {
        headers_in(root, &mut found);
    }
    found
}

/// Libraries of these folders that a host program may be linked with.
pub(super) fn libraries(folders: &[PathBuf]) -> Vec<(String, PathBuf)> {
    files_in(folders, LINKED).collect()
}

/// The descriptions that `pkg-config` finds in these folders, the first of each name.
pub(super) fn described(folders: &[PathBuf]) -> Vec<(String, PathBuf)> {
    let mut found: Vec<(String, PathBuf)> = Vec::new();
    for name in DESCRIBED {
        let first = files_in(folders, &[name]).next();
        found.extend(first.map(|(_, path)| (format!("pkgconfig/{name}"), path)));
    }
    found
}

fn files_in<'a>(
    folders: &'a [PathBuf],
    names: &'a [&str],
) -> impl Iterator<Item = (String, PathBuf)> + 'a {
    let paths = folders.iter().flat_map(|folder| names.iter().map(|name| folder.join(name)));
    paths.filter(|it| it.is_file()).map(|it| (it.to_string_lossy().into_owned(), it))
}

fn headers_in(root: &Path, found: &mut Below) {
    let named = |path: PathBuf| (path.to_string_lossy().into_owned(), path);
    found.places.push(root.to_owned());
    for item in std::fs::read_dir(root).into_iter().flatten().flatten() {
        let path = item.path();
        if path.is_file() {
            found.files.push(named(path));
        } else if path.is_symlink() {
            // It may come to lead to a file.
            found.places.push(path);
        }
    }
    for folder in FOLDERS.iter().map(|name| root.join(name)) {
        let inner = files::below(&folder);
        found.files.extend(inner.files.into_iter().map(|(_, path)| named(path)));
        found.places.extend(inner.places);
    }
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
        let gcc = crate::toolchain::look_up("gcc").unwrap();
        let roots = crate::toolchain::searched::searched(&gcc, "c").unwrap().headers;
        let names: Vec<String> = headers(&roots).files.into_iter().map(|it| it.0).collect();
        for end in ["/stdio.h", "/bits/types.h", "/linux/types.h", "/sys/stat.h"] {
            assert!(names.iter().any(|name| name.ends_with(end)), "{end}");
        }
        assert!(!names.iter().any(|name| name.contains("/X11/")));
    }

    #[test]
    fn what_was_installed_by_hand_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let place = |name: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, name).unwrap();
        };
        let headers = ["include/libelf.h", "include/openssl/bio.h", "include/gtk/gtk.h"];
        let libraries = ["lib/libelf.so", "lib/libgtk.so"];
        let described = ["one/libelf.pc", "two/libelf.pc", "two/zlib.pc"];
        headers.iter().chain(&libraries).chain(&described).for_each(|name| place(name));
        let at = |name: &str| folder.path().join(name);
        let paths = |found: Vec<(String, PathBuf)>| -> Vec<PathBuf> {
            let mut paths: Vec<_> = found.into_iter().map(|it| it.1).collect();
            paths.sort();
            paths
        };
        let found = paths(super::headers(&[at("include")]).files);
        assert_eq!(found, [at("include/libelf.h"), at("include/openssl/bio.h")]);
        assert_eq!(paths(super::libraries(&[at("none"), at("lib")])), [at("lib/libelf.so")]);
        let found = paths(super::described(&[at("one"), at("two")]));
        assert_eq!(found, [at("one/libelf.pc"), at("two/zlib.pc")]);
    }
}
