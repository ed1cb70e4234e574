//! What is known of a pair, on disk.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use kiln_cache::{Digest, InputKey};
use serde::{Deserialize, Serialize};

use super::reads::Reads;
use crate::error::{BuildError, Doing};
use crate::ground::Ground;

/// Version of the format. A pair of another version is emptied and made anew: by a Kiln that does not know
/// all of it, what it does not know would be lost the next time that it is written.
pub(super) const FORMAT: u32 = 8;

/// The record of a pair. Written before and after anything changes in it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct State {
    format: u32,
    /// Id of the boot of this machine in which it was written.
    pub(super) boot: String,
    /// Everything in the pair was on disk when this was written.
    pub(super) durable: bool,
    pub(crate) source: Source,
    pub(crate) objects: Objects,
    pub(crate) steps: Steps,
    /// Nanoseconds since 1970.
    pub(super) last_used: i64,
}

/// The checkout.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Source {
    /// The tree it holds, or held when it was last clean.
    pub(crate) tree: Option<String>,
    /// It holds exactly that tree. False while files are written.
    pub(crate) clean: bool,
}

/// What make made.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Objects {
    /// The tree that make last ran on.
    pub(crate) tree: Option<String>,
    /// When a build began that has not ended, in nanoseconds since 1970.
    pub(super) busy_since: Option<i64>,
    /// When the last one ended.
    pub(super) ended: Option<i64>,
    /// What is known of what was read for them.
    pub(super) reads: Reads,
    /// The build in the store that they are the objects of, all of them, untouched since.
    pub(crate) build: Option<InputKey>,
    /// What it rests on that they are current, beside make: answers of stages, in the order in which
    /// they were given. Written before the time of any source is set.
    pub(crate) rests_on: Vec<Ground>,
    /// The closures (blobs) of all builds here since it was empty: each was made upon the one before.
    pub(crate) closures: Vec<Digest>,
    /// The own names of all builds here that were stored since it was empty, those that failed included:
    /// what is made here now is made upon the objects of all of them.
    pub(crate) made: Vec<Digest>,
    /// The one that is being stored, or was when its process was killed: then the store knows its name.
    pub(crate) storing: Option<InputKey>,
}

/// Steps that Kbuild printed, to guess how long the next build will be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Steps {
    /// In the last build from nothing.
    pub(crate) cold: Option<u64>,
    /// In the last build upon another.
    pub(crate) warm: Option<u64>,
}

impl State {
    /// Of a pair that holds nothing.
    pub(super) fn empty() -> Self {
        Self {
            format: FORMAT,
            boot: boot_id(),
            durable: true,
            source: Source::default(),
            objects: Objects::default(),
            steps: Steps::default(),
            last_used: now(),
        }
    }

    /// Reads a record; `None` when there is none, or none that this version understands.
    pub(super) fn load(path: &Path) -> Option<Self> {
        let state: Self = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
        (state.format == FORMAT).then_some(state)
    }

    /// Writes it whole or not at all, and durably.
    pub(super) fn save(&self, path: &Path) -> Result<(), BuildError> {
        let temporary = path.with_extension("json.new");
        let write = || {
            let mut file = File::create(&temporary)?;
            file.write_all(&serde_json::to_vec(self)?)?;
            file.sync_all()?;
            fs::rename(&temporary, path)?;
            path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
        };
        write().doing("writing", path)
    }
}

/// Now, in nanoseconds since 1970.
pub(super) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

/// Changes with every boot of this machine (proc(5)); empty where that is not to be had.
pub(crate) fn boot_id() -> String {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    id.trim().to_owned()
}
