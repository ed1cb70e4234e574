//! How much of a kernel each revision would have made anew.

use super::setup::Bisection;
use crate::plan::Place;

/// What working pairs held when that was asked.
#[derive(Debug, PartialEq)]
pub(super) struct Asked {
    builds: u32,
    under_way: Vec<Place>,
}

impl Bisection {
    /// Learns it, where builds have begun or ended since. Nothing is concluded from it but in which
    /// order revisions are tried, so that a failure only costs time.
    pub(super) async fn learn_efforts(&mut self) {
        let builds = self.knowledge.spent.builds;
        let asked = Asked { builds, under_way: self.under_way() };
        if self.knowledge.asked_for_efforts.as_ref() == Some(&asked) {
            return;
        }
        self.knowledge.asked_for_efforts = Some(asked);
        let request = self.request(self.bad_end());
        self.knowledge.efforts = match self.builder.efforts(&self.edges, &request).await {
            Ok(efforts) => efforts,
            Err(error) => {
                tracing::warn!(%error, "what builds would take is not known");
                None
            }
        };
    }
}
