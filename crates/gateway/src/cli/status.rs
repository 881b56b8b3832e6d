//! `tidegate status`: asks a running gateway how it is.

use serde_json::Value;

use super::Exit;
use super::admin_client::{self, At, refuse};

/// What the command is told.
#[derive(clap::Args)]
pub struct Options {
    #[command(flatten)]
    admin: At,
    /// Print the whole answer as JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command: good while the gateway takes requests, "no" while it drains.
pub fn run(options: Options) -> Exit {
    let answer = admin_client::call(&options.admin, "GET", "/api/v1/status", None);
    match answer {
        Ok((200, body)) => show(&body, options.json),
        Ok((status, body)) => {
            let answer: Value = serde_json::from_str(&body).unwrap_or_default();
            let detail = answer.get("detail").and_then(Value::as_str).unwrap_or(body.trim());
            refuse(&format!("{} answered {status}: {detail}", options.admin), Exit::Unreachable)
        }
        Err(error) => refuse(&error, Exit::Unreachable),
    }
}

#[expect(clippy::print_stdout, reason = "stdout is where a command gives its data")]
fn show(body: &str, json: bool) -> Exit {
    let Ok(status) = serde_json::from_str::<Value>(body) else {
        return refuse("the admin address answered something that is not a status", Exit::Unreachable);
    };
    let exit =
        if status.get("state").and_then(Value::as_str) == Some("ready") { Exit::Good } else { Exit::No };
    print!("{}", if json { body.to_owned() } else { text(&status) });
    exit
}

fn text(status: &Value) -> String {
    let word = |key: &str| match status.get(key) {
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
        None => "?".to_owned(),
    };
    let mut text = format!(
        "tidegate {} {}, revision {}, up {} s, {} workers, {} routes\n",
        word("version"),
        word("state"),
        word("revision"),
        word("uptime_seconds"),
        word("workers"),
        word("routes"),
    );
    let objects = |key: &str| status.get(key).and_then(Value::as_object).cloned().unwrap_or_default();
    for (name, listener) in objects("listeners") {
        let field =
            |key: &str| listener.get(key).map(|value| value.to_string().replace('"', "")).unwrap_or_default();
        text.push_str(&format!(
            "  listener {name}  {}  {} connections\n",
            field("address"),
            field("connections")
        ));
    }
    for (name, service) in objects("services") {
        let endpoints = service.get("endpoints").and_then(Value::as_array).cloned().unwrap_or_default();
        let addresses: Vec<String> = endpoints.iter().filter_map(endpoint_text).collect();
        let known = if addresses.is_empty() { "no endpoint".to_owned() } else { addresses.join(" ") };
        let circuit = service.get("circuit").and_then(Value::as_str);
        let circuit = circuit.map(|state| format!("  circuit {}", state.replace('_', " ")));
        text.push_str(&format!("  service {name}  {known}{}\n", circuit.unwrap_or_default()));
    }
    if let Some(refused) = status.get("last_reload_refused").and_then(Value::as_str) {
        text.push_str(&format!("the last reload was refused:\n{refused}\n"));
    }
    text
}

/// `10.0.0.1:80 (down: connection refused)`
fn endpoint_text(endpoint: &Value) -> Option<String> {
    let address = endpoint.get("address").and_then(Value::as_str)?;
    let backup = endpoint.get("backup").and_then(Value::as_bool) == Some(true);
    let far = endpoint.get("far").and_then(Value::as_bool) == Some(true);
    let ailment = endpoint.get("ailment").and_then(Value::as_str);
    let notes: Vec<&str> =
        backup.then_some("backup").into_iter().chain(far.then_some("far")).chain(ailment).collect();
    Some(if notes.is_empty() { address.to_owned() } else { format!("{address} ({})", notes.join("; ")) })
}
