//! The toolchain: what compiles, links and generates, identified by its content.

mod around;
mod choice;
mod chosen;
mod error;
mod files;
mod host;
mod programs;
mod remembered;
mod searched;
mod stamp;
mod suits;
mod table;
mod tools;
mod unseen;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use kiln_cache::Digest;

use around::{ask_driver, surroundings};
pub use choice::{AUTO, AUTO_LLVM};
pub use chosen::choose_toolchain;
pub use error::ToolchainError;
use files::Below;
pub(crate) use files::digest as file_digest;
pub(crate) use programs::Programs;
use remembered::{Memory, Remembered};
use stamp::{Place, Stamp};
pub use suits::unsuited;
pub use table::{AutoRow, KernelRelease, Toolchains};
use tools::{Located, Need};
pub(crate) use tools::{look_up, package_of};

/// A compiler with everything that works beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Toolchain {
    /// Content id. See [`Toolchain::find`] for what it covers.
    pub id: Digest,
    /// Compiler and linker as a person would name them, in syzkaller's style:
    /// "gcc (Debian 12.2.0-14) 12.2.0, GNU ld (GNU Binutils for Debian) 2.40".
    pub name: String,
    /// What Kbuild is to call.
    pub(crate) programs: Programs,
    /// Full path of `make`.
    pub make: PathBuf,
    /// Where each tool was found, and the state of every file that the id covers.
    tools: Vec<Option<Located>>,
    files: Vec<Stamp>,
    /// Folders that were listed or searched, in which a file that comes could take another's place; and
    /// what else decides which files it consists of.
    places: Vec<Place>,
    /// Whether none of these changed while it was identified.
    is_steady: bool,
    /// Whether these are all that had a say in it.
    is_seen: bool,
}

/// How often a toolchain is asked that changes meanwhile. To install one takes longer, but the next look
/// asks again.
const ROUNDS: usize = 4;

impl Toolchain {
    /// Finds the tools of a Kbuild build and identifies them. `name`: "gcc", "gcc-11", "clang-14", a
    /// path, or "llvm", "llvm-14", "llvm:/folder" for clang with LLVM's linker and binutils.
    ///
    /// The id is BLAKE3 over (role, content) of: the compiler driver, the compiler proper, its own
    /// headers and support library, specs and configuration files that the driver reads; assembler, linker and the other binutils; the tools whose
    /// output goes into the image (`make`, shell, `bc`, `perl`, `awk`, `sed`, `bison`, `flex`,
    /// compressors, `pahole`, the coreutils of Kbuild's scripts, …); the host's own compiler; the
    /// headers, start files and libraries that host programs of the build are made with, from wherever
    /// the driver, the linker and `pkg-config` say that they look (`/usr/local`, too); the headers
    /// that plugins for the compiler are made with; the plugins that the linker loads by itself;
    /// bison's skeletons; and the shared libraries that any of them loads, with libelf, which objtool
    /// loads; and what the compiler says of its version, which Kconfig writes into the configuration:
    /// by another name for the same program (`gcc-12` for `gcc`) it says something else.
    /// Names of packages play no part, nor do paths but those of headers and of what was
    /// installed by hand.
    ///
    /// Not covered: modules of Perl and Python that scripts of a tree load from the machine.
    ///
    /// Fails with the name of Debian's package when something is missing that no build can do
    /// without; tools that only some configurations need count as "absent" in the id.
    pub fn find(name: &str) -> Result<Self, ToolchainError> {
        Self::of(Programs::of(name))
    }

    /// The same, without asking anybody where earlier processes found it and nothing was touched since that
    /// decides it (see [`Self::is_current`]). `folder`: where what they found is kept.
    pub fn find_known(name: &str, folder: &Path) -> Result<Self, ToolchainError> {
        let (memory, programs) = (Memory::of(folder), Programs::of(name));
        let before = memory.recall(&programs);
        if let Some(Remembered { toolchain, is_confirmed: true }) = before {
            return Ok(toolchain);
        }
        let begun = SystemTime::now();
        let found = Self::of(programs)?;
        if let Err(error) = memory.keep(&found, before.as_ref(), begun) {
            tracing::debug!(folder = %folder.display(), %error, "a toolchain is not remembered");
        }
        Ok(found)
    }

