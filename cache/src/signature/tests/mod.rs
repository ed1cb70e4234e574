//! The signatures of small kernels made for the purpose.

mod garbage;
mod image;
mod kernel;
mod masks;
mod syzkaller;
