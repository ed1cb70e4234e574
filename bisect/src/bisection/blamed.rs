//! The first suspects: commits that change files of the functions that crashed.

use std::sync::Arc;

use kiln_builder::commits_changing;
use kiln_cache::evidence::Outcome;
use kiln_cache::signature::ImageId;

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
    /// suspects. They are a matter of priors alone: they are tested sooner, and named by the same
    /// rules. But a prior counts there, too: where another commit needs more clean runs of its parent
    /// than `Settings::parent_doubt` asks for to outweigh all that lies before it, a suspect mostly
    /// does not. A wrong one is therefore named about as often as a bad parent runs clean that long.
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
            if let Some(console) = self.target_console(tester, image).await? {
                return Ok(Some(crash_functions(&console, &self.patterns, FUNCTIONS)));
            }
        }
        Ok(None)
    }

    /// What the kernel said in a run of an image that showed the target; nothing when none of its consoles
    /// is at hand.
    pub(super) async fn target_console(
        &self,
        tester: &Tester,
        image: ImageId,
    ) -> Result<Option<Vec<u8>>, BisectError> {
        let target = self.target()?;
        for run in self.store.runs(&image, &tester.key()).await? {
            let Outcome::Crash { title } = &run.outcome else { continue };
            let Some(console) = run.console.filter(|_| target.is(title)) else { continue };
            // Consoles may go before the runs that they are of, and be damaged: `verify` tells.
            let Ok(reader) = self.store.reader(&console).await else { continue };
            match reader.read(0..reader.size().min(LONGEST)).await {
                Ok(bytes) => return Ok(Some(without_payload(&bytes).into_owned())),
                Err(error) => tracing::warn!(%console, %error, "a console can't be read"),
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use regex::Regex;

    use super::*;
    use crate::console::Patterns;
    use crate::log::import::tests::shared;

    /// Where a log has a crash with file names (as syzkaller's symbolizer puts them in): the file of
    /// each function.
    fn files(report: &str) -> HashMap<&str, &str> {
        let frame = r"(?m)^(?:RIP: 0010:)?\s*([\w.]+)(?:\+0x\w+/0x\w+)? ([\w./-]+\.[chS]):\d+";
        let frame = Regex::new(frame).unwrap();
        let mut files = HashMap::new();
        for found in frame.captures_iter(report) {
            let (_, [name, path]) = found.extract();
            files.entry(name).or_insert(path);
        }
        files
    }

    /// The files that `git show --stat` names, of which long ones are cut at the left.
    fn changed(log: &str) -> Vec<&str> {
        let stat = Regex::new(r"(?m)^ (\S+) +\| +\d+").unwrap();
        let from = log.find(" is the first bad commit").unwrap_or(log.len());
        stat.captures_iter(&log[from..]).map(|found| found.extract::<1>().1[0]).collect()
    }

    /// Of public bisections whose answer is known to be right: how often the commit changed a file of
    /// the functions that crashed. [`crate::belief::Model::blamed`] rests on it.
    #[test]
    #[allow(clippy::print_stdout)] // The figure is what one runs this for.
    fn blamed_commits() {
        let logs: HashMap<String, Vec<u8>> = shared("syzbot-bisections").into_iter().collect();
        if logs.is_empty() {
            return;
        }
        let labels = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../shared/data/syzbot-bisections/labels.jsonl"
        );
        let labels = std::fs::read_to_string(labels).unwrap();
        let (mut hits, mut all) = (0, 0);
        for line in labels.lines() {
            let label: serde_json::Value = serde_json::from_str(line).unwrap();
            let named = label["result_commits"].as_array().unwrap();
            if named.len() != 1 || named[0] != label["ground_truth"] {
                continue;
            }
            let Some(log) = logs.get(label["file"].as_str().unwrap()) else { continue };
            let log = String::from_utf8_lossy(log);
            let Some(at) = log.rfind("\ncrash: ") else { continue };
            let report = &log[at..];
            let (files, changed) = (files(report), changed(&log));
            let functions = crash_functions(report.as_bytes(), &Patterns::default(), FUNCTIONS);
            let paths: Vec<&str> =
                functions.iter().filter_map(|name| files.get(name.as_str()).copied()).collect();
            if paths.is_empty() || changed.is_empty() {
                continue;
            }
            let is = |path: &str| {
                changed.iter().any(|it| match it.strip_prefix("...") {
                    Some(end) => path.ends_with(end),
                    None => *it == path,
                })
            };
            all += 1;
            hits += u32::from(paths.into_iter().any(is));
        }
        println!("{hits} of {all} right answers change a file of the functions that crashed");
        assert!(all >= 30 && f64::from(hits) >= 0.5 * f64::from(all), "{hits} of {all}");
    }
}
