//! The evidence table: one row a revision, for the terminal and for the page.

use kiln_bisect::record::{Commit, Record, Step};
use kiln_cache::evidence::Counts;

/// What was seen of one revision.
pub(crate) struct Row<'a> {
    /// Which.
    pub(crate) commit: &'a Commit,
    /// Crashes with the target's title.
    pub(crate) target: u32,
    /// Runs that ended well.
    pub(crate) ok: u32,
    /// Runs that say nothing about the target.
    pub(crate) other: u32,
    /// Probability that it is bad.
    pub(crate) bad: Option<f64>,
    /// It does not build.
    pub(crate) broken: bool,
}

/// The revisions in the order of their first visit.
pub(crate) fn rows(record: &Record) -> Vec<Row<'_>> {
    let matcher = record.matcher();
    let probabilities = record.finish().map_or(&[][..], |(_, tested)| tested);
    let mut visits: Vec<(&Commit, Vec<&Step>)> = Vec::new();
    for step in record.steps() {
        match visits.iter_mut().find(|(commit, _)| commit.id == step.commit.id) {
            Some((_, steps)) => steps.push(step),
            None => visits.push((&step.commit, vec![step])),
        }
    }
    visits
        .into_iter()
        .map(|(commit, steps)| {
            let mut counts = Counts::default();
            for run in steps.iter().flat_map(|step| &step.runs) {
                counts.add(&run.outcome, 1);
            }
            let target = matcher.as_ref().map_or(0, |matcher| matcher.informative(&counts).target);
            let known = probabilities.iter().find(|(id, _)| *id == commit.id).map(|(_, p)| *p);
            Row {
                commit,
                target,
                ok: counts.ok,
                other: counts.total() - counts.ok - target,
                bad: known.or(steps.last().and_then(|step| step.probability_bad)),
                broken: steps.iter().any(|step| !step.build.errors.is_empty()),
            }
        })
        .collect()
}
