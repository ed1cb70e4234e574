//! Commits that change nothing that runs, by what the builds on both sides of them are made of.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use kiln_cache::Digest;
use kiln_cache::manifest::Artifact;
use kiln_cache::signature::{CODE_VERSION, SignatureKind, Signatures};

use crate::graph::Graph;
use crate::plan::{Place, parents};

/// What builds are made of that were looked at.
pub(crate) struct Codes {
    graph: Arc<Graph>,
    codes: HashMap<Place, Digest>,
    /// What their code does not tell, of builds that were looked at for it; `None` where nobody can say.
    unseen: HashMap<Place, Option<Digest>>,
    /// Commits that may change a kernel in what neither shows.
    beyond: HashSet<u32>,
}

impl Codes {
    /// Of a range of which no build was looked at.
    pub(super) fn new(graph: Arc<Graph>) -> Self {
        let (codes, unseen, beyond) = (HashMap::new(), HashMap::new(), HashSet::new());
        Self { graph, codes, unseen, beyond }
    }

    /// Forgets what builds are made of; not what commits may change.
    pub(super) fn forget(&mut self) {
        self.codes.clear();
        self.unseen.clear();
    }

    /// Takes note of what the code of the build at a place is.
    pub(crate) fn learn_code(
        &mut self,
        place: Place,
        signatures: &Signatures,
        artifacts: &[Artifact],
    ) {
        if let Some(code) = code_of(signatures, artifacts) {
            self.codes.insert(place, code);
        }
    }

    /// Takes note of what the code of a build does not tell.
    pub(crate) fn learn_unseen(&mut self, place: Place, unseen: Option<Digest>) {
        self.unseen.insert(place, unseen);
    }

    /// The build at a place and those of its parents and children that have the same code, so that it
    /// matters what else they are made of; without those that were looked at for that.
    pub(crate) fn unlooked(&self, place: Place) -> Vec<Place> {
        let Some(code) = self.codes.get(&place) else { return Vec::new() };
        let is_parent = |parent: Place, child: Place| match child {
            Place::Base | Place::Fork(_) => false,
            Place::Commit(commit) => {
                !self.beyond.contains(&commit) && self.parents(commit).contains(&parent)
            }
        };
        let twins = self.codes.iter().filter(|(_, other)| *other == code).map(|(other, _)| *other);
        let mut near: Vec<Place> =
            twins.filter(|other| is_parent(*other, place) || is_parent(place, *other)).collect();
        if !near.is_empty() {
            near.push(place);
        }
        near.retain(|place| !self.unseen.contains_key(place));
        near
    }

    /// Takes note that a commit may change a kernel in what neither its code nor the rest shows.
    pub(crate) fn learn_beyond(&mut self, commit: u32) {
        self.beyond.insert(commit);
    }

    /// Parents of a commit, those before the range among them.
    pub(crate) fn parents(&self, commit: u32) -> Vec<Place> {
        parents(&self.graph, commit).collect()
    }

    /// Commits whose code is that of one of their parents, as is what code does not tell: nothing that
    /// runs differs, though line numbers may.
    pub(crate) fn unchanged(&self) -> Vec<u32> {
        let unseen = |place: &Place| self.unseen.get(place).copied().flatten();
        let same = |commit: u32, code: &Digest| {
            let Some(own) = unseen(&Place::Commit(commit)) else { return false };
            !self.beyond.contains(&commit)
                && self.parents(commit).iter().any(|parent| {
                    self.codes.get(parent) == Some(code) && unseen(parent) == Some(own)
                })
        };
        let mut list: Vec<u32> = self
            .codes
            .iter()
            .filter_map(|(place, code)| place.commit().filter(|commit| same(*commit, code)))
            .collect();
        list.sort_unstable();
        list
    }
}

