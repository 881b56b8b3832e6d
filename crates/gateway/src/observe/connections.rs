//! Connections of one listener: how many there are, were and were refused, in all and for each client address.
//!
//! Shared by all workers. What is counted for an address is exact and bounded: an entry lives as long as one of its
//! connections, and a lock is held for the length of one addition, once when a connection begins and once when it
//! ends.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use super::http2::Http2Counts;

/// Maps of addresses, so that workers seldom meet at one.
const SHARDS: usize = 64;
/// Seconds between two warnings of one listener.
const WARNING_SECONDS: u64 = 10;

/// Why a connection is turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The listener has as many as it takes.
    ListenerFull,
    /// The limit of open files leaves no room.
    Descriptors,
    /// The client's address has as many as one may have.
    ClientFull,
    /// It came from nobody who may send a PROXY protocol header, where one is required.
    ProxyUntrusted,
    /// Its PROXY protocol header is missing.
    ProxyMissing,
    /// Its PROXY protocol header is not well formed.
    ProxyMalformed,
    /// Its PROXY protocol header did not come in time.
    ProxyTimeout,
}

impl Refusal {
    /// All of them.
    pub const ALL: [Refusal; 7] = [
        Refusal::ListenerFull,
        Refusal::Descriptors,
        Refusal::ClientFull,
        Refusal::ProxyUntrusted,
        Refusal::ProxyMissing,
        Refusal::ProxyMalformed,
        Refusal::ProxyTimeout,
    ];

    /// The label of the metric.
    pub fn label(self) -> &'static str {
        match self {
            Refusal::ListenerFull => "listener_full",
            Refusal::Descriptors => "descriptors",
            Refusal::ClientFull => "client_full",
            Refusal::ProxyUntrusted => "proxy_untrusted",
            Refusal::ProxyMissing => "proxy_missing",
            Refusal::ProxyMalformed => "proxy_malformed",
            Refusal::ProxyTimeout => "proxy_timeout",
        }
    }
}

/// The counters of a listener; they outlive its reloads.
#[derive(Default)]
pub struct Connections {
    /// Open now.
    pub active: AtomicUsize,
    /// Accepted since the start.
    pub accepted: AtomicU64,
    /// Times that the system had no connection to give, for want of descriptors or memory.
    pub failures: AtomicU64,
    refused: [AtomicU64; Refusal::ALL.len()],
    /// What of them speaks HTTP/2.
    pub http2: Http2Counts,
    clients: Clients,
    everywhere: Arc<AtomicUsize>,
    warned: AtomicU64,
}

/// One open connection.
pub struct Counted(Arc<Connections>);

impl Connections {
    /// Counters of a listener whose connections count among those `everywhere` in the process.
    pub fn among(everywhere: &Arc<AtomicUsize>) -> Connections {
        Connections { everywhere: everywhere.clone(), ..Connections::default() }
    }

    /// Counts a connection until the guard is dropped, unless `most` are open on this listener, or `most_everywhere`
    /// in the process.
    pub fn enter(self: &Arc<Self>, most: usize, most_everywhere: usize) -> Result<Counted, Refusal> {
        let own = self.active.fetch_add(1, Ordering::Relaxed);
        let all = self.everywhere.fetch_add(1, Ordering::Relaxed);
        let counted = Counted(self.clone());
        if own >= most {
            return Err(Refusal::ListenerFull);
        }
        if all >= most_everywhere {
            return Err(Refusal::Descriptors);
        }
        self.accepted.fetch_add(1, Ordering::Relaxed);
        Ok(counted)
    }

    /// Counts a connection of a client's address until the guard is dropped, unless `most` are open.
    pub fn enter_client(self: &Arc<Self>, address: IpAddr, most: u32) -> Result<CountedClient, Refusal> {
        let network = network(address);
        if !self.clients.enter(network, most) {
            return Err(Refusal::ClientFull);
        }
        Ok(CountedClient { connections: self.clone(), network })
    }

