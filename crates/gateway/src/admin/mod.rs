//! The admin address: health, metrics, schema, status, reload, drain, explain.
//!
//! Runs on the control side with a well-kept server library: nothing here is on the road. It answers only to names
//! that cannot be somebody else's web page (DNS rebinding), takes changes from this machine only, and never from a
//! page of another origin.

mod acme;
mod api;
mod bans;
mod certificates;
pub mod connections;
pub mod control;
mod drain;
pub mod explain;
mod folders;
pub mod handover;
mod inherit;
pub mod notify;
mod pages;
pub mod process;
mod samples;
mod signals;
pub mod telemetry;
pub mod watch;
mod watchdog;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tokio::net::TcpListener;

use connections::{Bounded, Bounds, Peer};
use control::Control;

/// Answers on the admin address until it is to `end`, which may be never.
pub async fn serve(
    listener: TcpListener,
    control: Arc<Control>,
    end: impl Future<Output = ()> + Send + 'static,
) {
    let routes = Router::new()
        .route("/", get(pages::index))
        .route("/healthz", get(pages::alive))
        .route("/livez", get(pages::alive))
        .route("/readyz", get(pages::ready))
        .route("/metrics", get(pages::metrics))
        .route("/tidegate.schema.json", get(pages::schema))
        .route("/.well-known/jwks.json", get(pages::keys))
        .route("/api/v1/status", get(pages::status))
        .route("/api/v1/reload", post(pages::reload))
        .route("/api/v1/bans", get(bans::bans))
        .route("/api/v1/ban", post(bans::ban))
        .route("/api/v1/unban", post(bans::unban))
        .route("/api/v1/drain", post(drain::drain))
        .route("/api/v1/undrain", post(drain::undrain))
        .route("/api/v1/quotas", get(pages::quotas))
        .route("/api/v1/explain", post(pages::explain))
        .route("/api/v1/topology", get(api::topology))
        .route("/api/v1/series", get(api::series))
        .route("/api/v1/heatmap", get(api::heatmap))
        .route("/api/v1/samples", get(samples::samples))
        .route("/api/v1/events", get(samples::events))
        .layer(middleware::from_fn(guard))
        .with_state(control);
    let service = routes.into_make_service_with_connect_info::<Peer>();
    let listener = Bounded::new(listener, Bounds::default());
    if let Err(error) = axum::serve(listener, service).with_graceful_shutdown(end).await {
        tracing::error!(error = %error, "the admin address has ended");
    }
}

/// Lets through what may be asked.
async fn guard(ConnectInfo(Peer(peer)): ConnectInfo<Peer>, request: Request, next: Next) -> Response {
    let headers = request.headers();
    if !is_own_name(headers) {
        return refuse("this Host is not the admin address: use an IP address or localhost");
    }
    if is_foreign(headers) && request.uri().path().starts_with("/api/") {
        return refuse("this is not told to pages of other sites");
    }
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    if !reads && headers.contains_key(header::ORIGIN) {
        return refuse("changes are not taken from web pages");
    }
    if !reads && !peer.ip().to_canonical().is_loopback() {
        return refuse("changes are taken from this machine only");
    }
    next.run(request).await
}

/// Whether Host is an address, or `localhost`: a name can be made to point here by anybody's DNS.
fn is_own_name(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(header::HOST).and_then(|host| host.to_str().ok()) else { return true };
    if host.parse::<SocketAddr>().is_ok() || host.parse::<IpAddr>().is_ok() {
        return true;
    }
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    name == "localhost" || (name.starts_with('[') && name.ends_with(']'))
}

/// Whether a browser says that a page of another site asks. Browsers say so by themselves; others say nothing.
fn is_foreign(headers: &HeaderMap) -> bool {
    let site = headers.get("sec-fetch-site").map(|site| site.as_bytes());
    site.is_some_and(|site| !matches!(site, b"same-origin" | b"none"))
}

fn refuse(detail: &'static str) -> Response {
    problem(StatusCode::FORBIDDEN, "admin_refused", detail)
}

/// Problem details (RFC 9457) of the admin address.
fn problem(status: StatusCode, reason: &str, detail: &str) -> Response {
    let body = serde_json::json!({
        "type": format!("urn:tidegate:problem:{reason}"),
        "title": status.canonical_reason().unwrap_or_default(),
        "status": status.as_u16(),
        "detail": detail,
    });
    (status, [(header::CONTENT_TYPE, "application/problem+json")], format!("{body}\n")).into_response()
}

type Shared = State<Arc<Control>>;
