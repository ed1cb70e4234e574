//! How much of a kernel each revision would have made anew.

use super::setup::Bisection;
use crate::plan::Place;

/// When that was asked: after so many builds, and beside which.
#[derive(Debug, PartialEq)]
pub(super) struct Asked {
    builds: u32,
    under_way: Vec<Place>,
}

impl Bisection {
    /// Learns it, where builds have begun or ended since. Which commit is named does not rest on it, but
    /// which revisions are tried does, and whether time is left for another: so a failure is none of the
    /// bisection's. What was known stays where nobody can say now, as while all pairs are in use.
    pub(super) async fn learn_efforts(&mut self) {
        let builds = self.knowledge.spent.builds;
        let asked = Asked { builds, under_way: self.under_way() };
        if self.knowledge.asked_for_efforts.as_ref() == Some(&asked) {
            return;
        }
        self.knowledge.asked_for_efforts = Some(asked);
        let request = self.request(self.bad_end());
        match self.builder.efforts(&self.edges, &request).await {
            Ok(Some(efforts)) => self.knowledge.efforts = Some(efforts),
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "what builds would take is not known"),
        }
    }
}
