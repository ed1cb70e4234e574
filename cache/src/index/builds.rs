//! Builds and the names that lead to them.

use std::collections::HashMap;

use sqlx::{AnyConnection, AssertSqlSafe};

use crate::digest::Digest;
use crate::error::StoreError;
use crate::input::InputKey;
use crate::manifest::Manifest;
use crate::query::BuildSummary;
use crate::signature::ImageId;

use super::hold::take_long_turn;
use super::open::Index;
use super::uses::note_use;
use super::value::{digest, input_key, placeholders, to_column};
use super::write::Write;
use crate::build_draft::{CLOSURE, PROVENANCE};

/// Keys in one statement: well below what any database takes.
const CHUNK: usize = 500;

/// The manifest of a build, as it was indexed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Indexed {
    /// The digest of the object.
    pub(crate) manifest: Digest,
    /// When it was made, seconds since 1970.
    pub(crate) created: i64,
}

/// The turn of somebody who found manifests, and did not make them.
pub(crate) struct Finding {
    write: Write,
    index: Index,
}

impl Finding {
    /// Indexes builds whose manifests are there, each with the digest of its manifest object.
    pub(crate) async fn add(mut self, builds: &[(Manifest, Digest)]) -> Result<(), StoreError> {
        let fail = self.index.fail("adding a build");
        insert(&mut self.write, builds).await.map_err(&fail)?;
        self.write.commit().await.map_err(&fail)
    }
}

impl Index {
    /// Writes the rows of builds, replacing older rows of the same input keys, in one step. Each
    /// comes with the digest of its manifest object.
    pub(crate) async fn add_builds(&self, builds: &[(Manifest, Digest)]) -> Result<(), StoreError> {
        let doing = "adding a build";
        let mut transaction = self.write(doing).await?;
        insert(&mut transaction, builds).await.map_err(self.fail(doing))?;
        transaction.commit().await.map_err(self.fail(doing))
    }

    /// The same of one build that somebody made just now, and relies on.
    pub(crate) async fn add_relied_on(&self, build: &(Manifest, Digest)) -> Result<(), StoreError> {
        let (doing, now) = ("adding a build", self.now().await);
        let mut transaction = self.write(doing).await?;
        let added = async {
            insert(&mut transaction, std::slice::from_ref(build)).await?;
            note_use(&mut transaction, &build.0.input_key, now).await
        };
        added.await.map_err(self.fail(doing))?;
        transaction.commit().await.map_err(self.fail(doing))
    }

    /// Keeps others from removing manifests until it is dropped: those that are there then may be
    /// indexed.
    pub(crate) async fn finding(&self) -> Result<Finding, StoreError> {
        let doing = "adding a build";
        let mut write = self.write(doing).await?;
        take_long_turn(&mut write, self.is_file()).await.map_err(self.fail(doing))?;
        Ok(Finding { write, index: self.clone() })
    }

    /// Removes the rows of a build, if they are of this manifest. Its names stay: they answer again
    /// when it is built again, those that were proved if it has the same closure.
    pub(crate) async fn remove_build(
        &self,
        key: &InputKey,
        manifest: &Digest,
    ) -> Result<(), StoreError> {
        let doing = "removing a build";
        let mut transaction = self.write(doing).await?;
        // Changes nothing, but makes other writers of this build wait.
        let found = sqlx::query(
            "UPDATE builds SET manifest = manifest WHERE input_key = $1 AND manifest = $2",
        )
        .bind(key.to_string())
        .bind(manifest.to_hex())
        .execute(&mut *transaction)
        .await
        .map_err(self.fail(doing))?;
        if found.rows_affected() > 0 {
            delete(&mut transaction, &key.to_string()).await.map_err(self.fail(doing))?;
        }
        transaction.commit().await.map_err(self.fail(doing))
    }

