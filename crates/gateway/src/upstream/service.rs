//! A service as it runs: its settings, and the live part that outlives a reload.
//!
//! Written by the control side (resolver, compile), read by all workers. Only this file holds what workers share
//! about services: one published set of endpoints, and for each endpoint one shard of counters for each worker.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;

use crate::balance::Balance;
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
    /// How an endpoint is chosen.
    pub balance: Balance,
    /// Time for a connection to be accepted.
    pub connect_timeout: Duration,
    /// Time from the sent request to the head of the answer.
    pub answer_timeout: Duration,
    /// Silence inside an answer or a tunnel.
    pub idle_timeout: Duration,
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
    /// TLS to it; `None` in clear.
    pub peer: Option<Peer>,
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
}

impl ServiceLive {
    /// A service whose endpoints are not known yet.
    pub fn new() -> Arc<ServiceLive> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Arc::new(ServiceLive {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            endpoints: ArcSwap::default(),
            generation: AtomicU64::new(0),
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

    /// Publishes other endpoints. An endpoint of the same address, weight and path goes on with its counters.
    pub fn publish(&self, wanted: &[EndpointSettings], workers: usize) {
        let known = self.endpoints();
        let same = known.len() == wanted.len() && known.iter().zip(wanted).all(|(a, b)| a.settings == *b);
        if same && self.generation() > 0 {
            return;
        }
        let next = wanted.iter().map(|settings| {
            let kept = known.iter().find(|endpoint| endpoint.settings == *settings);
            kept.cloned().unwrap_or_else(|| Endpoint::new(settings.clone(), workers))
        });
        self.endpoints.store(Arc::new(next.collect()));
        self.generation.fetch_add(1, Ordering::Release);
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
    /// TLS to it; `None` in clear. Part of what tells endpoints apart, so that connections, which belong to an endpoint,
    /// never carry what another identity sends.
    pub peer: Option<Peer>,
}

/// One endpoint: an address that does the service's job.
pub struct Endpoint {
    /// What tells it apart.
    pub settings: EndpointSettings,
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
}

impl Endpoint {
    fn new(settings: EndpointSettings, workers: usize) -> Arc<Endpoint> {
        Arc::new(Endpoint {
            settings,
            shards: (0..workers.max(1)).map(|_| EndpointShard::default()).collect(),
        })
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
        EndpointSettings { address, authority: "a".into(), weight: 1, peer: None }
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
}
