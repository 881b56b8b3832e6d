//! What was counted, as data: curves and heat maps of `/api/v1`, and what may be asked of them and of the topology.
//!
//! Takes a kind, a name and a window; gives JSON. Names that nothing was counted of give zeros where the configuration
//! has them, and a problem where it has not. Nothing here changes anything.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::control::Control;
use super::pages::json_response;
use super::telemetry::LONGEST;
use super::topology::{millis, rounded};
use super::{Shared, problem};
use crate::observe::histogram::BOUNDS_MICROS;
use crate::observe::telemetry::{Counts, Curve, Key, Kind, Store};
use crate::policies::LIST;
use crate::values::{Duration, nearest};

/// The window where none is asked for.
const WINDOW: u64 = 300;
const KINDS: [&str; 7] = ["gateway", "listener", "route", "service", "target", "policy", "group"];

/// What may be asked of the topology.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Window {
    pub(super) window: Option<String>,
}

/// What may be asked of a curve.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    kind: Option<String>,
    name: Option<String>,
    service: Option<String>,
    outcome: Option<String>,
    route: Option<String>,
    window: Option<String>,
}

/// The curves of one thing.
pub(super) async fn series(State(control): Shared, asked: Result<Query<Asked>, QueryRejection>) -> Response {
    curve(control, asked, |key, curve| {
        let column = |of: &dyn Fn(&Counts) -> Value| -> Vec<Value> {
            curve.steps.iter().map(|(_, counts)| of(counts)).collect()
        };
        let mut told = head(key, curve);
        let columns = [
            ("calls", column(&|counts| counts.calls.into())),
            ("rate", column(&|counts| rounded(counts.calls as f64 / curve.step as f64).into())),
            ("errors", column(&|counts| counts.failed().0.into())),
            ("refused", column(&|counts| counts.refused.into())),
            ("average_ms", column(&|counts| millis(counts.average_ms()).into())),
            ("p50_ms", column(&|counts| millis(counts.quantile_ms(0.5)).into())),
            ("p90_ms", column(&|counts| millis(counts.quantile_ms(0.9)).into())),
            ("p99_ms", column(&|counts| millis(counts.quantile_ms(0.99)).into())),
        ];
        told.extend(columns.map(|(name, column)| (name.to_owned(), column.into())));
        told
    })
    .await
}

/// How durations were spread over time: for each step and bucket that holds something, how much.
pub(super) async fn heatmap(State(control): Shared, asked: Result<Query<Asked>, QueryRejection>) -> Response {
    curve(control, asked, |key, curve| {
        let cells = curve.steps.iter().enumerate().flat_map(|(column, (_, counts))| {
            let filled = counts.latency.buckets.into_iter().enumerate().filter(|(_, count)| *count > 0);
            filled.map(move |(row, count)| json!([column, row, count]))
        });
        let mut told = head(key, curve);
        let bounds: Vec<Value> =
            BOUNDS_MICROS.iter().map(|bound| rounded(*bound as f64 / 1000.0).into()).collect();
        told.insert("upper_bounds_ms".into(), bounds.into());
        told.insert("cells".into(), cells.collect());
        told
    })
    .await
}

/// Finds out what is asked and answers with its curve.
async fn curve(
    control: Arc<Control>,
    asked: Result<Query<Asked>, QueryRejection>,
    told: impl FnOnce(&Key, &Curve) -> Map<String, Value>,
) -> Response {
    let asked = match asked {
        Ok(Query(asked)) => asked,
        Err(error) => return unclear(&error.body_text()),
    };
    let longest = control.telemetry.longest();
    let found = within(asked.window.as_deref(), longest).and_then(|seconds| Ok((key(&asked)?, seconds)));
    let (key, seconds) = match found {
        Ok(found) => found,
        Err(what) => return unclear(&what),
    };
    let known = is_known(&control, &control.telemetry.store(), &key);
    let (name, kind) = (key.name.clone(), key.kind);
    let found = if seconds > LONGEST {
        // From the disk, which may take its time.
        tokio::task::spawn_blocking(move || (control.telemetry.curve(&key, seconds), key)).await.ok()
    } else {
        known.then(|| (control.telemetry.curve(&key, seconds), key))
    };
    // Something was counted of what has gone since.
    match found.filter(|(curve, _)| known || curve.steps.iter().any(|(_, counts)| !counts.is_empty())) {
        Some((curve, key)) => json_response(StatusCode::OK, &Value::Object(told(&key, &curve))),
        None => {
            let what = format!("there is no {} `{name}`", kind.word());
            problem(StatusCode::NOT_FOUND, "not_counted", &what)
        }
    }
}

