//! Drawings of a bisection: the posterior over history with what was seen where, and how the
//! suspects became fewer. SVG inside of a page, with the page's colours.

use kiln_bisect::picture::{Picture, Seen};
use kiln_bisect::record::Record;
use maud::{Markup, html};

use crate::terminal::text::percent;

const WIDTH: f64 = 960.0;
const LEFT: f64 = 64.0;
/// Bars end here, and marks of revisions lie below.
const FLOOR: f64 = 150.0;
const TOP: f64 = 18.0;
const MARKS: f64 = 176.0;
const CELLS: usize = 300;

/// The posterior over the range, oldest left, with a mark for each revision that was tried.
pub(super) fn posterior(picture: &Picture) -> Markup {
    let cells = picture.cells(CELLS);
    let density = picture.density(CELLS);
    let most = density.iter().copied().fold(0.0, f64::max).max(1e-12);
    let wide = (WIDTH - LEFT - 8.0) / cells.len() as f64;
    let height = |share: f64| (share / most) * (FLOOR - TOP);
    let per_cell = f64::from(picture.commits) / cells.len() as f64;
    html! {
        svg class="history" viewBox={ "0 0 " (WIDTH) " 214" } role="img"
            aria-label="Probability of each commit, and what was seen of each revision" {
            line x1=(LEFT) x2=(WIDTH - 8.0) y1=(FLOOR) y2=(FLOOR) class="axis" {}
            text x=(LEFT - 6.0) y=(TOP + 4.0) class="right" { (percent(most)) }
            text x=(LEFT - 6.0) y=(FLOOR) class="right" { "0" }
            text x=(LEFT - 6.0) y=(MARKS + 4.0) class="right" { "runs" }
            @for (index, (share, density)) in cells.iter().zip(&density).enumerate() {
                @if *density > most / 1000.0 {
                    rect class="share" x=(f(LEFT + index as f64 * wide)) width=(f((wide - 0.6).max(1.2)))
                        y=(f(FLOOR - height(*density))) height=(f(height(*density).max(1.0))) {
                        title { (percent(*share)) }
                    }
                }
            }
            @for seen in &picture.seen { (mark(seen, x(picture, seen, cells.len(), wide))) }
            text x=(LEFT) y="206" { "older" }
            text x=(WIDTH - 8.0) y="206" class="right" { "newer" }
            text x=(WIDTH / 2.0) y="206" class="middle" {
                (picture.commits) " commits"
                @if per_cell > 1.01 { ", " (format!("{per_cell:.1}")) " a bar" }
            }
        }
    }
}

/// Where a revision lies.
fn x(picture: &Picture, seen: &Seen, cells: usize, wide: f64) -> f64 {
    match seen.at {
        None => LEFT - 3.0,
        Some(at) => LEFT + (picture.cell(at, cells) as f64 + 0.5) * wide,
    }
}

/// A circle, larger the more it was run; crossed out when it does not build.
fn mark(seen: &Seen, x: f64) -> Markup {
    let runs = f64::from(seen.crashes + seen.clean);
    let class = match seen.bad {
        _ if seen.broken || runs == 0.0 => "unknown",
        Some(bad) if bad >= 0.95 => "bad",
        Some(bad) if bad <= 0.05 => "good",
        _ => "unknown",
    };
    let said = match seen.broken {
        true => "does not build".to_owned(),
        false => format!(
            "{} crashes, {} clean, {} other{}",
            seen.crashes,
            seen.clean,
            seen.other,
            seen.bad.map(|bad| format!("; bad: {}", percent(bad))).unwrap_or_default()
        ),
    };
    html! {
        line x1=(f(x)) x2=(f(x)) y1=(FLOOR) y2=(MARKS) class="axis" {}
        circle class=(class) cx=(f(x)) cy=(MARKS) r=(f(3.5 + runs.sqrt().min(8.0))) {
            title { (seen.commit.short()) " " (seen.commit.subject) ": " (said) }
        }
    }
}

/// Commits in the credible set after each step, on a logarithmic scale; nothing to see of one step.
pub(super) fn narrowing(record: &Record) -> Option<Markup> {
    let counts: Vec<usize> =
        record.steps().filter(|step| !step.recalled).filter_map(|step| step.credible).collect();
    let most = counts.iter().copied().max().unwrap_or(0).max(2) as f64;
    if counts.len() < 2 {
        return None;
    }
    let wide = (WIDTH - LEFT - 8.0) / (counts.len() - 1) as f64;
    let y = |count: usize| 100.0 - ((count.max(1) as f64).ln() / most.ln()) * 84.0;
    let points: Vec<String> = counts
        .iter()
        .enumerate()
        .map(|(step, count)| format!("{:.1},{:.1}", LEFT + step as f64 * wide, y(*count)))
        .collect();
    Some(html! {
        svg class="history" viewBox={ "0 0 " (WIDTH) " 128" } role="img"
            aria-label="Commits that were left after each step" {
            line x1=(LEFT) x2=(WIDTH - 8.0) y1="100" y2="100" class="axis" {}
            text x=(LEFT - 6.0) y="20" class="right" { (most) }
            text x=(LEFT - 6.0) y="104" class="right" { "1" }
            polyline class="line" points=(points.join(" ")) {}
            @for (step, count) in counts.iter().enumerate() {
                circle class="dot" cx=(f(LEFT + step as f64 * wide)) cy=(f(y(*count))) r="3" {
                    title { "step " (step + 1) ": " (count) " commits" }
                }
            }
            text x=(LEFT) y="122" { "first step" }
            text x=(WIDTH - 8.0) y="122" class="right" { "last of " (counts.len()) }
        }
    })
}

/// A coordinate.
fn f(value: f64) -> String {
    format!("{value:.1}")
}

#[cfg(test)]
mod tests {
    use kiln_bisect::picture::Picture;
    use serde_json::json;

    use super::*;

    #[test]
    fn every_revision_has_a_mark_inside_of_the_drawing() {
        let commit = |id: &str| json!({ "id": id, "subject": "<script>" });
        let seen = |id: &str, at: Option<u32>, crashes: u32, bad: f64| {
            json!({ "commit": commit(id), "at": at, "crashes": crashes, "clean": 9, "other": 1,
                    "bad": bad, "broken": false })
        };
        let picture: Picture = serde_json::from_value(json!({
            "commits": 5000, "shares": [[17, 0.5], [4999, 0.25]], "all_bad": 0.25,
            "not_reproducible": 0.0, "rate": { "mean": 0.2, "low": 0.1, "high": 0.3 },
            "credible": 2, "top": [commit("a"), 0.5],
            "seen": [seen("b", None, 0, 0.01), seen("c", Some(17), 3, 0.99), seen("d", Some(4999), 2, 1.0)],
        }))
        .unwrap();
        let svg = posterior(&picture).into_string();
        assert_eq!(svg.matches("<circle").count(), 3, "{svg}");
        assert_eq!(svg.matches("class=\"share\"").count(), 2, "{svg}");
        assert_eq!(svg.matches("class=\"bad\"").count(), 2);
        assert!(!svg.contains("<script>"), "{svg}");
        for cx in svg.split("cx=\"").skip(1).map(|rest| rest.split('"').next().unwrap()) {
            let cx: f64 = cx.parse().unwrap();
            assert!((0.0..=WIDTH).contains(&cx), "{cx}");
        }
    }
}
