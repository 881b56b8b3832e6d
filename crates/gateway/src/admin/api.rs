//! What was counted, as data: the topology, curves and heat maps of `/api/v1`.
//!
//! Takes a kind, a name and a window; gives JSON. Names that nothing was counted of give zeros where the configuration
//! has them, and a problem where it has not. Nothing here changes anything.

use std::collections::{BTreeMap, BTreeSet};
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
use super::{Shared, problem};
use crate::observe::histogram::BOUNDS_MICROS;
use crate::observe::telemetry::{Counts, Curve, Key, Kind, OTHER, Store};
use crate::policies::LIST;
use crate::snapshot::Snapshot;
use crate::values::{Duration, nearest};

/// The window where none is asked for.
const WINDOW: u64 = 300;
/// Names of a kind that are told at most, those with the most calls.
const MOST_NODES: usize = 1_000;
/// What is left out where a topology is not told in full.
const DETAILS: [&str; 4] = ["statuses", "faults", "bytes_in", "bytes_out"];
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

/// Listeners, routes, services and targets, with what happened at each in the window.
pub(super) async fn topology(
    State(control): Shared,
    asked: Result<Query<Window>, QueryRejection>,
) -> Response {
    let asked = match asked {
        Ok(Query(asked)) => asked,
        Err(error) => return unclear(&error.body_text()),
    };
    match seconds(asked.window.as_deref()) {
        Ok(seconds) => json_response(StatusCode::OK, &told_topology(&control, seconds, MOST_NODES, true)),
        Err(what) => unclear(&what),
    }
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
            ("rate", column(&|counts| rounded(counts.calls as f64 / curve.step as f64))),
            ("errors", column(&|counts| counts.failed().0.into())),
            ("refused", column(&|counts| counts.refused.into())),
            ("average_ms", column(&|counts| millis(counts.average_ms()))),
            ("p50_ms", column(&|counts| millis(counts.quantile_ms(0.5)))),
            ("p90_ms", column(&|counts| millis(counts.quantile_ms(0.9)))),
            ("p99_ms", column(&|counts| millis(counts.quantile_ms(0.99)))),
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
        let bounds: Vec<Value> = BOUNDS_MICROS.iter().map(|bound| rounded(*bound as f64 / 1000.0)).collect();
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
        || store.keys(key.kind).any(|known| known == key)
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

/// The topology of a window, of each kind so many; what is not wanted in full lacks what no graph shows.
pub(super) fn told_topology(control: &Control, seconds: u64, most: usize, full: bool) -> Value {
    let snapshot = control.gateway.live.snapshot();
    let store = control.telemetry.store();
    let covered = store.covered(seconds);
    let told = |key: &Key| {
        let mut told = told_counts(&store.window(key, seconds), covered);
        told.retain(|name, _| full || !DETAILS.contains(&name.as_str()));
        told
    };
    let services = snapshot.services.iter().map(|service| Key::new(Kind::Service, service.name.clone()));
    let services = busiest(services.collect(), most, |key| store.calls(key, seconds));
    let services = services.into_iter().map(|key| {
        let mut told = told(&key);
        told.insert("name".into(), (*key.name).into());
        told
    });
    let mut targets: BTreeMap<Key, (Vec<Value>, u64)> = BTreeMap::new();
    for service in &snapshot.services {
        for endpoint in service.live.endpoints().iter() {
            let name = endpoint.settings.authority.clone();
            let key = Key { kind: Kind::Target, name, of: service.name.clone() };
            let (addresses, in_flight) = targets.entry(key).or_default();
            addresses.push(endpoint.settings.address.to_string().into());
            *in_flight = in_flight.saturating_add(u64::from(endpoint.in_flight()));
        }
    }
    let targets = busiest(targets.into_iter().collect(), most, |(key, _)| store.calls(key, seconds));
    let targets = targets.into_iter().map(|(key, (addresses, in_flight))| {
        let mut told = told(&key);
        told.insert("name".into(), (*key.name).into());
        told.insert("service".into(), (*key.of).into());
        told.insert("addresses".into(), addresses.into());
        told.insert("in_flight".into(), in_flight.into());
        told
    });
    let mut gateway = told(&Key::gateway());
    gateway.insert("in_flight".into(), control.gateway.live.observe.totals.in_flight().into());
    let (routes, more) = routes(&snapshot, &store, seconds, most);
    let routes = routes.into_iter().map(|(name, service)| {
        let mut told = told(&Key::new(Kind::Route, name));
        told.insert("name".into(), name.into());
        told.insert("service".into(), service.into());
        told
    });
    json!({
        "window_seconds": seconds,
        "covered_seconds": covered,
        "until": store.now(),
        "revision": snapshot.revision,
        "memory_bytes": store.bytes(),
        "gateway": gateway,
        "listeners": listeners(control, &store, seconds),
        "routes": routes.map(Value::Object).collect::<Vec<_>>(),
        "more_routes": more,
        "services": services.map(Value::Object).collect::<Vec<_>>(),
        "targets": targets.map(Value::Object).collect::<Vec<_>>(),
    })
}

fn listeners(control: &Control, store: &Store, seconds: u64) -> Vec<Value> {
    let told = control.gateway.listeners().into_iter().map(|(name, address, connections)| {
        let counts = store.window(&Key::new(Kind::Listener, name.clone()), seconds);
        json!({
            "name": *name,
            "address": address.to_string(),
            "connections": connections.active.load(std::sync::atomic::Ordering::Relaxed),
            "accepted": counts.calls,
            "refused": counts.refused,
        })
    });
    told.collect()
}

/// The routes of the configuration and what found no room of its own, with their services, the busiest first; and how many
/// more there are.
fn routes<'s>(
    snapshot: &'s Snapshot,
    store: &Store,
    seconds: u64,
    most: usize,
) -> (Vec<(&'s str, &'s str)>, usize) {
    let known = snapshot.routes.iter().map(|route| (&*route.key, snapshot.service_of(route)));
    let mut counted: Vec<(u64, &str, &str)> = known
        .chain([("none", ""), (OTHER, "")])
        .map(|(name, service)| (store.calls(&Key::new(Kind::Route, name), seconds), name, service))
        .filter(|(calls, name, _)| *calls > 0 || !matches!(*name, "none" | OTHER))
        .collect();
    counted.sort_by_key(|(calls, ..)| std::cmp::Reverse(*calls));
    let more = counted.len().saturating_sub(most);
    (counted.into_iter().take(most).map(|(_, name, service)| (name, service)).collect(), more)
}

