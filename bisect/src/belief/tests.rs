use proptest::prelude::*;

use super::rate::{POINTS, RateGrid};
use super::*;
use crate::graph::Graph;
use crate::graph::tests::{ancestor_sets, histories};

/// Sequence likelihood by definition: one run after another, each updating the beta.
fn bad_by_definition(a: f64, b: f64, seen: &Counts) -> f64 {
    let (mut a, mut b, mut l) = (a, b, 1.0);
    for _ in 0..seen.crashes {
        l *= a / (a + b);
        a += 1.0;
    }
    for _ in 0..seen.clean {
        l *= b / (a + b);
        b += 1.0;
    }
    l
}

/// The posterior by adding up every hypothesis and rate.
fn enumerate(
    parents: &[Vec<u32>],
    images: &[Option<u32>],
    base: Option<u32>,
    counts: &[Counts],
    model: &Model,
    find: Find,
) -> (Vec<f64>, f64, f64) {
    let sets = ancestor_sets(parents);
    let grid = RateGrid::new(model);
    let n = parents.len();
    let good = |c: &Counts| {
        let honest =
            model.epsilon.powi(c.crashes as i32) * (1.0 - model.epsilon).powi(c.clean as i32);
        let factorial = |x: u32| (1..=x).map(f64::from).product::<f64>();
        let other = factorial(c.crashes) * factorial(c.clean) / factorial(c.crashes + c.clean + 1);
        (1.0 - model.stray) * honest + model.stray * other
    };
    // A commit that splits an image is not the one, and leaves its share to the others.
    let splits = |commit: usize| {
        (0..counts.len()).any(|image| {
            let of_image = (0..n).filter(|r| images[*r] == Some(image as u32));
            let mut holds = of_image.map(|r| sets[r][commit]).collect::<Vec<_>>();
            holds.extend((base == Some(image as u32)).then_some(false));
            holds.iter().any(|one| *one != holds[0])
        })
    };
    let left = (0..n).filter(|commit| !splits(*commit)).count().max(1) as f64;
    let mut weights = Vec::new();
    #[allow(clippy::needless_range_loop)] // one more hypothesis than commits
    for hypothesis in 0..n + 1 {
        let mut weight = 0.0;
        for k in 0..POINTS {
            let mut l = 1.0;
            for (image, c) in counts.iter().enumerate() {
                let mut states: Vec<bool> = (0..n)
                    .filter(|r| images[*r] == Some(image as u32))
                    .map(|r| hypothesis == n || sets[r][hypothesis] == (find == Find::Cause))
                    .collect();
                if base == Some(image as u32) {
                    states.push(hypothesis == n || find == Find::Fix);
                }
                if states.is_empty() {
                    continue;
                }
                if states.iter().any(|s| *s != states[0]) {
                    l = 0.0;
                }
                let shown = bad_by_definition(grid.crash[k], grid.clean[k], c);
                l *= if states[0] {
                    (1.0 - model.hidden) * shown + model.hidden * good(c)
                } else {
                    good(c)
                };
            }
            weight += l * grid.prior[k];
        }
        let prior = if hypothesis == n {
            model.older
        } else {
            (1.0 - model.older - model.not_reproducible) / left
        };
        weights.push(weight * prior);
    }
    let never: f64 = (0..counts.len())
        .filter(|i| images.contains(&Some(*i as u32)) || base == Some(*i as u32))
        .map(|i| good(&counts[i]))
        .product::<f64>()
        * model.not_reproducible;
    let total: f64 = weights.iter().sum::<f64>() + never;
    let older = weights.pop().unwrap() / total;
    (weights.iter().map(|w| w / total).collect(), older, never / total)
}

fn counts() -> impl Strategy<Value = Counts> {
    (0u32..4, 0u32..8, 0u32..3).prop_map(|(crashes, clean, censored)| Counts {
        crashes,
        clean,
        censored,
    })
}

