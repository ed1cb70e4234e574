//! Evidence: runs, counted by image and test.

use std::collections::HashMap;

use crate::error::StoreError;
use crate::evidence::{Counts, Run, TestKey};
use crate::signature::ImageId;

use super::Store;

/// Who holds a console until its run names it.
const CONSOLE: &str = "console";

impl Store {
    /// Remembers a run. Recording the same id again changes nothing. Its console, if any, must
    /// have been stored before.
    pub async fn record_run(&self, run: &Run) -> Result<(), StoreError> {
        self.inner.join().await?;
        if let Some(console) = run.console {
            // It may have been stored long ago, and nobody names it yet.
            self.inner.index.reserve(CONSOLE, &[console]).await?;
            if !self.contains(&console).await? {
                return Err(StoreError::UnknownConsole { run: run.id, console });
            }
        }
        self.inner.index.add_run(run).await?;
        Ok(())
    }

    /// What was seen of an image under a test.
    pub async fn evidence(&self, image: &ImageId, test: &TestKey) -> Result<Counts, StoreError> {
        let mut counts = self.evidence_of(std::slice::from_ref(image), test).await?;
        Ok(counts.remove(image).unwrap_or_default())
    }

    /// What was seen of many images under a test. Images that never ran are left out.
    pub async fn evidence_of(
        &self,
        images: &[ImageId],
        test: &TestKey,
    ) -> Result<HashMap<ImageId, Counts>, StoreError> {
        self.inner.index.counts(images, test).await
    }

    /// The runs of an image under a test, in the order they finished.
    pub async fn runs(&self, image: &ImageId, test: &TestKey) -> Result<Vec<Run>, StoreError> {
        self.inner.index.runs(image, test).await
    }
}
