//! What a number of mismatches says of the rate of mismatches.

/// The one-sided 95 % upper bound of a rate, after `hits` in `trials`: the rate at which so few
/// hits would come about in 5 % of all cases (Clopper and Pearson, Biometrika 26, 1934). One when
/// nothing was tried; after no hit in `n` it is `1 - 0.05^(1/n)`.
pub fn upper_bound(hits: u64, trials: u64) -> f64 {
    if hits >= trials {
        return 1.0;
    }
    let (mut low, mut high) = (0.0, 1.0);
    // The chance falls as the rate grows; 60 halvings leave nothing that a float could hold.
    for _ in 0..60 {
        let rate = f64::midpoint(low, high);
        if at_most(hits, trials, rate) > 0.05 {
            low = rate;
        } else {
            high = rate;
        }
    }
    high
}

/// The probability of at most `hits` in `trials` at a rate above zero and below one.
fn at_most(hits: u64, trials: u64, rate: f64) -> f64 {
    let n = trials as f64;
    let odds = (rate / (1.0 - rate)).ln();
    let mut ln_term = n * (-rate).ln_1p();
    let mut sum = ln_term.exp();
    for k in 1..=hits {
        let k = k as f64;
        ln_term += ((n - k + 1.0) / k).ln() + odds;
        sum += ln_term.exp();
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_in_tables() {
        assert_eq!(upper_bound(0, 0), 1.0);
        assert_eq!(upper_bound(3, 3), 1.0);
        // "Rule of three", and its exact form.
        for n in [1, 10, 300, 5_000] {
            let exact = 1.0 - 0.05_f64.powf(1.0 / n as f64);
            assert!((upper_bound(0, n) - exact).abs() < 1e-9, "{n}");
        }
        // Clopper-Pearson, one-sided 95 %: 1 of 10, 2 of 100.
        assert!((upper_bound(1, 10) - 0.394_163).abs() < 1e-5);
        assert!((upper_bound(2, 100) - 0.061_623).abs() < 1e-5);
    }
}
