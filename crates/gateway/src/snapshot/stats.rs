//! The counters of routes, carried over from the snapshot before.

use std::collections::HashMap;
use std::sync::Arc;

use super::Snapshot;
use crate::observe::RouteStats;

/// What was counted about routes: a route of the same key and service goes on with its counters.
pub(super) struct Stats<'a> {
    known: HashMap<(&'a str, &'a str), &'a Arc<RouteStats>>,
    workers: usize,
}

impl<'a> Stats<'a> {
    pub(super) fn new(previous: Option<&'a Snapshot>, workers: usize) -> Self {
        let known = previous.into_iter().flat_map(|snapshot| {
            snapshot.routes.iter().map(|route| ((&*route.key, snapshot.service_of(route)), &route.stats))
        });
        Stats { known: known.collect(), workers }
    }

    pub(super) fn of(&mut self, key: &str, service: &str) -> Arc<RouteStats> {
        let known = self.known.get(&(key, service)).map(|stats| Arc::clone(stats));
        known.unwrap_or_else(|| RouteStats::new(self.workers))
    }
}
