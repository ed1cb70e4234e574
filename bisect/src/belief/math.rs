//! The few special functions that the model needs.

/// Natural logarithm of the gamma function for `x` > 0, to about 1e-11.
///
/// Stirling's series (Abramowitz and Stegun, 6.1.41) after shifting `x` above 8.
pub(crate) fn ln_gamma(x: f64) -> f64 {
    let mut x = x;
    let mut shift = 1.0;
    while x < 8.0 {
        shift *= x;
        x += 1.0;
    }
    let inverse = 1.0 / x;
    let square = inverse * inverse;
    let series = inverse
        * (1.0 / 12.0
            - square
                * (1.0 / 360.0
                    - square * (1.0 / 1260.0 - square * (1.0 / 1680.0 - square / 1188.0))));
    (x - 0.5) * x.ln() - x + 0.918_938_533_204_672_7 + series - shift.ln()
}

/// Logarithm of the beta function.
pub(crate) fn ln_beta(a: f64, b: f64) -> f64 {
    ln_gamma(a) + ln_gamma(b) - ln_gamma(a + b)
}

/// Logarithm of `exp(a) + exp(b)`.
pub(crate) fn ln_add(a: f64, b: f64) -> f64 {
    let (high, low) = if a > b { (a, b) } else { (b, a) };
    if low == f64::NEG_INFINITY { high } else { high + (low - high).exp().ln_1p() }
}

/// What is not known of which of several holds, in bits, where each has its share of one.
pub(crate) fn entropy_of(shares: impl Iterator<Item = f64>) -> f64 {
    shares.filter(|share| *share > 0.0).map(|share| -share * share.log2()).sum()
}

/// Entropy in bits of a yes-or-no question answered yes with probability `p`.
pub(crate) fn entropy_bits(p: f64) -> f64 {
    if p <= 0.0 || p >= 1.0 { 0.0 } else { -(p * p.log2() + (1.0 - p) * (1.0 - p).log2()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gamma_matches_factorials_and_a_half() {
        let mut factorial = 0.0f64;
        for n in 1..40 {
            assert!((ln_gamma(n as f64 + 1.0) - (factorial + (n as f64).ln())).abs() < 1e-9);
            factorial += (n as f64).ln();
        }
        assert!((ln_gamma(0.5) - std::f64::consts::PI.sqrt().ln()).abs() < 1e-10);
        assert!((ln_gamma(0.005) - 5.295_451_5).abs() < 1e-6);
    }

    #[test]
    fn adding_in_logarithms() {
        assert!((ln_add(2f64.ln(), 3f64.ln()) - 5f64.ln()).abs() < 1e-12);
        assert_eq!(ln_add(f64::NEG_INFINITY, 1.0), 1.0);
    }
}
