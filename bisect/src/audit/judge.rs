//! The audit itself.

use serde::Serialize;

use crate::belief::Rate;
use crate::log::import::{Imported, Mark, Role};

use super::chain::Chain;
use super::next::{Doubt, Next, Prices, revert, settle};
use super::right::{WEIGHTS, features, probability};
use super::savings::{Saved, saved};
use super::target::Target;
use super::traits::Traits;
use super::weigh::{Weighed, weigh};

/// Share of wrong answers whose first mistake is the first revision called good, whatever its runs
/// say: 51 of 114 in `labels.jsonl` (FSE 2024), less those whose runs say so themselves.
const COULD_NOT_SHOW: f64 = 0.4;

/// Probability of missing the bug from which a verdict counts as resting on too few runs.
const FEW: f64 = 0.05;

/// A verdict of the log, and what its runs say.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Judged {
    /// Line of the log where its test begins.
    pub line: usize,
    /// The commit.
    pub commit: String,
    /// First line of its message, or its tag.
    pub title: String,
    /// What the log says it is.
    pub verdict: Option<Mark>,
    /// Crashes with a title that the start shows.
    pub target: u32,
    /// Runs that ended well.
    pub clean: u32,
    /// Runs that say nothing of the target: other titles, boot failures, faults of the host.
    pub censored: u32,
    /// Bits that these runs alone give for "bad"; negative for "good". None for skipped ones.
    pub bits: Option<f64>,
    /// Probability that it is bad, by the runs of all. None for skipped ones.
    pub probability_bad: Option<f64>,
}

/// The verdict that most probably led astray.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Suspect {
    /// Its number among the tests, from 1.
    pub step: usize,
    /// Line of the log where its test begins.
    pub line: usize,
    /// The commit.
    pub commit: String,
    /// First line of its message, or its tag.
    pub title: String,
    /// What the log says it is.
    pub verdict: Mark,
    /// Probability that this was the first wrong verdict.
    pub probability: f64,
    /// Why, in a sentence.
    pub why: String,
}

/// A second opinion on a log.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Audit {
    /// The crash that is hunted: the title that the start shows most.
    pub target: Option<String>,
    /// How often a kernel with the bug crashes.
    pub rate: Option<Rate>,
    /// Probability of the answer by the runs alone, if the bug shows wherever it is.
    pub supported: Option<f64>,
    /// Probability that the named culprit is right; none when the log names none.
    pub probability_right: Option<f64>,
    /// What the culprit itself says.
    pub traits: Option<Traits>,
    /// Where it most probably went wrong, if it did.
    pub suspect_step: Option<Suspect>,
    /// What to run next.
    pub next: Option<Next>,
    /// What a cache would have saved.
    pub saved: Saved,
    /// Means of the log.
    pub prices: Prices,
    /// Each verdict.
    pub verdicts: Vec<Judged>,
}

/// Judges a log.
pub fn audit(log: &Imported) -> Audit {
    let prices = Prices::of(log);
    let target = Target::of(log);
    let chain = Chain::of(log);
    let weighed = target.as_ref().and_then(|target| weigh(log, &chain, target));
    let mut audit = Audit {
        target: target.as_ref().map(|target| target.main.clone()),
        rate: weighed.as_ref().map(|weighed| weighed.rate),
        supported: None,
        probability_right: None,
        traits: None,
        suspect_step: None,
        next: None,
        saved: saved(log, &prices),
        prices,
        verdicts: verdicts(log, target.as_ref(), &chain, weighed.as_ref()),
    };
    let (Some(target), Some(weighed)) = (target, weighed) else { return audit };
    audit.supported = chain.answer.map(|place| weighed.places[place]);
    // A range that was left because the oldest release shows the crash names no commit.
    let names = chain.answer.is_some_and(|place| place > 0);
    if let Some(supported) = audit.supported.filter(|_| names) {
        let traits = Traits::of(log, &target);
        audit.probability_right = Some(probability(&WEIGHTS, &features(supported, &traits)));
        audit.traits = Some(traits);
    }
    doubt(log, &chain, &weighed, &mut audit);
    audit
}

