//! One clock for all who share a store: that of its database. Machines whose own clocks are apart
//! must not disagree on what is old.

use std::time::UNIX_EPOCH;

use crate::time;

use super::open::Index;

impl Index {
    /// Now, in seconds since 1970: by the database's server, or by the disk that its file is on.
    /// By the clock of this process where neither says it.
    pub(crate) async fn now(&self) -> i64 {
        let asked = match self.database.file() {
            Some(file) => {
                let folder = file.parent().map(ToOwned::to_owned).unwrap_or_default();
                tokio::task::spawn_blocking(move || {
                    let written = tempfile::tempfile_in(folder).ok()?.metadata().ok()?.modified();
                    let since = written.ok()?.duration_since(UNIX_EPOCH).ok()?;
                    i64::try_from(since.as_secs()).ok()
                })
                .await
                .ok()
                .flatten()
            }
            None => sqlx::query_as("SELECT CAST(FLOOR(EXTRACT(EPOCH FROM now())) AS BIGINT)")
                .fetch_one(&self.pool)
                .await
                .ok()
                .map(|(now,): (i64,)| now),
        };
        asked.unwrap_or_else(time::now)
    }
}
