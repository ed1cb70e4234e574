//! Looking for builds by what people have in hand.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::build_draft::PROVENANCE;
use crate::digest::Digest;
use crate::input::InputKey;
use crate::manifest::Manifest;
use crate::signature::{ImageId, SignatureKind};

/// Digits that a prefix must have: fewer say too little to be meant.
const SHORTEST: usize = 8;

/// The kinds of names that builds have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Field {
    /// A commit.
    Revision,
    /// A signature, of one kind or of any.
    Signature(Option<SignatureKind>),
    /// The GNU build id of `vmlinux`.
    BuildId,
    /// The input key.
    InputKey,
}

/// A name of builds, whole or a prefix of at least 8 digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    field: Option<Field>,
    digits: String,
}

/// A query that can't be asked, or has no single answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// Too few digits.
    #[error("'{0}' is too short to name a build: give at least {SHORTEST} digits")]
    TooShort(String),
    /// Something that is not a number in hexadecimal.
    #[error(
        "'{0}' does not name a build: expected hexadecimal digits of a revision, a signature, \
         a build id or an input key"
    )]
    NotHex(String),
    /// A prefix in front of the colon that means nothing.
    #[error(
        "'{0}:' is no kind of name: use revision, signature, image, code, syzkaller, \
         content, build-id or input"
    )]
    UnknownField(String),
    /// Several names begin like this.
    #[error("'{prefix}' is ambiguous: {}", .matches.join(", "))]
    Ambiguous {
        /// What was asked.
        prefix: String,
        /// The whole names, each with its kind, at most ten.
        matches: Vec<String>,
    },
}

impl Query {
    /// Reads digits, optionally behind the kind of name: `5e7a…`, `revision:5e7a…`,
    /// `signature:…` (any kind), `image:…`, `code:…`, `syzkaller:…`, `content:…`, `build-id:…`, `input:…`.
    pub fn parse(text: &str) -> Result<Self, QueryError> {
        let (field, digits) = match text.split_once(':') {
            Some((field, digits)) => (Some(parse_field(field)?), digits),
            None => (None, text),
        };
        Self::new(field, digits)
    }

    /// A query for names of one kind (of any kind without one).
    pub fn new(field: Option<Field>, digits: &str) -> Result<Self, QueryError> {
        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(QueryError::NotHex(digits.to_owned()));
        }
        if digits.len() < SHORTEST {
            return Err(QueryError::TooShort(digits.to_owned()));
        }
        Ok(Self { field, digits: digits.to_ascii_lowercase() })
    }

    /// The digits, lower-case.
    pub fn digits(&self) -> &str {
        &self.digits
    }

    /// Whether no kind of name was said.
    pub(crate) fn is_of_any_kind(&self) -> bool {
        self.field.is_none()
    }

    /// The kinds of names to look among.
    pub(crate) fn fields(&self) -> Vec<Field> {
        match self.field {
            Some(field) => vec![field],
            None => {
                vec![Field::Revision, Field::Signature(None), Field::BuildId, Field::InputKey]
            }
        }
    }

    /// Whether the query may mean an input key, and which.
    pub(crate) fn input_key(&self) -> Option<InputKey> {
        match self.field {
            None | Some(Field::InputKey) => self.digits.parse().ok().map(InputKey),
            Some(_) => None,
        }
    }
}

impl FromStr for Query {
    type Err = QueryError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Revision => "revision",
            Self::Signature(None) => "signature",
            Self::Signature(Some(kind)) => kind.name(),
            Self::BuildId => "build-id",
            Self::InputKey => "input",
        })
    }
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.field {
            Some(field) => write!(f, "{field}:{}", self.digits),
            None => f.write_str(&self.digits),
        }
    }
}

fn parse_field(text: &str) -> Result<Field, QueryError> {
    Ok(match text {
        "revision" => Field::Revision,
        "signature" => Field::Signature(None),
        "image" => Field::Signature(Some(SignatureKind::Image)),
        "code" => Field::Signature(Some(SignatureKind::Code)),
        "syzkaller" => Field::Signature(Some(SignatureKind::Syzkaller)),
        "content" => Field::Signature(Some(SignatureKind::Content)),
        "build-id" => Field::BuildId,
        "input" => Field::InputKey,
        other => return Err(QueryError::UnknownField(other.to_owned())),
    })
}

