//! The tools of a kernel build, and the Debian packages that have them.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use super::ToolchainError;
use crate::recipe;

/// Whether a build can do without a tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// Every build runs it.
    Always,
    /// Some configurations do; the build itself says so when it is missing.
    Sometimes,
}

/// A tool whose output reaches the image.
pub(super) struct Tool {
    pub(super) name: &'static str,
    pub(super) package: &'static str,
    pub(super) need: Need,
}

const fn always(name: &'static str, package: &'static str) -> Tool {
    Tool { name, package, need: Need::Always }
}

const fn sometimes(name: &'static str, package: &'static str) -> Tool {
    Tool { name, package, need: Need::Sometimes }
}

/// In the order in which their absence is reported.
pub(super) const TOOLS: &[Tool] = &[
    always("make", "make"),
    always("as", "binutils"),
    always("ld", "binutils"),
    always("ar", "binutils"),
    always("nm", "binutils"),
    always("objcopy", "binutils"),
    always("objdump", "binutils"),
    always("strip", "binutils"),
    always("flex", "flex"),
    always("bison", "bison"),
    always("bc", "bc"),
    always("sh", "dash"),
    always("awk", "mawk"),
    always("sed", "sed"),
    // Flex runs it over the parsers of Kconfig.
    sometimes("m4", "m4"),
    sometimes("perl", "perl"),
    sometimes("python3", "python3"),
    sometimes("bash", "bash"),
    sometimes("cpio", "cpio"),
    sometimes("gzip", "gzip"),
    sometimes("bzip2", "bzip2"),
    sometimes("xz", "xz-utils"),
    sometimes("lzma", "xz-utils"),
    sometimes("lzop", "lzop"),
    sometimes("lz4", "lz4"),
    sometimes("lz4c", "lz4"),
    sometimes("zstd", "zstd"),
    sometimes("pahole", "pahole"),
    sometimes("openssl", "openssl"),
    sometimes("hostname", "hostname"),
    sometimes("kmod", "kmod"),
    sometimes("rsync", "rsync"),
    sometimes("readelf", "binutils"),
];

/// Where a tool lies, in the recipe's folders. A name with a slash is taken as it is.
pub(super) fn look_up(name: &str) -> Option<PathBuf> {
    let candidates: Vec<PathBuf> = if name.contains('/') {
        vec![name.into()]
    } else {
        recipe::PATH.split(':').map(|folder| PathBuf::from(folder).join(name)).collect()
    };
    candidates.into_iter().find(|path| {
        path.metadata()
            .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
    })
}

/// Where the compiler and every tool of the list lie.
pub(super) fn look_up_all(compiler: &str) -> Vec<Option<PathBuf>> {
    std::iter::once(compiler).chain(TOOLS.iter().map(|tool| tool.name)).map(look_up).collect()
}

/// The Debian package of a tool; compilers are named as their packages are.
pub(crate) fn package_of(tool: &str) -> Option<&'static str> {
    TOOLS.iter().find(|known| known.name == tool).map(|known| known.package)
}

pub(super) fn missing(tool: &str) -> ToolchainError {
    let package = package_of(tool).unwrap_or(tool).to_owned();
    ToolchainError::Missing { tool: tool.to_owned(), package, path: recipe::PATH }
}
