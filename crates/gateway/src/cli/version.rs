//! `tidegate version`.

use super::Exit;

/// Runs the command.
pub fn run() -> Exit {
    Exit::Good
}
