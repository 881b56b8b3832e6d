//! What one worker holds: its view of the snapshot, its pools, deadlines, random numbers and log lines.
//!
//! Everything here is the worker's own; it learns of a new snapshot by one atomic read for each exchange.

use std::cell::{Cell, OnceCell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::Snapshot;
use super::canary::Canary;
use super::live::Live;
use crate::exchange::Exchange;
use crate::http::timer::Timers;
use crate::observe::{Observer, RouteShard};
use crate::route::params::Params;
use crate::upstream::local::LocalService;
use crate::upstream::service::Service;
use crate::values::random::Random;

/// Exchanges kept for later, each with its grown memory.
const KEPT_EXCHANGES: usize = 256;

/// A resting connection is not closed sooner while the gateway drains.
const LEAST_REST: Duration = Duration::from_secs(1);

/// Exchanges at rest. Boxed, because an exchange is a kilobyte and would be copied with every use.
#[expect(clippy::vec_box, reason = "the boxes are what is handed out")]
#[derive(Default)]
struct Exchanges(Vec<Box<Exchange>>);

/// One worker.
pub struct Worker {
    /// Its number, from 0.
    pub index: usize,
    /// What all workers share.
    pub live: Arc<Live>,
    /// Its deadlines.
    pub timers: Rc<Timers>,
    /// Its random numbers.
    pub random: Random,
    /// Its part of log, metrics and traces.
    pub observer: Observer,
    /// Requests under way that the gateway makes for itself.
    pub errands: Cell<usize>,
    /// The router's memory.
    pub params: RefCell<Params>,
    generation: Cell<u64>,
    view: RefCell<Rc<View>>,
    /// What is on trial, and this worker's view of it.
    canary: RefCell<Option<(Arc<Canary>, Rc<View>)>>,
    clock: Cell<(Instant, SystemTime)>,
    exchanges: RefCell<Exchanges>,
}

/// The snapshot as one worker sees it.
pub struct View {
    /// The snapshot.
    pub snapshot: Arc<Snapshot>,
    locals: Vec<Rc<LocalService>>,
    worker: usize,
    /// Where this worker counts for each route, known at its first use: one step to it, however many routes there are.
    counted: Vec<OnceCell<Option<Arc<RouteShard>>>>,
    unrouted: Option<Arc<RouteShard>>,
    /// Where it counts for each group of callers.
    groups: Vec<OnceCell<Option<Arc<RouteShard>>>>,
}

impl View {
    /// A service and the worker's own view of it.
    pub fn service(&self, place: u32) -> Option<(&Service, &LocalService)> {
        Some((self.snapshot.service(place)?, self.locals.get(place as usize)?))
    }

    /// Where this worker counts the exchanges of a route, or those that no route takes.
    pub fn counted(&self, route: Option<u32>) -> Option<&Arc<RouteShard>> {
        let Some(place) = route else { return self.unrouted.as_ref() };
        let find = || self.snapshot.route(place)?.stats.shard(self.worker);
        self.counted.get(place as usize)?.get_or_init(find).as_ref()
    }

    /// Counts an exchange that is over for the groups of its caller that the configuration names.
    pub fn count_groups(&self, exchange: &Exchange, groups: &[Box<str>]) {
        for (nth, group) in groups.iter().enumerate() {
            // A token may say again what the configuration says.
            let again = groups.iter().take(nth).any(|earlier| earlier == group);
            let place = self.snapshot.groups.binary_search_by(|(name, _)| (**name).cmp(group));
            let Ok(place) = place else { continue };
            let find = || self.snapshot.groups.get(place)?.1.shard(self.worker);
            let shard = self.groups.get(place).and_then(|shard| shard.get_or_init(find).as_ref());
            if let Some(shard) = shard.filter(|_| !again) {
                shard.record(exchange);
            }
        }
    }

    fn new(snapshot: Arc<Snapshot>, worker: usize, locals: Vec<Rc<LocalService>>) -> View {
        let counted = vec![OnceCell::new(); snapshot.routes.len()];
        let groups = vec![OnceCell::new(); snapshot.groups.len()];
        let unrouted = snapshot.unrouted.shard(worker);
        View { snapshot, locals, worker, counted, unrouted, groups }
    }
}

impl Worker {
    /// The worker of a number.
    pub fn new(index: usize, live: Arc<Live>) -> Worker {
        let observer = Observer::new(index, live.observe.clone());
        let empty = View::new(live.snapshot(), index, Vec::new());
        let worker = Worker {
            index,
            live,
            timers: Timers::new(),
            random: Random::from_system(),
            observer,
            errands: Cell::new(0),
            params: RefCell::default(),
            generation: Cell::new(0),
            view: RefCell::new(Rc::new(empty)),
            canary: RefCell::default(),
            clock: Cell::new((Instant::now(), SystemTime::now())),
            exchanges: RefCell::default(),
        };
        worker.view();
        worker
    }

    /// The view on the snapshot that runs now.
    pub fn view(&self) -> Rc<View> {
        let generation = self.live.generation();
        if generation != self.generation.get() {
            self.generation.set(generation);
            self.take_over();
        }
        self.view.borrow().clone()
    }

    /// The view by which the next exchange is served: the one that runs, or what is on trial for its share.
    pub fn draw(&self) -> Rc<View> {
        let view = self.view();
        match &*self.canary.borrow() {
            Some((canary, trial)) if canary.takes(&self.random) => trial.clone(),
            _ => view,
        }
    }

    /// Counts an exchange that is over for what is on trial.
    pub fn count(&self, revision: u64, status: u16, duration: Duration) {
        if let Some((canary, _)) = &*self.canary.borrow() {
            canary.count(revision, status, duration);
        }
    }

    /// Sees the snapshot anew. Services that stayed keep their pools; those that went close theirs.
    fn take_over(&self) {
        let snapshot = self.live.snapshot();
        let known = self.view.borrow().clone();
        *self.view.borrow_mut() = Rc::new(self.see(snapshot, &known));
        let known = self.view.borrow().clone();
        let canary = self.live.canary();
        *self.canary.borrow_mut() = canary.map(|canary| {
            let view = self.see(canary.snapshot.clone(), &known);
            (canary, Rc::new(view))
        });
    }

    fn see(&self, snapshot: Arc<Snapshot>, known: &View) -> View {
        let by_id: std::collections::HashMap<u64, &Rc<LocalService>> =
            known.locals.iter().map(|local| (local.live().id, local)).collect();
        let locals = snapshot.services.iter().map(|service| match by_id.get(&service.live.id) {
            Some(local) => (*local).clone(),
            None => Rc::new(LocalService::new(service, self.index)),
        });
        let locals = locals.collect();
        View::new(snapshot, self.index, locals)
    }

    /// Housekeeping: closes connections that rested too long, and those to endpoints that are gone.
    pub fn sweep(&self) {
        let view = self.view();
        let now = self.timers.now();
        for (service, local) in view.snapshot.services.iter().zip(&view.locals) {
            local.group(service);
            local.sweep(now);
        }
    }

    /// Once the gateway drains: when a resting connection is to close, drawn within the spread. Never at once, as far
    /// as the spread allows: a client that has just connected, or rests for a moment between two requests, is about to
    /// send and shall get its answer.
    pub fn closing_time(&self) -> Option<Duration> {
        let spread = self.live.draining()?;
        let least = LEAST_REST.min(spread / 2);
        let millis = usize::try_from(spread.saturating_sub(least).as_millis()).unwrap_or(usize::MAX);
        Some(least + Duration::from_millis(self.random.below(millis.saturating_add(1)) as u64))
    }

    /// The wall clock at a moment of the monotonic one that has just been read: without reading it again, and with the
    /// system's changes of it taken over at each tick.
    pub fn wall_clock(&self, now: Instant) -> SystemTime {
        let (then, at) = self.clock.get();
        at + now.saturating_duration_since(then)
    }

    /// Moves the worker's clocks and wakes whose deadline has passed.
    pub fn tick(&self) {
        self.clock.set((Instant::now(), SystemTime::now()));
        self.timers.tick();
    }

    /// An exchange to fill.
    pub fn take_exchange(&self) -> Box<Exchange> {
        self.exchanges.borrow_mut().0.pop().unwrap_or_default()
    }

    /// Gives an exchange back for later.
    pub fn give_exchange(&self, mut exchange: Box<Exchange>) {
        exchange.held.clear();
        let kept = &mut self.exchanges.borrow_mut().0;
        if kept.len() < KEPT_EXCHANGES {
            kept.push(exchange);
        }
    }
}
