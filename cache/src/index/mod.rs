//! The index: what makes builds findable, and where evidence and journals live.
//!
//! One SQLite file. Its methods are what another database would have to offer; the SQL is kept to
//! what PostgreSQL understands as well.

mod builds;
mod evidence;
mod families;
mod find;
mod journals;
mod numbers;
mod open;
mod value;
mod write;

pub(crate) use find::Found;
pub(crate) use open::Index;
