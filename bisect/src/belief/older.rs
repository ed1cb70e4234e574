//! What is bad where the bug is older than the range.
//!
//! Whatever contains the older end is. A branch that forked off before it may have the bug, or may have
//! left before that came: at even odds, as nobody knows how old it is. Revisions that have the same from
//! before the range are all bad then, or none is; and so are those that give one image.

use std::collections::BTreeMap;

use super::evidence::{Evidence, Find};
use super::math::ln_add;
use super::rate::POINTS;
use crate::graph::BASE;

/// Which revisions share one fate, should the bug be older.
pub(super) struct Older {
    /// By what they have from before the range, the least of those of one fate; empty where all contain
    /// the older end.
    fates: Vec<u32>,
    /// By image.
    images: Vec<u32>,
    /// By fate: log-likelihood of its runs when bad, relative to "good", for each rate.
    told: BTreeMap<u32, [f64; POINTS]>,
}

impl Older {
    pub(super) fn new(evidence: &Evidence<'_>) -> Self {
        let graph = evidence.graph;
        let mut older = Self { fates: Vec::new(), images: Vec::new(), told: BTreeMap::new() };
        // When the fix is sought, only revisions that are known to contain the bug are told of.
        if graph.all_contain_base() || evidence.find == Find::Fix {
            return older;
        }
        let mut fates = Fates((0..graph.origins()).collect());
        let mut first: Vec<Option<u32>> = vec![None; evidence.counts.len()];
        let mut meet = |image: Option<u32>, origin: u32| {
            let Some(slot) = image.and_then(|image| first.get_mut(image as usize)) else { return };
            match *slot {
                Some(other) => fates.join(other, origin),
                None => *slot = Some(origin),
            }
        };
        meet(evidence.base, BASE);
        (0u32..).zip(evidence.forks).for_each(|(at, it)| meet(*it, graph.origin_of_fork(at)));
        (0u32..).zip(evidence.images).for_each(|(at, it)| meet(*it, graph.origin(at)));
        older.fates = (0..graph.origins()).map(|origin| fates.of(origin)).collect();
        let fate = |origin: Option<u32>| origin.map_or(BASE, |it| older.fates[it as usize]);
        older.images = first.into_iter().map(fate).collect();
        older
    }

    /// The likelihood of all runs, relative to "every image is good", for each rate: `ratio` has that of
    /// each of the `tested` images when it is bad.
    pub(super) fn ln(&mut self, tested: &[u32], ratio: &[[f64; POINTS]]) -> [f64; POINTS] {
        let mut sum = [0.0; POINTS];
        for (image, ratio) in tested.iter().zip(ratio) {
            let to = match self.fate_of_image(*image) {
                BASE => &mut sum,
                fate => self.told.entry(fate).or_insert([0.0; POINTS]),
            };
            to.iter_mut().zip(ratio).for_each(|(to, ratio)| *to += ratio);
        }
        for told in self.told.values() {
            sum.iter_mut().zip(told).for_each(|(sum, bad)| *sum += ln_add(*bad, 0.0) - 2f64.ln());
        }
        sum
    }

    /// Probability that what shares a fate is bad, should the bug be older; `weight`: of that, by rate.
    fn bad(&self, fate: u32, weight: &[f64; POINTS]) -> f64 {
        let total: f64 = weight.iter().sum();
        match (fate, self.told.get(&fate)) {
            (BASE, _) => 1.0,
            (_, Some(told)) if total > 0.0 => {
                let bad = weight.iter().zip(told).map(|(weight, ln)| weight / (1.0 + (-ln).exp()));
                bad.sum::<f64>() / total
            }
            _ => 0.5,
        }
    }

    /// The same for all of `origins`; empty where everything is bad then.
    pub(super) fn bad_by_origin(&self, weight: &[f64; POINTS]) -> Vec<f64> {
        self.fates.iter().map(|fate| self.bad(*fate, weight)).collect()
    }

    /// The same for an image.
    pub(super) fn bad_image(&self, image: u32, weight: &[f64; POINTS]) -> f64 {
        self.bad(self.fate_of_image(image), weight)
    }

    fn fate_of_image(&self, image: u32) -> u32 {
        self.images.get(image as usize).copied().unwrap_or(BASE)
    }
}

/// Which are joined: each points to a lesser one of its set, or to itself.
struct Fates(Vec<u32>);

impl Fates {
    fn of(&self, one: u32) -> u32 {
        let mut at = one;
        while self.0[at as usize] != at {
            at = self.0[at as usize];
        }
        at
    }

