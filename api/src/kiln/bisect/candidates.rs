//! What remains possible when one commit could not be singled out, as people read it.

use kiln_bisect::record::{Commit, Record};
use kiln_bisect::verdict::Verdict;

use super::report::all_bad;
use crate::terminal::text::{count, percent};

/// Commits that are listed, at most.
const LISTED: usize = 30;
/// Shares below this are not worth a line.
const LEAST: f64 = 0.0005;

/// The most probable commits, and what holds the rest.
pub(crate) struct Candidates<'a> {
    /// "the culprit is, with 81 % probability, one of"; nothing when no commit is suspected.
    pub(crate) heading: Option<String>,
    /// The most probable commits, with their shares.
    pub(crate) commits: &'a [(Commit, f64)],
    /// Everything else, with its shares.
    pub(crate) others: Vec<(f64, String)>,
}

impl<'a> Candidates<'a> {
    /// Those of an answer; none when there is one commit, or another end.
    pub(crate) fn of(record: &Record, verdict: &'a Verdict) -> Option<Self> {
        let Verdict::Inconclusive { credible, older, not_reproducible, contradiction, .. } =
            verdict
        else {
            return None;
        };
        let sum = |list: &[(Commit, f64)]| list.iter().map(|(_, share)| share).sum::<f64>();
        let (commits, more) = credible.split_at(credible.len().min(LISTED));
        let heading = match (credible.is_empty(), contradiction) {
            (true, _) => None,
            (false, true) => Some("what explains the runs least badly".to_owned()),
            (false, false) => {
                let (sought, share) = (record.header.sought(), percent(sum(credible)));
                Some(format!("the {sought} is, with {share} probability, one of"))
            }
        };
        let mut others = Vec::new();
        if !more.is_empty() {
            others.push((sum(more), count(more.len() as u64, "more commit")));
        }
        others.push((*older, all_bad(record).to_owned()));
        others.push((*not_reproducible, "not in the bad end: its crashes were chance".to_owned()));
        if !credible.is_empty() {
            let rest = 1.0 - sum(credible) - older - not_reproducible;
            others.push((rest, "anything else".to_owned()));
        }
        others.retain(|(share, _)| *share > LEAST);
        Some(Self { heading, commits, others })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::kiln::bisect::report::tests::{commit, record};

    fn said(answer: Value) -> (String, usize, Vec<(String, String)>) {
        let record = record("cause", &answer);
        let found = Candidates::of(&record, record.finish().unwrap().0).unwrap();
        let others = found.others.iter().map(|(share, what)| (percent(*share), what.clone()));
        (found.heading.unwrap_or_default(), found.commits.len(), others.collect())
    }

    #[test]
    fn each_share_is_told() {
        let answer = json!({
            "verdict": "inconclusive", "why": "x", "older": 0.13, "not_reproducible": 0.05,
            "credible": [[commit("c"), 0.5], [commit("d"), 0.28]],
        });
        let (heading, listed, others) = said(answer);
        assert_eq!(heading, "the culprit is, with 78 % probability, one of");
        let told: Vec<_> = others.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        let chance = "not in the bad end: its crashes were chance";
        let all_bad = "older than the good end";
        assert_eq!(listed, 2);
        assert_eq!(told, [("13 %", all_bad), ("5 %", chance), ("4 %", "anything else")]);
    }

    #[test]
    fn a_long_list_is_cut_and_its_rest_is_told() {
        let credible: Vec<_> = (0..1000).map(|_| (commit("c"), 0.00095)).collect();
        let answer = json!({
            "verdict": "inconclusive", "why": "x", "older": 0.0, "credible": credible,
        });
        let (heading, listed, others) = said(answer);
        assert_eq!(
            (heading.as_str(), listed),
            ("the culprit is, with 95 % probability, one of", 30)
        );
        let more = ("92 %".to_owned(), "970 more commits".to_owned());
        assert_eq!(others, [more, ("5 %".to_owned(), "anything else".to_owned())]);
    }

    #[test]
    fn where_no_commit_is_suspected_there_is_no_list() {
        let answer = json!({ "verdict": "inconclusive", "why": "x", "older": 0.2, "credible": [] });
        let (heading, listed, others) = said(answer);
        assert_eq!((heading.as_str(), listed, others.len()), ("", 0, 1));
    }
}
