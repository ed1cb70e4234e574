//! One git repository on this machine, and revisions in it.

use std::path::{Path, PathBuf};

use git2::{ErrorCode, Oid};
use serde::{Deserialize, Serialize};

use super::error::TreeError;

/// A git repository, by its folder.
///
/// Holds no open handle: libgit2's can't be shared between threads, and opening one costs well
/// under a millisecond.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repository {
    path: PathBuf,
}

/// A commit and the tree in it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Revision {
    /// Commit id, hexadecimal.
    pub commit: String,
    /// Tree id, hexadecimal: what is built.
    pub tree: String,
    /// First line of the commit's message.
    pub subject: String,
}

impl Repository {
    /// Opens a repository: a folder that holds `.git`, a worktree, or a bare repository. Folders
    /// above it are not searched, so that a mistyped path is not answered by an unrelated one.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, TreeError> {
        let path = path.as_ref();
        let not_one = |reason: String| TreeError::NotARepository { path: path.into(), reason };
        let absolute = std::path::absolute(path).map_err(|error| not_one(error.to_string()))?;
        let repository = Self { path: absolute };
        match repository.handle() {
            Ok(_) => Ok(repository),
            Err(error) if error.code() == ErrorCode::Owner => {
                Err(TreeError::NotOwned { path: repository.path })
            }
            Err(error) => Err(not_one(error.message().to_owned())),
        }
    }

    /// Where it lies, absolute.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The commit that a name stands for: an id or its beginning, a tag, a branch, `HEAD~3`, ….
    pub fn resolve(&self, revision: &str) -> Result<Revision, TreeError> {
        let git = self.git()?;
        let unknown = |hint: String| TreeError::UnknownRevision {
            revision: revision.to_owned(),
            path: self.path.clone(),
            hint,
        };
        let object = match git.revparse_single(revision) {
            Ok(object) => object,
            Err(error) if error.code() == ErrorCode::Ambiguous => {
                return Err(unknown("several objects begin so; give more digits".into()));
            }
            Err(_) => return Err(unknown(missing_hint(&git))),
        };
        let commit = object.peel_to_commit().map_err(|_| {
            let kind = object.kind().map_or("something else", |kind| kind.str());
            unknown(format!("it names a {kind}, not a commit"))
        })?;
        Ok(revision_of(&commit))
    }

    /// A handle for one thread.
    pub(crate) fn git(&self) -> Result<git2::Repository, TreeError> {
        self.handle().map_err(|source| self.error(source))
    }

    pub(crate) fn error(&self, source: git2::Error) -> TreeError {
        TreeError::Git { path: self.path.clone(), source }
    }

    /// Parses an id that this crate wrote itself, or that came from git.
    pub(crate) fn oid(&self, hex: &str) -> Result<Oid, TreeError> {
        Oid::from_str(hex).map_err(|source| self.error(source))
    }

    /// The tree of this id.
    pub(crate) fn tree<'git>(
        &self,
        git: &'git git2::Repository,
        hex: &str,
    ) -> Result<git2::Tree<'git>, TreeError> {
        git.find_tree(self.oid(hex)?).map_err(|error| self.error(error))
    }

    fn handle(&self) -> Result<git2::Repository, git2::Error> {
        git2::Repository::open(&self.path)
    }
}

/// A commit as a revision.
pub(super) fn revision_of(commit: &git2::Commit<'_>) -> Revision {
    Revision {
        commit: commit.id().to_string(),
        tree: commit.tree_id().to_string(),
        subject: subject(commit),
    }
}

/// First line of a commit's message; bytes that are not UTF-8 are replaced.
pub(super) fn subject(commit: &git2::Commit<'_>) -> String {
    String::from_utf8_lossy(commit.summary_bytes().unwrap_or_default()).into_owned()
}

/// Why a name may be unknown here, and what to try.
fn missing_hint(git: &git2::Repository) -> String {
    if git.is_empty().unwrap_or(false) {
        "the repository has no commits yet".into()
    } else if git.is_shallow() {
        "this is a shallow clone, so older commits and tags are missing; \
         run 'git fetch --unshallow --tags' in it"
            .into()
    } else {
        "no commit, tag or branch has that name here; check the spelling, or run \
         'git fetch --all --tags' in it"
            .into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Fixture;

    #[test]
    fn resolves_what_git_understands() {
        let fixture = Fixture::new();
        let first = fixture.commit("first", &[("a", "1")]);
        let second = fixture.commit("second", &[("a", "2")]);
        let object = fixture.git().revparse_single(&first.commit).unwrap();
        let who = git2::Signature::now("a", "b").unwrap();
        fixture.git().tag("v1", &object, &who, "an annotated tag", false).unwrap();
        let repository = fixture.repository();
        for (name, expected) in [
            (first.commit.as_str(), &first),
            (&first.commit[..12], &first),
            ("v1", &first),
            ("HEAD", &second),
            ("HEAD~1", &first),
        ] {
            assert_eq!(repository.resolve(name).unwrap(), *expected, "{name}");
        }
    }

    #[test]
    fn says_why_a_revision_is_unknown() {
        let fixture = Fixture::new();
        let repository = fixture.repository();
        let error = |name: &str| repository.resolve(name).unwrap_err().to_string();
        assert!(error("HEAD").contains("no commits yet"));
        let commit = fixture.commit("first", &[("a", "1")]);
        assert!(error("v9.9").contains("git fetch"), "{}", error("v9.9"));
        assert!(error(&commit.tree).contains("names a tree"));
        std::fs::write(fixture.path().join("shallow"), format!("{}\n", commit.commit)).unwrap();
        assert!(error("v9.9").contains("--unshallow"));
    }

    #[test]
    fn a_folder_inside_of_a_repository_is_not_one() {
        let fixture = Fixture::new();
        for path in [fixture.path().join("refs"), fixture.path().join("gone")] {
            let error = Repository::open(&path).unwrap_err();
            assert!(matches!(error, TreeError::NotARepository { .. }), "{error}");
        }
    }
}
