//! The planner against kernels whose behaviour is given.

mod alike;
mod endless;
mod fix;
mod forks;
mod hours;
mod unequal;

use std::sync::Arc;

use super::*;
use crate::belief::Counts;
use crate::graph::Graph;

/// A bisection played against a kernel whose behaviour is given.
struct Play {
    problem: Problem,
    settings: Settings,
    /// Crashes of the target, clean runs and censored ones that a revision shows, in turns.
    shows: Box<dyn Fn(Place, u32) -> Counts>,
    works: Box<dyn Fn(Place) -> bool>,
    tested: Vec<(Place, u32, String)>,
}

fn crash() -> Counts {
    Counts { crashes: 1, ..Counts::default() }
}

fn clean() -> Counts {
    Counts { clean: 1, ..Counts::default() }
}

fn other() -> Counts {
    Counts { censored: 1, ..Counts::default() }
}

impl Play {
    fn new(graph: Graph, shows: impl Fn(Place, u32) -> Counts + 'static) -> Self {
        Self {
            problem: Problem::new(Arc::new(graph), Costs::default()),
            settings: Settings::default(),
            shows: Box::new(shows),
            works: Box::new(|_| true),
            tested: Vec::new(),
        }
    }

    fn status(&mut self, place: Place) -> &mut Status {
        match place {
            Place::Base => &mut self.problem.base,
            Place::Commit(c) => &mut self.problem.revisions[c as usize],
            Place::Fork(f) => &mut self.problem.forks[f as usize],
        }
    }

    fn step(&mut self, test: &Test) {
        self.tested.push((test.revision, test.runs, test.why.clone()));
        if let Some(left) = &mut self.problem.seconds_left {
            *left -= self.problem.costs.seconds(test.build, test.runs, self.problem.machines);
        }
        assert!(test.runs > 0 && !test.why.is_empty());
        if self.status(test.revision).state == State::Unknown {
            let known = self.status(test.revision).image;
            assert!(test.build || known.is_some(), "{test:?}");
            self.problem.spent.builds += u32::from(test.build);
            if !(self.works)(test.revision) {
                self.status(test.revision).state = State::Broken;
                return;
            }
            let image = known.unwrap_or(self.problem.images.len() as u32);
            if known.is_none() {
                self.problem.images.push(Counts::default());
            }
            *self.status(test.revision) = Status { image: Some(image), state: State::Built };
        }
        let image = self.status(test.revision).image.unwrap() as usize;
        for _ in 0..test.runs {
            let nth = self.problem.images[image].total();
            let run = (self.shows)(test.revision, nth);
            let counts = &mut self.problem.images[image];
            counts.crashes += run.crashes;
            counts.clean += run.clean;
            counts.censored += run.censored;
            self.problem.spent.runs += 1;
            if run.crashes > 0 {
                break;
            }
        }
    }

    fn finish(&mut self) -> Verdict {
        for _ in 0..2000 {
            match decide(&self.problem, &self.settings).unwrap() {
                Decision::Test(test) => self.step(&test),
                Decision::Stop(verdict) => {
                    let again = decide(&self.problem, &self.settings).unwrap();
                    assert_eq!(again, Decision::Stop(verdict.clone()), "stops the same way again");
                    return verdict;
                }
            }
        }
        panic!("no end: {:?}", &self.tested[self.tested.len() - 10..]);
    }

    /// As [`Self::finish`], where all censored runs are crashes of this title.
    fn finish_naming(&mut self, title: &str) -> Verdict {
        loop {
            let censored = self.problem.images.iter().map(|counts| counts.censored);
            self.problem.others = censored.map(|n| [(title.to_owned(), n)].into()).collect();
            match decide(&self.problem, &self.settings).unwrap() {
                Decision::Test(test) => self.step(&test),
                Decision::Stop(verdict) => return verdict,
            }
        }
    }

    fn counts(&self, place: Place) -> Counts {
        self.problem.counts(place)
    }
}

