//! Contents of a toolchain: hashing files, and finding the libraries that programs load.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::SystemTime;

use kiln_cache::Digest;

use super::stamp::Stamp;
use super::{ToolchainError, tools};
use crate::recipe;

/// Digests of files read by this process: a toolchain is some 200 MB, and asked for often.
static KNOWN: LazyLock<Mutex<HashMap<Stamp, Digest>>> = LazyLock::new(Mutex::default);

/// Digest of a file's content, with the stamp that it had before it was read; read once for each
/// stamp that no other content can have.
pub(crate) fn digest(path: &Path) -> Result<(Digest, Stamp), ToolchainError> {
    let read = |source| ToolchainError::Read { path: path.to_owned(), source };
    let begun = SystemTime::now();
    let stamp = Stamp::of(path).map_err(read)?;
    let known = || KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(digest) = known().get(&stamp) {
        return Ok((*digest, stamp));
    }
    let mut hasher = blake3::Hasher::new();
    hasher.update_mmap_rayon(path).map_err(read)?;
    let digest = Digest::from(hasher.finalize());
    if stamp.is_settled(begun) && stamp.is_current() {
        known().insert(stamp.clone(), digest);
    }
    Ok((digest, stamp))
}

/// What tools are asked with: nothing of the caller's, which a build does not see either
/// (`LD_LIBRARY_PATH`, `COMPILER_PATH`, …).
const ENVIRONMENT: [(&str, &str); 2] = [("LC_ALL", "C"), ("PATH", recipe::PATH)];

/// What lies below a folder.
#[derive(Debug, Default)]
pub(super) struct Below {
    /// Regular files by their path from it.
    pub(super) files: Vec<(String, PathBuf)>,
    /// What decided which these are: the folders that were listed, that one included even if it can't
    /// be, and links that were not followed.
    pub(super) places: Vec<PathBuf>,
}

/// Lists a folder and those in it. What can't be listed is left out.
pub(super) fn below(folder: &Path) -> Below {
    let mut found = Below::default();
    let mut open = vec![folder.to_path_buf()];
    while let Some(at) = open.pop() {
        for item in std::fs::read_dir(&at).into_iter().flatten().flatten() {
            let path = item.path();
            if path.is_dir() {
                // A link could lead back up.
                let is_link = path.is_symlink();
                if is_link { &mut found.places } else { &mut open }.push(path);
            } else if let Ok(name) = path.strip_prefix(folder) {
                found.files.push((name.to_string_lossy().into_owned(), path.clone()));
            }
        }
        found.places.push(at);
    }
    found
}

/// Shared libraries that programs load.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Libraries {
    pub(super) found: BTreeSet<PathBuf>,
    /// What decided which these are: folders and files that are there and such as are not.
    pub(super) places: BTreeSet<PathBuf>,
    /// Whether the dynamic loader said where it looked, as glibc's does.
    pub(super) is_told: bool,
}

/// What says which libraries the dynamic loader takes, beside programs and libraries (ld.so(8)).
const LOADERS_ORDERS: [&str; 3] = ["/etc/ld.so.cache", "/etc/ld.so.preload", "/etc/ld.so.nohwcap"];

/// The libraries of programs, as the dynamic loader resolves them here, and libelf.
pub(super) fn libraries(programs: &[PathBuf]) -> Result<Libraries, ToolchainError> {
    let mut command = Command::new("ldd");
    // Fails as a whole for scripts and static programs among them, after answering for the others.
    let output = command
        .args(programs)
        .env_clear()
        .envs(ENVIRONMENT)
        // The loader says where it looks, in between.
        .env("LD_DEBUG", "libs")
        .stdin(Stdio::null())
        .output()
        .map_err(|source| ToolchainError::Ask { tool: "ldd".into(), source })?;
    let mut libraries = parse_ldd(&String::from_utf8_lossy(&output.stdout));
    // `ldd` is a script of bash.
    libraries.places.extend(tools::candidates("ldd"));
    libraries.places.extend(["/bin/bash"].into_iter().chain(LOADERS_ORDERS).map(PathBuf::from));
    for folder in ["/usr/local/lib", "/usr/local/lib64", "/usr/lib", "/usr/lib64", "/lib64"] {
        libraries.found.extend(libelf_in(Path::new(folder)));
        libraries.places.insert(folder.into());
        let multiarch = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let is_one = |name: &std::ffi::OsStr| name.to_string_lossy().contains("-linux-");
        for item in multiarch.filter(|item| is_one(&item.file_name())) {
            libraries.found.extend(libelf_in(&item.path()));
            libraries.places.insert(item.path());
        }
    }
    Ok(libraries)
}

