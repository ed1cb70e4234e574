//! Sets of commits of a range, most of which come many in a row.

use serde::{Deserialize, Serialize};

/// A set of numbers, as the first of some in a row and how many they are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Rows(Vec<(u32, u32)>);

impl Rows {
    /// Of rising numbers.
    pub fn of(numbers: impl IntoIterator<Item = u32>) -> Self {
        let mut rows: Vec<(u32, u32)> = Vec::new();
        for number in numbers {
            match rows.last_mut() {
                Some((from, many)) if *from + *many == number => *many += 1,
                _ => rows.push((number, 1)),
            }
        }
        Self(rows)
    }

    /// Whether a number is among them.
    pub fn contains(&self, number: u32) -> bool {
        let after = self.0.partition_point(|(from, _)| *from <= number);
        after.checked_sub(1).is_some_and(|i| number - self.0[i].0 < self.0[i].1)
    }

    /// The numbers, rising.
    pub fn iter(&self) -> impl Iterator<Item = u32> {
        self.0.iter().flat_map(|(from, many)| *from..from.saturating_add(*many))
    }

    /// The first number that is not below `n`, if there is one.
    pub(crate) fn beyond(&self, n: usize) -> Option<u32> {
        let outside = |(from, many): &&(u32, u32)| u64::from(*from) + u64::from(*many) > n as u64;
        self.0.iter().find(outside).map(|(from, _)| (*from).max(n as u32))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back() {
        let numbers = [0, 1, 2, 5, 9, 10];
        let rows = Rows::of(numbers);
        assert_eq!(rows.iter().collect::<Vec<_>>(), numbers);
        assert!((0..20).all(|n| rows.contains(n) == numbers.contains(&n)));
        assert_eq!(serde_json::to_string(&rows).unwrap(), "[[0,3],[5,1],[9,2]]");
        assert_eq!((rows.beyond(11), rows.beyond(10), rows.beyond(3)), (None, Some(10), Some(5)));
        assert_eq!(Rows::default().beyond(0), None);
    }
}
