//! The topology: listeners, routes, services and targets, with what happened at each in a window.
//!
//! Takes a window; gives the text of JSON, written straight from the counts: whoever looks asks for it once a second. Under
//! the lock of the telemetry, whose thread waits for the next second and for nothing else. Changes nothing.

mod node;

use std::cmp::Reverse;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Map, Value};

use super::Shared;
use super::api::{Window, seconds, unclear};
use super::control::Control;
use super::pages::json_text;
use crate::observe::telemetry::{Counts, Key, Kind, OTHER, Series, Store};
use crate::snapshot::Snapshot;
use node::{Node, address, counts, list, number, text};

/// Names of a kind that are told at most, those with the most calls.
const MOST_NODES: usize = 1_000;

/// What is told: a window, of each kind so many; what is not wanted in full lacks what no graph shows.
#[derive(Clone, Copy)]
pub(super) struct Asked {
    pub(super) seconds: u64,
    pub(super) most: usize,
    pub(super) full: bool,
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
            let mut told = Vec::new();
            let asked = Asked { seconds, most: MOST_NODES, full: true };
            asked.tell(&control, &mut told);
            told.push(b'\n');
            json_text(StatusCode::OK, told)
        }
        Err(what) => unclear(&what),
    }
}

impl Asked {
    /// Writes the topology.
    pub(super) fn tell(self, control: &Control, out: &mut Vec<u8>) {
        let snapshot = control.gateway.live.snapshot();
        let store = control.telemetry.store();
        number(out, "{\"window_seconds\":", self.seconds);
        number(out, ",\"covered_seconds\":", store.covered(self.seconds));
        number(out, ",\"until\":", store.now());
        number(out, ",\"revision\":", snapshot.revision);
        number(out, ",\"memory_bytes\":", store.bytes() as u64);
        out.extend_from_slice(b",\"gateway\":");
        let in_flight = Some(control.gateway.live.observe.totals.in_flight());
        self.node(out, store.of(&Key::gateway()), Node { in_flight, ..Node::default() });
        out.extend_from_slice(b",\"listeners\":");
        self.listeners(control, &store, out);
        out.extend_from_slice(b",\"routes\":");
        let more = self.routes(&snapshot, &store, out);
        number(out, ",\"more_routes\":", more as u64);
        out.extend_from_slice(b",\"services\":");
        self.services(&snapshot, &store, out);
        out.extend_from_slice(b",\"targets\":");
        self.targets(&snapshot, &store, out);
        out.push(b'}');
    }

    fn node(self, out: &mut Vec<u8>, series: Series<'_>, node: Node<'_>) {
        node.write(out, &series.window(self.seconds), series.covered(self.seconds), self.full);
    }

    fn listeners(self, control: &Control, store: &Store, out: &mut Vec<u8>) {
        list(out, control.gateway.listeners(), |out, (name, at, connections)| {
            let counts = store.window(&Key::new(Kind::Listener, name.clone()), self.seconds);
            text(out, "{\"name\":", &name);
            out.extend_from_slice(b",\"address\":");
            address(out, at);
            number(out, ",\"connections\":", connections.active.load(Ordering::Relaxed) as u64);
            number(out, ",\"accepted\":", counts.calls);
            number(out, ",\"refused\":", counts.refused);
            out.push(b'}');
        });
    }

    /// The routes of the configuration and what found no room of its own, with their services, the busiest first; gives how
    /// many more there are.
    fn routes(self, snapshot: &Snapshot, store: &Store, out: &mut Vec<u8>) -> usize {
        let of = |name: &Arc<str>| store.of(&Key::new(Kind::Route, name.clone()));
        let mut all: Vec<_> =
            snapshot.routes.iter().map(|route| (of(&route.key), (&*route.key, Some(route)))).collect();
        let others = ["none", OTHER].map(|name| (of(&name.into()), (name, None)));
        all.extend(others.into_iter().filter(|(series, _)| series.calls(self.seconds) > 0));
        list(out, self.busiest(&all), |out, (_, (series, (name, route)))| {
            let service = Some(route.map_or("", |route| snapshot.service_of(route)));
            self.node(out, *series, Node { name: Some(name), service, ..Node::default() });
        });
        all.len().saturating_sub(self.most)
    }

