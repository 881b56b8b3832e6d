//! A service as it runs: its settings, and the live part that outlives a reload.
//!
//! Written by the control side (resolver, compile), read by all workers. Only this file holds what workers share
//! about services: one published set of endpoints, and for each endpoint one shard of counters for each worker.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use http1::NameBuf;

use super::breaker::{self, Breaker};
use super::budget::Budget;
use super::door::Door;
use super::health::{self, Health, Rank, Standing};
use super::pace::Pace;
use super::retry::Retry;
use crate::balance::Balance;
use crate::config::Protocol;
use crate::http::proxy_protocol::Version;
use crate::identity::Sending;
use crate::observe::histogram::Histogram;
use crate::tls::target::Peer;
use crate::values::TargetUrl;

/// A service of the snapshot.
pub struct Service {
    /// Its name in the configuration.
    pub name: Arc<str>,
    /// Its place in the snapshot.
    pub index: u32,
    /// What its endpoints are made of; the resolver keeps them up to date.
    pub targets: Vec<Target>,
    /// What its targets may speak.
    pub protocol: Protocol,
    /// How an endpoint is chosen.
    pub balance: Balance,
    /// Time for a connection to be accepted.
    pub connect_timeout: Duration,
    /// Time from the sent request to the head of the answer.
    pub answer_timeout: Duration,
    /// Silence inside an answer.
    pub idle_timeout: Duration,
    /// Silence of both sides of a tunnel.
    pub tunnel_timeout: Duration,
    /// Rest of a connection in the pool, unless the origin says less.
    pub pool_idle: Duration,
    /// Connections at rest that a worker keeps for each endpoint.
    pub pool_size: usize,
    /// Which Host the service sees.
    pub host: HostHeader,
    /// Most bytes of an answer's head.
    pub max_head: usize,
    /// What the gateway proves itself with.
    pub credentials: Option<Sending>,
    /// Whether connections begin with a PROXY protocol header, and of which version.
    pub proxy_protocol: Option<Version>,
    /// Refuses requests while too many fail.
    pub breaker: Option<Arc<Breaker>>,
    /// Bounds the requests it has at a time.
    pub door: Option<Arc<Door>>,
    /// The header that tells it how much time is left.
    pub deadline_header: Option<NameBuf>,
    /// When its requests are sent again, where the route does not say.
    pub retry: Option<Retry>,
    /// What may be sent again of all its requests.
    pub budget: Arc<Budget>,
    /// How long it takes to answer of late, where a route's requests are hedged.
    pub pace: OnceLock<Arc<Pace>>,
    /// How its endpoints are watched.
    pub health: health::Settings,
    /// What outlives a reload.
    pub live: Arc<ServiceLive>,
}

/// One target as written: a name may stand for many endpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Host and port.
    pub url: TargetUrl,
    /// Share of the requests, of all its endpoints together.
    pub weight: u32,
    /// When it is asked.
    pub rank: Rank,
    /// TLS to it; `None` in clear.
    pub peer: Option<Peer>,
    /// What is spoken to it; the choice is left to it under TLS only.
    pub protocol: Protocol,
}

/// Which Host the service sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostHeader {
    /// The client's.
    Client,
    /// The target's own authority.
    Target,
    /// This one.
    Fixed(Box<[u8]>),
}

/// The live part of a service.
pub struct ServiceLive {
    /// Unlike that of any other service of this process.
    pub id: u64,
    endpoints: ArcSwap<Vec<Arc<Endpoint>>>,
    generation: AtomicU64,
    /// Of the control side alone: who changes endpoints or their shares holds it.
    changes: Mutex<Changes>,
}

/// Every weight is multiplied by this, so that it can be divided among the addresses of a name.
pub const SHARES: u32 = 60;

/// What shares are made from besides the endpoints.
#[derive(Default)]
struct Changes {
    panic_threshold: u32,
    /// Targets, as written or as addresses, that were taken out by command.
    drained: BTreeSet<String>,
    /// Weights that were given to targets by command, in place of those of the configuration.
    weights: BTreeMap<String, u32>,
    /// What circuits its endpoints have, and for how many workers.
    circuits: Option<(breaker::Settings, usize)>,
}

