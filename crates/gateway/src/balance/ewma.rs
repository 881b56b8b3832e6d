//! Of two drawn by weight, the one whose answer is to be expected sooner: average time to answer, times the
//! exchanges that wait for it (the peak-EWMA of Finagle in its simplest form). An endpoint nobody has asked yet
//! counts as fast, so that it is asked.

use super::{Choice, Spread};

pub(super) fn choose(spread: &Spread, choice: &Choice<'_>) -> Option<usize> {
    spread.better_of_two(choice, |load| {
        u64::from(load.ewma_micros)
            .saturating_add(1)
            .saturating_mul(u64::from(load.in_flight).saturating_add(1))
    })
}

/// The average after one more time to answer: a tenth of the way towards it, and at once when it is worse.
pub fn next_average(average: u32, micros: u32) -> u32 {
    if average == 0 || micros > average {
        // Half of the way up: a slow answer must be seen soon, one outlier must not rule.
        return if average == 0 { micros.max(1) } else { average.midpoint(micros) };
    }
    average.saturating_sub(average.saturating_sub(micros) / 10).max(1)
}

#[cfg(test)]
mod tests {
    use super::super::{Balance, Load, tests::counts};
    use super::*;

    #[test]
    fn the_slow_one_gets_only_what_falls_on_it_twice() {
        let slow = Load { in_flight: 0, ewma_micros: 90_000 };
        let fast = Load { in_flight: 0, ewma_micros: 1_000 };
        let counts = counts(&Balance::Ewma, &[1, 1, 1], 9_000, &[slow, fast, fast]);
        assert!(counts[0] < 300, "{counts:?}");
    }

    #[test]
    fn the_average_rises_fast_and_falls_slowly() {
        assert_eq!(next_average(0, 500), 500);
        assert_eq!(next_average(1_000, 9_000), 5_000);
        assert_eq!(next_average(5_000, 1_000), 4_600);
        assert_eq!(next_average(1, 0), 1);
    }
}
