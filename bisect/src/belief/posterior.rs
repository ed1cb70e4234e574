//! From counts to probabilities.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::graph::Graph;

use super::evidence::{Evidence, Find, Seen, Standing};
use super::model::Model;
use super::older::Older;
use super::rate::{POINTS, Rate, RateGrid};

/// What is believed after the runs. All probabilities add up to one over `commits`, `older` and
/// `not_reproducible`.
#[derive(Clone, Debug)]
pub struct Posterior {
    /// For each commit the probability that it is the one that is sought.
    pub commits: Vec<f64>,
    /// Probability that all revisions are bad, the good end too: the bug is older than it, or, when
    /// the fix is sought, was not fixed up to it.
    pub older: f64,
    /// Probability that the target does not show on the bad end at all.
    pub not_reproducible: f64,
    /// For each commit the probability that its revision is bad.
    pub bad: Vec<f64>,
    /// The same for the older end.
    pub bad_base: f64,
    /// For each fork point the probability that it is bad, by its own runs alone: what is told of the
    /// range does not tell whether a branch was bad before.
    pub forks: Vec<f64>,
    /// How often a bad kernel crashes, given that there is one.
    pub rate: Rate,
    /// The runs contradict every commit: a bug that was reverted and came back, two bugs of one
    /// title, or images taken for equal that are not.
    pub contradiction: bool,
    if_older: IfOlder,
    joint: Joint,
    seen: Vec<u64>,
    words: usize,
    tested: Vec<u32>,
}

/// The smallest set that holds a share of the posterior.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Credible {
    /// Commits and their probabilities, most probable first.
    pub commits: Vec<(u32, f64)>,
    /// Probability that all revisions are bad, when the set needs it.
    pub older: Option<f64>,
    /// Probability of "not reproducible", when the set needs it.
    pub not_reproducible: Option<f64>,
    /// What the whole set holds.
    pub share: f64,
}

/// Probability, by what revisions have from before the range, that they are bad should the bug be older;
/// empty where all are.
#[derive(Clone, Debug)]
struct IfOlder(Vec<f64>);

impl IfOlder {
    fn bad(&self, graph: &Graph, commit: u32) -> f64 {
        self.0.get(graph.origin(commit) as usize).copied().unwrap_or(1.0)
    }
}

impl Credible {
    /// Adds commits with their probabilities, where they are not in it.
    pub(crate) fn add(&mut self, commits: impl Iterator<Item = (u32, f64)>) {
        for (commit, share) in commits {
            if self.commits.iter().all(|(known, _)| *known != commit) {
                self.commits.push((commit, share));
                self.share += share;
            }
        }
    }
}

/// Masses by rate. Commits that the same tested images contain share theirs.
#[derive(Clone, Debug)]
struct Joint {
    group: Vec<u32>,
    mass: Vec<[f64; POINTS]>,
    older: [f64; POINTS],
    /// The rates themselves, and their masses over all commits and `older`.
    rates: [f64; POINTS],
    by_rate: [f64; POINTS],
}

impl Posterior {
    /// Weighs every hypothesis by the runs.
    ///
    /// `evidence.images` has one entry a commit; images beyond `evidence.counts` are taken as
    /// never run.
    pub fn new(evidence: &Evidence<'_>, model: &Model) -> Self {
        Self::with_grid(evidence, model, &RateGrid::new(model))
    }

    pub(crate) fn with_grid(evidence: &Evidence<'_>, model: &Model, grid: &RateGrid) -> Self {
        let seen = Seen::new(evidence);
        let counts: Vec<_> = seen.tested.iter().map(|i| &evidence.counts[*i as usize]).collect();
        // Relative to "every tested image is good", each bad image multiplies by a ratio; one that
        // is also the older end's, or a fork point's, contains no commit, whichever that is.
        let ratio: Vec<[f64; POINTS]> = counts
            .iter()
            .map(|c| {
                let good = grid.ln_good(c);
                grid.ln_bad(c).map(|bad| bad - good)
            })
            .collect();
        let from_before: Vec<bool> =
            seen.tested.iter().map(|image| evidence.is_from_before(*image)).collect();
        let (group, keys) = groups(&seen);
        let weights = Weights::new(model, &seen.standing);
        let mut ln: Vec<[f64; POINTS]> = keys
            .iter()
            .map(|(at, standing)| {
                let mut sum = [weights.ln(*standing); POINTS];
                let own = seen.of(*at as usize);
                for (i, r) in ratio.iter().enumerate() {
                    let contains = own[i / 64] >> (i % 64) & 1 == 1 && !from_before[i];
                    if evidence.find.bad(contains) {
                        (0..POINTS).for_each(|k| sum[k] += r[k]);
                    }
                }
                sum
            })
            .collect();
        let mut all_bad = Older::new(evidence);
        let mut older = all_bad.ln(&seen.tested, &ratio);
        // Back from logarithms, scaled so that the largest is one.
        let top = ln.iter().chain(std::iter::once(&older)).flatten().fold(0.0f64, |a, b| a.max(*b));
        let within = (1.0 - model.older - model.not_reproducible).max(1e-9);
        for row in &mut ln {
            row.iter_mut().zip(&grid.prior).for_each(|(l, p)| *l = (*l - top).exp() * within * p);
        }
        older
            .iter_mut()
            .zip(&grid.prior)
            .for_each(|(l, p)| *l = (*l - top).exp() * model.older * p);
        let never = (-top).exp() * model.not_reproducible;
        let mut joint = Joint { group, mass: ln, older, rates: grid.rate, by_rate: [0.0; POINTS] };
        let total = joint.total() + never;
        joint.scale(1.0 / total);
        Self::finish(evidence, model, grid, (joint, never / total), seen, &all_bad)
    }

