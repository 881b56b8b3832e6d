//! `tidegate check`.

use super::Exit;

/// What the command is told.
#[derive(clap::Args)]
pub struct Options {}

/// Runs the command.
pub fn run(_options: Options) -> Exit {
    Exit::Good
}
