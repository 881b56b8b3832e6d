//! Copies of requests: what came of them, and where the answers of two services differ.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Map, Value, json};

use super::Shared;
use super::pages::json_response;
use crate::observe::page::mirrors::MirrorReading;
use crate::snapshot::Snapshot;
use crate::upstream::mirror::Mirror;

/// Routes that are told.
const MOST_TOLD: usize = 200;

/// The routes whose requests are copied.
fn mirrors(snapshot: &Snapshot) -> impl Iterator<Item = (&str, &Mirror)> {
    snapshot.routes.iter().filter_map(|route| {
        // The services of a split share theirs.
        let (_, care) = route.action.asks().into_iter().next()?;
        Some((&*route.key, care?.mirror.as_deref()?))
    })
}

/// What the metrics page tells of them.
pub(super) fn readings(snapshot: &Snapshot) -> Vec<MirrorReading<'_>> {
    mirrors(snapshot)
        .map(|(route, mirror)| MirrorReading {
            route,
            service: &mirror.name,
            in_flight: mirror.live.in_flight(),
            counts: mirror
                .live
                .counts()
                .into_iter()
                .map(|(outcome, count)| (outcome.word(), count))
                .collect(),
        })
        .collect()
}

pub(super) async fn show(State(control): Shared) -> Response {
    let snapshot = control.gateway.live.snapshot();
    let told: Vec<Value> = mirrors(&snapshot)
        .take(MOST_TOLD)
        .map(|(route, mirror)| {
            let counts: Map<String, Value> = mirror
                .live
                .counts()
                .into_iter()
                .map(|(outcome, count)| (outcome.word().to_owned(), count.into()))
                .collect();
            json!({
                "route": route,
                "to": &*mirror.name,
                "in_flight": mirror.live.in_flight(),
                "counts": counts,
                "differences": mirror.live.samples(),
            })
        })
        .collect();
    json_response(StatusCode::OK, &json!({ "mirrors": told }))
}
