//! The circuit breaker of a service, or of one of its targets: while too many of its requests fail, none is sent.
//!
//! Workers read one state and count outcomes, each in a place of its own; the thread that watches services (`health`)
//! is the only one that changes the state. After a rest a few requests are let through as trials. Where each target has a
//! circuit (`target`), that of the service only follows them.

pub mod target;

use std::collections::VecDeque;
use std::ops::Deref;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::failures::Failures;
use super::service::Service;
use crate::config::{self, CircuitOf};
use crate::exchange::Exchange;
use crate::fault::{Blame, Fault};
use crate::observe::histogram::add;

/// Parts of the window in which outcomes are counted.
const PARTS: u32 = 10;

/// When the circuit opens and closes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// What has a circuit.
    pub per: CircuitOf,
    /// What is a failure.
    pub on: Failures,
    /// Share of failures that opens it, in parts of a million.
    pub error_rate: u32,
    /// A time to answer that counts as slow, and the share of slow answers that opens it.
    pub slow: Option<(Duration, u32)>,
    /// Time over which shares are taken.
    pub window: Duration,
    /// Requests before a share tells anything.
    pub min_requests: u32,
    /// Time until trials.
    pub open_for: Duration,
    /// Trials that must be good.
    pub half_open: u32,
}

/// The state of a circuit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Requests pass.
    Closed,
    /// A few pass as trials.
    HalfOpen,
    /// None passes.
    Open,
}

/// The breaker of one service, or of one target, for all workers.
pub struct Breaker {
    /// When it opens and closes.
    pub settings: Settings,
    state: AtomicU8,
    /// Trials that may still begin.
    tickets: AtomicU32,
    trials_good: AtomicU32,
    trials_bad: AtomicU32,
    made: Instant,
    /// When an open circuit has rested, in milliseconds since it was made.
    open_until: AtomicU64,
    /// Times that it opened.
    pub opened: AtomicU64,
    /// Requests that it refused.
    pub refused: AtomicU64,
    /// Circuits that it follows and that are not closed.
    troubled: AtomicU32,
    shards: Box<[Shard]>,
    // Of the control side alone; no worker takes this lock.
    watched: Mutex<Watched>,
}

/// What one worker counts; a cache line of its own.
#[repr(align(128))]
#[derive(Default)]
struct Shard {
    all: AtomicU64,
    failed: AtomicU64,
    slow: AtomicU64,
}

/// Sums over the workers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    all: u64,
    failed: u64,
    slow: u64,
}

#[derive(Default)]
struct Watched {
    samples: VecDeque<(Instant, Counts)>,
    changed: Option<Instant>,
    /// Why it is in its state.
    why: String,
}

impl Settings {
    /// As written.
    pub fn new(written: &config::CircuitBreaker) -> Settings {
        let slow = written.slow.as_ref();
        Settings {
            per: written.per,
            on: Failures::of(written.on.iter()),
            error_rate: written.error_rate.parts_per_million(),
            slow: slow.map(|slow| (slow.over.get(), slow.rate.parts_per_million())),
            window: written.window.get(),
            min_requests: written.min_requests,
            open_for: written.open_for.get(),
            half_open: written.half_open,
        }
    }
}

impl State {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            State::Closed => "closed",
            State::HalfOpen => "half_open",
            State::Open => "open",
        }
    }
}

/// A request that was let through, until its outcome is told. Dropped without one, it tells nothing.
pub struct Admitted<B: Deref<Target = Breaker>> {
    breaker: B,
    trial: bool,
}

/// Whether the service may be asked now; nothing to tell where it has no breaker.
pub fn admit(service: &Service) -> Result<Option<Admitted<&Breaker>>, Fault> {
    let Some(breaker) = service.breaker.as_deref() else { return Ok(None) };
    match (breaker.settings.per, breaker.state()) {
        (CircuitOf::Service, _) => pass(breaker).map(Some),
        (CircuitOf::Target, State::Open) => Err(breaker.refuse()),
        // Each target has its own, and decides when it is chosen.
        (CircuitOf::Target, State::Closed | State::HalfOpen) => Ok(None),
    }
}

