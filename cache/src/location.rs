//! Where a store is.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// The place of a store. Today: a folder of this machine.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Location {
    folder: PathBuf,
}

/// A place that this version can't keep a store in.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseLocationError {
    /// Nothing was given.
    #[error("the store's location is empty: give a folder, or file:///FOLDER")]
    Empty,
    /// A URL of another kind.
    #[error(
        "'{0}' is not a place for a store: give a folder, or file:///FOLDER \
         (another Kiln's address belongs to --remote)"
    )]
    Scheme(String),
    /// A `file:` URL with a host, or a relative path.
    #[error("'{0}' does not name an absolute folder of this machine: write file:///FOLDER")]
    NotLocal(String),
    /// Percent-encoding that can't be read.
    #[error("'{0}' has a broken percent-encoding")]
    Encoding(String),
}

impl Location {
    /// A folder, absolute or relative to the current one.
    pub fn folder(path: impl Into<PathBuf>) -> Self {
        Self { folder: path.into() }
    }

    /// Reads `DIR` or `file:///DIR` (percent-encoded, as URLs are).
    pub fn parse(text: &str) -> Result<Self, ParseLocationError> {
        if text.is_empty() {
            return Err(ParseLocationError::Empty);
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            return Ok(Self::folder(text));
        };
        if !scheme.eq_ignore_ascii_case("file") {
            return Err(ParseLocationError::Scheme(text.to_owned()));
        }
        let path = rest.strip_prefix("localhost").unwrap_or(rest);
        if !path.starts_with('/') {
            return Err(ParseLocationError::NotLocal(text.to_owned()));
        }
        percent_decode(path)
            .map(Self::folder)
            .ok_or_else(|| ParseLocationError::Encoding(text.to_owned()))
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.folder
    }
}

impl FromStr for Location {
    type Err = ParseLocationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.folder.display().fmt(f)
    }
}

/// `%41` to `A`; `None` when an escape is cut short, is no hexadecimal number, or the result is
/// not UTF-8.
fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let (high, low) = (rest.next()?, rest.next()?);
                let digit = |byte: u8| char::from(byte).to_digit(16);
                u8::try_from(digit(high)? * 16 + digit(low)?).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_and_file_urls() {
        for (text, folder) in [
            ("store", "store"),
            ("/var/lib/kiln", "/var/lib/kiln"),
            ("file:///var/lib/kiln", "/var/lib/kiln"),
            ("file://localhost/srv", "/srv"),
            ("file:///with%20space/%C3%A9", "/with space/é"),
        ] {
            assert_eq!(Location::parse(text).unwrap().path(), Path::new(folder), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        use ParseLocationError as E;
        assert_eq!(Location::parse(""), Err(E::Empty));
        assert!(matches!(Location::parse("s3://bucket/x"), Err(E::Scheme(_))));
        assert!(matches!(Location::parse("http://host"), Err(E::Scheme(_))));
        assert!(matches!(Location::parse("file://relative"), Err(E::NotLocal(_))));
        assert!(matches!(Location::parse("file:///a%zz"), Err(E::Encoding(_))));
        assert!(matches!(Location::parse("file:///a%4"), Err(E::Encoding(_))));
    }
}
