//! The share of real consoles that get the title which syzkaller gives them.

use std::path::PathBuf;
use std::time::Instant;

use serde::Deserialize;

use super::crash_title;

/// Of the consoles of the set, in percent.
const EXACT: usize = 95;
const EXACT_OR_ALTERNATIVE: usize = 98;
const ALTERNATIVES: usize = 95;
const KIND: usize = 98;
const CORRUPTED: usize = 95;

#[derive(Deserialize)]
struct Example {
    file: String,
    title: String,
    alt: Vec<String>,
    #[serde(rename = "type")]
    kind: String,
    corrupted: bool,
    #[serde(default)]
    log: Option<String>,
    #[serde(default)]
    log_b64: Option<String>,
}

impl Example {
    fn console(&self) -> Vec<u8> {
        match (&self.log, &self.log_b64) {
            (Some(text), _) => text.clone().into_bytes(),
            (None, Some(text)) => from_base64(text),
            (None, None) => Vec::new(),
        }
    }
}

fn from_base64(text: &str) -> Vec<u8> {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut out, mut bits, mut held) = (Vec::new(), 0u32, 0);
    for value in text.bytes().filter_map(|b| DIGITS.iter().position(|d| *d == b)) {
        bits = (bits << 6) | value as u32;
        held += 6;
        if held >= 8 {
            held -= 8;
            out.push((bits >> held) as u8);
        }
    }
    out
}

fn seconds(console: &[u8]) -> f64 {
    let begin = Instant::now();
    crash_title(console);
    begin.elapsed().as_secs_f64()
}

#[test]
#[allow(clippy::print_stdout)] // The misses are the test's result.
fn real_consoles_get_their_titles() {
    let path =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/crash-reports.jsonl");
    let Ok(text) = std::fs::read_to_string(&path) else {
        kiln_skip::skip(kiln_skip::Lack::Shared, format_args!("no {}", path.display()));
        return;
    };
    let examples: Vec<Example> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (mut exact, mut near, mut others, mut kinds, mut corrupted) = (0, 0, 0, 0, 0);
    let mut slowest = (0.0, String::new());
    for example in &examples {
        let console = example.console();
        let crash = crash_title(&console);
        let time = (0..3).map(|_| seconds(&console)).fold(f64::MAX, f64::min);
        if time > slowest.0 {
            slowest = (time, format!("{} ({} bytes)", example.file, console.len()));
        }
        let title = crash.as_ref().map_or("", |c| &c.title);
        let kind = crash.as_ref().map_or("", |c| c.kind.as_str());
        let is_corrupted = crash.as_ref().is_some_and(|c| c.corrupted);
        let alternatives = crash.as_ref().map_or(&[][..], |c| &c.alternatives);
        exact += usize::from(title == example.title);
        near += usize::from(title == example.title || example.alt.iter().any(|a| a == title));
        others += usize::from(alternatives == example.alt);
        kinds += usize::from(kind == example.kind);
        corrupted += usize::from(is_corrupted == example.corrupted);
        if title != example.title {
            println!("{}: title '{title}', expected '{}'", example.file, example.title);
        }
        if is_corrupted != example.corrupted {
            println!("{}: corrupted {is_corrupted}: '{title}'", example.file);
        }
        if alternatives != example.alt {
            println!("{}: alternatives {alternatives:?}, expected {:?}", example.file, example.alt);
        }
        if kind != example.kind {
            println!("{}: kind '{kind}', expected '{}'", example.file, example.kind);
        }
    }
    let all = examples.len();
    println!(
        "{all} consoles: {exact} titles, {near} with alternatives, {others} sets of alternatives, {kinds} kinds, {corrupted} \
         corrupted flags; slowest {:.2} ms: {}",
        slowest.0 * 1e3,
        slowest.1
    );
    for (right, percent) in [
        (exact, EXACT),
        (near, EXACT_OR_ALTERNATIVE),
        (others, ALTERNATIVES),
        (kinds, KIND),
        (corrupted, CORRUPTED),
    ] {
        assert!(right * 100 >= percent * all, "{right} of {all} are below {percent} %");
    }
}
