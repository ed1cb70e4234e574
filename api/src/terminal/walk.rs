//! The walk back over releases on one screen, and in one line.

use kiln_bisect::picture::{ReleaseSeen, WalkPicture};
use kiln_bisect::plan::State;

use super::table::{WIDTH, render};
use super::text::{duration, fit, percent};

/// Rows of releases.
const ROWS: usize = 14;

/// What there is to look at, and what it will probably take.
pub(crate) fn beginning(picture: &WalkPicture) -> String {
    let all = picture.releases.len() + picture.left_out.len();
    let releases = if all == 1 { "release" } else { "releases" };
    let left_out = match picture.left_out.as_slice() {
        [] => String::new(),
        [(name, why), ..] => {
            format!(", {} of which are left out ({name}: {why})", picture.left_out.len())
        }
    };
    format!(
        "no good end is given: it is looked for among {all} {releases}{left_out}. Expected, with the \
         search after that: about {}",
        duration(picture.expected_seconds)
    )
}

/// Draws it, line by line: at most 80 columns and 22 lines.
pub(crate) fn walk_screen(picture: &WalkPicture, target: &str) -> Vec<String> {
    let spent = &picture.spent;
    let mut lines = vec![
        fit(&format!("looking for a good release    target: {target}"), WIDTH),
        format!(
            "so far       {} builds, {} runs, {}",
            spent.builds,
            spent.runs,
            duration(spent.seconds)
        ),
        format!("expected     about {} until the answer", duration(picture.expected_seconds)),
        String::new(),
    ];
    // The tried ones, and the newest of the others.
    let mut places: Vec<usize> = (0..picture.releases.len()).collect();
    places.sort_by_key(|at| picture.releases[*at].state == State::Unknown);
    places.truncate(ROWS);
    places.sort_unstable();
    let rows: Vec<Vec<String>> = places.into_iter().map(|at| row(&picture.releases[at])).collect();
    let heading = ["release", "crash", "ok", "other", "bad?", ""];
    lines.extend(render(&heading, &rows, &[1, 2, 3, 4]).lines().map(str::to_owned));
    let more = picture.releases.len().saturating_sub(ROWS);
    if more > 0 {
        lines.push(format!("and {more} more releases"));
    }
    lines
}

fn row(seen: &ReleaseSeen) -> Vec<String> {
    let what = match seen.state {
        State::Built => "",
        State::Unknown => "not tried",
        State::Broken => "does not build",
        State::Untestable | State::Unclear => "can't be tested",
    };
    vec![
        seen.release.clone(),
        seen.crashes.to_string(),
        seen.clean.to_string(),
        seen.other.to_string(),
        percent(seen.bad),
        what.to_owned(),
    ]
}

#[cfg(test)]
mod tests {
    use kiln_bisect::watch::Paid;

    use super::*;

    #[test]
    fn the_walk_fits_the_smallest_terminal() {
        let states = [State::Built, State::Broken, State::Unknown, State::Untestable];
        let release = |n: usize| ReleaseSeen {
            release: format!("v6.{n}"),
            crashes: 999,
            clean: 12_345,
            other: 7,
            bad: 0.999_999_9,
            state: states[n % 4],
        };
        let picture = WalkPicture {
            releases: (0..60).map(release).collect(),
            left_out: vec![("v4.19".into(), "gcc 12.2 does not build Linux 4.19".into()); 9],
            spent: Paid { builds: 1234, runs: 123_456, seconds: 1e6 },
            expected_seconds: 1e6,
        };
        let lines = walk_screen(&picture, &"KASAN: slab-out-of-bounds Read in foo ".repeat(4));
        assert!(lines.len() <= 22, "{lines:#?}");
        assert!(lines.iter().all(|line| line.chars().count() <= WIDTH), "{lines:#?}");
        let said = beginning(&picture);
        assert!(said.contains("69 releases, 9 of which are left out (v4.19: gcc"), "{said}");
    }
}