/// Files by their names, where they lie in folders of several programs by name and number. One that has
/// two paths counts once.
pub(super) fn by_name(files: BTreeSet<PathBuf>) -> BTreeMap<String, PathBuf> {
    let mut named: BTreeMap<String, PathBuf> = BTreeMap::new();
    let mut known = BTreeSet::new();
    for path in files {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let real = path.canonicalize().unwrap_or_else(|_| path.clone());
        if !known.insert((name.clone(), real)) {
            continue;
        }
        let many = known.iter().filter(|(other, _)| *other == name).count();
        let role = if many == 1 { name } else { format!("{name} {many}") };
        named.insert(role, path);
    }
    named
}

/// The library that objtool reads and writes object files with. It is linked to when objtool is
/// built, so no installed program tells of it.
fn libelf_in(folder: &Path) -> Option<PathBuf> {
    let library = folder.join("libelf.so.1");
    library.exists().then_some(library)
}

/// Paths in the output of `ldd`: "\tname => /path (0x…)" or "\t/path (0x…)". In between, what glibc's
/// loader tells with `LD_DEBUG=libs` ("  1234:\t  trying file=/path", "  1234:\t search path=/a:/b\t\t(…)"):
/// each folder in which it looks, at least the first time. One that is not there is looked in no more.
fn parse_ldd(text: &str) -> Libraries {
    let mut libraries = Libraries::default();
    for line in text.lines() {
        let Some(line) = line.strip_prefix('\t') else {
            let Some((_, told)) = line.split_once(":\t") else { continue };
            if let Some(file) = told.trim_start().strip_prefix("trying file=") {
                libraries.places.extend(Path::new(file).parent().map(Path::to_owned));
            } else if let Some(path) = told.trim_start().strip_prefix("search path=") {
                let path = path.split('\t').next().unwrap_or_default();
                let folders = path.split(':').filter(|it| !it.is_empty());
                libraries.places.extend(folders.map(PathBuf::from));
            } else if told.trim_start().starts_with("find library=") {
                libraries.is_told = true;
            }
            continue;
        };
        let line = line.split_once("=> ").map_or(line, |(_, path)| path).trim();
        let path = line.split_once(" (0x").map_or(line, |(path, _)| path);
        if path.starts_with('/') {
            libraries.found.insert(path.into());
        }
    }
    libraries
}

/// Runs a tool and returns what it prints.
pub(super) fn output(command: &mut Command, tool: &Path) -> Result<String, ToolchainError> {
    Ok(String::from_utf8_lossy(&run(command, tool)?.stdout).into_owned())
}

/// Runs a tool and returns what it says of its work (on standard error).
pub(super) fn words(command: &mut Command, tool: &Path) -> Result<String, ToolchainError> {
    Ok(String::from_utf8_lossy(&run(command, tool)?.stderr).into_owned())
}

