//! The services of the shop, each a small HTTP service as a team would write one.
//!
//! Takes the shop, gives the list of what is to be started. One file for each service; none knows that it
//! stands behind a gateway.

mod issuer;
mod login;
mod orders;
mod payments;
mod products;
mod recommendations;
pub(crate) mod stock;
mod users;

use std::sync::Arc;

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::instance::Service;
use super::shop::Shop;

/// Every instance of every service, with its usual port.
pub(crate) fn all(shop: &Arc<Shop>) -> Vec<Service> {
    let of = |name, port, about, router: fn(Arc<Shop>) -> axum::Router| Service {
        name,
        port,
        about,
        router: router(Arc::clone(shop)),
    };
    vec![
        of("users-v1", 7100, "the old users service, says `user_name`", users::v1),
        of("users-a", 7101, "users, first instance, says `username`", users::v2),
        of("users-b", 7102, "users, second instance", users::v2),
        of("products", 7200, "twenty products, filtered by ?q=", products::router),
        of("orders-a", 7301, "orders, events and a WebSocket, first instance", orders::router),
        of("orders-b", 7302, "orders, events and a WebSocket, second instance", orders::router),
        of("orders-standby", 7303, "orders once more, for when both others are gone", orders::router),
        of("payments", 7400, "flaky: one answer in twenty is a 503 or none at all", payments::router),
        of(
            "issuer",
            7600,
            "gives tokens to whoever asks and believes whoever logs in, for trying things on",
            issuer::router,
        ),
        of(
            "recommendations",
            7500,
            "slow at times: every fifth answer takes 400 to 900 ms",
            recommendations::router,
        ),
    ]
}

/// What a service says when it has no such thing.
fn missing(what: &str, id: u32) -> Response {
    (StatusCode::NOT_FOUND, Json(json!({ "error": format!("there is no {what} {id}") }))).into_response()
}
