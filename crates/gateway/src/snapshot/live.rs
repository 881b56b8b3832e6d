//! Publishes the snapshot that runs, and the few facts that all workers share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};

use super::Snapshot;
use super::canary::Canary;
use crate::observe;

/// What the control side and the workers share.
pub struct Live {
    snapshot: ArcSwap<Snapshot>,
    canary: ArcSwapOption<Canary>,
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
        snapshot.start();
        Arc::new(Live {
            snapshot: ArcSwap::new(snapshot),
            canary: ArcSwapOption::empty(),
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

    /// What is on trial beside it.
    pub fn canary(&self) -> Option<Arc<Canary>> {
        self.canary.load_full()
    }

    /// Lets a share of the exchanges that start from now on be served by what is on trial, or none any more.
    pub fn try_out(&self, canary: Option<Arc<Canary>>) {
        if let Some(canary) = &canary {
            canary.snapshot.start();
        }
        self.canary.store(canary);
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// Lets another snapshot run: for every exchange that starts from now on. It ends a trial, whose ground is gone.
    pub fn swap(&self, next: Arc<Snapshot>) {
        next.take_effect();
        next.start();
        self.canary.store(None);
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
