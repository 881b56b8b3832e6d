//! Which of several services takes the requests of a route.
//!
//! Takes an exchange that the policies let pass; gives the place of one service. The same key goes to the same one, by
//! weighted rendezvous hashing: when weights change, only as many keys move as must. Allocates nothing but for a browser
//! that gets its cookie. Weights are the control side's to change; a worker reads them.

mod counted;
mod progress;
mod scale;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use http1::NameBuf;

use super::condition::Condition;
use super::table::Lookup;
use crate::balance::hash::hash;
use crate::exchange::Exchange;
use crate::upstream::care::Care;
use crate::values::random::Random;
use crate::values::{Source, hex32};

pub use counted::{ArmReading, ArmShard};
pub use progress::{Plan, Progress, Stage, Worse};
pub use scale::Scale;

use counted::Counted;

/// How many parts a weight of 1 has, so that it can be changed by less.
pub const PARTS: u32 = 1_000;

/// The services of a route.
pub struct Split {
    /// In the order of the configuration.
    pub arms: Vec<Arm>,
    /// Who stays where.
    pub sticky: Sticky,
    /// Who is sent where whatever the weights say.
    pub preferences: Vec<Preference>,
    /// How the weights grow by themselves, if they do.
    pub plan: Option<Plan>,
    /// What outlives a reload.
    pub live: Arc<Live>,
}

/// One service of a split.
pub struct Arm {
    /// Its place in the snapshot.
    pub service: u32,
    /// Its name.
    pub name: Arc<str>,
    /// What is done for its requests besides.
    pub care: Option<Box<Care>>,
}

/// Who stays where.
pub enum Sticky {
    /// Nobody: every request is drawn.
    Nobody,
    /// The first of these that the request has.
    By(Vec<Source>),
    /// Whoever brings this cookie; who brings none gets one.
    Cookie {
        /// Its name.
        name: Box<str>,
        /// How many seconds it is kept.
        max_age: u64,
    },
}

/// Who is sent to one service.
pub struct Preference {
    /// The place of the service among the arms.
    pub arm: usize,
    /// One of these is enough.
    pub conditions: Vec<Condition>,
    /// Or one of these groups.
    pub groups: Vec<Box<str>>,
    /// Or to be one of these consumers.
    pub consumers: Vec<Box<str>>,
}

/// The weights that hold and what was counted: outlives reloads that leave the split as it is.
pub struct Live {
    weights: Box<[AtomicU32]>,
    /// The weights of the configuration.
    written: Box<[u32]>,
    salts: Box<[u64]>,
    counted: Counted,
    progress: Progress,
}

/// Where a request goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// The place among the arms.
    pub arm: usize,
    /// The word for why: `preferred`, `sticky`, `drawn`.
    pub by: &'static str,
}

/// The line that gives a browser its cookie, until the answer is there.
struct GivenCookie(Vec<u8>);

impl Split {
    /// The arm for a request.
    pub fn choose(&self, exchange: &mut Exchange, random: &Random) -> Chosen {
        if let Some(preference) = self.preferences.iter().find(|preference| preference.holds(exchange)) {
            return Chosen { arm: preference.arm, by: "preferred" };
        }
        let key = match &self.sticky {
            Sticky::Nobody => None,
            Sticky::By(sources) => {
                sources.iter().find_map(|source| exchange.source(source).map(|text| hash(&text)))
            }
            Sticky::Cookie { name, max_age } => Some(cookie(exchange, name, *max_age, random)),
        };
        match key {
            Some(key) => Chosen { arm: self.live.owner(key), by: "sticky" },
            None => Chosen { arm: self.live.owner(random.next()), by: "drawn" },
        }
    }

    /// Puts on the answer what the choice has to say to the client.
    pub fn dress(exchange: &mut Exchange) {
        if let Some(cookie) = exchange.notes.take::<GivenCookie>()
            && let Ok(name) = NameBuf::new("Set-Cookie")
        {
            exchange.response.fields.push(name.as_name(), &cookie.0);
        }
    }

    /// The arm at a place.
    pub fn arm(&self, place: usize) -> Option<&Arm> {
        self.arms.get(place)
    }

    /// Counts an exchange that an arm has had.
    pub fn count(&self, worker: usize, arm: usize, exchange: &Exchange, failed: bool) {
        if let Some(shard) = self.live.counted.shard(worker, arm) {
            let record = &exchange.record;
            let took = match (record.sent, record.answered) {
                (Some(sent), Some(answered)) => answered.saturating_sub(sent),
                _ => record.elapsed(),
            };
            shard.record(took, failed);
        }
    }

    /// What `explain` says of it.
    pub fn told(&self, chosen: Chosen) -> String {
        let name = self.arm(chosen.arm).map_or("", |arm| &*arm.name);
        let why = match chosen.by {
            "preferred" => "because it is preferred",
            "sticky" => "because of what the request is known by",
            _ => "by chance: the request has nothing to be known by",
        };
        format!("split: `{name}` {why}, with {} of all requests", percent(self.live.share(chosen.arm)))
    }
}

/// A share as a percentage with at most two decimals.
pub fn percent(share: f64) -> String {
    let hundredths = (share * 10_000.0).round() / 100.0;
    format!("{hundredths}%")
}