impl ServiceLive {
    /// A service whose endpoints are not known yet.
    pub fn new() -> Arc<ServiceLive> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Arc::new(ServiceLive {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            endpoints: ArcSwap::default(),
            generation: AtomicU64::new(0),
            changes: Mutex::default(),
        })
    }

    /// The endpoints now.
    pub fn endpoints(&self) -> Arc<Vec<Arc<Endpoint>>> {
        self.endpoints.load_full()
    }

    /// Changes with every change of the endpoints.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Publishes other endpoints. An endpoint of the same settings goes on with its counters, one of the same address
    /// and target with what is known of its health.
    pub fn publish(&self, wanted: &[EndpointSettings], workers: usize) {
        let changes = self.changes();
        let known = self.endpoints();
        let same = known.len() == wanted.len() && known.iter().zip(wanted).all(|(a, b)| a.settings == *b);
        if same && self.generation() > 0 {
            return;
        }
        let next: Vec<Arc<Endpoint>> = wanted
            .iter()
            .map(|settings| {
                let kept = known.iter().find(|endpoint| endpoint.settings == *settings);
                kept.cloned().unwrap_or_else(|| {
                    let is_same = |known: &&Arc<Endpoint>| {
                        (known.settings.address, &known.settings.authority)
                            == (settings.address, &settings.authority)
                    };
                    let health = known.iter().find(is_same).map(|known| known.health.clone());
                    Endpoint::new(settings.clone(), health.unwrap_or_default(), workers)
                })
            })
            .collect();
        next.iter().for_each(|endpoint| endpoint.health.keep_circuit(changes.circuits.as_ref()));
        let (_, standing) = share_out(&next, &changes);
        let next = Arc::new(next);
        self.endpoints.store(next.clone());
        self.generation.fetch_add(1, Ordering::Release);
        confirm(&next, &standing);
    }

    /// Gives each endpoint its share by what is known of its health, and tells the workers if one changed.
    pub fn settle(&self) {
        let changes = self.changes();
        let endpoints = self.endpoints();
        let (changed, standing) = share_out(&endpoints, &changes);
        if changed {
            self.generation.fetch_add(1, Ordering::Release);
        }
        confirm(&endpoints, &standing);
    }

    /// From which share of well endpoints on their health counts, in parts of a million.
    pub fn set_panic_threshold(&self, threshold: u32) {
        self.changes().panic_threshold = threshold;
        self.settle();
    }

    /// Gives each endpoint a circuit of these settings, or none. Those of the same settings stay.
    pub fn set_circuits(&self, circuits: Option<(breaker::Settings, usize)>) {
        let mut changes = self.changes();
        changes.circuits = circuits;
        for endpoint in self.endpoints().iter() {
            endpoint.health.keep_circuit(changes.circuits.as_ref());
        }
    }

    /// Takes a target out, or back in: as written (`users-a:8000`), or the address of one endpoint. `None` when the
    /// service has no such target; false when nothing changed.
    pub fn drain(&self, target: &str, out: bool) -> Option<bool> {
        let is_known = self.endpoints().iter().any(|endpoint| endpoint.is_named(target));
        let changed = {
            let mut changes = self.changes();
            let drained = &mut changes.drained;
            match (out, is_known) {
                (true, false) => return None,
                (true, true) => drained.insert(target.to_owned()),
                (false, _) => drained.remove(target).then_some(true).or(is_known.then_some(false))?,
            }
        };
        self.settle();
        Some(changed)
    }

    /// Gives a target, as written or by the address of one endpoint, another weight: as in the configuration.
    /// `None` gives it back that of the configuration. False when the service has no such target.
    pub fn weigh(&self, target: &str, weight: Option<u32>) -> bool {
        if !self.endpoints().iter().any(|endpoint| endpoint.is_named(target)) {
            return false;
        }
        {
            let weights = &mut self.changes().weights;
            match weight {
                Some(weight) => _ = weights.insert(target.to_owned(), weight),
                None => _ = weights.remove(target),
            }
        }
        self.settle();
        true
    }

    fn changes(&self) -> MutexGuard<'_, Changes> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Publishes shares; true when one changed.
fn share_out(endpoints: &[Arc<Endpoint>], changes: &Changes) -> (bool, Vec<Standing>) {
    let standing: Vec<Standing> = endpoints
        .iter()
        .map(|endpoint| {
            let drained = changes.drained.iter().any(|target| endpoint.is_named(target));
            let given = changes.weights.iter().find(|(target, _)| endpoint.is_named(target));
            let weight = given.map_or(endpoint.settings.weight, |(target, weight)| {
                let alike = endpoints.iter().filter(|one| one.is_named(target)).count();
                weight.saturating_mul(SHARES).div_ceil(u32::try_from(alike).unwrap_or(1).max(1))
            });
            endpoint.health.standing(weight, endpoint.settings.rank, drained)
        })
        .collect();
    let shares = health::shares(&standing, changes.panic_threshold);
    let mut changed = false;
    for ((endpoint, share), standing) in endpoints.iter().zip(shares).zip(&standing) {
        changed |= endpoint.health.publish(share, standing.drained);
    }
    (changed, standing)
}

fn confirm(endpoints: &[Arc<Endpoint>], standing: &[Standing]) {
    for (endpoint, standing) in endpoints.iter().zip(standing) {
        endpoint.health.confirm(standing.well);
    }
}

/// What tells endpoints apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointSettings {
    /// Where it listens.
    pub address: SocketAddr,
    /// The target it came from, as written: `users-a:8000`.
    pub authority: Arc<str>,
    /// Its share of the requests, against the other endpoints'.
    pub weight: u32,
    /// When it is asked.
    pub rank: Rank,
    /// TLS to it; `None` in clear. Part of what tells endpoints apart, so that connections, which belong to an endpoint,
    /// never carry what another identity sends.
    pub peer: Option<Peer>,
    /// What is spoken to it.
    pub protocol: Protocol,
}

