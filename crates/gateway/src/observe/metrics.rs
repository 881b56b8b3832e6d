//! What is counted for each route: requests by method and status, durations, bytes, refusals.
//!
//! One shard for each worker, made when that worker first meets the route, so that routes nobody asks for cost
//! nothing. Each shard has one writer, so that counting is a load and a store. Bounded whatever methods and statuses
//! come up.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http1::Method;

use super::histogram::{Histogram, Reading, add};
use super::openmetrics::HISTOGRAM_SERIES;
use super::status_of;
use super::tally::{Tally, Words};
use super::telemetry::Counts;
use crate::exchange::Exchange;

/// Combinations of method and status that most routes need.
const FEW: usize = 4;
/// Further combinations, for routes that need them; all others count together.
const MORE: usize = 60;
/// What a cache may have had to do with an answer.
const CACHES: usize = 8;
/// Different refusals of one route.
const REFUSALS: usize = 32;

/// Counters of one route.
pub struct RouteStats {
    /// Which route was used first, second and so on, from 1; 0 before its first use. The page keeps the oldest when
    /// there are too many.
    order: AtomicU64,
    // Filled at first use: a route that nobody asks for costs two words for each worker.
    shards: Box<[OnceLock<Arc<RouteShard>>]>,
}

/// What one worker counts for a route; only that worker writes here.
///
/// In this order, so that most exchanges touch one cache line: it ends with the lowest buckets of `duration`. With ten
/// thousand routes in use that is what counting costs.
#[repr(C, align(64))]
#[derive(Default)]
pub struct RouteShard {
    first: Combination,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    duration: Histogram,
    few: [Combination; FEW - 1],
    more: OnceLock<Box<[Combination]>>,
    other: AtomicU64,
    refusals: OnceLock<Tally>,
    caches: OnceLock<Tally>,
}

/// A combination of method and status, and how often it was.
#[derive(Default)]
struct Combination {
    /// See [`Key`]; 0 for none.
    key: AtomicU32,
    /// Of the first alone, where it costs no room: see [`RouteShard::is_slow`].
    slow_micros: AtomicU32,
    count: AtomicU64,
}

/// Method and status in one number that is not 0; also their order on the page.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Key(u32);

impl Key {
    /// What found no room.
    pub(crate) const OTHER: Key = Key(u32::MAX);
    const METHODS: [Method; 10] = [
        Method::Get,
        Method::Head,
        Method::Post,
        Method::Put,
        Method::Delete,
        Method::Connect,
        Method::Options,
        Method::Trace,
        Method::Patch,
        Method::Other,
    ];

    fn new(method: Method, status: u16) -> Key {
        Key((method as u32 + 1) << 16 | u32::from(status))
    }

    /// The label of the method.
    pub(crate) fn method(self) -> &'static str {
        let method = Key::METHODS.iter().find(|method| **method as u32 + 1 == self.0 >> 16);
        method.unwrap_or(&Method::Other).as_str()
    }

    /// The status; `None` for [`Key::OTHER`].
    pub(crate) fn status(self) -> Option<u16> {
        (self != Key::OTHER).then(|| u16::try_from(self.0 & 0xffff).unwrap_or(0))
    }
}

/// What was counted for a route, over all workers, or for several routes.
#[derive(Default)]
pub(crate) struct RouteReading {
    pub(crate) requests: BTreeMap<Key, u64>,
    pub(crate) refusals: BTreeMap<Words, u64>,
    pub(crate) caches: BTreeMap<Words, u64>,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    pub(crate) duration: Reading,
}

impl RouteReading {
    /// Most series of the reading of one route.
    pub(crate) const MOST_SERIES: usize = FEW + MORE + 1 + HISTOGRAM_SERIES + 2 + REFUSALS + 1 + CACHES + 1;

