//! What compilers and other tools read of the machine around them, and the places in which they look for it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::files::{self, Below};
use super::{ToolchainError, host, searched, tools};

/// Adds what the drivers read of the machine around them, and gives the places in which they looked.
pub(super) fn surroundings(
    driver: &Path,
    host_driver: &Path,
    parts: &mut BTreeMap<String, Option<PathBuf>>,
) -> Result<Vec<PathBuf>, ToolchainError> {
    let mut places = Vec::new();
    let compiler = searched::searched(driver, "c")?;
    let host = searched::searched(host_driver, "c")?;
    let specs = |searched: &searched::Searched, whose: &str| -> Vec<(String, Option<PathBuf>)> {
        let numbered = searched.files.iter().enumerate();
        numbered.map(|(n, path)| (format!("specs {whose}{n}"), Some(path.clone()))).collect()
    };
    parts.extend(specs(&compiler, ""));
    parts.extend(specs(&host, "host "));
    let of_host = |(name, path): (String, PathBuf)| (format!("host {name}"), Some(path));
    let headers = host::headers(&host.headers);
    parts.extend(headers.files.into_iter().map(of_host));
    places.extend(headers.places);
    places.extend(host.ignored.into_iter().chain(compiler.ignored));

    // Where programs, specs and libraries are looked for: a file that appears there may come first.
    places.extend(searched::folders(driver)?);
    places.extend(searched::folders(host_driver)?);
    if let Some(ld) = tools::look_up("ld") {
        let folders = searched::of_linker(&ld)?;
        let by_hand: Vec<PathBuf> =
            folders.into_iter().filter(|it| it.starts_with("/usr/local")).collect();
        parts.extend(host::libraries(&by_hand).into_iter().map(of_host));
        places.extend(by_hand);
        // (GNU binutils, bfd/plugin.c: beside the folder of the program.)
        let plugins = ld.with_file_name("").join("../lib/bfd-plugins");
        let named = |(name, path)| (format!("bfd-plugins/{name}"), Some(path));
        let Below { files, places: listed } = files::below(&plugins);
        parts.extend(files.into_iter().map(named));
        places.extend(listed);
    }
    if let Some(program) = tools::look_up("bison") {
        places.extend(skeletons(&program, parts)?);
    }
    if let Some(program) = tools::look_up("pkg-config") {
        let folders = searched::of_pkg_config(&program)?;
        parts.extend(host::described(&folders).into_iter().map(of_host));
        places.extend(folders);
    }

    // Plugins that a build makes for its compiler are C++ (Linux, scripts/gcc-plugins).
    let plugin = ask_driver(driver, "-print-file-name=plugin", &mut places)?;
    if let Some(folder) = plugin.map(|it| it.join("include")) {
        let headers = files::below(&folder);
        if let (false, Some(host)) = (headers.files.is_empty(), tools::look_up("g++")) {
            let searched = searched::searched(&host, "c++")?;
            let own = searched
                .headers
                .iter()
                .filter(|root| root.components().any(|it| it.as_os_str() == "c++"));
            for Below { files, places: listed } in own.map(|root| files::below(root)) {
                let named =
                    |path: PathBuf| (format!("host {}", path.to_string_lossy()), Some(path));
                parts.extend(files.into_iter().map(|(_, path)| named(path)));
                places.extend(listed);
            }
            places.extend(searched.headers.into_iter().chain(searched.ignored));
            places.extend(searched::folders(&host)?);
        }
        let named = |(name, path)| (format!("plugin/{name}"), Some(path));
        parts.extend(headers.files.into_iter().map(named));
        places.extend(headers.places);
    }
    Ok(places)
}

/// Adds what `bison` puts parsers together of, and gives the folders that were listed for it.
pub(super) fn skeletons(
    program: &Path,
    parts: &mut BTreeMap<String, Option<PathBuf>>,
) -> Result<Vec<PathBuf>, ToolchainError> {
    let Below { files, places } = files::below(&searched::of_bison(program)?);
    parts.extend(files.into_iter().map(|(name, path)| (format!("bison/{name}"), Some(path))));
    Ok(places)
}

/// Asks the compiler driver for one of its files. It repeats the bare name when it has none; then
/// the path decides, as it would for the driver. Where that may lead is added to the places.
pub(super) fn ask_driver(
    driver: &Path,
    question: &str,
    places: &mut Vec<PathBuf>,
) -> Result<Option<PathBuf>, ToolchainError> {
    let answer = files::output(Command::new(driver).arg(question), driver)?;
    let answer = PathBuf::from(answer.trim());
    if answer.is_absolute() {
        places.push(answer.clone());
        return Ok(answer.exists().then_some(answer));
    }
    let Some(name) = answer.to_str() else { return Ok(None) };
    places.extend(tools::candidates(name));
    Ok(tools::look_up(name))
}
