//! What is usual for the clients of a watch, at each hour of the day, and on its routes.
//!
//! Learnt from clients that give no cause, once a minute each; half of it is forgotten in a day. Bounded: some kilobytes for
//! each watch and route.

use std::sync::atomic::{AtomicU64, Ordering};

use super::memory::distinct;

/// Parts of a histogram: from 1 on, each larger by the root of two.
const PARTS: usize = 40;
/// What must have been learnt before a histogram says anything.
const ENOUGH: f32 = 50.0;
const DAY: u32 = 86_400;
/// Clients that failed on a route in five minutes, below which nobody speaks of an attack.
const LEAST_CLIENTS: f32 = 20.0;
const TURN: u32 = 300;

/// How large things are, in parts that grow.
#[derive(Clone, Debug)]
struct Histogram([f32; PARTS]);

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram([0.0; PARTS])
    }
}

impl Histogram {
    fn add(&mut self, value: f32) {
        let part = (value.max(1.0).log2() * 2.0) as usize;
        if let Some(count) = self.0.get_mut(part.min(PARTS - 1)) {
            *count += 1.0;
        }
    }

    fn fade(&mut self) {
        self.0.iter_mut().for_each(|count| *count *= 0.5);
    }
}

/// The upper end of the part in which so large a share of what a histogram holds has been passed; none where it holds little.
fn quantile(histogram: &Histogram, share: f32) -> Option<f32> {
    let all: f32 = histogram.0.iter().sum();
    if all < ENOUGH {
        return None;
    }
    let mut passed = 0.0;
    let part = histogram.0.iter().position(|count| {
        passed += count;
        passed >= all * share
    })?;
    Some(((part as f32 + 1.0) / 2.0).exp2())
}

/// What is usual for the clients of a watch.
#[derive(Clone, Debug, Default)]
pub struct Usual {
    hours: Vec<Histogram>,
    minutes: Histogram,
    paths: Histogram,
    errors: f32,
    learnt: f32,
    faded: u32,
}

impl Usual {
    /// Learns what a client did in a minute; the share of its errors only where it got good answers, too.
    pub fn minute(&mut self, requests: f32, errors: Option<f32>, hour: u32) {
        if self.hours.is_empty() {
            self.hours = vec![Histogram::default(); 24];
        }
        self.minutes.add(requests);
        if let Some(hour) = self.hours.get_mut(hour as usize) {
            hour.add(requests);
        }
        let Some(errors) = errors else { return };
        self.learnt += 1.0;
        // Slowly and with a bound, so that many who bring nothing but errors for an hour do not make them usual.
        self.errors += (errors.min(0.2) - self.errors) * (1.0 / self.learnt).max(0.000_1);
    }

    /// Learns how many paths a client asked for in half an hour.
    pub fn turn(&mut self, paths: f32) {
        self.paths.add(paths);
    }

    /// Forgets half of it each day.
    pub fn fade(&mut self, now: u32) {
        if now.saturating_sub(self.faded) < DAY {
            return;
        }
        self.faded = now;
        self.hours.iter_mut().for_each(Histogram::fade);
        self.minutes.fade();
        self.paths.fade();
    }

    /// Requests a minute that 99 of 100 clients do not pass at this hour.
    pub fn rate(&self, hour: u32) -> Option<f32> {
        let own = self.hours.get(hour as usize).and_then(|own| quantile(own, 0.99));
        own.or_else(|| quantile(&self.minutes, 0.99))
    }

    /// Distinct paths in half an hour that 99 of 100 clients do not pass.
    pub fn paths(&self) -> Option<f32> {
        quantile(&self.paths, 0.99)
    }

    /// The share of errors of a client.
    pub fn errors(&self) -> f32 {
        if self.learnt < ENOUGH { 0.02 } else { self.errors }
    }
}

/// The clients that failed on a route, as workers sketch them.
pub struct Failures([AtomicU64; 16]);

impl Default for Failures {
    fn default() -> Failures {
        Failures([const { AtomicU64::new(0) }; 16])
    }
}

impl Failures {
    /// A credential of this client failed.
    #[cold]
    pub fn note(&self, key: u64) {
        if let Some(word) = self.0.get((key >> 6 & 15) as usize) {
            word.fetch_or(1 << (key & 63), Ordering::Relaxed);
        }
    }
}

/// What the control side makes of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Route {
    sketch: [u64; 16],
    /// How many failed in the turn before, and how many usually do.
    before: f32,
    usual: f32,
    turns: u32,
    turned: u32,
}

impl Route {
    /// Takes in what was counted since the last time. Gives how much it looks like many who guess together: 0 not at all, 1
    /// surely.
    pub(super) fn take(&mut self, failures: &Failures, now: u32) -> f32 {
        for (sketch, word) in self.sketch.iter_mut().zip(&failures.0) {
            if word.load(Ordering::Relaxed) != 0 {
                *sketch |= word.swap(0, Ordering::Relaxed);
            }
        }
        let heat = self.heat();
        if now.saturating_sub(self.turned) >= TURN {
            self.before = distinct(&self.sketch);
            self.sketch = [0; 16];
            self.turned = now;
            if heat == 0.0 {
                // Half of it in an hour; not while it burns.
                self.usual += (self.before - self.usual) * if self.turns == 0 { 1.0 } else { 0.06 };
            }
            self.turns = self.turns.saturating_add(1);
        }
        heat
    }

    fn heat(&self) -> f32 {
        let clients = distinct(&self.sketch).max(self.before);
        // Before anything is known, only very many say something.
        let least = if self.turns == 0 { 5.0 * LEAST_CLIENTS } else { LEAST_CLIENTS };
        let most = (4.0 * self.usual).max(least);
        if clients < most { 0.0 } else { (0.25 + (clients / most).log2() / 2.0).min(1.0) }
    }

    /// Clients that failed in the last five minutes, and how many usually do.
    pub(super) fn told(&self) -> (f32, f32) {
        (distinct(&self.sketch).max(self.before), self.usual)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hour_decides_what_is_usual() {
        let mut usual = Usual::default();
        for _ in 0..1_000 {
            usual.minute(6.0, Some(0.01), 3);
            usual.minute(200.0, Some(0.05), 14);
        }
        let (night, day) = (usual.rate(3).unwrap(), usual.rate(14).unwrap());
        assert!((200.0..=400.0).contains(&day) && night < day, "{night} {day}");
        assert!((usual.errors() - 0.03).abs() < 0.005);
        assert_eq!(usual.paths(), None);
        assert_eq!(Usual::default().rate(3), None);
    }

    #[test]
    fn many_who_fail_together_are_seen_and_one_who_fails_often_is_not() {
        let (failures, mut route) = (Failures::default(), Route::default());
        let key = |nth: u64| nth.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        // An ordinary hour: one mistake in ten seconds.
        for second in (0..3_600).step_by(10) {
            failures.note(key(second));
            assert_eq!(route.take(&failures, second as u32), 0.0);
        }
        for second in 3_600..3_900u32 {
            (0..50).for_each(|_| failures.note(key(1)));
            assert_eq!(route.take(&failures, second), 0.0, "one alone");
        }
        let (failures, mut route) = (Failures::default(), Route::default());
        let mut heat = 0.0;
        for second in 0..120u32 {
            (0..3).for_each(|nth| failures.note(key(u64::from(second * 3 + nth))));
            heat = route.take(&failures, second);
        }
        assert!(heat > 0.9, "{heat}");
    }
}
