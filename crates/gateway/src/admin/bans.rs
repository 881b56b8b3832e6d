//! Keeps addresses out by command, and lets them in again.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Shared, problem};
use crate::snapshot::bans::Ban;
use crate::values::{Cidr, Duration};

/// Who, for how long, and why.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "Ban")]
pub(super) struct Question {
    /// An address or a network.
    network: Cidr,
    /// For how long. Default: 1h.
    #[serde(default = "an_hour", rename = "for")]
    time: Duration,
    /// Why, for the list.
    #[serde(default)]
    why: String,
}

fn an_hour() -> Duration {
    Duration::from_secs(3600)
}

pub(super) async fn ban(State(control): Shared, body: String) -> Response {
    let Question { network, time, why } = match serde_json::from_str(&body) {
        Ok(question) => question,
        Err(error) => return unclear(&error),
    };
    match control.gateway.live.snapshot().bans.ban(network, time.get(), &why) {
        Ok(ban) => {
            tracing::info!(network = %ban.network, seconds = time.get().as_secs(), why, "banned by command");
            Json(shown(&ban)).into_response()
        }
        Err(what) => problem(StatusCode::INSUFFICIENT_STORAGE, "ban_failed", &what),
    }
}

pub(super) async fn unban(State(control): Shared, body: String) -> Response {
    let Question { network, .. } = match serde_json::from_str(&body) {
        Ok(question) => question,
        Err(error) => return unclear(&error),
    };
    match control.gateway.live.snapshot().bans.lift(network) {
        Ok(true) => {
            tracing::info!(%network, "ban lifted by command");
            Json(json!({ "network": name(network) })).into_response()
        }
        Ok(false) => {
            problem(StatusCode::NOT_FOUND, "not_banned", &format!("{} is not banned", name(network)))
        }
        Err(what) => problem(StatusCode::INSUFFICIENT_STORAGE, "ban_failed", &what),
    }
}

pub(super) async fn bans(State(control): Shared) -> Response {
    let bans: Vec<Value> = control.gateway.live.snapshot().bans.list().iter().map(shown).collect();
    Json(json!({ "bans": bans })).into_response()
}

fn shown(ban: &Ban) -> Value {
    let until = i64::try_from(ban.until).ok().and_then(|second| jiff::Timestamp::from_second(second).ok());
    let until = until.map(|until| until.to_string()).unwrap_or_default();
    json!({ "network": name(ban.network), "until": until, "why": ban.why })
}

/// A network as it was written: a single address without its prefix.
fn name(network: Cidr) -> String {
    if network.is_address() { network.address().to_string() } else { network.to_string() }
}

fn unclear(error: &serde_json::Error) -> Response {
    // A fault of a value says what to write instead on a line of its own.
    problem(StatusCode::BAD_REQUEST, "question_unclear", &error.to_string().replace('\n', ": "))
}
