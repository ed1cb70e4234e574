//! Runs of a revision that fail for reasons of the host, again and again: is it the host, or this kernel?
//!
//! A kernel that has run before tells. Where that one runs, it is this one that can't be run here, and the
//! search goes on without it; where it does not, the host is to be mended first.

use std::sync::Arc;

use super::error::BisectError;
use super::knowledge::Known;
use super::setup::Bisection;
use crate::plan::Place;
use crate::tester::Tester;

impl Bisection {
    /// One step, as [`Bisection::try_visit`] makes it. An error when the host runs nothing at all.
    pub(super) async fn visit(
        &mut self,
        tester: &Arc<Tester>,
        place: Place,
        runs: u32,
        why: &str,
    ) -> Result<(), BisectError> {
        loop {
            // Where nothing has run, few failures are enough to ask.
            let has_run = self.knowledge.has_run();
            let Some(failed) = self.try_visit(tester, place, runs, why).await? else {
                return Ok(());
            };
            let Some(Known::Built { image, .. }) = self.knowledge.build(place) else {
                return Err(failed);
            };
            let Some(control) = self.control(place) else { return Err(failed) };
            let why = "ran before: shows whether the host fails, or the kernel that was to be run";
            if self.try_visit(tester, control, 1, why).await?.is_some() {
                return Err(failed);
            }
            if has_run {
                let commit = self.commit(place).id;
                tracing::warn!(%commit, error = %failed, "this kernel can't be run here; others can");
                self.notes.push(format!("{commit} can't be run here, though others can: {failed}"));
                self.knowledge.learn_unrunnable(image);
                return Ok(());
            }
        }
    }

    /// A revision with another image than the one at `place`, which has run, here or elsewhere.
    fn control(&self, place: Place) -> Option<Place> {
        let image = |place: Place| match self.knowledge.build(place) {
            Some(Known::Built { image, .. }) => Some(image),
            _ => None,
        };
        let ran = |other: &Place| {
            image(*other) != image(place)
                && image(*other).is_some_and(|image| self.knowledge.runs_here(image))
        };
        std::iter::once(self.bad_end()).chain(self.places()).find(ran)
    }
}
