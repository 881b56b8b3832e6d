//! The last good answers of the process, bounded in bytes.
//!
//! Shards with a lock each. Who writes never waits for a lock: an answer that cannot be kept at once is left to the next.
//! Only a request whose service failed waits for one, as long as it takes to look something up.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http1::Fields;

/// Bytes that are kept, and of one answer; what stands in the way of an answer is counted too.
const MOST: usize = 64 * 1024 * 1024;
pub(super) const MOST_OF_ONE: usize = 1024 * 1024;
const SHARDS: usize = 16;
/// Bytes of answers that are being received to be kept.
const MOST_COMING: usize = 16 * 1024 * 1024;
/// What an entry costs besides its bytes.
const OVERHEAD: usize = 256;

/// A field of the request that an answer depends on (`Vary`), and its value then.
pub(super) type Selecting = (Box<[u8]>, Option<Box<[u8]>>);

/// A good answer.
pub(super) struct Kept {
    /// When its head came.
    pub at: Instant,
    pub status: u16,
    pub fields: Fields,
    pub body: Bytes,
    /// What of the request it depends on, and what that was.
    pub varies: Vec<Selecting>,
}

/// All of them.
pub(super) struct Store {
    hasher: RandomState,
    shards: Box<[Mutex<Shard>]>,
    coming: Arc<AtomicUsize>,
    most: usize,
}

#[derive(Default)]
struct Shard {
    answers: HashMap<Arc<[u8]>, (u64, usize, Arc<Kept>)>,
    /// In the order in which they were kept; one that was kept anew stands here twice, and the older number is nobody's.
    order: VecDeque<(u64, Arc<[u8]>)>,
    bytes: usize,
    number: u64,
}

impl Store {
    /// An empty store.
    pub(super) fn new() -> Arc<Store> {
        Store::of(MOST)
    }

    fn of(most: usize) -> Arc<Store> {
        Arc::new(Store {
            hasher: RandomState::new(),
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            coming: Arc::default(),
            most: most / SHARDS,
        })
    }

    /// The answer under a key, if it is not older.
    pub(super) fn get(&self, key: &[u8], oldest: Duration) -> Option<Arc<Kept>> {
        let shard = self.shard(key)?.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, _, kept) = shard.answers.get(key)?;
        (kept.at.elapsed() <= oldest).then(|| kept.clone())
    }

    /// Whether an answer under this key is to be kept: there is none, or it is older than that. False when that cannot be
    /// known at once.
    pub(super) fn wants(&self, key: &[u8], older: Duration) -> bool {
        let Some(shard) = self.shard(key).and_then(|shard| shard.try_lock().ok()) else { return false };
        shard.answers.get(key).is_none_or(|(_, _, kept)| kept.at.elapsed() > older)
    }

    /// Keeps an answer instead of the one before, unless that had to wait.
    pub(super) fn put(&self, key: Vec<u8>, kept: Kept) {
        let Some(shard) = self.shard(&key).and_then(|shard| shard.try_lock().ok()) else { return };
        shard_put(shard, key.into(), kept, self.most);
    }

    /// Room for an answer that is being received; `None` when too much is.
    pub(super) fn room(&self, bytes: usize) -> Option<Room> {
        let more = |coming: usize| coming.checked_add(bytes).filter(|coming| *coming <= MOST_COMING);
        self.coming.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        Some(Room { coming: self.coming.clone(), bytes })
    }

    fn shard(&self, key: &[u8]) -> Option<&Mutex<Shard>> {
        let place = self.hasher.hash_one(key) % SHARDS as u64;
        self.shards.get(usize::try_from(place).unwrap_or(0))
    }
}

fn shard_put(mut shard: MutexGuard<'_, Shard>, key: Arc<[u8]>, kept: Kept, most: usize) {
    let lines = kept.fields.iter().map(|field| field.name.len().saturating_add(field.value.len()));
    let size = OVERHEAD
        .saturating_add(key.len())
        .saturating_add(kept.body.len())
        .saturating_add(lines.fold(0, usize::saturating_add));
    let shard = &mut *shard;
    shard.number = shard.number.wrapping_add(1);
    if let Some((_, size, _)) = shard.answers.insert(key.clone(), (shard.number, size, Arc::new(kept))) {
        shard.bytes = shard.bytes.saturating_sub(size);
    }
    shard.bytes = shard.bytes.saturating_add(size);
    shard.order.push_back((shard.number, key));
    while shard.bytes > most || shard.order.len() > shard.answers.len().saturating_mul(2).saturating_add(64) {
        let Some((number, key)) = shard.order.pop_front() else { break };
        let newest = shard.answers.get(&key).map(|(newest, size, _)| (*newest, *size));
        match newest {
            Some((newest, size)) if newest == number && shard.bytes > most => {
                shard.answers.remove(&key);
                shard.bytes = shard.bytes.saturating_sub(size);
            }
            // Still the one under its key, and there is room for it.
            Some((newest, _)) if newest == number => shard.order.push_back((number, key)),
            _ => {}
        }
    }
}

/// Room that an answer takes while it is being received.
pub(super) struct Room {
    coming: Arc<AtomicUsize>,
    bytes: usize,
}

impl Drop for Room {
    fn drop(&mut self) {
        self.coming.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(size: usize) -> Kept {
        Kept {
            at: Instant::now(),
            status: 200,
            fields: Fields::default(),
            body: vec![b'x'; size].into(),
            varies: Vec::new(),
        }
    }

    fn bytes(store: &Store) -> usize {
        store.shards.iter().map(|shard| shard.lock().unwrap().bytes).sum()
    }

    #[test]
    fn the_newest_stays_within_the_bound() {
        let store = Store::of(SHARDS * 10_000);
        for nth in 0u32..2_000 {
            store.put(nth.to_be_bytes().to_vec(), kept(1_000));
        }
        assert!(bytes(&store) <= SHARDS * 10_000, "{}", bytes(&store));
        let hour = Duration::from_secs(3600);
        assert!(store.get(&1_999u32.to_be_bytes(), hour).is_some());
        assert!(store.get(&0u32.to_be_bytes(), hour).is_none());
    }

    #[test]
    fn one_that_is_kept_anew_takes_the_place_of_the_old() {
        let store = Store::of(MOST);
        for size in 0..1_000 {
            store.put(b"key".to_vec(), kept(size));
        }
        assert_eq!(store.get(b"key", Duration::from_secs(3600)).unwrap().body.len(), 999);
        assert_eq!(bytes(&store), 999 + 3 + OVERHEAD);
        let order: usize = store.shards.iter().map(|shard| shard.lock().unwrap().order.len()).sum();
        assert!(order < 100, "{order}");
        assert!(!store.wants(b"key", Duration::from_secs(3600)) && store.wants(b"other", Duration::ZERO));
        assert!(store.get(b"key", Duration::ZERO).is_none(), "too old");
    }

    #[test]
    fn what_is_being_received_is_bounded_too() {
        let store = Store::of(MOST);
        let rooms: Vec<_> = (0..100).map_while(|_| store.room(MOST_OF_ONE)).collect();
        assert_eq!(rooms.len(), MOST_COMING / MOST_OF_ONE);
        drop(rooms);
        assert!(store.room(MOST_OF_ONE).is_some());
    }
}
