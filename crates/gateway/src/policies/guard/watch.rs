//! The guard of the process: the table that the road writes, and what the control side makes of it once a second.
//!
//! Takes what was counted; gives each client a level, by the rules of its watch, and says what changed. The clock is told from
//! outside, so that a day can be simulated. Must never be asked to think on the road.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;

use super::ladder::{LEVELS, Rungs, WATCH};
use super::memory::Memory;
use super::score::{self, Scene, Score};
use super::table::{State, Table, Taken, Who};
use super::told::name_of;
use super::usual::{Failures, Route, Usual};

/// Changes that are told at a time; the rest is counted.
const MOST_CHANGES: usize = 200;
/// Clients whose score the road can tell.
const MOST_TOLD: usize = 10_000;
/// Names of consumers that wait to be taken over, and their longest.
const MOST_NAMES: usize = 1_000;
const LONGEST_NAME: usize = 200;
/// Watches and routes that are remembered.
const MOST_WATCHES: usize = 1_000;
const MOST_ROUTES: usize = 10_000;

/// What a watch goes by.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    /// Its name.
    pub name: String,
    /// The levels.
    pub rungs: Rungs,
    /// Requests a second that are none too many.
    pub calm: f32,
    /// Whether nothing comes of it.
    pub shadow: bool,
    /// Seconds after the guard was made in which it learns.
    pub learns: u32,
}

impl Rules {
    /// Whether what a client on this level does teaches what is usual. Who is looked at more closely does not; but a consumer is
    /// known, and in the beginning nobody is.
    fn teaches(&self, level: u8, is_consumer: bool, now: u32) -> bool {
        let is_low = level <= WATCH && (is_consumer || now < self.learns);
        level == 0 || is_low || (self.shadow && is_consumer)
    }
}

/// A client came to another level.
#[derive(Clone, Debug)]
pub struct Change {
    /// The watch.
    pub watch: String,
    /// The client.
    pub client: String,
    /// Whether it is a consumer.
    pub is_consumer: bool,
    /// The level before.
    pub from: u8,
    /// The level now.
    pub to: u8,
    /// Why.
    pub score: Score,
    /// Whether nothing comes of it.
    pub shadow: bool,
}

/// What came of a second.
#[derive(Debug, Default)]
pub struct Second {
    /// What changed.
    pub changes: Vec<Change>,
    /// What changed besides and is not told.
    pub more: usize,
}

/// Numbers of the guard.
#[derive(Default)]
pub struct Numbers {
    /// Requests that were delayed, limited, challenged, blocked.
    pub acted: [AtomicU64; 4],
    /// Challenges that were met.
    pub met: AtomicU64,
    /// Codes that were not taken.
    pub wrong: AtomicU64,
    /// Clients that came up a level.
    pub raised: AtomicU64,
    /// Clients that were forgiven.
    pub forgiven: AtomicU64,
    /// Requests that wait because of it.
    pub waiting: AtomicU64,
    /// Clients on each level.
    pub on: [AtomicU64; 5],
}

/// The guard.
pub struct Guard {
    /// What the road writes.
    pub table: Table,
    began: Instant,
    /// What is counted.
    pub numbers: Numbers,
    told: ArcSwap<HashMap<u64, Arc<str>>>,
    names: Mutex<Vec<(u64, Arc<str>)>>,
    desk: Mutex<Desk>,
}

/// What only the control side sees.
#[derive(Default)]
pub(super) struct Desk {
    pub(super) memories: HashMap<usize, Box<Memory>>,
    pub(super) names: HashMap<u64, Arc<str>>,
    pub(super) watches: HashMap<u32, Watched>,
    pub(super) routes: HashMap<(u32, Arc<str>), (Arc<Failures>, Route)>,
    pub(super) above: BTreeSet<usize>,
    pub(super) touched: Vec<usize>,
    pub(super) now: u32,
}

pub(super) struct Watched {
    pub(super) rules: Arc<Rules>,
    pub(super) usual: Usual,
    pub(super) heat: f32,
}

impl Guard {
    /// A guard that knows nobody.
    pub fn new(random: u64) -> Guard {
        Guard {
            table: Table::new(random),
            began: Instant::now(),
            numbers: Numbers::default(),
            told: ArcSwap::default(),
            names: Mutex::default(),
            desk: Mutex::default(),
        }
    }

