//! The shared store with leases: a gateway takes a share of a limit at once and answers from it.
//!
//! A lease is taken from the limit in Redis before anything of it is given to a request, and ends after the time in which
//! the limit gives back as much. So all gateways together let at most one lease more pass than the limit does, in any
//! stretch of time, and each worker may hold back one at most. Nothing of a lease is ever used after its end, and where more
//! wait than leases are large each asks for itself. What Redis refuses is remembered for as long as it says.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::Notify;
use tokio::time::timeout;

use super::asking::{self, Part};
use super::{Ask, Later, Store, correct, exactly, whole};
use crate::policies::rate_limit::gcra::Level;
use crate::policies::rate_limit::now;
use crate::policies::rate_limit::store::{Charge, Said};
use crate::policies::shared::{Link, Remote};
use crate::values::table::Table;

/// Keys whose leases are remembered.
const KEYS: usize = 200_000;
/// Bits of a word for the time at which it ends, in milliseconds: 34 years. Above them stand the requests of a lease.
const TIME: u32 = 40;
/// The bit that says that the limit refuses until then.
const REFUSES: u64 = 1 << 63;
/// The most that one lease holds.
const MOST: u64 = (1 << (63 - TIME)) - 1;
/// How often a request tries again when others have taken the lease that it waited for.
const TRIES: usize = 3;

/// Shares of limits that this gateway holds.
pub(in crate::policies::rate_limit) struct Leases {
    remote: Arc<Remote>,
    held: Arc<Table>,
}

/// What a lease says.
enum Held {
    /// It has so many.
    Some(u64),
    /// The limit refuses for so many milliseconds.
    Refused(u64),
    /// There is none.
    None,
}

thread_local! {
    static FETCHED: RefCell<HashMap<u64, Rc<Notify>>> = RefCell::default();
}

/// This worker is getting a lease; others who want it wait for it instead of getting one more.
struct Fetching(u64);

impl Fetching {
    fn begin(hash: u64) -> Result<Fetching, Rc<Notify>> {
        FETCHED.with_borrow_mut(|fetched| match fetched.get(&hash) {
            Some(other) => Err(other.clone()),
            None => {
                fetched.insert(hash, Rc::default());
                Ok(Fetching(hash))
            }
        })
    }
}

impl Drop for Fetching {
    fn drop(&mut self) {
        if let Some(waiting) = FETCHED.with_borrow_mut(|fetched| fetched.remove(&self.0)) {
            waiting.notify_waiters();
        }
    }
}

/// What a request takes of a lease: the hash of limit, key, rate and burst, and how many.
type Taking = (u64, u64);

impl Leases {
    /// Of this Redis.
    pub(in crate::policies::rate_limit) fn new(remote: Arc<Remote>) -> Leases {
        Leases { remote, held: Arc::new(Table::new(KEYS)) }
    }
}

fn held(table: &Table, (hash, cost): Taking, now: u64) -> Held {
    let word = table.find(hash).map_or(0, |place| place.read());
    let (count, ends) = (count(word), ends(word));
    match ends.saturating_sub(now / 1_000_000) {
        0 => Held::None,
        left if word & REFUSES != 0 => Held::Refused(left),
        _ if count >= cost => Held::Some(count),
        _ => Held::None,
    }
}

/// Changes a lease that still runs by so many requests; false when there is none, or not enough in it.
fn change(table: &Table, hash: u64, more: i64, now: u64) -> bool {
    let Some(place) = table.find(hash) else { return false };
    let mut word = place.read();
    loop {
        let runs = ends(word) > now / 1_000_000 && word & REFUSES == 0;
        let next = count(word).checked_add_signed(more).filter(|next| runs && *next <= MOST);
        let Some(next) = next else { return false };
        match place.change(word, next << TIME | ends(word)) {
            Ok(()) => return true,
            Err(Some(other)) => word = other,
            Err(None) => return false,
        }
    }
}

