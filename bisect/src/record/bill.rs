//! What a bisection cost, and what the cache saved of it.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};

use super::{Event, Obtained, Record, RunRecord, Source, Spared};

/// What was spent and what was saved, added up from a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Bill {
    /// Revisions visited, or spared a visit by what the store knew of them.
    pub revisions: usize,
    /// Revisions of the range that the store knew before, whether they would have been asked for or not.
    #[serde(default)]
    pub revisions_known: usize,
    /// Runs that the store knew of them.
    #[serde(default)]
    pub runs_known: usize,
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
    /// Builds not compiled though they were asked for, or would have been, because the store had the input.
    pub builds_avoided_input: usize,
    /// Builds not compiled, because a closure proved them equal to one in the store.
    pub builds_avoided_closure: usize,
    /// Commits of the range that were proved equal to one that was built, visited or not.
    pub commits_proved: usize,
    /// Runs made.
    pub runs_made: usize,
    /// Runs not made though they were asked for, or would have been, because the store had the evidence of
    /// this image.
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
        let mut proved = HashMap::new();
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
        let mut ahead = HashSet::new();
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
        let spared = Asked::of(record);
        let mut seen = HashSet::new();
        let mut known = HashSet::new();
        for step in record.visits() {
            let id = step.commit.id.as_str();
            let before = compiled.remove(id);
            if step.recalled && before.is_none() && known.insert(id) {
                bill.revisions_known += 1;
            }
            if step.recalled && before.is_none() && !spared.builds.contains(id) {
                continue;
            }
            if seen.insert(id) {
                bill.revisions += 1;
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
        }
        bill.add_runs(record, &spared);
        bill.builds_compiled += compiled.len();
        bill.builds_unused = compiled.keys().filter(|id| ahead.contains(**id)).count();
        bill.build_seconds += compiled.values().sum::<f64>();
        bill
    }

    /// Adds the runs. One is paid for, or spared, once: twins show the same ones, and so does a parent that
    /// is shown beside the culprit.
    fn add_runs(&mut self, record: &Record, spared: &Asked<'_>) {
        let mut billed = HashSet::new();
        let mut is_new = |run: &RunRecord| run.id.is_none_or(|id| billed.insert(id));
        let runs = || record.visits().flat_map(|step| step.runs.iter().map(move |run| (step, run)));
        for (_, run) in runs().filter(|(_, run)| run.source == Source::Booted) {
            if is_new(run) {
                self.runs_made += 1;
                self.run_seconds += run.seconds;
            }
        }
        let evidence = || runs().filter(|(_, run)| run.source == Source::Evidence);
        let mut told = HashMap::<&str, u32>::new();
        let recalled = evidence().filter(|(step, _)| step.recalled).map(|(step, run)| {
            let id = step.commit.id.as_str();
            let told = told.entry(id).or_default();
            *told += 1;
            (run, *told <= spared.runs.get(id).copied().unwrap_or_default())
        });
        let mut recalled: Vec<(&RunRecord, bool)> = recalled.collect();
        // A twin may tell of the same run without its being asked for there.
        recalled.sort_by_key(|(_, asked)| !asked);
        recalled.retain(|(run, _)| is_new(run));
        self.runs_known = recalled.len();
        let asked = recalled.into_iter().filter(|(_, asked)| *asked).map(|(run, _)| run);
        let visited = evidence().filter(|(step, _)| !step.recalled).map(|(_, run)| run);
        for run in asked.chain(visited.filter(|run| is_new(run))) {
            self.runs_avoided_evidence += 1;
            self.run_seconds_saved += run.seconds;
        }
    }
}

/// What would have been asked for of that which the store knew, by commit.
#[derive(Default)]
struct Asked<'a> {
    builds: HashSet<&'a str>,
    runs: HashMap<&'a str, u32>,
}

impl<'a> Asked<'a> {
    fn of(record: &'a Record) -> Self {
        let mut asked = Self::default();
        for (_, event) in &record.events {
            let Event::Spared { revisions } = event else { continue };
            for Spared { commit, build, runs } in revisions {
                asked.builds.extend(build.then_some(commit.as_str()));
                asked.runs.insert(commit, *runs);
            }
        }
        asked
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
    #[test]
    fn of_what_was_known_before_only_that_counts_as_spared_which_would_have_been_asked_for() {
        let step = |commit: &str, recalled: bool, runs: &[u8]| {
            let runs: Vec<String> = runs
                .iter()
                .map(|id| {
                    format!(
                        r#"{{"id":"{}","outcome":{{"kind":"ok"}},"seconds":2.0,
                            "source":"evidence","console":null}}"#,
                        uuid::Uuid::from_bytes([*id; 16])
                    )
                })
                .collect();
            let text = format!(
                r#"{{"event":"step","commit":{{"id":"{commit}","subject":""}},"why":"",
                    "recalled":{recalled},"build":{{"obtained":"input","input_key":"{}",
                    "signatures":{{}},"compiler":"","seconds":1.0,"compile_seconds":60.0,
                    "errors":[],"notes":[]}},"runs":[{}],"probability_bad":null,"credible":null}}"#,
                Digest::of(b"").to_hex(),
                runs.join(",")
            );
            (0, serde_json::from_str::<Event>(&text).unwrap())
        };
        let mut events = vec![
            // A twin of the second, which has the same runs.
            step("twin", true, &[1, 2, 3]),
            step("asked", true, &[1, 2, 3]),
            step("other", true, &[4, 5]),
            step("visited", true, &[6]),
            // The planner asked for this one and for its own evidence.
            step("visited", false, &[7]),
        ];
        let bill = |events: &[(i64, Event)]| {
            let (header, events) = (crate::bisection::tests_header(), events.to_vec());
            Bill::of(&Record { id: "x".into(), created: 0, header, events })
        };
        // Before its end, and in older records, nobody knows what would have been.
        let open = bill(&events);
        assert_eq!((open.revisions_known, open.runs_known), (4, 6));
        assert_eq!((open.revisions, open.builds_avoided_input), (1, 1));
        assert_eq!((open.runs_avoided_evidence, open.run_seconds_saved), (1, 2.0));
        let spared = r#"{"event":"spared","revisions":[{"commit":"asked","build":true,"runs":2}]}"#;
        events.push((0, serde_json::from_str(spared).unwrap()));
        let ended = bill(&events);
        assert_eq!((ended.revisions_known, ended.runs_known), (4, 6));
        assert_eq!((ended.revisions, ended.builds_avoided_input), (2, 2));
        assert_eq!((ended.build_seconds_saved, ended.builds_compiled), (120.0, 0));
        assert_eq!((ended.runs_avoided_evidence, ended.run_seconds_saved), (3, 6.0));
    }
}
