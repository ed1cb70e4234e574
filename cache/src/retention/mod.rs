//! What goes when the room is short, and what stays.
//!
//! # Who may remove what, and when
//!
//! Many machines may push, pack, collect and read at once. That nobody loses what somebody relies on
//! rests on one rule, and on five small mechanisms in the database that they share:
//!
//! *Whoever relies on a name holds it first. Whoever removes a name looks, in the same turn in which
//! it removes it, whether somebody holds it or has come to rely on it since.*
//!
//! - **Turn** (`turns`, row 1): whoever begins to hold something and whoever removes something take
//!   it, so that they come one after the other. It is a row's lock, and ends with its transaction.
//! - **Holding** (`reservations`): an upload holds its blobs, and before it writes or finds its
//!   manifest also the key of its build. What it found and did not write it looks for again once it
//!   holds it. It lets go when the index names everything. Who packs holds the bases of what it is
//!   about to replace, with all that they rest on. One who dies holds on for a day, or for a longer
//!   embargo.
//! - **Uses** (`uses.times`): every push, every new name and every import of a known build counts.
//!   Collecting remembers the count with its decision, and a build whose count is another one by the
//!   time of its removal stays. No clock is asked.
//! - **Epoch** (`turns`, row 2): whoever begins to pack or to collect writes a new one, and looks at
//!   it in each turn. The locks (of the folder, and of the database's server) only make others wait.
//!   A lock that was lost with its connection is noticed here, if somebody else has begun meanwhile:
//!   the one who lost it stops before it changes anything more ([`StoreError::Overtaken`]).
//! - **Finding**: a row of the index that is made of a manifest that was *found* is written in a turn
//!   in which the manifest was seen to be there still, by its entity tag.
//!
//! # Order
//!
//! Collecting begins an epoch, lists what is held, reads the manifests, and last the blobs: who
//! packed before and let go of a base has written what rests on it by then. It decides, and removes
//! a build in two turns. In the first its row goes; in the second, if the row has not come back, its
//! manifest, if it is still the one that was read. Then blobs go, each before what it rests on, and
//! then debug information, unless any build that names it was used, pinned or added since.
//!
//! An upload that finds at its end that files of its build went all the same (somebody's clock was so
//! far ahead that what it held seemed old) takes the build back by the same two turns: by then
//! another upload may have stored what is missing, and rely on it.
//!
//! A crash leaves: between the turns, a manifest without a row, which the next look-up puts back;
//! after the second, blobs that nobody names, which go the next time; never a row without a manifest
//! nor a manifest without its blobs. Pushing writes the other way round, with the same results.
//! Packing holds, looks, replaces; a crash leaves what is held, for so long. When
//! its write ended in an error it is not known whether it will still arrive: what it rests on stays
//! held.
//!
//! # What this can't do
//!
//! Buckets know no removal under a condition. (A manifest gives way to nothing, under the condition
//! that it is still the one that was read; that leaves an empty object, which counts as none. But it
//! may be the very one that somebody else relies on.) A removal that was sent just before its process
//! lost its turn, and arrives after somebody else has held the name, looked and let go again, takes
//! what they rely on. Before each removal, and before one is sent again, the turn's connection is
//! used, and a push looks for its files once more at its end, so all of a push must fit into the time of one
//! request (which the bucket's client may repeat within ten seconds). And all of it holds among those
//! who share a database: others are not let in ([`StoreError::NotShared`]), and who collects stops
//! when one comes (`store/collecting.rs`).
//!
//! The empty objects stay: to remove one is to risk what came in its place. A rule of the bucket may do
//! it, for `builds/`, of objects without bytes that are some days old.

mod aside;
mod collect;
mod debug;
mod look;
mod most;
mod needed;
mod policy;
mod remove;
mod report;
mod sanity;
#[cfg(test)]
mod tests;

#[cfg(doc)]
use crate::error::StoreError;

pub use most::MostGo;
pub use policy::{Policy, Reason};
pub(crate) use remove::remove_manifest;
pub use report::{GcPhase, GcProgress, GcReport, Gone, LetGo};
