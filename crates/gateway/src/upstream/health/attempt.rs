//! What a worker counts of a try, where its service takes ill endpoints out. Where it does not, nothing is counted.

use std::rc::Rc;
use std::sync::atomic::Ordering;

use super::super::local::LocalEndpoint;
use super::super::service::{EndpointShard, Service};
use crate::fault::{Blame, Fault};
use crate::observe::histogram::{Reading, add};

/// The first status that counts as a failure of the endpoint.
const FAILED: u16 = 500;

/// A try that waits for the head of an answer, until it is dropped.
pub struct Waiting(Rc<LocalEndpoint>);

impl Waiting {
    /// Begins to wait; `None` where nobody wants to know.
    pub fn begin(service: &Service, endpoint: &Rc<LocalEndpoint>) -> Option<Waiting> {
        service.health.eject.as_ref()?;
        let waiting = Waiting(endpoint.clone());
        waiting.count(1);
        Some(waiting)
    }

    /// The head of an answer of this status has come.
    pub fn answered(self, status: u16) {
        let Some(shard) = self.0.shard() else { return };
        add(&shard.heads, 1);
        let row = &self.0.shared.health.errors_in_row;
        if status >= FAILED {
            add(&shard.bad_heads, 1);
            row.fetch_add(1, Ordering::Relaxed);
        } else if row.load(Ordering::Relaxed) != 0 {
            row.store(0, Ordering::Relaxed);
        }
    }

    fn count(&self, by: i32) {
        if let Some(shard) = self.0.shard() {
            let now = shard.waiting.load(Ordering::Relaxed);
            shard.waiting.store(now.saturating_add_signed(by), Ordering::Relaxed);
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.count(-1);
    }
}

/// A try failed. What the client is to blame for says nothing about the endpoint, and neither does the end of the
/// time that the route gives to the whole exchange.
pub fn failed(service: &Service, endpoint: &LocalEndpoint, fault: &Fault) {
    if service.health.eject.is_none() || fault.facts().blame != Blame::Service || *fault == Fault::Timeout {
        return;
    }
    // It answered well; that the route wants something else of its body says nothing about the target.
    if matches!(fault, Fault::AnswerUnfit(_)) {
        return;
    }
    if let Some(shard) = endpoint.shard() {
        add(&shard.failures, 1);
        endpoint.shared.health.errors_in_row.fetch_add(1, Ordering::Relaxed);
    }
}

/// Sums of the workers' counts of one endpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Heads of answers.
    pub heads: u64,
    /// Of these, of 500 and above.
    pub bad: u64,
    /// Tries without a head.
    pub failures: u64,
    /// Tries that wait for a head now.
    pub waiting: u32,
    /// Times to the head of an answer.
    pub answered: Reading,
}

impl Counts {
    pub(super) fn of(shards: &[EndpointShard]) -> Counts {
        let mut sum = Counts::default();
        for shard in shards {
            sum.heads = sum.heads.wrapping_add(shard.heads.load(Ordering::Relaxed));
            sum.bad = sum.bad.wrapping_add(shard.bad_heads.load(Ordering::Relaxed));
            sum.failures = sum.failures.wrapping_add(shard.failures.load(Ordering::Relaxed));
            shard.answered.read(&mut sum.answered);
            sum.waiting = sum.waiting.saturating_add(shard.waiting.load(Ordering::Relaxed));
        }
        sum
    }
}
