//! How far each part of a program moved: a step function over its addresses.

/// log2 of the addresses that share an entry of the table.
const PAGE: u32 = 12;

/// The step function. Addresses are offsets from the lowest one of the base.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shifts {
    /// Where each step begins; the first begins at 0.
    starts: Vec<u32>,
    /// How far it moved.
    steps: Vec<i32>,
    /// The step in which each page begins.
    pages: Vec<u32>,
}

impl Shifts {
    /// The function of these steps, which begin at ascending addresses.
    pub(crate) fn new(steps: &[(u32, i32)]) -> Self {
        let mut function = Self { starts: vec![0], steps: vec![0], pages: Vec::new() };
        for (start, step) in steps {
            if *start == 0 {
                function.steps[0] = *step;
            } else {
                function.starts.push(*start);
                function.steps.push(*step);
            }
        }
        let last = function.starts.last().copied().unwrap_or_default() >> PAGE;
        let mut at = 0;
        for page in 0..=last {
            while function.starts.get(at + 1).is_some_and(|start| *start <= page << PAGE) {
                at += 1;
            }
            function.pages.push(at as u32);
        }
        function
    }

    /// How far the address moved.
    #[inline]
    pub(crate) fn at(&self, address: u32) -> i32 {
        let page = (address >> PAGE) as usize;
        let Some(&first) = self.pages.get(page) else {
            return self.steps.last().copied().unwrap_or_default();
        };
        let mut step = first as usize;
        while self.starts.get(step + 1).is_some_and(|start| *start <= address) {
            step += 1;
        }
        self.steps[step]
    }

    /// The steps.
    pub(crate) fn steps(&self) -> impl Iterator<Item = (u32, i32)> {
        self.starts.iter().copied().zip(self.steps.iter().copied())
    }

    /// The function that fits what was seen: pairs of an address that something refers to, and how
    /// far the reference moved. Steps that fewer than two references want are not worth their
    /// bytes.
    pub(crate) fn learn(mut seen: Vec<(u32, i32)>) -> Self {
        seen.sort_unstable();
        let mut runs: Vec<(u32, i32, u32)> = Vec::new();
        for same in seen.chunk_by(|a, b| a.0 == b.0) {
            let Some(most) = same.chunk_by(|a, b| a.1 == b.1).max_by_key(|votes| votes.len())
            else {
                continue;
            };
            let (address, step, votes) = (most[0].0, most[0].1, most.len() as u32);
            push(&mut runs, (address, step, votes));
        }
        let mut kept: Vec<(u32, i32, u32)> = Vec::new();
        for run in runs {
            if run.2 >= 2 {
                push(&mut kept, run);
            }
        }
        let mut steps: Vec<(u32, i32)> = kept.iter().map(|run| (run.0, run.1)).collect();
        if let Some(first) = steps.first_mut() {
            first.0 = 0;
        }
        Self::new(&steps)
    }
}

fn push(runs: &mut Vec<(u32, i32, u32)>, run: (u32, i32, u32)) {
    match runs.last_mut() {
        Some(last) if last.1 == run.1 => last.2 += run.2,
        _ => runs.push(run),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_finds_its_step() {
        let shifts = Shifts::new(&[(0, 1), (5000, 2), (5004, 3), (90_000, -4)]);
        for (address, step) in
            [(0, 1), (4999, 1), (5000, 2), (5003, 2), (5004, 3), (89_999, 3), (90_000, -4)]
        {
            assert_eq!(shifts.at(address), step, "{address}");
        }
        assert_eq!(shifts.at(u32::MAX), -4);
        assert_eq!(Shifts::default().at(7), 0);
    }

    #[test]
    fn lonely_votes_are_not_heard() {
        let mut seen: Vec<_> = (0..50).map(|n| (n * 16, if n < 20 { 0 } else { 32 })).collect();
        seen.push((403, 7));
        let shifts = Shifts::learn(seen);
        assert_eq!(shifts.steps().collect::<Vec<_>>(), [(0, 0), (320, 32)]);
    }
}
