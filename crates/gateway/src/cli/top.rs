//! `tidegate top`: the busiest routes, services and targets of a running gateway, anew each second.

use std::io::Write;
use std::time::Duration;

use serde_json::Value;

use super::Exit;
use super::admin_client::{At, refuse};
use super::tail::{ask, plain};

/// Lines of each table.
const MOST: usize = 15;
/// Puts the cursor to the start and clears what is below it.
const CLEAR: &str = "\x1b[H\x1b[J";

/// What the command is told.
#[derive(clap::Args)]
pub struct Options {
    /// Over which time: 10s, 5m, 1h, up to 1d
    #[arg(long, default_value = "1m", value_name = "TIME")]
    window: String,
    /// Print once and end
    #[arg(long)]
    once: bool,
    #[command(flatten)]
    admin: At,
}

/// Runs the command: until it is interrupted, unless it is to print once.
pub fn run(options: Options) -> Exit {
    let window = options.window.chars().all(|character| character.is_ascii_alphanumeric());
    if !window {
        return refuse(&format!("`{}` is not a duration: write 10s, 5m or 1h", options.window), Exit::Usage);
    }
    let path = format!("/api/v1/topology?window={}", options.window);
    loop {
        let topology = match ask(&options.admin, &path) {
            Ok(topology) => topology,
            Err((why, exit)) => return refuse(&why, exit),
        };
        let page = page(&topology, &options.window);
        let shown = if options.once { print(&page) } else { print(&format!("{CLEAR}{page}")) };
        if options.once || shown.is_err() {
            return Exit::Good;
        }
        std::thread::sleep(Duration::from_secs(1));
    }
}

fn print(text: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

fn page(topology: &Value, window: &str) -> String {
    let gateway = topology.get("gateway").unwrap_or(&Value::Null);
    let number = |name: &str| gateway.get(name).and_then(Value::as_f64).unwrap_or(0.0);
    let mut page = format!(
        "tidegate, revision {}, last {window}: {:.1} requests/s, {:.2} % errors, {} in flight\n",
        topology.get("revision").unwrap_or(&Value::Null),
        number("rate"),
        number("error_rate") * 100.0,
        number("in_flight"),
    );
    for (title, list) in [("ROUTE", "routes"), ("SERVICE", "services"), ("TARGET", "targets")] {
        page.push_str(&format!(
            "\n{title:40} {:>9} {:>9} {:>9} {:>9} {:>9} {:>8}\n",
            "calls", "per s", "avg ms", "p50 ms", "p99 ms", "errors"
        ));
        let mut entries: Vec<&Value> =
            topology.get(list).and_then(Value::as_array).into_iter().flatten().collect();
        entries.sort_by_key(|entry| std::cmp::Reverse(entry.get("calls").and_then(Value::as_u64)));
        entries.iter().take(MOST).for_each(|entry| page.push_str(&row(entry)));
        if entries.len() > MOST {
            page.push_str(&format!("and {} more\n", entries.len().saturating_sub(MOST)));
        }
    }
    page
}

fn row(entry: &Value) -> String {
    let name = plain(entry.get("name").and_then(Value::as_str).unwrap_or_default());
    let millis = |field: &str| {
        let value = entry.get(field).and_then(Value::as_f64);
        value.map_or_else(|| "-".to_owned(), |value| format!("{value:.1}"))
    };
    let number = |field: &str| entry.get(field).and_then(Value::as_f64).unwrap_or(0.0);
    format!(
        "{name:40} {:>9} {:>9.1} {:>9} {:>9} {:>9} {:>6.2} %\n",
        number("calls"),
        number("rate"),
        millis("average_ms"),
        millis("p50_ms"),
        millis("p99_ms"),
        number("error_rate") * 100.0,
    )
}
