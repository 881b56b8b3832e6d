//! `tidegate rollback`: lets an earlier configuration run again.

use serde_json::json;

use super::admin_client::{self, At, Told};
use super::{Exit, apply};

/// What the command is told.
#[derive(clap::Args)]
pub struct Options {
    /// The number that `tidegate history` tells; without it the one before the last change
    number: Option<u64>,
    #[command(flatten)]
    admin: At,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(options: Options) -> Exit {
    let body = json!({ "to": options.number });
    match admin_client::told(&options.admin, "POST", "/api/v1/config/rollback", &[], Some(&body)) {
        Ok(Told { body, .. }) => {
            apply::show(&body, options.json);
            Exit::Good
        }
        Err(exit) => exit,
    }
}
