//! The arithmetic of a limit: the generic cell rate algorithm on one word.
//!
//! Takes the word of a key, the time and what a request costs; gives the next word, or how long to wait. The word is a
//! moment of the limit's own clock, which runs by requests instead of seconds: it moves by one request in the time in
//! which the limit gives one back. So a word stays right when the limit changes: what was consumed is a number of
//! requests, and only the clock goes faster or slower from then on. Does no I/O and reads no clock.

use crate::values::Rate;

/// Parts of a request that the clock of a limit counts.
const SCALE: u64 = 1024;
/// Nanoseconds that a wait is rounded up by: the clock is read in whole parts, and both of its factors are cut off.
const SLACK: u64 = 2;
/// The fastest rate that words have room for, over 28 years: requests in one second.
pub(super) const FASTEST: u64 = 10_000_000;
/// The largest burst that words have room for.
pub(super) const LARGEST: u64 = 1 << 48;

/// How a limit flows: how fast its clock runs, and how much may be ahead of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Flow {
    /// Nanoseconds at which this flow began.
    began: u64,
    /// What the clock showed then.
    shown: u64,
    /// Parts of a request in one nanosecond.
    speed: Factor,
    /// Nanoseconds for one part of a request.
    pace: Factor,
    /// How far a word may be ahead of the clock, in parts of a request.
    room: u64,
}

/// What became of one request at one limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Level {
    /// Requests that may come at once after this one.
    pub(super) remaining: u64,
    /// Nanoseconds. When it may pass: how long until this request finds room. When it passed: how long until all the room
    /// is back.
    pub(super) wait: u64,
}

/// Whether a request finds room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It does, and this is the next word.
    Passes(u64, Level),
    /// It does not; the word stays.
    Refused(Level),
}

impl Level {
    /// Of no limit.
    pub(super) const NONE: Level = Level { remaining: 0, wait: 0 };
}

impl Flow {
    /// Of no limit: nothing ever finds room.
    pub(super) const NONE: Flow =
        Flow { began: 0, shown: 0, speed: Factor::NONE, pace: Factor::NONE, room: 0 };

    /// A limit whose keys have consumed nothing yet.
    pub(super) fn new(rate: Rate, burst: u64, now: u64) -> Flow {
        let period = rate.period().as_nanos().max(1);
        let count = u128::from(rate.count()).saturating_mul(u128::from(SCALE));
        let (speed, pace) = (Factor::new(count, period), Factor::new(period, count));
        Flow { began: now, shown: 0, speed, pace, room: burst.min(LARGEST).saturating_mul(SCALE) }
    }

    /// The same limit with another rate and burst from a moment on: words keep what they have consumed.
    pub(super) fn changed(&self, rate: Rate, burst: u64, from: u64) -> Flow {
        Flow { shown: self.clock(from), ..Flow::new(rate, burst, from.max(self.began)) }
    }

    /// Whether this is what the rate and burst make, whenever they began.
    pub(super) fn is(&self, rate: Rate, burst: u64) -> bool {
        let other = Flow::new(rate, burst, 0);
        (self.speed, self.room) == (other.speed, other.room)
    }