/// So many of them, those with the most calls, in the order they have.
fn busiest<T>(things: Vec<T>, most: usize, calls: impl Fn(&T) -> u64) -> Vec<T> {
    if things.len() <= most {
        return things;
    }
    let mut ranked: Vec<(u64, usize)> = things.iter().map(calls).zip(0..).collect();
    ranked.sort_by_key(|(calls, _)| std::cmp::Reverse(*calls));
    let kept: BTreeSet<usize> = ranked.into_iter().take(most).map(|(_, place)| place).collect();
    things.into_iter().enumerate().filter(|(place, _)| kept.contains(place)).map(|(_, thing)| thing).collect()
}

pub(super) fn told_counts(counts: &Counts, covered: u64) -> Map<String, Value> {
    let (failed, of) = counts.failed();
    let share = if of > 0 { failed as f64 / of as f64 } else { 0.0 };
    let [_, good, moved, client, server] = counts.classes;
    let told = json!({
        "calls": counts.calls,
        "rate": rounded(counts.calls as f64 / covered as f64),
        "average_ms": millis(counts.average_ms()),
        "p50_ms": millis(counts.quantile_ms(0.5)),
        "p90_ms": millis(counts.quantile_ms(0.9)),
        "p99_ms": millis(counts.quantile_ms(0.99)),
        "errors": failed,
        "error_rate": share,
        "statuses": { "2xx": good, "3xx": moved, "4xx": client, "5xx": server },
        "faults": counts.faults,
        "refused": counts.refused,
        "bytes_in": counts.bytes_in,
        "bytes_out": counts.bytes_out,
    });
    match told {
        Value::Object(told) => told,
        _ => Map::new(),
    }
}

/// To a thousandth: more was not measured.
fn rounded(value: f64) -> Value {
    ((value * 1000.0).round() / 1000.0).into()
}

fn millis(value: Option<f64>) -> Value {
    value.map_or(Value::Null, rounded)
}
