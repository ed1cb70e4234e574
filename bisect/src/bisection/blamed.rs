//! The first suspects: commits that change files of the functions that crashed.

use std::sync::Arc;

use kiln_builder::commits_changing;
use kiln_cache::evidence::Outcome;

use super::error::BisectError;
use super::setup::{Bisection, blocking};
use crate::boot::said::without_payload;
use crate::console::crash_functions;
use crate::tester::Tester;
use crate::watch::Happening;

/// Functions of a crash that are looked for, from the innermost on: beyond them are those that
/// everything comes through.
const FUNCTIONS: usize = 6;

/// Longest console that is read for it, in bytes.
const LONGEST: u64 = 16 << 20;

impl Bisection {
    /// Learns from the first console at hand that shows the target which commits are the first
    /// suspects. They are a matter of priors alone: they are tested sooner, and named no sooner.
    pub(super) async fn learn_blamed(&mut self, tester: &Arc<Tester>) -> Result<(), BisectError> {
        if self.asked_for_blamed {
            return Ok(());
        }
        let Some(functions) = self.crashed_in(tester).await? else { return Ok(()) };
        self.asked_for_blamed = true;
        let (edges, wanted) = (Arc::clone(&self.edges), functions.clone());
        let commits = blocking(move || Ok(commits_changing(&edges, &wanted)?)).await?;
        if !commits.is_empty() {
            let (functions, commits) = (functions.as_slice(), commits.len());
            self.watch.happening(Happening::Blamed { functions, commits });
        }
        self.knowledge.blamed = commits;
        Ok(())
    }

    /// The functions that the target crashed in; `None` while no console of it is at hand.
    async fn crashed_in(&self, tester: &Arc<Tester>) -> Result<Option<Vec<String>>, BisectError> {
        let target = self.target()?;
        for image in self.knowledge.images() {
            if target.informative(&self.knowledge.counts(image)).target == 0 {
                continue;
            }
            for run in self.store.runs(&image, &tester.key()).await? {
                let Outcome::Crash { title } = &run.outcome else { continue };
                let Some(console) = run.console.filter(|_| target.is(title)) else { continue };
                // Consoles may go before the runs that they are of.
                let Ok(reader) = self.store.reader(&console).await else { continue };
                let bytes = reader.read(0..reader.size().min(LONGEST)).await?;
                let functions =
                    crash_functions(&without_payload(&bytes), &self.patterns, FUNCTIONS);
                return Ok(Some(functions));
            }
        }
        Ok(None)
    }
}
