//! What the road counts of each client: a table of fixed size, written by all workers with a few atomic steps.
//!
//! A client has sixteen words: counters of this moment, sketches of paths, agents and others, and its level, which the control
//! side writes and the road reads. Nine mebibytes, however many clients there are: who was away longest makes room. Never waits.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::hash::Seed;

/// Clients that have room at a time.
pub const CLIENTS: usize = 65_536;
/// Places of a bucket: eight keys are one line of the processor's cache.
const WAYS: usize = 8;
/// Words of a client.
const WORDS: usize = 16;
/// Seconds without a request after which a client may lose its place to another.
const AWAY: u32 = 10;
/// Bits of a counter, of which a word has three.
const WIDTH: u32 = 21;
const MASK: u64 = (1 << WIDTH) - 1;
/// From here on nothing is counted until the control side has looked: no counter runs into its neighbour.
const FULL: u64 = 2_000_000;
/// The same for the sixteen bits that count where paths fall.
const FULL_SPREAD: u64 = 65_000;

/// Where the words are: what an ordinary request touches is in the first half, one line of the processor's cache.
const STATE: usize = 0;
const SEEN: usize = 1;
/// Requests, good ones, refused ones.
const COUNTS: usize = 2;
const AGENTS: usize = 3;
const SPREAD: usize = 4;
const PATHS: usize = 6;
/// 401, 403, 404 and what else is from 400 on.
const ERRORS: usize = 10;
/// 429, 5xx, requests with a body.
const MORE: usize = 11;
/// When its next request has room, where it is limited.
const ROOM: usize = 12;
const BYTES: usize = 13;
const WHO: usize = 14;
const OTHERS: usize = 15;

/// Who a client is, in 64 bits that tell an address, or the hash of a consumer's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Who {
    /// The bits.
    pub bits: u64,
    /// Whether it is a consumer.
    pub is_consumer: bool,
}

/// What a request and its answer were.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    /// The status that the client gets.
    pub status: u16,
    /// Whether the guard itself refused it.
    pub refused: bool,
    /// The hash of the path.
    pub path: u64,
    /// The hash of the user agent.
    pub agent: u64,
    /// The hash of what is counted besides: of an address the credential that failed, of a consumer its address; 0 for none.
    pub other: u64,
    /// Bytes of the body.
    pub bytes: u64,
}

/// What a client did since it was last looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Taken {
    /// Which client.
    pub key: u64,
    /// Who it is.
    pub who: u64,
    /// Its state.
    pub state: State,
    /// Requests in all.
    pub requests: u32,
    /// Answers below 400.
    pub good: u32,
    /// Refused by the guard.
    pub refused: u32,
    /// Answers 401.
    pub unauthorised: u32,
    /// Answers 403.
    pub forbidden: u32,
    /// Answers 404, and others from 400 on that stand nowhere else.
    pub missing: u32,
    /// Answers 429 of others.
    pub throttled: u32,
    /// Answers from 500 on.
    pub failed: u32,
    /// Requests with a body.
    pub bodies: u32,
    /// Their bytes.
    pub bytes: u64,
    /// Sketch of paths: 128 bits of all, 128 bits of one in 32.
    pub paths: [u64; 4],
    /// How often paths fell into each of eight parts.
    pub spread: [u32; 8],
    /// Sketch of user agents.
    pub agents: u64,
    /// Sketch of credentials, or of addresses.
    pub others: u64,
}

/// The word that says what becomes of a client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// Which watch it belongs to.
    pub watch: u32,
    /// Its level: 0 for none.
    pub level: u8,
    /// Whether it guesses credentials.
    pub guesses: bool,
    /// Whether it is a consumer.
    pub is_consumer: bool,
    /// Whether it is known for long enough to be told from somebody's neighbour.
    pub established: bool,
    /// Whether the control side knows its name.
    pub named: bool,
}

impl State {
    fn word(self) -> u64 {
        u64::from(self.watch) << 32
            | u64::from(self.level)
            | u64::from(self.guesses) << 8
            | u64::from(self.is_consumer) << 9
            | u64::from(self.established) << 10
            | u64::from(self.named) << 11
    }

