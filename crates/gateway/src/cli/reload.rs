//! `tidegate reload`: lets a running gateway read its configuration again, and says what came of it.

use serde_json::Value;

use super::Exit;
use super::admin_client::{self, At, refuse};

/// What the command is told.
#[derive(clap::Args)]
pub struct Options {
    #[command(flatten)]
    admin: At,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command: "no" when the configuration was refused and the old one goes on.
#[expect(clippy::print_stdout, reason = "stdout is where a command gives its data")]
pub fn run(options: Options) -> Exit {
    let (status, body) = match admin_client::call(&options.admin, "POST", "/api/v1/reload", None) {
        Ok(answer) => answer,
        Err(error) => return refuse(&error, Exit::Unreachable),
    };
    if options.json {
        print!("{body}");
    }
    let answer: Value = serde_json::from_str(&body).unwrap_or_default();
    if status != 200 {
        let text = |key: &str| answer.get(key).and_then(Value::as_str);
        let detail = text("detail").unwrap_or(&body);
        // The gateway may refuse whoever asks, and has read nothing then.
        let is_read = text("type").is_some_and(|kind| kind.ends_with(":configuration_refused"));
        let what = if is_read { "the configuration was refused; the old one goes on\n" } else { "" };
        return refuse(&format!("{what}{detail}"), Exit::No);
    }
    if !options.json {
        let revision = answer.get("revision").map(Value::to_string).unwrap_or_default();
        let changed = answer.get("changed").and_then(Value::as_bool) == Some(true);
        println!("revision {revision} {}", if changed { "applied" } else { "goes on: nothing has changed" });
    }
    Exit::Good
}
