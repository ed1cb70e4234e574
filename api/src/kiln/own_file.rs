//! The user's own files: what they are called where nobody says, and what is wrong with one.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::de::DeserializeOwned;

/// Reads a TOML file: the one that was named, which must be there, or `usual` in kiln's configuration
/// directory, if it is there. Gives its path with its content.
pub(crate) fn read<T: DeserializeOwned>(
    named: Option<&Path>,
    usual: &str,
) -> anyhow::Result<Option<(PathBuf, T)>> {
    let path = match named {
        Some(path) => path.to_owned(),
        None => match directories::ProjectDirs::from("", "", "kiln") {
            Some(folders) => folders.config_dir().join(usual),
            None => return Ok(None),
        },
    };
    match std::fs::read_to_string(&path) {
        Ok(text) => parse(&path, &text).map(|content| Some((path, content))),
        Err(error) if named.is_none() && error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("can't read '{}'", path.display())),
    }
}

/// The content of a file of this path.
pub(crate) fn parse<T: DeserializeOwned>(path: &Path, text: &str) -> anyhow::Result<T> {
    toml::from_str(text).with_context(|| format!("in '{}'", path.display()))
}
