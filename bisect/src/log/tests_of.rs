//! A record regrouped the way classic logs tell it: each revision tested once, then judged.

use crate::belief::Find;
use crate::record::{BuildRecord, Commit, Record, RunRecord, Step};
use crate::verdict::Verdict;

/// From this probability on a revision is written down as bad (and below its complement as good).
const SURE: f64 = 0.95;

/// What a classic log says of a revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Judged {
    Good,
    Bad,
    Skip,
}

/// All that was seen of one revision.
pub(super) struct Tested<'a> {
    pub(super) commit: &'a Commit,
    pub(super) build: &'a BuildRecord,
    pub(super) runs: Vec<&'a RunRecord>,
    pub(super) judged: Judged,
}

/// The revisions in the order of their first visit.
///
/// Kiln goes back to a revision when more runs of it are worth more than a new build; classic
/// formats know one test a revision, so the visits are joined, and judged by what is known at the
/// end.
pub(super) fn tested(record: &Record) -> Vec<Tested<'_>> {
    let mut all: Vec<Tested<'_>> = Vec::new();
    for step in record.steps() {
        match all.iter_mut().find(|tested| tested.commit.id == step.commit.id) {
            Some(known) => known.runs.extend(&step.runs),
            None => all.push(Tested {
                commit: &step.commit,
                build: &step.build,
                runs: step.runs.iter().collect(),
                judged: judged(record, step),
            }),
        }
    }
    all
}

/// What is known of the revision of a step in the end: as the answer has it, or while there is none, as
/// the last step did that could tell.
fn judged(record: &Record, step: &Step) -> Judged {
    let finished = record.finish().map_or(&[][..], |(_, tested)| tested);
    let finished = finished.iter().find(|(id, _)| *id == step.commit.id).map(|(_, p)| *p);
    let own = record.steps().filter(|other| other.commit.id == step.commit.id);
    let probability = finished.or_else(|| own.filter_map(|step| step.probability_bad).last());
    let is_parent = |parents: &[Commit]| parents.iter().any(|it| it.id == step.commit.id);
    match probability {
        _ if !step.build.errors.is_empty() => Judged::Skip,
        Some(p) if p >= SURE => Judged::Bad,
        Some(p) if p <= 1.0 - SURE => Judged::Good,
        // A fork point is none of the range's: that it is on the other side is part of the answer.
        None if let Some((Verdict::Culprit { parents, .. }, _)) = record.finish()
            && is_parent(parents)
            && !step.runs.is_empty() =>
        {
            match record.header.find {
                Find::Cause => Judged::Good,
                Find::Fix => Judged::Bad,
            }
        }
        _ => Judged::Skip,
    }
}

#[cfg(test)]
mod tests {
    use kiln_cache::Digest;

    use super::*;
    use crate::record::Event;

    #[test]
    fn a_revision_is_judged_by_what_was_known_last() {
        let step = |commit: &str, bad: &str| {
            let text = format!(
                r#"{{"event":"step","commit":{{"id":"{commit}","subject":""}},"why":"",
                    "recalled":false,"build":{{"obtained":"compiled","input_key":"{}",
                    "signatures":{{}},"compiler":"","seconds":1.0,"compile_seconds":1.0,
                    "errors":[],"notes":[]}},"runs":[],"probability_bad":{bad},"credible":1}}"#,
                Digest::of(b"").to_hex(),
            );
            (0, serde_json::from_str::<Event>(&text).unwrap())
        };
        // Clean at first, then it crashed; and one that was told of once more without a probability.
        let events = vec![
            step("a", "0.03"),
            step("b", "0.5"),
            step("a", "0.99"),
            step("b", "0.01"),
            step("b", "null"),
        ];
        let header = crate::bisection::tests_header();
        let mut record = Record { id: "x".into(), created: 0, header, events };
        let judged = |record: &Record| -> Vec<Judged> {
            tested(record).iter().map(|tested| tested.judged).collect()
        };
        assert_eq!(judged(&record), [Judged::Bad, Judged::Good]);
        // The answer knows best.
        let finished = r#"{"event":"finished","verdict":{"verdict":"not-reproduced","clean":1,
            "crashes":[]},"tested":[["a",0.4]]}"#;
        record.events.push((0, serde_json::from_str(finished).unwrap()));
        assert_eq!(judged(&record), [Judged::Skip, Judged::Good]);
    }
}