    /// Which watch bears this identity.
    pub fn watch_of(&self, identity: &str) -> u32 {
        self.table.seed.bytes(identity.as_bytes()) as u32
    }

    /// Milliseconds since the guard was made.
    pub fn millis(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.began).as_millis()).unwrap_or(u64::MAX)
    }

    /// As [`Guard::second`], by the clocks of the system.
    pub fn second_by_clock(&self) -> Second {
        let now = u32::try_from(self.began.elapsed().as_secs()).unwrap_or(u32::MAX);
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        self.second(now, (wall / 3_600 % 24) as u32)
    }

    pub(super) fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a watch go by these rules from now on, and counts failures on one of its routes there.
    pub fn adopt(&self, watch: u32, rules: &Arc<Rules>, route: &str, failures: &Arc<Failures>) {
        let mut desk = self.desk();
        let (watches, routes) = (desk.watches.len(), desk.routes.len());
        if watches < MOST_WATCHES || desk.watches.contains_key(&watch) {
            let new = || Watched { rules: rules.clone(), usual: Usual::default(), heat: 0.0 };
            desk.watches.entry(watch).or_insert_with(new).rules = rules.clone();
        }
        let key = (watch, Arc::from(route));
        if routes < MOST_ROUTES || desk.routes.contains_key(&key) {
            desk.routes.entry(key).or_insert_with(|| (failures.clone(), Route::default())).0 =
                failures.clone();
        }
    }

    /// Who an address is: of IPv6 the /64, whose owner has all of it.
    #[inline]
    pub fn who(address: IpAddr) -> Who {
        let bits = match address.to_canonical() {
            IpAddr::V4(address) => V4 | u64::from(address.to_bits()),
            IpAddr::V6(address) => (address.to_bits() >> 64) as u64,
        };
        Who { bits, is_consumer: false }
    }

    /// Who a consumer is.
    #[inline]
    pub fn consumer(&self, name: &str) -> Who {
        Who { bits: self.table.seed.bytes(name.as_bytes()), is_consumer: true }
    }

    /// Tells the control side the name of a consumer. Waits for nobody: whoever is not heard says it again.
    #[cold]
    pub fn introduce(&self, place: super::table::Place<'_>, who: Who, name: &str) {
        let Ok(mut names) = self.names.try_lock() else { return };
        if names.len() < MOST_NAMES {
            names.push((who.bits, name.chars().take(LONGEST_NAME).collect::<String>().into()));
            place.named();
        }
    }

    /// What is known of a client that is on a level.
    #[cold]
    pub fn told(&self, key: u64) -> Option<Arc<str>> {
        self.told.load().get(&key).cloned()
    }

    /// Looks at everything that was counted since the last time. `now` in seconds since the guard was made, `hour` that of the
    /// day.
    pub fn second(&self, now: u32, hour: u32) -> Second {
        self.table.tell_time(now);
        let mut desk = self.desk();
        let desk = &mut *desk;
        desk.now = now;
        let names = std::mem::take(&mut *self.names.lock().unwrap_or_else(PoisonError::into_inner));
        desk.names.extend(names);
        desk.look_at_routes(now);
        let mut touched = std::mem::take(&mut desk.touched);
        self.table.take_touched(&mut touched);
        let mut second = Second::default();
        for nth in &touched {
            if let Some(taken) = self.table.take(*nth) {
                self.look(desk, *nth, &taken, (now, hour), &mut second);
            }
        }
        // Who has not come since may come down all the same.
        let resting: Vec<usize> =
            desk.above.iter().copied().filter(|nth| touched.binary_search(nth).is_err()).collect();
        for nth in resting {
            let Some(taken) = self.table.take(nth) else { continue };
            self.look(desk, nth, &taken, (now, hour), &mut second);
        }
        desk.touched = touched;
        self.publish(desk);
        second
    }

    fn look(&self, desk: &mut Desk, nth: usize, taken: &Taken, (now, hour): (u32, u32), second: &mut Second) {
        let Some(watched) = desk.watches.get_mut(&taken.state.watch) else { return };
        let memory = desk.memories.entry(nth).or_insert_with(|| Box::new(Memory::new(taken, now)));
        if memory.key != taken.key {
            desk.names.remove(&memory.who);
            **memory = Memory::new(taken, now);
            desk.above.remove(&nth);
        }
        let (is_consumer, rules) = (taken.state.is_consumer, &watched.rules);
        let teaches = rules.teaches(memory.standing.level, is_consumer, now);
        let lessons = memory.take(taken, (now, hour), teaches);
        watched.usual.fade(now);
        if teaches {
            if let Some(requests) = lessons.minute {
                let counts = memory.recent;
                let errors = (counts.good >= 5.0).then(|| counts.share(counts.denied() + counts.missing));
                watched.usual.minute(requests, errors, hour);
            }
            if let Some(paths) = lessons.paths {
                watched.usual.turn(paths);
            }
        }
        let (usual, heat) = (&watched.usual, watched.heat);
        let scene =
            Scene { usual, calm: rules.calm, heat, now, hour, is_consumer, learns: now < rules.learns };
        memory.score = if now < memory.forgiven { Score::default() } else { score::score(memory, scene) };
        let changed = memory.standing.step(&watched.rules.rungs, memory.score.value, now);
        let level = memory.standing.level;
        let state = State {
            level,
            guesses: level > 0 && memory.score.guesses(),
            established: is_consumer && (taken.state.established || memory.is_established(now)),
            named: taken.state.named && desk.names.contains_key(&taken.who),
            ..taken.state
        };
        if state != taken.state {
            self.table.publish(nth, taken.key, state);
        }
        if level > 0 {
            desk.above.insert(nth)
        } else {
            desk.above.remove(&nth)
        };
        let Some(from) = changed else { return };
        if level > from {
            self.numbers.raised.fetch_add(1, Ordering::Relaxed);
        }
        if second.changes.len() >= MOST_CHANGES {
            second.more = second.more.saturating_add(1);
            return;
        }
        let (watch, shadow, score) = (watched.rules.name.clone(), watched.rules.shadow, memory.score);
        let client = name_of(&desk.names, taken.who, is_consumer);
        second.changes.push(Change { watch, client, is_consumer, from, to: level, score, shadow });
    }

    /// Lets the road tell why.
    fn publish(&self, desk: &Desk) {
        let mut on = [0u64; 5];
        let mut told = HashMap::with_capacity(desk.above.len().min(MOST_TOLD));
        for memory in desk.above.iter().filter_map(|nth| desk.memories.get(nth)) {
            let level = usize::from(memory.standing.level);
            if let Some(count) = on.get_mut(level.wrapping_sub(1)) {
                *count = count.saturating_add(1);
            }
            if told.len() < MOST_TOLD {
                let word = LEVELS.get(level).copied().unwrap_or_default();
                told.insert(memory.key, Arc::from(format!("guard: {word}, {}", memory.score)));
            }
        }
        self.numbers.on.iter().zip(on).for_each(|(number, on)| number.store(on, Ordering::Relaxed));
        if !(told.is_empty() && self.told.load().is_empty()) {
            self.told.store(Arc::new(told));
        }
    }

    /// Forgets what an address or a consumer did, in all watches, and leaves it alone for so many seconds. How many clients
    /// that were.
    pub fn forgive(&self, who: Who, seconds: u32) -> usize {
        let mut desk = self.desk();
        let desk = &mut *desk;
        let until = desk.now.saturating_add(seconds);
        let mut forgiven = 0;
        for watch in desk.watches.keys() {
            let key = self.table.key(*watch, who);
            let Some(place) = self.table.find(key) else { continue };
            let Some(taken) = self.table.take(place.nth) else { continue };
            let now = desk.now;
            let memory = desk.memories.entry(place.nth).or_insert_with(|| Box::new(Memory::new(&taken, now)));
            memory.forgive(until);
            memory.key = key;
            desk.above.remove(&place.nth);
            self.table.publish(place.nth, key, State { level: 0, guesses: false, ..taken.state });
            forgiven += 1;
        }
        if forgiven > 0 {
            self.numbers.forgiven.fetch_add(1, Ordering::Relaxed);
            self.publish(desk);
        }
        forgiven
    }
}

