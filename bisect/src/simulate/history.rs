//! One made-up history with its plants.

use std::sync::Arc;

use crate::graph::Graph;
use crate::plan::Place;

use super::random::Random;
use super::world::{Shape, World};

/// What is true in one trial.
#[derive(Clone, Debug)]
pub(super) struct History {
    pub(super) graph: Arc<Graph>,
    /// The culprit; nothing when the bug is older than the good end.
    pub(super) culprit: Option<u32>,
    /// Whether each revision has the bug.
    pub(super) bad: Vec<bool>,
    /// Whether each revision fails to build.
    pub(super) broken: Vec<bool>,
    /// Whether each revision has the second bug.
    pub(super) second: Vec<bool>,
    /// Commits that change a file of the functions that crash, as a console tells them.
    pub(super) suspects: Vec<u32>,
    /// The image that each revision gives; numbered from one, the good end's is zero.
    pub(super) image: Vec<u32>,
    /// Rate of crashing of each image, were it bad.
    pub(super) rate: Vec<f64>,
}

impl History {
    pub(super) fn new(world: &World, random: &mut Random) -> Self {
        let n = world.commits.max(1);
        let parents = match world.shape {
            Shape::Linear => (0..n).map(|i| if i == 0 { vec![] } else { vec![i - 1] }).collect(),
            Shape::Merges => topics(n, random),
        };
        let graph = Arc::new(Graph::new(parents).expect("parents come first by construction"));
        let mut changes: Vec<bool> = (0..n).map(|_| random.chance(world.changing)).collect();
        let culprit = (!random.chance(world.older)).then(|| random.below(n));
        let (suspects, culprit) = suspects(world, &graph, culprit, random);
        if let Some(culprit) = culprit {
            changes[culprit as usize] = true;
        }
        let bad = culprit.map_or(vec![true; n as usize], |c| graph.descendants(c));
        let mut image = vec![0u32; n as usize];
        let mut images = 1;
        for commit in 0..n {
            // A merge is a change of its own: its image is neither parent's.
            image[commit as usize] = match graph.parents(commit) {
                [parent] if !changes[commit as usize] => image[*parent as usize],
                [] if !changes[commit as usize] => 0,
                _ => {
                    images += 1;
                    images - 1
                }
            };
        }
        let broken = broken(world, &graph, &image, random);
        let mut second = vec![false; n as usize];
        if random.chance(world.second_bug) {
            let length = (f64::from(n) * (0.05 + 0.45 * random.unit())) as u32;
            cover(&graph, random.below(n), length, &mut second);
        }
        let rate = (0..images).map(|_| drifted(world, random)).collect();
        Self { graph, culprit, bad, broken, second, suspects, image, rate }
    }

    /// The commits that change nothing: their image is their parent's.
    pub(super) fn unchanging(&self) -> Vec<u32> {
        let same = |commit: &u32| {
            let parent = match self.graph.parents(*commit) {
                [] => 0,
                [parent] => self.image[*parent as usize],
                _ => return false,
            };
            self.image[*commit as usize] == parent
        };
        (0..self.graph.len() as u32).filter(same).collect()
    }

    pub(super) fn image_of(&self, place: Place) -> u32 {
        match place {
            Place::Base | Place::Fork(_) => 0,
            Place::Commit(commit) => self.image[commit as usize],
        }
    }
}

/// The first suspects; and the culprit, drawn anew among them as often as the world says, and among
/// the others otherwise.
fn suspects(
    world: &World,
    graph: &Graph,
    culprit: Option<u32>,
    random: &mut Random,
) -> (Vec<u32>, Option<u32>) {
    // Patches of one file come in series.
    const SERIES: f64 = 3.0;
    if world.suspects <= 0.0 {
        return (Vec::new(), culprit);
    }
    let n = graph.len() as u32;
    let mut marks = vec![false; n as usize];
    for start in 0..n {
        if random.chance(world.suspects / SERIES) {
            cover(graph, start, random.geometric(SERIES), &mut marks);
        }
    }
    // A merge that only brings changes is no suspect.
    let (suspects, others): (Vec<u32>, Vec<u32>) =
        (0..n).partition(|c| marks[*c as usize] && graph.parents(*c).len() < 2);
    let from = if random.chance(world.suspected) { &suspects } else { &others };
    let drawn = random.below(from.len() as u32) as usize;
    let culprit = culprit.map(|culprit| from.get(drawn).copied().unwrap_or(culprit));
    (suspects, culprit)
}

/// Spans of commits that don't build; neither of the two ends is among them, nor is an image
/// broken in one revision and not in another.
fn broken(world: &World, graph: &Graph, image: &[u32], random: &mut Random) -> Vec<bool> {
    let n = graph.len() as u32;
    let mut broken = vec![false; n as usize];
    for start in 0..n {
        if random.chance(world.broken / world.broken_length.max(1.0)) {
            cover(graph, start, random.geometric(world.broken_length), &mut broken);
        }
    }
    let mut of_image = vec![false; image.iter().max().map_or(1, |m| *m as usize + 1)];
    (0..n as usize).filter(|c| broken[*c]).for_each(|c| of_image[image[c] as usize] = true);
    of_image[0] = false;
    of_image[image[n as usize - 1] as usize] = false;
    image.iter().map(|i| of_image[*i as usize]).collect()
}