pub(super) fn unclear(what: &str) -> Response {
    problem(StatusCode::BAD_REQUEST, "question_unclear", what)
}

/// The seconds of a window of what is kept in memory.
pub(super) fn seconds(window: Option<&str>) -> Result<u64, String> {
    within(window, LONGEST)
}

fn within(window: Option<&str>, longest: u64) -> Result<u64, String> {
    let Some(text) = window else { return Ok(WINDOW) };
    let asked: Duration = text.parse().map_err(|error| format!("window: {error}"))?;
    match asked.as_millis() / 1000 {
        seconds if (1..=longest).contains(&seconds) => Ok(seconds),
        _ => Err(format!("window: `{text}` is not between 1s and {}d", longest / 86_400)),
    }
}

fn key(asked: &Asked) -> Result<Key, String> {
    let named = |what: &str| asked.name.as_deref().ok_or(format!("say which {what}: `name=..`"));
    let kind = match asked.kind.as_deref() {
        None | Some("gateway") => return Ok(Key::gateway()),
        Some("listener") => Kind::Listener,
        Some("route") => Kind::Route,
        Some("service") => Kind::Service,
        Some("target") => {
            let of = asked.service.as_deref().ok_or("say which service the target is of: `service=..`")?;
            return Ok(Key { kind: Kind::Target, name: named("target")?.into(), of: of.into() });
        }
        Some("policy") => {
            let outcome = asked.outcome.as_deref().ok_or("say what became of requests: `outcome=refused`")?;
            let name = format!("{}:{outcome}", named("policy")?).into();
            return Ok(Key {
                kind: Kind::Policy,
                name,
                of: asked.route.as_deref().unwrap_or_default().into(),
            });
        }
        Some("group") => Kind::Group,
        Some(other) => {
            let meant = nearest(other, KINDS);
            let remedy = meant.map_or_else(|| KINDS.join(", "), |meant| format!("did you mean `{meant}`?"));
            return Err(format!("kind: `{other}` is none: {remedy}"));
        }
    };
    Ok(Key::new(kind, named(kind.word())?))
}

/// Whether something was counted of it, or could be.
fn is_known(control: &Control, store: &Store, key: &Key) -> bool {
    let snapshot = control.gateway.live.snapshot();
    key.kind == Kind::Gateway
        || store.knows(key)
        || match key.kind {
            Kind::Gateway => true,
            Kind::Listener => snapshot.listener(&key.name).is_some(),
            Kind::Route => snapshot.routes.iter().any(|route| route.key == key.name),
            Kind::Service => snapshot.services.iter().any(|service| service.name == key.name),
            Kind::Policy => {
                let of = key.name.split(':').next().unwrap_or_default();
                let route = key.of.is_empty() || snapshot.routes.iter().any(|route| route.key == key.of);
                route && LIST.iter().any(|kind| kind.name == of)
            }
            Kind::Group => snapshot.groups.iter().any(|(name, _)| *name == key.name),
            Kind::Target => snapshot.services.iter().any(|service| {
                let mut targets = service.targets.iter();
                service.name == key.of && targets.any(|target| target.url.to_string().ends_with(&*key.name))
            }),
        }
}

fn head(key: &Key, curve: &Curve) -> Map<String, Value> {
    let at: Vec<u64> = curve.steps.iter().map(|(at, _)| *at).collect();
    let mut told = Map::new();
    told.insert("kind".into(), key.kind.word().into());
    told.insert("name".into(), (*key.name).into());
    told.insert("step_seconds".into(), curve.step.into());
    told.insert("at".into(), at.into());
    told
}
