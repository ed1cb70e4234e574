//! Independent pieces of work on several threads.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::blocking::threads;

/// Does `work` for 0, 1, … `count - 1` and gives the results in that order. The one with the
/// largest `weight` is begun first, so that no thread is left alone with it at the end.
pub(crate) fn side_by_side<T: Send + Sync>(
    count: usize,
    weight: impl Fn(usize) -> u64,
    work: impl Fn(usize) -> T + Sync,
) -> Vec<T> {
    let made: Vec<OnceLock<T>> = (0..count).map(|_| OnceLock::new()).collect();
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by_key(|&index| std::cmp::Reverse(weight(index)));
    let next = AtomicUsize::new(0);
    let go_on = || {
        while let Some(&index) = order.get(next.fetch_add(1, Ordering::Relaxed)) {
            // Each index is taken by one thread only.
            made[index].get_or_init(|| work(index));
        }
    };
    thread::scope(|scope| {
        for _ in 1..threads().min(count) {
            scope.spawn(go_on);
        }
        go_on();
    });
    let filled = made.into_iter().enumerate();
    filled.map(|(index, it)| it.into_inner().unwrap_or_else(|| work(index))).collect()
}

#[cfg(test)]
mod tests {
    use super::side_by_side;

    #[test]
    fn results_keep_their_order() {
        let squares = side_by_side(1000, |index| (index % 7) as u64, |index| index * index);
        assert_eq!(squares, (0..1000).map(|index| index * index).collect::<Vec<_>>());
        assert!(side_by_side(0, |_| 0, |index| index).is_empty());
    }
}
