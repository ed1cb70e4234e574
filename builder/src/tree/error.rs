//! What can be wrong with a repository, a revision or a range.

use std::path::PathBuf;

/// An error of a git repository or of what was asked of it.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// The folder is no git repository (nor a bare one).
    #[error(
        "{path} is not a git repository: give the folder that holds '.git', or a bare repository \
         ({reason})"
    )]
    NotARepository {
        /// The folder that was given.
        path: PathBuf,
        /// What libgit2 says.
        reason: String,
    },
    /// The repository belongs to somebody else, and git does not trust it.
    #[error(
        "{path} is owned by another user: run \
         'git config --global --add safe.directory {path}' to trust it"
    )]
    NotOwned {
        /// The folder that was given.
        path: PathBuf,
    },
    /// No commit has this name.
    #[error("unknown revision '{revision}' in {path}: {hint}")]
    UnknownRevision {
        /// As given.
        revision: String,
        /// The repository.
        path: PathBuf,
        /// What to try.
        hint: String,
    },
    /// The good end does not lead to the bad one.
    #[error(
        "the good revision {good} is not an ancestor of the bad revision {bad}: {base}. \
         A bisection needs a good revision that the bad one was developed from"
    )]
    NotAnAncestor {
        /// Good commit.
        good: String,
        /// Bad commit.
        bad: String,
        /// The merge base and what to do with it, or that there is none.
        base: String,
    },
    /// Both ends are one commit.
    #[error("good and bad are the same commit {0}: nothing lies between them")]
    EmptyRange(String),
    /// The revision holds no kernel.
    #[error(
        "the tree of {commit} in {path} is not a Linux kernel: it has no {missing}. To build \
         another kind of tree, say how with --build-command"
    )]
    NotAKernel {
        /// The commit.
        commit: String,
        /// The repository.
        path: PathBuf,
        /// The file, or the line of a file, that is not there.
        missing: String,
    },
    /// A tree holds a name that could lead out of the checkout.
    #[error("tree {tree} holds an entry named '{name}', which can't be checked out safely")]
    UnsafeName {
        /// Tree id.
        tree: String,
        /// The name.
        name: String,
    },
    /// An object is missing or damaged, or the repository can't be read.
    #[error(
        "reading {path}: {source}. If objects are missing (a partial clone, an interrupted \
         fetch), run 'git fsck' and 'git fetch' there"
    )]
    Git {
        /// The repository.
        path: PathBuf,
        /// What libgit2 says.
        source: git2::Error,
    },
}
