//! Payments: balances, and taking money. Flaky on purpose: of each hundred answers five are a 503, and one
//! connection is dropped without any answer.
//!
//! Which ones is counted, not drawn by lot, so that whoever looks for them finds them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::extract::{Path, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::json;

use super::missing;
use crate::demo::shop::{Payment, Shop};

/// The service, below `/payments`.
pub(crate) fn router(shop: Arc<Shop>) -> Router {
    let asked = Arc::new(AtomicU64::new(0));
    Router::new()
        .route("/payments", post(pay))
        .route("/payments/", post(pay))
        .route("/payments/balance/{user}", get(balance))
        .with_state(shop)
        .layer(middleware::from_fn_with_state(asked, flaky))
}

async fn flaky(State(asked): State<Arc<AtomicU64>>, request: Request, next: Next) -> Response {
    let nth = asked.fetch_add(1, Ordering::Relaxed);
    match nth % 100 {
        7 | 27 | 47 | 67 | 87 => {
            let retry = [(header::RETRY_AFTER, "1")];
            let text = json!({ "error": "payments are having a moment" });
            (StatusCode::SERVICE_UNAVAILABLE, retry, Json(text)).into_response()
        }
        // The server drops the connection of a task that panics: the gateway sees no answer at all.
        50 => std::panic::resume_unwind(Box::new("the flaky service hangs up")),
        _ => next.run(request).await,
    }
}

async fn pay(State(shop): State<Arc<Shop>>, Json(payment): Json<Payment>) -> Response {
    if !shop.users.iter().any(|user| user.id == payment.user) {
        return missing("user", payment.user);
    }
    let payment = shop.pay(payment);
    let place = [(header::LOCATION, format!("/payments/{}", payment.id))];
    (StatusCode::CREATED, place, Json(payment)).into_response()
}

async fn balance(State(shop): State<Arc<Shop>>, Path(user): Path<u32>) -> Response {
    if !shop.users.iter().any(|known| known.id == user) {
        return missing("user", user);
    }
    let cents = i64::try_from(shop.balance_cents(user)).unwrap_or(i64::MAX);
    Json(json!({ "user": user, "balance_cents": cents })).into_response()
}
