//! The switch of the shop: takes services away, makes them slow and brings them back, so that everybody can see what the
//! gateway does then.
//!
//! Takes the instances, gives one more service: `POST /orders/stop` closes every instance of `orders`, `POST /orders-a/slow`
//! lets one answer late, `POST /orders/start` opens them as they were, `POST /start` does so with all.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde_json::json;

use super::instance::{Instance, Service};

type Instances = Arc<Vec<Instance>>;

/// The service, which has power over these.
pub(crate) fn service(instances: Vec<Instance>) -> Service {
    let router = Router::new()
        .route("/start", post(start))
        .route("/{service}/{what}", post(turn))
        .with_state(Arc::new(instances));
    Service {
        name: "switch",
        port: 7000,
        about: "stops the others, makes them slow, and starts them",
        router,
    }
}

async fn start(State(instances): State<Instances>) -> Response {
    instances.iter().for_each(as_usual);
    Json(json!({ "open": "all" })).into_response()
}

fn as_usual(instance: &Instance) {
    instance.set_open(true);
    instance.set_slow(false);
}

async fn turn(State(instances): State<Instances>, Path((service, what)): Path<(String, String)>) -> Response {
    let (turn, now): (fn(&Instance), &str) = match what.as_str() {
        "start" => (as_usual, "open"),
        "stop" => (|instance| instance.set_open(false), "closed"),
        "slow" => (|instance| instance.set_slow(true), "slow"),
        _ => return refuse(StatusCode::NOT_FOUND, "write /SERVICE/stop, /SERVICE/slow or /SERVICE/start"),
    };
    let chosen: Vec<&Instance> =
        instances.iter().filter(|instance| is_of(instance.name(), &service)).collect();
    if chosen.is_empty() {
        return refuse(StatusCode::NOT_FOUND, "the shop has no such service");
    }
    chosen.iter().for_each(|instance| turn(instance));
    let names: Vec<&str> = chosen.iter().map(|instance| instance.name()).collect();
    Json(json!({ now: names })).into_response()
}

/// Whether an instance is that service, or one of its instances `-a` and `-b`.
fn is_of(instance: &str, service: &str) -> bool {
    matches!(instance.strip_prefix(service), Some("" | "-a" | "-b"))
}

fn refuse(status: StatusCode, why: &str) -> Response {
    (status, Json(json!({ "error": why }))).into_response()
}
