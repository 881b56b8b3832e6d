//! What may be sent again to a service: a share of what was sent to it of late, over all workers.
//!
//! Each worker counts in a place of its own, in slots of a quarter of a second; whoever wants to send again adds up the
//! slots of all workers. A request that is sent once costs its worker two writes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Instant;

use crate::observe::histogram::add;

/// Milliseconds that one slot counts, and how many slots make the window: 2s.
const SLOT_MILLIS: u32 = 250;
const SLOTS: usize = 8;
/// Repetitions within the window that are free, so that a service that is asked seldom has some at all.
const FREE: u64 = 3;

/// The budget of one service.
pub struct Budget {
    started: Instant,
    shards: Box<[Shard]>,
}

/// What one worker counts, which alone writes it.
#[repr(align(128))]
#[derive(Default)]
struct Shard {
    slots: [Slot; SLOTS],
    again: Granted,
    hedges: Granted,
    hedges_won: AtomicU64,
}

/// What was asked for and granted, or not.
#[derive(Default)]
struct Granted {
    sent: AtomicU64,
    refused: AtomicU64,
}

#[derive(Default)]
struct Slot {
    /// Which slot since the start this counts.
    number: AtomicU64,
    requests: AtomicU32,
    again: AtomicU32,
}

impl Budget {
    /// A budget for so many workers.
    pub fn new(workers: usize) -> Arc<Budget> {
        Arc::new(Budget {
            started: Instant::now(),
            shards: (0..workers.max(1)).map(|_| Shard::default()).collect(),
        })
    }

    /// A request is sent for the first time.
    pub fn begin(&self, worker: usize, now: Instant) {
        if let Some(slot) = self.slot(worker, now) {
            let so_far = slot.requests.load(Ordering::Relaxed);
            slot.requests.store(so_far.saturating_add(1), Ordering::Relaxed);
        }
    }

    /// Takes one repetition out of the share, in parts of a million. False when there is none left.
    pub fn take(&self, worker: usize, now: Instant, share: u32) -> bool {
        self.grant(worker, now, share, |shard| &shard.again)
    }

    /// The same for one that is made while the first is still waited for.
    pub fn take_hedge(&self, worker: usize, now: Instant, share: u32) -> bool {
        self.grant(worker, now, share, |shard| &shard.hedges)
    }

    /// Such a one was faster.
    pub fn hedge_won(&self, worker: usize) {
        if let Some(shard) = self.shards.get(worker) {
            add(&shard.hedges_won, 1);
        }
    }

    fn grant(&self, worker: usize, now: Instant, share: u32, whose: fn(&Shard) -> &Granted) -> bool {
        let newest = self.number(now);
        let (mut requests, mut again) = (0u64, 0u64);
        for slot in self.shards.iter().flat_map(|shard| &shard.slots) {
            // Numbers begin with a whole window, so that a slot that was never written is none of these.
            if newest.wrapping_sub(slot.number.load(Ordering::Relaxed)) < SLOTS as u64 {
                requests = requests.saturating_add(u64::from(slot.requests.load(Ordering::Relaxed)));
                again = again.saturating_add(u64::from(slot.again.load(Ordering::Relaxed)));
            }
        }
        let most = (requests.saturating_mul(u64::from(share)) / 1_000_000).max(FREE);
        let Some(shard) = self.shards.get(worker) else { return false };
        if again >= most {
            add(&whose(shard).refused, 1);
            return false;
        }
        if let Some(slot) = self.slot(worker, now) {
            let so_far = slot.again.load(Ordering::Relaxed);
            slot.again.store(so_far.saturating_add(1), Ordering::Relaxed);
        }
        add(&whose(shard).sent, 1);
        true
    }

    /// Requests that were sent again, and those for which the budget was used up.
    pub fn counts(&self) -> [u64; 2] {
        [self.sum(|shard| &shard.again.sent), self.sum(|shard| &shard.again.refused)]
    }

    /// Requests that were hedged, hedges that were faster, and those for which the budget was used up.
    pub fn hedges(&self) -> [u64; 3] {
        let [sent, refused] = [self.sum(|shard| &shard.hedges.sent), self.sum(|shard| &shard.hedges.refused)];
        [sent, self.sum(|shard| &shard.hedges_won), refused]
    }

    fn sum(&self, counter: fn(&Shard) -> &AtomicU64) -> u64 {
        self.shards.iter().map(|shard| counter(shard).load(Ordering::Relaxed)).fold(0, u64::wrapping_add)
    }

    fn number(&self, now: Instant) -> u64 {
        let since = now.saturating_duration_since(self.started);
        let within = u64::from(since.subsec_millis() / SLOT_MILLIS);
        since
            .as_secs()
            .saturating_mul(u64::from(1000 / SLOT_MILLIS))
            .saturating_add(within.saturating_add(SLOTS as u64))
    }

    /// The worker's slot for now, emptied of what it counted a window ago.
    fn slot(&self, worker: usize, now: Instant) -> Option<&Slot> {
        let number = self.number(now);
        let place = usize::try_from(number).unwrap_or(0) % SLOTS;
        let slot = self.shards.get(worker)?.slots.get(place)?;
        if slot.number.load(Ordering::Relaxed) != number {
            slot.requests.store(0, Ordering::Relaxed);
            slot.again.store(0, Ordering::Relaxed);
            slot.number.store(number, Ordering::Relaxed);
        }
        Some(slot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_what_all_workers_sent_of_late_may_be_sent_again() {
        let budget = Budget::new(2);
        let start = budget.started;
        for nth in 0..100 {
            budget.begin(nth % 2, start);
        }
        let taken = |worker, at| (0..1000).filter(|_| budget.take(worker, at, 200_000)).count();
        assert_eq!(taken(0, start), 20, "a fifth of what both workers sent");
        assert_eq!(taken(1, start), 0, "and not once more");
        assert_eq!(budget.counts(), [20, 1980]);
        let later = start + std::time::Duration::from_secs(2);
        assert_eq!(taken(1, later), 3, "after the window a few are free again");
        assert!(!budget.take_hedge(0, later, 200_000), "whatever they are for");
        let much_later = later + std::time::Duration::from_secs(2);
        assert!(budget.take_hedge(0, much_later, 200_000));
        assert_eq!((budget.hedges(), budget.counts()[0]), ([1, 0, 1], 23), "and counted apart");
    }
}
