//! One request for many (RFC 9111 section 4): who comes while an answer is being fetched waits for it.
//!
//! The first fetches, the others wait, each at most once and for a bounded time. A fetch that ends in whatever way frees
//! them at once; nobody waits behind an answer that is not for all.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasher, RandomState};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

/// Parts of the table of fetches under way, each with a lock of its own.
const PARTS: usize = 64;

type Part = Mutex<HashMap<Box<[u8]>, Arc<Flight>>>;

/// The fetches under way.
pub(super) struct Flights {
    parts: Arc<[Part]>,
    hashes: RandomState,
}

/// A fetch under way.
pub(super) struct Flight {
    over: AtomicBool,
    ended: Notify,
}

/// Whoever fetches holds this; dropped, the others go on.
pub(super) struct Leader {
    parts: Arc<[Part]>,
    part: usize,
    key: Box<[u8]>,
    flight: Arc<Flight>,
}

/// Whether to fetch or to wait.
pub(super) enum Role {
    Leader(Leader),
    Follower(Arc<Flight>),
}

impl Flights {
    pub(super) fn new(hashes: RandomState) -> Flights {
        Flights { parts: (0..PARTS).map(|_| Part::default()).collect(), hashes }
    }

    /// Joins the fetch of a key, or begins it.
    pub(super) fn join(&self, key: &[u8]) -> Role {
        let part = usize::try_from(self.hashes.hash_one(key) % PARTS as u64).unwrap_or(0);
        let new = || Arc::new(Flight { over: AtomicBool::new(false), ended: Notify::new() });
        let Some(flights) = self.parts.get(part) else { return Role::Follower(new()) };
        let mut flights = flights.lock().unwrap_or_else(PoisonError::into_inner);
        match flights.entry(key.into()) {
            Entry::Occupied(known) => Role::Follower(known.get().clone()),
            Entry::Vacant(vacant) => {
                let flight = vacant.insert(new()).clone();
                Role::Leader(Leader { parts: self.parts.clone(), part, key: key.into(), flight })
            }
        }
    }
}

impl Flight {
    /// Waits for its end, at most so long. False when it did not come.
    pub(super) async fn wait(&self, most: Duration) -> bool {
        let mut ended = pin!(self.ended.notified());
        // Whoever is told from here on is told to us too.
        ended.as_mut().enable();
        self.over.load(Ordering::Acquire) || tokio::time::timeout(most, ended).await.is_ok()
    }
}

impl Drop for Leader {
    fn drop(&mut self) {
        if let Some(flights) = self.parts.get(self.part) {
            flights.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
        }
        self.flight.over.store(true, Ordering::Release);
        self.flight.ended.notify_waiters();
    }
}
