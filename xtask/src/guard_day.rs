//! `cargo xtask guard-day`: a simulated day of the guard, with its table.
//! Takes a seed; gives when each attacker was seen and how many honest clients were troubled; a failure if too many were.
//! It must never judge by other lines than those of the gateway: the day is one of its tests, at full length.

use std::process::Command;

use crate::{Failure, workspace};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// What chance begins with; the same seed gives the same day
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Also print each client that came to the level limit or above, with its reasons
    #[arg(long)]
    words: bool,
}

pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let mut command = Command::new("cargo");
    command
        .args(["test", "-p", "tidegate", "--test", "guard_day", "--", "--nocapture"])
        .current_dir(workspace::root())
        .env("GUARD_DAY", "whole")
        .env("GUARD_DAY_SEED", options.seed.to_string());
    if options.words {
        command.env("GUARD_DAY_WORDS", "yes");
    }
    let status = command.status().map_err(|e| format!("cargo: {e}"))?;
    if status.success() { Ok(()) } else { Err("the day did not go as it should".to_owned()) }
}
