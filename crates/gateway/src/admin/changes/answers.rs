//! What the admin API answers about the configuration and its changes.

use std::sync::Arc;

use axum::extract::{Extension, Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use similar::TextDiff;

use super::{
    Denied, Outcome, Proposal, apply, canary, check, compare, confirm, draft, etag, roll_back, summary,
};
use crate::admin::access::Caller;
use crate::admin::pages::json_response;
use crate::admin::{Shared, problem_with};
use crate::config::patch;

/// Lines of context around a difference.
const CONTEXT: usize = 3;
/// Characters of a difference that the audit log keeps.
const LONGEST_DIFF: usize = 64 * 1024;

/// Which change to go back to.
#[derive(Debug, Default, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::admin) struct Back {
    /// The number in the history; without it, the one before the last.
    pub to: Option<u64>,
}

/// The text that stands there, its fingerprint, and what waits for confirmation.
pub(in crate::admin) async fn standing(State(control): Shared) -> Response {
    let text = match control.source.text() {
        Ok(text) => text,
        Err(why) => return problem_with(StatusCode::CONFLICT, "not_one_file", &why, Map::new()),
    };
    let tag = etag(&text);
    let pending = control.changes.pending().clone();
    let config = control.config();
    let body = json!({
        "name": control.source.name(),
        "text": text,
        "written": written(&text),
        "etag": tag,
        "revision": control.gateway.live.snapshot().revision,
        "readonly": config.admin.readonly,
        "writable": control.source.is_writable(),
        "refused": control.refused(),
        "pending": pending.map(|pending| json!({ "number": pending.number, "until": pending.until.to_string() })),
    });
    tagged(json_response(StatusCode::OK, &body), &tag)
}

/// All faults of a text, as `tidegate check` tells them.
pub(in crate::admin) async fn checked(State(control): Shared, body: String) -> Response {
    let (_, text) = match proposed(&control, &body) {
        Ok(proposed) => proposed,
        Err(denied) => return refused(denied),
    };
    match check(&control, text.clone()).await {
        Ok(loaded) => told_check(&control.source.name(), &text, true, loaded.diagnostics.to_json()),
        Err(Denied::Faults(faults)) => told_check(&control.source.name(), &text, false, faults.to_json()),
        Err(denied) => refused(denied),
    }
}

fn told_check(name: &str, text: &str, valid: bool, mut diagnostics: Value) -> Response {
    lead_back(name, text, &mut diagnostics);
    let mut told = json!({ "valid": valid, "etag": etag(text), "text": text, "written": written(text) });
    if let (Some(told), Value::Object(found)) = (told.as_object_mut(), diagnostics) {
        told.extend(found);
    }
    json_response(StatusCode::OK, &told)
}

/// What a text says, as it is written; nothing where it cannot be read.
fn written(text: &str) -> Value {
    patch::meaning(text).unwrap_or_default()
}

/// Says of each fault which setting it is about, by the keys that lead to it, so that a form can show it there.
fn lead_back(name: &str, text: &str, diagnostics: &mut Value) {
    let Some(found) = diagnostics.get_mut("diagnostics").and_then(Value::as_array_mut) else { return };
    // What stands in an included file has no place in this text.
    let number = |place: &Value, key: &str| place.get(key)?.as_u64().and_then(|n| usize::try_from(n).ok());
    let place = |fault: &Value| {
        let place = fault.get("place").filter(|place| place.get("file").is_some_and(|file| file == name))?;
        Some((number(place, "line")?, number(place, "column")?))
    };
    let places: Vec<(usize, usize)> = found.iter().map(|fault| place(fault).unwrap_or_default()).collect();
    for (fault, path) in found.iter_mut().zip(patch::paths_at(text, &places)) {
        if let Some(fault) = fault.as_object_mut() {
            fault.insert("path".into(), path.into());
        }
    }
}

/// What a text would change: line by line, and in words.
pub(in crate::admin) async fn difference(State(control): Shared, body: String) -> Response {
    let (standing, text) = match proposed(&control, &body) {
        Ok(proposed) => proposed,
        Err(denied) => return refused(denied),
    };
    let loaded = match check(&control, text.clone()).await {
        Ok(loaded) => loaded,
        Err(denied) => return refused(denied),
    };
    let changes = compare(&control.config(), &loaded.config);
    let body = json!({
        "etag": etag(&standing),
        "text": &*text,
        "diff": unified(&standing, &text),
        "summary": summary(&changes),
        "changes": changes,
    });
    json_response(StatusCode::OK, &body)
}

pub(super) fn proposed(
    control: &crate::admin::control::Control,
    body: &str,
) -> Result<(Arc<str>, Arc<str>), Denied> {
    let proposal: Proposal =
        serde_json::from_str(body).map_err(|error| Denied::Unclear(error.to_string()))?;
    let standing: Arc<str> = control.source.text().map_err(Denied::Unclear)?.into();
    let text = draft(&standing, &proposal)?.into();
    Ok((standing, text))
}

/// Puts a text in force.
pub(in crate::admin) async fn put(
    State(control): Shared,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: String,
) -> Response {
    let proposal: Proposal = match serde_json::from_str(&body) {
        Ok(proposal) => proposal,
        Err(error) => return refused(Denied::Unclear(error.to_string())),
    };
    let Some(seen) = headers.get(header::IF_MATCH).and_then(|value| value.to_str().ok()) else {
        let what = "say which text you saw: `If-Match` with the `ETag` of the configuration";
        return problem_with(StatusCode::PRECONDITION_REQUIRED, "no_precondition", what, Map::new());
    };
    let seen = seen.trim().trim_start_matches("W/").trim_matches('"').to_owned();
    if let Some(share) = &proposal.canary
        && !proposal.dry_run
    {
        return canary::begun(&control, &caller, &seen, &proposal, share).await;
    }
    let outcome = apply(&control, &caller, &seen, &proposal).await;
    let what = if proposal.dry_run { "try a change" } else { "change the configuration" };
    finish(&control, &caller, what, proposal.message.as_deref().unwrap_or_default(), outcome)
}

