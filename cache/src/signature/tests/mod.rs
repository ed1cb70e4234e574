//! The signatures of small kernels made for the purpose.

mod boot;
mod code;
mod compiled;
mod decompressor;
mod explain;
mod garbage;
mod image;
pub(crate) mod kernel;
mod masks;
mod modules;
mod symbols;
mod syzkaller;
mod unseen;
