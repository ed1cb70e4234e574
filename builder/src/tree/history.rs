//! The commits between an older and a newer revision, as a graph.

use std::collections::{HashMap, HashSet};

use git2::{Oid, Sort};
use serde::{Deserialize, Serialize};

use super::error::TreeError;
use super::repository::{Repository, Revision, revision_of, subject};

/// One commit of a range.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    /// Commit id, hexadecimal.
    pub id: String,
    /// Tree id, hexadecimal. Commits with one tree are one build.
    pub tree: String,
    /// Parents inside the range, as positions in [`History::commits`]; each is smaller than this
    /// commit's own. First parent first, as far as it is inside.
    pub parents: Vec<usize>,
    /// Parents outside the range: the older revision or ancestors of it.
    pub outside: Vec<String>,
    /// First line of the message.
    pub subject: String,
    /// Author as "Name <address>".
    pub author: String,
    /// When it was committed, seconds since 1970.
    pub time: i64,
}

/// Every commit that is reachable from `tip` and not from `base`: the suspects.
///
/// Side branches that forked off before the older end and were merged after it are inside, whatever
/// their dates say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// The older end; not one of the commits.
    pub base: Revision,
    /// The newer end; the last of the commits.
    pub tip: Revision,
    /// Parents before children.
    pub commits: Vec<Commit>,
    /// Where side branches forked off before the older end: the parents outside the range but for the
    /// older end itself, in the order of the commits that have them.
    pub forks: Vec<Revision>,
}

impl Commit {
    /// The commit as a revision to build.
    pub fn revision(&self) -> Revision {
        Revision { commit: self.id.clone(), tree: self.tree.clone(), subject: self.subject.clone() }
    }
}

impl Repository {
    /// Lists the commits between two revisions, given in any way git understands. Fails when `base`
    /// is not an ancestor of `tip`, or is `tip` itself.
    pub fn history(&self, base: &str, tip: &str) -> Result<History, TreeError> {
        let (base, tip) = (self.resolve(base)?, self.resolve(tip)?);
        let git = self.git()?;
        let (base_id, tip_id) = (self.oid(&base.commit)?, self.oid(&tip.commit)?);
        if base_id == tip_id {
            return Err(TreeError::EmptyRange(base.commit));
        }
        let descends =
            git.graph_descendant_of(tip_id, base_id).map_err(|source| self.error(source))?;
        if !descends {
            return Err(not_an_ancestor(&git, base_id, tip_id));
        }
        let commits = walk(&git, base_id, tip_id).map_err(|source| self.error(source))?;
        let forks = forks(&git, base_id, &commits).map_err(|source| self.error(source))?;
        Ok(History { base, tip, commits, forks })
    }
}

fn walk(git: &git2::Repository, base: Oid, tip: Oid) -> Result<Vec<Commit>, git2::Error> {
    let mut walk = git.revwalk()?;
    walk.set_sorting(Sort::TOPOLOGICAL | Sort::REVERSE)?;
    walk.push(tip)?;
    walk.hide(base)?;
    let mut positions: HashMap<Oid, usize> = HashMap::new();
    let mut commits = Vec::new();
    for id in walk {
        let id = id?;
        let commit = git.find_commit(id)?;
        let mut parents = Vec::new();
        let mut outside = Vec::new();
        for parent in commit.parent_ids() {
            match positions.get(&parent) {
                Some(&position) => parents.push(position),
                None => outside.push(parent.to_string()),
            }
        }
        let author = commit.author();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        positions.insert(id, commits.len());
        commits.push(Commit {
            id: id.to_string(),
            tree: commit.tree_id().to_string(),
            parents,
            outside,
            subject: subject(&commit),
            author: format!("{} <{}>", text(author.name_bytes()), text(author.email_bytes())),
            time: commit.time().seconds(),
        });
    }
    Ok(commits)
}

