//! What was used lately, kept in memory.

use std::collections::VecDeque;

/// At most so many values by their keys: the one that was not used for longest goes first. Looks at
/// all of them, so it is for a hundred or two.
#[derive(Debug)]
pub(crate) struct Lately<K, V> {
    most: usize,
    /// The one that was used last is last.
    kept: VecDeque<(K, V)>,
}

impl<K: PartialEq, V: Clone> Lately<K, V> {
    pub(crate) fn new(most: usize) -> Self {
        Self { most, kept: VecDeque::new() }
    }

    /// A value, which counts as using it.
    pub(crate) fn get(&mut self, key: &K) -> Option<V> {
        let found = self.kept.remove(self.position(key)?)?;
        let value = found.1.clone();
        self.kept.push_back(found);
        Some(value)
    }

    /// Keeps a value, in the place of one of the same key.
    pub(crate) fn keep(&mut self, key: K, value: V) {
        if let Some(at) = self.position(&key) {
            self.kept.remove(at);
        } else if self.kept.len() >= self.most {
            self.kept.pop_front();
        }
        self.kept.push_back((key, value));
    }

    fn position(&self, key: &K) -> Option<usize> {
        self.kept.iter().position(|(kept, _)| kept == key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_used_for_longest_goes() {
        let mut lately = Lately::new(3);
        for key in 1..=3 {
            lately.keep(key, key * 10);
        }
        assert_eq!(lately.get(&1), Some(10));
        lately.keep(4, 40);
        assert_eq!([1, 2, 3, 4].map(|key| lately.get(&key)), [Some(10), None, Some(30), Some(40)]);
        // The same key again takes no room of another's.
        lately.keep(3, 31);
        assert_eq!([1, 3, 4].map(|key| lately.get(&key)), [Some(10), Some(31), Some(40)]);
    }
}
