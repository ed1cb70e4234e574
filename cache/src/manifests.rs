//! Manifests as objects: `builds/aa/<input key>.json`, one a build.

use bytes::Bytes;
use futures::stream::{BoxStream, StreamExt, TryStreamExt};
use object_store::path::Path;
use serde::Deserialize;

use crate::digest::Digest;
use crate::error::StoreError;
use crate::input::InputKey;
use crate::manifest::{FORMAT, Manifest};
use crate::objects::{Created, Objects};

/// The folder of all manifests.
pub(crate) const PREFIX: &str = "builds";

/// A manifest as it was read: the digest and entity tag tell one object from another.
#[derive(Clone, Debug)]
pub(crate) struct Read {
    pub(crate) manifest: Manifest,
    pub(crate) digest: Digest,
    pub(crate) tag: Option<String>,
}

/// Bytes that are no manifest of the build they are named after.
#[derive(Debug)]
pub(crate) struct Unreadable {
    pub(crate) error: StoreError,
    pub(crate) tag: Option<String>,
}

/// The object of a build's manifest.
pub(crate) fn object_of(key: &InputKey) -> Path {
    let hex = key.to_string();
    Path::from_iter([PREFIX, &hex[..2], &format!("{hex}.json")])
}

/// The build that an object is named after; `None` for an object that is no manifest.
pub(crate) fn key_of(object: &Path) -> Option<InputKey> {
    let key = object.filename()?.strip_suffix(".json")?.parse().ok().map(InputKey)?;
    (object_of(&key) == *object).then_some(key)
}

/// The first format that is sealed.
pub(crate) const SEALED: u32 = 3;

/// The last field of a sealed manifest: BLAKE3 of its bytes without this field.
const SEAL: &str = ",\"blake3\":\"";

/// Bytes of that field and of the brace behind it.
const SEAL_LEN: usize = SEAL.len() + 64 + 2;

fn seal_of(unsealed: &[u8]) -> String {
    format!("{SEAL}{}\"}}", Digest::of(unsealed))
}

/// Whether bytes are sealed: `None` when there is no seal, `Some(false)` when it is of other bytes.
fn is_sealed(bytes: &[u8]) -> Option<bool> {
    let (fields, seal) = bytes.split_at_checked(bytes.len().checked_sub(SEAL_LEN)?)?;
    let unsealed = [fields, b"}"].concat();
    seal.starts_with(SEAL.as_bytes()).then(|| seal_of(&unsealed).as_bytes() == seal)
}

/// The bytes of a manifest: JSON without spaces, fields in the order of the struct, maps sorted,
/// sealed.
pub(crate) fn encode(manifest: &Manifest) -> Result<Bytes, StoreError> {
    let mut bytes = serde_json::to_vec(manifest).map_err(|error| StoreError::Damaged {
        what: format!("the manifest of build {}", manifest.input_key),
        why: error.to_string(),
    })?;
    let seal = seal_of(&bytes);
    // In the place of the last brace.
    bytes.pop();
    bytes.extend(seal.into_bytes());
    Ok(bytes.into())
}

/// Writes a manifest unless the build has one.
pub(crate) async fn create(
    objects: &Objects,
    key: &InputKey,
    bytes: Bytes,
) -> Result<Created, StoreError> {
    objects.create(&object_of(key), bytes).await
}

/// Reads the manifest of a build; `Ok(None)` when there is none. The outer error is the store's,
/// the inner one the manifest's.
pub(crate) async fn read(
    objects: &Objects,
    key: &InputKey,
) -> Result<Option<Result<Read, Box<Unreadable>>>, StoreError> {
    let object = object_of(key);
    let fetched = objects.get(&object, None, None).await;
    let fetched = fetched.map_err(|source| objects.fail(format!("reading {object}"), source))?;
    Ok(fetched.map(|fetched| match decode(key, &fetched.bytes) {
        Ok(manifest) => {
            let (digest, tag) = (Digest::of(&fetched.bytes), fetched.meta.e_tag);
            Ok(Read { manifest, digest, tag })
        }
        Err(error) => Err(Box::new(Unreadable { error, tag: fetched.meta.e_tag })),
    }))
}

/// Every object among the manifests.
pub(crate) fn list(objects: &Objects) -> BoxStream<'static, Result<Path, StoreError>> {
    let objects = objects.clone();
    objects
        .list(PREFIX)
        .map_ok(|meta| meta.location)
        .map_err(move |source| objects.fail("listing manifests".into(), source))
        .boxed()
}

fn decode(key: &InputKey, bytes: &[u8]) -> Result<Manifest, StoreError> {
    let what = || format!("the manifest of build {key}");
    let damaged = |why: String| StoreError::Damaged { what: what(), why };
    // The format first: a newer manifest may have any other fields.
    #[derive(Deserialize)]
    struct Format {
        format: u32,
    }
    let Format { format } =
        serde_json::from_slice(bytes).map_err(|error| damaged(error.to_string()))?;
    if format > FORMAT {
        let (found, known) = (u64::from(format), u64::from(FORMAT));
        return Err(StoreError::NewerFormat { what: what(), found, known });
    }
    if !is_sealed(bytes).unwrap_or(format < SEALED) {
        return Err(damaged("its bytes are not those that its checksum is of".into()));
    }
    let manifest: Manifest =
        serde_json::from_slice(bytes).map_err(|error| damaged(error.to_string()))?;
    if manifest.input_key != *key || manifest.input.key() != *key {
        return Err(damaged("its input has another key".into()));
    }
    Ok(manifest)
}
