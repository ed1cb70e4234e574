//! Where a store is.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use percent_encoding::percent_decode_str;

use crate::database::Database;
use crate::objects::{Backend, BucketError};

/// The place of a store: where its objects are, and which database has its index.
#[derive(Clone, Debug)]
pub struct Location {
    place: Place,
    database: Option<Database>,
    local: Option<PathBuf>,
    cached: u64,
}

/// Where the objects are.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    /// In a folder of this machine.
    Folder(PathBuf),
    /// In a bucket.
    Bucket(Backend),
}

/// Bytes of a bucket's blobs that are kept on this machine, unless said otherwise.
const CACHED: u64 = 4 << 30;

/// A place that this version can't keep a store in.
#[derive(Debug, thiserror::Error)]
pub enum ParseLocationError {
    /// Nothing was given.
    #[error("the store's location is empty: give a folder, file:///FOLDER, or the URL of a bucket")]
    Empty,
    /// A `file:` URL with a host, or a relative path.
    #[error("'{0}' does not name an absolute folder of this machine: write file:///FOLDER")]
    NotLocal(String),
    /// Percent-encoding that can't be read.
    #[error("'{0}' has a broken percent-encoding")]
    Encoding(String),
    /// A URL of another kind, or a bucket that can't be opened.
    #[error(transparent)]
    Bucket(#[from] BucketError),
}

impl Location {
    /// A folder, absolute or relative to the current one.
    pub fn folder(path: impl Into<PathBuf>) -> Self {
        Self::new(Place::Folder(path.into()))
    }

    /// A bucket that was opened by hand.
    pub fn bucket(backend: Backend) -> Self {
        Self::new(Place::Bucket(backend))
    }

    fn new(place: Place) -> Self {
        Self { place, database: None, local: None, cached: CACHED }
    }

    /// Reads `DIR` or `file:///DIR` (percent-encoded, as URLs are), or the URL of a bucket that
    /// needs no options.
    pub fn parse(text: &str) -> Result<Self, ParseLocationError> {
        Self::parse_with(text, &[])
    }

    /// The same with options of buckets, as [`Backend::open`] takes them.
    pub fn parse_with(
        text: &str,
        options: &[(String, String)],
    ) -> Result<Self, ParseLocationError> {
        if text.is_empty() {
            return Err(ParseLocationError::Empty);
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            return Ok(Self::folder(text));
        };
        if !scheme.eq_ignore_ascii_case("file") {
            return Ok(Self::bucket(Backend::open(text, options)?));
        }
        let path = rest.strip_prefix("localhost").unwrap_or(rest);
        if !path.starts_with('/') {
            return Err(ParseLocationError::NotLocal(text.to_owned()));
        }
        percent_decode(path)
            .map(Self::folder)
            .ok_or_else(|| ParseLocationError::Encoding(text.to_owned()))
    }

    /// The same place with its index in a database of its own, instead of a file beside it.
    pub fn with_database(self, database: Database) -> Self {
        Self { database: Some(database), ..self }
    }

    /// The same place with a folder of this machine for what is kept beside a bucket: the index,
    /// when it has no other database, and copies of what was read, at most `cached` bytes of them.
    /// A bucket needs one; a folder has no use for it.
    pub fn with_local(self, folder: impl Into<PathBuf>, cached: u64) -> Self {
        Self { local: Some(folder.into()), cached, ..self }
    }

    /// Whether the objects are in a bucket.
    pub fn is_bucket(&self) -> bool {
        matches!(self.place, Place::Bucket(_))
    }

    /// Whether it is a folder that is not there: opening it would make one. A bucket always counts as
    /// there.
    pub fn is_absent(&self) -> bool {
        matches!(&self.place, Place::Folder(folder) if !folder.exists())
    }

    /// The database that was chosen, if any.
    pub fn database(&self) -> Option<&Database> {
        self.database.as_ref()
    }

    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    pub(crate) fn local(&self) -> Option<&Path> {
        self.local.as_deref()
    }

    pub(crate) fn cached(&self) -> u64 {
        self.cached
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
        match &self.place {
            Place::Folder(folder) => folder.display().fmt(f),
            Place::Bucket(backend) => f.write_str(&backend.name),
        }
    }
}

/// `%41` to `A`; `None` when an escape is cut short, is no hexadecimal number, or the result is
/// not UTF-8.
fn percent_decode(text: &str) -> Option<String> {
    let mut parts = text.split('%');
    parts.next();
    let whole = parts
        .all(|part| part.len() >= 2 && part.bytes().take(2).all(|digit| digit.is_ascii_hexdigit()));
    whole.then(|| percent_decode_str(text).decode_utf8().ok().map(String::from)).flatten()
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
            let location = Location::parse(text).unwrap();
            assert!(matches!(location.place(), Place::Folder(path) if path == Path::new(folder)));
            assert_eq!(location.to_string(), folder);
        }
    }

    #[test]
    fn buckets() {
        let options = [("AWS_REGION".to_owned(), "us-east-1".to_owned())];
        let location = Location::parse_with("s3://bucket/x/", &options).unwrap();
        assert!(location.is_bucket());
        assert_eq!(location.to_string(), "s3://bucket/x");
    }

    #[test]
    fn anything_else_is_refused() {
        use ParseLocationError as E;
        assert!(matches!(Location::parse(""), Err(E::Empty)));
        assert!(matches!(Location::parse("http://host"), Err(E::Bucket(BucketError::Url(_)))));
        assert!(matches!(Location::parse("file://relative"), Err(E::NotLocal(_))));
        assert!(matches!(Location::parse("file:///a%zz"), Err(E::Encoding(_))));
        assert!(matches!(Location::parse("file:///a%4"), Err(E::Encoding(_))));
    }
}
