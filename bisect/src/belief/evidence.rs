//! What was run, as the posterior takes it.

use serde::{Deserialize, Serialize};

use crate::graph::Graph;

/// Runs of one image under the bisection's test.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Runs that showed the target crash.
    pub crashes: u32,
    /// Runs that ended well.
    pub clean: u32,
    /// Runs that say nothing of the target but something of the image: other titles, boot
    /// failures. Faults of the host are no runs of an image.
    pub censored: u32,
}

impl Counts {
    /// Runs that say something.
    pub fn informative(&self) -> u32 {
        self.crashes + self.clean
    }

    /// Whether so many runs said nothing that more are not worth making: fewer than one in `patience`
    /// said anything.
    pub fn in_vain(&self, patience: u32) -> bool {
        self.total() >= patience.saturating_mul(self.informative() + 1)
    }

    /// These runs and others.
    pub fn and(self, other: &Self) -> Self {
        Self {
            crashes: self.crashes + other.crashes,
            clean: self.clean + other.clean,
            censored: self.censored + other.censored,
        }
    }

    /// All runs.
    pub fn total(&self) -> u32 {
        self.crashes + self.clean + self.censored
    }
}

/// Which change between an older and a newer end is sought. Everything else is the same for both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Find {
    /// The commit that brought the crash: a revision is bad when it contains that commit.
    #[default]
    Cause,
    /// The commit that ended the crash: a revision is bad when it does not contain that commit.
    /// (Provided that it contains the bug: who asks leaves out revisions of which that isn't known.)
    Fix,
}

impl Find {
    /// Whether a revision is bad, by whether it contains the commit that is sought. The older end
    /// contains no commit of the range.
    pub fn bad(self, contains: bool) -> bool {
        contains == (self == Self::Cause)
    }
}

/// All that the posterior depends on, beside the model.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'a> {
    /// The range.
    pub graph: &'a Graph,
    /// For each commit the image that it gives, an index into `counts`, where known.
    pub images: &'a [Option<u32>],
    /// The older end's image, where known.
    pub base: Option<u32>,
    /// The images of the graph's fork points, where known. What they show says nothing of the commits
    /// of the range, none of which they contain; but what gives the same image is as good.
    pub forks: &'a [Option<u32>],
    /// What is sought.
    pub find: Find,
    /// Commits known to change nothing that runs, by other means than equal images.
    pub unchanged: &'a [u32],
    /// Commits that change nothing which a build at hand reads: hardly one of them is the one.
    pub untouched: &'a [u32],
    /// Commits that change files of the functions that crashed: the first suspects.
    pub blamed: &'a [u32],
    /// What was seen of each image.
    pub counts: &'a [Counts],
}

impl Evidence<'_> {
    /// Whether an image is known to contain no commit of the range.
    pub(super) fn is_from_before(&self, image: u32) -> bool {
        self.base == Some(image) || self.forks.contains(&Some(image))
    }
}

/// For each commit the tested images that contain it, and how it stands.
pub(super) struct Seen {
    /// Images with informative runs, in the order of their bits.
    pub(super) tested: Vec<u32>,
    /// Words of bits a commit.
    pub(super) words: usize,
    /// `words` words for each commit: bit set when the image has the commit in its history.
    pub(super) bits: Vec<u64>,
    /// How each commit stands before any run.
    pub(super) standing: Vec<Standing>,
}

/// How a commit stands before any run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Standing {
    /// As most do.
    Plain,
    /// It changes a file of the functions that crashed.
    Blamed,
    /// It changes nothing that a build at hand reads.
    Untouched,
    /// It is in the history of some but not all revisions of one image, or changes nothing.
    Splits,
}

