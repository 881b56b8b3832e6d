//! `cargo xtask demo`: the shop behind the gateway, built optimised, but so that a first look has not to be waited for.
//! Takes arguments for `tidegate demo`; gives its exit.
//! It must never stay in the way of Ctrl-C: the terminal sends it to the demo as well, and we only wait.

use std::process::Command;

use crate::console::{self, Built};
use crate::{Failure, workspace};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Passed on to `tidegate demo`, for example `--no-traffic`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    if let Built::NotHere(why) = console::build()? {
        eprintln!("{why}: the gateway is built without its console");
    }
    let gateway = workspace::build("demo")?;
    let arguments = options.arguments.iter().filter(|argument| *argument != "--");
    let status = Command::new(&gateway).arg("demo").args(arguments).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("the demo ended with {status}")),
        Err(e) => Err(format!("{} does not start: {e}", gateway.display())),
    }
}
