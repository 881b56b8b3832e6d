//! `tidegate token`: a token of a development issuer, for trying routes that need one.
//!
//! Asks the issuer that `tidegate demo` runs; it has no key and makes no token itself.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::{Exit, output};
use crate::identity::fetch::{Ask, Asker};
use crate::values::WebUrl;

/// How long the issuer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the command is told.
#[derive(clap::Args)]
pub struct Options {
    /// Who the token is about
    #[arg(long, default_value = "u1", value_name = "SUBJECT")]
    sub: String,
    /// For whom it is
    #[arg(long, default_value = "shop", value_name = "AUDIENCE")]
    aud: String,
    /// Scopes, with spaces between them
    #[arg(long, value_name = "SCOPES")]
    scope: Option<String>,
    /// A further claim, any number of times: NAME=VALUE, where VALUE may be JSON
    #[arg(long = "claim", value_name = "NAME=VALUE", value_parser = claim)]
    claims: Vec<(String, Value)>,
    /// How long it holds, at most 24h
    #[arg(long, default_value = "1h", value_name = "DURATION")]
    expires: crate::values::Duration,
    /// The development issuer, as `tidegate demo` prints it
    #[arg(long, default_value = "http://127.0.0.1:7600", value_name = "URL")]
    issuer: WebUrl,
}

fn claim(text: &str) -> Result<(String, Value), String> {
    let (name, value) =
        text.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or("write NAME=VALUE")?;
    let value = serde_json::from_str(value).unwrap_or_else(|_| value.into());
    Ok((name.to_owned(), value))
}

/// Runs the command.
pub fn run(options: Options) -> Exit {
    let claims: Map<String, Value> = options.claims.into_iter().collect();
    let wish = json!({
        "sub": options.sub, "aud": options.aud, "scope": options.scope, "claims": claims,
        "expires_in": options.expires.get().as_secs(),
    });
    match ask(&options.issuer, &wish) {
        Ok(token) => {
            output::data(&format!("{token}\n"));
            Exit::Good
        }
        Err(fault) => {
            refuse(&format!("no token from {}: {fault}", options.issuer));
            Exit::Unreachable
        }
    }
}

fn ask(issuer: &WebUrl, wish: &Value) -> Result<String, String> {
    let place = format!("{}/token", issuer.as_str().trim_end_matches('/'));
    let url: WebUrl = place.parse().map_err(|_| "this is no URL".to_owned())?;
    let fields = [("Content-Type", "application/json")];
    let body = Some(wish.to_string().into_bytes());
    let ask = Ask { url: &url, fields: &fields, body, within: PATIENCE, most: 64 * 1024 };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("cannot start: {error}"))?;
    let told = runtime.block_on(async { Asker::new(None)?.ask(ask).await })?;
    if told.status != 200 {
        return Err(format!("it answers {}", told.status));
    }
    let answer: Value = serde_json::from_slice(&told.body).map_err(|_| "it answers no JSON".to_owned())?;
    let token = answer.get("access_token").and_then(Value::as_str);
    token.map(str::to_owned).ok_or_else(|| "its answer has no token".to_owned())
}

#[expect(clippy::print_stderr, reason = "stderr is where a command talks")]
fn refuse(why: &str) {
    eprintln!("error: {why}\nhint: `tidegate demo` runs a development issuer; --issuer names another");
}