impl Preference {
    fn holds(&self, exchange: &mut Exchange) -> bool {
        if let Some(identity) = &exchange.identity {
            let known = |own: &[Box<str>], name: &str| own.iter().any(|one| **one == *name);
            if identity.groups.iter().any(|group| known(&self.groups, group))
                || identity.consumer.as_ref().is_some_and(|consumer| known(&self.consumers, consumer))
            {
                return true;
            }
        }
        if self.conditions.is_empty() {
            return false;
        }
        let mut scratch = std::mem::take(&mut exchange.scratch);
        let lookup = Lookup {
            method: exchange.request.method,
            method_text: exchange.request.method_text(),
            host: &exchange.host,
            path: &exchange.path,
            query: &exchange.query,
            fields: &exchange.request.fields,
        };
        let found = self.conditions.iter().any(|condition| condition.judge(&lookup, &mut scratch).is_ok());
        exchange.scratch = scratch;
        found
    }
}

/// The key of a browser: what its cookie says, or a new one that it gets with the answer.
fn cookie(exchange: &mut Exchange, name: &str, max_age: u64, random: &Random) -> u64 {
    let good = |value: &&[u8]| value.len() == 32 && value.iter().all(u8::is_ascii_hexdigit);
    if let Some(value) = exchange.cookie(name).filter(good) {
        return hash(value);
    }
    let value = hex32(u128::from(random.next()) << 64 | u128::from(random.next()));
    let mut line = name.as_bytes().to_vec();
    line.push(b'=');
    line.extend_from_slice(&value);
    line.extend_from_slice(format!("; Path=/; Max-Age={max_age}; HttpOnly; SameSite=Lax").as_bytes());
    if exchange.client.https {
        line.extend_from_slice(b"; Secure");
    }
    exchange.notes.put(GivenCookie(line));
    hash(&value)
}

impl Live {
    /// The weights as configured, nothing counted yet.
    pub fn new(arms: &[(&str, u32)], workers: usize) -> Live {
        let written: Box<[u32]> = arms.iter().map(|(_, weight)| weight.saturating_mul(PARTS)).collect();
        Live {
            weights: written.iter().map(|weight| AtomicU32::new(*weight)).collect(),
            written,
            salts: arms.iter().map(|(name, _)| hash(name.as_bytes())).collect(),
            counted: Counted::new(workers, arms.len()),
            progress: Progress::default(),
        }
    }

    /// Who has a key: the arm with the highest score (weighted rendezvous hashing, Schindelhauer and Schomaker 2005).
    fn owner(&self, key: u64) -> usize {
        let mut best = (0, f64::NEG_INFINITY);
        for (place, (weight, salt)) in self.weights.iter().zip(&self.salts).enumerate() {
            let weight = weight.load(Ordering::Relaxed);
            if weight == 0 {
                continue;
            }
            // Between 0 and 1, and neither of them.
            let drawn = ((mixed(key ^ salt) >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
            let score = f64::from(weight) / -drawn.ln();
            if score > best.1 {
                best = (place, score);
            }
        }
        best.0
    }

    /// The weights now, in parts.
    pub fn weights(&self) -> Vec<u32> {
        self.weights.iter().map(|weight| weight.load(Ordering::Relaxed)).collect()
    }

    /// The weights of the configuration, in parts.
    pub fn written(&self) -> &[u32] {
        &self.written
    }

    /// Lets other weights hold, in parts. Those of the configuration where there is none, or where all are 0.
    pub fn weigh(&self, weights: &[u32]) {
        let usable = weights.iter().any(|weight| *weight > 0);
        for (place, weight) in self.weights.iter().enumerate() {
            let written = self.written.get(place).copied().unwrap_or(0);
            let wanted = weights.get(place).copied().filter(|_| usable);
            weight.store(wanted.unwrap_or(written), Ordering::Relaxed);
        }
    }

    /// The share of all requests that an arm gets, between 0 and 1.
    pub fn share(&self, arm: usize) -> f64 {
        let weights = self.weights();
        let total: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
        let own = weights.get(arm).copied().unwrap_or(0);
        if total == 0 { 0.0 } else { f64::from(own) / total as f64 }
    }

    /// What each arm has had since the start.
    pub fn read(&self) -> Vec<ArmReading> {
        self.counted.read()
    }

    /// How its weights grow by themselves.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }
}

/// Spreads the bits of a number (splitmix64: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014).
fn mixed(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owners(live: &Live) -> Vec<usize> {
        (0..20_000_u64).map(|key| live.owner(hash(&key.to_be_bytes()))).collect()
    }

    #[test]
    fn keys_are_spread_by_weight_and_only_those_move_that_must() {
        let live = Live::new(&[("users", 90), ("users-next", 10)], 1);
        let before = owners(&live);
        let next = before.iter().filter(|owner| **owner == 1).count();
        assert!((1_800..2_200).contains(&next), "{next}");
        live.weigh(&[75 * PARTS, 25 * PARTS]);
        let after = owners(&live);
        assert!(
            before.iter().zip(&after).all(|(before, after)| before == after || (*before, *after) == (0, 1))
        );
        let next = after.iter().filter(|owner| **owner == 1).count();
        assert!((4_700..5_300).contains(&next), "{next}");
        live.weigh(&[0, 0]);
        assert_eq!(owners(&live), before, "without any weight those of the configuration hold");
    }

    #[test]
    fn a_third_service_takes_only_what_is_its_own_wherever_it_stands() {
        let before = owners(&Live::new(&[("a", 50), ("b", 50)], 1));
        let after = owners(&Live::new(&[("c", 10), ("b", 50), ("a", 50)], 1));
        for (before, after) in before.iter().zip(&after) {
            assert!(matches!((before, after), (_, 0) | (0, 2) | (1, 1)), "{before} {after}");
        }
    }

    #[test]
    fn a_weight_of_nothing_gets_nothing() {
        let live = Live::new(&[("a", 0), ("b", 1)], 1);
        assert!(owners(&live).iter().all(|owner| *owner == 1));
        assert_eq!((live.share(0), live.share(1)), (0.0, 1.0));
    }
}
