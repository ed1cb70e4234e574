//! Which builds are not believed any more, and which names.
//!
//! A build that an audit left in doubt is named by a mark. Whatever was compiled upon its objects names
//! it in turn, and whatever rests on a proof names that: a build's file [`PROVENANCE`] says both. That
//! file is the builder's: here only as much of it is read as tells whether something that the build rests
//! on was refuted or withdrawn.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Deserialize;

use crate::build_draft::PROVENANCE;
use crate::digest::Digest;
use crate::error::StoreError;
use crate::input::InputKey;
use crate::manifest::Manifest;

use super::{Mark, Store};

/// The stage that proves by a closure alone. When that is wrong, the closure proves nothing in any stage.
const BY_CLOSURE: &str = "closure";

/// More bytes than what says how a build came about has.
const LARGEST: u64 = 16 << 20;

/// How long what was refuted is remembered: in a bucket each question takes a while.
const AGE: Duration = Duration::from_secs(5);

/// Name of the mark [`Mark::Revoked`] which says that a stage (letters and digits) proves nothing any
/// more by a closure (a blob).
pub fn refutation(closure: &Digest, stage: &str) -> String {
    format!("{closure}-{stage}")
}

/// Name of the mark [`Mark::Withdrawn`] of a build. The build that is made in its stead has another.
fn withdrawal(build: &Manifest) -> String {
    format!("{}-{}", build.input_key, build.own_name())
}

/// Builds that are believed nowhere any more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Withdrawn {
    names: BTreeSet<Digest>,
    keys: BTreeSet<InputKey>,
}

impl Withdrawn {
    /// Of [names of marks](withdrawal). What only another Kiln understands says nothing here.
    fn of(marks: &BTreeSet<String>) -> Self {
        let mut withdrawn = Self::default();
        for mark in marks {
            let Some((key, name)) = mark.split_once('-') else { continue };
            if let (Ok(key), Ok(name)) = (key.parse(), name.parse()) {
                withdrawn.names.insert(name);
                withdrawn.keys.insert(InputKey(key));
            }
        }
        withdrawn
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Whether a build is one of them.
    pub fn has(&self, build: &Manifest) -> bool {
        !self.is_empty() && self.names.contains(&build.own_name())
    }

    /// Whether one of some builds is, by their [own names](Manifest::own_name).
    pub fn has_any(&self, names: &[Digest]) -> bool {
        !self.is_empty() && names.iter().any(|name| self.names.contains(name))
    }

    /// Whether any of them was made of an input. (Another one may have taken its place.)
    pub fn has_of(&self, input: &InputKey) -> bool {
        self.keys.contains(input)
    }
}

/// How a build came about, as far as it is read here.
#[derive(Deserialize)]
struct CameAbout {
    /// `None`: it was compiled.
    stage: Option<String>,
    /// `None`: it was held against nothing.
    closure: Option<Digest>,
    #[serde(default)]
    rests_on: Vec<Ground>,
    /// The builds upon whose objects it was made.
    #[serde(default)]
    upon: Vec<Digest>,
}

/// What a stage concluded from a closure.
#[derive(Deserialize)]
struct Ground {
    stage: String,
    closure: Digest,
}

impl Store {
    /// Whether a build was withdrawn, or rests on one that was or on a proof that was refuted: whoever
    /// asks for it is to be given another one. Where there was anything of that, so does one that doesn't
    /// say any more what it rests on. What others mark is seen some seconds later.
    pub async fn is_void(&self, build: &Manifest) -> Result<bool, StoreError> {
        self.refuted().await?.voids(self, build).await
    }

    /// Takes note that a build is in doubt: from now on it is believed nowhere, and neither is what was
    /// made upon its objects. It lies where it is until it is [taken away](Self::withdraw_build). When
    /// this returns, it is durable.
    pub async fn doubt(&self, build: &Manifest) -> Result<(), StoreError> {
        self.mark(Mark::Withdrawn, &withdrawal(build)).await
    }

    /// What was refuted and withdrawn, by anybody who shares the store, from a look at the marks some
    /// seconds ago at most. The same object until there is another look.
    pub async fn refuted(&self) -> Result<Arc<Refuted>, StoreError> {
        let (known, turn) = self.inner.refuted.get();
        if let Some(known) = known {
            return Ok(known);
        }
        let asked = Instant::now();
        let (revoked, withdrawn) =
            futures::try_join!(self.marks(Mark::Revoked), self.marks(Mark::Withdrawn))?;
        let refuted = Arc::new(Refuted { revoked, withdrawn: Withdrawn::of(&withdrawn) });
        self.inner.refuted.keep(turn, asked, &refuted);
        Ok(refuted)
    }

