//! What must not change the name of a kernel, and what must: each a test, on a real kernel.
//!
//! One tree is built once; every test changes something of its own in it, lets make bring it up to
//! date, and compares what was before with what is after. So the order of tests does not matter,
//! and each costs a link and few compiles.
//!
//! What takes a build from nothing each is ignored unless asked for, as `tests/bench/metamorphic`
//! does. Any configuration, a file or a target of make, is named by `KILN_METAMORPHIC_CONFIG`. To try a
//! test on a tree that is built already: `KILN_METAMORPHIC_TREE`, `SOURCES:OBJECTS`.

// A test says what it found.
#![allow(clippy::print_stderr)]

mod different;
mod edits;
mod flips;
mod flips_of_code;
mod full;
mod operands;
mod same;
#[path = "../end_to_end/support/mod.rs"]
mod support;
mod tree;
