//! Takes targets out of use by command, and back, and gives them other weights.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;

use super::{Shared, problem};
use crate::snapshot::Snapshot;
use crate::values::nearest;

/// The largest weight, as in the configuration.
const MOST_WEIGHT: u32 = 1000;

/// Which target.
#[derive(Deserialize)]
struct Question {
    /// As written, or the address of one endpoint.
    target: String,
    /// Only in this service.
    service: Option<String>,
}

pub(super) async fn drain(State(control): Shared, body: String) -> Response {
    change(&control.gateway.live.snapshot(), &body, true)
}

pub(super) async fn undrain(State(control): Shared, body: String) -> Response {
    change(&control.gateway.live.snapshot(), &body, false)
}

/// Which weight for which target.
#[derive(Deserialize)]
struct Weighing {
    service: String,
    /// As written, or the address of one endpoint.
    target: String,
    /// As in the configuration, 0 to 1000; without it, that of the configuration holds again.
    weight: Option<u32>,
}

pub(super) async fn weigh(State(control): Shared, body: String) -> Response {
    let Weighing { service, target, weight } = match serde_json::from_str(&body) {
        Ok(question) => question,
        Err(error) => return problem(StatusCode::BAD_REQUEST, "question_unclear", &error.to_string()),
    };
    if weight.is_some_and(|weight| weight > MOST_WEIGHT) {
        let told = format!("a weight is between 0 and {MOST_WEIGHT}");
        return problem(StatusCode::BAD_REQUEST, "question_unclear", &told);
    }
    let target = target.split_once("://").map_or(&*target, |(_, rest)| rest).trim_end_matches('/');
    let snapshot = control.gateway.live.snapshot();
    let known = snapshot.services.iter().find(|known| *known.name == *service);
    if !known.is_some_and(|known| known.live.weigh(target, weight)) {
        let told = unknown(&snapshot, target, Some(&service));
        return problem(StatusCode::NOT_FOUND, "target_unknown", &told);
    }
    match weight {
        Some(weight) => tracing::info!(service, target, weight, "target weighs so much by command"),
        None => tracing::info!(service, target, "target weighs again what the configuration says"),
    }
    Json(json!({ "service": service, "target": target, "weight": weight })).into_response()
}

fn change(snapshot: &Snapshot, body: &str, out: bool) -> Response {
    let Question { target, service } = match serde_json::from_str(body) {
        Ok(question) => question,
        Err(error) => return problem(StatusCode::BAD_REQUEST, "question_unclear", &error.to_string()),
    };
    // Whoever copies a URL from the configuration means the same.
    let target = target.split_once("://").map_or(&*target, |(_, rest)| rest).trim_end_matches('/');
    let (mut services, mut endpoints, mut in_flight) = (Vec::new(), Vec::new(), 0_u64);
    let asked = |name: &str| service.as_deref().is_none_or(|service| service == name);
    for service in snapshot.services.iter().filter(|service| asked(&service.name)) {
        let Some(changed) = service.live.drain(target, out) else { continue };
        services.push(service.name.to_string());
        for endpoint in service.live.endpoints().iter().filter(|endpoint| endpoint.is_named(target)) {
            in_flight = in_flight.saturating_add(u64::from(endpoint.in_flight()));
            endpoints.push(endpoint.settings.address.to_string());
        }
        if changed {
            let word = if out { "drained" } else { "back in use" };
            tracing::info!(service = %service.name, target, "target {word} by command");
        }
    }
    if services.is_empty() {
        return problem(
            StatusCode::NOT_FOUND,
            "target_unknown",
            &unknown(snapshot, target, service.as_deref()),
        );
    }
    endpoints.sort_unstable();
    endpoints.dedup();
    Json(json!({ "target": target, "services": services, "endpoints": endpoints, "in_flight": in_flight }))
        .into_response()
}

fn unknown(snapshot: &Snapshot, target: &str, service: Option<&str>) -> String {
    let names = snapshot.services.iter().map(|service| &*service.name);
    if let Some(service) = service
        && !snapshot.services.iter().any(|known| &*known.name == service)
    {
        let meant = nearest(service, names).map(|meant| format!(": did you mean `{meant}`?"));
        return format!("no service is called `{service}`{}", meant.unwrap_or_default());
    }
    let endpoints: Vec<_> = snapshot.services.iter().map(|service| service.live.endpoints()).collect();
    let mut known: Vec<&str> =
        endpoints.iter().flat_map(|all| all.iter().map(|one| &*one.settings.authority)).collect();
    known.sort_unstable();
    known.dedup();
    let meant = nearest(target, known.iter().copied()).map(|meant| format!(": did you mean `{meant}`?"));
    format!("no service has a target `{target}`{}", meant.unwrap_or_default())
}
