//! The evidence table: one row a revision, for the terminal and for the page.

use kiln_bisect::record::{Commit, Record, Step};
use kiln_bisect::verdict::Verdict;
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

/// Steps at one revision, one after the other: the planner asks again after each few runs.
pub(crate) struct Visit<'a> {
    /// The first of them.
    pub(crate) first: &'a Step,
    /// Runs of all of them.
    pub(crate) counts: Counts,
    /// How many steps.
    pub(crate) steps: usize,
    /// Probability that the revision is bad, after the last.
    pub(crate) bad: Option<f64>,
    /// Commits that were left after the last.
    pub(crate) credible: Option<usize>,
}

/// The visits, in order.
pub(crate) fn visits(record: &Record) -> Vec<Visit<'_>> {
    let mut visits: Vec<Visit<'_>> = Vec::new();
    for step in record.visits() {
        let joins = visits.last().is_some_and(|last| {
            last.first.commit.id == step.commit.id && last.first.recalled == step.recalled
        });
        if !joins {
            visits.push(Visit {
                first: step,
                counts: Counts::default(),
                steps: 0,
                bad: None,
                credible: None,
            });
        }
        let Some(last) = visits.last_mut() else { continue };
        step.runs.iter().for_each(|run| last.counts.add(&run.outcome, 1));
        last.steps += 1;
        (last.bad, last.credible) = (step.probability_bad, step.credible);
    }
    visits
}

/// The revisions in the order of their first visit.
pub(crate) fn rows(record: &Record) -> Vec<Row<'_>> {
    let matcher = record.matcher();
    // Where the bad end does not show the target, nothing is bad or good.
    let is_known = !matches!(record.finish(), Some((Verdict::NotReproduced { .. }, _)));
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
                bad: known
                    .or(steps.last().and_then(|step| step.probability_bad))
                    .filter(|_| is_known),
                broken: steps.iter().any(|step| !step.build.errors.is_empty()),
            }
        })
        .collect()
}
