//! What this crate's tests are made of, and the tests of the whole builder.

mod believed;
mod builds;
mod ccache;
mod closures;
mod commands;
mod counting;
mod doubts;
mod efforts;
mod foresight;
mod grounds;
mod refuted;
mod repository;
mod stages;
mod successors;
mod toy;
mod walks;
mod withdrawn;

pub(crate) use counting::Counting;
pub(crate) use repository::{Edit, Fixture};
