//! The development issuer: gives a token to whoever asks, about whomever they name. For trying things on, and on this
//! machine alone.
//!
//! Its key is made anew at each start. What it has beside `/token` is what every issuer has: metadata, a key set, and a
//! place where people log in (`login`).

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::login;
use crate::demo::shop::Shop;
use crate::identity::jose::Signer;

/// The longest life of a token, in seconds.
const LONGEST: u64 = 24 * 60 * 60;

/// What a token shall say.
#[derive(Deserialize)]
struct Wish {
    sub: String,
    #[serde(default)]
    aud: Option<String>,
    #[serde(default)]
    scope: Option<String>,
    #[serde(default)]
    expires_in: Option<u64>,
    /// Further claims, which win over all others.
    #[serde(default)]
    claims: Map<String, Value>,
}

/// The service: metadata, `/keys`, `/token`, and `/auth` with `/login` for people.
pub(crate) fn router(_: Arc<Shop>) -> Router {
    let signer = Arc::new(Signer::generate());
    Router::new()
        .route("/.well-known/openid-configuration", get(metadata))
        .route("/keys", get(keys))
        .route("/token", post(token))
        .route("/auth", get(login::page))
        .route("/login", get(login::login))
        .with_state(signer)
}

/// Its own name: the address that it was asked at.
pub(super) fn own_url(headers: &HeaderMap) -> String {
    let host = headers.get("host").and_then(|host| host.to_str().ok()).unwrap_or("127.0.0.1");
    format!("http://{host}")
}

async fn metadata(headers: HeaderMap) -> Json<Value> {
    let own = own_url(&headers);
    Json(json!({
        "issuer": own,
        "jwks_uri": format!("{own}/keys"),
        "token_endpoint": format!("{own}/token"),
        "id_token_signing_alg_values_supported": ["ES256"],
        "authorization_endpoint": format!("{own}/auth"),
        "code_challenge_methods_supported": ["S256"],
        "response_types_supported": ["code", "token"],
        "subject_types_supported": ["public"],
    }))
}

async fn keys(State(signer): State<Arc<Option<Signer>>>) -> Json<Value> {
    Json(json!({ "keys": signer.iter().map(Signer::jwk).collect::<Vec<_>>() }))
}

async fn token(State(signer): State<Arc<Option<Signer>>>, headers: HeaderMap, body: Bytes) -> Response {
    let Some(signer) = signer.as_ref() else { return StatusCode::INTERNAL_SERVER_ERROR.into_response() };
    if login::is_form(&headers) {
        return login::redeem(signer, &headers, &body);
    }
    let Ok(wish) = serde_json::from_slice::<Wish>(&body) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let life = wish.expires_in.unwrap_or(3600).min(LONGEST);
    let mut claims = json!({
        "iss": own_url(&headers), "sub": wish.sub, "aud": wish.aud.as_deref().unwrap_or("shop"),
        "iat": now, "exp": now.saturating_add(life),
    });
    if let Some(object) = claims.as_object_mut() {
        object.extend(wish.scope.map(|scope| ("scope".to_owned(), scope.into())));
        object.extend(wish.claims);
    }
    match signer.sign("JWT", &claims) {
        Some(token) => {
            Json(json!({ "access_token": token, "token_type": "Bearer", "expires_in": life })).into_response()
        }
        None => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