/// Keeps a change that waits for its confirmation.
pub(in crate::admin) async fn confirmed(
    State(control): Shared,
    Extension(caller): Extension<Caller>,
) -> Response {
    match confirm(&control).await {
        Ok(number) => {
            control.note_done(&caller, "confirm a change", json!({ "number": number }), "confirmed");
            json_response(StatusCode::OK, &json!({ "number": number, "confirmed": true }))
        }
        Err(denied) => refused(denied),
    }
}

/// Goes back to an earlier text.
pub(in crate::admin) async fn rolled_back(
    State(control): Shared,
    Extension(caller): Extension<Caller>,
    body: String,
) -> Response {
    let back: Result<Back, _> =
        if body.trim().is_empty() { Ok(Back::default()) } else { serde_json::from_str(&body) };
    let back = match back {
        Ok(back) => back,
        Err(error) => return refused(Denied::Unclear(error.to_string())),
    };
    let outcome = roll_back(&control, &caller, back.to).await;
    finish(&control, &caller, "roll back the configuration", "", outcome)
}

fn finish(
    control: &crate::admin::control::Control,
    caller: &Caller,
    what: &str,
    message: &str,
    outcome: Result<Outcome, Denied>,
) -> Response {
    match outcome {
        Ok(outcome) => {
            let diff = unified(&outcome.before, &outcome.after);
            let told = summary(&outcome.changes);
            if outcome.number > 0 {
                let kept: String = diff.chars().take(LONGEST_DIFF).collect();
                let about = json!({
                    "number": outcome.number, "message": message, "summary": told, "diff": kept,
                });
                control.note_done(caller, what, about, &format!("applied, revision {}", outcome.revision));
            }
            let body = json!({
                "applied": outcome.number > 0,
                "etag": outcome.etag,
                "revision": outcome.revision,
                "number": outcome.number,
                "summary": told,
                "changes": outcome.changes,
                "diff": diff,
                "warnings": outcome.warnings,
                "confirm_within_seconds": outcome.confirm_within,
            });
            tagged(json_response(StatusCode::OK, &body), &outcome.etag)
        }
        Err(denied) => {
            control.note_done(
                caller,
                what,
                json!({ "message": message }),
                &format!("refused: {}", denied.text()),
            );
            refused(denied)
        }
    }
}

/// The changes that are remembered, the newest first.
pub(in crate::admin) async fn history(State(control): Shared) -> Response {
    let history = control.changes.history();
    let told = history.iter().rev().map(|revision| {
        json!({
            "number": revision.number,
            "time": revision.time,
            "author": revision.author,
            "message": revision.message,
            "summary": revision.summary,
            "etag": revision.etag,
        })
    });
    let told: Vec<Value> = told.collect();
    drop(history);
    json_response(StatusCode::OK, &json!({ "changes": told }))
}

/// One change: its text, and how it differs from the one before and the one that stands there.
pub(in crate::admin) async fn remembered(State(control): Shared, Path(number): Path<u64>) -> Response {
    let (found, before) = {
        let history = control.changes.history();
        let before = history.iter().rev().find(|known| known.number < number).cloned();
        (history.get(number).cloned(), before)
    };
    let Some(found) = found else {
        return refused(Denied::Nothing(format!("there is no change {number} in the history")));
    };
    let standing = control.source.text().unwrap_or_default();
    let diff = before.map(|before| unified(&before.text, &found.text));
    let mut told = json!(found);
    if let Some(told) = told.as_object_mut() {
        told.insert("diff".into(), diff.into());
        told.insert("diff_to_now".into(), unified(&standing, &found.text).into());
    }
    json_response(StatusCode::OK, &told)
}

/// The difference of two texts, as `diff -u` writes it.
pub fn unified(before: &str, after: &str) -> String {
    if before == after {
        return String::new();
    }
    TextDiff::from_lines(before, after)
        .unified_diff()
        .context_radius(CONTEXT)
        .header("before", "after")
        .to_string()
}

fn tagged(mut response: Response, tag: &str) -> Response {
    if let Ok(value) = HeaderValue::from_str(&format!("\"{tag}\"")) {
        response.headers_mut().insert(header::ETAG, value);
    }
    response
}

pub(super) fn refused(denied: Denied) -> Response {
    let text = denied.text();
    let mut more = Map::new();
    let (status, reason) = match denied {
        Denied::Stale(tag, standing) => {
            more.insert("etag".into(), tag.into());
            more.insert("text".into(), (*standing).into());
            (StatusCode::CONFLICT, "configuration_changed")
        }
        Denied::Pending => (StatusCode::CONFLICT, "confirmation_pending"),
        Denied::OnTrial => (StatusCode::CONFLICT, "change_on_trial"),
        Denied::Nothing(_) => (StatusCode::NOT_FOUND, "no_such_change"),
        Denied::Unclear(_) => (StatusCode::BAD_REQUEST, "question_unclear"),
        Denied::Faults(faults) => {
            if let Value::Object(found) = faults.to_json() {
                more.extend(found);
            }
            (StatusCode::UNPROCESSABLE_ENTITY, "configuration_refused")
        }
        Denied::Failed(_) => (StatusCode::CONFLICT, "configuration_not_applied"),
        Denied::ReadOnly(_) => (StatusCode::CONFLICT, "configuration_not_writable"),
    };
    problem_with(status, reason, &text, more)
}