    /// Asks again where anything was touched while it was asked, or so shortly before that nobody could
    /// tell: its answers may be from before, and its stamps from after.
    fn of(programs: Programs) -> Result<Self, ToolchainError> {
        let mut found = Self::asked_once(&programs)?;
        for _ in 1..ROUNDS {
            if found.is_steady {
                break;
            }
            // What is being replaced is not there for a moment.
            let Ok(again) = Self::asked_once(&programs) else { continue };
            // Since the first was stamped, nothing changed.
            let is_steady = again.is_steady || again == found;
            found = Self { is_steady, ..again };
        }
        Ok(found)
    }

    fn asked_once(programs: &Programs) -> Result<Self, ToolchainError> {
        let begun = SystemTime::now();
        let tools = tools::look_up_all(programs);
        let needed = |name: &str| tools::look_up(name).ok_or_else(|| tools::missing(name));
        let driver = needed(programs.compiler())?;
        let mut parts: BTreeMap<String, Option<PathBuf>> = BTreeMap::new();
        let mut places = Vec::new();
        parts.insert("cc".into(), Some(driver.clone()));
        for (variable, program) in programs.iter().filter(|(variable, _)| *variable != "CC") {
            parts.insert(variable.into(), Some(needed(program)?));
        }
        let mut ask = |driver: &Path, question: &str| ask_driver(driver, question, &mut places);
        for part in ["cc1", "collect2", "lto1", "lto-wrapper"] {
            parts.insert(part.into(), ask(&driver, &format!("-print-prog-name={part}"))?);
        }
        // Host programs are compiled by `gcc` even when the kernel is not.
        let host_driver = tools::look_up("gcc").unwrap_or_else(|| driver.clone());
        for part in ["cc1", "cc1plus"] {
            let path = ask(&host_driver, &format!("-print-prog-name={part}"))?;
            parts.insert(format!("host {part}"), path);
        }
        for name in host::linked() {
            let path = ask(&host_driver, &format!("-print-file-name={name}"))?;
            parts.insert(format!("host {name}"), path);
        }
        let support = ask(&driver, "-print-libgcc-file-name")?;
        parts.insert("libgcc".into(), support);
        let headers = ask(&driver, "-print-file-name=include")?;
        // Assembler and linker by the name that Kbuild uses, which is the one in the path; the
        // driver's own choice is asked too, since it runs the assembler.
        parts.insert("driver's as".into(), ask(&driver, "-print-prog-name=as")?);
        parts.insert("driver's ld".into(), ask(&driver, "-print-prog-name=ld")?);
        if let Some(folder) = headers {
            let Below { files, places: listed } = files::below(&folder);
            let named = |(name, path)| (format!("include/{name}"), Some(path));
            parts.extend(files.into_iter().map(named));
            places.extend(listed);
        }
        places.extend(surroundings(&driver, &host_driver, &mut parts)?);
        for tool in tools::TOOLS {
            let found = tools::look_up(tool.name);
            if found.is_none() && tool.need == Need::Always {
                return Err(tools::missing(tool.name));
            }
            parts.insert(tool.name.into(), found);
        }
        let is_program = |role: &str| {
            let is_read = READ.iter().any(|it| role.starts_with(it));
            !is_read && !is_of_host_programs(role)
        };
        let run = parts.iter().filter(|(role, _)| is_program(role));
        let run: Vec<PathBuf> = run.filter_map(|(_, path)| path.clone()).collect();
        let libraries = files::libraries(&run)?;
        for (role, library) in files::by_name(libraries.found) {
            parts.insert(format!("library {role}"), Some(library));
        }
        places.extend(libraries.places);
        let linker = needed(programs.linker())?;
        let said = version_line(&driver)?;
        let name = format!("{said}, {}", version_line(&linker)?);
        let make = needed("make")?;
        places.sort_unstable();
        places.dedup();
        // (What a relative path means depends on the folder that Kiln was started in.)
        let is_seen = libraries.is_told
            && places.iter().all(|place| place.is_absolute())
            && unseen::answers_by_what_is_seen(&driver, &host_driver, &linker, &parts);
        let (id, files) = identify(&said, &parts)?;
        let places: Vec<Place> = places.into_iter().map(Place::of).collect();
        let (is_steady, programs) = (false, programs.clone());
        let mut found = Self { id, name, programs, make, tools, files, places, is_steady, is_seen };
        found.is_steady = found.lies_where_it_did() && found.is_settled(begun);
        Ok(found)
    }

