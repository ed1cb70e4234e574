//! What a bisection cost, and what the cache saved of it.

use serde::{Deserialize, Serialize};

use super::{Event, Obtained, Record, Source};

/// What was spent and what was saved, added up from a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Bill {
    /// Revisions visited.
    pub revisions: usize,
    /// Builds compiled.
    pub builds_compiled: usize,
    /// Of these, how many were begun before they were asked for.
    #[serde(default)]
    pub builds_ahead: usize,
    /// Of those, how many were never asked for.
    #[serde(default)]
    pub builds_unused: usize,
    /// Builds that were given up before they were through.
    #[serde(default)]
    pub builds_given_up: usize,
    /// Builds not compiled, because the store had the input.
    pub builds_avoided_input: usize,
    /// Builds not compiled, because a closure proved them equal to one in the store.
    pub builds_avoided_closure: usize,
    /// Commits of the range that were proved equal to one that was built, visited or not.
    pub commits_proved: usize,
    /// Runs made.
    pub runs_made: usize,
    /// Runs not made, because the store had the evidence of this image.
    pub runs_avoided_evidence: usize,
    /// Seconds compiling; side by side builds each count, and what was given up does.
    pub build_seconds: f64,
    /// Seconds that the avoided builds took when they were made.
    pub build_seconds_saved: f64,
    /// Seconds running (machine time: side by side runs each count).
    pub run_seconds: f64,
    /// Seconds that the avoided runs took when they were made.
    pub run_seconds_saved: f64,
}

impl Bill {
    /// Adds up the steps of a record. A revision visited twice is built once.
    pub fn of(record: &Record) -> Self {
        let mut bill = Self::default();
        // Proved again after a resume, it is one proof.
        let mut proved = std::collections::HashMap::new();
        for (_, event) in &record.events {
            if let Event::Proved { commit, others } = event {
                let most = proved.entry(&commit.id).or_insert(0);
                *most = (*others).max(*most);
            }
        }
        bill.commits_proved = proved.values().sum();
        // Compiled and not yet met again as a step.
        let mut compiled: std::collections::BTreeMap<&str, f64> = record
            .events
            .iter()
            .filter_map(|(_, event)| match event {
                Event::Compiled { commit, seconds } => Some((commit.id.as_str(), *seconds)),
                _ => None,
            })
            .collect();
        let mut ahead = std::collections::HashSet::new();
        for (_, event) in &record.events {
            match event {
                Event::Begun { commit, asked: false } => _ = ahead.insert(commit.id.as_str()),
                Event::GivenUp { commit, seconds } => {
                    ahead.remove(commit.id.as_str());
                    bill.builds_given_up += 1;
                    bill.build_seconds += seconds;
                }
                _ => {}
            }
        }
        bill.builds_ahead = ahead.iter().filter(|id| compiled.contains_key(**id)).count();
        let mut seen = std::collections::HashSet::new();
        // A run is paid for, or spared, once: twins show the same ones, and so does a parent that is
        // shown beside the culprit.
        let mut runs = std::collections::HashSet::new();
        for step in record.visits() {
            if seen.insert(&step.commit.id) {
                bill.revisions += 1;
                let before = compiled.remove(step.commit.id.as_str());
                match step.build.obtained {
                    Obtained::Compiled => {
                        bill.builds_compiled += 1;
                        bill.build_seconds += step.build.seconds;
                    }
                    // Compiled here, by a process that was killed before it wrote the step.
                    _ if before.is_some() => {
                        bill.builds_compiled += 1;
                        bill.build_seconds += before.unwrap_or_default();
                    }
                    Obtained::Input => {
                        bill.builds_avoided_input += 1;
                        bill.build_seconds_saved += step.build.compile_seconds;
                    }
                    Obtained::Closure
                    | Obtained::Commands
                    | Obtained::Tokens
                    | Obtained::Objects => {
                        bill.builds_avoided_closure += 1;
                        bill.build_seconds_saved += step.build.compile_seconds;
                    }
                }
            }
            for run in &step.runs {
                if run.id.is_some_and(|id| !runs.insert(id)) {
                    continue;
                }
                match run.source {
                    Source::Booted => {
                        bill.runs_made += 1;
                        bill.run_seconds += run.seconds;
                    }
                    Source::Evidence => {
                        bill.runs_avoided_evidence += 1;
                        bill.run_seconds_saved += run.seconds;
                    }
                }
            }
        }
        bill.builds_compiled += compiled.len();
        bill.builds_unused = compiled.keys().filter(|id| ahead.contains(**id)).count();
        bill.build_seconds += compiled.values().sum::<f64>();
        bill
    }
}

#[cfg(test)]
mod tests {
    use kiln_cache::Digest;

    use super::*;