    fn finish(
        evidence: &Evidence<'_>,
        model: &Model,
        grid: &RateGrid,
        (mut joint, never): (Joint, f64),
        seen: Seen,
        all_bad: &Older,
    ) -> Self {
        let by_group: Vec<f64> = joint.mass.iter().map(|m| m.iter().sum()).collect();
        let commits: Vec<f64> = joint.group.iter().map(|g| by_group[*g as usize]).collect();
        let older: f64 = joint.older.iter().sum();
        joint.by_rate = joint.older;
        for (g, size) in joint.sizes().iter().enumerate() {
            (0..POINTS).for_each(|k| joint.by_rate[k] += joint.mass[g][k] * size);
        }
        let if_older = IfOlder(all_bad.bad_by_origin(&joint.older));
        let bad = (0u32..)
            .zip(evidence.graph.ancestor_mass(|c| [commits[c as usize]]))
            .map(|(commit, [mass])| match evidence.find {
                Find::Cause => {
                    let older = older * if_older.bad(evidence.graph, commit);
                    (mass + older).clamp(0.0, 1.0)
                }
                Find::Fix => (1.0 - never - mass).clamp(0.0, 1.0),
            })
            .collect();
        let rate = grid.summary(&joint.by_rate);
        let tested = seen.tested.iter();
        let bad_if_older: Vec<bool> =
            tested.map(|image| all_bad.bad_image(*image, &joint.older) >= 0.5).collect();
        let shares = (&*commits, older, never);
        let contradiction = contradicts(evidence, model, shares, &seen, &bad_if_older, rate.mean);
        let by_own_runs = |image: &Option<u32>| {
            let counts = image.and_then(|image| evidence.counts.get(image as usize).copied());
            let counts = counts.unwrap_or_default();
            let (good, shown) = (grid.ln_good(&counts), grid.ln_bad(&counts));
            let weighed =
                shown.iter().zip(&joint.by_rate).map(|(ln, mass)| mass * (ln - good).exp());
            let (bad, all) = (weighed.sum::<f64>(), joint.by_rate.iter().sum::<f64>());
            bad / (bad + all).max(f64::MIN_POSITIVE)
        };
        let forks = evidence.forks.iter().map(by_own_runs).collect();
        Self {
            commits,
            older,
            not_reproducible: never,
            bad,
            bad_base: match evidence.find {
                Find::Cause => older,
                Find::Fix => (1.0 - never).clamp(0.0, 1.0),
            },
            forks,
            rate,
            contradiction,
            if_older,
            joint,
            seen: seen.bits,
            words: seen.words,
            tested: seen.tested,
        }
    }

    /// Mass of "the bug is older" under which a commit's revision is bad.
    pub(crate) fn older_at(&self, graph: &Graph, commit: u32) -> f64 {
        self.older * self.if_older.bad(graph, commit)
    }

    /// The most probable commit, the latest of equals.
    pub fn top(&self) -> (u32, f64) {
        let mut best = (0, 0.0);
        for (commit, p) in self.commits.iter().enumerate() {
            if *p >= best.1 {
                best = (commit as u32, *p);
            }
        }
        best
    }