    /// Whether nothing that it consists of was touched since some seconds before `then`.
    fn is_settled(&self, then: SystemTime) -> bool {
        self.files.iter().all(|file| file.is_settled(then))
            && self.tools.iter().flatten().all(|tool| tool.is_settled(then))
            && self.places.iter().all(|place| place.is_settled(then))
    }

    /// Whether the compiler is a gcc, by whatever name: anything that does not call itself clang.
    pub(crate) fn is_gcc(&self) -> bool {
        self.name.split(", ").next().is_some_and(|compiler| !compiler.contains("clang"))
    }

    /// Whether finding it again would give the same, told without reading a file: every tool is
    /// found where it was, no file that the id covers was touched, and nothing came or went in the
    /// folders that were searched for them. Takes some milliseconds. Never of one that kept changing while
    /// it was identified.
    pub fn is_current(&self) -> bool {
        self.lies_where_it_did() && self.is_untouched()
    }

    /// Whether every tool is found where it was, by the links that led there.
    fn lies_where_it_did(&self) -> bool {
        tools::look_up_all(&self.programs) == self.tools
    }

    /// Whether neither its files nor what decided which these are were touched since it was asked for.
    fn is_untouched(&self) -> bool {
        self.is_steady
            && self.places.iter().all(Place::is_current)
            && self.files.iter().all(Stamp::is_current)
    }

    /// Whether it is what its id says, and was since it was found: as [`Self::is_current`], but files that
    /// were touched are read, and of what nobody sees it is asked again. A new name for a file (a hard
    /// link), another mode or owner touch it, too. Where links to tools were changed it is not: they may
    /// have led elsewhere for a while.
    pub fn is_the_same(&self) -> Result<bool, ToolchainError> {
        if !self.lies_where_it_did() {
            return Ok(false);
        }
        let is_untouched = self.is_seen && self.is_untouched();
        Ok(is_untouched || Self::asked_once(&self.programs)?.id == self.id)
    }
}

/// How roles begin of what is read and not run.
const READ: [&str; 6] = ["libgcc", "include/", "specs ", "plugin/", "bfd-plugins/", "bison/"];

/// Whether a role is one of what host programs are made with, which is not run.
fn is_of_host_programs(role: &str) -> bool {
    role.strip_prefix("host ").is_some_and(|part| !matches!(part, "cc1" | "cc1plus"))
}

