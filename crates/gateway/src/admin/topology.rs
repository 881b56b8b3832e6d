//! The topology: listeners, routes, services and targets, with what happened at each in a window.
//!
//! Takes a window; gives the text of JSON, written from records without a tree of values between: whoever looks asks for
//! it once a second. Counts are read under the lock of the telemetry, the text is written after it. Changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use serde_json::{Map, Value};

use super::Shared;
use super::api::{Window, seconds, unclear};
use super::control::Control;
use super::pages::json_text;
use crate::observe::telemetry::{Counts, Key, Kind, OTHER, Store};
use crate::snapshot::Snapshot;

/// Names of a kind that are told at most, those with the most calls.
const MOST_NODES: usize = 1_000;

/// All of it.
#[derive(Serialize)]
struct Topology<'s> {
    window_seconds: u64,
    covered_seconds: u64,
    until: u64,
    revision: u64,
    memory_bytes: usize,
    gateway: Node<'s>,
    listeners: Vec<Listener>,
    routes: Vec<Node<'s>>,
    more_routes: usize,
    services: Vec<Node<'s>>,
    targets: Vec<Node<'s>>,
}

#[derive(Serialize)]
struct Listener {
    name: Arc<str>,
    address: SocketAddr,
    connections: usize,
    accepted: u64,
    refused: u64,
}

/// The gateway, a route, a service or a target, with what only some of them have.
#[derive(Serialize)]
struct Node<'s> {
    #[serde(flatten)]
    counts: Told,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'s str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<&'s str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    addresses: Option<Vec<SocketAddr>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    in_flight: Option<u64>,
}

/// What is told of counts.
#[derive(Serialize)]
struct Told {
    calls: u64,
    rate: f64,
    average_ms: Option<f64>,
    p50_ms: Option<f64>,
    p90_ms: Option<f64>,
    p99_ms: Option<f64>,
    errors: u64,
    error_rate: f64,
    #[serde(flatten)]
    details: Option<Details>,
    refused: u64,
}

/// What no graph shows.
#[derive(Serialize)]
struct Details {
    statuses: Statuses,
    faults: u64,
    bytes_in: u64,
    bytes_out: u64,
}

#[derive(Serialize)]
struct Statuses {
    #[serde(rename = "2xx")]
    good: u64,
    #[serde(rename = "3xx")]
    moved: u64,
    #[serde(rename = "4xx")]
    client: u64,
    #[serde(rename = "5xx")]
    server: u64,
}

/// The topology of the window that is asked for.
pub(super) async fn topology(
    State(control): Shared,
    asked: Result<Query<Window>, QueryRejection>,
) -> Response {
    let asked = match asked {
        Ok(Query(asked)) => asked,
        Err(error) => return unclear(&error.body_text()),
    };
    match seconds(asked.window.as_deref()) {
        Ok(seconds) => {
            let mut text = told_topology(&control, seconds, MOST_NODES, true);
            text.push('\n');
            json_text(StatusCode::OK, text)
        }
        Err(what) => unclear(&what),
    }
}

/// The topology of a window, of each kind so many; what is not wanted in full lacks what no graph shows.
pub(super) fn told_topology(control: &Control, seconds: u64, most: usize, full: bool) -> String {
    let snapshot = control.gateway.live.snapshot();
    let targets = targets(&snapshot);
    let store = control.telemetry.store();
    let (covered, until) = (store.covered(seconds), store.now());
    let node = |key: &Key| Node::new(&store.window(key, seconds), covered, full);
    let services = snapshot
        .services
        .iter()
        .map(|service| (Key::new(Kind::Service, service.name.clone()), &*service.name));
    let services = busiest(services.collect(), most, |(key, _)| store.calls(key, seconds));
    let services = services.into_iter().map(|(key, name)| Node { name: Some(name), ..node(&key) });
    let targets = busiest(targets.iter().collect(), most, |(key, _)| store.calls(key, seconds));
    let targets = targets.into_iter().map(|(key, (addresses, in_flight))| Node {
        name: Some(&*key.name),
        service: Some(&*key.of),
        addresses: Some(addresses.clone()),
        in_flight: Some(*in_flight),
        ..node(key)
    });
    let (routes, more_routes) = routes(&snapshot, &store, seconds, most);
    let routes = routes.into_iter().map(|(key, name, service)| Node {
        name: Some(name),
        service: Some(service),
        ..node(&key)
    });
    let in_flight = Some(control.gateway.live.observe.totals.in_flight());
    let told = Topology {
        window_seconds: seconds,
        covered_seconds: covered,
        until,
        revision: snapshot.revision,
        memory_bytes: store.bytes(),
        gateway: Node { in_flight, ..node(&Key::gateway()) },
        listeners: listeners(control, &store, seconds),
        routes: routes.collect(),
        more_routes,
        services: services.collect(),
        targets: targets.collect(),
    };
    drop(store);
    serde_json::to_string(&told).unwrap_or_default()
}

