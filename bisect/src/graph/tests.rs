use proptest::prelude::*;

use super::*;

/// Random histories: each commit has up to three earlier parents, mostly near ones.
pub(crate) fn histories(most: usize) -> impl Strategy<Value = Vec<Vec<u32>>> {
    let commit = (any::<u32>(), any::<u32>(), any::<u32>(), 0u8..10);
    prop::collection::vec(commit, 1..most).prop_map(|draws| {
        draws
            .iter()
            .enumerate()
            .map(|(at, (a, b, c, kind))| {
                if at == 0 {
                    return vec![];
                }
                let near = |x: u32| at as u32 - 1 - x % (at as u32).min(6);
                let mut parents = match kind {
                    0 => vec![],
                    1..=5 => vec![near(*a)],
                    6 | 7 => vec![near(*a), b % at as u32],
                    8 => vec![near(*a), near(*b)],
                    _ => vec![near(*a), b % at as u32, near(*c)],
                };
                let mut seen = std::collections::HashSet::new();
                parents.retain(|p| seen.insert(*p));
                parents
            })
            .collect()
    })
}

/// Ancestor sets by definition: the union of the parents' sets, and oneself.
pub(crate) fn ancestor_sets(parents: &[Vec<u32>]) -> Vec<Vec<bool>> {
    let mut sets: Vec<Vec<bool>> = Vec::new();
    for (at, list) in parents.iter().enumerate() {
        let mut own = vec![false; parents.len()];
        own[at] = true;
        for p in list {
            for (mine, theirs) in own.iter_mut().zip(&sets[*p as usize]) {
                *mine |= theirs;
            }
        }
        sets.push(own);
    }
    sets
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn masses_and_sets_are_exact_on_random_histories(parents in histories(60)) {
        let sets = ancestor_sets(&parents);
        let graph = Graph::new(parents.clone()).unwrap();
        let mass = |c: u32| [f64::from(c * 7 % 13 + 1), 1.0];
        let got = graph.ancestor_mass(mass);
        for (at, set) in sets.iter().enumerate() {
            let want: f64 =
                (0..set.len()).filter(|c| set[*c]).map(|c| mass(c as u32)[0]).sum();
            prop_assert!((got[at][0] - want).abs() < 1e-9, "commit {at}: {} is not {want}", got[at][0]);
            prop_assert_eq!(got[at][1] as usize, set.iter().filter(|x| **x).count());
            prop_assert_eq!(&graph.ancestors(at as u32), set);
            let down: Vec<bool> = sets.iter().map(|s| s[at]).collect();
            prop_assert_eq!(graph.descendants(at as u32), down);
        }
    }

    #[test]
    fn bits_reach_exactly_the_ancestors(parents in histories(40), seed in any::<u32>()) {
        let sets = ancestor_sets(&parents);
        let n = parents.len();
        let graph = Graph::new(parents).unwrap();
        let tested = [seed as usize % n, (seed as usize / 64) % n];
        let mut bits = vec![0u64; n];
        tested.iter().enumerate().for_each(|(bit, t)| bits[*t] |= 1 << bit);
        graph.carry_to_ancestors(&mut bits);
        for commit in 0..n {
            for (bit, t) in tested.iter().enumerate() {
                prop_assert_eq!(bits[commit] >> bit & 1 == 1, sets[*t][commit]);
            }
        }
    }
}

#[test]
fn bad_lists_are_refused_by_name() {
    assert_eq!(Graph::new(vec![]).unwrap_err(), GraphError::Empty);
    let error = Graph::new(vec![vec![], vec![1]]).unwrap_err();
    assert_eq!(error, GraphError::Order { child: 1, parent: 1 });
    assert!(error.to_string().contains("parents must come first"));
}

#[test]
fn back_merges_count_each_ancestor_once() {
    // 0 - 1 - 2 (main), 3 on 0, 4 merges main into the branch, 5 merges the branch into main.
    let graph =
        Graph::new(vec![vec![], vec![0], vec![1], vec![0], vec![3, 1], vec![2, 4]]).unwrap();
    let sizes: Vec<f64> = graph.ancestor_mass(|_| [1.0]).into_iter().map(|[m]| m).collect();
    assert_eq!(sizes, [1.0, 2.0, 3.0, 2.0, 4.0, 6.0]);
    assert_eq!(graph.merges(), 2);
}

#[test]
fn what_forked_off_before_the_older_end_is_told_by_its_fork_points() {
    // base - 0 - 4 - 6 - 7, 1 and 2 forked off at points of their own, 3 merges them; 5 has 3 merge the
    // base, and 6 and 7 merge the rest.
    let parents =
        vec![vec![], vec![], vec![], vec![1, 2], vec![0], vec![3], vec![4, 1], vec![6, 5]];
    let outside = vec![
        (0, Outside::Base),
        (5, Outside::Base),
        (2, Outside::Fork(1)),
        (1, Outside::Fork(0)),
        (3, Outside::Fork(0)),
    ];
    let graph = Graph::with_outside(parents, outside).unwrap();
    assert_eq!((graph.forks(), graph.all_contain_base()), (2, false));
    let contains: Vec<bool> = (0..8).map(|commit| graph.contains_base(commit)).collect();
    assert_eq!(contains, [true, false, false, false, true, true, true, true]);
    assert_eq!(graph.outside(3).collect::<Vec<_>>(), [Outside::Fork(0)]);
    assert_eq!(graph.outside(4).count(), 0);
    assert_eq!(graph.origin(1), graph.origin_of_fork(0));
    assert_eq!(graph.origin(2), graph.origin_of_fork(1));
    assert!(graph.origin(3) != graph.origin(1) && graph.origin(3) != graph.origin(2));
    // Without any, all roots are children of the older end.
    let graph = Graph::new(vec![vec![], vec![], vec![0, 1]]).unwrap();
    assert!(graph.all_contain_base() && graph.forks() == 0);
    assert_eq!(graph.outside(1).collect::<Vec<_>>(), [Outside::Base]);
}
