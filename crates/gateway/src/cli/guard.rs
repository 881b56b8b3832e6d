//! `tidegate guard`: who behaves abnormally, and `tidegate guard forgive`: undo a false alarm.

use serde_json::{Value, json};

use super::Exit;
use super::admin_client::{At, asked};

/// What `guard` is told.
#[derive(clap::Args)]
pub struct Options {
    #[command(subcommand)]
    what: Option<What>,
    #[command(flatten)]
    admin: At,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
}

#[derive(clap::Subcommand)]
enum What {
    /// Forget what a client did, and leave it alone for a time
    Forgive {
        /// An address, or the name of a consumer, as in the list
        #[arg(value_name = "CLIENT")]
        client: String,
        /// For how long it is left alone: 15m, 1h, 7d
        #[arg(long = "for", default_value = "1h", value_name = "TIME")]
        time: String,
    },
}

/// Prints the clients that are watched, or forgives one: "no" when nobody knows it.
pub fn guard(options: &Options) -> Exit {
    match &options.what {
        None => list(options),
        Some(What::Forgive { client, time }) => forgive(&options.admin, client, time),
    }
}

#[expect(clippy::print_stdout, reason = "stdout is where a command gives its data")]
fn list(options: &Options) -> Exit {
    let answer = match asked(&options.admin, "GET", "/api/v1/guard", None, options.json) {
        Ok(answer) => answer,
        Err(exit) => return exit,
    };
    if options.json {
        return Exit::Good;
    }
    let clients = answer.get("clients").and_then(Value::as_array).cloned().unwrap_or_default();
    for client in &clients {
        let reasons = client.get("reasons").and_then(Value::as_array).cloned().unwrap_or_default();
        let reasons: Vec<String> = reasons
            .iter()
            .map(|reason| {
                format!(
                    "{} {} (usual {})",
                    text(reason, "what"),
                    text(reason, "measured"),
                    text(reason, "usual")
                )
            })
            .collect();
        let (level, score, name) = (text(client, "level"), text(client, "score"), text(client, "client"));
        println!("{level:<9} {score:>3} {name} {}", reasons.join(", "));
    }
    if clients.is_empty() {
        println!("nobody behaves abnormally");
    }
    Exit::Good
}

#[expect(clippy::print_stdout, reason = "stdout is where a command gives its data")]
fn forgive(admin: &str, client: &str, time: &str) -> Exit {
    let question = json!({ "client": client, "for": time });
    match asked(admin, "POST", "/api/v1/guard/forgive", Some(&question), false) {
        Ok(answer) => {
            println!("forgiven: {}, left alone for {} s", text(&answer, "client"), text(&answer, "seconds"));
            Exit::Good
        }
        Err(exit) => exit,
    }
}

/// A member as people read it.
fn text(answer: &Value, key: &str) -> String {
    match answer.get(key) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.as_f64().map_or_else(String::new, |number| number.to_string()),
        _ => String::new(),
    }
}
