//! The index: what makes builds findable, and where evidence and journals live.
//!
//! One SQLite file, or one PostgreSQL database that several machines share: the same tables and
//! the same statements, written in what both understand. They differ in how they are opened
//! ([`open`]) and in how a transaction begins ([`write`]), and nowhere else.

mod builds;
mod clock;
mod evidence;
mod families;
mod find;
mod hold;
mod house;
mod journals;
mod list;
mod numbers;
mod open;
mod settings;
mod tokens;
mod transfer;
mod uses;
mod value;
mod write;

pub(crate) use builds::Indexed;
pub(crate) use find::Found;
pub(crate) use hold::PACKER;
pub(crate) use house::{Alone, Condemn, Seen};
pub(crate) use open::Index;
pub(crate) use uses::Use;
