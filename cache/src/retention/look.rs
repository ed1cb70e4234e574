//! What is in a store, as collecting wants to know it.

use std::collections::HashMap;
use std::future::ready;

use futures::stream::{StreamExt, TryStreamExt};

use crate::error::StoreError;
use crate::index::Seen;
use crate::input::InputKey;
use crate::manifest::Artifact;
use crate::manifests;
use crate::store::Store;

use super::needed::{Shelf, Stored};
use super::policy::Known;

/// Manifests read at once.
const AT_ONCE: usize = 16;

impl Store {
    /// All builds, from their manifests, and the files of each.
    pub(super) async fn known_builds(
        &self,
    ) -> Result<(Vec<Known>, HashMap<InputKey, Vec<Artifact>>), StoreError> {
        let index = &self.inner().index;
        let (uses, pins) = (index.uses().await?, index.pins().await?);
        let mut commits = index.commits().await?;
        let (mut builds, mut names) = (Vec::new(), HashMap::new());
        let objects = self.inner().objects.clone();
        let read = move |key: InputKey| {
            let objects = objects.clone();
            async move { Ok::<_, StoreError>((key, manifests::read(&objects, &key).await?)) }
        };
        let mut reading = manifests::list(&self.inner().objects)
            .try_filter_map(|object| ready(Ok(manifests::key_of(&object))))
            .map_ok(read)
            .try_buffer_unordered(AT_ONCE)
            .boxed();
        while let Some((key, read)) = reading.try_next().await? {
            let read = match read {
                Some(Ok(read)) => read,
                None => continue,
                Some(Err(unreadable)) => {
                    let why = format!("nobody knows what build {key} needs ({})", unreadable.error);
                    return Err(StoreError::Refused(why));
                }
            };
            let (used, manifest) = (uses.get(&key), read.manifest);
            let last_use = match used {
                Some(used) if used.times > 0 => used.at,
                // Before uses were counted, making a build was none.
                Some(used) => used.at.max(manifest.created),
                None => manifest.created,
            };
            let uses = used.map_or(0, |used| used.times);
            builds.push(Known {
                key,
                seen: Seen { manifest: read.digest, tag: read.tag, uses },
                last_use,
                pinned: pins.contains(&key),
                commit: manifest.commit,
                commits: commits.remove(&key).unwrap_or_default(),
            });
            names.insert(key, manifest.artifacts);
        }
        Ok((builds, names))
    }

    /// All blobs. One that can't be opened rests on nothing: `verify` says more of it.
    pub(super) async fn shelf(&self) -> Result<Shelf, StoreError> {
        let mut shelf = Shelf::default();
        let mut opened = self.opened_blobs();
        while let Some((digest, meta, reader)) = opened.try_next().await? {
            let rests_on = match reader {
                Ok(reader) => reader.rests_on(),
                Err(StoreError::LetGo(_)) => Vec::new(),
                Err(StoreError::Missing(_) | StoreError::Corrupt { .. }) => continue,
                Err(error @ StoreError::NewerFormat { .. }) => {
                    return Err(StoreError::Refused(error.to_string()));
                }
                Err(error) => return Err(error),
            };
            let written = meta.last_modified.timestamp();
            shelf.blobs.insert(digest, Stored { bytes: meta.size, rests_on, written });
        }
        Ok(shelf)
    }
}
