//! The less busy of two drawn by weight, by exchanges in flight from all workers.

use super::{Choice, Spread};

pub(super) fn choose(spread: &Spread, choice: &Choice<'_>) -> Option<usize> {
    spread.better_of_two(choice, |load| u64::from(load.in_flight).saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::super::{Balance, Load, tests::counts};

    #[test]
    fn the_busy_one_gets_nothing() {
        let busy = Load { in_flight: 50, ewma_micros: 0 };
        assert_eq!(counts(&Balance::LeastRequest, &[1, 1], 1_000, &[busy]), [0, 1_000]);
        let counts = counts(&Balance::LeastRequest, &[1, 1, 1], 9_000, &[busy]);
        assert_eq!(counts[0], 0, "{counts:?}");
        assert!(counts[1].abs_diff(counts[2]) < 500, "{counts:?}");
    }

    #[test]
    fn equal_load_follows_the_weights() {
        let counts = counts(&Balance::LeastRequest, &[2, 1], 9_000, &[]);
        assert!(counts[0] > counts[1], "{counts:?}");
    }
}