    fn of(word: u64) -> State {
        let bit = |nth: u32| word >> nth & 1 == 1;
        State {
            watch: (word >> 32) as u32,
            level: (word & 0xff) as u8,
            guesses: bit(8),
            is_consumer: bit(9),
            established: bit(10),
            named: bit(11),
        }
    }
}

/// All clients.
pub struct Table {
    /// Random for this table.
    pub seed: Seed,
    keys: Box<[AtomicU64]>,
    words: Box<[AtomicU64]>,
    touched: Box<[AtomicU64]>,
    /// Seconds since the table was made, as the control side last said.
    clock: AtomicU32,
    used: AtomicU64,
    dropped: AtomicU64,
    crowded: AtomicU64,
}

/// The place of a client.
#[derive(Clone, Copy)]
pub struct Place<'t> {
    /// Its number.
    pub nth: usize,
    words: &'t [AtomicU64; WORDS],
    touched: &'t AtomicU64,
}

impl Table {
    /// An empty one. Its memory is taken as it fills.
    pub fn new(random: u64) -> Table {
        let zeroed = bytemuck::allocation::zeroed_slice_box::<AtomicU64>;
        Table {
            seed: Seed::new(random),
            keys: zeroed(CLIENTS),
            words: zeroed(CLIENTS * WORDS),
            touched: zeroed(CLIENTS / 64),
            clock: AtomicU32::new(0),
            used: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            crowded: AtomicU64::new(0),
        }
    }

    /// Bytes when it is full.
    pub fn bytes(&self) -> usize {
        size_of_val(&*self.keys) + size_of_val(&*self.words) + size_of_val(&*self.touched)
    }

    /// Clients that have a place, those that lost it to others, and requests of clients that found none.
    pub fn counted(&self) -> [u64; 3] {
        [&self.used, &self.dropped, &self.crowded].map(|count| count.load(Ordering::Relaxed))
    }

    /// Says what second it is.
    pub fn tell_time(&self, second: u32) {
        self.clock.store(second, Ordering::Relaxed);
    }

    /// What second it is.
    pub fn second(&self) -> u32 {
        self.clock.load(Ordering::Relaxed)
    }

    /// The key of a client of a watch.
    #[inline]
    pub fn key(&self, watch: u32, who: Who) -> u64 {
        let salt = u64::from(watch) << 1 | u64::from(who.is_consumer);
        self.seed.number(who.bits ^ self.seed.number(salt)).max(1)
    }