    /// A number for its rate and burst.
    pub(super) fn mark(&self) -> u64 {
        let speed = self.speed.digits.rotate_left(self.speed.behind);
        (speed ^ self.room.rotate_left(32)).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    /// Whether a request of this cost finds room behind what the word holds.
    #[inline]
    pub(super) fn ask(&self, word: u64, now: u64, cost: u64) -> Outcome {
        let clock = self.clock(now);
        let next = word.max(clock).saturating_add(cost.saturating_mul(SCALE));
        let ahead = next.saturating_sub(clock);
        match self.room.checked_sub(ahead) {
            Some(left) => {
                Outcome::Passes(next, Level { remaining: left / SCALE, wait: self.time_for(ahead) })
            }
            None => {
                let level = word.saturating_sub(clock);
                let remaining = self.room.saturating_sub(level) / SCALE;
                let wait = self.time_for(ahead.saturating_sub(self.room));
                Outcome::Refused(Level { remaining, wait })
            }
        }
    }

    /// What a word leaves as it is.
    pub(super) fn level(&self, word: u64, now: u64) -> Level {
        let ahead = word.saturating_sub(self.clock(now));
        Level { remaining: self.room.saturating_sub(ahead) / SCALE, wait: self.time_for(ahead) }
    }

    /// The word after this many requests more, whatever room there is: the debt of a cost known too late.
    pub(super) fn charged(&self, word: u64, now: u64, more: u64) -> u64 {
        word.max(self.clock(now)).saturating_add(more.saturating_mul(SCALE))
    }

    /// The word after this many requests were given back.
    pub(super) fn refunded(word: u64, back: u64) -> u64 {
        word.saturating_sub(back.saturating_mul(SCALE))
    }

    /// Nanoseconds until a word says nothing any more.
    pub(super) fn time_left(&self, word: u64, now: u64) -> u64 {
        self.time_for(word.saturating_sub(self.clock(now)))
    }

    /// What the clock of this limit shows.
    #[inline]
    fn clock(&self, now: u64) -> u64 {
        self.shown.saturating_add(self.speed.times(now.saturating_sub(self.began)))
    }

    /// Nanoseconds that the clock takes for so many parts; a little too many rather than too few.
    #[inline]
    fn time_for(&self, parts: u64) -> u64 {
        if parts == 0 { 0 } else { self.pace.times(parts).saturating_add(SLACK) }
    }
}

/// A positive fraction, with 63 or 64 digits that count and the place of its binary point: multiplying by it is one
/// instruction of the processor, where one with a fixed point would need 128 digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Factor {
    digits: u64,
    /// How many of the digits stand behind the point.
    behind: u32,
}

impl Factor {
    const NONE: Factor = Factor { digits: 0, behind: 0 };

    /// `number / by`, cut off behind the last digit; the most there is where that does not fit.
    fn new(number: u128, by: u128) -> Factor {
        let by = by.max(1);
        let (Ok(mut digits), mut rest, mut behind) = (u64::try_from(number / by), number % by, 0) else {
            return Factor { digits: u64::MAX, behind: 0 };
        };
        // Both counts of a rate have fewer than 76 digits, so there is room for one more.
        while digits < 1 << 63 && behind < 127 {
            let (twice, more) = (rest.saturating_mul(2), rest.saturating_mul(2) >= by);
            rest = if more { twice.saturating_sub(by) } else { twice };
            digits = (digits << 1) | u64::from(more);
            behind += 1;
        }
        Factor { digits, behind }
    }

