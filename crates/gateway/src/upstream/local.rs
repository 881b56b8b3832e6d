//! A worker's own view of a service: its endpoints, and the connections to them that rest.
//!
//! Takes the published endpoints whenever they change; keeps what stayed, so that pools live through reloads and
//! through changes of addresses, and drops the connections to addresses that are gone. Never shared.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Waker};
use std::time::Duration;

use super::connection::{Connection, Ends};
use super::http2::pool::Pool;
use super::service::{Endpoint, EndpointShard, Service, ServiceLive};
use crate::balance::{Balance, Choice, Load, Spread, hash};
use crate::config::Protocol;
use crate::exchange::Exchange;
use crate::values::random::Random;

/// One service in one worker.
pub struct LocalService {
    live: Arc<ServiceLive>,
    worker: usize,
    seen: Cell<u64>,
    group: RefCell<Rc<Group>>,
}

/// The endpoints as of one generation.
pub struct Group {
    balance: Balance,
    spread: Spread,
    endpoints: Vec<Rc<LocalEndpoint>>,
}

/// One endpoint in one worker.
pub struct LocalEndpoint {
    /// The endpoint that all workers share.
    pub shared: Arc<Endpoint>,
    /// Connections that exchanges share; `None` where it speaks HTTP/1.1 only.
    pub http2: Option<Rc<Pool>>,
    worker: usize,
    idle: RefCell<Vec<Idle>>,
    retired: Cell<bool>,
}

struct Idle {
    connection: Box<Connection>,
    until: u64,
}

impl LocalService {
    /// The view of a worker on a service.
    pub fn new(service: &Service, worker: usize) -> LocalService {
        let local = LocalService {
            live: service.live.clone(),
            worker,
            seen: Cell::new(0),
            group: RefCell::new(Rc::new(Group::empty())),
        };
        local.group(service);
        local
    }

    /// The endpoints now, taken over anew when they, or the way of choosing, have changed.
    pub fn group(&self, service: &Service) -> Rc<Group> {
        let generation = self.live.generation();
        let known = self.group.borrow().clone();
        if generation == self.seen.get() && known.balance == service.balance {
            return known;
        }
        self.seen.set(generation);
        let endpoints: Vec<_> = self
            .live
            .endpoints()
            .iter()
            .filter(|shared| !shared.health.is_drained())
            .map(|shared| known.take_over(shared, self.worker))
            .collect();
        for old in &known.endpoints {
            if !endpoints.iter().any(|new| Rc::ptr_eq(old, new)) {
                old.retire();
            }
        }
        let names: Vec<_> =
            endpoints.iter().map(|endpoint| endpoint.shared.settings.address.to_string()).collect();
        let weighed: Vec<_> = endpoints
            .iter()
            .zip(&names)
            .map(|(endpoint, name)| (endpoint.shared.health.share(), name.as_str()))
            .collect();
        let spread = Spread::new(&service.balance, &weighed, self.worker);
        let group = Rc::new(Group { balance: service.balance.clone(), spread, endpoints });
        *self.group.borrow_mut() = group.clone();
        group
    }

    /// Closes connections that rested too long.
    pub fn sweep(&self, now: u64) {
        for endpoint in &self.group.borrow().endpoints {
            if let Some(pool) = &endpoint.http2 {
                pool.sweep(now);
            }
            endpoint.idle.borrow_mut().retain(|idle| {
                let stays = idle.until > now;
                if !stays {
                    idle.connection.incoming.socket.farewell();
                }
                stays
            });
        }
    }

    /// The live part this view is of.
    pub fn live(&self) -> &Arc<ServiceLive> {
        &self.live
    }
}

impl Drop for LocalService {
    fn drop(&mut self) {
        for endpoint in &self.group.borrow().endpoints {
            endpoint.retire();
        }
    }
}

impl Group {
    fn empty() -> Group {
        Group {
            balance: Balance::RoundRobin,
            spread: Spread::new(&Balance::RoundRobin, &[], 0),
            endpoints: Vec::new(),
        }
    }

    fn take_over(&self, shared: &Arc<Endpoint>, worker: usize) -> Rc<LocalEndpoint> {
        let same = self.endpoints.iter().find(|endpoint| Arc::ptr_eq(&endpoint.shared, shared));
        same.cloned().unwrap_or_else(|| {
            Rc::new(LocalEndpoint {
                shared: shared.clone(),
                http2: (shared.settings.protocol != Protocol::Http1).then(Rc::default),
                worker,
                idle: RefCell::default(),
                retired: Cell::new(false),
            })
        })
    }

