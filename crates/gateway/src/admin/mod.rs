//! The admin address: health, metrics and schema for everybody who reaches it; the admin API and the console for who has
//! a token.
//!
//! Runs on the control side with a well-kept server library: nothing here is on the road. It answers only to names
//! that cannot be somebody else's web page (DNS rebinding), and nothing to pages of other origins.

pub mod access;
mod acme;
pub mod address;
mod api;
pub mod audit;
mod bans;
mod cache;
pub mod cases;
mod certificates;
pub mod changes;
pub mod connections;
pub mod console;
pub mod control;
mod drain;
mod endpoints;
pub mod explain;
mod folders;
mod guard;
mod guarding;
pub mod handover;
mod inherit;
mod insights;
mod live;
mod mirrors;
pub mod notices;
pub mod notify;
mod openapi;
mod pages;
mod policies;
pub mod process;
pub mod rollups;
mod routes;
mod samples;
mod session;
mod signals;
pub mod source;
mod splits;
mod state_folder;
pub mod telemetry;
mod topology;
mod versions;
pub mod watch;
mod watchdog;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{StatusCode, header};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Map, Value};

use connections::{Bounded, Bounds, Peer, Socket};
use control::Control;

/// The largest body that the admin API takes: a configuration of many thousand routes.
const LARGEST_BODY: usize = 8 << 20;

/// How long connections that were accepted before the end may still ask: who came last had not been read yet.
const LAST_WORD: Duration = Duration::from_secs(1);

/// Answers on the admin address until it is to `end`, which may be never. Then nobody is accepted any more, and after
/// a moment what rests is closed.
pub async fn serve(listener: Socket, control: Arc<Control>, end: impl Future<Output = ()> + Send + 'static) {
    // What stands here everybody may ask who reaches the address; the rest is in the list of endpoints.
    let routes = Router::new()
        .route("/", get(console::index))
        .route("/icon.svg", get(console::icon))
        .route("/assets/{name}", get(console::page_file))
        .route("/healthz", get(pages::alive))
        .route("/livez", get(pages::alive))
        .route("/readyz", get(pages::ready))
        .route("/metrics", get(pages::metrics))
        .route("/tidegate.schema.json", get(pages::schema))
        .route("/.well-known/jwks.json", get(pages::keys))
        .merge(endpoints::router())
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .layer(middleware::from_fn_with_state(control.clone(), guard::guard))
        .with_state(control);
    let service = routes.into_make_service_with_connect_info::<Peer>();
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let listener = Bounded::new(listener, Bounds::default()).until(stopped);
    let end = async move {
        end.await;
        stop.send_replace(true);
        tokio::time::sleep(LAST_WORD).await;
    };
    if let Err(error) = axum::serve(listener, service).with_graceful_shutdown(end).await {
        tracing::error!(error = %error, "the admin address has ended");
    }
}

/// Problem details (RFC 9457) of the admin address.
fn problem(status: StatusCode, reason: &str, detail: &str) -> Response {
    problem_with(status, reason, detail, Map::new())
}

/// The same with more to say.
fn problem_with(status: StatusCode, reason: &str, detail: &str, more: Map<String, Value>) -> Response {
    let mut body = Map::new();
    body.insert("type".into(), format!("urn:tidegate:problem:{reason}").into());
    body.insert("title".into(), status.canonical_reason().unwrap_or_default().into());
    body.insert("status".into(), status.as_u16().into());
    body.insert("detail".into(), detail.into());
    body.extend(more);
    let text = format!("{}\n", Value::Object(body));
    (status, [(header::CONTENT_TYPE, "application/problem+json")], text).into_response()
}

type Shared = State<Arc<Control>>;
