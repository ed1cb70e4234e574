//! Tokens.

use crate::digest::Digest;
use crate::error::StoreError;
use crate::tokens::{Scope, Token};

use super::open::Index;
use super::value::damaged;

type Row = (String, String, String, i64, Option<i64>, Option<i64>);

impl Index {
    pub(crate) async fn add_token(&self, token: &Token, hash: &Digest) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO tokens (id, name, hash, scope, created, expires) \
             VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(&token.id)
        .bind(&token.name)
        .bind(hash.to_hex())
        .bind(token.scope.name())
        .bind(token.created)
        .bind(token.expires)
        .execute(&self.pool)
        .await
        .map_err(self.fail("adding a token"))?;
        Ok(())
    }

    /// All tokens, oldest first.
    pub(crate) async fn tokens(&self) -> Result<Vec<Token>, StoreError> {
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT id, name, scope, created, expires, revoked FROM tokens ORDER BY created, id",
        )
        .fetch_all(&self.pool)
        .await
        .map_err(self.fail("listing tokens"))?;
        rows.into_iter().map(token).collect()
    }

    /// The token of a secret, by the secret's hash; valid or not.
    pub(crate) async fn token(&self, hash: &Digest) -> Result<Option<Token>, StoreError> {
        let row: Option<Row> = sqlx::query_as(
            "SELECT id, name, scope, created, expires, revoked FROM tokens WHERE hash = $1",
        )
        .bind(hash.to_hex())
        .fetch_optional(&self.pool)
        .await
        .map_err(self.fail("looking up a token"))?;
        row.map(token).transpose()
    }

    /// Revokes a token; `false` when there is none of that id. Once is for ever.
    pub(crate) async fn revoke_token(&self, id: &str, now: i64) -> Result<bool, StoreError> {
        let done = sqlx::query("UPDATE tokens SET revoked = COALESCE(revoked, $2) WHERE id = $1")
            .bind(id)
            .bind(now)
            .execute(&self.pool)
            .await
            .map_err(self.fail("revoking a token"))?;
        Ok(done.rows_affected() == 1)
    }
}

fn token((id, name, scope, created, expires, revoked): Row) -> Result<Token, StoreError> {
    let scope = Scope::from_name(&scope)
        .ok_or_else(|| damaged("tokens.scope", format!("'{scope}' is no scope")))?;
    Ok(Token { id, name, scope, created, expires, revoked })
}
