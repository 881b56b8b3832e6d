//! What stands before every answer of the admin address: names, origins, tokens, roles.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{ConnectInfo, MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use serde_json::{Value, json};

use super::access::Caller;
use super::connections::Peer;
use super::control::Control;
use super::endpoints::{self, Endpoint};
use super::{LARGEST_BODY, problem};

/// Characters of a body that the audit log keeps.
const LONGEST_NOTE: usize = 4_096;

/// Lets through what may be asked, and notes what was changed.
pub(super) async fn guard(State(control): State<Arc<Control>>, mut request: Request, next: Next) -> Response {
    let headers = request.headers();
    if !is_own_name(headers) {
        return refuse("this Host is not the admin address: use an IP address or localhost");
    }
    let api = request.uri().path().starts_with("/api/");
    if (api && is_foreign(headers)) || !is_own_origin(headers) {
        return refuse("this is not told to pages of other sites, and changes are not taken from them");
    }
    if !api {
        return next.run(request).await;
    }
    // Without a peer, as no connection has, nobody is let in.
    let peer = request.extensions().get::<ConnectInfo<Peer>>().map(|ConnectInfo(peer)| *peer);
    if !peer.is_some_and(Peer::may_ask) {
        control.access.turned_away();
        return refuse("over the unix socket the admin API answers to the gateway's own user and to root");
    }
    let endpoint = request
        .extensions()
        .get::<MatchedPath>()
        .and_then(|path| endpoints::find(path.as_str(), request.method()));
    if endpoint.is_some_and(|endpoint| endpoint.role.is_none()) {
        return next.run(request).await;
    }
    let caller = match admit(&control, headers, request.method(), endpoint) {
        Ok(caller) => caller,
        Err(refused) => {
            control.access.turned_away();
            return *refused;
        }
    };
    request.extensions_mut().insert(caller.clone());
    match endpoint {
        // Changes of the configuration note themselves, with what they changed.
        Some(endpoint) if endpoint.changes && !endpoint.path.starts_with("/api/v1/config") => {
            noted(&control, &caller, endpoint, request, next).await
        }
        _ => next.run(request).await,
    }
}

/// The caller, if it may ask this.
fn admit(
    control: &Control,
    headers: &HeaderMap,
    method: &Method,
    endpoint: Option<&Endpoint>,
) -> Result<Caller, Box<Response>> {
    let config = control.config();
    let Some(caller) = control.access.caller(headers, &config) else {
        let what = "the admin API wants a token: `Authorization: Bearer ..`, for commands the environment variable \
                    TIDEGATE_ADMIN_TOKEN; the gateway has shown it at its first start";
        let mut response = problem(StatusCode::UNAUTHORIZED, "token_missing", what);
        response
            .headers_mut()
            .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"tidegate\""));
        return Err(Box::new(response));
    };
    let reads = matches!(*method, Method::GET | Method::HEAD);
    // A cookie comes by itself, so the page must say whose it is. Browsers always do.
    if caller.by_session && !reads && !headers.contains_key(header::ORIGIN) {
        return Err(Box::new(refuse("a browser's change must say its origin")));
    }
    let Some(endpoint) = endpoint else { return Ok(caller) };
    if let Some(role) = endpoint.role.filter(|role| caller.role < *role) {
        let what =
            format!("this needs the role {}, and {} has {}", role.word(), caller.name, caller.role.word());
        return Err(Box::new(problem(StatusCode::FORBIDDEN, "role_too_low", &what)));
    }
    if endpoint.changes && config.admin.readonly {
        let what = "the admin address is read only (`admin: { readonly: true }`)";
        return Err(Box::new(problem(StatusCode::FORBIDDEN, "readonly", what)));
    }
    Ok(caller)
}

/// Runs a change and writes into the audit log who asked for what, and what came of it.
async fn noted(
    control: &Control,
    caller: &Caller,
    endpoint: &Endpoint,
    request: Request,
    next: Next,
) -> Response {
    let (head, body) = request.into_parts();
    let Ok(bytes) = axum::body::to_bytes(body, LARGEST_BODY).await else {
        return problem(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "the body is too large or was cut");
    };
    let about = match serde_json::from_slice::<Value>(&bytes) {
        Ok(asked) if bytes.len() <= LONGEST_NOTE => json!({ "path": endpoint.path, "asked": asked }),
        _ => json!({ "path": endpoint.path, "bytes": bytes.len() }),
    };
    let response = next.run(Request::from_parts(head, Body::from(bytes))).await;
    control.note_done(caller, endpoint.summary, about, response.status().as_str());
    response
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

/// Whether a page that asks is one of this address, as far as it says.
fn is_own_origin(headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let authority = origin
        .to_str()
        .ok()
        .and_then(|origin| origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://")));
    authority.is_some() && authority == host
}

fn refuse(detail: &'static str) -> Response {
    problem(StatusCode::FORBIDDEN, "admin_refused", detail)
}
