//! Who should hear of a commit: the people in it, and those whom the kernel's own
//! `scripts/get_maintainer.pl` names for the files that it changes.

mod people;
mod script;

use serde::Serialize;

use crate::tree::{Repository, TreeError};

/// Addresses for a mail about a commit. Each stands once: who is in `to` is not in `cc`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Recipients {
    /// Who made the commit: author and those who signed it off, in this order.
    pub to: Vec<String>,
    /// Who reviewed, tested or reported it, then maintainers, reviewers and lists of what it
    /// changes, in alphabetical order.
    pub cc: Vec<String>,
}

/// Why nobody can be named.
#[derive(Debug, thiserror::Error)]
pub enum RecipientsError {
    /// The commit can't be read.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The commit's tree has no such file.
    #[error("{commit} has no {file}, so nobody can be looked up for what it changes")]
    NoScript {
        /// The commit.
        commit: String,
        /// The missing file.
        file: &'static str,
    },
    /// No interpreter.
    #[error("scripts/get_maintainer.pl needs perl, which is not installed (Debian: perl)")]
    NoPerl,
    /// The script failed, or did not end.
    #[error("scripts/get_maintainer.pl of {commit} failed: {reason}")]
    Script {
        /// The commit.
        commit: String,
        /// Its exit and its first words.
        reason: String,
    },
    /// The folder it runs in can't be made.
    #[error("can't lay out {commit} for scripts/get_maintainer.pl: {source}")]
    Folder {
        /// The commit.
        commit: String,
        /// What the system says.
        source: std::io::Error,
    },
}

/// The recipients of a report about `commit` (any name that git knows).
///
/// Runs the commit's own script over the commit's own change, as a checkout of it would: in a
/// folder of its own that has what the script looks at, so that no work tree is needed and none is
/// touched. The script is told not to search git's history: whom it would guess from that changes
/// from day to day. The change of a merge is what it brings to its first parent.
///
/// Blocks, a second or so; at most a minute.
pub fn recipients(repository: &Repository, commit: &str) -> Result<Recipients, RecipientsError> {
    let (people, change) = people::of_commit(repository, commit)?;
    let named = script::maintainers(repository, commit, &change)?;
    Ok(join(people, named))
}

/// To and cc, each address once.
fn join(people: people::People, named: Vec<String>) -> Recipients {
    let mut to: Vec<String> = Vec::new();
    for address in people.makers {
        if !has(&to, &address) {
            to.push(address);
        }
    }
    let mut cc: Vec<String> = Vec::new();
    for address in people.others.into_iter().chain(named) {
        if !has(&to, &address) && !has(&cc, &address) {
            cc.push(address);
        }
    }
    cc.sort_by_key(|address| address.to_ascii_lowercase());
    Recipients { to, cc }
}

fn has(list: &[String], address: &str) -> bool {
    list.iter().any(|known| known.eq_ignore_ascii_case(address))
}

#[cfg(test)]
mod tests;
