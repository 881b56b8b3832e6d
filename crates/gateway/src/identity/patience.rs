//! How often credentials may fail before the next is not even looked at: slows who guesses.
//!
//! Counts by the client's address (an IPv6 client by its /64, which one subscriber has whole) and by the readable beginning
//! of a key, so that neither many keys from one place nor one key from many places is tried fast; codes of authenticators by
//! their consumer. All workers count together, in a table of fixed size without locks; where a bucket is full, who has failed
//! least is forgotten. Who is remembered as good is not asked and not slowed.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::values::Rate;

/// Places in one bucket, and buckets: 32,768 counts in half a MiB, which is there once somebody fails.
const WAYS: usize = 8;
const BUCKETS: usize = 4096;
/// Bits of a number of failures; above them stand the milliseconds at which the first was, counted from the start.
const COUNT_BITS: u32 = 20;
const MOST_COUNT: u64 = (1 << COUNT_BITS) - 1;
/// The name of a place that is just changing hands.
const CHANGING: u64 = 1;
/// How often a count is tried again that another worker changed meanwhile.
const TRIES: usize = 64;

/// How many failures there may be in which time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Patience {
    most: u64,
    period: Duration,
}

/// Whose failures are counted.
#[derive(Clone, Copy, Debug)]
pub enum Whose<'w> {
    /// Those from an address.
    Address(IpAddr),
    /// Those with a key that begins so.
    Beginning(&'w [u8]),
    /// Those of codes of this consumer's authenticator.
    Code(&'w str),
}

/// One count: whose, and since when how often.
struct Place {
    name: AtomicU64,
    count: AtomicU64,
}

struct Counts {
    secret: RandomState,
    start: Instant,
    places: Vec<Place>,
}

static COUNTS: OnceLock<Counts> = OnceLock::new();

/// Whether nobody has failed yet.
pub fn is_untouched() -> bool {
    COUNTS.get().is_none()
}

impl Patience {
    /// With so many failures in such a time.
    pub fn new(rate: Rate) -> Patience {
        Patience { most: rate.count(), period: rate.period() }
    }

    /// How long it is out for these, if it is.
    pub fn is_out(&self, whose: &[Whose<'_>], now: Instant) -> Option<Duration> {
        let counts = COUNTS.get()?;
        whose.iter().filter_map(|whose| counts.out(*whose, self, now)).max()
    }

    /// Counts a failure of these.
    pub fn fail(&self, whose: &[Whose<'_>], now: Instant) {
        let counts = COUNTS.get_or_init(|| Counts::new(BUCKETS));
        whose.iter().for_each(|whose| counts.fail(*whose, self, now));
    }
}

impl Counts {
    fn new(buckets: usize) -> Counts {
        let free = || Place { name: AtomicU64::new(0), count: AtomicU64::new(0) };
        let places = (0..buckets.saturating_mul(WAYS)).map(|_| free()).collect();
        Counts { secret: RandomState::new(), start: Instant::now(), places }
    }

    fn name(&self, whose: Whose<'_>) -> u64 {
        let name = match whose {
            Whose::Address(address) => match address.to_canonical() {
                IpAddr::V4(address) => self.secret.hash_one((4, address.to_bits())),
                IpAddr::V6(address) => self.secret.hash_one((6, address.to_bits() >> 64)),
            },
            Whose::Beginning(text) => self.secret.hash_one((0, text)),
            Whose::Code(consumer) => self.secret.hash_one((1, consumer)),
        };
        name.max(CHANGING + 1)
    }

    fn bucket(&self, name: u64) -> &[Place] {
        let buckets = (self.places.len() / WAYS).max(1);
        let place = usize::try_from(name >> 32).unwrap_or(0) % buckets;
        let start = place.saturating_mul(WAYS);
        self.places.get(start..start.saturating_add(WAYS)).unwrap_or_default()
    }

    fn millis(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.start).as_millis()).unwrap_or(u64::MAX >> COUNT_BITS)
    }

    /// The failures of a count within the period, and what is left of it.
    fn read(&self, count: u64, patience: &Patience, now: Instant) -> Option<(u64, Duration)> {
        let since = Duration::from_millis(self.millis(now).saturating_sub(count >> COUNT_BITS));
        let left = patience.period.checked_sub(since).filter(|left| !left.is_zero())?;
        Some((count & MOST_COUNT, left))
    }

    fn out(&self, whose: Whose<'_>, patience: &Patience, now: Instant) -> Option<Duration> {
        let name = self.name(whose);
        let place = self.bucket(name).iter().find(|place| place.name.load(Ordering::Acquire) == name)?;
        let (failures, left) = self.read(place.count.load(Ordering::Relaxed), patience, now)?;
        (failures >= patience.most.min(MOST_COUNT)).then_some(left)
    }

    fn fail(&self, whose: Whose<'_>, patience: &Patience, now: Instant) {
        let name = self.name(whose);
        let first = self.millis(now) << COUNT_BITS | 1;
        let bucket = self.bucket(name);
        for _ in 0..TRIES {
            if let Some(place) = bucket.iter().find(|place| place.name.load(Ordering::Acquire) == name) {
                let count = place.count.load(Ordering::Relaxed);
                let next = match self.read(count, patience, now) {
                    Some((failures, _)) if failures < MOST_COUNT => count.saturating_add(1),
                    Some(_) => return,
                    None => first,
                };
                if place.count.compare_exchange(count, next, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
                    return;
                }
                continue;
            }
            // Whose period is over, and then who has failed least, makes room.
            let worth = |place: &&Place| {
                let count = place.count.load(Ordering::Relaxed);
                (self.read(count, patience, now).map_or(0, |(failures, _)| failures), count >> COUNT_BITS)
            };
            let Some(place) = bucket.iter().min_by_key(worth) else { return };
            let old = place.name.load(Ordering::Acquire);
            let claimed = old != CHANGING
                && place.name.compare_exchange(old, CHANGING, Ordering::AcqRel, Ordering::Acquire).is_ok();
            if claimed {
                place.count.store(first, Ordering::Relaxed);
                place.name.store(name, Ordering::Release);
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Whose<'static> {
        Whose::Address(text.parse().unwrap())
    }

    #[test]
    fn patience_ends_and_comes_back() {
        let (patience, counts) = (Patience::new("3/min".parse().unwrap()), Counts::new(64));
        let (now, second) = (counts.start, Duration::from_secs(1));
        for _ in 0..3 {
            assert_eq!(counts.out(address("2001:db8::1"), &patience, now), None);
            counts.fail(address("2001:db8::1"), &patience, now);
        }
        let out = |text: &str, at| counts.out(address(text), &patience, at);
        assert_eq!(out("2001:db8::2", now + 10 * second), Some(50 * second), "the same /64");
        assert_eq!(out("2001:db8:0:1::1", now), None);
        assert_eq!(out("192.0.2.1", now), None);
        assert_eq!(out("2001:db8::1", now + 60 * second), None);
        counts.fail(address("2001:db8::1"), &patience, now + 60 * second);
        assert_eq!(out("2001:db8::1", now + 60 * second), None);
        assert_eq!(counts.out(Whose::Beginning(b"tgk_AbCd1234"), &patience, now), None);
    }

    #[test]
    fn who_fails_most_is_not_forgotten_for_those_who_fail_once() {
        let (patience, counts) = (Patience::new("5/min".parse().unwrap()), Counts::new(1));
        let now = counts.start;
        (0..5).for_each(|_| counts.fail(address("192.0.2.1"), &patience, now));
        for number in 0..1000_u32 {
            counts.fail(Whose::Beginning(&number.to_be_bytes()), &patience, now);
        }
        assert!(counts.out(address("192.0.2.1"), &patience, now).is_some());
    }

    #[test]
    fn workers_count_together() {
        let (patience, counts) = (Patience::new("1000/min".parse().unwrap()), Counts::new(64));
        let (now, counts) = (counts.start, &counts);
        // One after the other makes the place, so that none of the others does.
        counts.fail(address("192.0.2.1"), &patience, now);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(move || (0..249).for_each(|_| counts.fail(address("192.0.2.1"), &patience, now)));
            }
        });
        let name = counts.name(address("192.0.2.1"));
        let place = counts.bucket(name).iter().find(|place| place.name.load(Ordering::Relaxed) == name);
        let failures = place.unwrap().count.load(Ordering::Relaxed) & MOST_COUNT;
        // Whoever finds a count changed too often gives up: a few may be missing, none is too many.
        assert!((500..=997).contains(&failures), "{failures}");
    }
}