    /// Series the page needs for it.
    pub(crate) fn series(&self) -> usize {
        let counted =
            self.requests.len().saturating_add(self.refusals.len()).saturating_add(self.caches.len());
        counted.saturating_add(HISTOGRAM_SERIES).saturating_add(2)
    }

    /// The same with no more combinations than one route can have: those beyond count together.
    pub(crate) fn bounded(mut self) -> RouteReading {
        let mut other = self.requests.remove(&Key::OTHER).unwrap_or(0);
        while self.requests.len() > FEW + MORE {
            other = other.wrapping_add(self.requests.pop_last().map_or(0, |(_, count)| count));
        }
        if other > 0 {
            self.requests.insert(Key::OTHER, other);
        }
        self
    }
}

/// A policy and what it made of an exchange: `refused`, `would_refuse` in the shadow, or what a cache had to do with it.
pub type Outcome = (&'static str, &'static str);

/// One more than the parts of workers that were made.
static USED: AtomicU64 = AtomicU64::new(1);

impl RouteStats {
    /// Counters for so many workers.
    pub fn new(workers: usize) -> Arc<RouteStats> {
        let shards = (0..workers).map(|_| OnceLock::new()).collect();
        Arc::new(RouteStats { order: AtomicU64::new(0), shards })
    }

    /// The part of the worker of this number, made if it is the first use.
    pub fn shard(&self, worker: usize) -> Option<Arc<RouteShard>> {
        Some(self.shards.get(worker)?.get_or_init(|| self.first_use()).clone())
    }

    /// Counts an exchange for a worker.
    #[cfg(test)]
    pub(crate) fn record(&self, worker: usize, exchange: &Exchange) {
        if let Some(shard) = self.shard(worker) {
            shard.record(exchange);
        }
    }

    /// How often a part of a worker was made, of all routes that there ever were: while it stands still, no route was used
    /// for the first time.
    pub fn used() -> u64 {
        USED.load(Ordering::Relaxed)
    }

    fn first_use(&self) -> Arc<RouteShard> {
        let next = USED.fetch_add(1, Ordering::Relaxed);
        // Another worker may have been first; then its number stands.
        let _ = self.order.compare_exchange(0, next, Ordering::Relaxed, Ordering::Relaxed);
        Arc::default()
    }

    /// Requests of all workers so far.
    pub fn requests(&self) -> u64 {
        let mut reading = RouteReading::default();
        self.read(&mut reading);
        reading.duration.count()
    }

    /// When the route was first used, compared with others; `None` before that.
    pub(crate) fn order(&self) -> Option<u64> {
        Some(self.order.load(Ordering::Relaxed)).filter(|order| *order > 0)
    }

    /// Sets from which duration on an exchange is slow; zero for never.
    pub fn set_slow(&self, from: Duration) {
        let micros = u32::try_from(from.as_micros()).unwrap_or(u32::MAX);
        for shard in self.shards.iter().filter_map(OnceLock::get) {
            shard.first.slow_micros.store(micros, Ordering::Relaxed);
        }
    }

    /// What was counted so far, without telling methods and reasons apart.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for shard in self.shards.iter().filter_map(OnceLock::get) {
            shard.count(&mut counts);
        }
        counts.calls = counts.latency.count();
        counts
    }

    /// What policies made of its exchanges: by policy and outcome, how many, and how long these took.
    pub fn outcomes(&self) -> BTreeMap<Outcome, Reading> {
        let mut outcomes = BTreeMap::new();
        for shard in self.shards.iter().filter_map(OnceLock::get) {
            shard.outcomes(&mut outcomes);
        }
        outcomes
    }

    /// Adds what was counted to a reading.
    pub(crate) fn read(&self, reading: &mut RouteReading) {
        for shard in self.shards.iter().filter_map(OnceLock::get) {
            shard.read(reading);
        }
    }
}

