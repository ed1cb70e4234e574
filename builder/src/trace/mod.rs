//! What a build reads of its sources, seen by the file system that serves them.
//!
//! The folder of sources is shown to a build through a read-only file system of Kiln's own (FUSE,
//! Linux's file systems in user space). The kernel asks it once for each name and each piece of
//! content that any process of the build wants, and answers from its caches after that: complete,
//! whatever the processes are, and nearly free.
//!
//! The folder itself is hidden from the build (`sandbox`). Where namespaces are not permitted it is
//! not: a build that went looking for the pool of its own accord would read it unseen.
//!
//! Not seen, because it does not lie in the sources: the toolchain, headers, libraries and programs
//! of the host, the environment, the objects folder. The toolchain's digest and the recipe's
//! version stand for those in a build's key, but for modules of Perl and Python that scripts load from
//! the host, which nothing stands for. (Those beside a script of the tree are seen. A user's own are not
//! found: `HOME` leads nowhere.) Files that the configuration names by absolute paths are in the key by
//! their content (`outside`).

mod attributes;
mod error;
mod mountpoint;
mod record;
mod source;
#[cfg(test)]
mod tests;
mod view;

pub(crate) use mountpoint::clear;
pub(crate) use source::{TracedSource, availability};
#[cfg(test)]
pub(crate) use {error::TraceError, source::is_available};
