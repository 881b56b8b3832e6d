//! A configuration that serves a share of the requests, beside the one that runs, and what was counted of both.
//!
//! Takes a snapshot and a share; gives counts of the two arms. Workers count with atomic additions, and only while there
//! is a canary. Must never bring services or listeners of its own: what both use is shared.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::Snapshot;
use crate::observe::histogram::BOUNDS_MICROS;
use crate::observe::telemetry::Counts;
use crate::values::Percent;
use crate::values::random::Random;

/// A million parts of a whole.
const WHOLE: usize = 1_000_000;

/// A configuration on trial.
pub struct Canary {
    /// What it says.
    pub snapshot: Arc<Snapshot>,
    /// The share of requests that it serves.
    pub share: Percent,
    running: Arm,
    trial: Arm,
}

/// What was counted of one of the two.
#[derive(Default)]
struct Arm {
    classes: [AtomicU64; 5],
    buckets: [AtomicU64; BOUNDS_MICROS.len() + 1],
    sum_micros: AtomicU64,
}

impl Canary {
    /// A snapshot that has served nothing yet.
    pub fn new(snapshot: Arc<Snapshot>, share: Percent) -> Canary {
        Canary { snapshot, share, running: Arm::default(), trial: Arm::default() }
    }

    /// Whether the next exchange is one of its share.
    pub fn takes(&self, random: &Random) -> bool {
        random.below(WHOLE) < self.share.parts_per_million() as usize
    }

    /// Counts an exchange that is over, by the revision that served it.
    pub fn count(&self, revision: u64, status: u16, duration: Duration) {
        let arm = if revision == self.snapshot.revision { &self.trial } else { &self.running };
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let class = usize::from(status / 100).wrapping_sub(1);
        let bucket = BOUNDS_MICROS.partition_point(|bound| *bound < micros);
        // A client that was gone before its answer says nothing about either.
        let (Some(class), Some(bucket)) = (arm.classes.get(class), arm.buckets.get(bucket)) else { return };
        class.fetch_add(1, Ordering::Relaxed);
        bucket.fetch_add(1, Ordering::Relaxed);
        arm.sum_micros.fetch_add(micros, Ordering::Relaxed);
    }

    /// What was counted of the configuration that runs, and of this one.
    pub fn told(&self) -> [Counts; 2] {
        [self.running.told(), self.trial.told()]
    }
}

impl Arm {
    fn told(&self) -> Counts {
        let mut counts = Counts::default();
        for (told, own) in counts.classes.iter_mut().zip(&self.classes) {
            *told = own.load(Ordering::Relaxed);
        }
        for (told, own) in counts.latency.buckets.iter_mut().zip(&self.buckets) {
            *told = own.load(Ordering::Relaxed);
        }
        counts.latency.sum_micros = self.sum_micros.load(Ordering::Relaxed);
        counts.calls = counts.latency.count();
        counts
    }
}
