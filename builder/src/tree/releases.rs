//! The releases that a revision descends from: where a search for a good end can look.

use std::collections::HashMap;

use git2::{ObjectType, Oid, Sort, TreeWalkMode, TreeWalkResult};

use super::error::TreeError;
use super::repository::{Repository, Revision, subject};

/// A tagged release in the history of a revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    /// The tag: "v6.1", "v6.1.42", "v6.2-rc3".
    pub name: String,
    /// Its commit.
    pub revision: Revision,
    /// Commits of the newer revision's history that it does not have.
    pub back: u32,
}

/// The releases before a revision.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Releases {
    /// Newest first; each is an ancestor of the one before it.
    pub list: Vec<Release>,
    /// Commits of the revision's history as far as it is here, itself included.
    pub history: u32,
    /// Whether the project began earlier: a shallow clone, or a first commit that is an import.
    pub begins_late: bool,
}

impl Repository {
    /// The releases that `tip` descends from, by tags such as `v6.1`, `v6.1.42` and `v6.2-rc3`.
    ///
    /// Candidates of a release are listed only where they are newer than every release: from there on
    /// they part the history no better than any of its commits. Reads the whole history: some seconds
    /// for Linux's.
    pub fn releases(&self, tip: &Revision) -> Result<Releases, TreeError> {
        let git = self.git()?;
        let tip = self.oid(&tip.commit)?;
        read(&git, tip).map_err(|source| self.error(source))
    }
}

/// Files of a first commit from which on it is an import: nobody writes so many at once.
const IMPORTED: usize = 1000;

/// Whether a tag is that of a release, or of a candidate for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Release,
    Candidate,
}

/// What a tag of that name stands for; `None` when it is no release's.
fn kind(name: &str) -> Option<Kind> {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (numbers, kind) = match name.strip_prefix('v')?.split_once("-rc") {
        Some((numbers, candidate)) => (numbers, digits(candidate).then_some(Kind::Candidate)?),
        None => (name.strip_prefix('v')?, Kind::Release),
    };
    (numbers.contains('.') && numbers.split('.').all(digits)).then_some(kind)
}

fn read(git: &git2::Repository, tip: Oid) -> Result<Releases, git2::Error> {
    // Of several tags of one commit a release's own comes first.
    let mut tags: HashMap<Oid, (Kind, String)> = HashMap::new();
    for name in git.tag_names(Some("v*"))?.iter().flatten().flatten() {
        let Some(kind) = kind(name) else { continue };
        let Ok(reference) = git.find_reference(&format!("refs/tags/{name}")) else { continue };
        let Ok(commit) = reference.peel_to_commit() else { continue };
        let tag = (kind, name.to_owned());
        let known = tags.entry(commit.id()).or_insert_with(|| tag.clone());
        *known = tag.min(known.clone());
    }
    tags.remove(&tip);
    if tags.is_empty() {
        return Ok(Releases::default());
    }
    let mut walk = git.revwalk()?;
    walk.set_sorting(Sort::TOPOLOGICAL | Sort::REVERSE)?;
    walk.push(tip)?;
    let mut positions: HashMap<Oid, u32> = HashMap::new();
    let mut parents: Vec<Vec<u32>> = Vec::new();
    let mut found: Vec<(u32, Oid)> = Vec::new();
    for id in walk {
        let id = id?;
        let at = parents.len() as u32;
        let known = |parent: Oid| positions.get(&parent).copied();
        parents.push(git.find_commit(id)?.parent_ids().filter_map(known).collect());
        positions.insert(id, at);
        if tags.contains_key(&id) {
            found.push((at, id));
        }
    }
    let history = parents.len() as u32;
    let first = positions.iter().filter(|(_, at)| parents[**at as usize].is_empty());
    let begins_late = git.is_shallow() || first.map(|(id, _)| *id).any(|id| is_import(git, id));
    let mut list = Vec::new();
    let (mut within, mut released) = (vec![true; parents.len()], false);
    for (at, id) in found.into_iter().rev() {
        let Some((kind, name)) = tags.get(&id) else { continue };
        if !within[at as usize] || (*kind == Kind::Candidate && released) {
            continue;
        }
        released |= *kind == Kind::Release;
        let (own, size) = ancestors(&parents, at);
        within = own;
        let commit = git.find_commit(id)?;
        list.push(Release {
            name: name.clone(),
            revision: Revision {
                commit: id.to_string(),
                tree: commit.tree_id().to_string(),
                subject: subject(&commit),
            },
            back: history - size,
        });
    }
    Ok(Releases { list, history, begins_late })
}