impl Seen {
    pub(super) fn new(evidence: &Evidence<'_>) -> Self {
        let n = evidence.graph.len();
        let mut members: Vec<Vec<u32>> = vec![Vec::new(); evidence.counts.len()];
        for (commit, image) in evidence.images.iter().enumerate() {
            if let Some(list) = image.and_then(|i| members.get_mut(i as usize)) {
                list.push(commit as u32);
            }
        }
        let tested: Vec<u32> = (0..members.len() as u32)
            .filter(|i| {
                evidence.counts[*i as usize].informative() > 0
                    && (!members[*i as usize].is_empty() || evidence.base == Some(*i))
            })
            .collect();
        let words = tested.len().div_ceil(64).max(1);
        let mut bits = vec![0u64; words * n];
        let mut sweep = vec![0u64; n];
        for word in 0..words {
            sweep.fill(0);
            for (bit, image) in tested.iter().skip(word * 64).take(64).enumerate() {
                for commit in &members[*image as usize] {
                    sweep[*commit as usize] |= 1 << bit;
                }
            }
            evidence.graph.carry_to_ancestors(&mut sweep);
            for (commit, own) in sweep.iter().enumerate() {
                bits[commit * words + word] = *own;
            }
        }
        let split = splits(evidence, &members, &mut sweep);
        let mut standing = vec![Standing::Plain; n];
        let mut mark = |commit: usize, what: Standing| standing[commit] = what;
        evidence.blamed.iter().for_each(|commit| mark(*commit as usize, Standing::Blamed));
        evidence.untouched.iter().for_each(|commit| mark(*commit as usize, Standing::Untouched));
        evidence.unchanged.iter().for_each(|commit| mark(*commit as usize, Standing::Splits));
        (0..n).filter(|commit| split[*commit]).for_each(|commit| mark(commit, Standing::Splits));
        Self { tested, words, bits, standing }
    }

    pub(super) fn of(&self, commit: usize) -> &[u64] {
        &self.bits[commit * self.words..(commit + 1) * self.words]
    }
}

/// Marks commits that are in the history of some but not all revisions of one image.
fn splits(evidence: &Evidence<'_>, members: &[Vec<u32>], sweep: &mut [u64]) -> Vec<bool> {
    let graph = evidence.graph;
    let mut split = vec![false; graph.len()];
    let mut chunk = Chunk::default();
    for (image, list) in members.iter().enumerate() {
        if evidence.is_from_before(image as u32) {
            // No commit of the range is in the older end's history, or in a fork point's: each that is in
            // the history of a twin of it is split off.
            sweep.fill(0);
            list.iter().for_each(|c| sweep[*c as usize] = 1);
            graph.carry_to_ancestors(sweep);
            split.iter_mut().zip(sweep.iter()).for_each(|(s, bits)| *s |= *bits != 0);
            continue;
        }
        // One bit a revision is exact; long lists go in pieces that overlap in one revision.
        let mut rest = list.as_slice();
        while rest.len() > 1 {
            if chunk.seeds.len() > 62 {
                chunk.mark(graph, sweep, &mut split);
                chunk = Chunk::default();
            }
            let take = rest.len().min(64 - chunk.seeds.len());
            chunk.add(&rest[..take]);
            rest = &rest[take - 1..];
        }
    }
    chunk.mark(graph, sweep, &mut split);
    split
}

/// Up to 64 revisions, a bit each; those of one image lie side by side.
#[derive(Default)]
struct Chunk {
    seeds: Vec<u32>,
    /// Bits whose next higher bit is a revision of the same image.
    paired: u64,
}

impl Chunk {
    fn add(&mut self, list: &[u32]) {
        for (i, commit) in list.iter().enumerate() {
            if i + 1 < list.len() {
                self.paired |= 1 << self.seeds.len();
            }
            self.seeds.push(*commit);
        }
    }

    /// Marks commits whose descendants are some but not all of an image's revisions: then two
    /// neighbouring bits of that image differ.
    fn mark(&self, graph: &Graph, sweep: &mut [u64], split: &mut [bool]) {
        if self.seeds.is_empty() {
            return;
        }
        sweep.fill(0);
        for (bit, commit) in self.seeds.iter().enumerate() {
            sweep[*commit as usize] |= 1 << bit;
        }
        graph.carry_to_ancestors(sweep);
        for (s, bits) in split.iter_mut().zip(sweep.iter()) {
            *s |= (bits ^ (bits >> 1)) & self.paired != 0;
        }
    }
}
