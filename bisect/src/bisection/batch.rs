//! A batch of runs of one image, side by side, each remembered as soon as it has ended.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

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

/// Failures of the host in a row before giving up, where nothing has run yet: a command that is not
/// there fails every time.
const NEVER_RAN: u32 = 8;
/// The same where something has run: five in a row come in every other bisection where one run in three
/// fails, and this many in none.
const HAS_RUN: u32 = 20;
/// The same for runs that took longer than they may: each costs that time.
const TOO_SLOW: u32 = 10;
/// Failures in a row from which on the host is given time before the next run, and the most of it.
const TROUBLED: u32 = 5;
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// What is run, and how it is remembered.
pub(crate) struct Batch {
    pub(crate) store: Store,
    pub(crate) tester: Arc<Tester>,
    pub(crate) image: ImageId,
    pub(crate) commit: String,
    /// Folder of the files that a run needs.
    pub(crate) place: PathBuf,
    /// Ends the batch early once it was seen: the planner then knows more than it asked for.
    pub(crate) target: Option<Target>,
    pub(crate) machines: usize,
    /// Runs that may be made in all, failures of the host among them.
    pub(crate) most: u32,
    /// When no further run is begun, whatever was wanted.
    pub(crate) deadline: Option<Instant>,
    /// Whether anything has run on this host before.
    pub(crate) has_run: bool,
}

/// The runs of a batch.
pub(crate) struct Ran {
    pub(crate) records: Vec<RunRecord>,
    /// Why there are fewer than were wanted: failures of the host without end.
    pub(crate) gave_up: Option<BisectError>,
}

impl Batch {
    /// Makes `wanted` runs that say something of the kernel (failures of the host are made again, as far
    /// as there may be more runs), telling `watch` of each.
    pub(crate) async fn run(&self, wanted: u32, watch: &dyn Watch) -> Result<Ran, BisectError> {
        let mut flying: JoinSet<Result<TestRun, crate::tester::TestError>> = JoinSet::new();
        let mut records = Vec::new();
        let (mut done, mut seen) = (0, false);
        let mut row = Row { failures: 0, has_run: self.has_run };
        let mut gave_up = None;
        while gave_up.is_none() {
            while !seen
                && self.deadline.is_none_or(|deadline| Instant::now() < deadline)
                && flying.len() < self.machines
                && done + (flying.len() as u32) < wanted
                && records.len() + flying.len() < self.most as usize
            {
                let (tester, place) = (Arc::clone(&self.tester), self.place.clone());
                let commit = self.commit.clone();
                flying.spawn(async move { tester.run(&place, &commit).await });
            }
            let Some(joined) = flying.join_next().await else { break };
            let run = joined.map_err(|error| BisectError::Task(error.to_string()))??;
            let record = self.remember(run).await?;
            match &record.outcome {
                Outcome::Infra { reason } => match row.failed(reason) {
                    Some(pause) => tokio::time::sleep(pause).await,
                    None => {
                        let slow = reason.starts_with(RAN_LONGER);
                        let error = if slow { BisectError::Slow } else { BisectError::Host };
                        gave_up = Some(error(reason.clone()));
                    }
                },
                outcome => {
                    row.ran();
                    done += 1;
                    seen |= matches!((outcome, &self.target),
                        (Outcome::Crash { title }, Some(target)) if target.is(title));
                    watch.happening(Happening::Ran { outcome, done, wanted });
                }
            }
            records.push(record);
        }
        Ok(Ran { records, gave_up })
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

/// Failures of the host in a row.
struct Row {
    failures: u32,
    has_run: bool,
}

impl Row {
    /// Takes note of another one. How long to wait before the next run; nothing when there are too many.
    fn failed(&mut self, reason: &str) -> Option<Duration> {
        self.failures += 1;
        let slow = reason.starts_with(RAN_LONGER);
        let most = match (self.has_run, slow) {
            (false, _) => NEVER_RAN,
            (true, true) => TOO_SLOW,
            (true, false) => HAS_RUN,
        };
        // What was slow has waited long enough, and what never ran needs another remedy.
        let doublings = self.failures.checked_sub(TROUBLED).filter(|_| self.has_run && !slow);
        let pause = doublings.map_or(Duration::ZERO, |n| Duration::from_secs(1 << n.min(10)));
        (self.failures < most).then_some(pause.min(LONGEST_PAUSE))
    }

    /// Takes note of a run that was none.
    fn ran(&mut self) {
        (self.failures, self.has_run) = (0, true);
    }
}

#[cfg(test)]
mod tests {
    use kiln_cache::Location;

    use super::*;
    use crate::boot::HostCommand;

    /// Hears nothing.
    struct Deaf;

    impl Watch for Deaf {
        fn happening(&self, _happening: Happening<'_>) {}
    }

    #[tokio::test]
    async fn failures_of_the_host_are_among_the_runs_that_may_be_made() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&Location::folder(dir.path().join("store"))).await.unwrap();
        let command = HostCommand::new("exit 200".into(), None, Duration::from_secs(9)).unwrap();
        let batch = Batch {
            store,
            tester: Arc::new(Tester::Host(command)),
            image: ImageId(kiln_cache::Digest::of(b"image")),
            commit: "c".into(),
            place: dir.path().to_owned(),
            target: None,
            machines: 2,
            most: 3,
            deadline: None,
            has_run: true,
        };
        let Ran { records, gave_up } = batch.run(10, &Deaf).await.unwrap();
        assert_eq!((records.len(), gave_up.is_none()), (3, true));
    }

    /// Failures until there are too many, and how long was waited between them.
    fn until_the_end(mut row: Row, reason: &str) -> (u32, Duration) {
        let pauses: Vec<Duration> = std::iter::from_fn(|| row.failed(reason)).collect();
        (pauses.len() as u32 + 1, pauses.iter().sum())
    }

    #[test]
    fn a_host_that_fails_often_is_borne_and_one_that_never_runs_is_not() {
        let row = |has_run| Row { failures: 0, has_run };
        assert_eq!(until_the_end(row(false), "no such command"), (8, Duration::ZERO));
        let (failures, waited) = until_the_end(row(true), "out of memory");
        assert_eq!(failures, 20);
        assert!((60..600).contains(&waited.as_secs()), "{waited:?}");
        let slow = format!("{RAN_LONGER} 60 s");
        assert_eq!(until_the_end(row(true), &slow), (10, Duration::ZERO));
        // One that ran begins another row.
        let mut ran = row(false);
        (0..4).for_each(|_| _ = ran.failed("x"));
        ran.ran();
        assert_eq!(until_the_end(ran, "x").0, 20);
        // Where 30 % of runs fail, a bisection of 1,000 runs comes to its end.
        let often = 1000.0 * 0.3f64.powi(HAS_RUN as i32);
        assert!(often < 1e-6, "{often}");
    }
}
