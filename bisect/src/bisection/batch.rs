//! A batch of runs of one image, side by side, each remembered as soon as it has ended.

use std::path::Path;
use std::sync::Arc;

use kiln_cache::Store;
use kiln_cache::evidence::{Outcome, Run};
use kiln_cache::signature::ImageId;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::error::BisectError;
use crate::boot::host_command::RAN_LONGER;
use crate::record::{RunRecord, Source};
use crate::tester::{TestRun, Tester};
use crate::title::Target;
use crate::watch::{Happening, Watch};

/// Failures of the host in a row before giving up: by then the host is what is broken.
const HOST_FAILURES: u32 = 5;

/// What is run, and how it is remembered.
pub(crate) struct Batch<'a> {
    pub(crate) store: &'a Store,
    pub(crate) tester: &'a Arc<Tester>,
    pub(crate) image: ImageId,
    pub(crate) commit: &'a str,
    /// Folder of the files that a run needs.
    pub(crate) place: &'a Path,
    /// Ends the batch early once it was seen: the planner then knows more than it asked for.
    pub(crate) target: Option<&'a Target>,
    pub(crate) machines: usize,
}

impl Batch<'_> {
    /// Makes `wanted` runs that say something of the kernel (failures of the host are made again),
    /// telling `watch` of each.
    pub(crate) async fn run(
        &self,
        wanted: u32,
        watch: &dyn Watch,
    ) -> Result<Vec<RunRecord>, BisectError> {
        let mut flying: JoinSet<Result<TestRun, crate::tester::TestError>> = JoinSet::new();
        let mut records = Vec::new();
        let (mut done, mut failures, mut seen) = (0, 0, false);
        loop {
            while !seen && flying.len() < self.machines && done + (flying.len() as u32) < wanted {
                let (tester, place) = (Arc::clone(self.tester), self.place.to_owned());
                let commit = self.commit.to_owned();
                flying.spawn(async move { tester.run(&place, &commit).await });
            }
            let Some(joined) = flying.join_next().await else { break };
            let run = joined.map_err(|error| BisectError::Task(error.to_string()))??;
            let record = self.remember(run).await?;
            match &record.outcome {
                Outcome::Infra { reason } => {
                    failures += 1;
                    if failures >= HOST_FAILURES {
                        let slow = reason.starts_with(RAN_LONGER);
                        let error = if slow { BisectError::Slow } else { BisectError::Host };
                        return Err(error(reason.clone()));
                    }
                }
                outcome => {
                    failures = 0;
                    done += 1;
                    seen |= matches!((outcome, self.target),
                        (Outcome::Crash { title }, Some(target)) if target.is(title));
                    watch.happening(Happening::Ran { outcome, done, wanted });
                }
            }
            records.push(record);
        }
        Ok(records)
    }

    async fn remember(&self, run: TestRun) -> Result<RunRecord, BisectError> {
        // The console first: a run that names its console must be able to show it.
        let console = match run.console.is_empty() {
            true => None,
            false => Some(self.store.put_bytes(run.console.into()).await?),
        };
        let known = Run {
            id: Uuid::now_v7(),
            image: self.image,
            test: self.tester.key(),
            outcome: run.outcome,
            seconds: run.seconds,
            finished: now(),
            console,
        };
        self.store.record_run(&known).await?;
        Ok(RunRecord {
            id: Some(known.id),
            outcome: known.outcome,
            seconds: known.seconds,
            source: Source::Booted,
            console,
        })
    }
}

/// Seconds since 1970.
pub(super) fn now() -> i64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs().try_into().unwrap_or(i64::MAX))
}
