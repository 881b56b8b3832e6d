//! `tidegate tail`: requests of a running gateway as they come: failures, slow ones, and some of the rest.

use std::time::Duration;

use serde_json::Value;

use super::Exit;
use super::admin_client::{self, At, refuse};

/// Time between two questions.
const STEP: Duration = Duration::from_millis(500);

/// What the command is told.
#[derive(clap::Args)]
pub struct Options {
    /// Which requests: `status>=500`, `route:/orders/*`, `ms>200`, `ip:10.0.0.7`, `why:slow`; all terms must hold
    #[arg(value_name = "TERM")]
    filter: Vec<String>,
    /// Print what is kept and end, instead of waiting for more
    #[arg(long)]
    kept: bool,
    /// Print each request as a line of JSON, with all that is known of it
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    admin: At,
}

/// Runs the command: until it is interrupted, unless only what is kept is wanted.
pub fn run(options: Options) -> Exit {
    let filter = encoded(&options.filter.join(" "));
    let mut after = 0;
    let mut dropped = 0;
    loop {
        let path = format!("/api/v1/samples?filter={filter}&after={after}&limit=1000");
        let answer = match ask(&options.admin, &path) {
            Ok(answer) => answer,
            Err((why, exit)) => return refuse(&why, exit),
        };
        for sample in answer.get("samples").and_then(Value::as_array).into_iter().flatten() {
            show(sample, options.json);
        }
        let number = |name: &str| answer.get(name).and_then(Value::as_u64).unwrap_or(0);
        if number("dropped") > dropped && !options.kept {
            tell_of_dropped(number("dropped").saturating_sub(dropped));
        }
        (after, dropped) = (number("last"), number("dropped"));
        if options.kept {
            return Exit::Good;
        }
        std::thread::sleep(STEP);
    }
}

/// Asks the admin address for JSON; else why there is none, and how the command ends.
pub(super) fn ask(admin: &str, path: &str) -> Result<Value, (String, Exit)> {
    let (status, body) =
        admin_client::call(admin, "GET", path, None).map_err(|error| (error, Exit::Unreachable))?;
    let answer: Value = serde_json::from_str(&body).unwrap_or_default();
    if status == 200 {
        return Ok(answer);
    }
    let detail = answer.get("detail").and_then(Value::as_str).unwrap_or(body.trim());
    let exit = if status == 400 { Exit::Usage } else { Exit::Unreachable };
    Err((detail.to_owned(), exit))
}

#[expect(clippy::print_stderr, reason = "stderr is where a command talks")]
fn tell_of_dropped(count: u64) {
    eprintln!("({count} more were too many to take)");
}

#[expect(clippy::print_stdout, reason = "stdout is where a command gives its data")]
fn show(sample: &Value, json: bool) {
    if json { println!("{sample}") } else { println!("{}", line(sample)) }
}

/// One request on one line: time, why, status, milliseconds, method and path, where it went, what went wrong.
fn line(sample: &Value) -> String {
    let text = |name: &str| sample.get(name).and_then(Value::as_str).map(plain).unwrap_or_default();
    let number = |name: &str| sample.get(name).and_then(Value::as_f64).unwrap_or(0.0);
    let time: String = text("time").chars().skip(11).take(12).collect();
    let mut line = format!(
        "{time} {:6} {:3} {:>9.3} ms  {} {}  route {}",
        text("sampled"),
        number("status"),
        number("duration_ms"),
        text("method"),
        text("path"),
        text("route"),
    );
    for (before, name) in
        [("", "service"), ("at ", "endpoint"), ("for ", "client"), ("", "reason"), ("", "detail")]
    {
        let value = text(name);
        if !value.is_empty() {
            line.push_str(&format!("  {before}{value}"));
        }
    }
    line
}

/// Text from outside must not steer the terminal.
pub(super) fn plain(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { '?' } else { character }).collect()
}

/// A text as part of a query.
fn encoded(text: &str) -> String {
    let bytes = text.bytes().map(|byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'/' => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    });
    bytes.collect()
}