fn forks(
    git: &git2::Repository,
    base: Oid,
    commits: &[Commit],
) -> Result<Vec<Revision>, git2::Error> {
    let mut seen = HashSet::new();
    let mut forks = Vec::new();
    for parent in commits.iter().flat_map(|commit| &commit.outside) {
        let id = Oid::from_str(parent)?;
        if id != base && seen.insert(id) {
            forks.push(revision_of(&git.find_commit(id)?));
        }
    }
    Ok(forks)
}

fn not_an_ancestor(git: &git2::Repository, base: Oid, tip: Oid) -> TreeError {
    let why = match git.merge_base(base, tip) {
        Ok(fork) if fork == tip => {
            "it is a descendant of it; the older one comes first (a bisection's good end, which is the \
             newer one when a fix is looked for: --find fix)"
                .to_owned()
        }
        Ok(fork) => format!(
            "they fork off at their merge base {fork}, which can be given in its place (in a \
             bisection, if it behaves like the older end: test it)"
        ),
        Err(_) => {
            "they have no common history (a shallow clone, or unrelated branches?)".to_owned()
        }
    };
    TreeError::NotAnAncestor { base: base.to_string(), tip: tip.to_string(), why }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Fixture;

    fn id(revision: &Revision) -> Oid {
        Oid::from_str(&revision.commit).unwrap()
    }

    /// ```text
    /// root - fork - good - main - merge - bad
    ///            \__ side ________/
    /// ```
    #[test]
    fn side_branches_older_than_the_good_end_are_inside() {
        let fixture = Fixture::new();
        fixture.commit("root", &[("a", "0")]);
        let fork = fixture.commit("fork", &[("a", "1")]);
        let side = fixture.commit_on("side", &[id(&fork)], &[]);
        let good = fixture.commit("good", &[("a", "2")]);
        let main = fixture.commit("main", &[("a", "3")]);
        let merge = fixture.commit_on("merge", &[id(&main), id(&side)], &[]);
        let bad = fixture.commit_on("bad", &[id(&merge)], &[]);

        let history = fixture.repository().history(&good.commit, &bad.commit).unwrap();
        let names: Vec<&str> = history.commits.iter().map(|c| c.subject.as_str()).collect();
        let at = |name: &str| names.iter().position(|n| *n == name).unwrap();
        assert_eq!(names.len(), 4, "{names:?}");
        let commit = |name: &str| &history.commits[at(name)];
        assert_eq!(commit("merge").parents, [at("main"), at("side")]);
        assert_eq!(commit("bad").parents, [at("merge")]);
        assert_eq!(commit("main").outside, std::slice::from_ref(&good.commit));
        assert_eq!(commit("side").outside, std::slice::from_ref(&fork.commit));
        assert_eq!(history.forks, std::slice::from_ref(&fork));
        assert_eq!(at("bad"), 3);
        for (position, commit) in history.commits.iter().enumerate() {
            assert!(commit.parents.iter().all(|parent| *parent < position));
        }
        assert_eq!(commit("side").author, "A. Tester <tester@example.org>");
        assert_eq!(commit("main").revision(), main);
        assert_eq!((&history.base, &history.tip), (&good, &bad));
    }

    #[test]
    fn refuses_ends_that_do_not_fit() {
        let fixture = Fixture::new();
        let base = fixture.commit("base", &[("a", "0")]);
        let one = fixture.commit_on("one", &[id(&base)], &[]);
        let two = fixture.commit_on("two", &[id(&base)], &[]);
        let alone = fixture.commit_on("alone", &[], &[]);
        let error = |good: &Revision, bad: &Revision| {
            fixture.repository().history(&good.commit, &bad.commit).unwrap_err().to_string()
        };
        assert!(error(&one, &two).contains(&format!("merge base {}", base.commit)));
        assert!(error(&one, &base).contains("--find fix"));
        assert!(error(&alone, &one).contains("no common history"));
        assert!(error(&one, &one).contains("same commit"));
    }
}
