//! Fills the telemetry: once a second a thread of the control side reads the counters of the workers and keeps what
//! came since the second before.
//!
//! Takes the counters that the metrics page is made of; nothing is done for it on the road. Names tell things apart,
//! so that a reload that gives a route or a target new counters goes on with the same curve. Must never lose what was
//! counted between the last reading and the end of a counter: those that are gone are read for a while longer. What is
//! done in a second is bounded: with very many routes each is read less often, and its curve is coarser.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::watch;

use super::control::Control;
use super::insights::Watch;
use super::rollups::Rollups;
use crate::observe::connections::Refusal;
use crate::observe::metrics::Outcome;
use crate::observe::telemetry::insights::{Insight, Told, insights};
use crate::observe::telemetry::{BUDGET, Counts, Curve, Key, Kind, MOST_SERIES, Store};
use crate::observe::{Connections, Figure, RouteStats};
use crate::upstream::service::Endpoint;

/// Seconds for which counters that are gone are read: exchanges under way still write to them.
const AFTERLIFE: u64 = 120;
/// Counters that are read in a second: as many as have curves of their own.
const MOST_READ: usize = MOST_SERIES;
/// Routes among which those that were used for the first time are looked for in a second.
const MOST_SEARCHED: usize = 10_000;
/// The longest window of what is kept in memory, in seconds.
pub(super) const LONGEST: u64 = 86_400;
/// Seconds between two looks at what is slow for each route.
const SLOW_STEP: u64 = 10;
/// Calls in an hour from which on a route has a p99 to speak of.
const SLOW_LEAST: u64 = 200;

/// The telemetry of the process.
pub struct Telemetry {
    store: Mutex<Store>,
    sources: Mutex<Sources>,
    insights: Mutex<Arc<Vec<Insight>>>,
    /// Told of each second that was kept.
    kept: watch::Sender<()>,
    started: Instant,
    started_second: u64,
    rollups: Option<Rollups>,
}

/// Counters that are read.
enum Counter {
    Listener(Arc<Connections>),
    Route(Arc<RouteStats>),
    Target(Arc<Endpoint>),
}

/// A counter, whose it is, and what it said last.
struct Source {
    counter: Counter,
    key: Key,
    /// The service that a route forwards to, or that a target is of.
    service: Option<Key>,
    before: Counts,
    /// What policies had made of the exchanges of a route then, each with the names it is told by: there, and of all routes.
    outcomes: BTreeMap<Outcome, ([Key; 2], Counts)>,
    /// The second in which it was last found to be there.
    seen: u64,
}

/// All counters.
#[derive(Default)]
struct Sources {
    /// By the address they have in memory: as long as they are here, nothing else has it.
    all: HashMap<usize, Source>,
    /// In the order of reading.
    turns: VecDeque<usize>,
    /// What is watched besides curves.
    watch: Watch,
    /// What the curves say.
    told: Told,
    /// When routes were last looked for, in which configuration, and how many of all times had been used then.
    routes_found: Option<(u64, u64, u64)>,
}

impl Telemetry {
    /// Nothing yet, but for what is kept on disk.
    pub(super) fn new(rollups: Option<Rollups>) -> Telemetry {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        Telemetry {
            store: Mutex::new(Store::new(now)),
            sources: Mutex::default(),
            insights: Mutex::default(),
            kept: watch::Sender::default(),
            started: Instant::now(),
            started_second: now,
            rollups,
        }
    }

    /// Takes up all counters that there are. To be called before a configuration goes, so that what was counted since
    /// the last second is not lost with it.
    pub(super) fn note(&self, control: &Control) {
        let now = self.second();
        let mut sources = self.sources();
        sources.find_routes(control, now);
        sources.find_others(control, now);
    }

    fn sources(&self) -> MutexGuard<'_, Sources> {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is remembered, for as long as the guard lives: then the thread waits, and nobody else.
    pub fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes as soon as a second was kept, and at the end.
    pub(super) fn kept(&self) -> watch::Receiver<()> {
        self.kept.subscribe()
    }

