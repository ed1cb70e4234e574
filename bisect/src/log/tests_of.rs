//! A record regrouped the way classic logs tell it: each revision tested once, then judged.

use crate::record::{BuildRecord, Commit, Record, RunRecord};

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
    let probabilities = record.finish().map_or(&[][..], |(_, tested)| tested);
    let mut all: Vec<Tested<'_>> = Vec::new();
    for step in record.steps() {
        if let Some(known) = all.iter_mut().find(|t| t.commit.id == step.commit.id) {
            known.runs.extend(&step.runs);
            continue;
        }
        let probability = probabilities
            .iter()
            .find(|(id, _)| *id == step.commit.id)
            .map(|(_, p)| *p)
            .or(step.probability_bad);
        let judged = match probability {
            _ if !step.build.errors.is_empty() => Judged::Skip,
            Some(p) if p >= SURE => Judged::Bad,
            Some(p) if p <= 1.0 - SURE => Judged::Good,
            _ => Judged::Skip,
        };
        all.push(Tested {
            commit: &step.commit,
            build: &step.build,
            runs: step.runs.iter().collect(),
            judged,
        });
    }
    all
}