/// What stands before an IPv4 address: of IPv6 a network that no client is in.
pub(super) const V4: u64 = 0xffff << 48;

impl Desk {
    fn look_at_routes(&mut self, now: u32) {
        self.watches.values_mut().for_each(|watched| watched.heat = 0.0);
        for ((watch, _), (failures, route)) in &mut self.routes {
            let heat = route.take(failures, now);
            if let Some(watched) = self.watches.get_mut(watch) {
                watched.heat = watched.heat.max(heat);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::ladder;
    use super::super::table::Seen;
    use super::*;

    fn guard() -> Guard {
        let guard = Guard::new(11);
        let rules =
            Rules { name: "all".into(), rungs: ladder::usual(), calm: 20.0, shadow: false, learns: 0 };
        guard.adopt(1, &Arc::new(rules), "/*", &Arc::default());
        guard
    }

    fn note(guard: &Guard, who: Who, status: u16, times: u64) {
        let key = guard.table.key(1, who);
        let place = guard.table.place(key, 1, who).unwrap();
        (0..times)
            .for_each(|_| place.note(&Seen { status, path: 3, ..Seen::default() }, guard.table.second()));
    }

    fn level(guard: &Guard, who: Who) -> u8 {
        guard.table.find(guard.table.key(1, who)).unwrap().state().level
    }

    #[test]
    fn a_flood_is_blocked_with_its_reasons_and_let_go_when_it_is_over() {
        let (guard, who) = (guard(), Guard::who("192.0.2.7".parse().unwrap()));
        let mut changes = Vec::new();
        for second in 0..200 {
            note(&guard, who, 200, 500);
            changes.extend(guard.second(second, 12).changes);
        }
        assert_eq!((level(&guard, who), changes[0].client.as_str()), (ladder::BLOCK, "192.0.2.7"));
        let told = guard.told(guard.table.key(1, who)).unwrap();
        assert!(told.starts_with("guard: block, score ") && told.contains("rate 500 (usual 20)"), "{told}");
        let listed = guard.list(10);
        assert_eq!(listed["clients"][0]["level"], "block");
        assert_eq!(listed["clients"][0]["reasons"][0]["what"], "rate");
        for second in 200..10_000 {
            guard.second(second, 12);
        }
        assert_eq!((level(&guard, who), guard.told(guard.table.key(1, who))), (0, None));
    }

    #[test]
    fn who_is_forgiven_is_left_alone_for_a_time() {
        let (guard, who) = (guard(), Guard::who("2001:db8:1:2::9".parse().unwrap()));
        let flood = |from: u32, to: u32| {
            for second in from..to {
                note(&guard, who, 200, 500);
                guard.second(second, 12);
            }
        };
        flood(0, 100);
        assert!(level(&guard, who) >= ladder::LIMIT);
        assert_eq!(guard.list(1)["clients"][0]["client"], "2001:db8:1:2::/64");
        assert_eq!(guard.forgive(who, 3_600), 1);
        flood(100, 200);
        assert_eq!(level(&guard, who), 0);
        flood(3_700, 3_800);
        assert!(level(&guard, who) >= ladder::LIMIT);
        assert_eq!(guard.forgive(Guard::who("192.0.2.1".parse().unwrap()), 10), 0, "nobody knows it");
    }

    #[test]
    fn a_busy_program_is_learnt_to_know_before_it_is_judged() {
        let guard = guard();
        let who = guard.consumer("busy");
        for second in 0..1_500 {
            note(&guard, who, 200, 300);
            guard.second(second, 12);
            assert!(level(&guard, who) <= WATCH, "{second}");
        }
        assert_eq!(level(&guard, who), 0, "its usual is known, and its ten minutes are over");
        for second in 1_500..1_560 {
            note(&guard, who, 200, 6_000);
            guard.second(second, 12);
        }
        assert!(level(&guard, who) >= ladder::LIMIT, "twenty times its own usual");
    }

    #[test]
    fn a_consumer_is_known_by_name_and_apart_from_its_address() {
        let guard = guard();
        let (who, neighbour) = (guard.consumer("batch"), Guard::who("192.0.2.7".parse().unwrap()));
        note(&guard, neighbour, 200, 1);
        note(&guard, who, 200, 1);
        guard.introduce(guard.table.find(guard.table.key(1, who)).unwrap(), who, "batch");
        for second in 0..100 {
            note(&guard, who, 200, 500);
            guard.second(second, 12);
        }
        assert_eq!(level(&guard, neighbour), 0);
        let listed = guard.list(5);
        assert_eq!(
            (&listed["clients"][0]["client"], &listed["clients"][0]["kind"]),
            (&"batch".into(), &"consumer".into())
        );
    }
}
