//! All findings of a store, added up.

use std::collections::BTreeMap;

use kiln_cache::{Store, StoreError};
use serde::Serialize;

use super::bound::upper_bound;
use super::finding::{Finding, JOURNAL};
use crate::stages::Stage;

/// Findings of one kind of file, or of one stage. A finding whose trees differ in several kinds
/// counts in each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Stratum {
    /// Builds compiled although proved.
    pub audited: u64,
    /// Of them, those that came out otherwise.
    pub mismatches: u64,
    /// The rate of mismatches is below this, with 95 % confidence.
    pub upper_bound: f64,
}

impl Stratum {
    fn add(&mut self, finding: &Finding) {
        self.audited += 1;
        self.mismatches += u64::from(!finding.same);
        self.upper_bound = upper_bound(self.mismatches, self.audited);
    }
}

/// What all audits of a store have shown.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AuditReport {
    /// Kernels compiled although proved, and whatever came out otherwise (without any audit, too).
    pub audited: u64,
    /// Of them, those that came out otherwise.
    pub mismatches: u64,
    /// The rate of mismatches is below this, with 95 % confidence.
    pub upper_bound: f64,
    /// Beside them, what was proved not to build, and did not: it counts in no rate.
    pub unbuildable: u64,
    /// Beside them, what no stage answered for, and which was compiled again since the objects that it
    /// was compiled upon rest on a stage's word. It was the same, and counts in no rate.
    pub compiled_upon: u64,
    /// Of all, those in which make, upon the build that was audited before, had made something else than
    /// from nothing: it overlooks something there, which is a fault of its own.
    pub overlooked: u64,
    /// The same numbers by stage.
    pub stages: BTreeMap<Stage, Stratum>,
    /// The same numbers by kind of file.
    pub kinds: BTreeMap<String, Stratum>,
    /// Of all, those that were compiled from nothing.
    pub from_nothing: u64,
    /// Every mismatch.
    pub incidents: Vec<Finding>,
}

/// Reads the findings of a store. Entries of a newer Kiln that this one can't read are left out.
pub async fn audit_report(store: &Store) -> Result<AuditReport, StoreError> {
    Ok(add_up(findings(store).await?))
}

/// All findings, as far as they can be read.
async fn findings(store: &Store) -> Result<Vec<Finding>, StoreError> {
    let journal = store.journal_read(JOURNAL).await?;
    let entries = journal.into_iter().flat_map(|journal| journal.events);
    Ok(entries.filter_map(|entry| serde_json::from_value(entry.event).ok()).collect())
}

fn add_up(findings: Vec<Finding>) -> AuditReport {
    let mut kinds: BTreeMap<String, Stratum> = BTreeMap::new();
    let mut stages: BTreeMap<Stage, Stratum> = BTreeMap::new();
    let (findings, beside): (Vec<Finding>, Vec<Finding>) =
        findings.into_iter().partition(Finding::counts);
    let overlooked = findings.iter().chain(&beside).filter(|it| it.overlooked).count() as u64;
    let compiled_upon = beside.iter().filter(|it| it.compiled_upon).count() as u64;
    for finding in &findings {
        stages.entry(finding.stage).or_default().add(finding);
        for kind in &finding.kinds {
            kinds.entry(kind.clone()).or_default().add(finding);
        }
    }
    let audited = findings.len() as u64;
    let from_nothing = findings.iter().filter(|it| it.from_nothing).count() as u64;
    let incidents: Vec<Finding> = findings.into_iter().filter(|it| !it.same).collect();
    let mismatches = incidents.len() as u64;
    AuditReport {
        audited,
        mismatches,
        upper_bound: upper_bound(mismatches, audited),
        unbuildable: beside.len() as u64 - compiled_upon,
        compiled_upon,
        overlooked,
        stages,
        kinds,
        from_nothing,
        incidents,
    }
}

#[cfg(test)]
mod tests {
    use kiln_cache::{Digest, InputKey};

    use super::*;

    #[test]
    fn what_was_compiled_is_no_trial_of_a_stage() {
        let proved = Finding {
            commit: "c".into(),
            stage: Stage::Tokens,
            proved_by: InputKey(Digest::of(b"build")),
            closure: Digest::of(b"closure"),
            compiled: None,
            kinds: vec!["c".into()],
            same: true,
            built: true,
            proof_seconds: 0.1,
            compile_seconds: 9.0,
            from_nothing: false,
            compiled_upon: false,
            overlooked: false,
        };
        let upon = Finding { kinds: Vec::new(), compiled_upon: true, ..proved.clone() };
        let broken = Finding { built: false, ..proved.clone() };
        let mut findings = vec![upon.clone(); 40];
        let upon_stale = Finding { built: false, overlooked: true, ..upon.clone() };
        findings.extend([proved, broken, upon_stale]);
        let report = add_up(findings.clone());
        assert_eq!((report.audited, report.compiled_upon, report.unbuildable), (1, 41, 1));
        assert_eq!((report.mismatches, report.stages[&Stage::Tokens].audited), (0, 1));
        assert_eq!((report.upper_bound, report.overlooked), (upper_bound(0, 1), 1));
        // One that comes out otherwise is an incident all the same.
        findings.push(Finding { same: false, ..upon });
        let report = add_up(findings);
        assert_eq!((report.audited, report.mismatches, report.compiled_upon), (2, 1, 41));
        assert!(report.incidents[0].compiled_upon);
    }
}
