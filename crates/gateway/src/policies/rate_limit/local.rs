//! The store in this process: one table of words for all limits of all routes, shared by the workers.

use super::gcra::{Flow, Outcome};
use super::store::{Charge, Said};
use crate::values::table::Table;

/// Keys that have room at a time.
pub(super) const KEYS: usize = 1_000_000;

/// Counts in this process.
pub(super) struct Local {
    /// All words.
    pub(super) table: Table,
}

impl Local {
    /// With room for so many keys.
    pub(super) fn new(keys: usize) -> Local {
        Local { table: Table::new(keys) }
    }

    /// Takes from all limits or from none; in a `rehearsal` from none in any case. Says whether all have room, and writes
    /// what each says beside its charge.
    pub(super) fn take(&self, charges: &[Charge], said: &mut [Said], now: u64, rehearsal: bool) -> bool {
        // Each is asked before any is charged: nothing is taken and given back but in a race.
        self.look(charges, said, now, false);
        if said.iter().any(|said| !said.passes) {
            self.look(charges, said, now, true);
            return false;
        }
        if rehearsal {
            return true;
        }
        for nth in 0..charges.len() {
            let (Some(charge), Some(place)) = (charges.get(nth), said.get_mut(nth)) else { continue };
            *place = self.take_one(charge, now);
            if !place.passes {
                for charged in charges.iter().take(nth) {
                    self.change(charged.hash, |word| Flow::refunded(word, charged.cost));
                }
                let rest = nth.saturating_add(1);
                let charges = charges.get(rest..).unwrap_or_default();
                self.look(charges, said.get_mut(rest..).unwrap_or_default(), now, true);
                return false;
            }
        }
        true
    }

    /// What the limits would say, nothing taken. Where the request is `refused` in any case, those that would let it pass
    /// tell what is left without it.
    fn look(&self, charges: &[Charge], said: &mut [Said], now: u64, refused: bool) {
        for (charge, said) in charges.iter().zip(said) {
            let word = self.table.find(charge.hash).map_or(0, |place| place.read());
            *said = match charge.flow.ask(word, now, charge.cost) {
                Outcome::Refused(level) => Said { passes: false, level },
                Outcome::Passes(..) if refused => Said { passes: true, level: charge.flow.level(word, now) },
                Outcome::Passes(_, level) => Said { passes: true, level },
            };
        }
    }

    /// Takes from one limit.
    #[inline]
    pub(super) fn take_one(&self, charge: &Charge, now: u64) -> Said {
        while let Some(place) = self.table.place(charge.hash, now) {
            let mut word = place.read();
            loop {
                match charge.flow.ask(word, now, charge.cost) {
                    Outcome::Refused(level) => {
                        if word == 0 {
                            place.lasts_until(now);
                        }
                        return Said { passes: false, level };
                    }
                    Outcome::Passes(next, level) => match place.change(word, next) {
                        Ok(()) => {
                            place.lasts_until(now.saturating_add(level.wait));
                            return Said { passes: true, level };
                        }
                        Err(Some(other)) => word = other,
                        Err(None) => break,
                    },
                }
            }
        }
        // The bucket was claimed all the time: this request goes uncounted, which is within the error of one.
        let (Outcome::Passes(_, level) | Outcome::Refused(level)) = charge.flow.ask(0, now, charge.cost);
        Said { passes: true, level }
    }

    /// Changes a word that is there; a key that has gone meanwhile owes nothing.
    fn change(&self, hash: u64, change: impl Fn(u64) -> u64) {
        let Some(place) = self.table.find(hash) else { return };
        let mut word = place.read();
        while let Err(other) = place.change(word, change(word)) {
            match other {
                Some(other) => word = other,
                None => return,
            }
        }
    }

