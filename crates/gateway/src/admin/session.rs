//! Sessions of browsers, who the caller is, and what was changed.

use axum::extract::{Extension, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::access::Caller;
use super::pages::json_response;
use super::{Shared, problem};

/// Lines of the audit log that are told.
const AUDITED: usize = 100;

/// Who wants to begin a session.
#[derive(Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Login {
    /// A token of the admin API.
    token: String,
}

/// Gives a browser a session for a token, as a cookie that scripts cannot read and other sites cannot send.
pub(super) async fn begin(State(control): Shared, body: String) -> Response {
    let login: Login = match serde_json::from_str(&body) {
        Ok(login) => login,
        Err(error) => return problem(StatusCode::BAD_REQUEST, "question_unclear", &error.to_string()),
    };
    let config = control.config();
    let Some(caller) = control.access.bearer(login.token.trim(), &config) else {
        control.access.turned_away();
        return problem(StatusCode::UNAUTHORIZED, "token_unknown", "this token is not known");
    };
    let Some((cookie, key)) = control.access.begin(&caller) else {
        let what = "the system gives no random numbers";
        return problem(StatusCode::INTERNAL_SERVER_ERROR, "no_session", what);
    };
    control.note_done(&caller, "begin a session", json!({}), "done");
    let body = json!({ "name": &*caller.name, "role": caller.role.word(), "key": key });
    ([(header::SET_COOKIE, cookie)], json_response(StatusCode::OK, &body)).into_response()
}

/// Ends the session of the cookie.
pub(super) async fn end(State(control): Shared, headers: HeaderMap) -> Response {
    let cookie = control.access.end(&headers);
    ([(header::SET_COOKIE, cookie)], json_response(StatusCode::OK, &json!({ "ended": true }))).into_response()
}

/// Who the caller is.
pub(super) async fn who(Extension(caller): Extension<Caller>) -> Response {
    json_response(StatusCode::OK, &json!({ "name": &*caller.name, "role": caller.role.word() }))
}

/// The last lines of the audit log, the newest first.
pub(super) async fn audit(State(control): Shared) -> Response {
    let lines: Vec<Value> = control.audit.recent(AUDITED);
    let (number, hash) = control.audit.last();
    json_response(StatusCode::OK, &json!({ "last": number, "last_hash": hash, "lines": lines }))
}