/// Lets a request through, as a trial where trials are made.
fn pass<B: Deref<Target = Breaker>>(breaker: B) -> Result<Admitted<B>, Fault> {
    let take = |left: u32| left.checked_sub(1);
    let trial = match breaker.state() {
        State::Closed => false,
        State::HalfOpen
            if breaker.tickets.fetch_update(Ordering::AcqRel, Ordering::Acquire, take).is_ok() =>
        {
            true
        }
        State::HalfOpen | State::Open => return Err(breaker.refuse()),
    };
    Ok(Admitted { breaker, trial })
}

/// Tells the outcome of a request that was let through.
pub fn ended<T>(
    admitted: Option<Admitted<&Breaker>>,
    worker: usize,
    exchange: &Exchange,
    outcome: &Result<T, Fault>,
) {
    if let Some(admitted) = admitted {
        admitted.ended(worker, exchange, outcome.as_ref().err());
    }
}

impl Breaker {
    /// A closed circuit.
    pub fn new(settings: Settings, workers: usize) -> Arc<Breaker> {
        Arc::new(Breaker {
            settings,
            state: AtomicU8::new(State::Closed as u8),
            tickets: AtomicU32::new(0),
            trials_good: AtomicU32::new(0),
            trials_bad: AtomicU32::new(0),
            made: Instant::now(),
            open_until: AtomicU64::new(0),
            opened: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            troubled: AtomicU32::new(0),
            shards: (0..workers.max(1)).map(|_| Shard::default()).collect(),
            watched: Mutex::default(),
        })
    }

    /// The breaker of a service, if it is to have one. One of the same settings goes on with its state.
    pub fn of(
        service: &config::Service,
        previous: Option<&Arc<Service>>,
        workers: usize,
    ) -> Option<Arc<Breaker>> {
        let settings = Settings::new(service.circuit_breaker.as_ref()?);
        let known = previous.and_then(|service| service.breaker.as_ref());
        let known = known.filter(|known| known.settings == settings).cloned();
        Some(known.unwrap_or_else(|| Breaker::new(settings, workers)))
    }

    /// The state now.
    pub fn state(&self) -> State {
        match self.state.load(Ordering::Acquire) {
            0 => State::Closed,
            1 => State::HalfOpen,
            _ => State::Open,
        }
    }

    fn refuse(&self) -> Fault {
        self.refused.fetch_add(1, Ordering::Relaxed);
        Fault::CircuitOpen(self.rest())
    }

    /// Seconds until the next trials, at least one.
    pub fn rest(&self) -> u32 {
        let until = self.open_until.load(Ordering::Relaxed);
        let now = u64::try_from(self.made.elapsed().as_millis()).unwrap_or(u64::MAX);
        u32::try_from(until.saturating_sub(now).div_ceil(1000)).unwrap_or(u32::MAX).max(1)
    }

