//! `tidegate check`.

use super::Exit;

/// What the command is told.
#[derive(clap::Args)]
pub struct Options {}

/// Runs the command.
pub fn run(_options: Options) -> Exit {
    Exit::Good
}

/// Whether stderr is a terminal that wants colours (https://no-color.org).
pub fn wants_color() -> bool {
    std::io::IsTerminal::is_terminal(&std::io::stderr()) && std::env::var_os("NO_COLOR").is_none()
}
