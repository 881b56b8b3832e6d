//! `tidegate ban`, `tidegate unban` and `tidegate bans`: keep addresses out by hand, for a time.

use serde_json::{Value, json};

use super::Exit;
use super::admin_client::{At, asked};

/// What `ban` is told.
#[derive(clap::Args)]
pub struct Options {
    /// An address or a network: 192.0.2.7, 198.51.100.0/24, 2001:db8::/32; of one IPv6 address its /64 is meant
    #[arg(value_name = "ADDRESS")]
    network: String,
    /// For how long: 15m, 1h, 7d
    #[arg(long = "for", default_value = "1h", value_name = "TIME")]
    time: String,
    /// Why, for the list
    #[arg(long, default_value = "", value_name = "TEXT")]
    why: String,
    #[command(flatten)]
    admin: At,
}

/// What `unban` is told.
#[derive(clap::Args)]
pub struct Lifted {
    /// The address or network, as in the list
    #[arg(value_name = "ADDRESS")]
    network: String,
    #[command(flatten)]
    admin: At,
}

/// What `bans` is told.
#[derive(clap::Args)]
pub struct Listed {
    #[command(flatten)]
    admin: At,
    /// Print the list as JSON
    #[arg(long)]
    json: bool,
}

/// Keeps an address out: "no" when that is no address.
#[expect(clippy::print_stdout, reason = "stdout is where a command gives its data")]
pub fn ban(options: &Options) -> Exit {
    let question = json!({ "network": options.network, "for": options.time, "why": options.why });
    match asked(&options.admin, "POST", "/api/v1/ban", Some(&question), false) {
        Ok(answer) => {
            println!("banned: {} until {}", text(&answer, "network"), text(&answer, "until"));
            Exit::Good
        }
        Err(exit) => exit,
    }
}

/// Lets an address in again: "no" when it is not banned.
#[expect(clippy::print_stdout, reason = "stdout is where a command gives its data")]
pub fn unban(options: &Lifted) -> Exit {
    match asked(&options.admin, "POST", "/api/v1/unban", Some(&json!({ "network": options.network })), false)
    {
        Ok(answer) => {
            println!("not banned any more: {}", text(&answer, "network"));
            Exit::Good
        }
        Err(exit) => exit,
    }
}

/// Prints who is kept out.
#[expect(clippy::print_stdout, reason = "stdout is where a command gives its data")]
pub fn bans(options: &Listed) -> Exit {
    let answer = match asked(&options.admin, "GET", "/api/v1/bans", None, options.json) {
        Ok(answer) => answer,
        Err(exit) => return exit,
    };
    if options.json {
        return Exit::Good;
    }
    let bans = answer.get("bans").and_then(Value::as_array).cloned().unwrap_or_default();
    for ban in &bans {
        println!("{} until {} {}", text(ban, "network"), text(ban, "until"), text(ban, "why"));
    }
    if bans.is_empty() {
        println!("nobody is banned");
    }
    Exit::Good
}

fn text<'a>(answer: &'a Value, key: &str) -> &'a str {
    answer.get(key).and_then(Value::as_str).unwrap_or_default()
}
