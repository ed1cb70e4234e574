//! The signatures of small kernels made for the purpose.

mod code;
mod compiled;
mod garbage;
mod image;
mod kernel;
mod masks;
mod symbols;
mod syzkaller;
