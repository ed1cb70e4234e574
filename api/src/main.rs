//! The `kiln` command.

mod kiln;
mod pages;
mod service;
mod terminal;

use std::process::ExitCode;

fn main() -> ExitCode {
    kiln::main()
}
