//! Publishes the snapshot that runs, and the few facts that all workers share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;

use super::Snapshot;
use crate::observe;

/// What the control side and the workers share.
pub struct Live {
    snapshot: ArcSwap<Snapshot>,
    generation: AtomicU64,
    draining: AtomicBool,
    drain_spread_millis: AtomicU64,
    /// Log, metrics and traces.
    pub observe: Arc<observe::Shared>,
    /// How many workers there are.
    pub workers: usize,
}

impl Live {
    /// Starts with a snapshot.
    pub fn new(snapshot: Arc<Snapshot>, observe: Arc<observe::Shared>, workers: usize) -> Arc<Live> {
        Arc::new(Live {
            snapshot: ArcSwap::new(snapshot),
            generation: AtomicU64::new(1),
            draining: AtomicBool::new(false),
            drain_spread_millis: AtomicU64::new(0),
            observe,
            workers,
        })
    }

    /// The snapshot that runs.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// Lets another snapshot run: for every exchange that starts from now on.
    pub fn swap(&self, next: Arc<Snapshot>) {
        next.take_effect();
        self.snapshot.store(next);
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// Changes with every swap.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Begins to drain: connections end with their exchange, resting ones are closed spread over this time.
    pub fn drain(&self, spread: Duration) {
        let millis = u64::try_from(spread.as_millis()).unwrap_or(u64::MAX);
        self.drain_spread_millis.store(millis, Ordering::Relaxed);
        self.draining.store(true, Ordering::Release);
    }

    /// While draining, over which time resting connections are closed.
    pub fn draining(&self) -> Option<Duration> {
        let draining = self.draining.load(Ordering::Acquire);
        draining.then(|| Duration::from_millis(self.drain_spread_millis.load(Ordering::Relaxed)))
    }
}
