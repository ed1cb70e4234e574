//! Where corrupt objects go: out of reach of readers, but kept for whoever wants to know why.

use object_store::path::Path;

use crate::error::{Quarantine, StoreError};
use crate::objects::Objects;

/// The folder of quarantined objects.
const PREFIX: &str = "quarantine";

/// Moves an object to `quarantine/<name>-<n>`. `tag` is the entity tag of the object that was
/// found corrupt: should another process have healed it in the meantime, the good one stays.
pub(crate) async fn quarantine(objects: &Objects, object: &Path, tag: Option<&str>) -> Quarantine {
    match try_quarantine(objects, object, tag).await {
        Ok(outcome) => outcome,
        Err(error) => Quarantine::Failed(error.to_string()),
    }
}

async fn try_quarantine(
    objects: &Objects,
    object: &Path,
    tag: Option<&str>,
) -> Result<Quarantine, StoreError> {
    let is_found = |found: Option<&str>| tag.is_none() || found == tag;
    match objects.head(object).await? {
        Some(meta) if is_found(meta.e_tag.as_deref()) => {}
        _ => return Ok(Quarantine::Gone),
    }
    let name = object.filename().unwrap_or("object");
    let mut n = 1;
    let place = loop {
        let place = Path::from_iter([PREFIX, &format!("{name}-{n}")]);
        if objects.head(&place).await?.is_none() {
            break place;
        }
        n += 1;
    };
    if !objects.rename(object, &place).await? {
        return Ok(Quarantine::Gone);
    }
    // Between the look and the move a healed object may have taken the place of the corrupt one.
    let moved = objects.head(&place).await?;
    if moved.is_some_and(|meta| !is_found(meta.e_tag.as_deref())) {
        objects.rename(&place, object).await?;
        return Ok(Quarantine::Gone);
    }
    Ok(Quarantine::Moved(place.to_string()))
}
