//! Users, in two versions of their interface: the first says `user_name`, the second `username`.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use super::missing;
use crate::demo::shop::{Shop, User};

/// The old interface, below `/v1/users`.
pub(crate) fn v1(shop: Arc<Shop>) -> Router {
    Router::new()
        .route("/v1/users", get(old_list))
        .route("/v1/users/", get(old_list))
        .route("/v1/users/{id}", get(old_one))
        .with_state(shop)
}

/// The new interface, below `/v2/users`.
pub(crate) fn v2(shop: Arc<Shop>) -> Router {
    Router::new()
        .route("/v2/users", get(list))
        .route("/v2/users/", get(list))
        .route("/v2/users/{id}", get(one))
        .with_state(shop)
}

fn old(user: &User) -> Value {
    json!({ "id": user.id, "user_name": user.username, "full_name": user.name })
}

async fn old_list(State(shop): State<Arc<Shop>>) -> Json<Vec<Value>> {
    Json(shop.users.iter().map(old).collect())
}

async fn old_one(State(shop): State<Arc<Shop>>, Path(id): Path<u32>) -> Response {
    match shop.users.iter().find(|user| user.id == id) {
        Some(user) => Json(old(user)).into_response(),
        None => missing("user", id),
    }
}

async fn list(State(shop): State<Arc<Shop>>) -> Json<Vec<User>> {
    Json(shop.users.clone())
}

async fn one(State(shop): State<Arc<Shop>>, Path(id): Path<u32>) -> Response {
    match shop.users.iter().find(|user| user.id == id) {
        Some(user) => Json(user).into_response(),
        None => missing("user", id),
    }
}
