//! `tidegate audit`: whether the log of changes is whole.

use std::path::PathBuf;

use clap::Subcommand;

use super::{Exit, admin_client, output};
use crate::admin::audit;

/// What the command is told.
#[derive(clap::Args)]
pub struct Options {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Follow the chain of hashes from the first line to the last
    Verify {
        /// The log
        #[arg(default_value = ".tidegate/audit.jsonl")]
        file: PathBuf,
    },
}

/// Runs the command: "no" when a line was altered, taken out or put in.
pub fn run(options: Options) -> Exit {
    let Action::Verify { file } = options.action;
    match audit::verify(&file) {
        Ok(Ok((lines, hash))) => {
            output::data(&format!("{}: {lines} lines, unbroken; the last hash is {hash}\n", file.display()));
            Exit::Good
        }
        Ok(Err(broken)) => admin_client::refuse(
            &format!("{}:{}: the chain is broken: {}", file.display(), broken.line, broken.what),
            Exit::No,
        ),
        Err(error) => {
            admin_client::refuse(&format!("cannot read {}: {error}", file.display()), Exit::Unreachable)
        }
    }
}
