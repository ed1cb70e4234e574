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
    /// The older end does not lead to the newer one.
    #[error(
        "{base} is not an ancestor of {tip}: {why}. A bisection goes from an older revision to one \
         that was developed from it"
    )]
    NotAnAncestor {
        /// The commit given as the older end.
        base: String,
        /// The commit given as the newer end.
        tip: String,
        /// The merge base and what to do with it, or that there is none.
        why: String,
    },
    /// Both ends are one commit.
    #[error("both ends are the same commit {0}: nothing lies between them")]
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