/// One endpoint: an address that does the service's job.
pub struct Endpoint {
    /// What tells it apart.
    pub settings: EndpointSettings,
    /// Whether it is well.
    pub health: Arc<Health>,
    shards: Box<[EndpointShard]>,
}

/// What one worker counts about an endpoint. A cache line of its own, written by that worker only.
#[repr(align(128))]
#[derive(Default)]
pub struct EndpointShard {
    /// Exchanges that wait for this endpoint now.
    pub in_flight: AtomicU32,
    /// Moving average of the time to the answer's head, in microseconds; 0 before the first.
    pub ewma_micros: AtomicU32,
    /// Time to the answer's head.
    pub answered: Histogram,
    /// Tries that ended in a fault.
    pub faults: AtomicU64,
    /// Connections opened.
    pub connects: AtomicU64,
    // What follows is counted only where the service takes ill endpoints out.
    /// Heads of answers.
    pub heads: AtomicU64,
    /// Of these, of 500 and above.
    pub bad_heads: AtomicU64,
    /// Tries that gave no head, for which the endpoint is to blame.
    pub failures: AtomicU64,
    /// Tries that wait for a head now.
    pub waiting: AtomicU32,
}

impl Endpoint {
    fn new(settings: EndpointSettings, health: Arc<Health>, workers: usize) -> Arc<Endpoint> {
        Arc::new(Endpoint {
            settings,
            health,
            shards: (0..workers.max(1)).map(|_| EndpointShard::default()).collect(),
        })
    }

    /// Whether a target of this name, or this address, means it.
    pub fn is_named(&self, target: &str) -> bool {
        *self.settings.authority == *target || target.parse() == Ok(self.settings.address)
    }

    /// Its address, and why it gets fewer requests than its weight says, where that is so.
    pub fn told(&self) -> String {
        let address = self.settings.address;
        match self.health.ailment() {
            Some(ailment) => format!("{address} ({ailment})"),
            None => address.to_string(),
        }
    }

    /// The shard of a worker.
    pub fn shard(&self, worker: usize) -> Option<&EndpointShard> {
        self.shards.get(worker)
    }

    /// All shards.
    pub fn shards(&self) -> &[EndpointShard] {
        &self.shards
    }

    /// Exchanges of all workers that wait for this endpoint now.
    pub fn in_flight(&self) -> u32 {
        self.shards.iter().map(|shard| shard.in_flight.load(Ordering::Relaxed)).fold(0, u32::saturating_add)
    }

    /// Mean over the workers' moving averages that have one, in microseconds.
    pub fn ewma_micros(&self) -> u32 {
        let known = self.shards.iter().map(|shard| shard.ewma_micros.load(Ordering::Relaxed));
        let (sum, count) =
            known.filter(|average| *average > 0).fold((0u64, 0u64), |(sum, count), average| {
                (sum.saturating_add(u64::from(average)), count.saturating_add(1))
            });
        u32::try_from(sum.checked_div(count).unwrap_or(0)).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(port: u16) -> EndpointSettings {
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        EndpointSettings {
            address,
            authority: "a".into(),
            weight: 1,
            rank: Rank::Near,
            peer: None,
            protocol: Protocol::Http1,
        }
    }

    #[test]
    fn endpoints_that_stay_keep_their_counters() {
        let live = ServiceLive::new();
        live.publish(&[settings(1), settings(2)], 2);
        let before = live.endpoints();
        live.publish(&[settings(2), settings(3)], 2);
        assert!(Arc::ptr_eq(&before[1], &live.endpoints()[0]));
        assert_eq!(live.generation(), 2);
        live.publish(&[settings(2), settings(3)], 2);
        assert_eq!(live.generation(), 2, "nothing changed");
    }

    #[test]
    fn what_was_drained_stays_so_with_another_weight_and_comes_back_by_command() {
        let live = ServiceLive::new();
        live.publish(&[settings(1), settings(2)], 1);
        assert_eq!(live.drain("127.0.0.1:3", true), None, "nobody has that address");
        assert_eq!((live.drain("127.0.0.1:1", true), live.generation()), (Some(true), 2));
        assert_eq!((live.drain("127.0.0.1:1", true), live.generation()), (Some(false), 2));
        live.publish(&[EndpointSettings { weight: 5, ..settings(1) }, settings(2)], 1);
        let told = || live.endpoints().iter().map(|one| one.health.is_drained()).collect::<Vec<_>>();
        assert_eq!(told(), [true, false]);
        assert_eq!(live.drain("127.0.0.1:1", false), Some(true));
        assert_eq!((told(), live.endpoints()[0].health.share()), (vec![false, false], 5));
    }
}
