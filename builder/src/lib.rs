//! Kiln's hands: from a revision of a git tree to a build in the store.
//!
//! [`Builder`] is the door: it asks the store first and compiles only what nobody compiled before,
//! in working pairs of sources and objects that are kept warm, by a recipe that gives equal bytes
//! for equal sources. This crate knows nothing of bisections.

pub mod audit;
mod beyond;
mod blame;
mod builder;
mod ccache;
mod checkout;
mod classes;
pub mod closure;
pub mod command;
mod efforts;
mod error;
pub mod failure;
mod foresight;
mod ground;
mod harmless;
mod kbuild;
mod kconfig;
mod kept_closures;
mod lately;
mod live;
mod making;
mod observer;
mod outside;
mod place;
mod pool;
mod process;
mod proving;
mod recall;
pub mod recipe;
pub mod recipients;
mod request;
mod revoked;
mod sandbox;
pub mod stages;
mod stand_ins;
#[cfg(test)]
mod testing;
mod toolchain;
mod trace;
mod tree;
pub mod units;
mod unlinked;
mod upstream;
mod void;
mod work;

pub use beyond::may_change_beyond_objects;
pub use blame::commits_changing;
pub use builder::{Builder, Built, Obtained};
pub use classes::{Class, Classes, Contrary};
pub use efforts::Efforts;
pub use error::BuildError;
pub use foresight::{Foreseen, Foresight};
pub use kconfig::{ConfigChange, parse as config_values, with_pinned_options};
pub use live::wait_for_builds;
pub use observer::{BuildEvent, Observer, Quiet, Stage};
pub use request::{Config, How, Request, host_arch, image_of};
pub use toolchain::{
    AUTO, AUTO_LLVM, AutoRow, KernelRelease, Toolchain, ToolchainError, Toolchains,
    choose_toolchain, unsuited,
};
pub use tree::{
    Change, ChangeKind, Commit, History, KernelVersion, Release, Releases, Repository, Reverted,
    Revision, TreeError,
};