    /// What is not as usual.
    pub fn insights(&self) -> Arc<Vec<Insight>> {
        self.insights.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What it takes, for the metrics page.
    pub(super) fn figures(&self) -> Vec<Figure> {
        let rollups = self.rollups.iter().flat_map(Rollups::figures);
        let store = self.store();
        let gauge = |name, help, value: usize| Figure { name, help, counts: false, value: value as u64 };
        let own = [
            gauge("tidegate_telemetry_bytes", "Memory of the curves of the last day.", store.bytes()),
            gauge("tidegate_telemetry_limit_bytes", "Most memory that the curves may take.", BUDGET),
            gauge("tidegate_telemetry_series", "Things that have curves of their own.", store.len()),
        ];
        own.into_iter().chain(rollups).collect()
    }

    /// The longest window that a curve can have, in seconds.
    pub(super) fn longest(&self) -> u64 {
        self.rollups.as_ref().map_or(0, Rollups::longest).max(LONGEST)
    }

    /// The curve of a thing. One of more than a day comes from the disk: not for the control runtime.
    pub(super) fn curve(&self, key: &Key, seconds: u64) -> Curve {
        match &self.rollups {
            Some(rollups) if seconds > LONGEST => rollups.curve(key, self.second(), seconds),
            _ => self.store().curve(key, seconds),
        }
    }

    /// The process is about to end: keeps what was counted until now. Waits for the disk no longer than this.
    pub(super) fn close(&self, control: &Control, within: Duration) {
        if let Some(rollups) = &self.rollups {
            self.sources().tick(control);
            rollups.close(within);
        }
    }

    /// Seconds since 1970 on a clock that never goes back.
    fn second(&self) -> u64 {
        self.started_second.saturating_add(self.started.elapsed().as_secs())
    }

    /// Time until the next second begins.
    fn rest(&self) -> Duration {
        Duration::from_secs(1)
            .saturating_sub(Duration::from_nanos(self.started.elapsed().subsec_nanos().into()))
    }
}

/// Starts the thread, which ends when the control side is gone.
pub(super) fn start(control: &Arc<Control>) -> std::io::Result<()> {
    let control = Arc::downgrade(control);
    std::thread::Builder::new().name("telemetry".into()).spawn(move || run(&control)).map(drop)
}

fn run(control: &Weak<Control>) {
    let mut rest = Duration::from_secs(1);
    loop {
        std::thread::sleep(rest);
        let Some(control) = control.upgrade() else { return };
        control.telemetry.sources().tick(&control);
        control.telemetry.kept.send_replace(());
        rest = control.telemetry.rest();
    }
}

impl Sources {
    /// Keeps what came in the second that is over.
    fn tick(&mut self, control: &Control) {
        let now = control.telemetry.second();
        let mut told: Vec<(Key, Counts)> = Vec::new();
        self.find(control, now);
        self.read(now, |key, counts| told.push((key.clone(), counts.clone())));
        if let Some(rollups) = &control.telemetry.rollups {
            rollups.add(now.saturating_sub(1), &told);
        }
        let mut store = control.telemetry.store();
        for (key, counts) in &told {
            store.add(now.saturating_sub(1), key, counts);
        }
        store.settle(now);
        if now.is_multiple_of(SLOW_STEP) {
            self.tell_slow(&store);
            let uptime = control.telemetry.started.elapsed().as_secs();
            let mut found = insights(&store, &mut self.told);
            found.extend(self.watch.look(control, &store, now, uptime));
            found.sort_by_key(|insight| insight.severity != "bad");
            *control.telemetry.insights.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(found);
        }
        drop(store);
        if let Some(samples) = &control.gateway.live.observe.samples {
            samples.collect();
        }
    }

    /// Tells the workers from when on an exchange is slow for its route: above its p99 of the last hour.
    fn tell_slow(&self, store: &Store) {
        for source in self.all.values() {
            let (Counter::Route(stats), Kind::Route) = (&source.counter, source.key.kind) else { continue };
            let hour = store.window(&source.key, 3_600);
            if hour.calls >= SLOW_LEAST
                && let Some(millis) = hour.quantile_ms(0.99)
            {
                stats.set_slow(Duration::from_secs_f64(millis / 1000.0));
            }
        }
    }

    /// Reads the counters whose turn it is and tells what came since the last time.
    fn read(&mut self, now: u64, mut tell: impl FnMut(&Key, &Counts)) {
        for _ in 0..self.turns.len().min(MOST_READ) {
            let Some(place) = self.turns.pop_front() else { return };
            let Some(source) = self.all.get_mut(&place) else { continue };
            let counts = source.counter.read();
            let since = counts.since(&source.before);
            if !since.is_empty() {
                source.tell(&since, &mut tell);
                source.before = counts;
                source.tell_outcomes(&mut tell);
            }
            if now.saturating_sub(source.seen) > AFTERLIFE && !self.stays(place) {
                self.all.remove(&place);
            } else {
                self.turns.push_back(place);
            }
        }
    }

    /// Whether a counter is a route's that was there when routes were last looked for.
    fn stays(&self, place: usize) -> bool {
        let Some(source) = self.all.get(&place) else { return false };
        matches!(source.counter, Counter::Route(_))
            && self.routes_found.is_some_and(|(at, ..)| source.seen >= at)
    }

    /// Takes up counters that are new.
    fn find(&mut self, control: &Control, now: u64) {
        self.find_others(control, now);
        let snapshot = control.gateway.live.snapshot();
        let used = RouteStats::used();
        let due = self.routes_found.is_none_or(|(at, revision, known)| {
            let rest = snapshot.routes.len().div_euclid(MOST_SEARCHED) as u64;
            revision != snapshot.revision || (known != used && now >= at.saturating_add(rest))
        });
        if due {
            self.find_routes(control, now);
        }
    }

