//! The part of the development issuer where people log in: everybody may be whoever they say (OpenID Connect,
//! authorization code with PKCE). For trying things on, and for browsers on this machine alone.
//!
//! It remembers nobody: codes and refresh tokens are signed by its own key, and hold for a short while.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::digest;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::{Json, body::Bytes};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::issuer::own_url;
use crate::identity::jose::{KeySet, Signer, Token, base64url};

/// How long a code and a refresh token hold, in seconds.
const CODE: u64 = 60;
const REFRESH: u64 = 24 * 60 * 60;
/// How long an access token says that it holds.
const ACCESS: u64 = 300;

/// What a browser brings along, and what the page sends back with a name.
#[derive(Deserialize, Serialize)]
pub(super) struct Asked {
    client_id: String,
    redirect_uri: String,
    state: String,
    #[serde(default)]
    nonce: String,
    #[serde(default)]
    code_challenge: String,
    #[serde(default)]
    sub: String,
    #[serde(default)]
    groups: String,
}

/// What is asked for at the token endpoint.
#[derive(Deserialize)]
struct Redeemed {
    grant_type: String,
    #[serde(default)]
    code: String,
    #[serde(default)]
    code_verifier: String,
    #[serde(default)]
    redirect_uri: String,
    #[serde(default)]
    refresh_token: String,
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Nobody is sent to another machine.
fn is_here(url: &str) -> bool {
    let hosts = ["http://127.0.0.1:", "http://localhost:", "https://127.0.0.1:", "https://localhost:"];
    hosts.iter().any(|host| url.starts_with(host))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// The page that asks who it is.
pub(super) async fn page(Query(asked): Query<Asked>) -> Response {
    if !is_here(&asked.redirect_uri) {
        return (StatusCode::BAD_REQUEST, "the demo logs in on this machine alone").into_response();
    }
    let Ok(Value::Object(fields)) = serde_json::to_value(&asked) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let hidden = fields.iter().filter(|(name, _)| !matches!(name.as_str(), "sub" | "groups"));
    let hidden: String = hidden
        .map(|(name, value)| {
            let value = escaped(value.as_str().unwrap_or_default());
            format!("<input type=\"hidden\" name=\"{name}\" value=\"{value}\">")
        })
        .collect();
    let page = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Who are you today?</title>\
         <h1>Who are you today?</h1><p>The issuer of the demo believes everybody.</p>\
         <form method=\"get\" action=\"/login\">{hidden}\
         <p><label>Name <input name=\"sub\" value=\"u1\" required autofocus></label></p>\
         <p><label>Groups <input name=\"groups\" value=\"customers\"></label></p><button>Log in</button></form></html>"
    );
    ([(header::CONTENT_TYPE, "text/html; charset=utf-8"), (header::CACHE_CONTROL, "no-store")], page)
        .into_response()
}

/// Sends the browser back with a code.
pub(super) async fn login(State(signer): State<Arc<Option<Signer>>>, Query(asked): Query<Asked>) -> Response {
    let Some(signer) =
        signer.as_ref().as_ref().filter(|_| is_here(&asked.redirect_uri) && !asked.sub.is_empty())
    else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let code = json!({ "sub": asked.sub, "groups": asked.groups, "aud": asked.client_id, "nonce": asked.nonce,
        "challenge": asked.code_challenge, "redirect": asked.redirect_uri, "exp": now().saturating_add(CODE) });
    let Some(code) = signer.sign("code", &code) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let state: String = asked.state.bytes().filter(|byte| plain(*byte)).map(char::from).collect();
    let joint = if asked.redirect_uri.contains('?') { '&' } else { '?' };
    let location = format!("{}{joint}code={code}&state={state}", asked.redirect_uri);
    (StatusCode::SEE_OTHER, [(header::LOCATION, location), (header::CACHE_CONTROL, "no-store".to_owned())])
        .into_response()
}

/// Whether a request for tokens is that of a login.
pub(super) fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    kind.is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"))
}

/// The tokens of a login.
pub(super) fn redeem(signer: &Signer, headers: &HeaderMap, body: &Bytes) -> Response {
    let form = format!("/?{}", String::from_utf8_lossy(body)).parse::<Uri>().ok();
    let form = form.and_then(|uri| Query::<Redeemed>::try_from_uri(&uri).ok());
    match form.and_then(|Query(form)| claims(signer, &form)) {
        Some(claims) => tokens(signer, headers, &claims),
        None => (StatusCode::BAD_REQUEST, Json(json!({ "error": "invalid_grant" }))).into_response(),
    }
}

/// What a code or a refresh token says, if it is one of ours that still holds.
fn claims(signer: &Signer, form: &Redeemed) -> Option<Map<String, Value>> {
    let (text, kind) = match form.grant_type.as_str() {
        "authorization_code" => (&form.code, "code"),
        "refresh_token" => (&form.refresh_token, "refresh"),
        _ => return None,
    };
    let token = Token::parse(text.as_bytes()).ok()?;
    let keys = KeySet::from_json(signer.jwk().to_string().as_bytes(), &[], true).ok()?;
    keys.prove(&token).ok()?;
    let challenge =
        base64url::encode(digest::digest(&digest::SHA256, form.code_verifier.as_bytes()).as_ref());
    let fits = kind == "refresh"
        || (token.claims.get("challenge")? == challenge.as_str()
            && token.claims.get("redirect")? == form.redirect_uri.as_str());
    let holds = token.claims.get("exp")?.as_u64()? > now();
    (token.kind.as_deref() == Some(kind) && holds && fits).then_some(token.claims)
}

fn tokens(signer: &Signer, headers: &HeaderMap, claims: &Map<String, Value>) -> Response {
    let own = own_url(headers);
    let said = |name: &str| claims.get(name).cloned().unwrap_or_default();
    let groups: Vec<String> = said("groups")
        .as_str()
        .unwrap_or_default()
        .split([',', ' '])
        .filter(|group| !group.is_empty())
        .map(str::to_owned)
        .collect();
    let end = |life: u64| now().saturating_add(life);
    let id_token = json!({ "iss": own, "sub": said("sub"), "aud": said("aud"), "nonce": said("nonce"), "groups": groups,
        "iat": now(), "exp": end(3600) });
    let access = json!({ "iss": own, "sub": said("sub"), "aud": "shop", "iat": now(), "exp": end(ACCESS) });
    let refresh =
        json!({ "sub": said("sub"), "groups": said("groups"), "aud": said("aud"), "exp": end(REFRESH) });
    let signed = |kind: &str, claims: &Value| signer.sign(kind, claims);
    match (signed("JWT", &id_token), signed("JWT", &access), signed("refresh", &refresh)) {
        (Some(id_token), Some(access), Some(refresh)) => {
            Json(json!({ "id_token": id_token, "access_token": access,
            "refresh_token": refresh, "token_type": "Bearer", "expires_in": ACCESS, "scope": "openid" }))
            .into_response()
        }
        _ => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
