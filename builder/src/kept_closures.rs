//! What a builder remembers of closures: those that it read lately, and what audits have refuted of them.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kiln_cache::manifest::Manifest;
use kiln_cache::{Digest, InputKey, Refuted};

use crate::audit::KnownAudits;
use crate::closure::Closure;
use crate::lately::Lately;
use crate::proving::CANDIDATES;
use crate::revoked::{Footing, Revoked};
use crate::stages::Stage;

/// Closures kept in memory, at some half a megabyte each: of two neighbourhoods.
const KEPT: usize = 2 * CANDIDATES;

/// Closures that were read lately, by the digest of their blob, the stages for which each proves nothing
/// any more, and the builds that are believed no more.
pub(crate) struct Closures {
    read: Mutex<Lately<Digest, Arc<Closure>>>,
    /// All that were ever read, and are of this version.
    readable: Mutex<HashSet<Digest>>,
    revoked: Mutex<Revoked>,
    /// What builds rest on, by the blob of their provenance; asked for where anything was refuted.
    footings: Mutex<HashMap<Digest, Arc<Footing>>>,
    audits: tokio::sync::Mutex<KnownAudits>,
}

impl Default for Closures {
    fn default() -> Self {
        let read = Mutex::new(Lately::new(KEPT));
        Self {
            read,
            readable: Mutex::default(),
            revoked: Mutex::default(),
            footings: Mutex::default(),
            audits: tokio::sync::Mutex::default(),
        }
    }
}

impl Closures {
    pub(crate) fn is_revoked(&self, stage: Stage, closure: &Digest) -> bool {
        self.revoked().has(stage, closure)
    }

    pub(crate) fn is_withdrawn(&self, build: &Manifest) -> bool {
        self.revoked().marks.withdrawn().has(build)
    }

    /// Whether a build of an input was ever withdrawn.
    pub(crate) fn has_withdrawn_of(&self, input: &InputKey) -> bool {
        self.revoked().marks.withdrawn().has_of(input)
    }

    pub(crate) fn is_gone(&self, footing: &Footing) -> bool {
        let revoked = self.revoked();
        revoked.has_any(&footing.grounds) || revoked.marks.withdrawn().has_any(&footing.upon)
    }

    pub(crate) fn nothing_is_revoked(&self) -> bool {
        let revoked = self.revoked();
        revoked.marks.is_empty() && revoked.told.is_empty()
    }

    pub(crate) fn footing_in(&self, provenance: &Digest) -> Option<Arc<Footing>> {
        let known = self.footings.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(provenance).cloned()
    }

    pub(crate) fn keep_footing(&self, provenance: Digest, footing: Arc<Footing>) {
        let mut known = self.footings.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(provenance, footing);
    }

    /// How much was refuted and withdrawn.
    pub(crate) fn refuted_so_far(&self) -> usize {
        self.revoked().len()
    }

    /// Whether this is what the store was last seen to say.
    pub(crate) fn knows(&self, marks: &Arc<Refuted>) -> bool {
        Arc::ptr_eq(&self.revoked().marks, marks)
    }

    /// Takes note of what the store says, and its journal. Gives all that, if it is more than was known.
    pub(crate) fn set_revoked(
        &self,
        marks: Arc<Refuted>,
        told: impl Iterator<Item = (Stage, Digest)>,
    ) -> Option<Revoked> {
        let mut revoked = self.revoked();
        let before = revoked.len();
        revoked.told.extend(told);
        // (Somebody else may have heard of more meanwhile.)
        if revoked.marks.len() <= marks.len() {
            revoked.marks = marks;
        }
        (revoked.len() > before).then(|| revoked.clone())
    }

    /// What is known of the store's audits; one at a time reads on.
    pub(crate) async fn audits(&self) -> tokio::sync::MutexGuard<'_, KnownAudits> {
        self.audits.lock().await
    }

    pub(crate) fn revoked(&self) -> MutexGuard<'_, Revoked> {
        self.revoked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_readable(&self, blob: &Digest) -> bool {
        self.readable.lock().unwrap_or_else(PoisonError::into_inner).contains(blob)
    }

    pub(crate) fn get(&self, blob: &Digest) -> Option<Arc<Closure>> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner).get(blob)
    }

    pub(crate) fn keep(&self, blob: Digest, closure: Closure) -> Arc<Closure> {
        let closure = Arc::new(closure);
        self.readable.lock().unwrap_or_else(PoisonError::into_inner).insert(blob);
        let mut kept = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        kept.keep(blob, Arc::clone(&closure));
        closure
    }
}
