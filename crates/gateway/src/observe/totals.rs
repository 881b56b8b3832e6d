//! Counters of the process: what is in flight, faults, reloads.
//!
//! Workers write shards of their own; the few things that only happen now and then are plain atomics.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::histogram::{Histogram, add};
use super::tally::Tally;
use crate::exchange::Exchange;
use crate::fault::{Blame, Fault};

/// Different codes of faults; all there are find room.
const FAULTS: usize = 128;

/// Counters of the process.
pub struct Totals {
    workers: Box<[WorkerTotals]>,
    started: SystemTime,
    revision: AtomicU64,
    reloads: AtomicU64,
    failed_reloads: AtomicU64,
    last_reload_failed: AtomicBool,
    failed_handovers: AtomicU64,
    /// Seconds since 1970.
    configured_at: AtomicU64,
}

/// Counters of one worker, which alone writes them.
#[repr(align(128))]
pub struct WorkerTotals {
    pub(crate) exchanges: AtomicU64,
    pub(crate) tunnels: AtomicU64,
    pub(crate) upgrades: AtomicU64,
    pub(crate) panics: AtomicU64,
    pub(crate) overhead: Histogram,
    pub(crate) faults: Tally,
}

impl Totals {
    /// Counters for so many workers; the process starts now.
    pub fn new(workers: usize) -> Arc<Totals> {
        let shard = |_| WorkerTotals {
            exchanges: AtomicU64::new(0),
            tunnels: AtomicU64::new(0),
            upgrades: AtomicU64::new(0),
            panics: AtomicU64::new(0),
            overhead: Histogram::default(),
            faults: Tally::with_room(FAULTS),
        };
        Arc::new(Totals {
            workers: (0..workers).map(shard).collect(),
            started: SystemTime::now(),
            revision: AtomicU64::new(0),
            reloads: AtomicU64::new(0),
            failed_reloads: AtomicU64::new(0),
            last_reload_failed: AtomicBool::new(false),
            failed_handovers: AtomicU64::new(0),
            configured_at: AtomicU64::new(0),
        })
    }

    /// The counters of a worker.
    pub fn worker(&self, worker: usize) -> Option<&WorkerTotals> {
        self.workers.get(worker)
    }

    /// A configuration was applied as this revision, the first one included.
    pub fn configured(&self, revision: u64) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.configured_at.store(now.as_secs(), Ordering::Relaxed);
        if self.revision.swap(revision, Ordering::Relaxed) != 0 {
            self.reloads.fetch_add(1, Ordering::Relaxed);
        }
        self.last_reload_failed.store(false, Ordering::Relaxed);
    }

    /// A configuration was refused; the one before goes on.
    pub fn reload_failed(&self) {
        self.failed_reloads.fetch_add(1, Ordering::Relaxed);
        self.last_reload_failed.store(true, Ordering::Relaxed);
    }

    /// A new process did not take over; this one goes on.
    pub fn handover_failed(&self) {
        self.failed_handovers.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn failed_handovers(&self) -> u64 {
        self.failed_handovers.load(Ordering::Relaxed)
    }

    /// Exchanges in flight, over all workers.
    pub fn in_flight(&self) -> u64 {
        self.sum(|worker| &worker.exchanges)
    }

    pub(crate) fn workers(&self) -> &[WorkerTotals] {
        &self.workers
    }

    pub(crate) fn sum(&self, counter: impl Fn(&WorkerTotals) -> &AtomicU64) -> u64 {
        self.workers.iter().map(|worker| counter(worker).load(Ordering::Relaxed)).fold(0, u64::wrapping_add)
    }

    pub(crate) fn reloads(&self) -> ReloadReading {
        ReloadReading {
            revision: self.revision.load(Ordering::Relaxed),
            done: self.reloads.load(Ordering::Relaxed),
            failed: self.failed_reloads.load(Ordering::Relaxed),
            last_failed: self.last_reload_failed.load(Ordering::Relaxed),
            configured_at: self.configured_at.load(Ordering::Relaxed),
        }
    }

    /// When the process started.
    pub fn started(&self) -> SystemTime {
        self.started
    }
}

/// What is known of reloads.
pub(crate) struct ReloadReading {
    pub(crate) revision: u64,
    pub(crate) done: u64,
    pub(crate) failed: u64,
    pub(crate) last_failed: bool,
    pub(crate) configured_at: u64,
}

impl WorkerTotals {
    pub(crate) fn exchange(&self) -> Open<'_> {
        Open::new(&self.exchanges)
    }

    pub(crate) fn tunnel(&self) -> Open<'_> {
        Open::new(&self.tunnels)
    }

    /// Counts an exchange that is over.
    pub(crate) fn record(&self, exchange: &Exchange) {
        let record = &exchange.record;
        self.overhead.record(overhead(exchange));
        if record.upgraded {
            add(&self.upgrades, 1);
        }
        if let Some(fault) = &record.fault {
            if *fault == Fault::Panic {
                add(&self.panics, 1);
            }
            let facts = fault.facts();
            self.faults.count([facts.code, blame_of(facts.blame), ""]);
        }
    }
}

/// The time before the service was asked, or all of it when none was. What follows the service's answer is left
/// out: there, waiting for the service and for the client cannot be told from working.
fn overhead(exchange: &Exchange) -> Duration {
    exchange.record.sent.unwrap_or(exchange.record.finished)
}

/// The word for who is to blame.
pub(crate) fn blame_of(blame: Blame) -> &'static str {
    match blame {
        Blame::Client => "client",
        Blame::Service => "service",
        Blame::Gateway => "gateway",
    }
}

/// Something that counts as open until it is dropped.
pub struct Open<'a> {
    counter: &'a AtomicU64,
}

impl Open<'_> {
    fn new(counter: &AtomicU64) -> Open<'_> {
        add(counter, 1);
        Open { counter }
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        add(self.counter, u64::MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_open_counts_until_it_is_dropped() {
        let totals = Totals::new(2);
        let open: Vec<_> = totals.workers().iter().map(WorkerTotals::exchange).collect();
        assert_eq!(totals.in_flight(), 2);
        drop(open);
        assert_eq!(totals.in_flight(), 0);
    }

    #[test]
    fn faults_count_by_code() {
        let totals = Totals::new(1);
        let mut exchange = Exchange::default();
        for fault in [Fault::Panic, Fault::NoAnswer, Fault::NoAnswer] {
            exchange.record.fault = Some(fault);
            totals.worker(0).unwrap().record(&exchange);
        }
        let mut told = Vec::new();
        totals.workers()[0].faults.read(|[code, blame, _], count| told.push((code, blame, count)));
        assert_eq!(told, [("internal_error", "gateway", 1), ("no_answer", "service", 2)]);
        assert_eq!(totals.sum(|worker| &worker.panics), 1);
    }

    #[test]
    fn the_first_configuration_is_no_reload() {
        let totals = Totals::new(1);
        totals.configured(1);
        totals.reload_failed();
        let reading = totals.reloads();
        assert_eq!((reading.done, reading.failed, reading.last_failed), (0, 1, true));
        totals.configured(2);
        let reading = totals.reloads();
        assert_eq!((reading.revision, reading.done, reading.last_failed), (2, 1, false));
    }
}