    #[inline]
    fn times(self, number: u64) -> u64 {
        let product = (u128::from(number) * u128::from(self.digits)) >> self.behind;
        u64::try_from(product).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const MILLI: u64 = 1_000_000;

    fn rate(text: &str) -> Rate {
        text.parse().unwrap()
    }

    /// One request after another at a limit; whether each passes.
    struct Key {
        flow: Flow,
        word: u64,
    }

    impl Key {
        fn new(text: &str, burst: u64) -> Key {
            Key { flow: Flow::new(rate(text), burst, 0), word: 0 }
        }

        fn asks(&mut self, now: u64, cost: u64) -> Result<Level, Level> {
            match self.flow.ask(self.word, now, cost) {
                Outcome::Passes(word, level) => {
                    self.word = word;
                    Ok(level)
                }
                Outcome::Refused(level) => Err(level),
            }
        }
    }

    #[test]
    fn a_burst_at_once_then_one_for_each_interval() {
        let mut key = Key::new("100/min", 20);
        for nth in 1..=20 {
            assert_eq!(key.asks(0, 1).unwrap().remaining, 20 - nth);
        }
        let refused = key.asks(0, 1).unwrap_err();
        assert_eq!((refused.remaining, refused.wait / MILLI), (0, 600));
        assert!(key.asks(599 * SECOND / 1000, 1).is_err());
        assert!(key.asks(601 * SECOND / 1000, 1).is_ok());
        assert_eq!(key.asks(602 * SECOND / 1000, 1).unwrap_err().remaining, 0);
    }

    #[test]
    fn waiting_as_long_as_told_is_enough() {
        for (text, burst) in [("7/s", 3), ("1/day", 1), ("10000000/s", 1), ("3/7d", 2), ("999/hour", 999)] {
            let mut key = Key::new(text, burst);
            let mut now = 5 * SECOND;
            for _ in 0..burst {
                key.asks(now, 1).unwrap();
            }
            for _ in 0..5 {
                let wait = key.asks(now, 1).unwrap_err().wait;
                now += wait;
                assert!(key.asks(now, 1).is_ok(), "{text} after {wait}");
            }
        }
    }

    #[test]
    fn a_refusal_consumes_nothing_and_a_larger_cost_waits_longer() {
        let mut key = Key::new("10/s", 10);
        assert!(key.asks(0, 11).is_err());
        assert_eq!(key.asks(0, 4).unwrap().remaining, 6);
        let refused = key.asks(0, 8).unwrap_err();
        assert_eq!((refused.remaining, refused.wait / MILLI), (6, 200));
        assert_eq!(key.asks(0, 6).unwrap().remaining, 0);
    }

    #[test]
    fn a_changed_limit_keeps_what_was_consumed() {
        let mut key = Key::new("10/hour", 10);
        for _ in 0..10 {
            key.asks(SECOND, 1).unwrap();
        }
        key.flow = key.flow.changed(rate("100/hour"), 100, 2 * SECOND);
        assert_eq!(key.asks(2 * SECOND, 1).unwrap().remaining, 89);
        key.flow = key.flow.changed(rate("5/hour"), 5, 3 * SECOND);
        let refused = key.asks(3 * SECOND, 1).unwrap_err();
        // Eleven consumed, five fit: seven have to come back, at five an hour.
        assert_eq!(refused.wait / SECOND / 60, 83, "{refused:?}");
    }

    #[test]
    fn extremes_neither_wrap_nor_let_pass_what_is_not_there() {
        for text in ["1/s", "10000000/s", "1/365d", "18446744073709551615/3650d"] {
            for burst in [1, LARGEST, u64::MAX] {
                let flow = Flow::new(rate(text), burst, u64::MAX / 2);
                for now in [0, u64::MAX / 2, u64::MAX] {
                    for word in [0, u64::MAX] {
                        let _ = flow.ask(word, now, u64::MAX);
                        let _ = flow.charged(word, now, u64::MAX);
                    }
                }
                assert!(matches!(flow.ask(0, 0, u64::MAX), Outcome::Refused(_)) || burst > LARGEST);
            }
        }
        // A clock that goes backwards gives nothing back and takes nothing away.
        let mut key = Key::new("10/s", 10);
        for _ in 0..10 {
            key.asks(3600 * SECOND, 1).unwrap();
        }
        assert!(key.asks(0, 1).is_err());
        assert!(key.asks(3601 * SECOND, 10).is_ok());
    }

    /// The same as a bucket that leaks, in exact fractions: requests times the period.
    struct Model {
        level: u128,
        at: u64,
        rate: Rate,
        burst: u64,
    }

    impl Model {
        fn asks(&mut self, now: u64, cost: u64) -> bool {
            let period = self.rate.period().as_nanos();
            let leaked = u128::from(now - self.at) * u128::from(self.rate.count());
            (self.level, self.at) = (self.level.saturating_sub(leaked), now);
            let full = self.level + u128::from(cost) * period;
            if full > u128::from(self.burst) * period {
                return false;
            }
            self.level = full;
            true
        }
    }

    proptest! {
        /// Over any run of requests the number that passed differs from the exact model's by one at most.
        #[test]
        fn never_wrong_by_more_than_one(
            count in 1u64..5000,
            period in 1u64..90_000,
            burst in 1u64..300,
            steps in proptest::collection::vec(0u64..20_000_000_000, 1..400),
        ) {
            let limit: Rate = format!("{count}/{period}ms").parse().unwrap();
            prop_assume!(limit.per_second() <= FASTEST as f64);
            let mut key = Key { flow: Flow::new(limit, burst, 0), word: 0 };
            let mut model = Model { level: 0, at: 0, rate: limit, burst };
            let (mut now, mut ours, mut exact) = (0, 0i64, 0i64);
            for step in steps {
                // Small steps as often as large ones.
                now += if step % 2 == 0 { step % 5_000_000 } else { step };
                ours += i64::from(key.asks(now, 1).is_ok());
                exact += i64::from(model.asks(now, 1));
                prop_assert!((ours - exact).abs() <= 1, "{} of {}", ours, exact);
            }
        }
    }
}