    /// The place of a client that has one.
    #[inline]
    pub fn find(&self, key: u64) -> Option<Place<'_>> {
        let first = self.bucket(key);
        let keys = self.keys.get(first..first.saturating_add(WAYS))?;
        let nth = keys.iter().position(|known| known.load(Ordering::Acquire) == key)?;
        self.at(first.saturating_add(nth))
    }

    /// The place of a client, made where it has none. `None` where all around are busy.
    #[inline]
    pub fn place(&self, key: u64, watch: u32, who: Who) -> Option<Place<'_>> {
        self.find(key).or_else(|| self.bring_in(key, watch, who))
    }

    #[cold]
    fn bring_in(&self, key: u64, watch: u32, who: Who) -> Option<Place<'_>> {
        let (first, now) = (self.bucket(key), self.second());
        let keys = self.keys.get(first..first.saturating_add(WAYS))?;
        let mut oldest: Option<(u32, usize, u64)> = None;
        for (nth, known) in keys.iter().enumerate() {
            let known = known.load(Ordering::Acquire);
            let place = self.at(first.saturating_add(nth))?;
            let seen = place.seen();
            if known == 0 {
                oldest = Some((0, nth, 0));
                break;
            }
            let idle = place.state().level == 0 && now.saturating_sub(seen) > AWAY;
            if idle && oldest.is_none_or(|(least, ..)| seen < least) {
                oldest = Some((seen, nth, known));
            }
        }
        let Some((_, nth, before)) = oldest else {
            self.crowded.fetch_add(1, Ordering::Relaxed);
            return None;
        };
        let taken = keys.get(nth)?.compare_exchange(before, key, Ordering::AcqRel, Ordering::Relaxed);
        if taken.is_err() {
            // Another worker was quicker: perhaps with the same client.
            return self.find(key);
        }
        (if before == 0 { &self.used } else { &self.dropped }).fetch_add(1, Ordering::Relaxed);
        let place = self.at(first.saturating_add(nth))?;
        let state = State { watch, is_consumer: who.is_consumer, ..State::default() };
        place.word(WHO).store(who.bits, Ordering::Relaxed);
        place.word(STATE).store(state.word(), Ordering::Relaxed);
        place.word(ROOM).store(0, Ordering::Relaxed);
        place.word(SEEN).store(u64::from(now), Ordering::Relaxed);
        Some(place)
    }

    fn bucket(&self, key: u64) -> usize {
        let buckets = (CLIENTS / WAYS) as u128;
        let nth = (u128::from(key).wrapping_mul(buckets) >> 64) as usize;
        nth.saturating_mul(WAYS)
    }

    /// The place of a number.
    pub fn at(&self, nth: usize) -> Option<Place<'_>> {
        let (words, _) = self.words.get(nth.checked_mul(WORDS)?..)?.split_first_chunk::<WORDS>()?;
        Some(Place { nth, words, touched: self.touched.get(nth / 64)? })
    }

    /// The key at a place.
    fn key_at(&self, nth: usize) -> u64 {
        self.keys.get(nth).map_or(0, |key| key.load(Ordering::Acquire))
    }

    /// The numbers of all places that were counted at since the last time.
    pub fn take_touched(&self, numbers: &mut Vec<usize>) {
        numbers.clear();
        for (nth, word) in self.touched.iter().enumerate() {
            if word.load(Ordering::Relaxed) == 0 {
                continue;
            }
            let mut bits = word.swap(0, Ordering::AcqRel);
            while bits != 0 {
                numbers.push(nth.saturating_mul(64).saturating_add(bits.trailing_zeros() as usize));
                bits &= bits - 1;
            }
        }
    }

    /// Takes what was counted at a place.
    pub fn take(&self, nth: usize) -> Option<Taken> {
        let (key, place) = (self.key_at(nth), self.at(nth)?);
        let [requests, good, refused] = three(place.swap(COUNTS));
        let [unauthorised, forbidden, missing] = three(place.swap(ERRORS));
        let [throttled, failed, bodies] = three(place.swap(MORE));
        let mut paths = [0; 4];
        paths.iter_mut().enumerate().for_each(|(nth, word)| *word = place.swap(PATHS + nth));
        let mut spread = [0; 8];
        for (nth, count) in spread.iter_mut().enumerate() {
            let shift = (nth as u32 % 4) * 16;
            *count = (place.word(SPREAD + nth / 4).load(Ordering::Relaxed) >> shift & 0xffff) as u32;
        }
        place.swap(SPREAD);
        place.swap(SPREAD + 1);
        Some(Taken {
            key,
            who: place.word(WHO).load(Ordering::Relaxed),
            state: place.state(),
            requests,
            good,
            refused,
            unauthorised,
            forbidden,
            missing,
            throttled,
            failed,
            bodies,
            bytes: place.swap(BYTES),
            paths,
            spread,
            agents: place.swap(AGENTS),
            others: place.swap(OTHERS),
        })
    }

    /// Changes the state of a client, if the place is still its own.
    pub fn publish(&self, nth: usize, key: u64, state: State) {
        if self.key_at(nth) == key
            && let Some(place) = self.at(nth)
        {
            place.word(STATE).store(state.word(), Ordering::Release);
        }
    }
}

/// The three counters of a word.
fn three(word: u64) -> [u32; 3] {
    [0, WIDTH, 2 * WIDTH].map(|shift| (word >> shift & MASK) as u32)
}

