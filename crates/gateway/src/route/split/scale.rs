//! Times on a scale that is fine enough to tell 1.2 times as long: eight steps for each doubling, from 64 µs to two minutes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Steps for each doubling, as bits.
const FINE: u32 = 3;
/// The shortest time that is told from shorter ones, as bits of microseconds.
const FIRST: u32 = 6;
/// Steps of the scale: 21 doublings.
const STEPS: usize = 21 << FINE;

/// Counts by step. Written by one worker.
pub(super) struct Times([AtomicU64; STEPS]);

/// A reading of such counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scale([u64; STEPS]);

impl Default for Times {
    fn default() -> Times {
        Times([const { AtomicU64::new(0) }; STEPS])
    }
}

impl Default for Scale {
    fn default() -> Scale {
        Scale([0; STEPS])
    }
}

/// The step of a time.
fn step(micros: u64) -> usize {
    let micros = micros.max(1 << FIRST);
    let doublings = micros.ilog2();
    let within = (micros >> doublings.saturating_sub(FINE)) & ((1 << FINE) - 1);
    let step = (doublings.saturating_sub(FIRST) << FINE) as usize | within as usize;
    step.min(STEPS - 1)
}

/// The longest time of a step, in microseconds.
fn bound(step: usize) -> u64 {
    let (doublings, within) = (step >> FINE, step & ((1 << FINE) - 1));
    let base = 1_u64 << (doublings.min(40) as u32).saturating_add(FIRST);
    base.saturating_add((base >> FINE).saturating_mul((within as u64).saturating_add(1)))
}

impl Times {
    pub(super) fn record(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        if let Some(count) = self.0.get(step(micros)) {
            count.store(count.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
        }
    }

    pub(super) fn read(&self, scale: &mut Scale) {
        for (sum, count) in scale.0.iter_mut().zip(&self.0) {
            *sum = sum.wrapping_add(count.load(Ordering::Relaxed));
        }
    }
}

impl Scale {
    pub(super) fn since(&self, before: &Scale) -> Scale {
        let mut since = self.clone();
        since.0.iter_mut().zip(before.0).for_each(|(now, before)| *now = now.saturating_sub(before));
        since
    }

    pub(super) fn add(&mut self, other: &Scale) {
        self.0.iter_mut().zip(other.0).for_each(|(sum, more)| *sum = sum.saturating_add(more));
    }

    /// The time that 99 of 100 do not exceed; `None` when nothing was counted.
    pub fn p99(&self) -> Option<Duration> {
        let count = self.0.iter().fold(0_u64, |sum, count| sum.saturating_add(*count));
        let rank = count.saturating_mul(99).div_ceil(100);
        let mut seen = 0_u64;
        let place = self.0.iter().position(|count| {
            seen = seen.saturating_add(*count);
            count > &0 && seen >= rank
        })?;
        Some(Duration::from_micros(bound(place)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_lies_in_its_step_and_steps_are_an_eighth_wide() {
        for micros in [64, 65, 100, 999, 1_000, 12_345, 999_999, 60_000_000] {
            let bound = bound(step(micros));
            assert!(bound >= micros && bound <= micros + micros / 8 + 1, "{micros} {bound}");
        }
        assert_eq!((step(0), step(u64::MAX)), (0, STEPS - 1));
    }

    #[test]
    fn the_slowest_hundredth() {
        let times = Times::default();
        (1..=1_000).for_each(|millis| times.record(Duration::from_millis(millis)));
        let mut scale = Scale::default();
        times.read(&mut scale);
        let p99 = scale.p99().unwrap().as_millis();
        assert!((990..1_115).contains(&p99), "{p99}");
        assert_eq!(Scale::default().p99(), None);
        assert_eq!(scale.since(&scale), Scale::default());
    }
}