/// Shares the probability that the answer is wrong among the verdicts.
fn doubt(log: &Imported, chain: &Chain, weighed: &Weighed, audit: &mut Audit) {
    let supported = audit.supported.unwrap_or(0.0);
    let wrong = 1.0 - audit.probability_right.unwrap_or(supported);
    let first_good = (0..chain.order.len())
        .filter(|at| log.tests[chain.order[*at]].mark == Some(Mark::Good))
        .min_by_key(|at| chain.order[*at]);
    // Either the bug was older and could not show: then the first revision called good was the
    // first mistake. Or the runs say where else the culprit is. What they leave to no other place
    // is the former, too.
    let unseen = match first_good {
        Some(_) => (wrong - (1.0 - supported)).max(COULD_NOT_SHOW * wrong),
        None => 0.0,
    };
    let scale = if supported < 1.0 { (wrong - unseen) / (1.0 - supported) } else { 0.0 };
    let mut best: Option<(usize, usize, f64, bool)> = None;
    for (place, mass) in weighed.places.iter().enumerate() {
        let Some(test) = chain.ruled_out_by(place) else { continue };
        let Some(at) = chain.order.iter().position(|other| *other == test) else { continue };
        let hidden = if first_good == Some(at) && place == at { unseen } else { 0.0 };
        let p = mass * scale + hidden;
        if best.is_none_or(|best| p > best.2) {
            best = Some((place, at, p, hidden > mass * scale));
        }
    }
    let Some((place, at, p, could_not_show)) = best else { return };
    let test = &log.tests[chain.order[at]];
    let Some(judged) = audit.verdicts.iter().find(|judged| judged.line == test.line) else {
        return;
    };
    let verdict = test.mark.unwrap_or(Mark::Skip);
    audit.suspect_step = Some(Suspect {
        step: chain.order[at] + 1,
        line: test.line,
        commit: test.commit.clone(),
        title: test.title.clone(),
        verdict,
        probability: p,
        why: why(judged, verdict, could_not_show, weighed.rate),
    });
    audit.next = Some(match log.answer.culprit() {
        Some(culprit) if supported >= 0.5 => revert(culprit, weighed, &audit.prices),
        _ => settle(
            &Doubt { log, order: &chain.order, sizes: &chain.sizes, weighed, place, at },
            &audit.prices,
        ),
    });
}

fn why(judged: &Judged, verdict: Mark, could_not_show: bool, rate: Rate) -> String {
    let Judged { target, clean, .. } = judged;
    let quiet = (1.0 - rate.mean).powi((*clean).min(10_000) as i32);
    match verdict {
        Mark::Bad if *target == 0 => format!(
            "called bad, but no run shows the target: {clean} ended well, the others crashed \
             otherwise"
        ),
        Mark::Bad => format!("called bad on {target} of {} runs", target + clean),
        // Few runs are the simpler reason.
        _ if could_not_show && quiet < FEW => format!(
            "called good on {clean} clean runs, which is sound only if the bug could show there: \
             an older bug may need what later commits enable"
        ),
        _ => format!(
            "called good on {clean} clean runs; a bad kernel stays clean in as many with \
             probability {quiet:.2}"
        ),
    }
}

fn verdicts(
    log: &Imported,
    target: Option<&Target>,
    chain: &Chain,
    weighed: Option<&Weighed>,
) -> Vec<Judged> {
    let tests = log.tests.iter().enumerate();
    tests
        .filter(|(_, test)| test.role != Role::Parent)
        .map(|(index, test)| {
            let seen = target.map(|target| target.seen(&test.counts)).unwrap_or_default();
            let at = chain.order.iter().position(|other| *other == index);
            let of = |list: fn(&Weighed) -> &Vec<f64>| Some(list(weighed?)[at?]);
            Judged {
                line: test.line,
                commit: test.commit.clone(),
                title: test.title.clone(),
                verdict: test.mark,
                target: seen.target,
                clean: test.counts.ok,
                censored: test.counts.total() - test.counts.ok - seen.target,
                bits: of(|weighed| &weighed.bits),
                probability_bad: of(|weighed| &weighed.bad),
            }
        })
        .collect()
}
