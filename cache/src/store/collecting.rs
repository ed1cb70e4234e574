//! Collecting garbage while another database comes to have a say in the store. Neither knows what is
//! held by way of the other, so one of the two must see the other before anything goes: who collects
//! says so in the store before it looks for other databases, and who joins leaves its mark before it
//! looks for one who collects. Who collects looks again before each turn, and stops; who joins waits
//! for that.

use std::time::{Duration, Instant};

use futures::TryStreamExt;
use object_store::path::Path;
use uuid::Uuid;

use crate::error::StoreError;

use super::{Inner, Store};

/// Below it, an object for each collection that removes something now: `collecting/<id of its
/// database>/<its own>`. Its content is what people call the database.
const COLLECTING: &str = "collecting";

/// How long one who joins waits: more than the turn of one who collects takes.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// The pause between two looks.
const PAUSE: Duration = Duration::from_millis(100);

/// A collection of which whoever joins hears.
pub(crate) struct Announced {
    object: Path,
    /// What earlier ones by way of the same database left, which were killed.
    left: Vec<Path>,
}

impl Store {
    /// Says that garbage is collected from now on. Before each turn, whoever does looks for others.
    pub(crate) async fn announce(&self) -> Result<Announced, StoreError> {
        let (objects, own) = (&self.inner.objects, self.inner.own_id().await?);
        let left = self.inner.collections().await?;
        let left = left.into_iter().filter(|it| database_of(it).as_deref() == Some(own)).collect();
        let object = Path::from_iter([COLLECTING, own, &Uuid::new_v4().simple().to_string()]);
        objects.put(&object, self.inner.index.name().into()).await?;
        Ok(Announced { object, left })
    }

    /// Says that no more is collected. When all of it was done, what earlier ones left goes, too; else
    /// one of them may not have noticed yet that it does no more.
    pub(crate) async fn conclude(&self, announced: Announced, done: bool) {
        let left = announced.left.into_iter().filter(|_| done);
        for object in left.chain([announced.object]) {
            if let Err(error) = self.inner.objects.delete(&object).await {
                tracing::warn!(%object, %error, "left behind");
            }
        }
    }
}

impl Inner {
    /// Waits, for so long, until nobody collects by way of another database.
    pub(super) async fn wait_for_others(&self, patience: Duration) -> Result<(), StoreError> {
        let (own, begun) = (self.own_id().await?, Instant::now());
        loop {
            let mut others = self.collections().await?.into_iter().filter_map(|object| {
                let id = database_of(&object)?;
                (id != own).then_some((object, id))
            });
            let Some((object, id)) = others.next() else { return Ok(()) };
            if begun.elapsed() >= patience {
                let fail = |source| self.objects.fail(format!("reading {object}"), source);
                let said = self.objects.get(&object, None, None).await.map_err(fail)?;
                let Some(said) = said else { continue };
                let other = String::from_utf8_lossy(&said.bytes).into_owned();
                return Err(StoreError::Collected { other, id });
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Forgets that anybody collected by way of a database.
    pub(super) async fn forget_collections(&self, id: &str) -> Result<(), StoreError> {
        for object in self.collections().await? {
            if database_of(&object).as_deref() == Some(id) {
                self.objects.delete(&object).await?;
            }
        }
        Ok(())
    }

    async fn collections(&self) -> Result<Vec<Path>, StoreError> {
        let fail = |source| self.objects.fail("looking for who collects".into(), source);
        self.objects.list(COLLECTING).map_ok(|meta| meta.location).try_collect().await.map_err(fail)
    }
}

fn database_of(object: &Path) -> Option<String> {
    object.parts().nth(1).map(|id| id.as_ref().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::Database;
    use crate::location::Location;

    #[tokio::test]
    async fn who_joins_waits_for_others_and_says_whom_nobody_waits_for() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("store");
        let store = Store::open(&Location::folder(&root)).await.unwrap();
        let database = Database::Sqlite(folder.path().join("other.sqlite"));
        let other = Store::open(&Location::folder(&root).with_database(database)).await.unwrap();
        let killed = store.announce().await.unwrap();
        store.inner.wait_for_others(Duration::ZERO).await.unwrap();
        let error = other.inner.wait_for_others(Duration::ZERO).await.unwrap_err();
        let StoreError::Collected { other: who, id } = &error else { panic!("{error}") };
        assert!(who.ends_with("index.sqlite") && id == "own", "{error}");
        // One that fails leaves what is left of others to the next.
        for done in [false, true] {
            let next = store.announce().await.unwrap();
            store.conclude(next, done).await;
            let waited = other.inner.wait_for_others(Duration::ZERO).await;
            assert_eq!(waited.is_ok(), done);
        }
        drop(killed);
        store.announce().await.unwrap();
        let waiting = tokio::spawn({
            let other = other.clone();
            async move { other.inner.wait_for_others(PATIENCE).await }
        });
        store.inner.forget_collections("own").await.unwrap();
        waiting.await.unwrap().unwrap();
    }
}
