//! The releases among which a good end is looked for, and what became of each.

use anyhow::Context as _;
use kiln_bisect::record::{Commit, Fate, Record, Release, Releases, Tried};
use kiln_builder::{Repository, Revision};

use super::Start;
use crate::terminal::table;
use crate::terminal::text::{labelled, percent};

/// The releases that the bad end descends from. Those that the toolchain can't build are left out.
pub(super) fn releases(
    new: &Start,
    repository: &Repository,
    bad: &Revision,
    toolchain: &str,
) -> anyhow::Result<Releases> {
    let found = repository.releases(bad)?;
    anyhow::ensure!(
        !found.list.is_empty(),
        "no good end is given, and none can be looked for: {} has no release tag (v6.1, v6.2-rc3) that \
         {} descends from; give --good REV, or fetch the tags with 'git fetch --tags'",
        new.repo.display(),
        bad.commit
    );
    let mut list = Vec::with_capacity(found.list.len());
    for release in found.list {
        let left_out = new.how.unsuited(toolchain, repository, &release.revision)?;
        let Revision { commit, subject, .. } = release.revision;
        let commit = Commit { id: commit, subject };
        list.push(Release { name: release.name, commit, back: release.back, left_out });
    }
    if list.iter().all(|release| release.left_out.is_some()) {
        let newest = list.first().context("no release")?;
        let why = newest.left_out.as_deref().unwrap_or_default();
        anyhow::bail!(
            "no good end is given, and none of {} releases can be built: {}: {why}; give --good REV, or \
             another --toolchain",
            list.len(),
            newest.name
        );
    }
    Ok(Releases { list, history: found.history, begins_late: found.begins_late })
}

/// What the walk over releases did, for people; nothing when there was none.
pub(crate) fn text(record: &Record) -> Option<String> {
    let tried = record.releases();
    if tried.is_empty() {
        return None;
    }
    let mut rows = Vec::new();
    // Releases that are left out for one reason are mostly neighbours.
    let mut by_reason: Vec<(&str, Vec<&str>)> = Vec::new();
    for tried in &tried {
        match tried.fate {
            Fate::Tested { bad } => rows.push(tested(tried, bad)),
            Fate::DoesNotBuild { error } => rows.push(broken(tried, error)),
            Fate::Skipped { why } => match by_reason.iter_mut().find(|(known, _)| *known == why) {
                Some((_, names)) => names.push(tried.release),
                None => by_reason.push((why, vec![tried.release])),
            },
        }
    }
    let heading = ["release", "crash", "ok", "other", "bad?", "commit"];
    let mut text = table::render(&heading, &rows, &[1, 2, 3, 4]).trim_end().to_owned();
    for (why, names) in by_reason {
        let names = match names.as_slice() {
            [newest, .., oldest] if names.len() > 2 => {
                format!("{} releases, {newest} to {oldest}", names.len())
            }
            few => few.join(", "),
        };
        text += &format!("\n{}", labelled("left out", &format!("{names}: {why}")));
    }
    Some(text)
}

fn tested(tried: &Tried<'_>, bad: Option<f64>) -> Vec<String> {
    vec![
        tried.release.to_owned(),
        tried.target.to_string(),
        tried.clean.to_string(),
        tried.other.to_string(),
        bad.map(percent).unwrap_or_default(),
        tried.commit.short().to_owned(),
    ]
}

fn broken(tried: &Tried<'_>, error: &str) -> Vec<String> {
    let dash = || "-".to_owned();
    let what = format!("{} does not build: {error}", tried.commit.short());
    vec![tried.release.to_owned(), dash(), dash(), dash(), String::new(), what]
}
