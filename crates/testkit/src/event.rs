//! Waiting for events: a gate that a test opens, and polling of what cannot tell by itself.
//!
//! Takes a condition, gives back control when it holds, and fails the test with a sentence when it does not
//! within [`PATIENCE`]. Must never let a test depend on how long something takes.

use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::PATIENCE;

/// A gate that is closed at first and, once opened, stays open. Clones are the same gate.
#[derive(Clone, Default)]
pub struct Gate {
    state: Arc<(Mutex<bool>, Condvar)>,
}

impl Gate {
    /// A closed gate.
    pub fn new() -> Gate {
        Gate::default()
    }

    /// Lets everybody through, now and later.
    pub fn open(&self) {
        *self.state.0.lock().unwrap() = true;
        self.state.1.notify_all();
    }

    /// Waits until the gate is open; says whether it was within [`PATIENCE`].
    pub fn wait(&self) -> bool {
        let open = self.state.0.lock().unwrap();
        let (open, _) = self.state.1.wait_timeout_while(open, PATIENCE, |open| !*open).unwrap();
        *open
    }
}

/// A list that grows in one thread and is waited for in another.
#[derive(Clone)]
pub struct Journal<T> {
    state: Arc<(Mutex<Vec<T>>, Condvar)>,
}

impl<T> Default for Journal<T> {
    fn default() -> Self {
        Journal { state: Arc::new((Mutex::new(Vec::new()), Condvar::new())) }
    }
}

impl<T: Clone> Journal<T> {
    /// Adds an entry and wakes those who wait.
    pub fn push(&self, entry: T) {
        self.state.0.lock().unwrap().push(entry);
        self.state.1.notify_all();
    }

    /// All entries so far.
    pub fn all(&self) -> Vec<T> {
        self.state.0.lock().unwrap().clone()
    }

    /// Changes entries in place and wakes those who wait.
    pub fn change<R>(&self, change: impl FnOnce(&mut Vec<T>) -> R) -> R {
        let result = change(&mut self.state.0.lock().unwrap());
        self.state.1.notify_all();
        result
    }

    /// Waits until `found` gives something for the entries; `None` when it does not within [`PATIENCE`].
    pub fn wait<R>(&self, mut found: impl FnMut(&[T]) -> Option<R>) -> Option<R> {
        let deadline = Instant::now() + PATIENCE;
        let mut entries = self.state.0.lock().unwrap();
        loop {
            if let Some(result) = found(&entries) {
                return Some(result);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            entries = self.state.1.wait_timeout(entries, left).unwrap().0;
        }
    }
}

/// Asks again and again until `found` gives something; fails the test saying `what` was waited for.
#[track_caller]
pub fn eventually<R>(what: &str, mut found: impl FnMut() -> Option<R>) -> R {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(result) = found() {
            return result;
        }
        assert!(Instant::now() < deadline, "waited {} s in vain for: {what}", PATIENCE.as_secs());
        thread::sleep(Duration::from_millis(5));
    }
}