    /// The busiest services, in the order of the configuration.
    fn services(self, snapshot: &Snapshot, store: &Store, out: &mut Vec<u8>) {
        let of = |name: &Arc<str>| store.of(&Key::new(Kind::Service, name.clone()));
        let all: Vec<_> =
            snapshot.services.iter().map(|service| (of(&service.name), &*service.name)).collect();
        let mut told = self.busiest(&all);
        told.sort_unstable_by_key(|(place, _)| *place);
        list(out, told, |out, (_, (series, name))| {
            self.node(out, *series, Node { name: Some(name), ..Node::default() });
        });
    }

    /// The busiest targets by name, then by service, with their addresses and the exchanges that wait for them. A name may
    /// stand for several addresses.
    fn targets(self, snapshot: &Snapshot, store: &Store, out: &mut Vec<u8>) {
        let services = snapshot.services.iter().map(|service| (&service.name, service.live.endpoints()));
        let services: Vec<_> = services.collect();
        let endpoints = services.iter().flat_map(|(service, endpoints)| {
            endpoints.iter().map(|endpoint| (&endpoint.settings.authority, *service, endpoint))
        });
        let mut endpoints: Vec<_> = endpoints.collect();
        endpoints.sort_by_key(|(name, of, _)| (*name, *of));
        let same = endpoints.chunk_by(|(name, of, _), (next, next_of, _)| (name, of) == (next, next_of));
        let all = same.filter_map(|same| {
            let (name, of, _) = *same.first()?;
            let key = Key { kind: Kind::Target, name: name.clone(), of: of.clone() };
            Some((store.of(&key), (name, of, same)))
        });
        let all: Vec<_> = all.collect();
        let mut told = self.busiest(&all);
        told.sort_unstable_by_key(|(place, _)| *place);
        list(out, told, |out, (_, (series, (name, of, same)))| {
            let in_flight = same.iter().map(|(.., endpoint)| u64::from(endpoint.in_flight()));
            let node = Node {
                name: Some(name),
                service: Some(of),
                addresses: Some(same.iter().map(|(.., endpoint)| endpoint.settings.address).collect()),
                in_flight: Some(in_flight.fold(0, u64::saturating_add)),
            };
            self.node(out, *series, node);
        });
    }

    /// Those with the most calls and their places, the busiest first, then in the order they have.
    fn busiest<'t, 's, T>(self, all: &'t [(Series<'s>, T)]) -> Vec<(usize, &'t (Series<'s>, T))> {
        let ranked = all.iter().enumerate().map(|(place, thing)| (thing.0.calls(self.seconds), place, thing));
        let mut ranked: Vec<_> = ranked.collect();
        ranked.sort_by_key(|(calls, ..)| Reverse(*calls));
        ranked.truncate(self.most);
        ranked.into_iter().map(|(_, place, thing)| (place, thing)).collect()
    }
}

/// Counts as values, for whoever takes some of them or adds to them.
pub(super) fn told_counts(counted: &Counts, covered: u64) -> Map<String, Value> {
    let mut told = vec![b'{'];
    counts(&mut told, counted, covered, true);
    told.push(b'}');
    serde_json::from_slice(&told).unwrap_or_default()
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
    fn the_busiest_come_first_and_the_equal_in_the_order_they_have() {
        let mut store = Store::new(0);
        let names = ["a", "b", "c", "d", "e"];
        for (name, calls) in names.into_iter().zip([3, 9, 1, 9, 4]) {
            store.add(0, &Key::new(Kind::Service, name), &Counts { calls, ..Counts::default() });
        }
        store.settle(1);
        let all = names.map(|name| (store.of(&Key::new(Kind::Service, name)), name));
        for (most, wanted) in [(3, "bde"), (9, "bdeac")] {
            let asked = Asked { seconds: 60, most, full: false };
            let told: String = asked.busiest(&all).into_iter().map(|(_, (_, name))| *name).collect();
            assert_eq!(told, wanted);
        }
    }
}