/// Marks `start` and its descendants among the `length` commits from it on.
fn cover(graph: &Graph, start: u32, length: u32, marks: &mut [bool]) {
    let end = (start + length).min(graph.len() as u32);
    let mut within = vec![false; (end - start) as usize];
    for commit in start..end {
        let reached = commit == start
            || graph.parents(commit).iter().any(|p| *p >= start && within[(*p - start) as usize]);
        within[(commit - start) as usize] = reached;
        marks[commit as usize] |= reached;
    }
}

/// The rate of one image: beta about the world's, so that runs are beta-binomial. As in the planner's
/// model, high rates can't vary that much, and keep the spread of a rate of one half.
fn drifted(world: &World, random: &mut Random) -> f64 {
    if world.drift <= 0.0 || world.rate >= 1.0 {
        return world.rate;
    }
    let variation = world.drift.powi(2);
    let weight = ((1.0 - world.rate) / (variation * world.rate) - 1.0).max(1.0 / variation);
    random.beta(world.rate * weight, (1.0 - world.rate) * weight)
}

/// A kernel-like history of `commits` commits, parents first, for benchmarks and simulations.
///
/// Topic branches of about 12 commits fork from older points of the mainline (some from before the
/// range) and are merged later; some topics merge another one, or the mainline, on their way.
pub fn merge_history(commits: u32, seed: u64) -> Vec<Vec<u32>> {
    topics(commits.max(1), &mut Random::new(seed, 0))
}

fn topics(commits: u32, random: &mut Random) -> Vec<Vec<u32>> {
    const AGE: f64 = 30.0;
    let mut parents: Vec<Vec<u32>> = vec![vec![]];
    let mut main = vec![0u32];
    let mut waiting: Vec<u32> = Vec::new();
    let room = |parents: &Vec<Vec<u32>>| (parents.len() as u32) < commits;
    while room(&parents) {
        let tip = main[main.len() - 1];
        if random.chance(0.1) {
            main.push(parents.len() as u32);
            parents.push(vec![tip]);
            continue;
        }
        let age = random.geometric(AGE) as usize;
        let mut at = (age <= main.len()).then(|| main[main.len() - age]);
        for _ in 0..random.geometric(12.0) {
            // The last commit joins all that is still open.
            if parents.len() as u32 + 1 >= commits {
                break;
            }
            let mut list: Vec<u32> = at.into_iter().collect();
            if let Some(own) = at {
                if random.chance(0.01) && own != tip {
                    list.push(tip);
                } else if random.chance(0.01) && !waiting.is_empty() {
                    list.push(waiting[random.below(waiting.len() as u32) as usize]);
                }
            }
            at = Some(parents.len() as u32);
            parents.push(list);
        }
        waiting.extend(at.filter(|a| !main.contains(a) || *a > tip));
        // Topics wait a while before they are merged.
        if waiting.len() > 8 && room(&parents) {
            let topic = waiting.swap_remove(random.below(waiting.len() as u32) as usize);
            main.push(parents.len() as u32);
            parents.push(vec![tip, topic]);
        }
    }
    join(parents, main[main.len() - 1])
}

/// Makes every commit an ancestor of the last, by an octopus where branches are still open.
fn join(mut parents: Vec<Vec<u32>>, main: u32) -> Vec<Vec<u32>> {
    let last = parents.len() as u32 - 1;
    let mut has_child = vec![false; parents.len()];
    parents.iter().flatten().for_each(|p| has_child[*p as usize] = true);
    let open = (0..last).filter(|c| !has_child[*c as usize]);
    let mut list: Vec<u32> = parents[last as usize].clone();
    for tip in open.chain([main]) {
        if tip != last && !list.contains(&tip) {
            list.push(tip);
        }
    }
    parents[last as usize] = list;
    parents
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_culprit_is_a_suspect_as_often_as_the_world_says() {
        let world =
            World { commits: 500, shape: Shape::Merges, suspects: 0.05, ..World::default() };
        for (suspected, least, most) in [(0.0, 0, 0), (0.8, 138, 182), (1.0, 200, 200)] {
            let world = World { suspected, ..world };
            let (mut right, mut all) = (0, 0);
            for trial in 0..200 {
                let history = History::new(&world, &mut Random::new(3, trial));
                let culprit = history.culprit.unwrap();
                right += u32::from(history.suspects.contains(&culprit));
                all += history.suspects.len();
                assert!(history.bad[culprit as usize] && history.bad[499]);
            }
            assert!((least..=most).contains(&right), "{suspected}: {right} of 200");
            assert!((3_000..7_000).contains(&all), "{all} suspects in 200 histories");
        }
    }
}
