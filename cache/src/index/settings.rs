//! Facts about the index itself.

use uuid::Uuid;

use crate::error::StoreError;

use super::open::Index;

/// The store that the index belongs to.
const STORE: &str = "store";

/// Its own name.
const ID: &str = "id";

/// Set once every manifest of the store has been read.
const COMPLETE: &str = "complete";

impl Index {
    /// Makes this the index of the store `id`, unless it is another's: gives the store that it
    /// belongs to.
    pub(crate) async fn belong_to(&self, id: &str) -> Result<String, StoreError> {
        self.set_once(STORE, id).await?;
        Ok(self.setting(STORE).await?.unwrap_or_default())
    }

    /// What tells this database from others.
    pub(crate) async fn id(&self) -> Result<String, StoreError> {
        self.set_once(ID, &Uuid::new_v4().to_string()).await?;
        Ok(self.setting(ID).await?.unwrap_or_default())
    }

    /// Whether the index knows every build that was stored before it was made.
    pub(crate) async fn is_complete(&self) -> Result<bool, StoreError> {
        Ok(self.setting(COMPLETE).await?.is_some())
    }

    /// Remembers that it does.
    pub(crate) async fn set_complete(&self) -> Result<(), StoreError> {
        self.set_once(COMPLETE, "yes").await
    }

    async fn setting(&self, name: &str) -> Result<Option<String>, StoreError> {
        let row: Option<(String,)> = sqlx::query_as("SELECT value FROM settings WHERE name = $1")
            .bind(name)
            .fetch_optional(&self.pool)
            .await
            .map_err(self.fail("reading its settings"))?;
        Ok(row.map(|(value,)| value))
    }

    async fn set_once(&self, name: &str, value: &str) -> Result<(), StoreError> {
        sqlx::query("INSERT INTO settings (name, value) VALUES ($1, $2) ON CONFLICT DO NOTHING")
            .bind(name)
            .bind(value)
            .execute(&self.pool)
            .await
            .map_err(self.fail("writing its settings"))?;
        Ok(())
    }
}
