//! What each service of a split has had: requests, failures, times. Written by workers, each in its own part; read by the
//! control side.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::scale::{Scale, Times};

/// The counters of all arms.
pub(super) struct Counted {
    /// One part for each worker and arm, made at its first use.
    shards: Box<[OnceLock<Box<ArmShard>>]>,
    arms: usize,
}

/// What one worker counts of one arm; only that worker writes here.
#[derive(Default)]
pub struct ArmShard {
    requests: AtomicU64,
    failed: AtomicU64,
    times: Times,
}

/// What an arm has had, over all workers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ArmReading {
    /// Requests that are over.
    pub requests: u64,
    /// Of these, those that the service failed: 5xx, or no answer.
    pub failed: u64,
    /// Times to the head of the answer.
    pub times: Scale,
}

impl Counted {
    pub(super) fn new(workers: usize, arms: usize) -> Counted {
        Counted { shards: (0..workers.saturating_mul(arms)).map(|_| OnceLock::new()).collect(), arms }
    }

    /// The part of a worker.
    pub(super) fn shard(&self, worker: usize, arm: usize) -> Option<&ArmShard> {
        let place = worker.checked_mul(self.arms)?.checked_add(arm)?;
        Some(self.shards.get(place)?.get_or_init(Box::default))
    }

    pub(super) fn read(&self) -> Vec<ArmReading> {
        let mut read = vec![ArmReading::default(); self.arms];
        for (place, shard) in self.shards.iter().enumerate() {
            let arm = place.checked_rem(self.arms).and_then(|arm| read.get_mut(arm));
            if let (Some(reading), Some(shard)) = (arm, shard.get()) {
                reading.requests = reading.requests.saturating_add(shard.requests.load(Ordering::Relaxed));
                reading.failed = reading.failed.saturating_add(shard.failed.load(Ordering::Relaxed));
                shard.times.read(&mut reading.times);
            }
        }
        read
    }
}

impl ArmShard {
    /// Counts a request. Only the worker whose part this is may call this.
    pub fn record(&self, took: Duration, failed: bool) {
        let add = |counter: &AtomicU64, count: u64| {
            counter.store(counter.load(Ordering::Relaxed).wrapping_add(count), Ordering::Relaxed);
        };
        add(&self.requests, 1);
        add(&self.failed, u64::from(failed));
        self.times.record(took);
    }
}

impl ArmReading {
    /// What came since an earlier reading.
    pub fn since(&self, before: &ArmReading) -> ArmReading {
        ArmReading {
            requests: self.requests.saturating_sub(before.requests),
            failed: self.failed.saturating_sub(before.failed),
            times: self.times.since(&before.times),
        }
    }

    /// Adds what another arm has had.
    pub fn add(&mut self, other: &ArmReading) {
        self.requests = self.requests.saturating_add(other.requests);
        self.failed = self.failed.saturating_add(other.failed);
        self.times.add(&other.times);
    }
}
