//! What the process remembers of the last day: counts of listeners, routes, services, targets, outcomes of policies and
//! groups of callers over time.
//!
//! Takes, once a second, what was counted since the second before; gives sums over a time, and curves. Each thing has
//! three rings: seconds for 5 minutes, 10 seconds for an hour, minutes for a day. Within a fixed budget of memory: when
//! it is used up the finest ring is shortened first, and things beyond the greatest number count together. Written and
//! read by the control side alone.

pub mod counts;
pub mod insights;
mod ring;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, LazyLock};

pub use counts::Counts;
use foldhash::fast::RandomState;
use ring::Ring;

/// Memory for all rings, in bytes.
pub const BUDGET: usize = 32 * 1024 * 1024;
/// Things that have rings of their own; further ones count together as [`OTHER`].
pub const MOST_SERIES: usize = 1024;
/// The name of what found no room of its own.
pub const OTHER: &str = "_OTHER";

/// A ring: its step, what it keeps, and what it keeps at least, in seconds.
#[derive(Clone, Copy)]
struct Tier {
    step: u64,
    keep: u64,
    least: u64,
}

/// With the least of all, [`MOST_SERIES`] things with full histograms stay below [`BUDGET`].
const TIERS: [Tier; 3] = [
    Tier { step: 1, keep: 300, least: 20 },
    Tier { step: 10, keep: 3_600, least: 200 },
    Tier { step: 60, keep: 86_400, least: 1_200 },
];

/// What a thing is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Kind {
    /// All exchanges of the process.
    Gateway,
    /// A listener, by its name.
    Listener,
    /// A route, by its key; `none` for exchanges that no route took.
    Route,
    /// A service, by its name.
    Service,
    /// A target, by its authority and the service it is of.
    Target,
    /// What a policy made of exchanges, as `rate_limit:refused`: on a route, or of no route for all of them.
    Policy,
    /// The callers of a group that the configuration names.
    Group,
}

impl Kind {
    /// The word for it, in the admin API and in what is kept on disk: it never changes.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Gateway => "gateway",
            Kind::Listener => "listener",
            Kind::Route => "route",
            Kind::Service => "service",
            Kind::Target => "target",
            Kind::Policy => "policy",
            Kind::Group => "group",
        }
    }
}

/// Which thing.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Key {
    /// What it is.
    pub kind: Kind,
    /// Its name.
    pub name: Arc<str>,
    /// The service of a target, the route of what a policy did there; empty for all others.
    pub of: Arc<str>,
}

impl Key {
    /// A thing that is of no other.
    pub fn new(kind: Kind, name: impl Into<Arc<str>>) -> Key {
        static NOTHING: LazyLock<Arc<str>> = LazyLock::new(|| "".into());
        Key { kind, name: name.into(), of: NOTHING.clone() }
    }

    /// The process itself.
    pub fn gateway() -> Key {
        Key::new(Kind::Gateway, "")
    }
}

/// Counts over steps of one length, without gaps.
#[derive(Debug, PartialEq)]
pub struct Curve {
    /// Seconds of a step.
    pub step: u64,
    /// When each step begins, in seconds since 1970, and what was counted in it.
    pub steps: Vec<(u64, Counts)>,
}

/// All that is remembered.
pub struct Store {
    /// Names of a configuration, which nobody chooses to slow the gateway down.
    series: HashMap<Key, [Ring; 3], RandomState>,
    keep: [u64; 3],
    budget: usize,
    bytes: usize,
    most: usize,
    started: u64,
    now: u64,
}

/// What is remembered of one thing.
#[derive(Clone, Copy)]
pub struct Series<'s> {
    store: &'s Store,
    rings: Option<&'s [Ring; 3]>,
}

impl Store {
    /// Remembers from this second on, counted since 1970.
    pub fn new(started: u64) -> Store {
        Store::bounded(started, BUDGET, MOST_SERIES)
    }

    fn bounded(started: u64, budget: usize, most: usize) -> Store {
        let keep = TIERS.map(|tier| tier.keep);
        Store { series: HashMap::default(), keep, budget, bytes: 0, most, started, now: started }
    }

    /// Adds what was counted of a thing in the second that begins now.
    pub fn add(&mut self, now: u64, key: &Key, counts: &Counts) {
        // Where room is short, what policies did on single routes leaves half of it to the things themselves.
        let most = if key.kind == Kind::Policy && !key.of.is_empty() { self.most / 2 } else { self.most };
        let full = self.series.len() >= most && !self.series.contains_key(key);
        let key = if full { Key::new(key.kind, OTHER) } else { key.clone() };
        let rings = self.series.entry(key).or_default();
        for (ring, tier) in rings.iter_mut().zip(TIERS) {
            ring.add(floor(now, tier.step), counts);
        }
    }

    /// A second is over: forgets what is too old, and the finest of the rest while there is too much.
    pub fn settle(&mut self, now: u64) {
        self.now = now;
        self.forget();
        for place in 0..TIERS.len() {
            while self.bytes > self.budget && self.shorten(place) {
                self.forget();
            }
        }
        if self.bytes < self.budget / 2 {
            for (keep, tier) in self.keep.iter_mut().zip(TIERS) {
                *keep = (*keep).saturating_add(*keep / 3).saturating_add(tier.step).min(tier.keep);
            }
        }
    }