/// Whether a first commit holds what others have written before; so does one that can't be read.
fn is_import(git: &git2::Repository, commit: Oid) -> bool {
    let mut files = 0;
    let tree = git.find_commit(commit).and_then(|commit| commit.tree());
    let walked = tree.and_then(|tree| {
        tree.walk(TreeWalkMode::PreOrder, |_, entry| {
            files += usize::from(entry.kind() == Some(ObjectType::Blob));
            if files < IMPORTED { TreeWalkResult::Ok } else { TreeWalkResult::Abort }
        })
    });
    files >= IMPORTED || walked.is_err()
}

/// A commit and all its ancestors, and how many they are; parents come before their children.
fn ancestors(parents: &[Vec<u32>], of: u32) -> (Vec<bool>, u32) {
    let mut found = vec![false; parents.len()];
    found[of as usize] = true;
    let mut size = 0;
    for at in (0..=of as usize).rev() {
        if found[at] {
            size += 1;
            parents[at].iter().for_each(|parent| found[*parent as usize] = true);
        }
    }
    (found, size)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Fixture;

    #[test]
    fn only_releases_have_such_names() {
        for name in ["v6.1", "v6.1.42", "v2.6.39.4"] {
            assert_eq!(kind(name), Some(Kind::Release), "{name}");
        }
        assert_eq!(kind("v6.2-rc3"), Some(Kind::Candidate));
        for name in ["v6", "6.1", "v6.1-rt3", "v6.1.", "v6.2-rc", "vendor-6.1", "v6.1-rc1-dirty"] {
            assert_eq!(kind(name), None, "{name}");
        }
    }

    /// ```text
    /// v1.0 - v1.1-rc1 - v1.1 - main - v1.2-rc1 - merge - bad
    ///    \                \____ v1.1.1 (never merged)   /
    ///     \____ side ____________________________________/
    /// ```
    #[test]
    fn releases_of_the_line_count_what_lies_after_them() {
        let fixture = Fixture::new();
        let tag = |name: &str, revision: &Revision| {
            let object = fixture.git().revparse_single(&revision.commit).unwrap();
            fixture.git().tag_lightweight(name, &object, false).unwrap();
        };
        let id = |revision: &Revision| Oid::from_str(&revision.commit).unwrap();
        let first = fixture.commit("first", &[("a", "0")]);
        tag("v1.0", &first);
        let side = fixture.commit_on("side", &[id(&first)], &[]);
        let candidate = fixture.commit("candidate", &[("a", "1")]);
        tag("v1.1-rc1", &candidate);
        let release = fixture.commit("release", &[("a", "2")]);
        tag("v1.1", &release);
        tag("v1.1-rc9", &release);
        let stable = fixture.commit_on("stable", &[id(&release)], &[]);
        tag("v1.1.1", &stable);
        let main = fixture.commit("main", &[("a", "3")]);
        let next = fixture.commit("next", &[("a", "4")]);
        tag("v1.2-rc1", &next);
        tag("of-mine", &main);
        let merge = fixture.commit_on("merge", &[id(&next), id(&side)], &[]);
        let bad = fixture.commit_on("bad", &[id(&merge)], &[]);
        tag("v1.2", &bad);

        let repository = fixture.repository();
        let found = repository.releases(&bad).unwrap();
        let named: Vec<(&str, u32)> =
            found.list.iter().map(|it| (it.name.as_str(), it.back)).collect();
        // What the side branch brings is newer than everything it was not in.
        assert_eq!(named, [("v1.2-rc1", 3), ("v1.1", 5), ("v1.0", 7)]);
        assert_eq!((found.history, found.begins_late), (8, false));
        assert_eq!(found.list[1].revision, release);
        assert_eq!(repository.releases(&first).unwrap().list, []);
        std::fs::write(fixture.path().join("shallow"), format!("{}\n", first.commit)).unwrap();
        assert!(fixture.repository().releases(&bad).unwrap().begins_late);
    }

    #[test]
    fn a_first_commit_of_many_files_is_no_beginning() {
        let fixture = Fixture::new();
        let names: Vec<String> = (0..IMPORTED).map(|at| format!("file{at}")).collect();
        let files: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "0")).collect();
        let first = fixture.commit("import", &files);
        let object = fixture.git().revparse_single(&first.commit).unwrap();
        fixture.git().tag_lightweight("v1.0", &object, false).unwrap();
        let bad = fixture.commit("bad", &[("file0", "1")]);
        let found = fixture.repository().releases(&bad).unwrap();
        assert_eq!((found.list.len(), found.begins_late), (1, true));
    }
}