    /// What the index says of a build's manifest object, when the build is indexed.
    pub(crate) async fn manifest_of(&self, key: &InputKey) -> Result<Option<Indexed>, StoreError> {
        let row: Option<(String, i64)> =
            sqlx::query_as("SELECT manifest, created FROM builds WHERE input_key = $1")
                .bind(key.to_string())
                .fetch_optional(&self.pool)
                .await
                .map_err(self.fail("looking up a build"))?;
        row.map(|(text, created)| {
            Ok(Indexed { manifest: digest("builds.manifest", &text)?, created })
        })
        .transpose()
    }

    /// The builds that have a file of this content, at most `limit`, in the order of their keys.
    pub(crate) async fn builds_with(
        &self,
        digest: &Digest,
        limit: u32,
    ) -> Result<Vec<InputKey>, StoreError> {
        let select = "SELECT DISTINCT input_key FROM artifacts WHERE digest = $1 \
                      ORDER BY input_key LIMIT $2";
        let rows: Vec<(String,)> = sqlx::query_as(select)
            .bind(digest.to_hex())
            .bind(i64::from(limit))
            .fetch_all(&self.pool)
            .await
            .map_err(self.fail("looking for the builds of a file"))?;
        rows.iter().map(|(key,)| input_key(key)).collect()
    }

    /// All builds, as their input keys and the digests of their manifest objects.
    pub(crate) async fn all_builds(&self) -> Result<HashMap<InputKey, Digest>, StoreError> {
        let rows: Vec<(String, String)> = sqlx::query_as("SELECT input_key, manifest FROM builds")
            .fetch_all(&self.pool)
            .await
            .map_err(self.fail("listing builds"))?;
        rows.iter()
            .map(|(key, manifest)| Ok((input_key(key)?, digest("builds.manifest", manifest)?)))
            .collect()
    }

    /// Remembers that a request leads to a build.
    pub(crate) async fn add_request(
        &self,
        request: &InputKey,
        input: &InputKey,
    ) -> Result<(), StoreError> {
        let doing = "adding a request";
        let mut transaction = self.write(doing).await?;
        insert_request(&mut transaction, request, input, None).await.map_err(self.fail(doing))?;
        transaction.commit().await.map_err(self.fail(doing))
    }

    /// Remembers that a commit leads to a build, which whoever asked for it relies on from now on.
    /// `closure`: what proved it; `None` when it is the commit's own build.
    pub(crate) async fn add_revision(
        &self,
        commit: &str,
        input: &InputKey,
        closure: Option<&Digest>,
    ) -> Result<(), StoreError> {
        let (doing, now) = ("adding a revision", self.now().await);
        let mut transaction = self.write(doing).await?;
        let inserted = insert_revision(&mut transaction, commit, input, closure).await;
        inserted.map_err(self.fail(doing))?;
        note_use(&mut transaction, input, now).await.map_err(self.fail(doing))?;
        transaction.commit().await.map_err(self.fail(doing))
    }

    /// The same of a build that nobody has asked for.
    pub(crate) async fn add_name(
        &self,
        commit: &str,
        input: &InputKey,
        closure: Option<&Digest>,
    ) -> Result<(), StoreError> {
        let doing = "adding a revision";
        let mut transaction = self.write(doing).await?;
        let inserted = insert_revision(&mut transaction, commit, input, closure).await;
        inserted.map_err(self.fail(doing))?;
        transaction.commit().await.map_err(self.fail(doing))
    }

    /// The build that a request is known to lead to, and the closure (a blob) that proved it, if it was
    /// proved.
    pub(crate) async fn request(
        &self,
        request: &InputKey,
    ) -> Result<Option<(InputKey, Option<Digest>)>, StoreError> {
        let row: Option<(String, Option<String>)> =
            sqlx::query_as("SELECT input_key, proved_from FROM requests WHERE request_key = $1")
                .bind(request.to_string())
                .fetch_optional(&self.pool)
                .await
                .map_err(self.fail("looking up a request"))?;
        let read = |(input, proof): (String, Option<String>)| {
            let proof = proof.map(|text| digest("requests.proved_from", &text)).transpose()?;
            Ok((input_key(&input)?, proof))
        };
        row.map(read).transpose()
    }