/// Crashes in one of `every` runs from `culprit` on.
fn from(culprit: u32, every: u32) -> impl Fn(Place, u32) -> Counts {
    move |place, nth| match place {
        Place::Commit(c) if c >= culprit && nth % every == every / 2 => crash(),
        _ => clean(),
    }
}

#[test]
fn finds_a_certain_crash_with_few_builds() {
    let mut play = Play::new(Graph::linear(1000).unwrap(), from(371, 1));
    let Verdict::Culprit { commit, probability, parents, crashes, .. } = play.finish() else {
        panic!("no culprit")
    };
    assert_eq!(commit, 371);
    assert!(probability >= 0.95 && crashes >= 2);
    assert_eq!(parents.len(), 1);
    assert!(parents[0].seen >= parents[0].needed);
    assert!(play.problem.spent.builds <= 14, "{}", play.problem.spent.builds);
}

#[test]
fn finds_a_rare_crash() {
    let mut play = Play::new(Graph::linear(1000).unwrap(), from(371, 7));
    let Verdict::Culprit { commit, rate, .. } = play.finish() else { panic!("no culprit") };
    assert_eq!(commit, 371);
    assert!(rate.low < 1.0 / 7.0 && rate.high > 1.0 / 7.0, "{rate:?}");
    assert!(play.problem.spent.builds <= 20, "{}", play.problem.spent.builds);
}

/// Main 0..40, a branch of ten off commit 5 merged at the end (50), then five more: the parents of each.
fn side_branch() -> Vec<Vec<u32>> {
    let mut parents: Vec<Vec<u32>> =
        (0..40).map(|i: u32| if i == 0 { vec![] } else { vec![i - 1] }).collect();
    parents.push(vec![5]);
    (41..50).for_each(|i| parents.push(vec![i - 1]));
    parents.push(vec![39, 49]);
    (51..56).for_each(|i| parents.push(vec![i - 1]));
    parents
}

#[test]
fn finds_the_culprit_on_a_side_branch_and_clears_each_parent() {
    let parents = side_branch();
    for culprit in [43, 50] {
        let graph = Graph::new(parents.clone()).unwrap();
        let bad = graph.descendants(culprit);
        let mut play = Play::new(graph, move |place, nth| match place {
            Place::Commit(c) if bad[c as usize] && nth % 3 == 1 => crash(),
            _ => clean(),
        });
        let Verdict::Culprit { commit, parents: cleared, .. } = play.finish() else {
            panic!("no culprit")
        };
        assert_eq!(commit, culprit);
        assert_eq!(cleared.len(), parents[culprit as usize].len());
        assert!(cleared.iter().all(|c| c.seen >= c.needed));
    }
}

#[test]
fn a_bug_older_than_the_good_end_is_said_to_be() {
    let mut play =
        Play::new(
            Graph::linear(500).unwrap(),
            |_, nth| {
                if nth % 4 == 1 { crash() } else { clean() }
            },
        );
    let Verdict::OlderThanGood { probability, crashes, .. } = play.finish() else {
        panic!("not older")
    };
    assert!(probability >= 0.95 && crashes >= 2);
}

#[test]
fn a_target_that_never_shows_is_not_reproduced() {
    let mut play = Play::new(Graph::linear(500).unwrap(), |_, _| clean());
    let Verdict::NotReproduced { crashes, clean, missed, .. } = play.finish() else {
        panic!("reproduced")
    };
    assert_eq!(crashes, 0);
    assert!((60..400).contains(&clean) && missed < 0.05, "{clean} {missed}");
    assert_eq!(play.problem.spent.builds, 1);
}

