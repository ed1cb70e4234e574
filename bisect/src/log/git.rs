//! The log that `git bisect replay` reads.

use std::fmt::Write as _;

use super::tests_of::{Judged, tested};
use crate::belief::Find;
use crate::record::Record;
use crate::verdict::Verdict;

/// The bisection as `git bisect log` would tell it.
pub fn git_log(record: &Record) -> String {
    let header = &record.header;
    // git's "bad" is its word for the newer state, unless told others.
    let (mut out, bad, good) = match header.find {
        Find::Cause => (String::from("git bisect start\n"), "bad", "good"),
        Find::Fix => (
            String::from("git bisect start '--term-new' 'fixed' '--term-old' 'broken'\n"),
            "broken",
            "fixed",
        ),
    };
    let mut mark = |word: &str, id: &str, subject: &str| {
        let _ = writeln!(out, "# {word}: [{id}] {subject}");
        let _ = writeln!(out, "git bisect {word} {id}");
    };
    mark(bad, &header.bad.id, &header.bad.subject);
    let Some(good_end) = record.good() else {
        let _ = writeln!(out, "# no {good} end was found among the releases");
        return out;
    };
    let id = &good_end.id;
    let verdict = record.finish().map(|(verdict, _)| verdict);
    if let Some(Verdict::OlderThanGood { .. } | Verdict::NotFixed { .. }) = verdict {
        // git would take the end for what it was said to be, and all revisions for what it follows.
        let _ = writeln!(out, "# not {good}: [{id}] shows the crash, too: nothing to bisect");
        return out;
    }
    mark(good, id, &good_end.subject);
    // git goes on from the last revision that was told to be in the newer state: that is the culprit,
    // even where others were tried after it.
    let culprit = record.finish().and_then(|(verdict, _)| verdict.culprit());
    let (last, before): (Vec<_>, Vec<_>) = tested(record)
        .into_iter()
        .partition(|test| culprit.is_some_and(|c| c.id == test.commit.id));
    for test in before.iter().chain(&last) {
        let end = test.commit.id == header.bad.id || test.commit.id == *id;
        // git takes an answer for a fact, so a revision that is merely likely is left out.
        let unknown = test.judged == Judged::Skip && test.build.errors.is_empty();
        if !end && !unknown {
            let word = match test.judged {
                Judged::Bad => bad,
                Judged::Good => good,
                Judged::Skip => "skip",
            };
            mark(word, &test.commit.id, &test.commit.subject);
        }
    }
    if let Some(culprit) = culprit {
        let first = match header.find {
            Find::Cause => bad,
            Find::Fix => good,
        };
        let _ = writeln!(out, "# first {first} commit: [{}] {}", culprit.id, culprit.subject);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Event;

    /// A search for a fix that ended with an answer.
    fn log(verdict: &str) -> String {
        let mut header = crate::bisection::tests_header();
        header.find = Find::Fix;
        let verdict = serde_json::from_str(verdict).unwrap();
        let finished = Event::Finished { verdict, tested: Vec::new(), picture: None };
        git_log(&Record { id: "x".into(), created: 0, header, events: vec![(0, finished)] })
    }

    #[test]
    fn an_end_that_is_not_fixed_is_not_told_to_be() {
        let told = "git bisect start '--term-new' 'fixed' '--term-old' 'broken'\n\
                    # broken: [b] \ngit bisect broken b\n";
        assert_eq!(
            log(r#"{"verdict":"not-fixed","probability":0.99,"target":3,"clean":1}"#),
            format!("{told}# not fixed: [a] shows the crash, too: nothing to bisect\n")
        );
        let open = r#"{"verdict":"inconclusive","credible":[],"older":0.0,"why":"x"}"#;
        assert_eq!(log(open), format!("{told}# fixed: [a] \ngit bisect fixed a\n"));
    }
}