    /// What is known of many requests at once, by request key. Unknown ones are left out, and so are
    /// those that were proved by a closure which is not (any more) that of the build.
    pub(crate) async fn summaries(
        &self,
        requests: &[InputKey],
    ) -> Result<HashMap<InputKey, BuildSummary>, StoreError> {
        let mut found = HashMap::new();
        for chunk in requests.chunks(CHUNK) {
            let statement = format!(
                "SELECT r.request_key, b.input_key, b.image, b.result, b.seconds, r.proved_from, \
                 a.digest FROM requests r JOIN builds b ON b.input_key = r.input_key \
                 LEFT JOIN artifacts a ON a.input_key = b.input_key AND a.name = $1 \
                 LEFT JOIN artifacts c ON c.input_key = b.input_key AND c.name = $2 \
                 WHERE r.request_key IN ({}) AND (r.proved_from IS NULL OR r.proved_from = c.digest)",
                placeholders(3, chunk.len())
            );
            let query = sqlx::query_as(AssertSqlSafe(statement));
            let mut query = query.bind(PROVENANCE).bind(CLOSURE);
            for key in chunk {
                query = query.bind(key.to_string());
            }
            let rows: Vec<SummaryRow> =
                query.fetch_all(&self.pool).await.map_err(self.fail("looking up requests"))?;
            for (request, key, image, result, seconds, proof, provenance) in rows {
                let image = image.map(|text| digest("builds.image", &text)).transpose()?;
                let provenance = provenance.map(|text| digest("artifacts.digest", &text));
                let summary = BuildSummary {
                    input_key: input_key(&key)?,
                    image: image.map(ImageId),
                    built: result == BUILT,
                    seconds,
                    proof: proof.map(|text| digest("requests.proved_from", &text)).transpose()?,
                    provenance: provenance.transpose()?,
                };
                found.insert(input_key(&request)?, summary);
            }
        }
        Ok(found)
    }
}

/// Request, build, image, result, seconds, closure and provenance.
type SummaryRow = (String, String, Option<String>, String, f64, Option<String>, Option<String>);

pub(super) const BUILT: &str = "built";
pub(super) const FAILED: &str = "failed";
const BY_INPUT: &str = "input";
const BY_CLOSURE: &str = "closure";

async fn insert(
    connection: &mut AnyConnection,
    builds: &[(Manifest, Digest)],
) -> Result<(), sqlx::Error> {
    let mut sorted: Vec<&(Manifest, Digest)> = builds.iter().collect();
    sorted.sort_by_key(|(manifest, _)| manifest.input_key);
    for (manifest, digest) in &sorted {
        insert_build(connection, manifest, digest).await?;
    }
    sorted.sort_by_key(|(manifest, _)| manifest.request_key);
    for (manifest, _) in &sorted {
        insert_request(connection, &manifest.request_key, &manifest.input_key, None).await?;
    }
    sorted.sort_by_key(|(manifest, _)| (&manifest.commit, manifest.input_key));
    for (manifest, _) in &sorted {
        insert_revision(connection, &manifest.commit, &manifest.input_key, None).await?;
    }
    Ok(())
}