    /// Charges so much more, or gives back where it is negative: a cost that was known too late.
    pub(super) fn correct(&self, charge: &Charge, more: i64, now: u64) {
        let amount = more.unsigned_abs();
        self.change(charge.hash, |word| {
            if more < 0 { Flow::refunded(word, amount) } else { charge.flow.charged(word, now, amount) }
        });
        if let Some(place) = self.table.find(charge.hash) {
            place.lasts_until(now.saturating_add(charge.flow.time_left(place.read(), now)));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Instant;

    use super::*;

    fn flow(rate: &str, burst: u64) -> Flow {
        Flow::new(rate.parse().unwrap(), burst, 0)
    }

    fn passes(store: &Local, charges: &[Charge], now: u64) -> bool {
        store.take(charges, &mut vec![Said::NOTHING; charges.len()], now, false)
    }

    #[test]
    fn a_request_that_one_limit_refuses_consumes_nothing_at_any() {
        let store = Local::new(100);
        let wide = Charge { hash: 1, flow: flow("100/hour", 100), cost: 1, ..Charge::NONE };
        let narrow = Charge { hash: 2, flow: flow("3/hour", 3), cost: 1, ..Charge::NONE };
        let passed = (0..50).filter(|_| passes(&store, &[wide, narrow], 1)).count();
        assert_eq!(passed, 3);
        let mut said = [Said::NOTHING];
        assert!(store.take(&[wide], &mut said, 1, true));
        assert_eq!(said[0].level.remaining, 96, "three and the one that was rehearsed");
    }

    #[test]
    fn a_cost_known_late_is_charged_or_given_back() {
        let store = Local::new(100);
        let charge = Charge { hash: 1, flow: flow("10/hour", 10), cost: 1, ..Charge::NONE };
        assert!(passes(&store, &[charge], 1));
        store.correct(&charge, 29, 1);
        assert!(!passes(&store, &[charge], 1));
        // Thirty consumed of ten: the debt of 21 has to come back first, six minutes each.
        assert!(!passes(&store, &[charge], 20 * 360 * 1_000_000_000));
        assert!(passes(&store, &[charge], 22 * 360 * 1_000_000_000));
        store.correct(&charge, -1, 22 * 360 * 1_000_000_000);
        assert!(passes(&store, &[charge], 22 * 360 * 1_000_000_000));
    }

    #[test]
    fn workers_at_once_let_pass_what_one_would() {
        let store = Local::new(10_000);
        let passed: Vec<AtomicU64> = (0..50).map(|_| AtomicU64::new(0)).collect();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        for (nth, passed) in passed.iter().enumerate() {
                            let hash = (nth as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                            let charges = [
                                Charge { hash, flow: flow("100/hour", 100), cost: 1, ..Charge::NONE },
                                Charge { hash: !hash, flow: flow("150/hour", 150), cost: 1, ..Charge::NONE },
                            ];
                            passed.fetch_add(u64::from(passes(&store, &charges, 1)), Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        let passed: Vec<u64> = passed.into_iter().map(AtomicU64::into_inner).collect();
        assert_eq!(passed, [100; 50]);
    }

    /// Prints what a decision costs and what a million keys weigh; run it in release to compare figures.
    #[test]
    fn a_million_keys_have_room() {
        let store = Local::new(KEYS);
        let flow = flow("100/hour", 100);
        let hash = |nth: u64| nth.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (nth >> 7);
        let started = Instant::now();
        for nth in 1..=KEYS as u64 {
            assert!(passes(&store, &[Charge { hash: hash(nth), flow, cost: 1, ..Charge::NONE }], 1));
        }
        let filled = started.elapsed();
        let kept = (1..=KEYS as u64).filter(|nth| {
            let found = store.table.find(hash(*nth));
            found.is_some_and(|place| place.read() > 0)
        });
        assert!(kept.count() as f64 > 0.9999 * KEYS as f64);
        assert!(store.table.bytes() <= 100_000_000, "{}", store.table.bytes());
        let started = Instant::now();
        for nth in 0..1_000_000u64 {
            passes(&store, &[Charge { hash: hash(1 + nth % 1000), flow, cost: 1, ..Charge::NONE }], 2 + nth);
        }
        println!(
            "{} bytes; {:?} to bring in a key, {:?} to decide on a known one",
            store.table.bytes(),
            filled / KEYS as u32,
            started.elapsed() / 1_000_000
        );
    }
}