/// What planning needs to know of a build.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct BuildSummary {
    /// Its key.
    pub input_key: InputKey,
    /// The identity of its image; `None` when it does not compile.
    pub image: Option<ImageId>,
    /// Whether it compiles.
    pub built: bool,
    /// Wall time of the compile in seconds.
    pub seconds: f64,
    /// The closure (a blob) by which the request was proved to give this build; `None` when the
    /// build is of just this request's input. What it is worth, the builder knows.
    pub proof: Option<Digest>,
    /// The blob that says how the build came about, if it has one.
    pub provenance: Option<Digest>,
}

impl BuildSummary {
    /// Of a build that a request leads to, by a proof if there is one.
    pub fn of(build: &Manifest, proof: Option<Digest>) -> Self {
        Self {
            input_key: build.input_key,
            image: build.image(),
            built: build.is_built(),
            seconds: build.seconds,
            proof,
            provenance: build.artifact(PROVENANCE).map(|artifact| artifact.digest),
        }
    }
}

/// Which builds are listed; all of them by default.
#[derive(Clone, Debug, Default)]
pub struct BuildFilter {
    /// Those that a commit leads to, or several that begin like this.
    pub commit: Option<Query>,
    /// Those of the configuration, toolchain and recipe of a build.
    pub like: Option<InputKey>,
    /// Pinned ones only.
    pub pinned: bool,
    /// Only those that do not compile.
    pub failed: bool,
}

/// A build in a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ListedBuild {
    /// Its key.
    pub input_key: InputKey,
    /// The commit it was first built for. Of one that was pushed without one, [`Self::tree`].
    pub commit: String,
    /// The git tree that it was made from; of one that was pushed, digits of its content.
    pub tree: String,
    /// What builds of the same configuration, toolchain and recipe share.
    pub family: InputKey,
    /// The identity of its image; `None` when it does not compile, or has none.
    pub image: Option<ImageId>,
    /// Whether it compiles.
    pub built: bool,
    /// Wall time of the compile in seconds; 0 of one that was pushed.
    pub seconds: f64,
    /// When it was made or pushed, seconds since 1970.
    pub created: i64,
    /// When it was last made, pushed or asked for, likewise.
    pub last_use: i64,
    /// Commits that lead to it.
    pub commits: u64,
    /// Its files.
    pub files: u64,
    /// What they take as they are, in bytes: less is stored.
    pub size: u64,
    /// Whether it stays whatever a policy says.
    pub pinned: bool,
}

impl ListedBuild {
    /// Whether it was made elsewhere: nobody here knows how long that took.
    pub fn is_pushed(&self) -> bool {
        self.built && self.seconds == 0.0
    }

    /// The commit it was first built for, if anybody said it.
    pub fn told_commit(&self) -> Option<&str> {
        (self.commit != self.tree).then_some(&self.commit)
    }
}

/// A build with a closure, as far as a proof needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FamilyBuild {
    /// Its key.
    pub input_key: InputKey,
    /// The git tree that it was made from, hexadecimal.
    pub tree: String,
    /// The blob of its closure.
    pub closure: Digest,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_of_names() {
        for (text, field) in [
            ("abcdef01", None),
            ("revision:abcdef01", Some(Field::Revision)),
            ("signature:abcdef01", Some(Field::Signature(None))),
            ("syzkaller:ABCDEF01", Some(Field::Signature(Some(SignatureKind::Syzkaller)))),
            ("build-id:abcdef01", Some(Field::BuildId)),
            ("input:abcdef01", Some(Field::InputKey)),
        ] {
            let query = Query::parse(text).unwrap();
            assert_eq!((query.field, query.digits()), (field, "abcdef01"), "{text}");
            assert_eq!(query.to_string(), text.to_ascii_lowercase());
        }
    }

    #[test]
    fn what_can_not_be_asked() {
        use QueryError as E;
        assert_eq!(Query::parse("abcdef0"), Err(E::TooShort("abcdef0".into())));
        assert_eq!(Query::parse(""), Err(E::TooShort(String::new())));
        assert_eq!(Query::parse("v6.1-rc1"), Err(E::NotHex("v6.1-rc1".into())));
        assert_eq!(Query::parse("tree:abcdef01"), Err(E::UnknownField("tree".into())));
        assert_eq!(
            Query::parse("image:1' OR '1'='1").unwrap_err(),
            E::NotHex("1' OR '1'='1".into())
        );
    }
}