/// The build's own row first: two writers of one build queue up at it.
async fn insert_build(
    connection: &mut AnyConnection,
    manifest: &Manifest,
    digest: &Digest,
) -> Result<(), sqlx::Error> {
    let key = manifest.input_key.to_string();
    sqlx::query(
        "INSERT INTO builds (input_key, manifest, result, image, seconds, created, tree, family, \
         commit_id) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) \
         ON CONFLICT (input_key) DO UPDATE SET manifest = excluded.manifest, \
         result = excluded.result, image = excluded.image, seconds = excluded.seconds, \
         created = excluded.created, tree = excluded.tree, family = excluded.family, \
         commit_id = excluded.commit_id",
    )
    .bind(&key)
    .bind(digest.to_hex())
    .bind(if manifest.is_built() { BUILT } else { FAILED })
    .bind(manifest.image().map(|image| image.to_string()))
    .bind(manifest.seconds)
    .bind(manifest.created)
    .bind(&manifest.input.tree)
    .bind(manifest.family_key.to_string())
    .bind(&manifest.commit)
    .execute(&mut *connection)
    .await?;
    delete_parts(connection, &key).await?;
    for (kind, signature) in &manifest.signatures.0 {
        sqlx::query(
            "INSERT INTO signatures (input_key, kind, version, hash) VALUES ($1, $2, $3, $4)",
        )
        .bind(&key)
        .bind(kind.name())
        .bind(i64::from(signature.version))
        .bind(signature.hash.to_hex())
        .execute(&mut *connection)
        .await?;
    }
    if let Some(build_id) = &manifest.build_id {
        sqlx::query("INSERT INTO build_ids (build_id, input_key) VALUES ($1, $2)")
            .bind(build_id)
            .bind(&key)
            .execute(&mut *connection)
            .await?;
    }
    for artifact in &manifest.artifacts {
        sqlx::query(
            "INSERT INTO artifacts (input_key, name, digest, size) VALUES ($1, $2, $3, $4)",
        )
        .bind(&key)
        .bind(&artifact.name)
        .bind(artifact.digest.to_hex())
        .bind(to_column(artifact.size))
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

/// Removes the rows of a build.
pub(super) async fn delete(connection: &mut AnyConnection, key: &str) -> Result<(), sqlx::Error> {
    // Changes nothing, but makes other writers of this build wait.
    let lock = "UPDATE builds SET manifest = manifest WHERE input_key = $1";
    sqlx::query(lock).bind(key).execute(&mut *connection).await?;
    delete_parts(connection, key).await?;
    let last = "DELETE FROM builds WHERE input_key = $1";
    sqlx::query(last).bind(key).execute(&mut *connection).await?;
    Ok(())
}

/// Everything that refers to a build's row.
async fn delete_parts(connection: &mut AnyConnection, key: &str) -> Result<(), sqlx::Error> {
    for statement in [
        "DELETE FROM signatures WHERE input_key = $1",
        "DELETE FROM build_ids WHERE input_key = $1",
        "DELETE FROM artifacts WHERE input_key = $1",
    ] {
        sqlx::query(statement).bind(key).execute(&mut *connection).await?;
    }
    Ok(())
}

/// `closure`: what proved it; `None` when the request leads to just this input.
pub(super) async fn insert_request(
    connection: &mut AnyConnection,
    request: &InputKey,
    input: &InputKey,
    closure: Option<&Digest>,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO requests (request_key, input_key, how, proved_from) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (request_key) DO UPDATE SET input_key = excluded.input_key, \
         how = excluded.how, proved_from = excluded.proved_from",
    )
    .bind(request.to_string())
    .bind(input.to_string())
    .bind(if closure.is_some() { BY_CLOSURE } else { BY_INPUT })
    .bind(closure.map(Digest::to_hex))
    .execute(connection)
    .await?;
    Ok(())
}

/// `closure`: what proved it; `None` when it is the commit's own build, which no proof changes.
async fn insert_revision(
    connection: &mut AnyConnection,
    commit: &str,
    input: &InputKey,
    closure: Option<&Digest>,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO revisions (commit_id, input_key, proved_from) VALUES ($1, $2, $3) \
         ON CONFLICT (commit_id, input_key) DO UPDATE SET proved_from = excluded.proved_from \
         WHERE revisions.proved_from IS NOT NULL",
    )
    .bind(commit.to_ascii_lowercase())
    .bind(input.to_string())
    .bind(closure.map(Digest::to_hex))
    .execute(connection)
    .await?;
    Ok(())
}
