//! A histogram of durations with the fixed buckets of the metrics page. Written by one worker, read by anybody.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds in microseconds: OpenTelemetry's advice for HTTP (0.005 to 10 s), with finer steps below for what a
/// gateway adds.
pub const BOUNDS_MICROS: [u64; 17] = [
    500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 75_000, 100_000, 250_000, 500_000, 750_000, 1_000_000,
    2_500_000, 5_000_000, 7_500_000, 10_000_000,
];

/// Counts by bucket, and the sum, which every duration changes and so stands beside the buckets that most fall into.
#[derive(Default)]
#[repr(C)]
pub struct Histogram {
    sum_micros: AtomicU64,
    buckets: [AtomicU64; BOUNDS_MICROS.len() + 1],
}

/// One reading of a histogram, or the sum of several.
#[derive(Clone, Default, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Counts by bucket, not cumulative; the last is above all bounds.
    pub buckets: [u64; BOUNDS_MICROS.len() + 1],
    /// Sum of all durations in microseconds.
    pub sum_micros: u64,
}

/// Adds where there is one writer: a load and a store cost a tenth of an atomic addition.
pub fn add(counter: &AtomicU64, count: u64) {
    counter.store(counter.load(Ordering::Relaxed).wrapping_add(count), Ordering::Relaxed);
}

impl Histogram {
    /// Counts one duration. Only the worker that owns the shard may call this.
    pub fn record(&self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let place = BOUNDS_MICROS.partition_point(|bound| *bound < micros);
        if let Some(bucket) = self.buckets.get(place) {
            add(bucket, 1);
        }
        add(&self.sum_micros, micros);
    }

    /// Adds what was counted to a reading.
    pub fn read(&self, reading: &mut Reading) {
        for (sum, bucket) in reading.buckets.iter_mut().zip(&self.buckets) {
            *sum = sum.wrapping_add(bucket.load(Ordering::Relaxed));
        }
        reading.sum_micros = reading.sum_micros.wrapping_add(self.sum_micros.load(Ordering::Relaxed));
    }
}

impl Reading {
    /// Adds another reading.
    pub fn add(&mut self, other: &Reading) {
        for (sum, bucket) in self.buckets.iter_mut().zip(&other.buckets) {
            *sum = sum.wrapping_add(*bucket);
        }
        self.sum_micros = self.sum_micros.wrapping_add(other.sum_micros);
    }

    /// The upper bound of the bucket in which the middle one lies of what was counted since an earlier reading, and how
    /// many that were. Above all bounds: twice the last.
    pub fn middle_since(&self, earlier: &Reading) -> (Duration, u64) {
        let since = || self.buckets.iter().zip(&earlier.buckets).map(|(now, then)| now.wrapping_sub(*then));
        let count = since().fold(0_u64, u64::wrapping_add);
        let mut seen = 0_u64;
        let place = since().position(|bucket| {
            seen = seen.wrapping_add(bucket);
            count > 0 && seen >= count.div_ceil(2)
        });
        let last = BOUNDS_MICROS.last().map_or(0, |last| last.saturating_mul(2));
        let bound = place.map_or(0, |place| BOUNDS_MICROS.get(place).copied().unwrap_or(last));
        (Duration::from_micros(bound), count)
    }

    /// Whether this can be a later reading of the same: nothing has become less.
    pub fn is_after(&self, earlier: &Reading) -> bool {
        self.buckets.iter().zip(&earlier.buckets).all(|(now, then)| now >= then)
    }

    /// The time below which so many hundredths stayed of what was counted since an earlier reading, and how many that were.
    /// Within a bucket by proportion; above all bounds: the last.
    pub fn share_since(&self, earlier: &Reading, hundredths: u64) -> (Duration, u64) {
        let since = || self.buckets.iter().zip(&earlier.buckets).map(|(now, then)| now.saturating_sub(*then));
        let count = since().fold(0_u64, u64::saturating_add);
        let wanted = count.saturating_mul(hundredths).div_ceil(100);
        let (mut seen, mut lower) = (0_u64, 0_u64);
        for (bucket, upper) in since().zip(BOUNDS_MICROS) {
            if bucket > 0 && seen.saturating_add(bucket) >= wanted {
                let within = upper.saturating_sub(lower).saturating_mul(wanted.saturating_sub(seen));
                return (Duration::from_micros(lower.saturating_add(within.div_ceil(bucket))), count);
            }
            (seen, lower) = (seen.saturating_add(bucket), upper);
        }
        (Duration::from_micros(lower), count)
    }

    /// How many durations were counted.
    pub fn count(&self) -> u64 {
        self.buckets.iter().fold(0, |sum, bucket| sum.wrapping_add(*bucket))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_counts_in_the_first_bucket_that_holds_it() {
        let histogram = Histogram::default();
        for micros in [0, 500, 501, 10_000_000, 10_000_001] {
            histogram.record(Duration::from_micros(micros));
        }
        let mut reading = Reading::default();
        histogram.read(&mut reading);
        assert_eq!((reading.buckets[0], reading.buckets[1]), (2, 1));
        assert_eq!((reading.buckets[16], reading.buckets[17]), (1, 1));
        assert_eq!((reading.count(), reading.sum_micros), (5, 20_001_002));
    }
}
