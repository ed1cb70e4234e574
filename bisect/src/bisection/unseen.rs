//! What of builds their code does not tell, where the code alone would say that a commit changes
//! nothing.

use std::path::PathBuf;

use kiln_cache::manifest::Manifest;
use kiln_cache::signature::{is_named_by_image, unseen_by_code};
use kiln_cache::{Digest, StoreError};

use super::error::BisectError;
use super::setup::{Bisection, blocking};
use crate::plan::Place;

impl Bisection {
    /// Compares a build and its neighbours of the same code in what the code does not tell: their
    /// boot images, and how they are laid out. `manifest` is the build's.
    pub(super) async fn learn_unseen(
        &mut self,
        place: Place,
        manifest: &Manifest,
    ) -> Result<(), BisectError> {
        for wanted in self.knowledge.codes.unlooked(place) {
            let made = self.made.get(&wanted).map(|made| made.manifest.clone());
            let build = if wanted == place { Some(manifest.clone()) } else { made };
            let Some(build) = build else { continue };
            let unseen = self.unseen_of(&build).await?;
            self.knowledge.codes.learn_unseen(wanted, unseen);
        }
        Ok(())
    }

    /// Of one build; `None` when its files can't be read, which is no reason to stop: then nothing is
    /// said of the commit.
    async fn unseen_of(&self, build: &Manifest) -> Result<Option<Digest>, BisectError> {
        let parent = self.kernels();
        let fail = |source| BisectError::Io { path: parent.clone(), source };
        tokio::fs::create_dir_all(&parent).await.map_err(fail)?;
        let folder = tempfile::tempdir_in(&parent).map_err(fail)?;
        let mut files: Vec<(String, PathBuf)> = Vec::new();
        let named = build.artifacts.iter().filter(|artifact| {
            is_named_by_image(&artifact.name) && !artifact.name.starts_with("modules/")
        });
        for artifact in named {
            let path = folder.path().join(&artifact.name);
            match self.store.read_to_file(&artifact.digest, &path).await {
                Ok(()) => files.push((artifact.name.clone(), path)),
                Err(
                    error @ (StoreError::Missing(_)
                    | StoreError::LetGo(_)
                    | StoreError::Corrupt { .. }),
                ) => {
                    tracing::warn!(build = %build.input_key, %error, "a kernel can't be read");
                    return Ok(None);
                }
                Err(error) => return Err(error.into()),
            }
        }
        let key = build.input_key;
        blocking(move || {
            let unseen = unseen_by_code(&files);
            drop(folder);
            Ok(unseen
                .inspect_err(|error| tracing::warn!(build = %key, %error, "a kernel can't be read"))
                .ok())
        })
        .await
    }
}