    /// The last second that was settled.
    pub fn now(&self) -> u64 {
        self.now
    }

    /// Memory in bytes, when the last second was settled.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Things that something was counted of.
    pub fn len(&self) -> usize {
        self.series.len()
    }

    /// Whether nothing was counted yet.
    pub fn is_empty(&self) -> bool {
        self.series.is_empty()
    }

    /// Whether something was counted of a thing.
    pub fn knows(&self, key: &Key) -> bool {
        self.series.contains_key(key)
    }

    /// The things of a kind that something was counted of, by their names.
    pub fn keys(&self, kind: Kind) -> impl Iterator<Item = &Key> {
        let mut keys: Vec<&Key> = self.series.keys().filter(|key| key.kind == kind).collect();
        keys.sort_unstable();
        keys.into_iter()
    }

    /// What is remembered of a thing, for whoever asks more than once about it.
    pub fn of(&self, key: &Key) -> Series<'_> {
        Series { store: self, rings: self.series.get(key) }
    }

    /// What was counted of a thing in the last so many seconds.
    pub fn window(&self, key: &Key, seconds: u64) -> Counts {
        self.of(key).window(seconds)
    }

    /// Seconds that [`Store::window`] really looks at: fewer where the process is younger, a step more where steps are
    /// longer than a second.
    pub fn covered(&self, seconds: u64) -> u64 {
        let from = self.from(self.place(seconds), seconds).max(self.started);
        self.now.saturating_sub(from).max(1)
    }

    /// The curve of a thing over the last so many seconds.
    pub fn curve(&self, key: &Key, seconds: u64) -> Curve {
        let place = self.place(seconds);
        let step = step(place);
        let from = self.from(place, seconds).max(floor(self.started, step));
        let mut known: BTreeMap<u64, Counts> =
            self.of(key).ring(place).into_iter().flat_map(|ring| ring.since(from)).collect();
        let count = self.now.saturating_sub(from).div_ceil(step);
        let times = (0..count).map(|nth| from.saturating_add(nth.saturating_mul(step)));
        Curve { step, steps: times.map(|at| (at, known.remove(&at).unwrap_or_default())).collect() }
    }

    /// The finest ring that reaches so far back, or the last.
    fn place(&self, seconds: u64) -> usize {
        self.keep.iter().position(|keep| *keep >= seconds).unwrap_or(TIERS.len() - 1)
    }

    fn from(&self, place: usize, seconds: u64) -> u64 {
        floor(self.now.saturating_sub(seconds), step(place))
    }

    fn forget(&mut self) {
        for rings in self.series.values_mut() {
            for ((ring, keep), tier) in rings.iter_mut().zip(self.keep).zip(TIERS) {
                ring.forget_before(self.now.saturating_sub(keep).saturating_sub(tier.step));
            }
        }
        self.series.retain(|_, rings| rings.iter().any(|ring| !ring.is_empty()));
        self.bytes = self.series.values().flatten().map(Ring::bytes).fold(0, usize::saturating_add);
    }

    /// Keeps less of a ring; false when it is at its least.
    fn shorten(&mut self, place: usize) -> bool {
        let (Some(keep), Some(tier)) = (self.keep.get_mut(place), TIERS.get(place)) else { return false };
        let next = (*keep - *keep / 4).max(tier.least);
        std::mem::replace(keep, next) > next
    }
}

impl<'s> Series<'s> {
    /// What was counted in the last so many seconds. Whole steps of the next ring stand for the many short ones in the
    /// middle, which are the same counts: a minute is a dozen steps and not sixty.
    pub fn window(&self, seconds: u64) -> Counts {
        let Store { keep, now, .. } = self.store;
        let place = self.store.place(seconds);
        let mut sum = Counts::default();
        let Some(ring) = self.ring(place) else { return sum };
        let (from, short) = (self.store.from(place, seconds), step(place));
        let next = place.saturating_add(1);
        let coarse = self.ring(next).filter(|_| keep.get(next).is_some_and(|keep| *keep >= seconds));
        let long = step(next);
        let (begin, end) = (floor(from.saturating_add(long - 1), long), floor(*now, long));
        match coarse {
            Some(coarse) if begin < end => {
                ring.add_to(&mut sum, from..begin, short);
                coarse.add_to(&mut sum, begin..end, long);
                ring.add_to(&mut sum, end..u64::MAX, short);
            }
            _ => ring.add_to(&mut sum, from..u64::MAX, short),
        }
        sum
    }

    /// How often that was: [`Series::window`] for whoever wants to know nothing else, at a fraction of its cost.
    pub fn calls(&self, seconds: u64) -> u64 {
        let place = self.store.place(seconds);
        let from = self.store.from(place, seconds);
        self.ring(place).map_or(0, |ring| ring.calls_since(from, step(place)))
    }

    /// See [`Store::covered`].
    pub fn covered(&self, seconds: u64) -> u64 {
        self.store.covered(seconds)
    }

    fn ring(&self, place: usize) -> Option<&'s Ring> {
        self.rings?.get(place)
    }
}

/// Seconds of the steps of a ring.
fn step(place: usize) -> u64 {
    TIERS.get(place).map_or(60, |tier| tier.step)
}

/// The begin of the step that a second is in.
fn floor(second: u64, step: u64) -> u64 {
    second - second % step
}

#[cfg(test)]
mod tests;