    fn join(&mut self, one: u32, other: u32) {
        let (one, other) = (self.of(one), self.of(other));
        self.0[one.max(other) as usize] = one.min(other);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::belief::{Counts, Model, Posterior};
    use crate::graph::tests::histories;
    use crate::graph::{Graph, Outside};

    /// Roots that are children of the older end where `pick` has no bit, and of one of three fork points
    /// where it has.
    fn with_forks(parents: Vec<Vec<u32>>, pick: u32) -> Graph {
        let numbered = (0u32..).zip(&parents).filter(|(_, list)| list.is_empty());
        let outside = |(at, _)| match pick >> (at % 32) & 1 {
            0 => (at, Outside::Base),
            _ => (at, Outside::Fork(at % 3)),
        };
        let outside = numbered.map(outside).collect();
        Graph::with_outside(parents, outside).unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        #[test]
        fn equals_enumeration(
            parents in histories(12),
            pick in any::<u32>(),
            images in prop::collection::vec(prop::option::of(0u32..5), 12),
            base in prop::option::of(0u32..5),
            forked in prop::collection::vec(prop::option::of(0u32..5), 3),
            told in prop::collection::vec(-4.0f64..4.0, 5),
        ) {
            let graph = with_forks(parents, pick);
            let images = &images[..graph.len()];
            let forks = &forked[..graph.forks() as usize];
            let counts = [Counts { clean: 1, ..Counts::default() }; 5];
            let evidence = Evidence { graph: &graph, images, base, forks, find: Find::Cause,
                unchanged: &[], untouched: &[], blamed: &[], counts: &counts };
            let mut has = vec![Vec::new(); 5];
            let mut meet = |image: Option<u32>, origin| {
                image.into_iter().for_each(|image| has[image as usize].push(origin));
            };
            meet(base, BASE);
            (0..graph.len()).for_each(|at| meet(images[at], graph.origin(at as u32)));
            (0..forks.len()).for_each(|at| meet(forks[at], graph.origin_of_fork(at as u32)));
            // Everything that may be bad or not, as long as no image is both.
            let (mut all, mut sum, mut bad) = (0.0, 0.0, vec![0.0; graph.origins() as usize]);
            for state in 0u32..1 << (graph.origins() - 1) {
                let is_bad = |origin: u32| origin == BASE || state >> (origin - 1) & 1 == 1;
                if has.iter().any(|them| them.iter().any(|it| is_bad(*it) != is_bad(them[0]))) {
                    continue;
                }
                let of_image = |image: usize| has[image].first().is_none_or(|it| is_bad(*it));
                let ln: f64 = (0..5).filter(|image| of_image(*image)).map(|image| told[image]).sum();
                all += 1.0;
                sum += ln.exp();
                let bad = (0u32..).zip(&mut bad).filter(|(origin, _)| is_bad(*origin));
                bad.for_each(|(_, bad)| *bad += ln.exp());
            }
            let mut older = Older::new(&evidence);
            let ratio: Vec<[f64; POINTS]> = told.iter().map(|told| [*told; POINTS]).collect();
            let ln = older.ln(&[0, 1, 2, 3, 4], &ratio);
            prop_assert!((ln[0] - f64::ln(sum / all)).abs() < 1e-9, "{} {}", ln[0], f64::ln(sum / all));
            let got = older.bad_by_origin(&[1.0; POINTS]);
            for (got, bad) in got.iter().zip(bad) {
                prop_assert!((got - bad / sum).abs() < 1e-9, "{got} {}", bad / sum);
            }
        }
    }

    /// 0 to 9 follow the older end; 10 to 14 forked off before it, and 15 merges both.
    fn branch() -> Graph {
        let mut parents: Vec<Vec<u32>> =
            (0u32..15).map(|at| at.checked_sub(1).into_iter().collect()).collect();
        parents[10].clear();
        parents.push(vec![9, 14]);
        let outside = vec![(0, Outside::Base), (10, Outside::Fork(0))];
        Graph::with_outside(parents, outside).unwrap()
    }

    /// What is believed after runs of some commits: target crashes and clean runs.
    fn after(runs: &[(u32, u32, u32)], base: Option<Counts>) -> Posterior {
        let graph = branch();
        let mut images = vec![None; graph.len()];
        let mut counts: Vec<Counts> = base.into_iter().collect();
        for (commit, crashes, clean) in runs {
            images[*commit as usize] = Some(counts.len() as u32);
            counts.push(Counts { crashes: *crashes, clean: *clean, censored: 0 });
        }
        let base = base.map(|_| 0);
        let evidence = Evidence {
            graph: &graph,
            images: &images,
            base,
            forks: &[None],
            find: Find::Cause,
            unchanged: &[],
            untouched: &[],
            blamed: &[],
            counts: &counts,
        };
        Posterior::new(&evidence, &Model::default())
    }

    #[test]
    fn clean_runs_of_a_branch_that_forked_off_before_hardly_speak_against_an_older_bug() {
        let none = after(&[(15, 9, 9)], None);
        let one = after(&[(15, 9, 9), (14, 0, 90)], None);
        let two = after(&[(15, 9, 9), (14, 0, 90), (11, 0, 90)], None);
        assert!(one.older > 0.4 * none.older, "{} {}", one.older, none.older);
        assert!((two.older / one.older - 1.0).abs() < 0.05, "the branch has one fate");
        // What contains the good end speaks.
        assert!(after(&[(15, 9, 9), (9, 0, 90)], None).older < 0.01 * none.older);
        // Nor does a branch that turns bad on the way: a bug from before it has from its beginning.
        let turns = after(&[(15, 9, 9), (14, 9, 9), (10, 0, 90)], None);
        assert!(turns.older < 0.01 * none.older, "{}", turns.older);
        // A crash there speaks for the branch, and for an older bug as long as the good end has not run.
        let crash = after(&[(15, 9, 9), (14, 9, 9)], None);
        assert!(crash.older > none.older && crash.bad[9] < none.bad[9]);
    }

    #[test]
    fn where_the_good_end_is_bad_a_branch_shows_by_its_runs_whether_it_is() {
        let base = Some(Counts { crashes: 9, clean: 9, censored: 0 });
        let of = |runs: &[(u32, u32, u32)]| {
            let got = after(&[&[(15, 9, 9)], runs].concat(), base);
            assert!(got.older > 0.99 && got.bad[5] > 0.99 && !got.contradiction);
            got.bad[12]
        };
        assert!((of(&[]) - 0.5).abs() < 0.01);
        assert!(of(&[(14, 0, 90)]) < 0.01);
        assert!(of(&[(10, 9, 9)]) > 0.99);
    }
}