/// Addresses of each target, and exchanges that wait for it. A name may stand for several addresses.
fn targets(snapshot: &Snapshot) -> BTreeMap<Key, (Vec<SocketAddr>, u64)> {
    let mut targets: BTreeMap<Key, (Vec<SocketAddr>, u64)> = BTreeMap::new();
    for service in &snapshot.services {
        for endpoint in service.live.endpoints().iter() {
            let name = endpoint.settings.authority.clone();
            let key = Key { kind: Kind::Target, name, of: service.name.clone() };
            let (addresses, in_flight) = targets.entry(key).or_default();
            addresses.push(endpoint.settings.address);
            *in_flight = in_flight.saturating_add(u64::from(endpoint.in_flight()));
        }
    }
    targets
}

fn listeners(control: &Control, store: &Store, seconds: u64) -> Vec<Listener> {
    let told = control.gateway.listeners().into_iter().map(|(name, address, connections)| {
        let counts = store.window(&Key::new(Kind::Listener, name.clone()), seconds);
        let connections = connections.active.load(Ordering::Relaxed);
        Listener { name, address, connections, accepted: counts.calls, refused: counts.refused }
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
) -> (Vec<(Key, &'s str, &'s str)>, usize) {
    let known = snapshot.routes.iter().map(|route| (Key::new(Kind::Route, route.key.clone()), Some(route)));
    let others = ["none", OTHER].map(|name| (Key::new(Kind::Route, name), None));
    let mut counted: Vec<_> = known
        .chain(others)
        .map(|(key, route)| (store.calls(&key, seconds), key, route))
        .filter(|(calls, _, route)| *calls > 0 || route.is_some())
        .collect();
    counted.sort_by_key(|(calls, ..)| std::cmp::Reverse(*calls));
    let more = counted.len().saturating_sub(most);
    let told = counted.into_iter().take(most).map(|(_, key, route)| {
        let name = route.map_or(if &*key.name == OTHER { OTHER } else { "none" }, |route| &*route.key);
        (key, name, route.map_or("", |route| snapshot.service_of(route)))
    });
    (told.collect(), more)
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

impl Node<'_> {
    fn new(counts: &Counts, covered: u64, full: bool) -> Self {
        let counts = Told::new(counts, covered, full);
        Node { counts, name: None, service: None, addresses: None, in_flight: None }
    }
}

impl Told {
    fn new(counts: &Counts, covered: u64, full: bool) -> Told {
        let (failed, of) = counts.failed();
        let Counts { faults, bytes_in, bytes_out, .. } = *counts;
        let [_, good, moved, client, server] = counts.classes;
        let statuses = Statuses { good, moved, client, server };
        Told {
            calls: counts.calls,
            rate: rounded(counts.calls as f64 / covered as f64),
            average_ms: millis(counts.average_ms()),
            p50_ms: millis(counts.quantile_ms(0.5)),
            p90_ms: millis(counts.quantile_ms(0.9)),
            p99_ms: millis(counts.quantile_ms(0.99)),
            errors: failed,
            error_rate: if of > 0 { failed as f64 / of as f64 } else { 0.0 },
            details: full.then_some(Details { statuses, faults, bytes_in, bytes_out }),
            refused: counts.refused,
        }
    }
}

/// Counts as values, for whoever takes some of them or adds to them.
pub(super) fn told_counts(counts: &Counts, covered: u64) -> Map<String, Value> {
    match serde_json::to_value(Told::new(counts, covered, true)) {
        Ok(Value::Object(told)) => told,
        _ => Map::new(),
    }
}

/// To a thousandth: more was not measured.
pub(super) fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

pub(super) fn millis(value: Option<f64>) -> Option<f64> {
    value.map(rounded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thing_is_told_in_full_or_without_what_no_graph_shows() {
        let mut counts = Counts { calls: 4, classes: [0, 2, 0, 1, 1], bytes_in: 5, ..Counts::default() };
        let told = |counts: &Counts, full| {
            let node = Node { name: Some("a"), service: Some(""), ..Node::new(counts, 3, full) };
            serde_json::to_string(&node).unwrap()
        };
        let (head, tail) = (
            r#"{"calls":4,"rate":1.333,"average_ms":null,"p50_ms":null,"p90_ms":null,"p99_ms":null,"errors":1,"error_rate":0.25"#,
            r#""refused":0,"name":"a","service":""}"#,
        );
        let details = r#""statuses":{"2xx":2,"3xx":0,"4xx":1,"5xx":1},"faults":0,"bytes_in":5,"bytes_out":0"#;
        assert_eq!(told(&counts, false), format!("{head},{tail}"));
        assert_eq!(told(&counts, true), format!("{head},{details},{tail}"));
        counts.latency.buckets[0] = 4;
        counts.latency.sum_micros = 1_000;
        let told = told(&counts, false);
        assert!(told.contains(r#""average_ms":0.25,"p50_ms":0.25,"p90_ms":0.45,"#), "{told}");
    }

    #[test]
    fn the_busiest_stay_in_the_order_they_have() {
        assert_eq!(busiest(vec![3, 9, 1, 9, 4], 3, |calls| *calls), [9, 9, 4]);
        assert_eq!(busiest(vec![3, 9], 3, |calls| *calls), [3, 9]);
    }
}
