//! Where corrupt objects go: out of reach of readers, but kept for whoever wants to know why.

use object_store::path::Path;
use uuid::Uuid;

use crate::error::Quarantine;
use crate::objects::Objects;

/// The folder of quarantined objects.
pub(crate) const PREFIX: &str = "quarantine";

/// Moves an object to `quarantine/<name>-<digits>`. `tag` is the entity tag of the object that was
/// found corrupt: should another process have healed it in the meantime, the good one stays.
pub(crate) async fn quarantine(objects: &Objects, object: &Path, tag: Option<&str>) -> Quarantine {
    let name = object.filename().unwrap_or("object");
    let digits = &Uuid::new_v4().simple().to_string()[..8];
    let place = Path::from_iter([PREFIX, &format!("{name}-{digits}")]);
    match objects.put_aside(object, &place, tag).await {
        Ok(true) => Quarantine::Moved(place.to_string()),
        Ok(false) => Quarantine::Gone,
        Err(error) => Quarantine::Failed(error.to_string()),
    }
}
