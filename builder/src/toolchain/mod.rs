//! The toolchain: what compiles, links and generates, identified by its content.

mod error;
mod files;
mod tools;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use kiln_cache::Digest;

pub use error::ToolchainError;
use files::Stamp;
pub(crate) use files::digest as file_digest;
use tools::Need;
pub(crate) use tools::package_of;

/// A compiler with everything that works beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Toolchain {
    /// Content id. See [`Toolchain::find`] for what it covers.
    pub id: Digest,
    /// Compiler and linker as a person would name them, in syzkaller's style:
    /// "gcc (Debian 12.2.0-14) 12.2.0, GNU ld (GNU Binutils for Debian) 2.40".
    pub name: String,
    /// The compiler as it was asked for ("gcc", "gcc-11", a path).
    pub compiler: String,
    /// Full path of `make`.
    pub make: PathBuf,
    /// Where each tool was found, and the state of every file that the id covers.
    tools: Vec<Option<PathBuf>>,
    files: Vec<Stamp>,
}

impl Toolchain {
    /// Finds the tools of a Kbuild build and identifies them.
    ///
    /// The id is BLAKE3 over (role, content) of: the compiler driver, the compiler proper, its own
    /// headers and support library; assembler, linker and the other binutils; the tools whose
    /// output goes into the image (`make`, shell, `bc`, `perl`, `awk`, `sed`, `bison`, `flex`,
    /// compressors, `pahole`, the coreutils of Kbuild's scripts, …); the host's own compiler; and the shared libraries that any of them loads, with libelf,
    /// which objtool loads. Paths and names of packages play no part. Headers and libraries that
    /// only host programs of the build are compiled against are not covered.
    ///
    /// Fails with the name of Debian's package when something is missing that no build can do
    /// without; tools that only some configurations need count as "absent" in the id.
    pub fn find(compiler: &str) -> Result<Self, ToolchainError> {
        let driver = tools::look_up(compiler).ok_or_else(|| tools::missing(compiler))?;
        let mut parts: BTreeMap<String, Option<PathBuf>> = BTreeMap::new();
        parts.insert("cc".into(), Some(driver.clone()));
        for part in ["cc1", "collect2", "lto1"] {
            parts.insert(part.into(), ask_driver(&driver, &format!("-print-prog-name={part}"))?);
        }
        // Host programs are compiled by `gcc` even when the kernel is not.
        if let Some(host) = tools::look_up("gcc") {
            for part in ["cc1", "cc1plus"] {
                let path = ask_driver(&host, &format!("-print-prog-name={part}"))?;
                parts.insert(format!("host {part}"), path);
            }
        }
        let support = ask_driver(&driver, "-print-libgcc-file-name")?;
        parts.insert("libgcc".into(), support);
        let headers = ask_driver(&driver, "-print-file-name=include")?;
        for (name, path) in headers.iter().flat_map(|folder| files::below(folder)) {
            parts.insert(format!("include/{name}"), Some(path));
        }
        // Assembler and linker by the name that Kbuild uses, which is the one in the path; the
        // driver's own choice is asked too, since it runs the assembler.
        parts.insert("driver's as".into(), ask_driver(&driver, "-print-prog-name=as")?);
        parts.insert("driver's ld".into(), ask_driver(&driver, "-print-prog-name=ld")?);
        for tool in tools::TOOLS {
            let found = tools::look_up(tool.name);
            if found.is_none() && tool.need == Need::Always {
                return Err(tools::missing(tool.name));
            }
            parts.insert(tool.name.into(), found);
        }
        let is_program = |role: &str| role != "libgcc" && !role.starts_with("include/");
        let programs = parts.iter().filter(|(role, _)| is_program(role));
        let programs: Vec<PathBuf> = programs.filter_map(|(_, path)| path.clone()).collect();
        for library in files::libraries(&programs)? {
            let name = library.file_name().unwrap_or_default().to_string_lossy().into_owned();
            parts.insert(format!("library {name}"), Some(library));
        }
        let linker = tools::look_up("ld").ok_or_else(|| tools::missing("ld"))?;
        let name = format!("{}, {}", version_line(&driver)?, version_line(&linker)?);
        let make = tools::look_up("make").ok_or_else(|| tools::missing("make"))?;
        let (id, files) = identify(&parts)?;
        let compiler = compiler.to_owned();
        Ok(Self { id, name, make, files, tools: tools::look_up_all(&compiler), compiler })
    }

    /// Whether finding it again would give the same, told without reading a file: every tool is
    /// found where it was, and no file that the id covers was touched. Takes about a millisecond.
    pub fn is_current(&self) -> bool {
        tools::look_up_all(&self.compiler) == self.tools && self.files.iter().all(Stamp::is_current)
    }
}

/// The id of these parts, and the state of their files.
fn identify(
    parts: &BTreeMap<String, Option<PathBuf>>,
) -> Result<(Digest, Vec<Stamp>), ToolchainError> {
    let mut files = Vec::new();
    let mut hasher = blake3::Hasher::new_derive_key("kiln toolchain v2");
    for (role, path) in parts {
        hasher.update(&(role.len() as u64).to_le_bytes());
        hasher.update(role.as_bytes());
        match path {
            None => hasher.update(&[0]),
            Some(path) => {
                let (digest, stamp) = files::digest(path)?;
                files.push(stamp);
                hasher.update(&[1]).update(digest.as_bytes())
            }
        };
    }
    Ok((hasher.finalize().into(), files))
}

/// Asks the compiler driver for one of its files. It repeats the bare name when it has none; then
/// the path decides, as it would for the driver.
fn ask_driver(driver: &Path, question: &str) -> Result<Option<PathBuf>, ToolchainError> {
    let answer = files::output(Command::new(driver).arg(question), driver)?;
    let answer = PathBuf::from(answer.trim());
    if answer.is_absolute() {
        return Ok(answer.exists().then_some(answer));
    }
    Ok(answer.to_str().and_then(tools::look_up))
}

fn version_line(tool: &Path) -> Result<String, ToolchainError> {
    let text = files::output(Command::new(tool).arg("--version"), tool)?;
    Ok(text.lines().next().unwrap_or_default().trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_is_stable_and_the_name_is_in_syzkallers_style() {
        let first = Toolchain::find("gcc").unwrap();
        assert_eq!(first, Toolchain::find("gcc").unwrap());
        assert!(first.is_current());
        let covered = |tool: &str| first.files.iter().any(|file| file.is_of(tool));
        assert!(["sort", "cut", "tr", "od", "stat"].into_iter().all(covered), "coreutils");
        let (compiler, linker) = first.name.split_once(", ").unwrap();
        assert!(compiler.contains("gcc") || compiler.contains("GCC"), "{compiler}");
        assert!(linker.contains("ld"), "{linker}");
    }

    #[test]
    fn content_decides_and_not_the_path() {
        let folder = tempfile::tempdir().unwrap();
        let part = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            BTreeMap::from([("cc".to_owned(), Some(path))])
        };
        let id = |parts: BTreeMap<String, Option<PathBuf>>| identify(&parts).unwrap().0;
        let base = id(part("one", "compiler"));
        assert_eq!(base, id(part("two", "compiler")));
        assert_ne!(base, id(part("three", "compiler2")));
        assert_ne!(base, id(BTreeMap::from([("cc".to_owned(), None)])));
    }

    #[test]
    fn a_missing_compiler_names_its_package() {
        let error = Toolchain::find("gcc-99").unwrap_err().to_string();
        assert!(error.contains("gcc-99") && error.contains("apt-get install"), "{error}");
    }
}
