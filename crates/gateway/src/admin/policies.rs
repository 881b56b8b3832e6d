//! What policies did: which there are, in the order of running, and what they refused or kept on which route.
//!
//! Counts are since the start, as those of the metrics page; whoever shows a rate asks twice.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Map, Value, json};

use super::Shared;
use super::pages::json_response;
use crate::observe::metrics::RouteReading;
use crate::policies::LIST;

/// Routes that are told at most.
const MOST: usize = 2_000;

pub(super) async fn policies(State(control): Shared) -> Response {
    let snapshot = control.gateway.live.snapshot();
    let kinds: Vec<Value> =
        LIST.iter().map(|kind| json!({ "name": kind.name, "refuses": kind.refuses })).collect();
    let mut routes = Map::new();
    for route in &snapshot.routes {
        let mut reading = RouteReading::default();
        route.stats.read(&mut reading);
        if (reading.refusals.is_empty() && reading.caches.is_empty()) || routes.len() >= MOST {
            continue;
        }
        let refused: Vec<Value> = reading
            .refusals
            .iter()
            .map(|([policy, reason, mode], count)| {
                json!({ "policy": policy, "reason": reason, "mode": mode, "count": count })
            })
            .collect();
        let cache: Map<String, Value> = reading
            .caches
            .iter()
            .map(|([result, ..], count)| ((*result).to_owned(), (*count).into()))
            .collect();
        routes.insert(route.key.to_string(), json!({ "refused": refused, "cache": cache }));
    }
    json_response(StatusCode::OK, &json!({ "kinds": kinds, "routes": routes }))
}
