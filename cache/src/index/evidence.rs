//! Runs, and what they add up to.

use std::collections::HashMap;

use sqlx::AssertSqlSafe;
use uuid::Uuid;

use crate::digest::Digest;
use crate::error::StoreError;
use crate::evidence::{Counts, Outcome, Run, TestKey};
use crate::signature::ImageId;

use super::open::Index;
use super::value::{damaged, digest, placeholders};

/// Images in one statement.
const CHUNK: usize = 500;

impl Index {
    /// Remembers a run. A run that is known already changes nothing: `false`.
    pub(crate) async fn add_run(&self, run: &Run) -> Result<bool, StoreError> {
        let (outcome, detail) = to_columns(&run.outcome);
        let done = sqlx::query(
            "INSERT INTO runs (id, image, test, outcome, detail, seconds, finished, console) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (id) DO NOTHING",
        )
        .bind(run.id.to_string())
        .bind(run.image.to_string())
        .bind(run.test.to_string())
        .bind(outcome)
        .bind(detail)
        .bind(run.seconds)
        .bind(run.finished)
        .bind(run.console.map(|console| console.to_hex()))
        .execute(&self.pool)
        .await
        .map_err(self.fail("recording a run"))?;
        Ok(done.rows_affected() == 1)
    }

    /// Counts of many images under one test. Images without a run are left out.
    pub(crate) async fn counts(
        &self,
        images: &[ImageId],
        test: &TestKey,
    ) -> Result<HashMap<ImageId, Counts>, StoreError> {
        let mut all = HashMap::new();
        for chunk in images.chunks(CHUNK) {
            let statement = format!(
                "SELECT image, outcome, detail, COUNT(*) FROM runs \
                 WHERE test = $1 AND image IN ({}) GROUP BY image, outcome, detail",
                placeholders(2, chunk.len())
            );
            let mut query = sqlx::query_as(AssertSqlSafe(statement)).bind(test.to_string());
            for image in chunk {
                query = query.bind(image.to_string());
            }
            let rows: Vec<(String, String, String, i64)> =
                query.fetch_all(&self.pool).await.map_err(self.fail("counting runs"))?;
            for (image, outcome, detail, n) in rows {
                let counts: &mut Counts =
                    all.entry(ImageId(digest("runs.image", &image)?)).or_default();
                counts.add(&from_columns(&outcome, detail)?, u32::try_from(n).unwrap_or(u32::MAX));
            }
        }
        Ok(all)
    }

    /// The runs of one image under one test, in the order they finished.
    pub(crate) async fn runs(
        &self,
        image: &ImageId,
        test: &TestKey,
    ) -> Result<Vec<Run>, StoreError> {
        type Row = (String, String, String, f64, i64, Option<String>);
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT id, outcome, detail, seconds, finished, console FROM runs \
             WHERE image = $1 AND test = $2 ORDER BY finished, id",
        )
        .bind(image.to_string())
        .bind(test.to_string())
        .fetch_all(&self.pool)
        .await
        .map_err(self.fail("reading runs"))?;
        rows.into_iter()
            .map(|(id, outcome, detail, seconds, finished, console)| {
                Ok(Run {
                    id: id.parse().map_err(|error| damaged("runs.id", error))?,
                    image: *image,
                    test: *test,
                    outcome: from_columns(&outcome, detail)?,
                    seconds,
                    finished,
                    console: console.map(|text| digest("runs.console", &text)).transpose()?,
                })
            })
            .collect()
    }

    /// The consoles of all runs, each with one run that names it.
    pub(crate) async fn consoles(&self) -> Result<HashMap<Digest, Uuid>, StoreError> {
        let rows: Vec<(String, String)> = sqlx::query_as(
            "SELECT console, MIN(id) FROM runs WHERE console IS NOT NULL GROUP BY console",
        )
        .fetch_all(&self.pool)
        .await
        .map_err(self.fail("listing consoles"))?;
        rows.into_iter()
            .map(|(console, id)| {
                let id = id.parse().map_err(|error| damaged("runs.id", error))?;
                Ok((digest("runs.console", &console)?, id))
            })
            .collect()
    }
}

fn to_columns(outcome: &Outcome) -> (&'static str, &str) {
    match outcome {
        Outcome::Ok => ("ok", ""),
        Outcome::Crash { title } => ("crash", title),
        Outcome::BootFailure { title } => ("boot-failure", title),
        Outcome::Infra { reason } => ("infra", reason),
    }
}

fn from_columns(outcome: &str, detail: String) -> Result<Outcome, StoreError> {
    match outcome {
        "ok" => Ok(Outcome::Ok),
        "crash" => Ok(Outcome::Crash { title: detail }),
        "boot-failure" => Ok(Outcome::BootFailure { title: detail }),
        "infra" => Ok(Outcome::Infra { reason: detail }),
        other => Err(damaged("runs.outcome", format!("'{other}' is no outcome"))),
    }
}