impl<'t> Place<'t> {
    fn word(&self, nth: usize) -> &'t AtomicU64 {
        // The constants of this file are below the number of words; the rest keeps the compiler content.
        self.words.get(nth).unwrap_or(&self.words[0])
    }

    fn swap(&self, nth: usize) -> u64 {
        let word = self.word(nth);
        if word.load(Ordering::Relaxed) == 0 { 0 } else { word.swap(0, Ordering::AcqRel) }
    }

    /// What becomes of the client.
    #[inline]
    pub fn state(&self) -> State {
        State::of(self.word(STATE).load(Ordering::Acquire))
    }

    /// In which second it was last seen.
    pub fn seen(&self) -> u32 {
        self.word(SEEN).load(Ordering::Relaxed) as u32
    }

    /// Says that the control side has been told its name.
    pub fn named(&self) {
        self.word(STATE).fetch_or(1 << 11, Ordering::Relaxed);
    }

    /// Counts a request.
    #[inline]
    pub fn note(&self, seen: &Seen, second: u32) {
        let counts = self.word(COUNTS);
        if counts.load(Ordering::Relaxed) & MASK >= FULL {
            return;
        }
        let refused = u64::from(seen.refused) << (2 * WIDTH);
        let good = u64::from(seen.status < 400 && !seen.refused) << WIDTH;
        counts.fetch_add(1 | good | refused, Ordering::Relaxed);
        if !seen.refused && seen.status >= 400 {
            self.note_error(seen.status);
        }
        if seen.bytes > 0 {
            self.word(BYTES).fetch_add(seen.bytes.min(1 << 40), Ordering::Relaxed);
            self.word(MORE).fetch_add(1 << (2 * WIDTH), Ordering::Relaxed);
        }
        // Of all paths one of 128 bits, and of one path in 32 one of 128 others.
        set(self.word(PATHS + (seen.path >> 6 & 1) as usize), seen.path);
        if seen.path >> 32 & 31 == 0 {
            set(self.word(PATHS + 2 + (seen.path >> 46 & 1) as usize), seen.path >> 40);
        }
        let (spread, shift) =
            (self.word(SPREAD + (seen.path >> 18 & 1) as usize), (seen.path >> 16 & 3) * 16);
        if spread.load(Ordering::Relaxed) >> shift & 0xffff < FULL_SPREAD {
            spread.fetch_add(1 << shift, Ordering::Relaxed);
        }
        set(self.word(AGENTS), seen.agent);
        if seen.other != 0 {
            set(self.word(OTHERS), seen.other);
        }
        if self.seen() != second {
            self.word(SEEN).store(u64::from(second), Ordering::Relaxed);
        }
        set(self.touched, self.nth as u64);
    }

    fn note_error(&self, status: u16) {
        let (word, nth) = match status {
            401 => (ERRORS, 0),
            403 => (ERRORS, 1),
            429 => (MORE, 0),
            500.. => (MORE, 1),
            _ => (ERRORS, 2),
        };
        self.word(word).fetch_add(1 << (nth * WIDTH), Ordering::Relaxed);
    }

    /// Whether a request has room where one may come every `every` milliseconds and `burst` at once. `now` in milliseconds.
    pub fn has_room(&self, now: u64, every: u64, burst: u64) -> Result<(), u64> {
        let word = self.word(ROOM);
        let mut due = word.load(Ordering::Relaxed);
        loop {
            let next = due.max(now).saturating_add(every);
            let ahead = next.saturating_sub(now);
            if ahead > every.saturating_mul(burst.max(1)) {
                return Err(ahead.saturating_sub(every.saturating_mul(burst.max(1))));
            }
            match word.compare_exchange_weak(due, next, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return Ok(()),
                Err(other) => due = other,
            }
        }
    }
}

/// Sets one of 64 bits; what is set already is only read.
#[inline]
fn set(word: &AtomicU64, hash: u64) {
    let bit = 1 << (hash & 63);
    if word.load(Ordering::Relaxed) & bit == 0 {
        word.fetch_or(bit, Ordering::Relaxed);
    }
}