/// The id of these parts, and the state of their files.
fn identify(
    said: &str,
    parts: &BTreeMap<String, Option<PathBuf>>,
) -> Result<(Digest, Vec<Stamp>), ToolchainError> {
    let mut files = Vec::new();
    let mut hasher = blake3::Hasher::new_derive_key("kiln toolchain v5");
    hasher.update(&(said.len() as u64).to_le_bytes()).update(said.as_bytes());
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

fn version_line(tool: &Path) -> Result<String, ToolchainError> {
    let text = files::output(Command::new(tool).arg("--version"), tool)?;
    Ok(text.lines().next().unwrap_or_default().trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::around::skeletons;
    use super::*;
    use crate::place::place;

    #[test]
    fn the_id_is_stable_and_the_name_is_in_syzkallers_style() {
        let first = Toolchain::find("gcc").unwrap();
        assert_eq!(first, Toolchain::find("gcc").unwrap());
        assert!(first.is_current());
        let covered = |tool: &str| first.files.iter().any(|file| file.is_of(tool));
        assert!(["sort", "cut", "tr", "od", "stat"].into_iter().all(covered), "coreutils");
        assert!(
            ["stdio.h", "crt1.o", "libc_nonshared.a"].into_iter().all(covered),
            "host programs"
        );
        assert!(covered("liblto_plugin.so"), "the linker's plugins");
        assert!(covered("yacc.c") && covered("bison.m4"), "bison's skeletons");
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
        let id = |parts: BTreeMap<String, Option<PathBuf>>| identify("gcc 1", &parts).unwrap().0;
        let base = id(part("one", "compiler"));
        assert_eq!(base, id(part("two", "compiler")));
        assert_ne!(base, id(part("three", "compiler2")));
        assert_ne!(base, id(BTreeMap::from([("cc".to_owned(), None)])));
    }

    #[test]
    fn a_tool_that_is_only_touched_is_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let compiler = folder.path().join("cc");
        place(&compiler, b"#!/bin/sh\nexec gcc \"$@\"\n", 0o755).unwrap();
        let found = Toolchain::find(compiler.to_str().unwrap()).unwrap();
        assert!(found.is_current() && found.is_the_same().unwrap());
        std::fs::hard_link(&compiler, folder.path().join("another name")).unwrap();
        assert!(!found.is_current() && found.is_the_same().unwrap());
        std::fs::write(&compiler, "#!/bin/sh\nexec gcc -O1 \"$@\"\n").unwrap();
        assert!(!found.is_the_same().unwrap());
    }

    #[test]
    fn specs_that_the_driver_reads_are_part_of_the_id() {
        let folder = tempfile::tempdir().unwrap();
        let specs = folder.path().join("specs");
        let compiler = folder.path().join("cc");
        // With `-specs=`, gcc says that it reads them as of any other.
        let script = format!("#!/bin/sh\nexec gcc -specs={} \"$@\"\n", specs.display());
        place(&compiler, script.as_bytes(), 0o755).unwrap();
        let id = |text: &str| {
            std::fs::write(&specs, text).unwrap();
            let found = Toolchain::find(compiler.to_str().unwrap()).unwrap();
            assert!(found.is_current());
            found
        };
        let first = id("*kiln:\none\n\n");
        let second = id("*kiln:\ntwo\n\n");
        assert_ne!(first.id, second.id);
        assert!(!first.is_current() && second.is_current());
        assert_eq!(id("*kiln:\none\n\n").id, first.id);
    }

    #[test]
    fn what_parsers_are_made_of_is_part_of_the_id() {
        let folder = tempfile::tempdir().unwrap();
        let (bison, data) = (folder.path().join("bison"), folder.path().join("share"));
        let script =
            format!("#!/bin/sh\n[ \"$1\" = --print-datadir ] && echo {}\n", data.display());
        place(&bison, script.as_bytes(), 0o755).unwrap();
        let skeletons_of = |skeleton: &str| {
            std::fs::create_dir_all(data.join("skeletons")).unwrap();
            std::fs::write(data.join("skeletons/yacc.c"), skeleton).unwrap();
            let mut parts = BTreeMap::new();
            let folders = skeletons(&bison, &mut parts).unwrap();
            assert_eq!(folders, [data.clone(), data.join("skeletons")]);
            assert_eq!(parts.keys().collect::<Vec<_>>(), ["bison/skeletons/yacc.c"]);
            identify("gcc 1", &parts).unwrap().0
        };
        let base = skeletons_of("int yyparse(void)");
        assert_ne!(skeletons_of("int yyparse(int)"), base);
        assert_eq!(skeletons_of("int yyparse(void)"), base);
    }

    #[test]
    fn a_header_that_comes_into_a_nested_folder_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for nested in ["own/a/b", "plugin/include/config", "system/linux/can"] {
            std::fs::create_dir_all(at(nested)).unwrap();
        }
        std::fs::write(at("plugin/include/tree.h"), "").unwrap();
        let (own, plugin, system) = (at("own"), at("plugin"), at("system"));
        let (own, plugin, system) = (own.display(), plugin.display(), system.display());
        let script = format!(
            "#!/bin/sh\ncase \"$1\" in -print-file-name=include) echo {own};; \
             -print-file-name=plugin) echo {plugin};; *) exec gcc -isystem {system} \"$@\";; esac\n"
        );
        let compiler = at("cc");
        place(&compiler, script.as_bytes(), 0o755).unwrap();
        let find = || Toolchain::find(compiler.to_str().unwrap()).unwrap();

        for nested in ["own/a/b", "plugin/include/config"] {
            let found = find();
            assert!(found.is_current());
            std::fs::write(at(nested).join("stdio.h"), "").unwrap();
            assert!(!found.is_current(), "{nested}");
        }
        // Those of the host, were this its compiler.
        let gcc = look_up("gcc").unwrap();
        let places = surroundings(&gcc, &compiler, &mut BTreeMap::new()).unwrap();
        let places: Vec<Place> = places.into_iter().map(Place::of).collect();
        assert!(places.iter().all(Place::is_current));
        std::fs::write(at("system/linux/can/stdio.h"), "").unwrap();
        assert!(!places.iter().all(Place::is_current));
        // And of C++, which plugins are.
        let host = look_up("g++").unwrap();
        let roots = searched::searched(&host, "c++").unwrap().headers;
        let inner =
            roots.iter().map(|root| root.join("bits")).find(|it| it.join("list.tcc").exists());
        assert!(find().places.iter().any(|place| place.is_of(inner.as_deref().unwrap())));
    }

    #[test]
    fn what_decides_without_being_read_is_looked_at() {
        let found = Toolchain::find("gcc").unwrap();
        let looks = |path: &Path| found.places.iter().any(|place| place.is_of(path));
        let gcc = look_up("gcc").unwrap();
        let searched = searched::folders(&gcc).unwrap();
        assert!(searched.iter().any(|folder| folder.join("cc1").exists()));
        assert!(searched.iter().all(|folder| looks(folder)), "for cc1 and libraries");
        assert!(looks(Path::new("/etc/ld.so.cache")) && looks(Path::new("/etc/ld.so.preload")));
        let bison = searched::of_bison(&look_up("bison").unwrap()).unwrap();
        assert!(looks(&bison.join("skeletons")) && looks(&bison));
        let mut places = Vec::new();
        let none = ask_driver(&gcc, "-print-prog-name=kiln-none", &mut places).unwrap();
        assert_eq!(none, None);
        assert!(
            places.contains(&"/usr/local/bin/kiln-none".into()),
            "it would be taken: {places:?}"
        );
    }

    #[test]
    fn what_changes_while_it_is_asked_is_asked_again() {
        let folder = tempfile::tempdir().unwrap();
        let (compiler, asked) = (folder.path().join("cc"), folder.path().join("asked"));
        // Its version changes after the first answer, and nothing else tells of it.
        let script = format!(
            "#!/bin/sh\nif [ \"$1\" = --version ]; then echo >>{0}; cat {0}x* | head -1; \
             mv {0}x1 {0}x9 2>/dev/null; exit 0; fi\nexec gcc \"$@\"\n",
            asked.display()
        );
        place(&compiler, script.as_bytes(), 0o755).unwrap();
        std::fs::write(folder.path().join("askedx1"), "one\n").unwrap();
        std::fs::write(folder.path().join("askedx2"), "two\n").unwrap();
        let found = Toolchain::find(compiler.to_str().unwrap()).unwrap();
        assert!(found.name.starts_with("two, "), "{}", found.name);
        assert!(found.is_current());
        assert_eq!(std::fs::read(asked).unwrap().len(), 3);
    }

    #[test]
    fn one_that_never_rests_is_never_taken_for_the_same_unread() {
        let folder = tempfile::tempdir().unwrap();
        let compiler = folder.path().join("cc");
        place(&compiler, b"#!/bin/sh\ntouch \"$0\"\nexec gcc \"$@\"\n", 0o755).unwrap();
        let found = Toolchain::find(compiler.to_str().unwrap()).unwrap();
        assert!(!found.is_current() && found.is_the_same().unwrap());
    }

    #[test]
    fn the_path_that_a_link_leads_to_counts() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in ["one", "two"] {
            std::fs::create_dir(at(name)).unwrap();
        }
        place(&at("one/cc"), b"#!/bin/sh\nexec gcc \"$@\"\n", 0o755).unwrap();
        std::fs::hard_link(at("one/cc"), at("two/cc")).unwrap();
        std::os::unix::fs::symlink(at("one/cc"), at("cc")).unwrap();
        let found = Toolchain::find(at("cc").to_str().unwrap()).unwrap();
        assert!(found.is_current());
        std::fs::remove_file(at("cc")).unwrap();
        std::os::unix::fs::symlink(at("two/cc"), at("cc")).unwrap();
        assert!(!found.is_current(), "compilers look beside themselves for their parts");
        // And back: who knows what ran meanwhile.
        std::fs::remove_file(at("cc")).unwrap();
        std::os::unix::fs::symlink(at("one/cc"), at("cc")).unwrap();
        assert!(!found.is_the_same().unwrap());
    }

    #[test]
    fn a_missing_compiler_names_its_package() {
        let error = Toolchain::find("gcc-99").unwrap_err().to_string();
        assert!(error.contains("gcc-99") && error.contains("apt-get install"), "{error}");
        let error = Toolchain::find("llvm-99").unwrap_err().to_string();
        assert!(error.contains("apt-get install clang-99'"), "{error}");
    }
}
