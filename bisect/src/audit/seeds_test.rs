//! The two bisections that Kiln was conceived from, judged as design section 7 judges them.

use crate::log::import::tests::shared;
use crate::log::import::{Mark, read};

use super::{Audit, Next, audit};

fn seed(number: usize) -> Option<Audit> {
    shared("seed-bisections").get(number).map(|(_, bytes)| audit(&read(bytes)))
}

#[test]
fn the_first_rests_on_too_few_runs_of_its_good_end() {
    let Some(audit) = seed(0) else { return };
    assert!(audit.probability_right.unwrap() < 0.2, "{audit:#?}");
    let suspect = audit.suspect_step.unwrap();
    assert_eq!((suspect.title.as_str(), suspect.verdict), ("v5.14", Mark::Good));
    assert!(suspect.commit.starts_with("7d2a07b76933"));
    // 19 % by design section 7, at even odds and a uniform rate.
    let end = audit.verdicts.iter().find(|judged| judged.title == "v5.14").unwrap();
    let bad = end.probability_bad.unwrap();
    assert!((0.1..0.35).contains(&bad), "{bad}");
    // More runs of it, and no new build.
    let Some(Next::RunAgain { commit, runs, .. }) = audit.next else { panic!("{:?}", audit.next) };
    assert_eq!(commit, suspect.commit);
    assert!((30..=200).contains(&runs), "{runs}");
}

#[test]
fn the_second_follows_another_crash() {
    let Some(audit) = seed(1) else { return };
    assert!(audit.probability_right.unwrap() < 0.05, "{audit:#?}");
    let suspect = audit.suspect_step.unwrap();
    assert!(suspect.commit.starts_with("d99676af540c"), "{suspect:?}");
    assert_eq!(suspect.verdict, Mark::Bad);
    // Seven verdicts rest on another bug: none of their runs shows the target.
    let hollow = |judged: &&super::Judged| judged.verdict == Some(Mark::Bad) && judged.target == 0;
    assert_eq!(audit.verdicts.iter().filter(hollow).count(), 7);
    // The runs decide against that verdict: what it ruled out is to be bisected.
    let Some(Next::Bisect { good, bad, .. }) = audit.next else { panic!("{:?}", audit.next) };
    assert!(good.unwrap().starts_with("d99676af540c") && bad.starts_with("81b1d39fd39a"));
    // Two of the kernels are the same.
    assert_eq!((audit.saved.builds, audit.saved.twins.len()), (1, 1));
}
