//! Copies of requests for a service that only watches: which are made, how many at a time, and what came of them.
//!
//! Compiled by the policy `mirror`, driven by the road once the client has its answer. A copy that finds no room is dropped
//! and counted: nobody waits for one. Nothing of a body is kept beyond its comparison but where two answers differ.

mod compare;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use http1::{Name, Upgrade};
use serde_json::{Value, json};

use super::request;
use crate::exchange::Exchange;
use crate::values::random::Random;

pub use compare::{Answered, Compare, Difference, Pointer};

/// Differences that are kept to be looked at.
const MOST_SAMPLES: usize = 100;

/// By this services know that nobody gets their answer.
pub const MARK: &str = "Tidegate-Mirror";

/// What is copied, and for whom.
pub struct Mirror {
    /// The service that watches, by its place in the snapshot.
    pub service: u32,
    /// Its name.
    pub name: Arc<str>,
    /// The share of requests that is copied, in parts of a million.
    pub share: u32,
    /// Whether requests are copied that change something.
    pub unsafe_methods: bool,
    /// How answers are compared.
    pub compare: Compare,
    /// The largest body of a request that is copied.
    pub max_body: usize,
    /// The largest body of an answer that is compared.
    pub max_answer: usize,
    /// Time for the answer of the service that watches.
    pub timeout: Duration,
    /// Copies at a time, over all workers.
    pub max_in_flight: u32,
    /// What outlives a reload.
    pub live: Arc<Live>,
}

/// What came of a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Answered, and nobody compared.
    Taken,
    /// Answered as the real one.
    Same,
    /// Answered otherwise.
    Different,
    /// Answers that could not be compared: too large, or of a coding that is not known.
    Incomparable,
    /// The service gave no answer.
    Failed,
    /// Dropped: too many under way.
    DroppedFull,
    /// Dropped: the body was too large, or did not come whole.
    DroppedBody,
    /// Dropped: the real service gave no answer to compare with.
    DroppedUnanswered,
}

impl Outcome {
    /// All of them, in the order of counting.
    pub const ALL: [Outcome; 8] = [
        Outcome::Taken,
        Outcome::Same,
        Outcome::Different,
        Outcome::Incomparable,
        Outcome::Failed,
        Outcome::DroppedFull,
        Outcome::DroppedBody,
        Outcome::DroppedUnanswered,
    ];

    /// The stable word.
    pub fn word(self) -> &'static str {
        match self {
            Outcome::Taken => "taken",
            Outcome::Same => "same",
            Outcome::Different => "different",
            Outcome::Incomparable => "incomparable",
            Outcome::Failed => "failed",
            Outcome::DroppedFull => "dropped_full",
            Outcome::DroppedBody => "dropped_body",
            Outcome::DroppedUnanswered => "dropped_unanswered",
        }
    }
}

/// What was counted and sampled of one route's copies.
#[derive(Default)]
pub struct Live {
    in_flight: AtomicU32,
    counts: [AtomicU64; Outcome::ALL.len()],
    samples: Mutex<VecDeque<Value>>,
}

/// The place of a copy under way: given back when dropped.
pub struct Place(Arc<Live>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Live {
    fn enter(self: &Arc<Live>, most: u32) -> Option<Place> {
        // Counted first, so that two workers cannot take the last place both.
        let before = self.in_flight.fetch_add(1, Ordering::Relaxed);
        let place = Place(self.clone());
        (before < most).then_some(place)
    }

    /// Copies under way.
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Counts what came of a copy.
    pub fn count(&self, outcome: Outcome) {
        if let Some(count) = self.counts.get(outcome as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// What was counted.
    pub fn counts(&self) -> Vec<(Outcome, u64)> {
        let counted = Outcome::ALL.into_iter().zip(&self.counts);
        counted.map(|(outcome, count)| (outcome, count.load(Ordering::Relaxed))).collect()
    }

    /// The last differences, the newest first.
    pub fn samples(&self) -> Vec<Value> {
        self.samples.lock().unwrap_or_else(PoisonError::into_inner).iter().rev().cloned().collect()
    }

    /// Keeps where two answers differ.
    pub fn sample(&self, copy: &Exchange, real: &Answered, shadow: &Answered, differences: &[Difference]) {
        let at = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let sample = json!({
            "time": at.as_secs_f64(),
            "request_id": String::from_utf8_lossy(copy.id.as_bytes()),
            "method": String::from_utf8_lossy(copy.request.method_text()),
            // Without the query, which may hold what is nobody's business.
            "path": String::from_utf8_lossy(copy.path.get(..copy.path.len().min(512)).unwrap_or_default()),
            "status": real.status,
            "shadow_status": shadow.status,
            "differences": differences.iter().map(Difference::told).collect::<Vec<_>>(),
        });
        let mut samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        if samples.len() >= MOST_SAMPLES {
            samples.pop_front();
        }
        samples.push_back(sample);
    }
}

impl Mirror {
    /// Whether a request is to be copied; a place for it where it is. One that finds none is counted.
    pub fn admit(&self, exchange: &Exchange, random: &Random) -> Option<Place> {
        let drawn = u32::try_from(random.below(1_000_000)).unwrap_or(u32::MAX);
        if drawn >= self.share
            || (!self.unsafe_methods && !exchange.request.method.is_safe())
            || exchange.request.upgrade != Upgrade::None
            || exchange.rehearsal
        {
            return None;
        }
        let place = self.live.enter(self.max_in_flight);
        if place.is_none() {
            self.live.count(Outcome::DroppedFull);
        }
        place
    }

    /// The copy of a request, before it is made the one for its own service.
    pub fn copy(exchange: &Exchange) -> Box<Exchange> {
        let mut copy = exchange.again();
        copy.record.policies_run = 0;
        if let Ok(mark) = Name::new(MARK.as_bytes()) {
            copy.request.fields.set(mark, b"1");
        }
        for name in [http1::names::ACCEPT_ENCODING, http1::names::EXPECT] {
            copy.request.fields.remove(name);
        }
        copy.request.expect_continue = false;
        copy
    }

    /// Whether the body of a request has to be kept for its copy.
    pub fn keeps(exchange: &Exchange) -> bool {
        !request::is_bodyless(exchange)
    }
}
