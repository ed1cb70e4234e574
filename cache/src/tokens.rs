//! Tokens: who may read or write over HTTP. Stored hashed, scoped, revocable.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::digest::Digest;

/// What a token allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// Looking up and pulling.
    Read,
    /// Also adding builds. Nothing can be changed or removed over HTTP.
    Write,
}

impl Scope {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        [Self::Read, Self::Write].into_iter().find(|scope| scope.name() == name)
    }
}

/// A token, without its secret, which nobody knows but who holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// Names the token, for revoking it: 12 hexadecimal digits. Not secret.
    pub id: String,
    /// What it is for.
    pub name: String,
    /// What it allows.
    pub scope: Scope,
    /// Seconds since 1970.
    pub created: i64,
    /// Seconds since 1970 from which on it is not valid; `None`: it does not expire.
    pub expires: Option<i64>,
    /// Seconds since 1970 when it was revoked.
    pub revoked: Option<i64>,
}

impl Token {
    /// Whether it counts at a time, in seconds since 1970.
    pub fn is_valid_at(&self, now: i64) -> bool {
        self.revoked.is_none() && self.expires.is_none_or(|expires| now < expires)
    }
}

/// A new secret: `kiln_` and 64 hexadecimal digits, 244 bits of them random.
pub(crate) fn new_secret() -> String {
    format!("kiln_{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple())
}

/// What is kept of a secret. Secrets are long and random, so a fast hash is as good as a slow one.
pub(crate) fn hash(secret: &str) -> Digest {
    let mut hasher = blake3::Hasher::new_derive_key("kiln token v1");
    hasher.update(secret.as_bytes());
    hasher.finalize().into()
}
