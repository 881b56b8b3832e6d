//! What stands in for a service that fails: steps that are tried in order until one has an answer.
//!
//! Compiled by the policy `fallback`, walked by the road. What a step other than a service gives is nobody's business
//! here.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::failures::Failures;
use super::request;
use crate::exchange::Exchange;
use crate::fault::Fault;

/// Gives an answer in place of a service's.
pub trait StandIn: Send + Sync {
    /// Whether it has one for this request.
    fn has(&self, exchange: &Exchange) -> bool;

    /// Puts it into the exchange: the head into `response`, the body into `instead`. False when there is none after all.
    fn stand_in(&self, exchange: &mut Exchange) -> bool;
}

/// One step down.
pub struct Step {
    /// Its name in logs and metrics: that of a service, `last_good` or `answer`.
    pub name: Arc<str>,
    /// The word for its answers in `Tidegate-Degraded`.
    pub word: &'static str,
    /// What it does.
    pub by: By,
}

/// What a step does.
pub enum By {
    /// Asks the service at this place of the snapshot.
    Service(u32),
    /// Answers from here.
    Here(Arc<dyn StandIn>),
}

/// The steps of a route.
pub struct Ladder {
    /// What they are for.
    pub on: Failures,
    /// In order.
    pub steps: Vec<Step>,
    /// How often each answered; outlives a reload.
    pub counts: Arc<Counts>,
}

/// How often the steps of a route answered.
pub struct Counts {
    served: Box<[AtomicU64]>,
    none: AtomicU64,
}

impl Counts {
    /// None yet, for so many steps.
    pub fn new(steps: usize) -> Arc<Counts> {
        Arc::new(Counts { served: (0..steps).map(|_| AtomicU64::new(0)).collect(), none: AtomicU64::new(0) })
    }

    /// The step at a place answered, or none did.
    pub fn count(&self, step: Option<usize>) {
        let counter = step.and_then(|place| self.served.get(place)).unwrap_or(&self.none);
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

impl Ladder {
    /// Whether it asks another service.
    pub fn asks(&self) -> bool {
        self.steps.iter().any(|step| matches!(step.by, By::Service(_)))
    }

    /// Whether a step from this one on can answer after a failure. What may not be repeated is for no other service.
    pub fn can(&self, from: usize, exchange: &Exchange) -> bool {
        self.steps.iter().skip(from).any(|step| match &step.by {
            By::Service(_) => is_for_another(exchange),
            By::Here(stand_in) => stand_in.has(exchange),
        })
    }

    /// The name of each step and how often it answered, and how often none did.
    pub fn counted(&self) -> Vec<(&str, u64)> {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let served = self.steps.iter().zip(&self.counts.served);
        let mut told: Vec<_> = served.map(|(step, served)| (&*step.name, count(served))).collect();
        told.push(("none", count(&self.counts.none)));
        told
    }

    /// What `explain` says of it.
    pub fn told(&self) -> String {
        let names: Vec<_> = self.steps.iter().map(|step| &*step.name).collect();
        format!("when it fails: {}", names.join(", then "))
    }
}

/// Whether another service may get the request: its method may be repeated, or no service has got anything of it.
pub fn is_for_another(exchange: &Exchange) -> bool {
    exchange.request.method.is_idempotent() || exchange.record.sent.is_none()
}

/// The remaining way down, as the way to one service sees it.
#[derive(Clone, Copy)]
pub struct Below<'a> {
    /// The steps.
    pub ladder: &'a Ladder,
    /// The next of them.
    pub next: usize,
}

impl Below<'_> {
    /// Whether an answer of the service is to be passed over for what stands below.
    pub fn passes_over(&self, exchange: &Exchange) -> bool {
        self.ladder.on.has_status(exchange.response.status) && self.ladder.can(self.next, exchange)
    }

    /// Whether a body has to be kept for another service.
    pub fn keeps(&self, exchange: &Exchange) -> bool {
        self.ladder.asks() && exchange.request.method.is_idempotent() && !request::is_bodyless(exchange)
    }

    /// Whether anything stands below for this fault.
    pub fn is_for(&self, fault: &Fault) -> bool {
        self.ladder.on.has(fault)
    }
}
