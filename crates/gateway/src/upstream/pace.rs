//! How long a service takes to answer of late: what the slowest of its answers take, for whoever asks by such a figure.
//!
//! Workers count times to the head of an answer anyhow; the thread that watches services (`health`) reads these counts once a
//! second and publishes, and a worker reads one number. Kept only for services whose requests are hedged.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::service::Endpoint;
use crate::observe::histogram::Reading;

/// Time that is looked back, and between two looks.
const WINDOW: Duration = Duration::from_secs(30);
const STEP: Duration = Duration::from_secs(1);
/// Answers within that time before it tells anything.
const LEAST: u64 = 20;

/// A share of answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantile {
    /// Nine of ten.
    P90,
    /// Nineteen of twenty.
    P95,
    /// All but one of a hundred.
    P99,
}

impl Quantile {
    /// All of them.
    pub const ALL: [Quantile; 3] = [Quantile::P90, Quantile::P95, Quantile::P99];

    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Quantile::P90 => "p90",
            Quantile::P95 => "p95",
            Quantile::P99 => "p99",
        }
    }

    const fn hundredths(self) -> u64 {
        match self {
            Quantile::P90 => 90,
            Quantile::P95 => 95,
            Quantile::P99 => 99,
        }
    }
}

/// The pace of one service, for all workers.
#[derive(Default)]
pub struct Pace {
    /// In microseconds, in the order of [`Quantile::ALL`]; 0 while unknown.
    micros: [AtomicU32; 3],
    // Of the control side alone; no worker takes this lock.
    samples: Mutex<VecDeque<(Instant, Reading)>>,
}

impl Pace {
    /// The time in which such a share of the answers came; `None` while too few did.
    pub fn of(&self, quantile: Quantile) -> Option<Duration> {
        let [p90, p95, p99] = &self.micros;
        let micros = match quantile {
            Quantile::P90 => p90,
            Quantile::P95 => p95,
            Quantile::P99 => p99,
        };
        let micros = micros.load(Ordering::Relaxed);
        (micros > 0).then(|| Duration::from_micros(u64::from(micros)))
    }

    /// Reads what workers counted, once a second.
    pub(super) fn look(&self, endpoints: &[Arc<Endpoint>], now: Instant) {
        let mut samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        let since = |then: Instant| now.saturating_duration_since(then);
        if samples.back().is_some_and(|(then, _)| since(*then) < STEP) {
            return;
        }
        let mut reading = Reading::default();
        for shard in endpoints.iter().flat_map(|endpoint| endpoint.shards()) {
            shard.answered.read(&mut reading);
        }
        self.take(&mut samples, reading, now);
    }

    fn take(&self, samples: &mut VecDeque<(Instant, Reading)>, reading: Reading, now: Instant) {
        // An endpoint that is gone has taken its counts along.
        if samples.back().is_some_and(|(_, last)| !reading.is_after(last)) {
            samples.clear();
        }
        samples.push_back((now, reading));
        // The oldest that is kept is the one that the window begins with.
        while samples.get(1).is_some_and(|(then, _)| now.saturating_duration_since(*then) >= WINDOW) {
            samples.pop_front();
        }
        let (Some((_, first)), Some((_, last))) = (samples.front(), samples.back()) else { return };
        for (told, quantile) in self.micros.iter().zip(Quantile::ALL) {
            let (time, count) = last.share_since(first, quantile.hundredths());
            let micros = u32::try_from(time.as_micros()).unwrap_or(u32::MAX);
            told.store(if count >= LEAST { micros } else { 0 }, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::histogram::Histogram;

    #[test]
    fn it_is_told_of_the_last_half_minute_once_enough_has_come() {
        let (pace, histogram, start) = (Pace::default(), Histogram::default(), Instant::now());
        let look = |at: u64| {
            let mut reading = Reading::default();
            histogram.read(&mut reading);
            let mut samples = pace.samples.lock().unwrap();
            pace.take(&mut samples, reading, start + Duration::from_secs(at));
        };
        let answer = |count: usize, millis: u64| {
            (0..count).for_each(|_| histogram.record(Duration::from_millis(millis)));
        };
        answer(1000, 9_000);
        look(0);
        assert_eq!(pace.of(Quantile::P95), None, "what was before says nothing");
        answer(19, 8);
        look(1);
        assert_eq!(pace.of(Quantile::P95), None, "too few");
        answer(71, 8);
        answer(10, 80);
        look(2);
        assert_eq!(pace.of(Quantile::P90), Some(Duration::from_millis(10)));
        let p95 = pace.of(Quantile::P95).unwrap();
        assert_eq!(p95, Duration::from_micros(87_500), "half of those between 75 and 100 ms");
        for second in 3..40 {
            look(second);
        }
        assert_eq!(pace.of(Quantile::P95), None, "nothing has come for half a minute");
        answer(100, 8);
        look(40);
        assert!(pace.of(Quantile::P99).unwrap() <= Duration::from_millis(10));
        let mut samples = pace.samples.lock().unwrap();
        pace.take(&mut samples, Reading::default(), start + Duration::from_secs(41));
        assert_eq!((samples.len(), pace.of(Quantile::P99)), (1, None), "an endpoint is gone");
    }
}
