//! Where the culprit is, as far as the runs of a log can tell.

use std::collections::HashMap;

use crate::belief::{Model, POINTS, Rate, RateGrid, ln_add};
use crate::log::import::Imported;

use super::chain::Chain;
use super::likelihood::{Likelihood, model};
use super::target::{Seen, Target};

/// Factor left to a culprit between two kernels of one signature. syzkaller's signature misses
/// modules, the boot stub and `.bss`, so it is not a proof.
const SAME_KERNEL: f64 = 1e-3;

/// Probabilities over the places of a chain.
#[derive(Clone, Debug)]
pub(super) struct Weighed {
    /// For each place the probability that the culprit is among its commits; the first place is
    /// everything beyond the chain.
    pub(super) places: Vec<f64>,
    /// For each test on the chain the probability that its revision is bad.
    pub(super) bad: Vec<f64>,
    /// For each test on the chain what its own runs say: bits for "bad" (negative: for "good").
    pub(super) bits: Vec<f64>,
    /// How often a bad kernel crashes.
    pub(super) rate: Rate,
}

/// Weighs every place. Nothing for a chain without tests.
pub(super) fn weigh(log: &Imported, chain: &Chain, target: &Target) -> Option<Weighed> {
    let model = model();
    let grid = RateGrid::new(&model);
    let images = images(log, chain, target);
    let all: Vec<Likelihood> = images.iter().map(|(seen, _)| Likelihood::of(seen, &grid)).collect();
    let priors = priors(log, chain, &model);
    let mut ln: Vec<[f64; POINTS]> = Vec::with_capacity(chain.order.len());
    for (place, prior) in priors.iter().enumerate() {
        let mut sum = grid.prior.map(|p| prior.ln() + p.ln());
        for ((_, members), likelihood) in images.iter().zip(&all) {
            let bad = members.iter().filter(|at| **at >= place).count();
            // One kernel has one state: between two of its revisions the culprit hardly is.
            let split = if bad > 0 && bad < members.len() { SAME_KERNEL.ln() } else { 0.0 };
            for (k, sum) in sum.iter_mut().enumerate() {
                *sum += split + if bad > 0 { likelihood.bad[k] } else { likelihood.good };
            }
        }
        ln.push(sum);
    }
    let total = ln.iter().flatten().copied().reduce(ln_add)?;
    let mut by_rate = [0.0; POINTS];
    let places: Vec<f64> = ln
        .iter()
        .map(|row| {
            let row = row.map(|l| (l - total).exp());
            by_rate.iter_mut().zip(row).for_each(|(sum, mass)| *sum += mass);
            row.iter().sum()
        })
        .collect();
    let mut bad = 0.0;
    let bad = places.iter().map(|p| {
        bad += p;
        f64::min(bad, 1.0)
    });
    let bits = chain.order.iter().map(|test| {
        let own = Likelihood::of(&target.seen(&log.tests[*test].counts), &grid);
        let shown = own.bad.iter().zip(by_rate).map(|(l, mass)| l + mass.ln()).reduce(ln_add);
        (shown.unwrap_or(own.good) - own.good) / std::f64::consts::LN_2
    });
    Some(Weighed { bad: bad.collect(), bits: bits.collect(), rate: grid.summary(&by_rate), places })
}

/// The kernels of a chain: runs of equal signatures pooled, with the places of their revisions.
fn images(log: &Imported, chain: &Chain, target: &Target) -> Vec<(Seen, Vec<usize>)> {
    let mut known: HashMap<&str, usize> = HashMap::new();
    let mut images: Vec<(Seen, Vec<usize>)> = Vec::new();
    for (at, test) in chain.order.iter().map(|test| &log.tests[*test]).enumerate() {
        let seen = target.seen(&test.counts);
        let twin = test.signature.as_deref().and_then(|id| known.get(id).copied());
        match twin {
            Some(index) => {
                images[index].0.add(seen);
                images[index].1.push(at);
            }
            None => {
                if let Some(id) = test.signature.as_deref() {
                    known.insert(id, images.len());
                }
                images.push((seen, vec![at]));
            }
        }
    }
    images
}

/// By the number of commits; what lies beyond the chain has a prior of its own.
fn priors(log: &Imported, chain: &Chain, model: &Model) -> Vec<f64> {
    let within = |place: usize| chain.sizes[place].max(1.0);
    let total: f64 = (1..chain.order.len()).map(within).sum();
    let no_operation =
        log.culprit_signature.is_some() && log.culprit_signature == log.parent_signature;
    (0..chain.order.len())
        .map(|place| {
            let named = Some(place) == chain.answer && place > 0;
            let factor = if named && no_operation { SAME_KERNEL } else { 1.0 };
            match place {
                0 => model.older,
                _ => (1.0 - model.older) * within(place) / total * factor,
            }
        })
        .collect()
}
