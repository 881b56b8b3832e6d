//! The routes that run: where they lead, their policies in the order of running, and what is written of them.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

use super::Shared;
use super::pages::json_response;
use crate::config::patch;
use crate::route::compiled::Action;

/// Routes that are told at most.
const MOST: usize = 2_000;

/// All routes, in the order of the table.
pub(super) async fn routes(State(control): Shared) -> Response {
    let snapshot = control.gateway.live.snapshot();
    // As written, so that secrets that come from elsewhere stay `${..}`; only where it is one file.
    let written = control.source.text().ok().and_then(|text| patch::meaning(&text).ok()).unwrap_or_default();
    let told: Vec<Value> = snapshot
        .routes
        .iter()
        .take(MOST)
        .map(|route| {
            let policies: Vec<Value> = route
                .policies
                .iter()
                .map(|bound| json!({ "name": bound.name, "shadow": bound.shadow }))
                .collect();
            let own = written.get("routes").and_then(|routes| routes.get(&*route.key));
            json!({
                "name": &*route.key,
                "service": snapshot.service_of(route),
                "action": match route.action {
                    Action::Forward(..) => "forward",
                    Action::Split(_) => "split",
                    Action::Respond(_) => "respond",
                    Action::Mock(_) => "mock",
                    Action::Redirect { .. } => "redirect",
                },
                "policies": policies,
                "written": own.map(masked).unwrap_or_else(|| json!({})),
            })
        })
        .collect();
    json_response(
        StatusCode::OK,
        &json!({ "routes": told, "more": snapshot.routes.len().saturating_sub(MOST) }),
    )
}

/// Without what may be a secret by its name.
fn masked(value: &Value) -> Value {
    const SECRETS: [&str; 6] = ["secret", "password", "token", "private_key", "client_secret", "key"];
    match value {
        Value::Object(map) => Value::Object(
            map.iter()
                .filter(|(name, _)| !SECRETS.iter().any(|secret| name.ends_with(secret)))
                .map(|(name, value)| (name.clone(), masked(value)))
                .collect(),
        ),
        Value::Array(items) => items.iter().map(masked).collect(),
        plain => plain.clone(),
    }
}
