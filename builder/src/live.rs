//! How many builds are under way in this process.
//!
//! A build's thread takes its view of the sources down when it ends, also when it was cancelled. A
//! process that ends before that leaves a mount on which every access fails.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

static LIVE: Mutex<usize> = Mutex::new(0);
static ENDED: Condvar = Condvar::new();

/// One build's thread; counts until it is dropped.
pub(crate) struct Live(());

impl Live {
    pub(crate) fn new() -> Self {
        *LIVE.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        Self(())
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        *LIVE.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        ENDED.notify_all();
    }
}

/// Waits until no build of this process is under way, at most so long; `false` when some still are.
/// To be called before the process ends, when the futures of all builds are dropped: that is what
/// stops them. Blocks.
pub fn wait_for_builds(most: Duration) -> bool {
    let live = LIVE.lock().unwrap_or_else(PoisonError::into_inner);
    let waited = ENDED.wait_timeout_while(live, most, |live| *live > 0);
    let (live, _) = waited.unwrap_or_else(PoisonError::into_inner);
    *live == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn waits_for_the_last_one_and_not_for_ever() {
        let live = Live::new();
        assert!(!wait_for_builds(Duration::from_millis(20)), "one is under way");
        let begun = Instant::now();
        let ends = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(100));
            drop(live);
        });
        // Other tests of this process build as well, so all that is sure is that it waited.
        wait_for_builds(Duration::from_secs(60));
        assert!(begun.elapsed() >= Duration::from_millis(50));
        ends.join().unwrap();
    }
}
