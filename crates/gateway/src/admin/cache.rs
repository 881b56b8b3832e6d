//! What the cache holds, and taking answers out of it by command.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;

use super::{Shared, problem};
use crate::http::host::canonical_host;
use crate::http::path::{PathOptions, canonicalise};
use crate::policies::cache::{Purge, Store, Url};
use crate::snapshot::Snapshot;
use crate::values::nearest;

/// What is to go.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    /// A URL, or a path on any host.
    url: Option<String>,
    /// The beginning of a URL, or of a path on any host.
    prefix: Option<String>,
    /// The key of a route.
    route: Option<String>,
    /// The name of a group.
    group: Option<String>,
    /// Everything.
    #[serde(default)]
    all: bool,
    /// It becomes stale instead.
    #[serde(default)]
    soft: bool,
    /// It is only counted.
    #[serde(default)]
    dry_run: bool,
}

/// What the cache holds.
pub(super) async fn show(State(control): Shared) -> Response {
    let snapshot = control.gateway.live.snapshot();
    let Some(store) = &snapshot.cache else { return none() };
    let (objects, bytes, capacity) = store.size();
    let mut told = json!({ "objects": objects, "bytes": bytes, "capacity_bytes": capacity });
    for (name, value) in store.counted() {
        if let Some(told) = told.as_object_mut() {
            told.insert(name.to_owned(), value.into());
        }
    }
    if let (Some(disk), Some(told)) = (store.on_disk(), told.as_object_mut()) {
        let keep::Numbers { objects, bytes, written, read, dropped, unreadable, failing } = disk;
        let disk = json!({
            "objects": objects, "bytes": bytes, "written": written, "read": read, "dropped": dropped,
            "unreadable": unreadable, "failing": failing,
        });
        told.insert("disk".to_owned(), disk);
    }
    Json(told).into_response()
}

pub(super) async fn purge(State(control): Shared, body: String) -> Response {
    let question: Question = match serde_json::from_str(&body) {
        Ok(question) => question,
        Err(error) => return unclear(&error.to_string()),
    };
    let snapshot = control.gateway.live.snapshot();
    let Some(store) = snapshot.cache.clone() else { return none() };
    let purge = match meant(&snapshot, question) {
        Ok(purge) => purge,
        Err((status, what)) => return problem(status, "question_unclear", &what),
    };
    // It looks at everything that is kept.
    let (soft, dry_run) = (purge.soft, purge.dry_run);
    let told = format!("{purge:?}");
    let run = move |store: &Store| store.purge(purge);
    match tokio::task::spawn_blocking(move || run(&store)).await {
        Ok(purged) if purged.unwritten => {
            let what = "it has gone from memory, but that cannot be written to the disk: after a restart it may be there \
                        again";
            problem(StatusCode::INTERNAL_SERVER_ERROR, "disk_failed", what)
        }
        Ok(purged) => {
            if !dry_run {
                tracing::info!(
                    objects = purged.objects,
                    bytes = purged.bytes,
                    "cache purged by command: {told}"
                );
            }
            let answer = json!({
                "objects": purged.objects, "bytes": purged.bytes, "soft": soft, "dry_run": dry_run,
            });
            Json(answer).into_response()
        }
        Err(_) => problem(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", "the purge did not end"),
    }
}

fn none() -> Response {
    problem(StatusCode::NOT_FOUND, "no_cache", "no route has a cache")
}

fn unclear(what: &str) -> Response {
    problem(StatusCode::BAD_REQUEST, "question_unclear", what)
}

type Wrong = (StatusCode, String);

fn meant(snapshot: &Snapshot, question: Question) -> Result<Purge, Wrong> {
    let Question { url, prefix, route, group, all, soft, dry_run } = question;
    let named = [url.is_some(), prefix.is_some(), route.is_some(), group.is_some()];
    let some = named.iter().any(|is| *is);
    if all == some {
        let what = "say what is to go: `url`, `prefix`, `route`, `group` (all that is said must hold), or `all` alone";
        return Err((StatusCode::BAD_REQUEST, what.to_owned()));
    }
    if let Some(name) = &route
        && !snapshot.routes.iter().any(|known| *known.key == **name)
    {
        let names = snapshot.routes.iter().map(|route| &*route.key);
        let meant = nearest(name, names).map(|meant| format!(": did you mean `{meant}`?"));
        let what = format!("no route is called `{name}`{}", meant.unwrap_or_default());
        return Err((StatusCode::NOT_FOUND, what));
    }
    let url = url.as_deref().map(apart).transpose()?;
    let prefix = prefix.as_deref().map(apart).transpose()?;
    if prefix.as_ref().is_some_and(|prefix| prefix.query.is_some()) {
        return Err((StatusCode::BAD_REQUEST, "a prefix has no query".to_owned()));
    }
    Ok(Purge { url, prefix, route, group, soft, dry_run })
}

/// A URL, or a path of any host, in the form in which requests are kept.
fn apart(text: &str) -> Result<Url, Wrong> {
    let wrong = |what: &str| (StatusCode::BAD_REQUEST, format!("`{text}` is no URL and no path: {what}"));
    let (authority, rest) = match text.split_once("://") {
        Some((_, rest)) => {
            let at = rest.find('/').unwrap_or(rest.len());
            let (authority, path) = rest.split_at_checked(at).unwrap_or((rest, ""));
            (Some(authority), if path.is_empty() { "/" } else { path })
        }
        None => (None, text),
    };
    let (path, query) = match rest.split_once('?') {
        Some((path, query)) => (path, Some(query.as_bytes().to_vec())),
        None => (rest, None),
    };
    let mut url = Url { host: None, path: Vec::new(), query };
    if let Some(authority) = authority {
        let mut host = Vec::new();
        canonical_host(authority.as_bytes(), &mut host).map_err(|error| wrong(error.reason()))?;
        url.host = Some(host);
    }
    let options = PathOptions { reject_encoded_slash: false };
    canonicalise(path.as_bytes(), &mut url.path, options).map_err(|error| wrong(error.reason()))?;
    Ok(url)
}
