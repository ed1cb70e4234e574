//! The index in numbers.

use std::collections::HashMap;

use crate::digest::Digest;
use crate::error::StoreError;

use super::open::Index;
use super::value::{digest, from_column};

/// Counts of rows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Numbers {
    pub(crate) builds: u64,
    pub(crate) failed_builds: u64,
    pub(crate) images: u64,
    pub(crate) artifacts: u64,
    pub(crate) artifact_bytes: u64,
    pub(crate) runs: u64,
    pub(crate) journals: u64,
}

impl Index {
    /// Counts everything.
    pub(crate) async fn numbers(&self) -> Result<Numbers, StoreError> {
        // SUM of BIGINT is a NUMERIC in PostgreSQL: the cast keeps one type everywhere.
        let row: (i64, i64, i64, i64, i64, i64, i64) = sqlx::query_as(
            "SELECT (SELECT COUNT(*) FROM builds), \
                    (SELECT COUNT(*) FROM builds WHERE result = 'failed'), \
                    (SELECT COUNT(DISTINCT image) FROM builds), \
                    (SELECT COUNT(*) FROM artifacts), \
                    (SELECT CAST(COALESCE(SUM(size), 0) AS BIGINT) FROM artifacts), \
                    (SELECT COUNT(*) FROM runs), \
                    (SELECT COUNT(*) FROM journals)",
        )
        .fetch_one(&self.pool)
        .await
        .map_err(self.fail("counting"))?;
        Ok(Numbers {
            builds: from_column(row.0),
            failed_builds: from_column(row.1),
            images: from_column(row.2),
            artifacts: from_column(row.3),
            artifact_bytes: from_column(row.4),
            runs: from_column(row.5),
            journals: from_column(row.6),
        })
    }

    /// Plain sizes of the distinct contents among all artifacts.
    pub(crate) async fn artifact_sizes(&self) -> Result<HashMap<Digest, u64>, StoreError> {
        let rows: Vec<(String, i64)> =
            sqlx::query_as("SELECT digest, MAX(size) FROM artifacts GROUP BY digest")
                .fetch_all(&self.pool)
                .await
                .map_err(self.fail("listing artifacts"))?;
        rows.into_iter()
            .map(|(text, size)| Ok((digest("artifacts.digest", &text)?, from_column(size))))
            .collect()
    }
}
