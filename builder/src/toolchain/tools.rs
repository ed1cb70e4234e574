//! The tools of a kernel build, and the Debian packages that have them.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::ToolchainError;
use super::programs::{Programs, llvm_package};
use super::stamp::Stamp;
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
    // Documentation/process/changes.rst of Linux 6.1 names these two as well. `rustc` loads
    // its compiler as a library, which is found with the other libraries; its own sources of
    // `core` are not identified, so a configuration with Rust proves nothing (see the recipe).
    sometimes("rustc", "rustc"),
    sometimes("bindgen", "bindgen"),
    // Packs the headers of IKHEADERS.
    sometimes("tar", "tar"),
    // Host programs and compiler plugins, which are made by these whatever compiles the kernel.
    sometimes("gcc", "gcc"),
    sometimes("g++", "g++"),
    sometimes("pkg-config", "pkg-config"),
    // `awk` may be either; scripts that ask for one of them get it.
    sometimes("gawk", "gawk"),
    sometimes("mawk", "mawk"),
    // Compressors by the names of their parallel twins (KGZIP, KBZIP2).
    sometimes("pigz", "pigz"),
    sometimes("pbzip2", "pbzip2"),
    sometimes("lbzip2", "lbzip2"),
    // What scripts of the tree and recipes of make run on their way to a file.
    sometimes("cmp", "diffutils"),
    sometimes("diff", "diffutils"),
    sometimes("egrep", "grep"),
    sometimes("fgrep", "grep"),
    sometimes("grep", "grep"),
    sometimes("find", "findutils"),
    sometimes("xargs", "findutils"),
    sometimes("hexdump", "bsdextrautils"),
    sometimes("xxd", "xxd"),
    sometimes("mkimage", "u-boot-tools"),
    sometimes("basename", "coreutils"),
    sometimes("cat", "coreutils"),
    sometimes("chmod", "coreutils"),
    sometimes("comm", "coreutils"),
    sometimes("cp", "coreutils"),
    sometimes("cut", "coreutils"),
    sometimes("date", "coreutils"),
    sometimes("dd", "coreutils"),
    sometimes("dirname", "coreutils"),
    sometimes("echo", "coreutils"),
    sometimes("env", "coreutils"),
    sometimes("expr", "coreutils"),
    sometimes("head", "coreutils"),
    sometimes("id", "coreutils"),
    sometimes("install", "coreutils"),
    sometimes("join", "coreutils"),
    sometimes("ln", "coreutils"),
    sometimes("ls", "coreutils"),
    sometimes("md5sum", "coreutils"),
    sometimes("mkdir", "coreutils"),
    sometimes("mktemp", "coreutils"),
    sometimes("mv", "coreutils"),
    sometimes("nl", "coreutils"),
    sometimes("nproc", "coreutils"),
    sometimes("od", "coreutils"),
    sometimes("paste", "coreutils"),
    sometimes("printf", "coreutils"),
    sometimes("pwd", "coreutils"),
    sometimes("readlink", "coreutils"),
    sometimes("realpath", "coreutils"),
    sometimes("rm", "coreutils"),
    sometimes("seq", "coreutils"),
    sometimes("sha1sum", "coreutils"),
    sometimes("sha256sum", "coreutils"),
    sometimes("sort", "coreutils"),
    sometimes("stat", "coreutils"),
    sometimes("tac", "coreutils"),
    sometimes("tail", "coreutils"),
    sometimes("tee", "coreutils"),
    sometimes("test", "coreutils"),
    sometimes("touch", "coreutils"),
    sometimes("tr", "coreutils"),
    sometimes("truncate", "coreutils"),
    sometimes("uname", "coreutils"),
    sometimes("uniq", "coreutils"),
    sometimes("wc", "coreutils"),
    sometimes("whoami", "coreutils"),
];

/// Where a tool may lie: in the recipe's folders. A name with a slash is taken as it is.
pub(super) fn candidates(name: &str) -> Vec<PathBuf> {
    if name.contains('/') {
        return vec![name.into()];
    }
    recipe::PATH.split(':').map(|folder| PathBuf::from(folder).join(name)).collect()
}

/// Where it lies.
pub(crate) fn look_up(name: &str) -> Option<PathBuf> {
    candidates(name).into_iter().find(|path| {
        path.metadata()
            .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
    })
}

/// Where a tool was found, and where that leads: a compiler looks for its parts from there.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(super) struct Located {
    path: PathBuf,
    real: Option<PathBuf>,
    /// The links on the way: one that led elsewhere for a while has another stamp.
    links: Vec<Stamp>,
}

/// How many links the system follows (path_resolution(7)).
const MOST_LINKS: usize = 40;

impl Located {
    fn at(path: PathBuf) -> Self {
        let (real, mut links, mut at) = (path.canonicalize().ok(), Vec::new(), path.clone());
        while let (true, Ok(next)) = (links.len() < MOST_LINKS, at.read_link()) {
            links.extend(Stamp::of_itself(&at));
            at = at.parent().unwrap_or(Path::new("/")).join(next);
        }
        Self { path, real, links }
    }

    /// As [`Stamp::is_settled`], of the links.
    pub(super) fn is_settled(&self, then: SystemTime) -> bool {
        self.links.iter().all(|link| link.is_settled(then))
    }
}

/// Where a toolchain's programs and every tool of the list lie.
pub(super) fn look_up_all(programs: &Programs) -> Vec<Option<Located>> {
    let named = programs.iter().map(|(_, name)| name);
    let locate = |name| look_up(name).map(Located::at);
    named.chain(TOOLS.iter().map(|tool| tool.name)).map(locate).collect()
}

/// The Debian package of a tool; compilers are named as their packages are.
pub(crate) fn package_of(tool: &str) -> Option<&'static str> {
    TOOLS.iter().find(|known| known.name == tool).map(|known| known.package)
}

pub(super) fn missing(tool: &str) -> ToolchainError {
    let known = package_of(tool).map(str::to_owned).or_else(|| llvm_package(tool));
    let package = known.unwrap_or_else(|| tool.to_owned());
    ToolchainError::Missing { tool: tool.to_owned(), package, path: recipe::PATH }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_kbuild_scripts_run_is_in_the_list_once() {
        let mut names: Vec<&str> = TOOLS.iter().map(|tool| tool.name).collect();
        for tool in ["stat", "sort", "od", "cut", "tr", "date", "sed", "awk", "perl", "rustc"] {
            assert!(names.contains(&tool), "{tool}");
        }
        names.sort_unstable();
        assert!(names.is_sorted_by(|one, next| one < next), "{names:?}");
    }
}