impl RouteShard {
    /// Counts an exchange that is over. Only the worker whose part this is may call this.
    pub fn record(&self, exchange: &Exchange) {
        let record = &exchange.record;
        let key = Key::new(record.method, status_of(exchange));
        let few = std::iter::once(&self.first).chain(&self.few).find(|own| own.claim(key));
        add(few.map_or_else(|| self.further(key), |own| &own.count), 1);
        self.duration.record(record.finished);
        add(&self.bytes_in, record.bytes_in);
        add(&self.bytes_out, record.bytes_out);
        if !record.cache.is_empty() {
            let caches = self.caches.get_or_init(|| Tally::with_times(CACHES));
            caches.time([record.cache, "", ""], record.finished);
        }
        if record.refused_by.is_some() || !record.shadowed.is_empty() {
            self.refused(exchange);
        }
    }

    /// Whether an exchange of this duration is slow for its route.
    pub(super) fn is_slow(&self, duration: Duration) -> bool {
        let bound = self.first.slow_micros.load(Ordering::Relaxed);
        bound > 0 && duration.as_micros() > u128::from(bound)
    }

    fn further(&self, key: Key) -> &AtomicU64 {
        let more = self.more.get_or_init(|| (0..MORE).map(|_| Combination::default()).collect());
        more.iter().find(|own| own.claim(key)).map_or(&self.other, |own| &own.count)
    }

    fn refused(&self, exchange: &Exchange) {
        let refusals = self.refusals.get_or_init(|| Tally::with_times(REFUSALS));
        let took = exchange.record.finished;
        if let Some(policy) = exchange.record.refused_by {
            refusals.time([policy, exchange.record.reason, "enforce"], took);
        }
        for (policy, reason) in &exchange.record.shadowed {
            refusals.time([policy, reason, "shadow"], took);
        }
    }

    fn combinations(&self) -> impl Iterator<Item = &Combination> {
        let more = self.more.get().into_iter().flatten();
        std::iter::once(&self.first).chain(&self.few).chain(more)
    }

    fn count(&self, counts: &mut Counts) {
        for own in self.combinations() {
            let class = usize::from(Key(own.key.load(Ordering::Relaxed)).status().unwrap_or(0) / 100);
            if let Some(sum) = counts.classes.get_mut(class.wrapping_sub(1)) {
                *sum = sum.saturating_add(own.count.load(Ordering::Relaxed));
            }
        }
        if let Some(refusals) = self.refusals.get() {
            let enforced = |words: Words, count| if words[2] == "enforce" { count } else { 0 };
            refusals
                .read(|words, count| counts.refused = counts.refused.saturating_add(enforced(words, count)));
        }
        counts.bytes_in = counts.bytes_in.saturating_add(self.bytes_in.load(Ordering::Relaxed));
        counts.bytes_out = counts.bytes_out.saturating_add(self.bytes_out.load(Ordering::Relaxed));
        self.duration.read(&mut counts.latency);
    }

    fn outcomes(&self, outcomes: &mut BTreeMap<Outcome, Reading>) {
        let mut add = |outcome, times: &Histogram| times.read(outcomes.entry(outcome).or_default());
        if let Some(refusals) = self.refusals.get() {
            refusals.read_times(|[policy, _, mode], times| {
                add((policy, if mode == "shadow" { "would_refuse" } else { "refused" }), times);
            });
        }
        if let Some(caches) = self.caches.get() {
            caches.read_times(|[result, ..], times| add(("cache", result), times));
        }
    }

    fn read(&self, reading: &mut RouteReading) {
        for own in self.combinations() {
            let key = own.key.load(Ordering::Relaxed);
            if key != 0 {
                *reading.requests.entry(Key(key)).or_default() += own.count.load(Ordering::Relaxed);
            }
        }
        let other = self.other.load(Ordering::Relaxed);
        if other > 0 {
            *reading.requests.entry(Key::OTHER).or_default() += other;
        }
        if let Some(refusals) = self.refusals.get() {
            refusals.read(|words, count| *reading.refusals.entry(words).or_default() += count);
        }
        if let Some(caches) = self.caches.get() {
            caches.read(|words, count| *reading.caches.entry(words).or_default() += count);
        }
        reading.bytes_in = reading.bytes_in.wrapping_add(self.bytes_in.load(Ordering::Relaxed));
        reading.bytes_out = reading.bytes_out.wrapping_add(self.bytes_out.load(Ordering::Relaxed));
        self.duration.read(&mut reading.duration);
    }
}

