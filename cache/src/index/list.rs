//! Listing builds, and files by the beginning of their digest.

use futures::TryStreamExt;

use crate::digest::Digest;
use crate::error::StoreError;
use crate::input::InputKey;
use crate::query::{BuildFilter, ListedBuild};
use crate::signature::ImageId;

use super::open::Index;
use super::value::{digest, from_column, input_key};

/// The builds that a filter takes, the last used first, and at equal times by key.
///
/// $1 and $2: first commit, and behind the last ('' for any); $3: a build whose family is meant ('' for
/// any); $4: 1 for pinned ones only; $5: 1 for failed ones only; $6: limit.
///
/// When a build was last used is what retention goes by (`retention/look.rs`). What is counted of each
/// build is only looked up for those that are listed.
const LIST: &str = "\
WITH page AS ( \
  SELECT b.input_key, b.commit_id, b.tree, b.family, b.image, b.result, b.seconds, b.created, \
    CASE WHEN u.input_key IS NULL THEN b.created WHEN u.times > 0 THEN u.at \
         WHEN u.at > b.created THEN u.at ELSE b.created END AS used \
  FROM builds b LEFT JOIN uses u ON u.input_key = b.input_key \
  WHERE ($1 = '' OR b.input_key IN \
      (SELECT input_key FROM revisions WHERE commit_id >= $1 AND commit_id < $2)) \
    AND ($3 = '' OR b.family IN (SELECT family FROM builds WHERE input_key = $3)) \
    AND ($4 = 0 OR b.input_key IN (SELECT input_key FROM pins)) \
    AND ($5 = 0 OR b.result = 'failed') \
  ORDER BY used DESC, b.input_key LIMIT $6) \
SELECT page.*, \
  (SELECT COUNT(*) FROM revisions r WHERE r.input_key = page.input_key), \
  (SELECT COUNT(*) FROM artifacts a WHERE a.input_key = page.input_key), \
  (SELECT CAST(COALESCE(SUM(a.size), 0) AS BIGINT) FROM artifacts a \
   WHERE a.input_key = page.input_key), \
  (SELECT COUNT(*) FROM pins p WHERE p.input_key = page.input_key) \
FROM page ORDER BY used DESC, page.input_key";

/// A row of [`LIST`].
type Row =
    (String, String, String, String, Option<String>, String, f64, i64, i64, i64, i64, i64, i64);

impl Index {
    /// Gives the builds that a filter takes, one after the other, the last used first; at most
    /// `limit`. They are not held in memory.
    pub(crate) async fn list(
        &self,
        filter: &BuildFilter,
        limit: u64,
        each: &mut (dyn FnMut(ListedBuild) + Send),
    ) -> Result<(), StoreError> {
        let fail = self.fail("listing builds");
        let commit = filter.commit.as_ref().map_or("", |query| query.digits());
        let like = filter.like.map(|key| key.to_string()).unwrap_or_default();
        let mut rows = sqlx::query_as(LIST)
            .bind(commit)
            // Behind every hexadecimal continuation of the prefix.
            .bind(format!("{commit}g"))
            .bind(like)
            .bind(i64::from(filter.pinned))
            .bind(i64::from(filter.failed))
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .fetch(&self.pool);
        while let Some(row) = rows.try_next().await.map_err(&fail)? {
            each(listed(row)?);
        }
        Ok(())
    }

    /// Commits that lead to a build, at most `limit`, in the order of their digits.
    pub(crate) async fn commits_of(
        &self,
        key: &InputKey,
        limit: u32,
    ) -> Result<Vec<String>, StoreError> {
        let select =
            "SELECT commit_id FROM revisions WHERE input_key = $1 ORDER BY commit_id LIMIT $2";
        let rows: Vec<(String,)> = sqlx::query_as(select)
            .bind(key.to_string())
            .bind(i64::from(limit))
            .fetch_all(&self.pool)
            .await
            .map_err(self.fail("listing the names of a build"))?;
        Ok(rows.into_iter().map(|(commit,)| commit).collect())
    }

    /// The digests of files of builds and of consoles that begin with these lower-case hexadecimal
    /// digits, at most `limit`.
    pub(crate) async fn digests_like(
        &self,
        digits: &str,
        limit: u32,
    ) -> Result<Vec<Digest>, StoreError> {
        // Each half is a range of an index.
        let select = "SELECT digest FROM artifacts WHERE digest >= $1 AND digest < $2 \
                      UNION SELECT console FROM runs WHERE console >= $1 AND console < $2 \
                      ORDER BY 1 LIMIT $3";
        let rows: Vec<(String,)> = sqlx::query_as(select)
            .bind(digits)
            .bind(format!("{digits}g"))
            .bind(i64::from(limit))
            .fetch_all(&self.pool)
            .await
            .map_err(self.fail("looking up a digest"))?;
        rows.iter().map(|(text,)| digest("artifacts.digest", text)).collect()
    }
}

fn listed(row: Row) -> Result<ListedBuild, StoreError> {
    let (
        key,
        commit,
        tree,
        family,
        image,
        result,
        seconds,
        created,
        last_use,
        commits,
        files,
        size,
        pins,
    ) = row;
    Ok(ListedBuild {
        input_key: input_key(&key)?,
        commit,
        tree,
        family: input_key(&family)?,
        image: image.map(|text| digest("builds.image", &text)).transpose()?.map(ImageId),
        built: result == super::builds::BUILT,
        seconds,
        created,
        last_use,
        commits: from_column(commits),
        files: from_column(files),
        size: from_column(size),
        pinned: pins > 0,
    })
}