#[test]
fn other_crashes_are_never_evidence() {
    // Every second run of the older half shows another crash; the target comes from 371 on.
    let mut play = Play::new(Graph::linear(500).unwrap(), |place, nth| match place {
        _ if nth % 2 == 0 && place < Place::Commit(250) => other(),
        Place::Commit(c) if c >= 371 => crash(),
        _ => clean(),
    });
    let verdict = play.finish();
    assert!(matches!(verdict, Verdict::Culprit { commit: 371, .. }), "{verdict:?}");
    // A bad end that shows only other crashes proves nothing at all.
    let mut play = Play::new(Graph::linear(500).unwrap(), |_, _| other());
    let Verdict::NotReproduced { crashes: 0, clean: 0, censored, .. } = play.finish() else {
        panic!("sure of nothing")
    };
    assert!(censored > 0);
}

#[test]
fn unbuildable_neighbours_leave_a_set_with_the_truth() {
    let mut play = Play::new(Graph::linear(400).unwrap(), from(207, 1));
    play.works = Box::new(|place| !matches!(place, Place::Commit(200..212)));
    let Verdict::Inconclusive { set, more, .. } = play.finish() else { panic!("named one") };
    let commits: Vec<u32> = set.commits.iter().map(|(c, _)| *c).collect();
    assert!(commits.contains(&207), "{commits:?}");
    assert!(commits.len() <= 16 && set.share >= 0.95, "{commits:?}");
    let more = more.expect("some were not tried");
    assert!(more.build && matches!(more.revision, Place::Commit(200..212)), "{more:?}");
    // A dead span costs a search for its ends, not one build for each of its commits.
    assert!(play.problem.spent.builds <= 26, "{}", play.problem.spent.builds);
}

#[test]
fn a_broken_bad_end_stops_with_the_reason() {
    let mut play = Play::new(Graph::linear(50).unwrap(), from(20, 1));
    play.works = Box::new(|place| place != Place::Commit(49));
    let Verdict::Inconclusive { why, .. } = play.finish() else { panic!("went on") };
    assert!(why.contains("bad end does not build"), "{why}");
}

#[test]
fn one_crash_never_decides() {
    // The bad end crashes often; somewhere in the middle one single run does, by chance.
    let mut play = Play::new(Graph::linear(64).unwrap(), |place, nth| match place {
        Place::Commit(c) if c >= 50 && nth % 4 == 1 => crash(),
        Place::Commit(c) if (20..40).contains(&c) && nth == 0 => crash(),
        _ => clean(),
    });
    match play.finish() {
        Verdict::Culprit { commit, .. } => {
            assert!(play.counts(Place::Commit(commit)).crashes >= 2);
            assert_eq!(commit, 50);
        }
        Verdict::Inconclusive { .. } => {}
        other => panic!("{other:?}"),
    }
    // Nor does it establish the bad end.
    let mut play =
        Play::new(Graph::linear(64).unwrap(), |_, nth| if nth == 3 { crash() } else { clean() });
    let verdict = play.finish();
    assert!(matches!(verdict, Verdict::NotReproduced { crashes: 1, .. }), "{verdict:?}");
}

#[test]
fn a_culprit_equal_to_its_parent_by_image_is_never_named() {
    let mut play = Play::new(Graph::linear(100).unwrap(), from(60, 1));
    // 59, 60 and 61 are known to give one image: the plants contradict it on purpose.
    play.problem.images.push(Counts::default());
    for c in 59..=61 {
        play.problem.revisions[c].image = Some(0);
    }
    if let Verdict::Culprit { commit, .. } = play.finish() {
        assert!(!(60..=61).contains(&commit), "{commit}");
    }
}

#[test]
fn a_culprit_that_runs_speak_against_is_not_named() {
    let mut play = Play::new(Graph::linear(100).unwrap(), from(60, 1));
    // 30 is known to crash though 31..60 do not: the bug came, went and came back.
    play.problem.images.push(Counts { crashes: 10, ..Counts::default() });
    play.problem.revisions[30] = Status { image: Some(0), state: State::Built };
    for (image, commit) in [(1, 35), (2, 40), (3, 45), (4, 50)] {
        play.problem.images.push(Counts { clean: 10, ..Counts::default() });
        play.problem.revisions[commit] = Status { image: Some(image), state: State::Built };
    }
    let verdict = play.finish();
    let Verdict::Inconclusive { why, contradiction: true, set, .. } = verdict else {
        panic!("{verdict:?}")
    };
    assert!(why.contains("speak against every commit"), "{why}");
    assert!(set.commits.iter().any(|(commit, _)| *commit == 60), "{set:?}");
}

