//! What was counted of one thing in a time: calls, statuses, faults, bytes, durations.

use crate::observe::histogram::{BOUNDS_MICROS, Reading};

/// Counts of a route, a service, a target, a listener or the whole gateway, since the start or in a time.
#[derive(Clone, Default, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Exchanges of a route; tries at a target and a service; connections accepted by a listener.
    pub calls: u64,
    /// Answers by class of status, from 1xx to 5xx. A target has none: it is asked, and does not tell.
    pub classes: [u64; 5],
    /// Exchanges a policy refused; connections a listener turned away.
    pub refused: u64,
    /// Tries that ended in a fault.
    pub faults: u64,
    /// Bytes of bodies received.
    pub bytes_in: u64,
    /// Bytes of bodies sent.
    pub bytes_out: u64,
    /// Durations of exchanges; of a service and a target, the time to the head of the answer.
    pub latency: Reading,
}

impl Counts {
    /// Adds other counts.
    pub fn add(&mut self, other: &Counts) {
        self.calls = self.calls.saturating_add(other.calls);
        for (sum, class) in self.classes.iter_mut().zip(other.classes) {
            *sum = sum.saturating_add(class);
        }
        self.refused = self.refused.saturating_add(other.refused);
        self.faults = self.faults.saturating_add(other.faults);
        self.bytes_in = self.bytes_in.saturating_add(other.bytes_in);
        self.bytes_out = self.bytes_out.saturating_add(other.bytes_out);
        self.latency.add(&other.latency);
    }

    /// What came since an earlier reading of the same counters.
    pub fn since(&self, before: &Counts) -> Counts {
        let mut since = self.clone();
        since.calls = self.calls.saturating_sub(before.calls);
        for (left, gone) in since.classes.iter_mut().zip(before.classes) {
            *left = left.saturating_sub(gone);
        }
        since.refused = self.refused.saturating_sub(before.refused);
        since.faults = self.faults.saturating_sub(before.faults);
        since.bytes_in = self.bytes_in.saturating_sub(before.bytes_in);
        since.bytes_out = self.bytes_out.saturating_sub(before.bytes_out);
        for (left, gone) in since.latency.buckets.iter_mut().zip(before.latency.buckets) {
            *left = left.saturating_sub(gone);
        }
        since.latency.sum_micros = self.latency.sum_micros.saturating_sub(before.latency.sum_micros);
        since
    }

    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        *self == Counts::default()
    }

    /// What failed, and of how many: answers of 5xx among all answers, or faults among tries where no statuses are
    /// known.
    pub fn failed(&self) -> (u64, u64) {
        let answers = self.classes.iter().fold(0_u64, |sum, class| sum.saturating_add(*class));
        let [.., last] = self.classes;
        if answers > 0 { (last, answers) } else { (self.faults, self.calls) }
    }

    /// Mean duration in milliseconds; `None` before the first.
    pub fn average_ms(&self) -> Option<f64> {
        let count = self.latency.count();
        (count > 0).then(|| self.latency.sum_micros as f64 / count as f64 / 1000.0)
    }

    /// The duration in milliseconds below which this share of all lies, interpolated within its bucket; `None` before
    /// the first. What lies above the last bound is told as that bound.
    pub fn quantile_ms(&self, share: f64) -> Option<f64> {
        let wanted = self.latency.count() as f64 * share;
        let (mut below, mut floor) = (0.0, 0.0);
        for (place, count) in self.latency.buckets.iter().enumerate() {
            let ceiling = BOUNDS_MICROS.get(place).map_or(floor, |bound| *bound as f64 / 1000.0);
            let upto = below + *count as f64;
            if *count > 0 && upto >= wanted {
                return Some(floor + (ceiling - floor) * ((wanted - below) / *count as f64).clamp(0.0, 1.0));
            }
            (below, floor) = (upto, ceiling);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(durations: &[(usize, u64)]) -> Counts {
        let mut counts = Counts::default();
        for (place, count) in durations {
            counts.latency.buckets[*place] = *count;
        }
        counts
    }

    #[test]
    fn quantiles_lie_within_the_bucket_that_holds_them() {
        assert_eq!(Counts::default().quantile_ms(0.5), None);
        // 90 below 0.5 ms, 10 between 100 and 250 ms.
        let counts = counted(&[(0, 90), (9, 10)]);
        assert_eq!(counts.quantile_ms(0.9), Some(0.5));
        assert_eq!(counts.quantile_ms(0.45), Some(0.25));
        assert_eq!(counts.quantile_ms(0.95), Some(175.0));
        assert_eq!(counts.quantile_ms(1.0), Some(250.0));
        assert_eq!(counted(&[(17, 1)]).quantile_ms(0.5), Some(10_000.0));
    }

    #[test]
    fn what_failed_is_told_by_status_where_there_is_one() {
        let tries = Counts { calls: 10, faults: 2, ..Counts::default() };
        assert_eq!(tries.failed(), (2, 10));
        assert_eq!(Counts { classes: [0, 6, 0, 1, 3], ..tries }.failed(), (3, 10));
    }

    #[test]
    fn the_difference_of_two_readings_is_what_came_between() {
        let before = Counts { calls: 3, bytes_in: 10, ..counted(&[(1, 3)]) };
        let after = Counts { calls: 5, bytes_in: 10, ..counted(&[(1, 4), (2, 1)]) };
        let since = after.since(&before);
        assert_eq!((since.calls, since.bytes_in), (2, 0));
        assert_eq!(since.latency.buckets[..3], [0, 1, 1]);
        let mut sum = before.clone();
        sum.add(&since);
        assert_eq!(sum, after);
        assert!(after.since(&after).is_empty());
    }
}
