//! `tidegate history`: the last changes of a running gateway's configuration.

use serde_json::Value;

use super::admin_client::{self, At, Told};
use super::tail::plain;
use super::{Exit, output};

/// What the command is told.
#[derive(clap::Args)]
pub struct Options {
    /// One change: its text as it was
    number: Option<u64>,
    #[command(flatten)]
    admin: At,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(options: Options) -> Exit {
    let path = match options.number {
        Some(number) => format!("/api/v1/config/history/{number}"),
        None => "/api/v1/config/history".to_owned(),
    };
    let body = match admin_client::told(&options.admin, "GET", &path, &[], None) {
        Ok(Told { body, .. }) => body,
        Err(exit) => return exit,
    };
    if options.json {
        output::json(&body);
    } else if let Some(text) = body.get("text").and_then(Value::as_str) {
        output::data(text);
    } else {
        for change in body.get("changes").and_then(Value::as_array).into_iter().flatten() {
            let text = |name: &str| plain(change.get(name).and_then(Value::as_str).unwrap_or_default());
            let number = change.get("number").and_then(Value::as_u64).unwrap_or(0);
            let line = format!(
                "{number:>4}  {}  {:12}  {}  {}",
                text("time"),
                text("author"),
                text("message"),
                text("summary")
            );
            output::data(&format!("{}\n", line.trim_end()));
        }
    }
    Exit::Good
}
