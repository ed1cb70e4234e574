//! Listing builds, and files by the beginning of their digest.

use futures::TryStreamExt;
use sqlx::AssertSqlSafe;

use crate::digest::Digest;
use crate::error::StoreError;
use crate::input::InputKey;
use crate::query::{BuildFilter, ListedBuild};
use crate::signature::ImageId;

use super::builds::{BUILT, FAILED};
use super::open::Index;
use super::value::{behind, digest, from_column, input_key};

/// The builds that a filter takes, the last used first, and at equal times by key.
///
/// $1: limit; from $2 on, what the conditions of [`conditions`] take, which stand for `{where}`. `{leads}`
/// is what [`leads`] gives.
///
/// When a build was last used is what retention goes by (`retention/look.rs`). What is counted of each
/// build is only looked up for those that are listed.
const LIST: &str = "\
WITH page AS ( \
  SELECT b.input_key, b.commit_id, b.tree, b.family, b.image, b.result, b.seconds, b.created, \
    CASE WHEN u.input_key IS NULL THEN b.created WHEN u.times > 0 THEN u.at \
         WHEN u.at > b.created THEN u.at ELSE b.created END AS used \
  FROM builds b LEFT JOIN uses u ON u.input_key = b.input_key \
  WHERE {where} ORDER BY used DESC, b.input_key LIMIT $1) \
SELECT page.*, \
  (SELECT COUNT(*) FROM revisions r WHERE r.input_key = page.input_key AND {leads}), \
  (SELECT COUNT(*) FROM artifacts a WHERE a.input_key = page.input_key), \
  (SELECT CAST(COALESCE(SUM(a.size), 0) AS BIGINT) FROM artifacts a \
   WHERE a.input_key = page.input_key), \
  (SELECT COUNT(*) FROM pins p WHERE p.input_key = page.input_key) \
FROM page ORDER BY used DESC, page.input_key";

/// The condition that a row `r` of `revisions` leads to its build, as finding takes it: it needs no proof,
/// or its proof is the build's own closure and is none of those that were `refuted`.
fn leads(refuted: &[Digest]) -> String {
    let mut condition = String::from(
        "(r.proved_from IS NULL OR r.proved_from = (SELECT c.digest FROM artifacts c \
         WHERE c.input_key = r.input_key AND c.name = 'closure')",
    );
    if !refuted.is_empty() {
        // Digests are hexadecimal digits, whoever names them.
        let refuted: Vec<_> = refuted.iter().map(|it| format!("'{}'", it.to_hex())).collect();
        condition += &format!(" AND r.proved_from NOT IN ({})", refuted.join(", "));
    }
    condition + ")"
}

/// What a filter asks of a row `b` of `builds`, and what is bound for it, from $2 on.
fn conditions(filter: &BuildFilter, leads: &str) -> (String, Vec<String>) {
    let (mut all, mut bound) = (vec!["1 = 1".to_owned()], Vec::new());
    if let Some(commit) = &filter.commit {
        all.push(format!(
            "b.input_key IN (SELECT r.input_key FROM revisions r \
             WHERE r.commit_id >= $2 AND r.commit_id < $3 AND {leads})"
        ));
        bound.extend([commit.digits().to_owned(), behind(commit.digits())]);
    }
    if let Some(like) = filter.like {
        bound.push(like.to_string());
        all.push(format!(
            "b.family IN (SELECT family FROM builds WHERE input_key = ${})",
            bound.len() + 1
        ));
    }
    if filter.pinned {
        all.push("b.input_key IN (SELECT input_key FROM pins)".to_owned());
    }
    if filter.failed {
        all.push(format!("b.result = '{FAILED}'"));
    }
    (all.join(" AND "), bound)
}

/// A row of [`LIST`].
type Row =
    (String, String, String, String, Option<String>, String, f64, i64, i64, i64, i64, i64, i64);

impl Index {
    /// Gives the builds that a filter takes, one after the other, the last used first; at most
    /// `limit`. They are not held in memory. What rests on closures that were `refuted` counts nothing.
    pub(crate) async fn list(
        &self,
        filter: &BuildFilter,
        refuted: &[Digest],
        limit: u64,
        each: &mut (dyn FnMut(ListedBuild) + Send),
    ) -> Result<(), StoreError> {
        let fail = self.fail("listing builds");
        let leads = leads(refuted);
        let (wanted, bound) = conditions(filter, &leads);
        let statement = LIST.replace("{where}", &wanted).replace("{leads}", &leads);
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let mut rows = sqlx::query_as(AssertSqlSafe(statement)).bind(limit);
        for text in bound {
            rows = rows.bind(text);
        }
        let mut rows = rows.fetch(&self.pool);
        while let Some(row) = rows.try_next().await.map_err(&fail)? {
            each(listed(row)?);
        }
        Ok(())
    }

    /// Commits that lead to a build, at most `limit`, in the order of their digits; by no closure that
    /// was `refuted`.
    pub(crate) async fn commits_of(
        &self,
        key: &InputKey,
        refuted: &[Digest],
        limit: u32,
    ) -> Result<Vec<String>, StoreError> {
        let select = format!(
            "SELECT r.commit_id FROM revisions r WHERE r.input_key = $1 AND {} \
             ORDER BY r.commit_id LIMIT $2",
            leads(refuted)
        );
        let rows: Vec<(String,)> = sqlx::query_as(AssertSqlSafe(select))
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
            .bind(behind(digits))
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
        built: result == BUILT,
        seconds,
        created,
        last_use,
        commits: from_column(commits),
        files: from_column(files),
        size: from_column(size),
        pinned: pins > 0,
    })
}
