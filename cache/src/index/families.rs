//! Builds of one configuration along a history, and requests that one of them answers by proof.

use crate::build_draft::CLOSURE;
use crate::digest::Digest;
use crate::error::StoreError;
use crate::input::InputKey;
use crate::query::FamilyBuild;

use super::builds::insert_request;
use super::open::Index;
use super::value::{digest, input_key};

impl Index {
    /// Builds of a family that have a closure, newest first.
    pub(crate) async fn family(
        &self,
        family: &InputKey,
        most: u32,
    ) -> Result<Vec<FamilyBuild>, StoreError> {
        let rows: Vec<(String, String, String)> = sqlx::query_as(
            "SELECT b.input_key, b.tree, a.digest FROM builds b \
             JOIN artifacts a ON a.input_key = b.input_key AND a.name = $1 \
             WHERE b.family = $2 ORDER BY b.created DESC, b.input_key LIMIT $3",
        )
        .bind(CLOSURE)
        .bind(family.to_string())
        .bind(i64::from(most))
        .fetch_all(&self.pool)
        .await
        .map_err(self.fail("looking up a family of builds"))?;
        let builds = rows.into_iter().map(|(key, tree, closure)| {
            let closure = digest("artifacts.digest", &closure)?;
            Ok(FamilyBuild { input_key: input_key(&key)?, tree, closure })
        });
        builds.collect()
    }

    /// Remembers that a closure proves a request to give what a build gave.
    pub(crate) async fn add_proved_request(
        &self,
        request: &InputKey,
        input: &InputKey,
        closure: &Digest,
    ) -> Result<(), StoreError> {
        let doing = "adding a request";
        let mut transaction = self.write(doing).await?;
        let inserted = insert_request(&mut transaction, request, input, Some(closure)).await;
        inserted.map_err(self.fail(doing))?;
        transaction.commit().await.map_err(self.fail(doing))
    }

    /// The closure that proved a request, when it was proved so.
    pub(crate) async fn proof(&self, request: &InputKey) -> Result<Option<Digest>, StoreError> {
        Ok(self.request(request).await?.and_then(|(_, proof)| proof))
    }
}
