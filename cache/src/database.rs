//! Which database holds the index, evidence and journals.

use std::fmt;
use std::path::{Path, PathBuf};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// What stays as it is in the path of a URL.
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'.').remove(b'-').remove(b'_');

/// The database of a store.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Database {
    /// An SQLite file: for one machine.
    Sqlite(PathBuf),
    /// A PostgreSQL server, by its URL: for several machines that share a store.
    Postgres(String),
}

/// What is no address of a database.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseDatabaseError {
    /// Not one of the kinds that Kiln knows.
    #[error(
        "'{0}' is no database: give postgres://USER@HOST/NAME, or sqlite:///FILE \
         (without --database, the index is an SQLite file)"
    )]
    Scheme(String),
    /// An SQLite URL that names no absolute file.
    #[error("'{0}' does not name a file by its absolute path: write sqlite:///FILE")]
    NotAFile(String),
}

impl Database {
    /// Reads `postgres://…` (as libpq writes it) or `sqlite:///FILE` (percent-encoded).
    pub fn parse(text: &str) -> Result<Self, ParseDatabaseError> {
        let (scheme, rest) = text.split_once(':').unwrap_or(("", text));
        match scheme.to_ascii_lowercase().as_str() {
            "postgres" | "postgresql" if rest.starts_with("//") => {
                Ok(Self::Postgres(text.to_owned()))
            }
            "sqlite" => {
                let not_a_file = || ParseDatabaseError::NotAFile(text.to_owned());
                let path = rest.strip_prefix("//").unwrap_or(rest);
                let path = percent_decode_str(path).decode_utf8().map_err(|_| not_a_file())?;
                if !path.starts_with('/') || path.ends_with('/') {
                    return Err(not_a_file());
                }
                Ok(Self::Sqlite(PathBuf::from(path.as_ref())))
            }
            _ => Err(ParseDatabaseError::Scheme(text.to_owned())),
        }
    }

    /// Whether it is a file of this machine.
    pub(crate) fn is_file(&self) -> bool {
        matches!(self, Self::Sqlite(_))
    }

    /// The file that it is, if it is one.
    pub(crate) fn file(&self) -> Option<&Path> {
        match self {
            Self::Sqlite(path) => Some(path),
            Self::Postgres(_) => None,
        }
    }

    /// What the driver wants to hear.
    pub(crate) fn connect_url(&self) -> String {
        match self {
            Self::Sqlite(path) => {
                let path = path.to_string_lossy();
                format!("sqlite://{}?mode=rwc", utf8_percent_encode(&path, PATH))
            }
            Self::Postgres(url) => url.clone(),
        }
    }

    /// Whose disk it fills.
    pub(crate) fn place(&self) -> String {
        match self {
            Self::Sqlite(path) => path.parent().unwrap_or(Path::new("/")).display().to_string(),
            Self::Postgres(_) => self.to_string(),
        }
    }
}

/// Without password and options, which may hold one.
impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => path.display().fmt(f),
            Self::Postgres(url) => {
                let url = url.split(['?', '#']).next().unwrap_or_default();
                let (scheme, rest) = url.split_once("://").unwrap_or(("postgres", ""));
                let (who, place) = rest.rsplit_once('@').unwrap_or(("", rest));
                let user = who.split(':').next().unwrap_or_default();
                let at = if user.is_empty() { "" } else { "@" };
                write!(f, "{scheme}://{user}{at}{place}")
            }
        }
    }
}

/// Passwords don't belong into debug output either.
impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Database({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds() {
        let file = Database::parse("sqlite:///var/a%20b/index.sqlite").unwrap();
        assert_eq!(file, Database::Sqlite("/var/a b/index.sqlite".into()));
        assert_eq!(file.connect_url(), "sqlite:///var/a%20b/index.sqlite?mode=rwc");
        assert!(!Database::parse("postgres://u@h/kiln").unwrap().is_file());
        for text in ["", "index.sqlite", "mysql://h/x", "postgres:kiln", "s3://b/x"] {
            let wrong = Err(ParseDatabaseError::Scheme(text.into()));
            assert_eq!(Database::parse(text), wrong, "{text}");
        }
        for text in ["sqlite:relative", "sqlite://", "sqlite:///folder/"] {
            let wrong = Err(ParseDatabaseError::NotAFile(text.into()));
            assert_eq!(Database::parse(text), wrong, "{text}");
        }
    }

    #[test]
    fn passwords_are_never_said() {
        for (url, said) in [
            ("postgres://kiln:s3cret@db:5432/kiln", "postgres://kiln@db:5432/kiln"),
            ("postgres://kiln:s3@cret@db/kiln", "postgres://kiln@db/kiln"),
            ("postgresql:///kiln?host=/run/pg&password=s3cret", "postgresql:///kiln"),
        ] {
            let database = Database::parse(url).unwrap();
            assert_eq!(database.to_string(), said);
            assert!(!format!("{database:?}").contains("s3"), "{database:?}");
        }
    }
}
