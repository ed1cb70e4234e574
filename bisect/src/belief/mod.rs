//! The posterior: which commit brought the crash (or ended it), how often it shows, given all that
//! was run.

mod evidence;
mod math;
mod model;
mod older;
mod posterior;
mod rate;

pub use evidence::{Counts, Evidence, Find};
pub use model::{DRIFTS, Drift, Model};
pub use posterior::{Credible, Posterior};
pub use rate::Rate;

pub(crate) use math::{entropy_bits, entropy_of, ln_add, ln_beta, ln_gamma};
pub(crate) use rate::{POINTS, RateGrid};

#[cfg(test)]
mod tests;