/// The verdict on linear commits whose bug comes with 60, given the share of runs (one in `every`)
/// that show another title on all commits before 60, and on the bad end.
fn with_another_title(before: u32, bad_end: Option<u32>) -> Verdict {
    let mut play = Play::new(Graph::linear(100).unwrap(), move |place, nth| match place {
        Place::Commit(99) if bad_end.is_some_and(|every| nth % every == 1) => other(),
        Place::Commit(c) if c >= 60 && nth % 4 == 0 => crash(),
        Place::Commit(c) if c < 60 && nth % before == 1 => other(),
        _ => clean(),
    });
    if let Some(every) = bad_end {
        play.problem.images.push(Counts { crashes: 2, clean: 2 * every - 4, censored: 2 });
        play.problem.revisions[99] = Status { image: Some(0), state: State::Built };
    }
    play.finish_naming("B")
}

#[test]
fn a_parent_that_crashes_as_often_under_another_title_clears_nobody() {
    let verdict = with_another_title(3, None);
    let Verdict::Inconclusive { why, .. } = verdict else { panic!("{verdict:?}") };
    assert!(why.contains(" x B"), "{why}");
    // Seldom enough, or there all along, it is another bug.
    for verdict in [with_another_title(40, None), with_another_title(3, Some(4))] {
        assert!(matches!(verdict, Verdict::Culprit { commit: 60, .. }), "{verdict:?}");
    }
}

#[test]
fn a_parent_that_cannot_be_tested_is_not_called_good() {
    let mut play = Play::new(Graph::linear(1).unwrap(), from(0, 1));
    play.works = Box::new(|place| place != Place::Base);
    play.settings.threshold = 0.8;
    let verdict = play.finish();
    let Verdict::Culprit { commit: 0, parents, .. } = verdict else { panic!("{verdict:?}") };
    assert!(parents[0].parent == Place::Base && !parents[0].is_settled(), "{parents:?}");
}

#[test]
fn twins_share_runs_and_builds() {
    let mut play = Play::new(Graph::linear(100).unwrap(), from(60, 2));
    play.problem.images.push(Counts::default());
    for c in 30..=59 {
        play.problem.revisions[c].image = Some(0);
    }
    let verdict = play.finish();
    assert!(matches!(verdict, Verdict::Culprit { commit: 60, .. }), "{verdict:?}");
    let twins: Vec<Place> = (30..=59).map(Place::Commit).collect();
    let tested: Vec<Place> =
        play.tested.iter().map(|(place, ..)| *place).filter(|p| twins.contains(p)).collect();
    assert!(!tested.is_empty() && tested.iter().all(|p| *p == tested[0]), "{tested:?}");
}

#[test]
fn known_evidence_gives_the_answer_at_once() {
    let mut first = Play::new(Graph::linear(300).unwrap(), from(123, 3));
    let verdict = first.finish();
    let mut again = first.problem.clone();
    again.spent = Spent::default();
    assert_eq!(decide(&again, &first.settings).unwrap(), Decision::Stop(verdict));
}

#[test]
fn budgets_end_with_what_more_would_buy() {
    let mut play = Play::new(Graph::linear(1000).unwrap(), from(371, 2));
    play.settings.max_builds = Some(5);
    let Verdict::Inconclusive { more, set, .. } = play.finish() else { panic!("found") };
    assert_eq!(play.problem.spent.builds, 5);
    assert!(more.is_some_and(|m| m.build && m.bits > 0.0));
    assert!(set.commits.iter().any(|(c, _)| *c == 371));
    let mut play = Play::new(Graph::linear(1000).unwrap(), from(371, 4));
    play.settings.max_runs = Some(30);
    assert!(matches!(play.finish(), Verdict::Inconclusive { more: Some(_), .. }));
    assert!(play.problem.spent.runs <= 30);
}

