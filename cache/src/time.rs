//! The clock, as records write it.

use std::time::{SystemTime, UNIX_EPOCH};

/// Now, in whole seconds since 1970; 0 on a machine whose clock stands before that.
pub(crate) fn now() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |elapsed| i64::try_from(elapsed.as_secs()).unwrap_or(i64::MAX))
}
