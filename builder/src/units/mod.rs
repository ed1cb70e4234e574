//! Which files of the sources each object was made from, by the compiler's own word.
//!
//! A [closure](crate::closure) says what a build read, not for which object. The view that watches
//! a build can't tell: the kernel answers the second reader of a file from its cache. A tracer that
//! sees every process can, and costs a multiple (`strace` 2.4 times the build). The compiler writes
//! it down for free: `-MMD`, which Kbuild keeps in a `.cmd` file beside each object with the command
//! that made it. So the parts are put together: the closure is complete and knows no objects, the
//! records know objects and are not complete. What the closure has and no record lists was read by
//! something else (a script, awk, make itself), and is treated as such.

mod command;
mod hidden;
mod record;
mod scan;
mod table;

pub(crate) use command::Invocation;
pub(crate) use hidden::preprocessor_sees_all;
#[cfg(test)]
pub(crate) use record::Record;
pub(crate) use scan::scan;
pub use table::Units;
