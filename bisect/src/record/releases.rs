//! The walk back over releases, as the record has it.

use serde::{Deserialize, Serialize};

use super::{Commit, Event, Record};
use crate::title::Target;
use kiln_cache::evidence::Counts;

/// The releases that a bad end descends from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Releases {
    /// Newest first; each is an ancestor of the one before it.
    pub list: Vec<Release>,
    /// Commits of the bad end's history, as far as the repository has it.
    pub history: u32,
    /// Whether the project began earlier than that.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub begins_late: bool,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Release {
    /// Its tag.
    pub name: String,
    /// Its commit.
    pub commit: Commit,
    /// Commits of the bad end's history that it does not have.
    pub back: u32,
    /// Why it was left out from the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_out: Option<String>,
}

/// A release that the walk has tried, or left out.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Tried<'a> {
    /// Its tag.
    pub release: &'a str,
    /// Its commit.
    pub commit: &'a Commit,
    /// Target crashes.
    pub target: u32,
    /// Clean runs.
    pub clean: u32,
    /// Runs that say nothing.
    pub other: u32,
    /// What became of it.
    #[serde(flatten)]
    pub fate: Fate<'a>,
}

/// What became of a release.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "fate", rename_all = "kebab-case")]
pub enum Fate<'a> {
    /// It was run.
    Tested {
        /// Probability that it is bad, as far as that was said.
        bad: Option<f64>,
    },
    /// It does not build.
    DoesNotBuild {
        /// The first error.
        error: &'a str,
    },
    /// It can't be tested for another reason.
    Skipped {
        /// Why.
        why: &'a str,
    },
}

impl Record {
    /// The release that a commit is.
    pub fn release_of(&self, commit: &str) -> Option<&Release> {
        let releases = self.header.releases.as_ref()?;
        releases.list.iter().find(|release| release.commit.id == commit)
    }

    /// The releases that were tried or left out, newest first.
    pub fn releases(&self) -> Vec<Tried<'_>> {
        let Some(releases) = &self.header.releases else { return Vec::new() };
        let target = self.matcher();
        let tried = releases.list.iter();
        tried.filter_map(|release| self.tried(release, target.as_ref())).collect()
    }

    fn tried<'a>(&'a self, release: &'a Release, target: Option<&Target>) -> Option<Tried<'a>> {
        let mut counts = Counts::default();
        let mut fate = None;
        for step in self.steps().filter(|step| step.commit.id == release.commit.id) {
            step.runs.iter().for_each(|run| counts.add(&run.outcome, 1));
            fate = Some(match step.build.errors.first() {
                Some(error) => Fate::DoesNotBuild { error },
                None => Fate::Tested { bad: step.probability_bad },
            });
        }
        let finished = self.finish().map_or(&[][..], |(_, tested)| tested);
        if let (Some(Fate::Tested { bad }), Some((_, known))) =
            (&mut fate, finished.iter().find(|(id, _)| *id == release.commit.id))
        {
            *bad = Some(*known);
        }
        let skipped = self.events.iter().find_map(|(_, event)| match event {
            Event::Skipped { release: name, why } if *name == release.name => Some(why),
            _ => None,
        });
        if let Some(why) = release.left_out.as_ref().or(skipped) {
            fate = Some(Fate::Skipped { why });
        }
        let seen = target.map(|target| target.informative(&counts)).unwrap_or_default();
        Some(Tried {
            release: &release.name,
            commit: &release.commit,
            target: seen.target,
            clean: seen.clean,
            other: counts.total() - seen.target - seen.clean,
            fate: fate?,
        })
    }
}
