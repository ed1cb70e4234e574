//! The bisection on one screen: where the commit may be, what was seen where, what it cost and
//! probably will. At most 80 columns and 22 lines, so that the smallest terminal holds it.

use kiln_bisect::picture::{Forecast, Left, Picture, Seen};
use kiln_bisect::watch::Paid;

use super::table::{WIDTH, render};
use super::text::{count, duration, fit, percent};

/// Cells of the range.
const CELLS: usize = 70;
/// Rows of evidence.
const ROWS: usize = 9;

/// What the screen shows beside the picture.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame<'a> {
    /// The title that is hunted.
    pub(crate) target: &'a str,
    pub(crate) paid: Paid,
    pub(crate) left: Option<Forecast>,
    /// Commits that are built beside the runs.
    pub(crate) building: &'a [String],
}

/// Draws it, line by line.
pub(crate) fn screen(picture: &Picture, frame: &Frame<'_>) -> Vec<String> {
    let mut lines = Vec::new();
    let commits = if picture.commits == 1 { "commit" } else { "commits" };
    lines.push(fit(
        &format!(
            "{} {commits}, {} left with 95 %    target: {}",
            picture.commits, picture.credible, frame.target
        ),
        WIDTH,
    ));
    lines.push(format!("  older {} newer", strip(picture)));
    lines.push(format!("        {}", marks(picture)));
    lines.push("        higher: more probable; x bad, o good, ? open, - does not build".to_owned());
    if let Some((commit, share)) = &picture.top {
        let text =
            format!("most likely  {} {}  {}", percent(*share), commit.short(), commit.subject);
        lines.push(fit(&text, WIDTH));
    }
    let rate = &picture.rate;
    lines.push(format!(
        "shows in     {} of the runs of a bad revision ({} to {})",
        percent(rate.mean),
        percent(rate.low),
        percent(rate.high)
    ));
    let Paid { builds, runs, seconds } = frame.paid;
    lines.push(format!("so far       {builds} builds, {runs} runs, {}", duration(seconds)));
    if let Some(left) = frame.left {
        lines.push(format!("expected     {}", forecast(&left)));
        lines.extend(
            beyond(&left.budget).map(|beyond| fit(&format!("             {beyond}"), WIDTH)),
        );
    }
    if !frame.building.is_empty() {
        lines.push(fit(&format!("building     {}", frame.building.join(", ")), WIDTH));
    }
    lines.push(String::new());
    let rows: Vec<Vec<String>> = nearest(picture).into_iter().map(row).collect();
    let heading = ["commit", "crash", "ok", "other", "bad?", "subject"];
    lines.extend(render(&heading, &rows, &[1, 2, 3, 4]).lines().map(str::to_owned));
    if picture.seen.len() > ROWS {
        lines.push(format!("and {} more revisions", picture.seen.len() - ROWS));
    }
    lines
}

/// "about 3 more builds, 40 runs, 2 min".
pub(crate) fn forecast(expected: &Forecast) -> String {
    // A twentieth of a build is none.
    let builds = (expected.builds - 0.05).max(0.0).ceil() as u64;
    let runs = expected.runs.ceil() as u64;
    format!(
        "about {}, {}, {}",
        count(builds, "more build"),
        count(runs, "run"),
        duration(expected.seconds)
    )
}

/// "beyond the budget, which leaves 3 builds, 10 runs, 2 min"; nothing where it is enough.
pub(crate) fn beyond(left: &Left) -> Option<String> {
    let parts = [
        left.builds.map(|builds| count(builds, "build")),
        left.runs.map(|runs| count(runs, "run")),
        left.seconds.map(duration),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| format!("beyond the budget, which leaves {}", parts.join(", ")))
}

