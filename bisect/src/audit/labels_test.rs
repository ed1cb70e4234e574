//! The audit beside the truth: 260 bisections whose culprit is known.

use std::collections::HashMap;

use serde::Deserialize;

use crate::log::import::tests::shared;
use crate::log::import::{Imported, read};

use super::right::{FEATURES, WEIGHTS, features, probability};
use super::{Audit, audit};

#[derive(Debug, Deserialize)]
struct Label {
    file: String,
    category: String,
    reason: Option<String>,
    first_wrong_commit: Option<String>,
}

/// Labelled logs, in the order of the labels; nothing where they are absent.
fn labelled() -> Vec<(Label, Imported, Audit)> {
    let mut logs: HashMap<String, Vec<u8>> = shared("syzbot-bisections").into_iter().collect();
    if logs.is_empty() {
        return Vec::new();
    }
    let path = std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../shared/data/syzbot-bisections/labels.jsonl");
    let text = std::fs::read_to_string(path).unwrap();
    text.lines()
        .map(|line| {
            let label: Label = serde_json::from_str(line).unwrap();
            let log = read(&logs.remove(&label.file).unwrap());
            let audit = audit(&log);
            (label, log, audit)
        })
        .collect()
}

/// Chance that a right answer ranks above a wrong one.
fn auc(scores: &[(f64, bool)]) -> f64 {
    let (mut sum, mut pairs) = (0.0, 0.0);
    for (a, _) in scores.iter().filter(|s| s.1) {
        for (b, _) in scores.iter().filter(|s| !s.1) {
            pairs += 1.0;
            sum += if a > b {
                1.0
            } else if a == b {
                0.5
            } else {
                0.0
            };
        }
    }
    sum / pairs
}

type Row = ([f64; FEATURES], bool);

/// Logistic regression by Newton's method, with a ridge of 1 on all weights but the constant.
#[allow(clippy::needless_range_loop)] // matrices
fn fit<'a>(rows: impl Iterator<Item = &'a Row> + Clone) -> [f64; FEATURES] {
    let mut w = [0.0; FEATURES];
    for _ in 0..25 {
        let mut m = [[0.0; FEATURES + 1]; FEATURES];
        for i in 0..FEATURES {
            let ridge = f64::from(u8::from(i > 0));
            m[i][i] = ridge + 1e-9;
            m[i][FEATURES] = -ridge * w[i];
        }
        for (x, right) in rows.clone() {
            let p = probability(&w, x);
            for i in 0..FEATURES {
                m[i][FEATURES] += (f64::from(u8::from(*right)) - p) * x[i];
                for j in 0..FEATURES {
                    m[i][j] += p * (1.0 - p) * x[i] * x[j];
                }
            }
        }
        // Gauss and Jordan; the matrix is positive definite.
        for i in 0..FEATURES {
            for j in 0..FEATURES {
                if i != j {
                    let factor = m[j][i] / m[i][i];
                    for k in i..=FEATURES {
                        m[j][k] -= factor * m[i][k];
                    }
                }
            }
        }
        for i in 0..FEATURES {
            w[i] += m[i][FEATURES] / m[i][i];
        }
    }
    w
}

/// Predictions for each tenth from the other nine.
fn crossed(rows: &[Row]) -> Vec<(f64, bool)> {
    (0..rows.len())
        .map(|at| {
            let others =
                rows.iter().enumerate().filter(move |(i, _)| i % 10 != at % 10).map(|(_, r)| r);
            (others, rows[at])
        })
        .map(|(others, (x, right))| (probability(&fit(others), &x), right))
        .collect()
}

#[allow(clippy::print_stdout)] // the table is what one runs this for
fn reliability(name: &str, scores: &[(f64, bool)]) {
    println!("{name}: AUC {:.3}", auc(scores));
    println!("{:>12} {:>8} {:>10} {:>12}", "probability", "answers", "mean", "share right");
    for bin in 0..5 {
        let low = f64::from(bin) / 5.0;
        let inside: Vec<_> =
            scores.iter().filter(|(p, _)| *p >= low && *p < low + 0.2 + 1e-12).collect();
        let n = inside.len() as f64;
        let mean = inside.iter().map(|s| s.0).sum::<f64>() / n;
        let right = inside.iter().filter(|s| s.1).count() as f64 / n;
        println!("{low:>5.1} - {:.1} {n:>8} {mean:>10.2} {right:>12.2}", low + 0.2);
    }
}

#[test]
#[allow(clippy::print_stdout)]
fn right_and_wrong_answers_are_told_apart() {
    let all = labelled();
    if all.is_empty() {
        return;
    }
    let mut rows: Vec<Row> = Vec::new();
    let (mut shipped, mut runs_alone) = (Vec::new(), Vec::new());
    for (label, _, audit) in &all {
        let right = label.category == "correct";
        match (label.category.as_str(), audit.probability_right) {
            ("no output", p) => assert_eq!(p, None, "{}", label.file),
            (_, p) => {
                let (p, supported) = (p.unwrap(), audit.supported.unwrap());
                shipped.push((p, right));
                runs_alone.push((supported, right));
                rows.push((features(supported, &audit.traits.unwrap()), right));
            }
        }
    }
    let crossed = crossed(&rows);
    reliability("runs alone", &runs_alone);
    reliability("as shipped", &shipped);
    reliability("each tenth foretold by the others", &crossed);
    let fitted = fit(rows.iter());
    println!("weights fitted: {fitted:.2?}\nweights shipped: {WEIGHTS:.2?}");
    assert!(auc(&shipped) >= 0.85);
    assert!(auc(&crossed) >= 0.85);
    for (shipped, fitted) in WEIGHTS.iter().zip(fitted) {
        assert!((shipped - fitted).abs() < 0.02, "weights drifted: fit them again");
    }
    // Calibrated: in no fifth of the answers is the mean off by more than chance explains.
    let mut sorted = crossed;
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    for fifth in sorted.chunks(sorted.len().div_ceil(5)) {
        let n = fifth.len() as f64;
        let mean = fifth.iter().map(|s| s.0).sum::<f64>() / n;
        let right = fifth.iter().filter(|s| s.1).count() as f64 / n;
        assert!((mean - right).abs() < 3.0 * (mean * (1.0 - mean) / n).sqrt() + 0.02);
    }
}

#[test]
#[allow(clippy::print_stdout)]
fn the_first_wrong_step_is_mostly_named() {
    let (mut hits, mut wrong): (HashMap<String, u32>, HashMap<String, u32>) = Default::default();
    let (mut hit, mut all) = (0, 0);
    for (label, _, audit) in labelled() {
        if label.category != "incorrect" {
            continue;
        }
        let reason = label.reason.unwrap_or_default();
        *wrong.entry(reason.clone()).or_default() += 1;
        all += 1;
        if audit.suspect_step.map(|step| step.commit) == label.first_wrong_commit {
            *hits.entry(reason).or_default() += 1;
            hit += 1;
        }
    }
    if all > 0 {
        println!("first wrong step named: {hit} of {all}; {hits:?} of {wrong:?}");
        assert!(hit * 2 >= all, "{hit} of {all}");
    }
}
