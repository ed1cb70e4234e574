//! What there is to pack: the files of all builds, in the order in which they resemble each other.

use std::collections::{BTreeMap, HashSet};

use futures::TryStreamExt;

use crate::build_draft::VMLINUX;
use crate::digest::Digest;
use crate::error::StoreError;
use crate::input::InputKey;
use crate::manifest::Manifest;
use crate::manifests;
use crate::objects::Objects;

/// A blob that may be packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) digest: Digest,
    pub(super) family: InputKey,
    /// The `vmlinux` of the same build, of which a boot image is made.
    pub(super) vmlinux: Option<Digest>,
}

/// Blobs by the name of the file that they are. Within a name, families stay together and builds
/// come in the order in which they were made: neighbours in history, mostly.
pub(super) type Plan = BTreeMap<String, Vec<Candidate>>;

/// All files of all builds, each content once.
pub(super) async fn plan(objects: &Objects) -> Result<Plan, StoreError> {
    let mut builds: Vec<Manifest> = Vec::new();
    let mut listed = manifests::list(objects);
    while let Some(object) = listed.try_next().await? {
        let Some(key) = manifests::key_of(&object) else { continue };
        // What can't be read is `verify`'s to report.
        if let Some(Ok(read)) = manifests::read(objects, &key).await? {
            builds.push(read.manifest);
        }
    }
    builds.sort_by_key(|build| (build.family_key, build.created, build.input_key));
    let (mut plan, mut seen) = (Plan::new(), HashSet::new());
    for build in builds {
        let vmlinux = build.artifact(VMLINUX).map(|artifact| artifact.digest);
        for artifact in build.artifacts {
            if seen.insert(artifact.digest) {
                let (digest, family) = (artifact.digest, build.family_key);
                let candidate = Candidate { digest, family, vmlinux };
                plan.entry(artifact.name).or_default().push(candidate);
            }
        }
    }
    Ok(plan)
}
