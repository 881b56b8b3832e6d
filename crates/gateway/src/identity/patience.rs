//! How often credentials may fail before the next is not even looked at: slows who guesses.
//!
//! Counts by the client's address (an IPv6 client by its /64, which one subscriber has whole) and by the readable beginning
//! of a key, so that neither many keys from one place nor one key from many places is tried fast. Each worker counts for
//! itself, in bounded memory. Who is remembered as good is not asked and not slowed.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::values::Rate;

/// Entries of one half.
const MOST: usize = 8192;

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
}

#[derive(Clone, Copy)]
struct Count {
    failures: u64,
    since: Instant,
}

#[derive(Default)]
struct Counts {
    secret: RandomState,
    young: HashMap<u64, Count>,
    old: HashMap<u64, Count>,
}

thread_local! {
    static COUNTS: RefCell<Counts> = RefCell::default();
}

impl Patience {
    /// With so many failures in such a time.
    pub fn new(rate: Rate) -> Patience {
        Patience { most: rate.count(), period: rate.period() }
    }

    /// How long it is out for these, if it is.
    pub fn is_out(&self, whose: &[Whose<'_>], now: Instant) -> Option<Duration> {
        COUNTS.with(|counts| {
            let counts = counts.try_borrow().ok()?;
            whose.iter().filter_map(|whose| counts.out(*whose, self, now)).max()
        })
    }

    /// Counts a failure of these.
    pub fn fail(&self, whose: &[Whose<'_>], now: Instant) {
        COUNTS.with(|counts| {
            if let Ok(mut counts) = counts.try_borrow_mut() {
                whose.iter().for_each(|whose| counts.fail(*whose, self, now));
            }
        });
    }
}

impl Counts {
    fn key(&self, whose: Whose<'_>) -> u64 {
        match whose {
            Whose::Address(address) => match address.to_canonical() {
                IpAddr::V4(address) => self.secret.hash_one((4, address.to_bits())),
                IpAddr::V6(address) => self.secret.hash_one((6, address.to_bits() >> 64)),
            },
            Whose::Beginning(text) => self.secret.hash_one((0, text)),
        }
    }

    fn out(&self, whose: Whose<'_>, patience: &Patience, now: Instant) -> Option<Duration> {
        let key = self.key(whose);
        let count = self.young.get(&key).or_else(|| self.old.get(&key))?;
        let left = patience.period.checked_sub(now.saturating_duration_since(count.since))?;
        (count.failures >= patience.most && !left.is_zero()).then_some(left)
    }

    fn fail(&mut self, whose: Whose<'_>, patience: &Patience, now: Instant) {
        let key = self.key(whose);
        let known = self.young.get(&key).or_else(|| self.old.get(&key)).copied();
        let current = known.filter(|count| now.saturating_duration_since(count.since) < patience.period);
        let mut count = current.unwrap_or(Count { failures: 0, since: now });
        count.failures = count.failures.saturating_add(1);
        if self.young.len() >= MOST && !self.young.contains_key(&key) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_ends_and_comes_back() {
        let (patience, now) = (Patience::new("3/min".parse().unwrap()), Instant::now());
        let second = Duration::from_secs(1);
        let mut counts = Counts::default();
        let address = |text: &str| Whose::Address(text.parse().unwrap());
        for _ in 0..3 {
            assert_eq!(counts.out(address("2001:db8::1"), &patience, now), None);
            counts.fail(address("2001:db8::1"), &patience, now);
        }
        let out = |counts: &Counts, text: &str, at| counts.out(address(text), &patience, at);
        assert_eq!(out(&counts, "2001:db8::2", now + 10 * second), Some(50 * second), "the same /64");
        assert_eq!(out(&counts, "2001:db8:0:1::1", now), None);
        assert_eq!(out(&counts, "192.0.2.1", now), None);
        assert_eq!(out(&counts, "2001:db8::1", now + 60 * second), None);
        counts.fail(address("2001:db8::1"), &patience, now + 60 * second);
        assert_eq!(out(&counts, "2001:db8::1", now + 60 * second), None);
        assert_eq!(counts.out(Whose::Beginning(b"tgk_AbCd1234"), &patience, now), None);
    }

    #[test]
    fn counts_are_bounded() {
        let (patience, now) = (Patience::new("1/min".parse().unwrap()), Instant::now());
        let mut counts = Counts::default();
        for number in 0..4 * MOST {
            counts.fail(Whose::Beginning(&number.to_be_bytes()), &patience, now);
        }
        assert!(counts.young.len() <= MOST && counts.old.len() <= MOST);
    }
}
