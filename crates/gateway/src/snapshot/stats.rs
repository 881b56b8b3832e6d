//! The counters of routes and of groups of callers, carried over from the snapshot before.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::Snapshot;
use crate::config::Config;
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

/// Counters for each group that a consumer of the configuration is in, by their names in order. Groups that only tokens
/// name are not counted: those are words from outside, and there may be any number of them.
pub(super) fn groups(
    config: &Config,
    previous: Option<&Snapshot>,
    workers: usize,
) -> Vec<(Arc<str>, Arc<RouteStats>)> {
    let consumers = config.consumers.iter().flat_map(|(_, consumer)| consumer.groups.iter());
    let names: BTreeSet<&str> = consumers.map(|group| group.as_str()).collect();
    let known = previous.map_or(&[][..], |previous| &previous.groups);
    let carried = |name: &str| {
        let found = known.binary_search_by(|(own, _)| (**own).cmp(name)).ok();
        found.and_then(|place| known.get(place)).cloned()
    };
    let fresh = |name: &str| (Arc::from(name), RouteStats::new(workers));
    names.into_iter().map(|name| carried(name).unwrap_or_else(|| fresh(name))).collect()
}