/// Most of [`CELLS`] cells; what is more probable is higher.
fn strip(picture: &Picture) -> String {
    const LEVELS: [char; 9] = ['·', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let cells = picture.density(CELLS - 6);
    let most = cells.iter().copied().fold(0.0, f64::max).max(1e-12);
    cells
        .iter()
        .map(|share| match share / most {
            low if low < 1e-3 => LEVELS[0],
            high => LEVELS[((high * 8.0).ceil() as usize).clamp(1, 8)],
        })
        .collect()
}

/// Below the cells, what was seen: x bad, o good, ? undecided, - does not build.
fn marks(picture: &Picture) -> String {
    let cells = (CELLS - 6).min(picture.commits as usize).max(1);
    let mut line = vec![' '; cells];
    for seen in &picture.seen {
        let Some(at) = seen.at else { continue };
        let slot = &mut line[picture.cell(at, cells)];
        // A cell of many commits shows what tells most.
        *slot = (*slot).max(mark(seen));
    }
    line.into_iter().collect::<String>().trim_end().to_owned()
}

fn mark(seen: &Seen) -> char {
    match seen.bad {
        _ if seen.broken => '-',
        _ if seen.crashes + seen.clean == 0 => '?',
        Some(bad) if bad >= 0.95 => 'x',
        Some(bad) if bad <= 0.05 => 'o',
        _ => '?',
    }
}

/// The revisions nearest to what is most probable, in the order of the range.
fn nearest(picture: &Picture) -> Vec<&Seen> {
    let top = picture.shares.iter().max_by(|a, b| a.1.total_cmp(&b.1)).map_or(0, |(at, _)| *at);
    let distance = |seen: &Seen| {
        seen.at.map_or(i64::from(top) + 1, |at| (i64::from(at) - i64::from(top)).abs())
    };
    let mut places: Vec<usize> = (0..picture.seen.len()).collect();
    places.sort_by_key(|place| distance(&picture.seen[*place]));
    places.truncate(ROWS);
    places.sort_unstable();
    places.into_iter().map(|place| &picture.seen[place]).collect()
}

fn row(seen: &Seen) -> Vec<String> {
    let number = |n: u32| if seen.broken { "-".into() } else { n.to_string() };
    vec![
        seen.commit.short().to_owned(),
        number(seen.crashes),
        number(seen.clean),
        number(seen.other),
        seen.bad.map(percent).unwrap_or_default(),
        match seen.broken {
            true => format!("does not build: {}", seen.commit.subject),
            false => seen.commit.subject.clone(),
        },
    ]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn picture(commits: u32, revisions: u32) -> Picture {
        let seen: Vec<_> = (0..revisions)
            .map(|i| {
                let at = i * commits / revisions;
                json!({
                    "commit": { "id": format!("{i:040}"), "subject": "net: ".repeat(40) },
                    "at": at, "crashes": if at > commits / 2 { 3 } else { 0 }, "clean": 20,
                    "other": 1, "bad": if at > commits / 2 { 0.999_99 } else { 0.01 },
                    "broken": i == 3,
                })
            })
            .collect();
        serde_json::from_value(json!({
            "commits": commits,
            "shares": (commits / 3..=commits / 2).map(|at| (at, 0.01)).collect::<Vec<_>>(),
            "all_bad": 0.01, "not_reproducible": 0.0,
            "rate": { "mean": 0.2, "low": 0.1, "high": 0.3 }, "credible": 12,
            "top": [{ "id": "a".repeat(40), "subject": "x ".repeat(90) }, 0.4], "seen": seen,
        }))
        .unwrap()
    }

    #[test]
    fn fits_the_smallest_terminal() {
        let budget = Left { builds: Some(1234), runs: Some(12_345), seconds: Some(1e6) };
        for (commits, revisions) in [(1, 1), (3, 2), (64, 8), (6693, 40)] {
            let frame = Frame {
                target: &"KASAN: use-after-free in a_very_long_name ".repeat(4),
                paid: Paid { builds: 12, runs: 345, seconds: 4000.0 },
                left: Some(Forecast { builds: 3.2, runs: 40.0, seconds: 300.0, budget }),
                building: &vec!["0123456789ab".to_owned(); revisions as usize],
            };
            let lines = screen(&picture(commits, revisions), &frame);
            assert!(lines.len() <= 22, "{} lines", lines.len());
            for line in &lines {
                assert!(line.chars().count() <= 80, "{line}");
            }
        }
    }

    #[test]
    fn what_is_expected_is_held_against_the_budget() {
        let budget = Left { builds: Some(5), runs: None, seconds: Some(60.0) };
        let expected = Forecast { builds: 13.4, runs: 0.5, seconds: 90.0, budget };
        assert_eq!(forecast(&expected), "about 14 more builds, 1 run, 1 min 30 s");
        assert_eq!(beyond(&budget).unwrap(), "beyond the budget, which leaves 5 builds, 1 min 0 s");
        assert_eq!(beyond(&Left::default()), None);
    }

    #[test]
    fn marks_stand_below_their_commits() {
        let picture = picture(64, 4);
        let (strip, marks) = (strip(&picture), marks(&picture));
        assert_eq!(strip.chars().count(), 64);
        assert_eq!(strip.chars().position(|c| c == '█'), Some(21), "{strip}");
        assert_eq!(marks.chars().nth(16), Some('o'), "{marks}");
        assert_eq!(marks.chars().nth(48), Some('-'), "{marks}");
    }
}
