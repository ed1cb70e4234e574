//! What compiler drivers and other tools read beside their own programs, by their own account.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::ToolchainError;
use super::files;

/// Lines by which drivers name a file that changes what they do: gcc's specs (GCC manual, "Spec
/// Files"), clang's configuration files.
const FILES: [&str; 2] = ["Reading specs from ", "Configuration file: "];
/// Around the folders in which headers are looked for; the first comes twice, once for each kind of
/// `#include`.
const BEGINS: &str = "search starts here:";
const ENDS: &str = "End of search list.";
/// Before a folder that would be searched if it were there, or were another one than it is.
const IGNORED: [&str; 2] = ["ignoring nonexistent directory \"", "ignoring duplicate directory \""];

/// What a driver reads for one language.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Searched {
    /// Specs and configuration files.
    pub(super) files: Vec<PathBuf>,
    /// Folders of headers that are there, in their order.
    pub(super) headers: Vec<PathBuf>,
    /// Folders of headers that are not, or that are one of those by another name.
    pub(super) ignored: Vec<PathBuf>,
}

/// Asks a driver, for `c` or `c++`.
pub(super) fn searched(driver: &Path, language: &str) -> Result<Searched, ToolchainError> {
    let mut command = Command::new(driver);
    command.args(["-v", "-E", "-x", language, "/dev/null"]);
    Ok(parse(&files::words(&mut command, driver)?))
}

fn parse(text: &str) -> Searched {
    let mut found = Searched::default();
    let mut in_list = false;
    for line in text.lines() {
        if let Some(file) = FILES.iter().find_map(|words| line.strip_prefix(words)) {
            found.files.push(file.trim().into());
        } else if let Some(folder) = IGNORED.iter().find_map(|words| line.strip_prefix(words)) {
            found.ignored.push(folder.trim_end_matches('"').into());
        } else if line.ends_with(BEGINS) {
            in_list = true;
        } else if line == ENDS {
            in_list = false;
        } else if in_list {
            found.headers.push(line.trim().into());
        }
    }
    found.headers.retain(|it| it.is_absolute());
    found
}

/// Folders in which a driver looks for the programs that it runs, and for start files, libraries and
/// specs, those that are not there included.
pub(super) fn folders(driver: &Path) -> Result<Vec<PathBuf>, ToolchainError> {
    let answer = files::output(Command::new(driver).arg("-print-search-dirs"), driver)?;
    Ok(parse_folders(&answer))
}

/// Lines "programs: =/a:/b" and "libraries: =/a:/b".
fn parse_folders(text: &str) -> Vec<PathBuf> {
    let lines = ["programs: =", "libraries: ="].into_iter();
    let lists = lines.filter_map(|begin| text.lines().find_map(|line| line.strip_prefix(begin)));
    lists.flat_map(|list| list.split(':')).filter(|it| !it.is_empty()).map(Into::into).collect()
}

/// Folders in which GNU ld looks by itself, after those that the driver gives it.
pub(super) fn of_linker(ld: &Path) -> Result<Vec<PathBuf>, ToolchainError> {
    let answer = files::output(Command::new(ld).arg("--verbose"), ld)?;
    let folders = answer.split("SEARCH_DIR(\"").skip(1).filter_map(|it| it.split_once('"'));
    Ok(folders.map(|(folder, _)| folder.trim_start_matches('=').into()).collect())
}

/// Folders in which `pkg-config` looks for descriptions of libraries, which give host programs their
/// flags.
pub(super) fn of_pkg_config(program: &Path) -> Result<Vec<PathBuf>, ToolchainError> {
    let mut ask = Command::new(program);
    let answer = files::output(ask.args(["--variable", "pc_path", "pkg-config"]), program)?;
    Ok(answer.trim().split(':').filter(|it| !it.is_empty()).map(Into::into).collect())
}

/// The folder in which `bison` has what parsers are put together of, and the macros for that: most of
/// the text of those that a kernel's build makes.
pub(super) fn of_bison(program: &Path) -> Result<PathBuf, ToolchainError> {
    let answer = files::output(Command::new(program).arg("--print-datadir"), program)?;
    Ok(answer.trim().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_drivers_say() {
        let text = "Using built-in specs.\nReading specs from /usr/lib/gcc/x/12/specs\n\
                    ignoring nonexistent directory \"/usr/local/include/x\"\n\
                    ignoring duplicate directory \"/usr/local/include\"\n\
                    #include \"...\" search starts here:\n#include <...> search starts here:\n \
                    /usr/lib/gcc/x/12/include\n /usr/include\nEnd of search list.\n /no\n\
                    Configuration file: /etc/clang.cfg\n";
        let path = PathBuf::from;
        let expected = Searched {
            files: vec![path("/usr/lib/gcc/x/12/specs"), path("/etc/clang.cfg")],
            headers: vec![path("/usr/lib/gcc/x/12/include"), path("/usr/include")],
            ignored: vec![path("/usr/local/include/x"), path("/usr/local/include")],
        };
        assert_eq!(parse(text), expected);
        let text = "install: /no/\nprograms: =/one/:/two/\nlibraries: =/two/:/three/\n";
        let expected = ["/one/", "/two/", "/two/", "/three/"];
        assert_eq!(parse_folders(text), expected.map(path));
    }
}