    #[test]
    fn a_compile_is_billed_though_its_step_was_never_written() {
        let event = |text: &str| (0, serde_json::from_str::<Event>(text).unwrap());
        let compiled = |id: &str| {
            event(&format!(
                r#"{{"event":"compiled","commit":{{"id":"{id}","subject":""}},"seconds":60.0}}"#
            ))
        };
        let step = |id: &str, obtained: &str| {
            event(&format!(
                r#"{{"event":"step","commit":{{"id":"{id}","subject":""}},"why":"","recalled":false,
                    "build":{{"obtained":"{obtained}","input_key":"{}","signatures":{{}},
                    "compiler":"","seconds":61.0,"compile_seconds":60.0,"errors":[],"notes":[]}},
                    "runs":[],"probability_bad":null,"credible":null}}"#,
                Digest::of(b"").to_hex()
            ))
        };
        let bill = |events: Vec<(i64, Event)>| {
            let header = crate::bisection::tests_header();
            Bill::of(&Record { id: "x".into(), created: 0, header, events })
        };
        // Killed after the compile, then resumed; or not resumed; or never killed.
        let resumed =
            bill(vec![compiled("a"), event(r#"{"event":"resumed"}"#), step("a", "input")]);
        assert_eq!((resumed.builds_compiled, resumed.builds_avoided_input), (1, 0));
        assert_eq!(resumed.build_seconds, 60.0);
        assert_eq!(bill(vec![compiled("a")]).builds_compiled, 1);
        let whole = bill(vec![compiled("a"), step("a", "compiled"), step("b", "input")]);
        assert_eq!((whole.builds_compiled, whole.builds_avoided_input), (1, 1));
        assert_eq!(whole.build_seconds, 61.0);
    }

    #[test]
    fn what_was_built_ahead_is_billed_whether_it_was_of_use_or_not() {
        let of = |id: &str, rest: &str| {
            let text = format!(r#"{{"commit":{{"id":"{id}","subject":""}},{rest}}}"#);
            (0, serde_json::from_str::<Event>(&text).unwrap())
        };
        let begun = |id: &str| of(id, r#""event":"begun","asked":false"#);
        let compiled = |id: &str| of(id, r#""event":"compiled","seconds":60.0"#);
        let step = format!(
            r#""event":"step","why":"","recalled":false,"build":{{"obtained":"compiled",
                "input_key":"{}","signatures":{{}},"compiler":"","seconds":60.0,
                "compile_seconds":60.0,"errors":[],"notes":[]}},"runs":[],
                "probability_bad":null,"credible":null"#,
            Digest::of(b"").to_hex()
        );
        let given_up = of("c", r#""event":"given-up","seconds":7.0"#);
        let events = vec![
            begun("a"),
            begun("b"),
            compiled("a"),
            begun("c"),
            of("a", &step),
            given_up,
            compiled("b"),
            // One that was asked for at once.
            of("d", r#""event":"begun","asked":true"#),
            compiled("d"),
            of("d", &step),
            begun("f"),
            of("f", r#""event":"looked-up","obtained":"closure""#),
            // As older records have it.
            of("e", r#""event":"begun-ahead","probability":0.5"#),
        ];
        let header = crate::bisection::tests_header();
        let mut record = Record { id: "x".into(), created: 0, header, events };
        let bill = Bill::of(&record);
        assert_eq!((bill.builds_compiled, bill.builds_ahead), (3, 2));
        assert_eq!((bill.builds_unused, bill.builds_given_up), (1, 1));
        assert_eq!(bill.build_seconds, 187.0);
        let left: Vec<&str> = record.building().iter().map(|c| c.id.as_str()).collect();
        assert_eq!(left, ["e"]);
        // Its process is no more; it may have been stored before that.
        record.events.push((9, Event::Resumed));
        record.events.push((11, Event::Resumed));
        assert!(record.building().is_empty());
        let left: Vec<_> =
            record.begun().iter().map(|begun| (begun.commit.id.clone(), begun.span())).collect();
        assert_eq!(left, [("e".to_owned(), (0, 9))]);
    }

    #[test]
    fn a_run_that_twins_and_parents_show_again_is_billed_once() {
        let run = |id: u8, source: &str| {
            format!(
                r#"{{"id":"{}","outcome":{{"kind":"ok"}},"seconds":2.0,"source":"{source}",
                    "console":null}}"#,
                uuid::Uuid::from_bytes([id; 16])
            )
        };
        let step = |commit: &str, runs: &[String]| {
            let text = format!(
                r#"{{"event":"step","commit":{{"id":"{commit}","subject":""}},"why":"",
                    "recalled":false,"build":{{"obtained":"compiled","input_key":"{}",
                    "signatures":{{}},"compiler":"","seconds":1.0,"compile_seconds":1.0,
                    "errors":[],"notes":[]}},"runs":[{}],"probability_bad":null,"credible":null}}"#,
                Digest::of(b"").to_hex(),
                runs.join(",")
            );
            (0, serde_json::from_str::<Event>(&text).unwrap())
        };
        let events = vec![
            step("a", &[run(1, "booted"), run(2, "evidence")]),
            // The parent, cleared by those runs of its twin, and by one of somebody else's.
            step("b", &[run(1, "evidence"), run(2, "evidence"), run(3, "evidence")]),
        ];
        let header = crate::bisection::tests_header();
        let bill = Bill::of(&Record { id: "x".into(), created: 0, header, events });
        assert_eq!((bill.runs_made, bill.runs_avoided_evidence), (1, 2));
        assert_eq!((bill.run_seconds, bill.run_seconds_saved), (2.0, 4.0));
    }
}
