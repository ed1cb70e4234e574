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

/// Logistic regression by Newton's method, with a ridge on all weights but the constant.
#[allow(clippy::needless_range_loop)] // matrices
fn fit<'a>(rows: impl Iterator<Item = &'a Row> + Clone, ridge: f64) -> [f64; FEATURES] {
    let mut w = [0.0; FEATURES];
    for _ in 0..25 {
        let mut m = [[0.0; FEATURES + 1]; FEATURES];
        for i in 0..FEATURES {
            let ridge = if i > 0 { ridge } else { 0.0 };
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

/// The ridge of the shipped weights.
const RIDGE: f64 = 1.0;
/// Ridges among which the nested validation chooses.
const RIDGES: [f64; 5] = [0.1, 0.3, 1.0, 3.0, 10.0];
/// Parts that the answers are split into.
const PARTS: usize = 10;

/// The number of features that a mask leaves out is set to zero: it says nothing then.
fn masked((x, right): &Row, mask: u32) -> Row {
    let mut x = *x;
    for (i, value) in x.iter_mut().enumerate() {
        if mask & (1 << i) == 0 {
            *value = 0.0;
        }
    }
    (x, *right)
}

/// Parts by a seeded shuffle, the same share of right answers in each.
fn parts(rows: &[Row], seed: u64) -> Vec<usize> {
    let hash = |i: usize| (i as u64 ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.sort_by_key(|i| (rows[*i].1, hash(*i)));
    let mut part = vec![0; rows.len()];
    for (place, i) in order.into_iter().enumerate() {
        part[i] = place % PARTS;
    }
    part
}

/// Predictions for each part from the others.
fn crossed(rows: &[Row], ridge: f64, seed: u64) -> Vec<(f64, bool)> {
    let part = parts(rows, seed);
    let mut out = vec![(0.0, false); rows.len()];
    for out_part in 0..PARTS {
        let others = rows.iter().zip(&part).filter(|(_, p)| **p != out_part).map(|(row, _)| row);
        let weights = fit(others, ridge);
        for (i, (x, right)) in rows.iter().enumerate().filter(|(i, _)| part[*i] == out_part) {
            out[i] = (probability(&weights, x), *right);
        }
    }
    out
}

/// Nested: for each part, ridge and features are chosen by cross-validation within the others, so
/// that nothing of the part has been seen by anything that foretells it. Features are taken away
/// one by one as long as that foretells the others better.
fn nested(rows: &[Row], seed: u64) -> Vec<(f64, bool)> {
    let part = parts(rows, seed);
    let mut out = vec![(0.0, false); rows.len()];
    for out_part in 0..PARTS {
        let inner: Vec<Row> =
            rows.iter().zip(&part).filter(|(_, p)| **p != out_part).map(|(row, _)| *row).collect();
        let score = |mask: u32, ridge: f64| {
            let some: Vec<Row> = inner.iter().map(|row| masked(row, mask)).collect();
            log_loss(&crossed(&some, ridge, seed + 1))
        };
        let mut mask = (1 << FEATURES) - 1;
        let by = |a: &f64, b: &f64| score(mask, *a).total_cmp(&score(mask, *b));
        let ridge = RIDGES.into_iter().min_by(by).unwrap();
        let mut best = score(mask, ridge);
        while let Some((loss, less)) = (1..FEATURES)
            .filter(|i| mask & (1 << i) != 0)
            .map(|i| (score(mask & !(1 << i), ridge), mask & !(1 << i)))
            .min_by(|a, b| a.0.total_cmp(&b.0))
            .filter(|(loss, _)| *loss < best)
        {
            (best, mask) = (loss, less);
        }
        let some: Vec<Row> = inner.iter().map(|row| masked(row, mask)).collect();
        let weights = fit(some.iter(), ridge);
        for (i, row) in rows.iter().enumerate().filter(|(i, _)| part[*i] == out_part) {
            out[i] = (probability(&weights, &masked(row, mask).0), row.1);
        }
    }
    out
}

/// Mean surprise of predictions, in nats.
fn log_loss(scores: &[(f64, bool)]) -> f64 {
    let sum: f64 = scores.iter().map(|(p, right)| -(if *right { *p } else { 1.0 - p }).ln()).sum();
    sum / scores.len() as f64
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
    let crossed = crossed(&rows, RIDGE, 1);
    reliability("runs alone", &runs_alone);
    reliability("as shipped", &shipped);
    reliability("each tenth foretold by the others", &crossed);
    let nested = nested(&rows, 1);
    reliability("nested: ridge and traits chosen without the tenth, too", &nested);
    // An answer that is none ranks below every answer.
    let mut all_logs = shipped.clone();
    all_logs.extend(all.iter().filter(|l| l.0.category == "no output").map(|_| (0.0, false)));
    println!("all {} logs, those without an answer last: AUC {:.3}", all.len(), auc(&all_logs));
    let fitted = fit(rows.iter(), RIDGE);
    println!("weights fitted: {fitted:.2?}\nweights shipped: {WEIGHTS:.2?}");
    assert!(auc(&shipped) >= 0.85);
    assert!(auc(&crossed) >= 0.85);
    assert!(auc(&nested) >= 0.84);
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