    /// All endpoints.
    pub fn endpoints(&self) -> impl Iterator<Item = &Rc<LocalEndpoint>> {
        self.endpoints.iter()
    }

    /// Chooses an endpoint that is not among the tried.
    pub fn choose(
        &self,
        exchange: &Exchange,
        random: &Random,
        tried: &[usize],
    ) -> Option<(usize, Rc<LocalEndpoint>)> {
        let load =
            |place: usize| self.endpoints.get(place).map(|endpoint| endpoint.load()).unwrap_or_default();
        let hash = match &self.balance {
            Balance::Hash(source) => exchange.source(source).map(|value| hash::hash(&value)),
            _ => None,
        };
        let choice = Choice { random, load: &load, hash, tried };
        let place = self.spread.choose(&self.balance, &choice)?;
        Some((place, self.endpoints.get(place)?.clone()))
    }
}

impl LocalEndpoint {
    /// This worker's counters.
    pub fn shard(&self) -> Option<&EndpointShard> {
        self.shared.shard(self.worker)
    }

    fn load(&self) -> Load {
        Load { in_flight: self.shared.in_flight(), ewma_micros: self.shared.ewma_micros() }
    }

    /// A connection that rests and is still good. One that stirred while it rested is closed or confused. One that was
    /// announced for a client is for that client only.
    pub fn take_idle(&self, ask_kernel: bool, announced: Option<Ends>) -> Option<Box<Connection>> {
        let mut cx = Context::from_waker(Waker::noop());
        loop {
            let idle = self.pop_idle(announced)?;
            let now = idle.connection.incoming.socket.read_timer.timers().now();
            if idle.until > now && !idle.connection.incoming.socket.stirred(&mut cx, ask_kernel) {
                return Some(idle.connection);
            }
        }
    }

    fn pop_idle(&self, announced: Option<Ends>) -> Option<Idle> {
        let mut idle = self.idle.borrow_mut();
        if announced.is_none() && idle.last()?.connection.announced.is_none() {
            return idle.pop();
        }
        // A reload may have changed the service's mind: both kinds can be here.
        let place = idle.iter().rposition(|idle| idle.connection.announced == announced)?;
        Some(idle.remove(place))
    }

    /// Lets a connection rest for the next exchange.
    pub fn put_idle(&self, mut connection: Box<Connection>, rest: Duration, most: usize) {
        let mut idle = self.idle.borrow_mut();
        if self.retired.get() || rest.is_zero() || idle.len() >= most {
            return;
        }
        connection.rest();
        let until = connection.incoming.socket.read_timer.timers().after(rest);
        idle.push(Idle { connection, until });
    }

    fn retire(&self) {
        self.retired.set(true);
        if let Some(pool) = &self.http2 {
            pool.retire();
        }
        for idle in self.idle.borrow_mut().drain(..) {
            idle.connection.incoming.socket.farewell();
        }
    }

    /// Counts an exchange that waits for this endpoint, until the guard is dropped.
    pub fn enter(self: &Rc<Self>) -> InFlight {
        self.count(1);
        InFlight(self.clone())
    }

    fn count(&self, by: i32) {
        if let Some(shard) = self.shard() {
            let now = shard.in_flight.load(Ordering::Relaxed);
            shard.in_flight.store(now.saturating_add_signed(by), Ordering::Relaxed);
        }
    }

    /// Learns that an answer would have taken longer than this, where that is longer than usual.
    pub fn outpaced(&self, after: Duration) {
        let Some(shard) = self.shard() else { return };
        let micros = u32::try_from(after.as_micros()).unwrap_or(u32::MAX);
        let average = shard.ewma_micros.load(Ordering::Relaxed);
        if micros > average {
            shard.ewma_micros.store(crate::balance::ewma::next_average(average, micros), Ordering::Relaxed);
        }
    }

    /// Learns from one answer how long this endpoint takes.
    pub fn learn(&self, took: Duration) {
        let Some(shard) = self.shard() else { return };
        let micros = u32::try_from(took.as_micros()).unwrap_or(u32::MAX);
        let average: &AtomicU32 = &shard.ewma_micros;
        average.store(
            crate::balance::ewma::next_average(average.load(Ordering::Relaxed), micros),
            Ordering::Relaxed,
        );
        shard.answered.record(took);
    }
}

/// One exchange in flight to an endpoint.
pub struct InFlight(Rc<LocalEndpoint>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.count(-1);
    }
}