/// Puts another word in the place of what was too little for a request of this cost, or of nothing. A lease that others have
/// brought meanwhile grows.
fn put(table: &Table, (hash, cost): Taking, above: u64, lasts: u64, now: u64) {
    let Some(place) = table.place(hash, now) else { return };
    let until = (now / 1_000_000).saturating_add(lasts.max(1)).min((1 << TIME) - 1);
    let mut word = place.read();
    let mut next;
    loop {
        let runs = ends(word) > now / 1_000_000 && word & REFUSES == 0;
        next = if above == REFUSES {
            if runs && count(word) > 0 {
                return;
            }
            REFUSES | until
        } else {
            // Two that were brought at once end with the earlier. What was too little is given up: it would be used after its end.
            let others = count(word) >= cost.max(1) && runs;
            let (left, until) = if others { (count(word), until.min(ends(word))) } else { (0, until) };
            (above >> TIME).saturating_add(left).min(MOST) << TIME | until
        };
        match place.change(word, next) {
            Ok(()) => break,
            Err(Some(other)) => word = other,
            Err(None) => return,
        }
    }
    place.lasts_until(ends(next).saturating_mul(1_000_000));
}

/// What all leases say: taken from all, or refused by one; `None` when one of them has to be got first.
fn look(table: &Table, takings: &[Taking], now: u64) -> Option<Vec<Said>> {
    let said = |passes: bool, remaining: u64, millis: u64| Said {
        passes,
        level: Level { remaining, wait: millis.saturating_mul(1_000_000) },
    };
    let leases: Vec<Held> = takings.iter().map(|taking| held(table, *taking, now)).collect();
    if leases.iter().any(|held| matches!(held, Held::Refused(_))) {
        let told = leases.iter().map(|held| match held {
            Held::Refused(left) => said(false, 0, *left),
            Held::Some(count) => said(true, *count, 0),
            Held::None => said(true, 1, 0),
        });
        return Some(told.collect());
    }
    let mut told = Vec::with_capacity(takings.len());
    for (nth, (hash, cost)) in takings.iter().enumerate() {
        if !change(table, *hash, whole(*cost).saturating_neg(), now) {
            for (hash, cost) in takings.iter().take(nth) {
                change(table, *hash, whole(*cost), now);
            }
            return None;
        }
        let left = match leases.get(nth) {
            Some(Held::Some(count)) => count.saturating_sub(*cost),
            _ => 0,
        };
        // What the gateway knows of: its own share.
        told.push(said(true, left, 0));
    }
    Some(told)
}

/// Gets leases where there are none. False when there is no answer.
async fn get(remote: &Arc<Remote>, table: &Table, asks: &[Ask], now: u64) -> bool {
    let lacking = asks.iter().filter(|ask| matches!(held(table, (ask.hash, ask.cost), now), Held::None));
    let lacking: Vec<Part> =
        lacking.map(|ask| (*ask, whole(ask.cost.max(1)), whole(ask.lease.max(ask.cost).min(MOST)))).collect();
    let Some(told) = asking::ask(remote, false, &lacking).await else { return false };
    let all = told.iter().zip(&lacking).all(|((gives, _), (_, least, _))| gives >= least);
    for ((ask, least, _), (gives, level)) in lacking.iter().zip(told) {
        if all {
            let gives = u64::try_from(gives).unwrap_or(0).min(MOST);
            put(table, (ask.hash, ask.cost), gives << TIME, lasts(ask), now);
        } else if gives < *least {
            // A millisecond early rather than late: then Redis says so again.
            put(table, (ask.hash, ask.cost), REFUSES, level.wait / 1_000_000, now);
        }
    }
    true
}

/// The requests of a word.
fn count(word: u64) -> u64 {
    (word & !REFUSES) >> TIME
}

/// When a word ends.
fn ends(word: u64) -> u64 {
    word & ((1 << TIME) - 1)
}

/// Milliseconds in which the limit gives back a lease.
fn lasts(ask: &Ask) -> u64 {
    let millis = ask.lease as f64 / ask.per_micro / 1000.0;
    // Far more than a lease ever lasts, and exact below it.
    millis.clamp(1.0, 1e11) as u64
}