#[test]
fn without_builds_left_nothing_is_run_for_ever() {
    let mut play = Play::new(Graph::linear(1000).unwrap(), from(371, 4));
    play.settings.max_builds = Some(5);
    let Verdict::Inconclusive { more, set, .. } = play.finish() else { panic!("found") };
    assert!(more.is_some_and(|more| more.build), "{more:?}");
    assert!(set.commits.iter().any(|(c, _)| *c == 371));
    assert!(play.problem.spent.runs <= 120, "{}", play.problem.spent.runs);
}

#[test]
fn without_builds_left_what_is_settled_is_not_run_on() {
    for (culprit, every) in [(371, 4), (640, 10)] {
        let mut play = Play::new(Graph::linear(1000).unwrap(), from(culprit, every));
        play.settings.max_builds = Some(6);
        assert!(matches!(play.finish(), Verdict::Inconclusive { more: Some(_), .. }));
        // Runs of what seems to be good with more than 95 % tell next to nothing.
        let most = (0..1000).map(|c| play.counts(Place::Commit(c)).clean).max().unwrap();
        assert!(most <= 8 * every, "{most} clean runs where one in {every} crashes");
    }
}

#[test]
fn the_good_end_can_come_first() {
    let mut play = Play::new(Graph::linear(100).unwrap(), from(40, 2));
    play.settings.good_end_first = true;
    assert!(matches!(play.finish(), Verdict::Culprit { commit: 40, .. }));
    let first = play.tested.iter().find(|(place, ..)| *place != Place::Commit(99)).unwrap();
    assert_eq!(first.0, Place::Base);
}

#[test]
fn a_single_commit_needs_its_parent_the_good_end() {
    let mut play = Play::new(Graph::linear(1).unwrap(), from(0, 2));
    let Verdict::Culprit { commit: 0, parents, .. } = play.finish() else { panic!("not found") };
    assert_eq!(parents[0].parent, Place::Base);
    assert!(parents[0].seen >= parents[0].needed);
}

#[test]
fn wrong_problems_are_refused_by_name() {
    let graph = Arc::new(Graph::linear(3).unwrap());
    let settings = Settings::default();
    let mut problem = Problem::new(graph, Costs::default());
    problem.revisions.pop();
    assert!(matches!(decide(&problem, &settings), Err(ProblemError::Length { .. })));
    problem.revisions.push(Status { image: Some(4), state: State::Unknown });
    let error = decide(&problem, &settings).unwrap_err();
    assert!(error.to_string().contains("image 4"), "{error}");
    problem.revisions[2] = Status { image: None, state: State::Built };
    assert!(matches!(decide(&problem, &settings), Err(ProblemError::NoImage { .. })));
    problem.revisions[2] = Status::default();
    problem.costs.run_seconds = 0.0;
    assert!(matches!(decide(&problem, &settings), Err(ProblemError::Cost(_))));
}

#[test]
fn a_failure_in_a_file_says_nothing_of_commits_with_another_one() {
    let mut problem = Problem::new(Arc::new(Graph::linear(64).unwrap()), Costs::default());
    problem.revisions[40].state = State::Broken;
    let settings = Settings::default();
    let before = super::spans::testable(&problem, &settings);
    assert!(before[37] < 0.3 && before[44] < 0.3, "{} {}", before[37], before[44]);
    problem.faults.insert(40, crate::rows::Rows::of(39..43));
    let after = super::spans::testable(&problem, &settings);
    assert_eq!(after[41], before[41]);
    assert!((38..39).chain(43..48).all(|c| after[c] > 0.97), "{after:?}");
    assert_eq!(after[40], 0.0);
}
