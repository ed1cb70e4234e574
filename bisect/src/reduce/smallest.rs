//! A subset that shows the crash, and none of whose elements can be left out.
//!
//! Delta debugging (Zeller and Hildebrandt, 2002) halves the set as long as one part alone shows the
//! crash, and takes many questions when what it needs lies in two parts. This asks for prefixes
//! instead: the shortest one that shows the crash ends with an element that is needed; with that one
//! kept, the elements before it are searched in the same way. `k` needed elements of `n` take about
//! `k (log2 n + 2)` questions.

/// Asks for the sets of which nothing is known yet, one at a time.
///
/// `shows` says whether a set shows the crash, or returns an error: the first one ends the search
/// and is passed on. A search that starts again with more known asks for the next set; the answers
/// decide everything, so equal answers give an equal end. Sets are in rising order. A set may be
/// asked for twice.
///
/// The whole set must show the crash, the empty one must not: neither is asked for. Whatever the
/// answers, the result is a set that was said to show it: an answer of `false` that is wrong makes
/// it larger than it could be.
///
/// # Errors
/// Whatever `shows` returns.
pub(super) fn smallest<E>(
    elements: usize,
    mut shows: impl FnMut(&[usize]) -> Result<bool, E>,
) -> Result<Vec<usize>, E> {
    let mut kept: Vec<usize> = Vec::new();
    // What is kept and the first `most` elements show it.
    let mut most = elements;
    while most > 0 && (kept.is_empty() || !shows(&kept)?) {
        let mut least = 0;
        while most - least > 1 {
            let middle = least + (most - least) / 2;
            let set: Vec<usize> = (0..middle).chain(kept.iter().copied()).collect();
            if shows(&set)? {
                most = middle;
            } else {
                least = middle;
            }
        }
        most -= 1;
        kept.insert(0, most);
    }
    // The last one found was not needed if an answer was wrong, the others also if a later one
    // stands in for them.
    let mut at = 0;
    while at < kept.len() && kept.len() > 1 {
        let mut rest = kept.clone();
        rest.remove(at);
        match shows(&rest)? {
            true => (kept, at) = (rest, 0),
            false => at += 1,
        }
    }
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::convert::Infallible;

    use proptest::prelude::*;

    use super::*;

    fn contains(set: &[usize], wanted: &[usize]) -> bool {
        wanted.iter().all(|element| set.contains(element))
    }

    /// What is found, and how many different sets were asked for.
    fn search(n: usize, shows: impl Fn(&[usize]) -> bool) -> (Vec<usize>, usize) {
        let mut asked = HashSet::new();
        let found = smallest::<Infallible>(n, |set| {
            assert!(set.is_sorted(), "{set:?}");
            asked.insert(set.to_vec());
            Ok(shows(set))
        });
        (found.unwrap(), asked.len())
    }

    #[test]
    fn few_of_many_take_few_questions() {
        let (found, asked) = search(1000, |set| set.contains(&700));
        assert_eq!(found, [700]);
        assert!(asked <= 12, "{asked}");
        let (found, asked) = search(1000, |set| contains(set, &[3, 700, 999]));
        assert_eq!(found, [3, 700, 999]);
        assert!(asked <= 36, "{asked}");
    }

    #[test]
    fn one_that_stands_in_for_another_is_no_reason_to_keep_both() {
        let (found, _) =
            search(20, |set| set.contains(&4) && (contains(set, &[9]) || contains(set, &[12])));
        assert_eq!(found.len(), 2, "{found:?}");
    }

    #[test]
    fn an_open_question_ends_the_search() {
        assert_eq!(smallest(8, |set| Err::<bool, _>(set.to_vec())), Err(vec![0, 1, 2, 3]));
    }

    proptest! {
        #[test]
        fn what_is_needed_is_found(n in 1usize..60, picks in prop::collection::vec(0usize..60, 1..5)) {
            let mut wanted: Vec<usize> = picks.into_iter().map(|pick| pick % n).collect();
            wanted.sort_unstable();
            wanted.dedup();
            let (found, asked) = search(n, |set| contains(set, &wanted));
            let each = (n as f64).log2().ceil() as usize + 2;
            prop_assert!(asked <= wanted.len() * each + wanted.len(), "{} questions", asked);
            prop_assert_eq!(found, wanted);
        }

        #[test]
        fn a_wrong_no_never_loses_what_is_needed(
            n in 2usize..40, a in 0usize..40, b in 0usize..40, lies in prop::collection::vec(any::<bool>(), 64)
        ) {
            let wanted = [a % n, b % n];
            let mut asked = 0;
            let found = smallest::<Infallible>(n, |set| {
                asked += 1;
                Ok(contains(set, &wanted) && !lies[asked % lies.len()])
            });
            prop_assert!(contains(&found.unwrap(), &wanted));
        }
    }
}
