//! Finding builds by what people have in hand.

use crate::digest::Digest;
use crate::error::StoreError;
use crate::input::InputKey;
use crate::query::{Field, Query};

use super::open::Index;
use super::value::{behind, digest, input_key};

/// More matches than this of one prefix are not an answer.
const LIMIT: i64 = 10_000;

/// One match of a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// Which name matched.
    pub(crate) field: Field,
    /// The whole name.
    pub(crate) value: String,
    /// The build.
    pub(crate) input_key: InputKey,
    /// The closure (a blob) that proved that the name leads there, if it was proved.
    pub(crate) proof: Option<Digest>,
}

impl Index {
    /// Every name that begins with the query's digits, with the build it leads to. A commit that was
    /// proved leads to no build but the one whose closure proved it.
    pub(crate) async fn find(&self, query: &Query) -> Result<Vec<Found>, StoreError> {
        let mut found = Vec::new();
        for field in query.fields() {
            let rows: Vec<Row> = sqlx::query_as(statement(field))
                .bind(query.digits())
                .bind(behind(query.digits()))
                .bind(match field {
                    Field::Signature(Some(kind)) => kind.name(),
                    _ => "",
                })
                .bind(LIMIT)
                .fetch_all(&self.pool)
                .await
                .map_err(self.fail("looking up a name"))?;
            for (value, key, proof) in rows {
                let proof = proof.map(|text| digest("revisions.proved_from", &text)).transpose()?;
                found.push(Found { field, value, input_key: input_key(&key)?, proof });
            }
        }
        Ok(found)
    }
}

/// Name, build, and what proved that the one leads to the other.
type Row = (String, String, Option<String>);

/// Each takes: first name, name behind the last, kind of signature ('' for any), limit.
fn statement(field: Field) -> &'static str {
    match field {
        Field::InputKey => {
            "SELECT input_key, input_key, CAST(NULL AS TEXT) FROM builds \
             WHERE input_key >= $1 AND input_key < $2 AND $3 = '' ORDER BY input_key LIMIT $4"
        }
        Field::Revision => {
            "SELECT r.commit_id, r.input_key, r.proved_from FROM revisions r \
             JOIN builds b ON b.input_key = r.input_key \
             LEFT JOIN artifacts c ON c.input_key = r.input_key AND c.name = 'closure' \
             WHERE r.commit_id >= $1 AND r.commit_id < $2 AND $3 = '' \
             AND (r.proved_from IS NULL OR r.proved_from = c.digest) \
             ORDER BY r.commit_id, r.input_key LIMIT $4"
        }
        Field::BuildId => {
            "SELECT build_id, input_key, CAST(NULL AS TEXT) FROM build_ids \
             WHERE build_id >= $1 AND build_id < $2 AND $3 = '' \
             ORDER BY build_id, input_key LIMIT $4"
        }
        Field::Signature(_) => {
            "SELECT hash, input_key, CAST(NULL AS TEXT) FROM signatures \
             WHERE hash >= $1 AND hash < $2 AND ($3 = '' OR kind = $3) \
             ORDER BY hash, input_key LIMIT $4"
        }
    }
}
