//! What policies did: which there are, in the order of running, and what they refused or kept on which route; and what
//! callers did by their groups.
//!
//! Counts of refusals are since the start, as those of the metrics page; outcomes are those of a window.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Map, Value, json};

use super::Shared;
use super::api::{Window, seconds, unclear};
use super::pages::json_response;
use super::topology::told_counts;
use crate::observe::metrics::RouteReading;
use crate::observe::telemetry::{Key, Kind, Store};
use crate::policies::LIST;

/// Routes that are told at most.
const MOST: usize = 2_000;

pub(super) async fn policies(
    State(control): Shared,
    asked: Result<Query<Window>, QueryRejection>,
) -> Response {
    let window = match window(asked) {
        Ok(window) => window,
        Err(what) => return unclear(&what),
    };
    let snapshot = control.gateway.live.snapshot();
    let store = control.telemetry.store();
    let outcomes = outcomes(&store, window);
    let of = |route: &str| outcomes.get(route).cloned().unwrap_or_default();
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
        let told = json!({ "refused": refused, "cache": cache, "outcomes": of(&route.key) });
        routes.insert(route.key.to_string(), told);
    }
    let told = json!({ "kinds": kinds, "window_seconds": window, "covered_seconds": store.covered(window),
        "outcomes": of(""), "routes": routes });
    json_response(StatusCode::OK, &told)
}

/// The groups that the configuration names, the busiest first.
pub(super) async fn groups(State(control): Shared, asked: Result<Query<Window>, QueryRejection>) -> Response {
    let window = match window(asked) {
        Ok(window) => window,
        Err(what) => return unclear(&what),
    };
    let snapshot = control.gateway.live.snapshot();
    let store = control.telemetry.store();
    let counted = snapshot.groups.iter();
    let counted = counted.map(|(name, _)| (name, store.window(&Key::new(Kind::Group, name.clone()), window)));
    let mut counted: Vec<_> = counted.collect();
    counted.sort_by_key(|(_, counts)| std::cmp::Reverse(counts.calls));
    let told = counted.into_iter().take(MOST).map(|(name, counts)| {
        let mut told = told_counts(&counts, store.covered(window));
        told.insert("name".into(), (**name).into());
        Value::Object(told)
    });
    let told: Vec<Value> = told.collect();
    json_response(StatusCode::OK, &json!({ "window_seconds": window, "groups": told }))
}

fn window(asked: Result<Query<Window>, QueryRejection>) -> Result<u64, String> {
    match asked {
        Ok(Query(asked)) => seconds(asked.window.as_deref()),
        Err(error) => Err(error.body_text()),
    }
}

/// What policies made of exchanges in the window, by route; those of all routes have the name of none.
fn outcomes(store: &Store, window: u64) -> BTreeMap<Arc<str>, Vec<Value>> {
    let mut outcomes: BTreeMap<Arc<str>, Vec<Value>> = BTreeMap::new();
    let covered = store.covered(window);
    for key in store.keys(Kind::Policy) {
        let counts = store.window(key, window);
        let Some((policy, outcome)) = key.name.split_once(':').filter(|_| counts.calls > 0) else { continue };
        let mut told = told_counts(&counts, covered);
        told.retain(|name, _| matches!(name.as_str(), "calls" | "rate") || name.ends_with("_ms"));
        told.insert("policy".into(), policy.into());
        told.insert("outcome".into(), outcome.into());
        outcomes.entry(key.of.clone()).or_default().push(Value::Object(told));
    }
    outcomes
}