    /// No trials until so long after it was made.
    fn rest_until(&self, until: Duration) {
        self.open_until.store(u64::try_from(until.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// What is told of a circuit that is not closed, and why. Never called by workers.
    pub fn told(&self) -> Option<String> {
        let state = self.state();
        let why = || self.watched.lock().unwrap_or_else(PoisonError::into_inner).why.clone();
        (state != State::Closed).then(|| format!("circuit {}: {}", state.word().replace('_', " "), why()))
    }

    fn counts(&self) -> Counts {
        self.shards.iter().fold(Counts::default(), |sum, shard| Counts {
            all: sum.all.wrapping_add(shard.all.load(Ordering::Relaxed)),
            failed: sum.failed.wrapping_add(shard.failed.load(Ordering::Relaxed)),
            slow: sum.slow.wrapping_add(shard.slow.load(Ordering::Relaxed)),
        })
    }

    /// Looks at what workers counted and changes the state; gives the new one and why. `some_well` says whether checks
    /// leave any endpoint: while they do not, no request of a client is spent on a trial.
    pub(super) fn look(&self, some_well: bool, now: Instant) -> Option<(State, String)> {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        let rested =
            watched.changed.is_none_or(|at| now.saturating_duration_since(at) >= self.settings.open_for);
        let (next, why) = match self.state() {
            State::Closed => (State::Open, self.too_many(&mut watched, now)?),
            State::Open if rested && some_well => {
                self.trials_good.store(0, Ordering::Relaxed);
                self.trials_bad.store(0, Ordering::Relaxed);
                self.tickets.store(self.settings.half_open, Ordering::Release);
                (State::HalfOpen, format!("{} trials", self.settings.half_open))
            }
            State::Open => return None,
            State::HalfOpen if self.trials_bad.load(Ordering::Acquire) > 0 => {
                (State::Open, "a trial failed".to_owned())
            }
            State::HalfOpen if self.trials_good.load(Ordering::Acquire) >= self.settings.half_open => {
                watched.samples.clear();
                (State::Closed, "all trials were good".to_owned())
            }
            State::HalfOpen => return None,
        };
        if next == State::Open {
            self.opened.fetch_add(1, Ordering::Relaxed);
            self.rest_until(now.saturating_duration_since(self.made).saturating_add(self.settings.open_for));
        }
        watched.changed = Some(now);
        watched.why.clone_from(&why);
        self.state.store(next as u8, Ordering::Release);
        Some((next, why))
    }

    /// Why the circuit is to open, if it is.
    fn too_many(&self, watched: &mut Watched, now: Instant) -> Option<String> {
        let Settings { error_rate, slow, window, min_requests, .. } = &self.settings;
        let counts = self.counts();
        let samples = &mut watched.samples;
        let old = |then: Instant| now.saturating_duration_since(then);
        if samples.back().is_none_or(|(then, _)| old(*then) >= *window / PARTS) {
            samples.push_back((now, counts));
        }
        // The oldest that is kept is the one that the window begins with.
        while samples.get(1).is_some_and(|(then, _)| old(*then) >= *window) {
            samples.pop_front();
        }
        let (_, then) = samples.front()?;
        let all = counts.all.wrapping_sub(then.all);
        let (failed, late) = (counts.failed.wrapping_sub(then.failed), counts.slow.wrapping_sub(then.slow));
        let many = |part: u64, rate: u32| {
            part > 0 && part.saturating_mul(1_000_000) >= all.saturating_mul(u64::from(rate))
        };
        if all < u64::from(*min_requests) {
            return None;
        }
        if many(failed, *error_rate) {
            return Some(format!("{failed} of {all} requests failed"));
        }
        let (over, rate) = (*slow)?;
        many(late, rate).then(|| format!("{late} of {all} requests took {} ms or more", over.as_millis()))
    }
}

impl<B: Deref<Target = Breaker>> Admitted<B> {
    /// Tells the outcome: `fault` where there was no answer.
    fn ended(self, worker: usize, exchange: &Exchange, fault: Option<&Fault>) {
        let failed = match fault {
            // A policy may have put another answer in place of the service's.
            None => self.breaker.settings.on.has_status(exchange.record.service_status),
            // What the client did says nothing about the service.
            Some(fault) if fault.facts().blame != Blame::Service => return,
            Some(fault) => self.breaker.settings.on.has(fault),
        };
        let took = exchange.record.answered.zip(exchange.record.sent);
        let took = took.map(|(answered, sent)| answered.saturating_sub(sent));
        self.told(worker, failed, took.unwrap_or_default());
    }

    fn told(mut self, worker: usize, failed: bool, took: Duration) {
        let trial = std::mem::take(&mut self.trial);
        let breaker = &*self.breaker;
        let slow = breaker.settings.slow.is_some_and(|(over, _)| took >= over);
        if trial {
            let outcome = if failed || slow { &breaker.trials_bad } else { &breaker.trials_good };
            outcome.fetch_add(1, Ordering::AcqRel);
        }
        let Some(shard) = breaker.shards.get(worker) else { return };
        add(&shard.all, 1);
        add(&shard.failed, u64::from(failed));
        add(&shard.slow, u64::from(slow));
    }
}

impl<B: Deref<Target = Breaker>> Drop for Admitted<B> {
    fn drop(&mut self) {
        // A trial whose outcome tells nothing may be made again.
        if self.trial {
            self.breaker.tickets.fetch_add(1, Ordering::AcqRel);
        }
    }
}

#[cfg(test)]
mod tests;
