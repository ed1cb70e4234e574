//! Tokens.

use std::time::Duration;

use uuid::Uuid;

use crate::error::StoreError;
use crate::time::now;
use crate::tokens::{Scope, Token, hash, new_secret};

use super::Store;

impl Store {
    /// Makes a token; gives it and its secret, which can't be had again.
    pub async fn create_token(
        &self,
        name: &str,
        scope: Scope,
        valid: Option<Duration>,
    ) -> Result<(Token, String), StoreError> {
        let (created, secret) = (now(), new_secret());
        let seconds = valid.map(|valid| i64::try_from(valid.as_secs()).unwrap_or(i64::MAX));
        let token = Token {
            id: Uuid::new_v4().simple().to_string()[..12].to_owned(),
            name: name.to_owned(),
            scope,
            created,
            expires: seconds.map(|seconds| created.saturating_add(seconds)),
            revoked: None,
        };
        self.inner.index.add_token(&token, &hash(&secret)).await?;
        Ok((token, secret))
    }

    /// All tokens, revoked and expired ones included, oldest first.
    pub async fn tokens(&self) -> Result<Vec<Token>, StoreError> {
        self.inner.index.tokens().await
    }

    /// Revokes a token by its id; `false` when there is none.
    pub async fn revoke_token(&self, id: &str) -> Result<bool, StoreError> {
        self.inner.index.revoke_token(id, now()).await
    }

    /// The valid token that a secret belongs to.
    pub async fn token_of(&self, secret: &str) -> Result<Option<Token>, StoreError> {
        let token = self.inner.index.token(&hash(secret)).await?;
        Ok(token.filter(|token| token.is_valid_at(now())))
    }
}