    /// The smallest set of hypotheses that holds `share` of the posterior.
    pub fn credible(&self, share: f64) -> Credible {
        let n = self.commits.len();
        let mut order: Vec<u32> = (0..n as u32 + 2).collect();
        let weight = |i: u32| match (i as usize).checked_sub(n) {
            None => self.commits[i as usize],
            Some(0) => self.older,
            Some(_) => self.not_reproducible,
        };
        order.sort_by(|a, b| weight(*b).total_cmp(&weight(*a)).then(a.cmp(b)));
        let mut set = Credible::default();
        for i in order {
            if set.share >= share {
                break;
            }
            let w = weight(i);
            set.share += w;
            match (i as usize).checked_sub(n) {
                None => set.commits.push((i, w)),
                Some(0) => set.older = Some(w),
                Some(_) => set.not_reproducible = Some(w),
            }
        }
        set
    }

    /// For each of `revisions` how many commits of each group its history holds.
    pub(crate) fn contents(&self, graph: &Graph, revisions: &[u32]) -> Vec<Vec<u32>> {
        let groups = self.joint.mass.len();
        let mut all = Vec::with_capacity(revisions.len());
        let mut sweep = vec![0u64; graph.len()];
        for part in revisions.chunks(64) {
            sweep.fill(0);
            for (bit, revision) in part.iter().enumerate() {
                sweep[*revision as usize] |= 1 << bit;
            }
            graph.carry_to_ancestors(&mut sweep);
            let mut counts = vec![vec![0u32; groups]; part.len()];
            let mut tally = |word: u64, group: u32, n: u32| {
                let mut word = word;
                while word != 0 {
                    counts[word.trailing_zeros() as usize][group as usize] += n;
                    word &= word - 1;
                }
            };
            // Commits in a row mostly agree in both.
            let mut run = (0u64, 0u32, 0u32);
            for (word, group) in sweep.iter().zip(&self.joint.group) {
                if (*word, *group) == (run.0, run.1) {
                    run.2 += 1;
                } else {
                    tally(run.0, run.1, run.2);
                    run = (*word, *group, 1);
                }
            }
            tally(run.0, run.1, run.2);
            all.extend(counts);
        }
        all
    }

    /// How many commits each group has.
    pub(crate) fn sizes(&self) -> Vec<f64> {
        self.joint.sizes()
    }

    /// The mass by rate of one commit of each group.
    pub(crate) fn groups(&self) -> &[[f64; POINTS]] {
        &self.joint.mass
    }

    /// Probability that a bad kernel crashes at a rate of at least `least`, and that one image of it does:
    /// `shows` is the chance of that for each rate.
    pub(crate) fn worth(&self, least: f64, shows: &[f64; POINTS]) -> f64 {
        let masses = self.joint.rates.iter().zip(&self.joint.by_rate).zip(shows);
        masses.filter(|((rate, _), _)| **rate >= least).map(|((_, mass), shows)| mass * shows).sum()
    }

    /// Probability that an image shows the bug, where that commit is the one, or, without a commit, where
    /// all revisions are bad. `shows`: that chance for each rate.
    pub(crate) fn shows(&self, commit: Option<u32>, shows: &[f64; POINTS]) -> f64 {
        let mass = match commit {
            Some(commit) => &self.joint.mass[self.joint.group[commit as usize] as usize],
            None => &self.joint.older,
        };
        let total: f64 = mass.iter().sum();
        let sum: f64 = mass.iter().zip(shows).map(|(mass, shows)| mass * shows).sum();
        if total > 0.0 { sum / total } else { 1.0 }
    }

    /// The mass by rate of "the good end is bad".
    pub(crate) fn older_by_rate(&self) -> &[f64; POINTS] {
        &self.joint.older
    }

    /// All tested images.
    pub(crate) fn tested(&self) -> impl Iterator<Item = u32> {
        self.tested.iter().copied()
    }

    /// Tested images that hold `commit` in their history.
    pub(crate) fn tested_with(&self, commit: u32) -> impl Iterator<Item = u32> {
        self.tested.iter().enumerate().filter(move |(i, _)| self.holds(*i, commit)).map(|(_, t)| *t)
    }

    /// Tested images that hold `with` in their history, and not `without`.
    pub(crate) fn tested_between(&self, with: u32, without: u32) -> impl Iterator<Item = u32> {
        let between = move |i: usize| self.holds(i, with) && !self.holds(i, without);
        self.tested.iter().enumerate().filter(move |(i, _)| between(*i)).map(|(_, t)| *t)
    }

    /// Whether the `i`-th tested image has `commit` in its history.
    fn holds(&self, i: usize, commit: u32) -> bool {
        self.seen[commit as usize * self.words + i / 64] >> (i % 64) & 1 == 1
    }
}

impl Joint {
    fn sizes(&self) -> Vec<f64> {
        let mut sizes = vec![0.0; self.mass.len()];
        self.group.iter().for_each(|g| sizes[*g as usize] += 1.0);
        sizes
    }

