//! Answering for a tree without compiling it, where comparing closures is not enough: stages T1 to
//! T3.
//!
//! A working pair holds a tree A and everything that make made of it. Asked for a tree B that
//! differs in what A's build read, Kiln first tries to show that every object made from a changed
//! file would come out as it is. If so it gives the changed files the times of those that they have
//! replaced, lets make run on B, and looks at what make did. Only when make made *nothing* is the
//! image of B the image of A, and the stage is
//!
//! | stage | a changed file is | shown of each object made from it |
//! |---|---|---|
//! | [`Stage::Commands`] (T1) | text of Kconfig or make | there is none |
//! | [`Stage::Tokens`] (T2) | C | the compiler is given the same tokens at the same lines |
//! | [`Stage::Objects`] (T3) | C | compiled, it is the same byte for byte; only the link is spared |
//!
//! In all other cases make's work is a plain build upon another (T4), as if no stage had been tried.
//!
//! # Why that is a proof
//!
//! Make has brought the folder of objects to A and ended well: every file in it is what A's sources
//! give (what every build upon another relies on). It is what B's sources give, too, if no command
//! that made one of them would do otherwise on B. A command's work depends on its text, on the
//! files that it reads, and on the configuration.
//!
//! - **The configuration** of B is made by B's own `olddefconfig`, and has to be A's to the byte.
//! - **The text of commands** is evaluated by B's own makefiles in the run of make: Kbuild keeps each
//!   command in a `.cmd` file, compares it, and runs what differs (`if_changed`). Plain recipes, and
//!   variables that they call, are not compared, so a makefile counts as text of make only if
//!   nothing differs but lists of objects and flags of compilers ([`make_text`]); the top
//!   `Makefile`, those of architectures and all of `scripts/` never count, as they may hand
//!   something to scripts that is in no command's text.
//! - **What commands read** of B differs from A in the changed files that A's closure has, no others.
//!   Of each of these the compiler's records (see [`crate::units`]) have to list a reader, all
//!   readers have to be plain C objects of the kernel (see [`crate::units::Invocation`]), and no
//!   makefile may mention its name or have a wildcard for it: then those objects are all that depend
//!   on it. What was read by anything else, or came, went, or changed its kind or mode, is no case for
//!   these stages. Nor is a configuration under which scripts go through all headers.
//!
//! The folder also holds what is *not* of A: an object that another revision had, which is in no list
//! now, and may come back. Make knows it for stale by its time alone, so no object's time is ever
//! changed. The changed *sources* are given the times of those that they have replaced
//! ([`crate::pool::Times`]): what was current on A is current on B, and what was stale is stale. Two
//! traps remain, both about later runs. Kbuild's records are of A: an object that includes another set
//! of files on B, or whose changed files name a `CONFIG_` option that they did not name, is none for
//! T2 and T3.
//!
//! # What T2 compares, and what follows from it
//!
//! The preprocessor's output, run with the object's own command on A and on B: every token with the
//! file and line it stands at, white space at the beginning of lines included (see
//! [`tokens`](self::tokens)). With `__LINE__` expanded, so what the compiler sees is the same, down
//! to the lines; columns inside a line are not compared. So it is *not* tried for objects whose
//! command lets columns or comments reach the image or stop the build
//! ([`Invocation::tokens_decide`](crate::units::Invocation::tokens_decide)). There T3 decides.
//!
//! # What an answer leaves behind
//!
//! Objects of an answer are current by a stage's word. What make later makes upon them is as good as
//! that word, so the pair remembers it ([`Ground`], written before any time is set), and every
//! build that comes out of the pair names all of them, compiled or not, until its objects are removed.
//! An audit that finds such a build wrong revokes all that it rests on, since nobody can tell which of
//! them was wrong; from then on nothing that rests on one of these is believed, wherever it lies, and
//! pairs that do have their objects removed.
//!
//! # What goes straight to make
//!
//! Assembler files, linker scripts, modules (modpost hashes their sources), and whatever is read by
//! more objects than are worth comparing ([`plan::MOST_UNITS`]).
//!
//! # What is built from nothing
//!
//! Make, run upon what it has made, overlooks some changes: of what programs of the build's own are
//! made of (`scripts/link-vmlinux.sh` runs `kallsyms`, and no rule says so), of scripts that scripts
//! run, of recipes and rules, of a file that appears where one was looked for. Where a difference has
//! one of these, the objects are removed first ([`overlooked`](self::overlooked)). Where nobody watched
//! what builds read, everything that changed counts as read there.

mod aside;
mod difference;
mod make_text;
mod numbers;
mod overlooked;
mod plan;
mod provenance;
mod same;
mod settle;
mod survey;
mod tokens;
mod wildcards;

pub use crate::ground::{Ground, Stage};
pub(crate) use difference::{differ_in_comments_only, difference, noticed};
pub(crate) use overlooked::overlooked;
pub use plan::{Plan, Reason};
pub(crate) use plan::{Touched, is_from_nothing, is_make_text, plan};
pub(crate) use provenance::PROVENANCE;
pub use provenance::Provenance;
pub(crate) use settle::{Outcome, settle};
pub(crate) use survey::{Base, Survey, outline, survey};