type World = (Vec<Vec<u32>>, Vec<Option<u32>>, Option<u32>, Vec<Counts>);

fn worlds() -> impl Strategy<Value = World> {
    (histories(14), prop::collection::vec(counts(), 1..6)).prop_flat_map(|(parents, counts)| {
        let n = parents.len();
        let images = counts.len() as u32;
        let image = prop_oneof![2 => Just(None), 1 => (0..images).prop_map(Some)];
        let good = prop_oneof![3 => Just(None), 1 => (0..images).prop_map(Some)];
        (Just(parents), prop::collection::vec(image, n), good, Just(counts))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn equals_enumeration((parents, images, base, counts) in worlds(), fix in any::<bool>()) {
        let find = if fix { Find::Fix } else { Find::Cause };
        let model = Model { split_floor: 0.0, ..Model::default() };
        let graph = Graph::new(parents.clone()).unwrap();
        let evidence = Evidence { graph: &graph, images: &images, base, forks: &[], find, unchanged: &[], untouched: &[], blamed: &[], counts: &counts };
        let got = Posterior::new(&evidence, &model);
        let (commits, older, never) = enumerate(&parents, &images, base, &counts, &model, find);
        for (c, want) in commits.iter().enumerate() {
            prop_assert!((got.commits[c] - want).abs() < 1e-8, "commit {c}: {} is not {want}", got.commits[c]);
        }
        prop_assert!((got.older - older).abs() < 1e-8);
        prop_assert!((got.not_reproducible - never).abs() < 1e-8);
        let sets = ancestor_sets(&parents);
        for (r, set) in sets.iter().enumerate() {
            let bad = |c: &usize| set[*c] == (find == Find::Cause);
            let want: f64 = older + (0..set.len()).filter(bad).map(|c| commits[c]).sum::<f64>();
            prop_assert!((got.bad[r] - want).abs() < 1e-8);
        }
    }

    #[test]
    fn a_crash_moves_mass_to_the_ancestors((parents, images, _, counts) in worlds(), pick in any::<u32>()) {
        // One image a revision: pooled images have a test of their own.
        let _ = images;
        let n = parents.len();
        let graph = Graph::new(parents).unwrap();
        let images: Vec<Option<u32>> = (0..n as u32).map(Some).collect();
        let mut all = vec![Counts::default(); n];
        all.iter_mut().zip(&counts).for_each(|(a, c)| *a = *c);
        let r = pick as usize % n;
        // Without the two escapes: a good image with a rate of its own explains more crashes better.
        let model = Model { stray: 0.0, hidden: 0.0, ..Model::default() };
        let at = |counts: &[Counts]| {
            Posterior::new(&Evidence { graph: &graph, images: &images, base: None, forks: &[], find: Find::Cause, unchanged: &[], untouched: &[], blamed: &[], counts }, &model)
        };
        let before = at(&all);
        all[r].crashes += 1;
        let crashed = at(&all);
        all[r].crashes -= 1;
        all[r].clean += 1;
        let clean = at(&all);
        prop_assert!(crashed.bad[r] >= before.bad[r] - 1e-12);
        prop_assert!(clean.bad[r] <= before.bad[r] + 1e-12);
    }

    #[test]
    fn the_order_of_the_list_does_not_matter((parents, images, base, counts) in worlds(), shift in any::<u32>()) {
        // Another parents-first order of the same history: take ready commits from a rotated list.
        let n = parents.len();
        let mut order: Vec<usize> = Vec::new();
        let mut placed = vec![false; n];
        while order.len() < n {
            let start = shift as usize + order.len() * 7;
            let next = (0..n)
                .map(|i| (start + i) % n)
                .find(|c| !placed[*c] && parents[*c].iter().all(|p| placed[*p as usize]))
                .unwrap();
            placed[next] = true;
            order.push(next);
        }
        let mut place = vec![0u32; n];
        order.iter().enumerate().for_each(|(at, c)| place[*c] = at as u32);
        let moved: Vec<Vec<u32>> = order
            .iter()
            .map(|c| parents[*c].iter().map(|p| place[*p as usize]).collect())
            .collect();
        let moved_images: Vec<Option<u32>> = order.iter().map(|c| images[*c]).collect();
        let model = Model::default();
        let (a, b) = (Graph::new(parents).unwrap(), Graph::new(moved).unwrap());
        let one = Posterior::new(&Evidence { graph: &a, images: &images, base, forks: &[], find: Find::Cause, unchanged: &[], untouched: &[], blamed: &[], counts: &counts }, &model);
        let two = Posterior::new(&Evidence { graph: &b, images: &moved_images, base, forks: &[], find: Find::Cause, unchanged: &[], untouched: &[], blamed: &[], counts: &counts }, &model);
        for (c, at) in place.iter().enumerate() {
            prop_assert!((one.commits[c] - two.commits[*at as usize]).abs() < 1e-9);
        }
        prop_assert!((one.rate.mean - two.rate.mean).abs() < 1e-9);
    }
}

/// A linear history whose revisions have images of their own.
fn linear(counts: &[Counts]) -> (Graph, Vec<Option<u32>>) {
    (Graph::linear(counts.len() as u32).unwrap(), (0..counts.len() as u32).map(Some).collect())
}

fn seen(crashes: u32, clean: u32) -> Counts {
    Counts { crashes, clean, censored: 0 }
}

#[test]
fn equal_images_clear_the_commits_between_them() {
    let graph = Graph::linear(10).unwrap();
    let mut images = vec![None; 10];
    (images[3], images[7], images[9]) = (Some(0), Some(0), Some(1));
    let counts = [Counts::default(), seen(3, 3)];
    let with = |images: &[Option<u32>]| {
        let evidence = Evidence {
            graph: &graph,
            images,
            base: None,
            forks: &[],
            find: Find::Cause,
            unchanged: &[],
            untouched: &[],
            blamed: &[],
            counts: &counts,
        };
        Posterior::new(&evidence, &Model::default())
    };
    let got = with(&images);
    assert!((4..=7).all(|c| got.commits[c] < 1e-8));
    // Nor do they make it any likelier that the bug is older than all of them.
    let alone = with(&[vec![None; 9], vec![Some(1)]].concat());
    assert!((got.older / alone.older - 1.0).abs() < 1e-6, "{} {}", got.older, alone.older);
    assert!((0..=3).chain(8..=9).all(|c| got.commits[c] > 0.1));
    assert!(!got.contradiction);
}

#[test]
fn long_lists_of_equal_images_are_exact() {
    // 150 revisions of one image, more than one word of bits.
    let graph = Graph::linear(200).unwrap();
    let images: Vec<Option<u32>> =
        (0..200).map(|c| if (20..170).contains(&c) { Some(0) } else { None }).collect();
    let got = Posterior::new(
        &Evidence {
            graph: &graph,
            images: &images,
            base: None,
            forks: &[],
            find: Find::Cause,
            unchanged: &[],
            untouched: &[],
            blamed: &[],
            counts: &[seen(0, 0)],
        },
        &Model::default(),
    );
    for c in 0..200 {
        assert_eq!(got.commits[c] < 1e-9, (21..170).contains(&c), "commit {c}");
    }
}

#[test]
fn a_bug_that_was_reverted_and_came_back_contradicts() {
    let counts = [seen(0, 0), seen(8, 8), seen(0, 200), seen(9, 7)];
    let (graph, images) = linear(&counts);
    let evidence = Evidence {
        graph: &graph,
        images: &images,
        base: None,
        forks: &[],
        find: Find::Cause,
        unchanged: &[],
        untouched: &[],
        blamed: &[],
        counts: &counts,
    };
    let got = Posterior::new(&evidence, &Model::default());
    assert!(got.contradiction);
    assert!(got.commits.iter().all(|p| p.is_finite()));
    // All revisions of one image, with evidence that wants a split.
    let images = vec![Some(0), Some(1), Some(1), Some(1)];
    let counts = [seen(0, 50), seen(20, 20)];
    let evidence = Evidence {
        graph: &graph,
        images: &images,
        base: Some(1),
        forks: &[],
        find: Find::Cause,
        unchanged: &[],
        untouched: &[],
        blamed: &[],
        counts: &counts,
    };
    let got = Posterior::new(&evidence, &Model::default());
    let sum: f64 = got.commits.iter().sum::<f64>() + got.older + got.not_reproducible;
    assert!((sum - 1.0).abs() < 1e-9);
    assert!(got.contradiction);
}

#[test]
fn the_first_seed_bisection_leaves_its_base_in_doubt() {
    // 3 of 20 crashed at the head, 0 of 20 at the good end: design section 7 says that leaves
    // 19 % for "bad already" at even odds; a prior of 5 % leaves about one percent.
    let graph = Graph::linear(1000).unwrap();
    let mut images = vec![None; 1000];
    images[999] = Some(0);
    let counts = [seen(3, 17), seen(0, 20)];
    let got = Posterior::new(
        &Evidence {
            graph: &graph,
            images: &images,
            base: Some(1),
            forks: &[],
            find: Find::Cause,
            unchanged: &[],
            untouched: &[],
            blamed: &[],
            counts: &counts,
        },
        &Model::default(),
    );
    assert!((0.004..0.03).contains(&got.older), "{}", got.older);
    assert!(got.rate.low < 0.07 && got.rate.high > 0.25, "{:?}", got.rate);
}

#[test]
fn credible_sets_hold_their_share() {
    let counts = [seen(0, 9), seen(0, 9), seen(0, 3), seen(2, 2), seen(4, 3)];
    let (graph, images) = linear(&counts);
    let evidence = Evidence {
        graph: &graph,
        images: &images,
        base: None,
        forks: &[],
        find: Find::Cause,
        unchanged: &[],
        untouched: &[],
        blamed: &[],
        counts: &counts,
    };
    let got = Posterior::new(&evidence, &Model::default());
    let set = got.credible(0.95);
    assert!(set.share >= 0.95);
    let last = set.commits.last().unwrap().1;
    assert!(set.share - last < 0.95 || set.older.is_some());
    assert!(set.commits.windows(2).all(|w| w[0].1 >= w[1].1));
}

#[test]
fn a_commit_that_changes_nothing_is_not_the_one() {
    let (graph, images) = linear(&[seen(0, 30), seen(0, 30), seen(4, 8), seen(3, 9)]);
    let counts = [seen(0, 30), seen(0, 30), seen(4, 8), seen(3, 9)];
    let with = |unchanged: &[u32]| {
        let evidence = Evidence {
            graph: &graph,
            images: &images,
            base: None,
            forks: &[],
            find: Find::Cause,
            unchanged,
            untouched: &[],
            blamed: &[],
            counts: &counts,
        };
        Posterior::new(&evidence, &Model::default())
    };
    assert_eq!(with(&[1]).top().0, 2);
    assert!(with(&[1]).top().1 > 0.95);
    // The runs say that it is the one, the code that it can't be: that is a contradiction.
    assert!(with(&[2]).commits[2] < 0.5 || with(&[2]).contradiction);
}

#[test]
fn commits_that_touch_nothing_share_a_small_part_and_can_still_be_the_one() {
    let graph = Graph::linear(100).unwrap();
    let untouched: Vec<u32> = (0..100).filter(|c| c % 10 != 3).collect();
    let images: Vec<Option<u32>> = (0..100)
        .map(|c| [40, 45, 50, 51, 99].iter().position(|i| *i == c).map(|i| i as u32))
        .collect();
    let with = |counts: &[Counts]| {
        let evidence = Evidence {
            graph: &graph,
            images: &images,
            base: None,
            forks: &[],
            find: Find::Cause,
            unchanged: &[],
            untouched: &untouched,
            blamed: &[],
            counts,
        };
        Posterior::new(&evidence, &Model::default())
    };
    let sum = |p: &Posterior| untouched.iter().map(|c| p.commits[*c as usize]).sum::<f64>();
    let before = with(&[Counts::default(); 5]);
    let model = Model::default();
    let within = 1.0 - model.older - model.not_reproducible;
    assert!((sum(&before) - model.untouched * within).abs() < 1e-9);
    assert!((before.commits[3] / before.commits[13] - 1.0).abs() < 1e-9);
    // Runs on both sides of commit 51 leave no other; three on the good side, since one or two images
    // could hide the bug, which is no less likely than such a commit.
    let crashes = Counts { crashes: 5, ..Counts::default() };
    let clean = Counts { clean: 30, ..Counts::default() };
    let after = with(&[clean, clean, clean, crashes, crashes]);
    assert_eq!(after.top().0, 51);
    assert!(after.top().1 > 0.9, "{}", after.top().1);
}

#[test]
fn first_suspects_share_half_and_are_not_named_for_it() {
    let graph = Graph::linear(100).unwrap();
    let images: Vec<Option<u32>> =
        (0..100).map(|c| [59, 60, 99].iter().position(|i| *i == c).map(|i| i as u32)).collect();
    let with = |blamed: &[u32], untouched: &[u32], counts: &[Counts]| {
        let evidence = Evidence {
            graph: &graph,
            images: &images,
            base: None,
            forks: &[],
            find: Find::Cause,
            unchanged: &[],
            untouched,
            blamed,
            counts,
        };
        Posterior::new(&evidence, &Model::default())
    };
    let none = [Counts::default(); 3];
    let model = Model::default();
    let within = 1.0 - model.older - model.not_reproducible;
    let before = with(&[30, 70], &[], &none);
    assert!((before.commits[30] - within * model.blamed / 2.0).abs() < 1e-9);
    assert!((before.commits[31] - within * (1.0 - model.blamed) / 98.0).abs() < 1e-9);
    // What changes nothing that is read is no suspect, and nobody is suspected less for being blamed.
    let hardly = with(&[30], &[30], &none);
    assert!(hardly.commits[30] <= within * model.untouched + 1e-9);
    let most: Vec<u32> = (0..99).collect();
    let many = with(&most, &[], &none);
    assert!((many.commits[5] - many.commits[99]).abs() < 1e-9);
    // Runs decide all the same.
    let crashes = Counts { crashes: 4, ..Counts::default() };
    let clean = Counts { clean: 25, ..Counts::default() };
    let after = with(&[30, 70], &[], &[clean, crashes, crashes]);
    assert_eq!(after.top().0, 60);
}

#[test]
fn where_only_untouched_commits_are_left_they_have_all_of_the_prior() {
    // Of the two images 30 to 60 and 90 to 99, nothing but untouched commits lies outside.
    let graph = Graph::linear(100).unwrap();
    let class = |c: u32| match c {
        0..=60 => Some(0),
        90..=99 => Some(1),
        _ => None,
    };
    let images: Vec<Option<u32>> = (0..100).map(class).collect();
    let untouched: Vec<u32> = (61..=90).chain([0]).collect();
    let counts = [Counts::default(); 2];
    let evidence = Evidence {
        graph: &graph,
        images: &images,
        base: None,
        forks: &[],
        find: Find::Cause,
        unchanged: &[],
        untouched: &untouched,
        blamed: &[],
        counts: &counts,
    };
    let got = Posterior::new(&evidence, &Model::default());
    let model = Model::default();
    let within = 1.0 - model.older - model.not_reproducible;
    let left: f64 = untouched.iter().map(|c| got.commits[*c as usize]).sum();
    assert!((left - within).abs() < 1e-6 && (got.older - model.older).abs() < 1e-6, "{left}");
}
