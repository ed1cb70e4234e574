//! Files that are mistaken for a `vmlinux`.

/// Names files that people give instead of a `vmlinux`, by their first bytes.
pub(crate) fn looks_like(data: &[u8]) -> Option<&'static str> {
    let at = |offset: usize, magic: &[u8]| {
        data.get(offset..).is_some_and(|rest| rest.starts_with(magic))
    };
    // Offsets: Documentation/arch/x86/boot.rst and Documentation/arch/arm64/booting.rst of Linux.
    let known: [(usize, &[u8], &str); 7] = [
        (0x202, b"HdrS", "an x86 boot image (bzImage)"),
        (0x38, b"ARM\x64", "an arm64 boot image (Image)"),
        (0, b"\x1f\x8b", "gzip data"),
        (0, b"\x28\xb5\x2f\xfd", "zstd data"),
        (0, b"\xfd7zXZ\0", "xz data"),
        (0, b"!<arch>\n", "an archive of objects (vmlinux.a)"),
        (0, b"!<thin>\n", "an archive of objects (vmlinux.a)"),
    ];
    if data.is_empty() {
        return Some("empty");
    }
    known.iter().find(|(offset, magic, _)| at(*offset, magic)).map(|(_, _, name)| *name)
}
