//! `tidegate confirm`: keeps the change that waits for its confirmation.

use serde_json::Value;

use super::admin_client::{self, At, Told};
use super::{Exit, output};

/// What the command is told.
#[derive(clap::Args)]
pub struct Options {
    #[command(flatten)]
    admin: At,
}

/// Runs the command.
pub fn run(options: Options) -> Exit {
    match admin_client::told(&options.admin, "POST", "/api/v1/config/confirm", &[], None) {
        Ok(Told { body, .. }) => {
            output::talk(&format!("change {} stays\n", body.get("number").unwrap_or(&Value::Null)));
            Exit::Good
        }
        Err(exit) => exit,
    }
}
