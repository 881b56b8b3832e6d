//! A table of words: what every key has consumed, for all workers, within fixed memory.
//!
//! Takes the hash of a key; gives the place of its word. Each bucket is three cache lines: hashes, words, and when each
//! word says nothing any more. A key lives in one of two buckets. Finding a key and changing its word takes no lock: a word
//! is changed by comparing and exchanging it. Only a key that is not there yet claims its bucket, for a few instructions.
//! What makes room for it is a word that says nothing any more or, where all do, the one that would be the first: it is
//! counted.

use std::hint::spin_loop;
use std::sync::atomic::{AtomicU64, Ordering};

/// Places in one bucket.
const WAYS: usize = 7;
/// Numbers of one line of a bucket: a cache line, if the memory begins with one.
const LINE: usize = 8;
/// How often a worker looks whether a bucket is free again; others hold it for some twenty instructions.
const PATIENCE: u32 = 2_000;

/// The claim on a bucket and its hashes; a number to spare and the words; another and their ends.
type Bucket = [[AtomicU64; LINE]; 3];

/// Words by the hashes of their keys.
pub struct Table {
    memory: Box<[Bucket]>,
    used: AtomicU64,
    dropped: AtomicU64,
}

/// Where the word of a key is.
#[derive(Clone, Copy)]
pub struct Place<'t> {
    hash: u64,
    key: &'t AtomicU64,
    word: &'t AtomicU64,
    end: &'t AtomicU64,
}

impl Table {
    /// A table with room for so many keys, 83 bytes for each: the allocator of the process writes zeros, and so takes it at once.
    pub fn new(keys: usize) -> Table {
        // Three places for each key: then a key finds its bucket full once in a hundred thousand times.
        let buckets = keys.saturating_mul(3).div_ceil(WAYS).max(2);
        let memory = bytemuck::allocation::zeroed_slice_box(buckets);
        Table { memory, used: AtomicU64::new(0), dropped: AtomicU64::new(0) }
    }

    /// Places that hold a key. Those whose keys have consumed nothing lately are given to others when needed.
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Keys that had consumed something and were dropped for others.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Bytes of memory when it is full.
    #[cfg(test)]
    pub fn bytes(&self) -> usize {
        size_of_val(&*self.memory)
    }

    /// The word of a key, if it has one.
    #[inline]
    pub fn find(&self, hash: u64) -> Option<Place<'_>> {
        let hash = hash.max(1);
        find_in(self.first(hash)?, hash).or_else(|| find_in(self.second(hash)?, hash))
    }

    /// The word of a key, made where there is none. `None` when another worker holds the bucket unusually long.
    #[inline]
    pub fn place(&self, hash: u64, now: u64) -> Option<Place<'_>> {
        self.find(hash).or_else(|| self.insert(hash.max(1), now))
    }

    #[cold]
    fn insert(&self, hash: u64, now: u64) -> Option<Place<'_>> {
        let (first, second) = (self.first(hash)?, self.second(hash)?);
        // Whoever brings in this key claims its first bucket, so that no key stands twice.
        let _claim = Claim::on(first)?;
        if let Some(place) = find_in(first, hash).or_else(|| find_in(second, hash)) {
            return Some(place);
        }
        if let Some(place) = self.settle(first, hash, now) {
            return Some(place);
        }
        if !std::ptr::eq(first, second)
            && let Some(_claim) = Claim::on(second)
            && let Some(place) = self.settle(second, hash, now)
        {
            return Some(place);
        }
        let place = places(first).min_by_key(|place| place.end.load(Ordering::Relaxed))?;
        self.dropped.fetch_add(1, Ordering::Relaxed);
        Some(place.taken_over(hash))
    }

    /// Takes a free place of a claimed bucket, or one whose word says nothing any more.
    fn settle<'t>(&self, bucket: &'t Bucket, hash: u64, now: u64) -> Option<Place<'t>> {
        if let Some(free) = places(bucket).find(|place| place.hash == 0) {
            self.used.fetch_add(1, Ordering::Relaxed);
            return Some(free.taken_over(hash));
        }
        let spent = places(bucket).find(|place| place.end.load(Ordering::Relaxed) <= now);
        spent.map(|spent| spent.taken_over(hash))
    }

    /// The first bucket of a key.
    #[inline]
    fn first(&self, hash: u64) -> Option<&Bucket> {
        let nth = (u128::from(hash) * self.memory.len() as u128) >> 64;
        self.memory.get(nth as usize)
    }

    /// The other bucket of a key, by the other half of its hash.
    fn second(&self, hash: u64) -> Option<&Bucket> {
        self.first(hash.rotate_left(32).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }
}