    /// Has the marks looked at again by whoever asks next: for an answer that took a while, or that is the
    /// last.
    pub fn look_again(&self) {
        self.inner.refuted.forget();
    }
}

/// What was refuted, and when the marks were looked at.
#[derive(Debug, Default)]
pub(crate) struct Lately(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    refuted: Option<(Instant, Arc<Refuted>)>,
    /// How often this process has set a mark: a look that began before does not know it.
    turn: u64,
}

impl Lately {
    /// What is known, if that is not too long ago; and what [`Lately::keep`] wants.
    fn get(&self) -> (Option<Arc<Refuted>>, u64) {
        let known = self.known();
        let fresh = known.refuted.as_ref().filter(|(asked, _)| asked.elapsed() < AGE);
        (fresh.map(|(_, refuted)| Arc::clone(refuted)), known.turn)
    }

    fn keep(&self, turn: u64, asked: Instant, refuted: &Arc<Refuted>) {
        let mut known = self.known();
        if known.turn == turn {
            known.refuted = Some((asked, Arc::clone(refuted)));
        }
    }

    /// Forgets the last look when what is returned goes: also where a mark is given up half-way, which
    /// may be there by then.
    pub(super) fn forgets(&self) -> Forgets<'_> {
        Forgets(self)
    }

    /// Forgets the last look.
    pub(super) fn forget(&self) {
        let mut known = self.known();
        known.turn += 1;
        known.refuted = None;
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Of one who sets a mark.
pub(super) struct Forgets<'a>(&'a Lately);

impl Drop for Forgets<'_> {
    fn drop(&mut self) {
        self.0.forget();
    }
}

/// What was refuted and withdrawn, as marks say. Both are for good, so there is only ever more of it.
#[derive(Debug, Default)]
pub struct Refuted {
    /// Names of marks.
    revoked: BTreeSet<String>,
    withdrawn: Withdrawn,
}

impl Refuted {
    /// How many marks there are.
    pub fn len(&self) -> usize {
        self.revoked.len() + self.withdrawn.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.revoked.is_empty() && self.withdrawn.is_empty()
    }

    /// Whether a stage (see [`refutation`]) proves nothing any more by a closure.
    pub fn is_revoked(&self, closure: &Digest, stage: &str) -> bool {
        self.revoked.contains(&refutation(closure, stage))
    }

    /// The builds that are believed no more.
    pub fn withdrawn(&self) -> &Withdrawn {
        &self.withdrawn
    }

    /// Whether a closure alone proves nothing any more.
    pub(super) fn holds(&self, closure: &Digest) -> bool {
        self.is_revoked(closure, BY_CLOSURE)
    }

    /// The closures that alone prove nothing any more.
    pub(super) fn closures(&self) -> Vec<Digest> {
        let closure = |mark: &String| {
            let (closure, stage) = mark.split_once('-')?;
            closure.parse().ok().filter(|_| stage == BY_CLOSURE)
        };
        self.revoked.iter().filter_map(closure).collect()
    }

    /// Whether a build is one of those, or rests on anything of that. Its files are those of the store `of`.
    pub(super) async fn voids(&self, of: &Store, build: &Manifest) -> Result<bool, StoreError> {
        if self.withdrawn.has(build) {
            return Ok(true);
        }
        // Files that were pushed say nothing, whatever they are called.
        let said = build.artifact(PROVENANCE).filter(|_| !build.is_pushed());
        let Some(said) = said else { return Ok(false) };
        if self.is_empty() {
            return Ok(false);
        }
        if said.size > LARGEST {
            return Ok(true);
        }
        let bytes = match of.reader(&said.digest).await {
            Ok(reader) => reader.read(0..reader.size()).await,
            Err(error) => Err(error),
        };
        let bytes = match bytes {
            Ok(bytes) => bytes,
            Err(StoreError::Missing(_) | StoreError::LetGo(_) | StoreError::Corrupt { .. }) => {
                return Ok(true);
            }
            Err(error) => return Err(error),
        };
        let Ok(said) = serde_json::from_slice::<CameAbout>(&bytes) else { return Ok(true) };
        Ok(self.withdrawn.has_any(&said.upon) || said.grounds().any(|it| self.is_wrong(&it)))
    }

    fn is_wrong(&self, Ground { stage, closure }: &Ground) -> bool {
        self.is_revoked(closure, stage) || self.holds(closure)
    }
}

impl CameAbout {
    /// What it rests on that a stage said, its own one included.
    fn grounds(self) -> impl Iterator<Item = Ground> {
        let own = self.stage.zip(self.closure);
        self.rests_on.into_iter().chain(own.map(|(stage, closure)| Ground { stage, closure }))
    }
}
