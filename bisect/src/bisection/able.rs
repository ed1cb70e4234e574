//! Whether a release could show the crash at all: a clean one that could not is no good end.

use super::error::BisectError;
use super::knowledge::Known;
use super::setup::Bisection;
use crate::detector::{Kernel, lacks};
use crate::plan::Place;
use crate::title::Target;

impl Bisection {
    /// Why the kernel at a place can't show the target, though the bad end does; nothing when it can, or
    /// when nobody knows.
    pub(super) async fn cannot_show(
        &mut self,
        target: &Target,
        place: Place,
    ) -> Result<Option<String>, BisectError> {
        let bad_end = self.bad_end();
        let Some(Known::Built { image, .. }) = self.knowledge.build(bad_end) else {
            return Ok(None);
        };
        let seen = self.knowledge.counts(image).crashes;
        let Some(title) = seen.into_keys().find(|title| target.is(title)) else { return Ok(None) };
        let mut texts = Vec::new();
        for place in [bad_end, place] {
            let manifest = self.build(place).await?.manifest;
            texts.push((
                self.text_of(&manifest, ".config").await?,
                self.text_of(&manifest, "System.map").await?,
            ));
        }
        let kernels: Vec<Kernel<'_>> = texts
            .iter()
            .map(|(config, symbols)| Kernel {
                config: config.as_deref(),
                symbols: symbols.as_deref(),
            })
            .collect();
        let source = self.test_source().await;
        Ok(lacks(&title, kernels[0], kernels[1], source.as_deref()))
    }
}