    /// Counts a connection that was turned away.
    pub fn refuse(&self, refusal: Refusal) {
        if let Some(counter) = self.refused.get(refusal as usize) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Connections turned away for this reason.
    pub fn refused(&self, refusal: Refusal) -> u64 {
        self.refused.get(refusal as usize).map_or(0, |counter| counter.load(Ordering::Relaxed))
    }

    /// Whether something about connections may be written to the log now: what clients cause at will must not fill it.
    pub fn may_warn(&self) -> bool {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let last = self.warned.load(Ordering::Relaxed);
        now >= last.saturating_add(WARNING_SECONDS)
            && self.warned.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

impl Counted {
    /// The counters it counts among.
    pub fn among(&self) -> &Arc<Connections> {
        &self.0
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.active.fetch_sub(1, Ordering::Relaxed);
        self.0.everywhere.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One open connection of an address.
pub struct CountedClient {
    connections: Arc<Connections>,
    network: IpAddr,
}

impl Drop for CountedClient {
    fn drop(&mut self) {
        self.connections.clients.leave(self.network);
    }
}

/// What counts as one client: an IPv4 address, or the 64 bits of an IPv6 network, of which each customer has at least
/// one.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        address => address,
    }
}

/// Open connections by address.
struct Clients {
    hasher: RandomState,
    shards: [Mutex<HashMap<IpAddr, u32>>; SHARDS],
}

impl Default for Clients {
    fn default() -> Clients {
        Clients { hasher: RandomState::new(), shards: std::array::from_fn(|_| Mutex::default()) }
    }
}

impl Clients {
    fn shard(&self, network: IpAddr) -> Option<std::sync::MutexGuard<'_, HashMap<IpAddr, u32>>> {
        let place = usize::try_from(self.hasher.hash_one(network) % SHARDS as u64).unwrap_or(0);
        Some(self.shards.get(place)?.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn enter(&self, network: IpAddr, most: u32) -> bool {
        let Some(mut shard) = self.shard(network) else { return false };
        let open = shard.entry(network).or_insert(0);
        let fits = *open < most;
        if fits {
            *open = open.saturating_add(1);
        }
        fits
    }

    fn leave(&self, network: IpAddr) {
        let Some(mut shard) = self.shard(network) else { return };
        if let Some(open) = shard.get_mut(&network) {
            *open = open.saturating_sub(1);
            if *open == 0 {
                shard.remove(&network);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_listener_refuses_until_one_has_gone() {
        let connections = Arc::new(Connections::default());
        let first = connections.enter(1, 9).unwrap();
        assert_eq!(connections.enter(1, 9).err(), Some(Refusal::ListenerFull));
        drop(first);
        assert!(connections.enter(1, 9).is_ok());
        assert_eq!(connections.accepted.load(Ordering::Relaxed), 2);
        assert_eq!(connections.active.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn all_listeners_together_have_a_bound() {
        let everywhere = Arc::default();
        let [one, other] = [(), ()].map(|()| Arc::new(Connections::among(&everywhere)));
        let first = one.enter(9, 1).unwrap();
        assert_eq!(other.enter(9, 1).err(), Some(Refusal::Descriptors));
        drop(first);
        assert!(other.enter(9, 1).is_ok());
    }

    #[test]
    fn an_address_has_its_share_and_a_network_of_ipv6_counts_as_one() {
        let connections = Arc::new(Connections::default());
        for (first, same, other) in [
            ("192.0.2.1", "::ffff:192.0.2.1", "192.0.2.2"),
            ("2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff", "2001:db8:0:1::1"),
        ] {
            let [first, same, other] = [first, same, other].map(|text| text.parse::<IpAddr>().unwrap());
            let open = connections.enter_client(first, 1).unwrap();
            assert_eq!(connections.enter_client(same, 1).err(), Some(Refusal::ClientFull));
            assert!(connections.enter_client(other, 1).is_ok());
            drop(open);
            assert!(connections.enter_client(same, 1).is_ok());
        }
        let left: usize = connections.clients.shards.iter().map(|shard| shard.lock().unwrap().len()).sum();
        assert_eq!(left, 0, "addresses without a connection are forgotten");
    }

    #[test]
    fn each_refusal_counts_for_itself() {
        let connections = Connections::default();
        Refusal::ALL.into_iter().for_each(|refusal| connections.refuse(refusal));
        assert!(Refusal::ALL.into_iter().all(|refusal| connections.refused(refusal) == 1));
    }
}