/// What of a build decides how it runs, but for lines and addresses and for what is made of its
/// objects once they are linked: its code, and everything beside the kernel itself. `None` where the
/// code was signed by an older definition, which may have seen less.
fn code_of(signatures: &Signatures, artifacts: &[Artifact]) -> Option<Digest> {
    let code = signatures.get(SignatureKind::Code).filter(|it| it.version == CODE_VERSION)?;
    let beside = |name: &str| name.starts_with("modules/") || name == ".config";
    let mut text = code.hash.to_hex();
    for artifact in artifacts.iter().filter(|artifact| beside(&artifact.name)) {
        text += &format!("\n{} {}", artifact.digest, artifact.name);
    }
    Some(Digest::of(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::super::Knowledge;
    use super::*;
    use crate::belief::Find;
    use crate::title::Target;

    #[test]
    fn a_commit_with_the_code_of_a_parent_changes_nothing() {
        use kiln_cache::signature::Signature;
        // 0 - 1 - 3, and 0 - 2 - 3: a merge that keeps the code of its second parent.
        let graph = Graph::new(vec![vec![], vec![0], vec![0], vec![1, 2]]).unwrap();
        let mut knowledge = Knowledge::new(graph, Find::Cause);
        let codes = &mut knowledge.codes;
        let digest = |text: &str| kiln_cache::Digest::of(text.as_bytes());
        let code = |text: &str, module: &str| {
            let signature = Signature { version: CODE_VERSION, hash: digest(text) };
            let name = "modules/a.ko".to_owned();
            let module = Artifact { name, digest: digest(module), size: 1 };
            (Signatures([(SignatureKind::Code, signature)].into()), [module])
        };
        let learn = |codes: &mut Codes, place, text, module| {
            let (signatures, artifacts) = code(text, module);
            codes.learn_code(place, &signatures, &artifacts);
        };
        let base = Place::Base;
        let unseen = |codes: &mut Codes, place, text: &str| {
            codes.learn_unseen(place, Some(digest(text)));
        };
        learn(codes, Place::Base, "a", "m");
        learn(codes, Place::Commit(0), "a", "m");
        learn(codes, Place::Commit(1), "b", "m");
        learn(codes, Place::Commit(3), "c", "m");
        assert_eq!(codes.unchanged(), [0; 0], "nobody has looked at the rest");
        assert_eq!(codes.unlooked(Place::Commit(0)), [base, Place::Commit(0)]);
        assert_eq!(codes.unlooked(base), [Place::Commit(0), base]);
        assert_eq!(codes.unlooked(Place::Commit(1)), []);
        unseen(codes, base, "boot");
        assert_eq!(codes.unlooked(Place::Commit(0)), [Place::Commit(0)]);
        codes.learn_unseen(Place::Commit(0), None);
        assert_eq!(codes.unchanged(), [0; 0], "nobody can say");
        unseen(codes, Place::Commit(0), "another boot");
        assert_eq!(codes.unchanged(), [0; 0], "the boot image differs");
        unseen(codes, Place::Commit(0), "boot");
        assert_eq!(codes.unchanged(), [0]);
        for commit in [2, 3] {
            unseen(codes, Place::Commit(commit), "boot");
        }
        learn(codes, Place::Commit(2), "c", "n");
        assert_eq!(codes.unchanged(), [0], "a module differs");
        learn(codes, Place::Commit(2), "c", "m");
        assert_eq!(codes.unchanged(), [0, 3]);
        let target = Target::exactly("A").unwrap();
        assert_eq!(knowledge.problem(&target, 1).unchanged, [0, 3]);
        let codes = &mut knowledge.codes;
        codes.learn_beyond(0);
        assert_eq!(codes.unchanged(), [3]);

        let (mut signatures, artifacts) = code("a", "m");
        assert!(code_of(&signatures, &artifacts).is_some());
        signatures.0.get_mut(&SignatureKind::Code).unwrap().version -= 1;
        assert_eq!(code_of(&signatures, &artifacts), None, "an older definition saw less");
    }
}
