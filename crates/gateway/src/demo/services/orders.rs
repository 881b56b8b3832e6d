//! Orders, the news of them as an event stream (one each second), and a WebSocket that echoes.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::{self, Next};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use futures_util::stream::{self, Stream};
use serde::Deserialize;

use super::missing;
use crate::demo::shop::{Order, Shop};

#[derive(Deserialize)]
struct Selection {
    user: Option<u32>,
    limit: Option<usize>,
}

/// The service: `/orders`, `/events/orders` and `/ws`.
pub(crate) fn router(shop: Arc<Shop>) -> Router {
    Router::new()
        .route("/orders", get(list))
        .route("/orders/", get(list))
        .route("/orders/{id}", get(one))
        .layer(middleware::from_fn(tell_who_asks))
        .route("/events/orders", get(events))
        .route("/ws", get(open_socket))
        .with_state(shop)
}

/// Says in the answer who the gateway says is asking, and prints it: the service itself knows nothing of tokens.
async fn tell_who_asks(request: Request, next: Next) -> Response {
    let who =
        request.headers().get("x-user-id").cloned().unwrap_or_else(|| HeaderValue::from_static("nobody"));
    tracing::info!(user = ?who, path = request.uri().path(), "orders are asked for");
    let mut answer = next.run(request).await;
    answer.headers_mut().insert(HeaderName::from_static("x-asked-by"), who);
    answer
}

async fn list(State(shop): State<Arc<Shop>>, Query(selection): Query<Selection>) -> Json<Vec<Order>> {
    let fits = |order: &&Order| selection.user.is_none_or(|user| order.user == user);
    let limit = selection.limit.unwrap_or(usize::MAX);
    Json(shop.orders.iter().filter(fits).take(limit).cloned().collect())
}

async fn one(State(shop): State<Arc<Shop>>, Path(id): Path<u32>) -> Response {
    match shop.orders.iter().find(|order| order.id == id) {
        Some(order) => Json(order).into_response(),
        None => missing("order", id),
    }
}

/// One order a second, round and round.
async fn events(State(shop): State<Arc<Shop>>) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let ticks = tokio::time::interval(Duration::from_secs(1));
    let news = stream::unfold((ticks, 0_usize), move |(mut ticks, nth)| {
        let order = shop.orders.iter().cycle().nth(nth).cloned();
        async move {
            ticks.tick().await;
            let event = Event::default().event("order").id(nth.to_string());
            let text = serde_json::to_string(&order).unwrap_or_default();
            Some((Ok(event.data(text)), (ticks, nth.wrapping_add(1))))
        }
    });
    Sse::new(news)
}

async fn open_socket(upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(echo)
}

async fn echo(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        let is_content = matches!(message, Message::Text(_) | Message::Binary(_));
        if is_content && socket.send(message).await.is_err() {
            return;
        }
    }
}
