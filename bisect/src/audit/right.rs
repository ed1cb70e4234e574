//! The probability that a named culprit is right.

use super::traits::Traits;

/// Number of features, the constant included.
pub(super) const FEATURES: usize = 8;

/// Weights of the features, as a logistic regression (ridge 1) gives them over the 194 answers of
/// `labels.jsonl` (FSE 2024's study of 1,070 syzbot bisections); `labels_test.rs` fits them again,
/// also with each tenth of the answers left out, and says how well the rest foretells it; and again
/// with the ridge and the choice among these traits made without that tenth. That the traits were
/// thought of with all labels in sight is in none of these figures.
pub(super) const WEIGHTS: [f64; FEATURES] = [-0.06, 0.51, 0.38, -1.47, -1.46, -1.09, -0.69, 0.99];

/// What counts: how well the runs support the answer, and the answer's traits.
///
/// `supported` is the answer's probability given the runs. It does not count in full: the world
/// model takes for granted that the bug shows wherever it is, and one answer in three of those which
/// all runs support is wrong because the bug was older and could not show.
pub(super) fn features(supported: f64, traits: &Traits) -> [f64; FEATURES] {
    let supported = supported.clamp(1e-9, 1.0 - 1e-9);
    let odds = (supported / (1.0 - supported)).ln().clamp(-6.0, 4.0);
    let one_if = |yes: bool| f64::from(u8::from(yes));
    [
        1.0,
        odds / 2.0,
        one_if(traits.related),
        one_if(traits.merge),
        one_if(traits.detector),
        one_if(traits.enabler),
        f64::from(traits.releases).ln_1p(),
        one_if(traits.fault),
    ]
}

/// The probability for such features.
pub(super) fn probability(weights: &[f64; FEATURES], features: &[f64; FEATURES]) -> f64 {
    let sum: f64 = weights.iter().zip(features).map(|(w, x)| w * x).sum();
    1.0 / (1.0 + (-sum).exp())
}