    fn total(&self) -> f64 {
        let groups: f64 = self
            .sizes()
            .iter()
            .zip(&self.mass)
            .map(|(size, mass)| size * mass.iter().sum::<f64>())
            .sum();
        groups + self.older.iter().sum::<f64>()
    }

    fn scale(&mut self, by: f64) {
        self.mass.iter_mut().flatten().for_each(|m| *m *= by);
        self.older.iter_mut().for_each(|m| *m *= by);
    }
}

/// Prior probabilities of single commits, given that it is one of them.
struct Weights {
    plain: f64,
    blamed: f64,
    untouched: f64,
    floor: f64,
}

impl Weights {
    /// Which commits split an image says nothing of where else the one is: each kind keeps its share
    /// while any of it is left, and so do all together beside "older" and "not reproducible".
    fn new(model: &Model, standing: &[Standing]) -> Self {
        let count = |what| standing.iter().filter(|it| **it == what).count() as f64;
        let n = standing.len() as f64;
        let (untouched, blamed) = (count(Standing::Untouched), count(Standing::Blamed));
        let plain = count(Standing::Plain);
        let left = (untouched + blamed + plain).max(1.0);
        // With nothing else to suspect there is nothing to tell apart; and nobody is suspected less
        // for being blamed.
        let hardly = if untouched < left { model.untouched.min(untouched / left) } else { 1.0 };
        let rest = 1.0 - hardly;
        let mostly = match (blamed > 0.0, plain > 0.0) {
            (false, _) => 0.0,
            (true, false) => rest,
            (true, true) => rest * model.blamed.max(blamed / (blamed + plain)),
        };
        Self {
            plain: (rest - mostly) / plain.max(1.0),
            blamed: mostly / blamed.max(1.0),
            untouched: hardly / untouched.max(1.0),
            floor: model.split_floor.max(1e-300) / n,
        }
    }

    fn ln(&self, standing: Standing) -> f64 {
        match standing {
            Standing::Plain => self.plain,
            Standing::Blamed => self.blamed,
            Standing::Untouched => self.untouched,
            Standing::Splits => self.floor,
        }
        .ln()
    }
}

/// Numbers commits by what contains them: for each group a member and how it stands.
fn groups(seen: &Seen) -> (Vec<u32>, Vec<(u32, Standing)>) {
    let n = seen.standing.len();
    let mut group: Vec<u32> = Vec::with_capacity(n);
    let mut keys: Vec<(u32, Standing)> = Vec::new();
    let mut known: HashMap<(&[u64], Standing), u32> = HashMap::new();
    for commit in 0..n {
        let key = (seen.of(commit), seen.standing[commit]);
        if commit > 0 && key == (seen.of(commit - 1), seen.standing[commit - 1]) {
            group.push(group[commit - 1]);
            continue;
        }
        let next = keys.len() as u32;
        let id = *known.entry(key).or_insert(next);
        if id == next {
            keys.push((commit as u32, key.1));
        }
        group.push(id);
    }
    (group, keys)
}

/// Whether the best explanation left is one that the runs speak loudly against. `bad_if_older`: whether
/// each tested image is bad, should the bug be older.
fn contradicts(
    evidence: &Evidence<'_>,
    model: &Model,
    (commits, older, never): (&[f64], f64, f64),
    seen: &Seen,
    bad_if_older: &[bool],
    rate: f64,
) -> bool {
    let pairs = commits.iter().zip(&seen.standing);
    let split: f64 =
        pairs.filter(|(_, standing)| **standing == Standing::Splits).map(|(p, _)| p).sum();
    if split > 0.5 {
        return true;
    }
    let mut best = 0;
    for (commit, p) in commits.iter().enumerate() {
        if *p > commits[best] {
            best = commit;
        }
    }
    let is_older = older > commits[best] && older > never;
    if never > commits[best] && never > older {
        return false;
    }
    seen.tested.iter().enumerate().any(|(i, image)| {
        let counts = &evidence.counts[*image as usize];
        let contains =
            seen.of(best)[i / 64] >> (i % 64) & 1 == 1 && !evidence.is_from_before(*image);
        let bad = if is_older { bad_if_older[i] } else { evidence.find.bad(contains) };
        if bad {
            // A bad image that should have crashed long ago.
            counts.crashes == 0 && f64::from(counts.clean) * rate > 12.0
        } else {
            let by_chance = f64::from(counts.informative()) * model.epsilon;
            f64::from(counts.crashes) > 2.0 + 10.0 * by_chance
        }
    })
}
