//! Git repositories, made commit by commit.

use std::path::Path;

use git2::build::TreeUpdateBuilder;
use git2::{FileMode, Oid, Signature, Time};
use tempfile::TempDir;

use crate::tree::{Repository, Revision};

/// A bare repository in a folder of its own, removed with it.
pub(crate) struct Fixture {
    folder: TempDir,
    git: git2::Repository,
}

/// What a commit changes.
pub(crate) enum Edit<'a> {
    File(&'a str, &'a str),
    Script(&'a str, &'a str),
    /// Where it leads.
    Link(&'a str, &'a str),
    Remove(&'a str),
}

impl Fixture {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let git = git2::Repository::init_bare(folder.path()).unwrap();
        Self { folder, git }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn git(&self) -> &git2::Repository {
        &self.git
    }

    pub(crate) fn repository(&self) -> Repository {
        Repository::open(self.path()).unwrap()
    }

    /// Commits files upon HEAD.
    pub(crate) fn commit(&self, subject: &str, files: &[(&str, &str)]) -> Revision {
        let edits: Vec<Edit<'_>> =
            files.iter().map(|(path, content)| Edit::File(path, content)).collect();
        self.edit(subject, &edits)
    }

    /// Commits edits upon HEAD.
    pub(crate) fn edit(&self, subject: &str, edits: &[Edit<'_>]) -> Revision {
        let head = self.git.head().ok().and_then(|head| head.target());
        let parents: Vec<Oid> = head.into_iter().collect();
        let revision = self.commit_on(subject, &parents, edits);
        let id = Oid::from_str(&revision.commit).unwrap();
        self.git.reference("HEAD", id, true, "test").unwrap();
        revision
    }

    /// The text of a file in a revision.
    pub(crate) fn read(&self, revision: &Revision, path: &str) -> String {
        let tree = self.git.find_tree(Oid::from_str(&revision.tree).unwrap()).unwrap();
        let entry = tree.get_path(Path::new(path)).unwrap();
        let blob = self.git.find_blob(entry.id()).unwrap();
        String::from_utf8(blob.content().to_vec()).unwrap()
    }

    /// Commits edits upon the first of these parents; HEAD stays.
    pub(crate) fn commit_on(&self, subject: &str, parents: &[Oid], edits: &[Edit<'_>]) -> Revision {
        let parents: Vec<_> = parents.iter().map(|id| self.git.find_commit(*id).unwrap()).collect();
        let base = match parents.first() {
            Some(parent) => parent.tree().unwrap(),
            None => {
                let empty = self.git.treebuilder(None).unwrap().write().unwrap();
                self.git.find_tree(empty).unwrap()
            }
        };
        let mut update = TreeUpdateBuilder::new();
        for edit in edits {
            let mut put = |path: &str, content: &str, mode| {
                let blob = self.git.blob(content.as_bytes()).unwrap();
                update.upsert(path, blob, mode);
            };
            match edit {
                Edit::File(path, content) => put(path, content, FileMode::Blob),
                Edit::Script(path, content) => put(path, content, FileMode::BlobExecutable),
                Edit::Link(path, target) => put(path, target, FileMode::Link),
                Edit::Remove(path) => {
                    update.remove(path);
                }
            }
        }
        let tree = self.git.find_tree(update.create_updated(&self.git, &base).unwrap()).unwrap();
        let who = Signature::new("A. Tester", "tester@example.org", &Time::new(1_600_000_000, 0));
        let who = who.unwrap();
        let parents: Vec<_> = parents.iter().collect();
        let id = self.git.commit(None, &who, &who, subject, &tree, &parents).unwrap();
        Revision { commit: id.to_string(), tree: tree.id().to_string(), subject: subject.into() }
    }
}
