//! A number of places that follows the latency: the gradient between what is usual and what is now.
//!
//! Takes the times of answers; gives the number. While answers take about as long as usual the number grows by its root;
//! the slower they are, the more it falls, by half at most. What is usual is learnt while few are under way: under a full
//! load it could not be told from what the load itself makes of it. (The gradient is that of Envoy's adaptive concurrency
//! and Netflix's concurrency-limits, both Apache-2.0; the rule of what is usual is our own.) Reads no clock.

/// Answers may take so many times as long as usual before the number falls.
const TOLERANCE: f64 = 1.5;
/// How much of a new number is taken over at once.
const SMOOTHING: f64 = 0.2;
/// How much of a longer, and of a shorter, time goes into what is usual.
const LONGER: f64 = 0.02;
const SHORTER: f64 = 0.2;

/// The number and what is usual.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gradient {
    limit: f64,
    usual: f64,
    least: f64,
    most: f64,
}

impl Gradient {
    /// Begins with the least, where what is usual can be learnt.
    pub(super) fn new(least: u64, most: u64) -> Gradient {
        let (least, most) = (least as f64, most as f64);
        Gradient { limit: least, usual: 0.0, least, most }
    }

    /// The same within other bounds.
    pub(super) fn within(self, least: u64, most: u64) -> Gradient {
        let (least, most) = (least as f64, most as f64);
        Gradient { limit: self.limit.clamp(least, most), least, most, ..self }
    }

    /// How many places there are.
    pub(super) fn limit(&self) -> u64 {
        self.limit as u64
    }

    /// Learns the mean time of some answers, and how many were under way.
    pub(super) fn learn(&mut self, mean: f64, running: u64) {
        let running = running as f64;
        if self.usual == 0.0 {
            self.usual = mean;
        }
        if mean < self.usual {
            self.usual += (mean - self.usual) * SHORTER;
        } else if running <= self.least.max(self.limit / 2.0) {
            self.usual += (mean - self.usual) * LONGER;
        }
        // A number that nobody uses says nothing about itself.
        if running < self.limit / 2.0 {
            return;
        }
        let gradient = (TOLERANCE * self.usual / mean.max(f64::MIN_POSITIVE)).clamp(0.5, 1.0);
        let next = self.limit * gradient + self.limit.sqrt();
        self.limit = (self.limit * (1.0 - SMOOTHING) + next * SMOOTHING).clamp(self.least, self.most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A service that answers in 10 ms as long as at most so many are under way, and then in proportion slower.
    fn settled(capacity: f64, mut gradient: Gradient) -> Gradient {
        for _ in 0..2000 {
            let running = gradient.limit();
            gradient.learn(0.01 * (running as f64 / capacity).max(1.0), running);
        }
        gradient
    }

    #[test]
    fn it_finds_what_a_service_bears_and_follows_it() {
        let gradient = settled(50.0, Gradient::new(10, 1000));
        assert!((50..=120).contains(&gradient.limit()), "{gradient:?}");
        let least = settled(1.0, gradient).limit();
        assert!(least <= 40, "{least}");
    }

    #[test]
    fn it_stays_within_its_bounds_and_where_nobody_uses_it() {
        let mut gradient = Gradient::new(10, 40);
        for _ in 0..1000 {
            gradient.learn(0.01, 40);
        }
        assert_eq!(gradient.limit(), 40);
        for _ in 0..50 {
            gradient.learn(10.0, 40);
        }
        assert_eq!(gradient.limit(), 10);
        let mut idle = Gradient::new(10, 1000);
        let before = idle.limit();
        idle.learn(0.01, 1);
        idle.learn(5.0, 1);
        assert_eq!(idle.limit(), before);
    }
}
