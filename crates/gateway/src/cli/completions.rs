//! `tidegate completions`: what a shell needs to complete this command line.

use clap::CommandFactory;
use clap_complete::Shell;

use super::{Arguments, Exit, output};

/// What the command is told.
#[derive(clap::Args)]
pub struct Options {
    /// The shell
    shell: Shell,
}

/// Runs the command.
pub fn run(options: Options) -> Exit {
    let mut script = Vec::new();
    clap_complete::generate(options.shell, &mut Arguments::command(), "tidegate", &mut script);
    output::data(&String::from_utf8_lossy(&script));
    Exit::Good
}
