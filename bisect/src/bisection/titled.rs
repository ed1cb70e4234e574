//! Which crash is hunted, when nobody has said: the one that the bad end shows most.

use std::sync::Arc;

use kiln_cache::evidence::Counts;

use super::error::BisectError;
use super::knowledge::{Known, boots};
use super::setup::Bisection;
use crate::record::Event;
use crate::tester::Tester;
use crate::title::{self, Learning, Target};
use crate::verdict::{MoreRuns, Verdict};
use crate::watch::Happening;

/// Runs of the bad end at a time while nobody knows the title.
pub(super) const LEARNING_BATCH: u32 = 8;

impl Bisection {
    /// The title that the bad end shows most; or the answer, when it shows none.
    pub(super) async fn learn_title(
        &mut self,
        tester: &Arc<Tester>,
    ) -> Result<Option<Verdict>, BisectError> {
        let bad_end = self.bad_end();
        loop {
            let (counts, can_run) = match self.knowledge.build(bad_end) {
                Some(Known::Built { image, .. }) => {
                    (self.knowledge.judging(image), self.knowledge.can_run(image))
                }
                _ => (Counts::default(), true),
            };
            if !can_run {
                let why = match (boots(&counts), counts.boot_failures.keys().next()) {
                    (false, Some(title)) => format!("it does not boot ({title})"),
                    _ => "it can't be run here, though other kernels can".to_owned(),
                };
                return Ok(Some(Verdict::EndUnusable { commit: self.commit(bad_end), why }));
            }
            match title::learn(&counts) {
                Learning::Title(title) => {
                    self.watch.happening(Happening::TitleLearned { title: &title });
                    self.target = Some(Target::learned(&title));
                    self.write(Event::TitleLearned { title }).await?;
                    return Ok(None);
                }
                Learning::Tie(titles) => {
                    return Ok(Some(untitled(
                        format!(
                            "the bad end shows several crashes about equally often: {}; say with --title \
                         which to hunt",
                            titles.join(", ")
                        ),
                        None,
                    )));
                }
                Learning::NothingCrashes => {
                    let crashes = title::ranked(&counts.crashes);
                    return Ok(Some(Verdict::NotReproduced { clean: counts.ok, crashes }));
                }
                Learning::RunMore => {
                    let left = self.runs_left();
                    let late = self.is_late_in(0.0);
                    if left == 0 || late {
                        let why = "the budget is used up before a crash was seen often enough";
                        return Ok(Some(untitled(why.into(), None)));
                    }
                    let why = "shows which crash the reproducer provokes, and how often";
                    self.visit(tester, bad_end, LEARNING_BATCH.min(left), why).await?;
                }
            }
        }
    }
}

/// The answer where nobody can tell which crash to hunt, so that no commit is suspected; and what would help.
pub(super) fn untitled(why: String, more: Option<MoreRuns>) -> Verdict {
    Verdict::Inconclusive {
        credible: Vec::new(),
        older: 0.0,
        not_reproducible: 0.0,
        share: None,
        why,
        more,
        contradiction: false,
    }
}
