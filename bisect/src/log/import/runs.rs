//! How many runs `all runs:` stands for: the log does not say.

/// Date of the first compiler that was used with 20 runs, as year, month and day.
const TWENTY_SINCE: u32 = 20_210_200;

/// Which of syzkaller's rules a log was made under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// 2018: 8 runs.
    Eight,
    /// 2019-01 to 2021-02: 10 runs.
    Ten,
    /// From 2021-02: 20 runs of the first test and once the reproducer seems flaky, else 10.
    Twenty,
}

impl Rule {
    /// The rule of a log, from what its first test says.
    ///
    /// `searching` is whether it begins with the word of 2018; `most` the largest number of runs
    /// that any test of it lists; `compiler` the first test's, from the `compiler:` line (2021-07
    /// on) if `own_line`. Compilers of syzbot carry their date from 2020 on.
    pub(super) fn of(searching: bool, most: u32, compiler: &str, own_line: bool) -> Self {
        let dated = compiler
            .split(|c: char| !c.is_ascii_digit())
            .filter(|digits| digits.len() == 8 && digits.starts_with("20"))
            .filter_map(|digits| digits.parse::<u32>().ok())
            .max();
        if own_line || most > 10 || dated.is_some_and(|date| date >= TWENTY_SINCE) {
            Self::Twenty
        } else if searching && most <= 8 {
            Self::Eight
        } else {
            Self::Ten
        }
    }

    /// Runs that `all runs:` stands for.
    pub(super) fn runs(self, first: bool, flaky: bool) -> u32 {
        match self {
            Self::Eight => 8,
            Self::Ten => 10,
            Self::Twenty if first || flaky => 20,
            Self::Twenty => 10,
        }
    }
}
