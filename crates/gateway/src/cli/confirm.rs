//! `tidegate confirm`: keeps the change that waits for its confirmation.

use serde_json::Value;

use super::admin_client::{self, Told};
use super::status::USUAL_ADMIN;
use super::{Exit, output};

/// What the command is told.
#[derive(clap::Args)]
pub struct Options {
    /// The admin address of the gateway
    #[arg(long, default_value = USUAL_ADMIN, value_name = "URL")]
    admin: String,
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