    /// Takes up the counters of routes that have been used.
    fn find_routes(&mut self, control: &Control, now: u64) {
        let snapshot = control.gateway.live.snapshot();
        self.routes_found = Some((now, snapshot.revision, RouteStats::used()));
        for route in snapshot.routes.iter().filter(|route| route.stats.order().is_some()) {
            self.keep(Arc::as_ptr(&route.stats) as usize, now, || {
                let service = snapshot.service_of(route);
                let service = (!service.is_empty()).then(|| Key::new(Kind::Service, service));
                let key = Key::new(Kind::Route, route.key.clone());
                Source::new(Counter::Route(route.stats.clone()), key, service)
            });
        }
    }

    /// Takes up the counters of all else.
    fn find_others(&mut self, control: &Control, now: u64) {
        let snapshot = control.gateway.live.snapshot();
        for (name, _, connections) in control.gateway.listeners() {
            let place = Arc::as_ptr(&connections) as usize;
            self.keep(place, now, || {
                Source::new(Counter::Listener(connections), Key::new(Kind::Listener, name), None)
            });
        }
        self.keep(Arc::as_ptr(&snapshot.unrouted) as usize, now, || {
            Source::new(Counter::Route(snapshot.unrouted.clone()), Key::new(Kind::Route, "none"), None)
        });
        for (name, stats) in &snapshot.groups {
            self.keep(Arc::as_ptr(stats) as usize, now, || {
                Source::new(Counter::Route(stats.clone()), Key::new(Kind::Group, name.clone()), None)
            });
        }
        for service in &snapshot.services {
            for endpoint in service.live.endpoints().iter() {
                self.keep(Arc::as_ptr(endpoint) as usize, now, || {
                    let name = endpoint.settings.authority.clone();
                    let key = Key { kind: Kind::Target, name, of: service.name.clone() };
                    let service = Some(Key::new(Kind::Service, service.name.clone()));
                    Source::new(Counter::Target(endpoint.clone()), key, service)
                });
            }
        }
    }

    fn keep(&mut self, place: usize, now: u64, source: impl FnOnce() -> Source) {
        let turns = &mut self.turns;
        let kept = self.all.entry(place).or_insert_with(|| {
            turns.push_back(place);
            source()
        });
        kept.seen = now;
    }
}

impl Source {
    fn new(counter: Counter, key: Key, service: Option<Key>) -> Source {
        Source { counter, key, service, before: Counts::default(), outcomes: BTreeMap::new(), seen: 0 }
    }

    /// A route's exchanges are also the process's, and their statuses its service's; the tries, faults and times of a
    /// service are those of its targets.
    fn tell(&self, since: &Counts, tell: &mut impl FnMut(&Key, &Counts)) {
        tell(&self.key, since);
        if self.key.kind == Kind::Route {
            tell(&Key::gateway(), since);
        }
        let Some(service) = &self.service else { return };
        match self.counter {
            Counter::Route(_) => {
                let Counts { classes, refused, bytes_in, bytes_out, .. } = *since;
                tell(service, &Counts { classes, refused, bytes_in, bytes_out, ..Counts::default() });
            }
            Counter::Target(_) | Counter::Listener(_) => tell(service, since),
        }
    }
}

impl Source {
    /// What policies made of the exchanges of a route: on it, and on all routes together.
    fn tell_outcomes(&mut self, tell: &mut impl FnMut(&Key, &Counts)) {
        let (Counter::Route(stats), Kind::Route) = (&self.counter, self.key.kind) else { return };
        for (outcome, latency) in stats.outcomes() {
            let calls = latency.count();
            let counts = Counts { calls, latency, ..Counts::default() };
            let (keys, before) = self.outcomes.entry(outcome).or_insert_with(|| {
                let name: Arc<str> = format!("{}:{}", outcome.0, outcome.1).into();
                let here = Key { kind: Kind::Policy, name: name.clone(), of: self.key.name.clone() };
                ([here, Key::new(Kind::Policy, name)], Counts::default())
            });
            let since = counts.since(before);
            if !since.is_empty() {
                keys.iter().for_each(|key| tell(key, &since));
                *before = counts;
            }
        }
    }
}

impl Counter {
    fn read(&self) -> Counts {
        match self {
            Counter::Listener(connections) => {
                let refused = Refusal::ALL.iter().map(|refusal| connections.refused(*refusal));
                Counts {
                    calls: connections.accepted.load(Ordering::Relaxed),
                    refused: refused.fold(0, u64::saturating_add),
                    ..Counts::default()
                }
            }
            Counter::Route(stats) => stats.counts(),
            Counter::Target(endpoint) => {
                let mut counts = Counts::default();
                for shard in endpoint.shards() {
                    shard.answered.read(&mut counts.latency);
                    counts.faults = counts.faults.saturating_add(shard.faults.load(Ordering::Relaxed));
                }
                counts.calls = counts.latency.count().saturating_add(counts.faults);
                counts
            }
        }
    }
}
