//! What a transfer between stores needs: everything that is only in the index.

use std::collections::HashMap;

use crate::digest::Digest;
use crate::error::StoreError;
use crate::evidence::TestKey;
use crate::input::InputKey;
use crate::journal::Journal;
use crate::signature::ImageId;

use super::open::Index;
use super::value::{digest, input_key, to_column};

/// The names that lead to a build.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    /// Requests, each with the closure that proved it, if it was proved.
    pub(crate) requests: Vec<(InputKey, Option<Digest>)>,
    /// Commits, likewise.
    pub(crate) commits: Vec<(String, Option<Digest>)>,
}

impl Index {
    pub(crate) async fn names_of(&self, key: &InputKey) -> Result<Names, StoreError> {
        let doing = "listing the names of a build";
        let requests: Vec<(String, Option<String>)> = sqlx::query_as(
            "SELECT request_key, proved_from FROM requests WHERE input_key = $1 \
             ORDER BY request_key",
        )
        .bind(key.to_string())
        .fetch_all(&self.pool)
        .await
        .map_err(self.fail(doing))?;
        let commits: Vec<(String, Option<String>)> = sqlx::query_as(
            "SELECT commit_id, proved_from FROM revisions WHERE input_key = $1 ORDER BY commit_id",
        )
        .bind(key.to_string())
        .fetch_all(&self.pool)
        .await
        .map_err(self.fail(doing))?;
        let requests = requests.into_iter().map(|(request, proof)| {
            let proof = proof.map(|text| digest("requests.proved_from", &text)).transpose()?;
            Ok((input_key(&request)?, proof))
        });
        let commits = commits.into_iter().map(|(commit, proof)| {
            let proof = proof.map(|text| digest("revisions.proved_from", &text)).transpose()?;
            Ok((commit, proof))
        });
        Ok(Names {
            requests: requests.collect::<Result<_, StoreError>>()?,
            commits: commits.collect::<Result<_, StoreError>>()?,
        })
    }

    /// All commits that lead to builds, by build.
    pub(crate) async fn commits(&self) -> Result<HashMap<InputKey, Vec<String>>, StoreError> {
        let rows: Vec<(String, String)> =
            sqlx::query_as("SELECT input_key, commit_id FROM revisions")
                .fetch_all(&self.pool)
                .await
                .map_err(self.fail("listing the names of builds"))?;
        let mut commits: HashMap<InputKey, Vec<String>> = HashMap::new();
        for (key, commit) in rows {
            commits.entry(input_key(&key)?).or_default().push(commit);
        }
        Ok(commits)
    }

    /// Every image that ran, with the tests that it ran under.
    pub(crate) async fn tested(&self) -> Result<Vec<(ImageId, TestKey)>, StoreError> {
        let rows: Vec<(String, String)> =
            sqlx::query_as("SELECT DISTINCT image, test FROM runs ORDER BY image, test")
                .fetch_all(&self.pool)
                .await
                .map_err(self.fail("listing what was tested"))?;
        rows.into_iter()
            .map(|(image, test)| {
                Ok((ImageId(digest("runs.image", &image)?), TestKey(digest("runs.test", &test)?)))
            })
            .collect()
    }

    /// The ids of all journals, oldest first.
    pub(crate) async fn journal_ids(&self) -> Result<Vec<String>, StoreError> {
        let rows: Vec<(String,)> = sqlx::query_as("SELECT id FROM journals ORDER BY created, id")
            .fetch_all(&self.pool)
            .await
            .map_err(self.fail("listing journals"))?;
        Ok(rows.into_iter().map(|(id,)| id).collect())
    }

    /// Writes a journal with its times and numbers, or those of its events that come behind the
    /// `known` ones, in one step.
    pub(crate) async fn add_journal(
        &self,
        journal: &Journal,
        known: usize,
    ) -> Result<(), StoreError> {
        let doing = "bringing in a journal";
        let updated = journal.events.last().map_or(journal.created, |last| last.at);
        let mut transaction = self.write(doing).await?;
        sqlx::query(
            "INSERT INTO journals (id, kind, header, created, events, updated) \
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (id) DO UPDATE SET \
             events = excluded.events, updated = excluded.updated",
        )
        .bind(&journal.id)
        .bind(&journal.kind)
        .bind(journal.header.to_string())
        .bind(journal.created)
        .bind(to_column(journal.events.len() as u64))
        .bind(updated)
        .execute(&mut *transaction)
        .await
        .map_err(self.fail(doing))?;
        for entry in journal.events.iter().skip(known) {
            sqlx::query(
                "INSERT INTO journal_events (journal, seq, at, event) VALUES ($1, $2, $3, $4)",
            )
            .bind(&journal.id)
            .bind(to_column(entry.seq))
            .bind(entry.at)
            .bind(entry.event.to_string())
            .execute(&mut *transaction)
            .await
            .map_err(self.fail(doing))?;
        }
        transaction.commit().await.map_err(self.fail(doing))
    }
}
