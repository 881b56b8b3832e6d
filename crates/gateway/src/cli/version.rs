//! `tidegate version`.

use super::{Exit, output};

/// Runs the command.
pub fn run() -> Exit {
    output::data(concat!("tidegate ", env!("CARGO_PKG_VERSION"), "\n"));
    Exit::Good
}