impl Store for Leases {
    fn at_once(&self, charges: &[Charge], now: u64) -> Option<Vec<Said>> {
        let takings: Vec<Taking> = charges.iter().map(|charge| (charge.hash_now(), charge.cost)).collect();
        look(&self.held, &takings, now)
    }

    fn take(&self, asks: Vec<Ask>) -> Option<Later> {
        if !Link::of(&self.remote).may_answer() {
            return None;
        }
        let (remote, table) = (self.remote.clone(), self.held.clone());
        Some(Box::pin(async move {
            let (started, patience) = (Instant::now(), remote.settings.timeout.get());
            let takings: Vec<Taking> = asks.iter().map(|ask| (ask.hash, ask.cost)).collect();
            for _ in 0..TRIES {
                // Whoever has waited looks at what runs now, not at what ran when it came.
                let now = now();
                if let Some(said) = look(&table, &takings, now) {
                    return Some(said);
                }
                if started.elapsed() >= patience {
                    return None;
                }
                let lacking = takings.iter().find(|taking| matches!(held(&table, **taking, now), Held::None));
                match Fetching::begin(lacking.map_or(0, |(hash, _)| *hash)) {
                    Ok(_fetching) => {
                        if !get(&remote, &table, &asks, now).await {
                            return None;
                        }
                    }
                    Err(other) => timeout(patience, other.notified()).await.ok()?,
                }
            }
            match look(&table, &takings, now()) {
                None if started.elapsed() < patience => exactly(&remote, &asks).await,
                said => said,
            }
        }))
    }

    fn correct(&self, ask: Ask, more: i64) {
        correct(&self.remote, ask, more);
    }

    fn remote(&self) -> &Remote {
        &self.remote
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLI: u64 = 1_000_000;

    /// Takes one at a time until there is none; how many there were.
    fn used_up(table: &Table, now: u64) -> usize {
        (0..100).take_while(|_| look(table, &[(7, 1)], now).is_some()).count()
    }

    #[test]
    fn a_lease_ends_when_the_limit_has_given_it_back() {
        let table = Table::new(10);
        assert_eq!(used_up(&table, 5 * MILLI), 0);
        put(&table, (7, 1), 10 << TIME, 1_000, 5 * MILLI);
        assert!(look(&table, &[(7, 4)], 1_004 * MILLI).is_some());
        assert_eq!(used_up(&table, 1_005 * MILLI), 0, "six are lost");
    }

    #[test]
    fn what_is_left_never_outlives_its_own_end() {
        let table = Table::new(10);
        put(&table, (7, 1), 10 << TIME, 1_000, 0);
        // Three are too little for five: a new lease does not make them younger.
        assert!(look(&table, &[(7, 7)], 0).is_some());
        put(&table, (7, 5), 10 << TIME, 1_000, 900 * MILLI);
        assert_eq!(used_up(&table, 1_500 * MILLI), 10);
        // Two workers bring one at the same time: both can be used, until the first would have ended.
        put(&table, (7, 1), 10 << TIME, 1_000, 2_000 * MILLI);
        put(&table, (7, 1), 10 << TIME, 1_000, 2_003 * MILLI);
        assert!(look(&table, &[(7, 15)], 2_999 * MILLI).is_some());
        assert_eq!(used_up(&table, 3_000 * MILLI), 0);
    }

    #[test]
    fn a_refusal_is_remembered_and_takes_nothing_that_others_brought() {
        let table = Table::new(10);
        put(&table, (7, 1), REFUSES, 100, 0);
        assert!(!look(&table, &[(7, 1)], 99 * MILLI).unwrap()[0].passes);
        assert!(look(&table, &[(7, 1)], 100 * MILLI).is_none());
        put(&table, (7, 1), 10 << TIME, 1_000, 100 * MILLI);
        put(&table, (7, 1), REFUSES, 1_000, 100 * MILLI);
        assert_eq!(used_up(&table, 100 * MILLI), 10);
    }
}