fn run(command: &mut Command, tool: &Path) -> Result<Output, ToolchainError> {
    let ask = |source| ToolchainError::Ask { tool: tool.to_owned(), source };
    command.env_clear().envs(ENVIRONMENT).stdin(Stdio::null());
    let output = command.output().map_err(ask)?;
    if !output.status.success() {
        return Err(ask(std::io::Error::other(format!(
            "it ended with {}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        ))));
    }
    Ok(output)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_output_of_ldd() {
        let text = "/usr/bin/as:\n     7:\tfind library=libz.so.1 [0]; searching\n\
                    \x20    7:\t search path=/opt/v3:/opt\t\t(RUNPATH from file /usr/bin/as)\n\
                    \x20    7:\t  trying file=/opt/libz.so.1\n     7:\t search cache=/etc/ld.so.cache\n\
                    \x20    7:\t  trying file=/lib/x86_64-linux-gnu/libz.so.1\n     7:\t\n\
                    \tlinux-vdso.so.1 (0x00007ffd)\n\
                    \tlibz.so.1 => /lib/x86_64-linux-gnu/libz.so.1 (0x00007f9b)\n\
                    \t/lib64/ld-linux-x86-64.so.2 (0x00007f9c)\n\
                    /usr/bin/ldd:\n\tnot a dynamic executable\n\tlibq.so => not found\n";
        let paths = |paths: &[&str]| paths.iter().map(PathBuf::from).collect::<BTreeSet<_>>();
        let read = parse_ldd(text);
        let expected = ["/lib/x86_64-linux-gnu/libz.so.1", "/lib64/ld-linux-x86-64.so.2"];
        assert_eq!(read.found, paths(&expected));
        assert_eq!(read.places, paths(&["/opt/v3", "/opt", "/lib/x86_64-linux-gnu"]));
        assert!(read.is_told && !parse_ldd("\tlibz.so => /lib/libz.so (0x1)\n").is_told);
    }

    #[test]
    fn libraries_of_one_name_count_each_and_one_of_two_paths_once() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in ["a", "b"] {
            std::fs::create_dir(at(name)).unwrap();
            std::fs::write(at(name).join("libz.so"), name).unwrap();
        }
        std::os::unix::fs::symlink(at("b"), at("c")).unwrap();
        std::fs::write(at("a/liby.so"), "").unwrap();
        let found = ["a/libz.so", "b/libz.so", "c/libz.so", "a/liby.so"].map(at);
        let expected =
            [("liby.so", "a/liby.so"), ("libz.so", "a/libz.so"), ("libz.so 2", "b/libz.so")];
        let expected = expected.map(|(role, path)| (role.to_owned(), at(path)));
        assert_eq!(by_name(found.into()), expected.into());
    }

    #[test]
    fn this_machines_loader_says_where_it_looks() {
        let found = libraries(&[tools::look_up("ld").unwrap()]).unwrap();
        assert!(found.is_told);
        let parents = found.found.iter().filter_map(|it| it.parent());
        let mut looked = parents.filter(|it| !it.ends_with("lib64"));
        assert!(looked.all(|folder| found.places.contains(folder)), "{found:?}");
        assert!(found.places.contains(Path::new("/etc/ld.so.cache")));
    }

    #[test]
    fn every_folder_that_is_listed_decides() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir_all(at("a/b")).unwrap();
        std::os::unix::fs::symlink(at("a"), at("up")).unwrap();
        std::fs::write(at("a/b/file"), "").unwrap();
        let mut found = below(folder.path());
        found.places.sort();
        assert_eq!(found.files, [("a/b/file".to_owned(), at("a/b/file"))]);
        assert_eq!(found.places, [folder.path().to_owned(), at("a"), at("a/b"), at("up")]);
        assert_eq!(below(&at("none")).places, [at("none")]);
    }

    /// By clocks that stand still for a moment.
    #[test]
    fn what_may_change_within_a_tick_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tool");
        std::fs::write(&path, "young").unwrap();
        let is_kept = |path: &Path| {
            let stamp = digest(path).unwrap().1;
            KNOWN.lock().unwrap().contains_key(&stamp)
        };
        assert!(!is_kept(&path), "the next content might have its stamp");
        assert!(is_kept(Path::new("/bin/sh")));
    }

    #[test]
    fn a_changed_file_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tool");
        std::fs::write(&path, "one").unwrap();
        let (first, stamp) = digest(&path).unwrap();
        assert_eq!(first, Digest::of(b"one"));
        assert!(stamp.is_current());
        std::fs::write(&path, "other").unwrap();
        assert!(!stamp.is_current());
        assert_eq!(digest(&path).unwrap().0, Digest::of(b"other"));
        std::fs::remove_file(&path).unwrap();
        assert!(!stamp.is_current());
    }
}