impl Place<'_> {
    /// Says at what time the word says nothing any more.
    pub fn lasts_until(&self, end: u64) {
        self.end.store(end, Ordering::Relaxed);
    }

    /// Gives the place to another key. The word first: whoever still has the old key in hand finds it changed.
    fn taken_over(mut self, hash: u64) -> Self {
        self.word.store(0, Ordering::Release);
        // Until the first request has been counted nobody else may take it.
        self.end.store(u64::MAX, Ordering::Relaxed);
        self.key.store(hash, Ordering::Release);
        self.hash = hash;
        self
    }

    /// The word now.
    pub fn read(&self) -> u64 {
        self.word.load(Ordering::Relaxed)
    }

    /// Changes the word from `old` to `new`. `Err` with the word that is there instead, if any: the place may have gone to
    /// another key, then it is `None` and to be looked up again.
    pub fn change(&self, old: u64, new: u64) -> Result<(), Option<u64>> {
        match self.word.compare_exchange_weak(old, new, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => Ok(()),
            Err(word) => Err((self.key.load(Ordering::Acquire) == self.hash).then_some(word)),
        }
    }
}

/// The places of a bucket.
#[inline]
fn places([keys, words, ends]: &Bucket) -> impl Iterator<Item = Place<'_>> {
    let parts = keys.iter().zip(words).zip(ends).skip(LINE - WAYS);
    parts.map(|((key, word), end)| Place { hash: key.load(Ordering::Acquire), key, word, end })
}

#[inline]
fn find_in(bucket: &Bucket, hash: u64) -> Option<Place<'_>> {
    places(bucket).find(|place| place.hash == hash)
}

/// The right to bring keys into a bucket, until it is dropped.
struct Claim<'t>(&'t AtomicU64);

impl Claim<'_> {
    fn on([[claim, ..], ..]: &Bucket) -> Option<Claim<'_>> {
        for _ in 0..PATIENCE {
            if claim.load(Ordering::Relaxed) == 0
                && claim.compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed).is_ok()
            {
                return Some(Claim(claim));
            }
            spin_loop();
        }
        None
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.0.store(0, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use std::hash::{BuildHasher, RandomState};

    use super::*;

    /// A key with this word, which lasts as long.
    fn set(table: &Table, hash: u64, word: u64) {
        let place = table.place(hash, 10).unwrap();
        while place.change(place.read(), word).is_err() {}
        place.lasts_until(word);
    }

    #[test]
    fn a_word_is_found_again_and_only_under_its_key() {
        let table = Table::new(100);
        assert!(table.find(7).is_none());
        set(&table, 7, 70);
        set(&table, 8, 80);
        assert_eq!(table.find(7).map(|place| place.read()), Some(70));
        assert_eq!(table.find(8).map(|place| place.read()), Some(80));
        assert!(table.find(9).is_none());
        assert_eq!(table.used(), 2);
    }

    #[test]
    fn keys_without_end_stay_within_the_table_and_are_counted() {
        let table = Table::new(7);
        let random = RandomState::new();
        for nth in 0..10_000u64 {
            set(&table, random.hash_one(nth), 11 + nth);
        }
        let places = (table.memory.len() * WAYS) as u64;
        assert!(table.used() <= places, "{} of {places}", table.used());
        assert_eq!(table.used() + table.dropped(), 10_000);
        // The newest word is the furthest from saying nothing, so it is the last to go.
        assert_eq!(table.find(random.hash_one(9_999u64)).map(|place| place.read()), Some(10_010));
    }

    #[test]
    fn spent_words_make_room_without_being_counted() {
        let table = Table::new(7);
        let random = RandomState::new();
        for nth in 0..10_000u64 {
            set(&table, random.hash_one(nth), 1);
        }
        assert_eq!(table.dropped(), 0);
    }

    #[test]
    fn a_place_that_went_to_another_key_says_so() {
        let table = Table::new(1);
        let place = table.place(1, 0).unwrap();
        let _ = place.taken_over(99);
        assert_eq!(place.change(5, 6), Err(None));
    }
}