impl Combination {
    /// Whether this is the key's place, or becomes it because it was nobody's.
    fn claim(&self, key: Key) -> bool {
        match self.key.load(Ordering::Relaxed) {
            0 => {
                self.key.store(key.0, Ordering::Relaxed);
                true
            }
            own => own == key.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exchange(method: Method, status: u16) -> Exchange {
        let mut exchange = Exchange::default();
        (exchange.record.method, exchange.record.status) = (method, status);
        exchange.record.finished = Duration::from_millis(3);
        (exchange.record.bytes_in, exchange.record.bytes_out) = (2, 5);
        exchange
    }

    fn read(stats: &RouteStats) -> RouteReading {
        let mut reading = RouteReading::default();
        stats.read(&mut reading);
        reading
    }

    #[test]
    fn workers_count_apart_and_are_read_together() {
        let stats = RouteStats::new(2);
        assert_eq!((stats.order(), stats.requests()), (None, 0));
        for (worker, status) in [(0, 200), (1, 200), (1, 404), (7, 500)] {
            stats.record(worker, &exchange(Method::Get, status));
        }
        let reading = read(&stats);
        let requests: Vec<_> =
            reading.requests.iter().map(|(key, count)| (key.method(), key.status(), *count)).collect();
        assert_eq!(requests, [("GET", Some(200), 2), ("GET", Some(404), 1)]);
        assert_eq!((reading.bytes_in, reading.bytes_out, reading.duration.count()), (6, 15, 3));
        assert!(stats.order().is_some());
    }

    #[test]
    fn statuses_without_end_count_together() {
        let stats = RouteStats::new(1);
        for status in 0..1000 {
            stats.record(0, &exchange(Method::Other, 100 + status));
        }
        let reading = read(&stats);
        assert_eq!(reading.requests.len(), FEW + MORE + 1);
        assert_eq!(reading.requests.get(&Key::OTHER), Some(&(1000 - FEW as u64 - MORE as u64)));
        assert_eq!((Key::OTHER.method(), Key::OTHER.status()), ("_OTHER", None));
    }

    #[test]
    fn every_method_has_its_own_key() {
        let names: Vec<_> = Key::METHODS.iter().map(|method| Key::new(*method, 200).method()).collect();
        let own: Vec<_> = Key::METHODS.iter().map(|method| method.as_str()).collect();
        assert_eq!(names, own);
    }

    #[test]
    fn refusals_count_by_policy_and_reason() {
        let stats = RouteStats::new(1);
        let mut refused = exchange(Method::Get, 403);
        (refused.record.refused_by, refused.record.reason) = (Some("ip"), "ip_denied");
        refused.record.shadowed.push(("cors", "origin_denied"));
        stats.record(0, &refused);
        let refusals: Vec<_> = read(&stats).refusals.into_iter().collect();
        assert_eq!(refusals, [(["cors", "origin_denied", "shadow"], 1), (["ip", "ip_denied", "enforce"], 1)]);
        refused.record.cache = "hit";
        stats.record(0, &refused);
        let outcomes: Vec<_> =
            stats.outcomes().into_iter().map(|(outcome, times)| (outcome, times.count())).collect();
        let wanted = [(("cache", "hit"), 1), (("cors", "would_refuse"), 2), (("ip", "refused"), 2)];
        assert_eq!(outcomes.into_iter().filter(|(_, count)| *count > 0).collect::<Vec<_>>(), wanted);
    }
}
