//! The places of requests that are under way, for all workers.
//!
//! Gives a place that is free, and takes it back when it is dropped. Who waits for one is woken whenever one is given
//! back. Counting takes no lock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::gradient::Gradient;
use crate::values::table::Table;

/// Keys that have room.
const KEYS: usize = 100_000;
/// How often the number is thought over, and how many answers that needs.
const WINDOW: Duration = Duration::from_millis(100);
const LEAST_ANSWERS: u64 = 10;

/// The places of one name.
pub(super) struct Places {
    running: AtomicU64,
    /// By key, where keys have places of their own.
    keys: Option<Table>,
    waiting: AtomicU64,
    freed: Notify,
    /// The number that follows the latency; 0 where it does not.
    limit: AtomicU64,
    /// Microseconds that answers took since the number was thought over, and how many those were.
    took: AtomicU64,
    answers: AtomicU64,
    learnt: Mutex<Option<(Gradient, Instant)>>,
}

impl Places {
    /// Where nobody is.
    pub(super) fn new(keyed: bool) -> Places {
        Places {
            running: AtomicU64::new(0),
            keys: keyed.then(|| Table::new(KEYS)),
            waiting: AtomicU64::new(0),
            freed: Notify::new(),
            limit: AtomicU64::new(0),
            took: AtomicU64::new(0),
            answers: AtomicU64::new(0),
            learnt: Mutex::new(None),
        }
    }

    /// Lets the number follow the latency between these bounds, from where it is.
    pub(super) fn adapt(&self, least: u64, most: u64) {
        let Ok(mut learnt) = self.learnt.lock() else { return };
        let (gradient, at) = learnt.unwrap_or_else(|| (Gradient::new(least, most), Instant::now()));
        let gradient = gradient.within(least, most);
        self.limit.store(gradient.limit().max(1), Ordering::Relaxed);
        *learnt = Some((gradient, at));
    }

    /// The number that follows the latency, or else this one.
    pub(super) fn limit(&self, fixed: u64) -> u64 {
        match self.limit.load(Ordering::Relaxed) {
            0 => fixed,
            limit => limit.min(fixed),
        }
    }

    /// A place, if fewer than so many are taken.
    pub(super) fn take(self: &Arc<Places>, key: u64, limit: u64) -> Option<Held> {
        let taken = match &self.keys {
            None => self.running.fetch_update(Ordering::AcqRel, Ordering::Relaxed, |running| {
                (running < limit).then(|| running.saturating_add(1))
            }),
            Some(table) => {
                let taken = take_of_key(table, key, limit);
                if taken { Ok(self.running.fetch_add(1, Ordering::Relaxed)) } else { Err(0) }
            }
        };
        taken.is_ok().then(|| Held { places: self.clone(), key })
    }

    /// How many are taken.
    pub(super) fn running(&self) -> u64 {
        self.running.load(Ordering::Relaxed)
    }

    /// Whether there is one.
    pub(super) fn is_free(&self, key: u64, limit: u64) -> bool {
        let taken = match &self.keys {
            None => self.running.load(Ordering::Relaxed),
            Some(table) => table.find(key).map_or(0, |place| place.read()),
        };
        taken < limit
    }

    /// Waits for a place, if fewer than `queue` wait; none when it takes too long.
    pub(super) async fn wait(
        self: &Arc<Places>,
        key: u64,
        limit: impl Fn() -> u64,
        (queue, patience): (u64, Duration),
    ) -> Option<Held> {
        let room = |waiting: u64| (waiting < queue).then(|| waiting.saturating_add(1));
        self.waiting.fetch_update(Ordering::AcqRel, Ordering::Relaxed, room).ok()?;
        let _waiting = Waiting(self);
        let waited = tokio::time::timeout(patience, async {
            loop {
                let mut freed = std::pin::pin!(self.freed.notified());
                // From here on no place that is given back is missed.
                freed.as_mut().enable();
                if let Some(held) = self.take(key, limit()) {
                    return held;
                }
                freed.await;
            }
        });
        waited.await.ok()
    }

    /// Learns how long an answer took.
    pub(super) fn answered(&self, took: Duration) {
        if self.limit.load(Ordering::Relaxed) == 0 {
            return;
        }
        self.took.fetch_add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX).max(1), Ordering::Relaxed);
        let answers = self.answers.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        // Whoever finds it taken goes on: another worker is thinking.
        let Ok(mut learnt) = self.learnt.try_lock() else { return };
        let Some((gradient, at)) = learnt.as_mut() else { return };
        if answers < LEAST_ANSWERS || at.elapsed() < WINDOW {
            return;
        }
        let (took, answers) = (self.took.swap(0, Ordering::Relaxed), self.answers.swap(0, Ordering::Relaxed));
        gradient.learn(took as f64 / answers.max(1) as f64, self.running.load(Ordering::Relaxed));
        *at = Instant::now();
        self.limit.store(gradient.limit().max(1), Ordering::Relaxed);
    }

    fn give_back(&self, key: u64) {
        self.running.fetch_sub(1, Ordering::AcqRel);
        if let Some(table) = &self.keys {
            give_back_of_key(table, key);
        }
        if self.waiting.load(Ordering::Acquire) > 0 {
            self.freed.notify_waiters();
        }
    }
}

fn take_of_key(table: &Table, key: u64, limit: u64) -> bool {
    // A bucket that others hold all the time lets it pass uncounted.
    while let Some(place) = table.place(key, 1) {
        let mut word = place.read();
        loop {
            if word >= limit {
                return false;
            }
            match place.change(word, word.saturating_add(1)) {
                Ok(()) => {
                    place.lasts_until(u64::MAX);
                    return true;
                }
                Err(Some(other)) => word = other,
                Err(None) => break,
            }
        }
    }
    true
}

/// A key that has gone meanwhile has nothing to give back.
fn give_back_of_key(table: &Table, key: u64) {
    let Some(place) = table.find(key) else { return };
    let mut word = place.read();
    while let Err(other) = place.change(word, word.saturating_sub(1)) {
        match other {
            Some(other) => word = other,
            None => return,
        }
    }
    if word <= 1 {
        // Nobody of this key is here: its place in the table may go to another.
        place.lasts_until(0);
    }
}

/// A place that is taken; dropped, it is given back.
pub(super) struct Held {
    places: Arc<Places>,
    key: u64,
}

impl Held {
    /// Where it is.
    pub(super) fn places(&self) -> &Places {
        &self.places
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.places.give_back(self.key);
    }
}

struct Waiting<'p>(&'p Places);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::AcqRel);
    }
}
