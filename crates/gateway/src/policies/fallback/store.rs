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
use keep::{About, Keep, Numbers, Settings};

use super::disk;
use crate::policies::kept::is_secret;

/// Bytes that are kept, and of one answer; what stands in the way of an answer is counted too.
const MOST: usize = 64 * 1024 * 1024;
pub(super) const MOST_OF_ONE: usize = 1024 * 1024;
const SHARDS: usize = 16;
/// Bytes of answers that are being received to be kept.
const MOST_COMING: usize = 16 * 1024 * 1024;
/// Under each key there is one answer.
const ONLY: keep::Variant = [0; 16];
/// After so long an answer is written to the disk again that says the same.
const AGAIN: Duration = Duration::from_secs(60);
/// How long an orderly end waits for what is not written yet.
const LAST: Duration = Duration::from_secs(2);
/// What an entry costs besides its bytes.
const OVERHEAD: usize = 256;

/// A field of the request that an answer depends on (`Vary`), and its value then.
pub(super) type Selecting = (Box<[u8]>, Option<Box<[u8]>>);

/// A good answer.
pub(super) struct Kept {
    /// When its head came, or it was read from the disk.
    pub at: Instant,
    /// How old it was then.
    pub older: Duration,
    pub status: u16,
    pub fields: Fields,
    pub body: Bytes,
    /// What of the request it depends on, and what that was.
    pub varies: Vec<Selecting>,
}

impl Kept {
    /// How old it is.
    pub(super) fn age(&self) -> Duration {
        self.older.saturating_add(self.at.elapsed())
    }

    fn says_the_same(&self, other: &Kept) -> bool {
        (self.status, &self.body, &self.varies) == (other.status, &other.body, &other.varies)
    }
}

/// One under its key.
struct Place {
    number: u64,
    size: usize,
    kept: Arc<Kept>,
    /// When it, or one that said the same, was last written to the disk.
    written: Option<Instant>,
}

/// All of them.
pub(super) struct Store {
    hasher: RandomState,
    shards: Box<[Mutex<Shard>]>,
    coming: Arc<AtomicUsize>,
    most: usize,
    /// The same on a disk.
    disk: Option<Keep<Kept>>,
}

#[derive(Default)]
struct Shard {
    answers: HashMap<Arc<[u8]>, Place>,
    /// In the order in which they were kept; one that was kept anew stands here twice, and the older number is nobody's.
    order: VecDeque<(u64, Arc<[u8]>)>,
    bytes: usize,
    number: u64,
}

impl Store {
    /// An empty store, with what is on a disk once it is started.
    pub(super) fn new(disk: Option<Settings>) -> Arc<Store> {
        Store::of(MOST, disk)
    }

    fn of(most: usize, disk: Option<Settings>) -> Arc<Store> {
        Arc::new(Store {
            hasher: RandomState::new(),
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            coming: Arc::default(),
            most: most / SHARDS,
            disk: disk.map(Keep::new),
        })
    }

    /// Where and how they are on a disk.
    pub(super) fn disk(&self) -> Option<&Settings> {
        self.disk.as_ref().map(Keep::settings)
    }

    /// Reads what is on the disk, and writes there from now on.
    pub(super) fn start(self: &Arc<Self>) {
        let store = Arc::downgrade(self);
        let load = move |key: &[u8], value: &[u8]| {
            if let (Some(store), Some(kept)) = (store.upgrade(), disk::kept(value)) {
                store.load(key, kept);
            }
        };
        if let Some(disk) = &self.disk {
            disk.start(Some(Box::new(load)));
        }
    }

    /// Takes over what was read, unless there is something newer.
    fn load(&self, key: &[u8], kept: Kept) {
        let Some(shard) = self.shard(key) else { return };
        let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        if !shard.answers.contains_key(key) {
            shard_put(shard, key.into(), Arc::new(kept), self.most, Some(Instant::now()));
        }
    }

    /// Waits a moment until all is written down.
    pub(super) fn close(&self) {
        if let Some(disk) = &self.disk {
            disk.flush(LAST);
        }
    }

    /// What there is to know about the disk.
    pub(super) fn numbers(&self) -> Option<Numbers> {
        self.disk.as_ref().map(Keep::numbers)
    }

    /// The answer under a key, if it is not older.
    pub(super) fn get(&self, key: &[u8], oldest: Duration) -> Option<Arc<Kept>> {
        let shard = self.shard(key)?.lock().unwrap_or_else(PoisonError::into_inner);
        let Place { kept, .. } = shard.answers.get(key)?;
        (kept.age() <= oldest).then(|| kept.clone())
    }

    /// Whether an answer under this key is to be kept: there is none, or it is older than that. False when that cannot be
    /// known at once.
    pub(super) fn wants(&self, key: &[u8], older: Duration) -> bool {
        let Some(shard) = self.shard(key).and_then(|shard| shard.try_lock().ok()) else { return false };
        shard.answers.get(key).is_none_or(|place| place.kept.age() > older)
    }

    /// Keeps an answer instead of the one before, unless that had to wait.
    pub(super) fn put(&self, key: Vec<u8>, kept: Kept) {
        let Some(shard) = self.shard(&key).and_then(|shard| shard.try_lock().ok()) else { return };
        let (key, kept): (Arc<[u8]>, _) = (key.into(), Arc::new(kept));
        let Some(disk) = &self.disk else { return shard_put(shard, key, kept, self.most, None) };
        // What says the same under a new date need not be written each time.
        let known = shard.answers.get(&key).filter(|known| known.kept.says_the_same(&kept));
        let written = known.and_then(|known| known.written).filter(|written| written.elapsed() < AGAIN);
        shard_put(shard, key.clone(), kept.clone(), self.most, written.or_else(|| Some(Instant::now())));
        let is_sealed = disk.settings().secret.is_some();
        if !is_sealed && kept.varies.iter().any(|(name, _)| is_secret(name)) {
            disk.forget(&key, ONLY);
        } else if written.is_none() {
            let about = About { size: size(&key, &kept) as u64, ..About::default() };
            disk.put(&key, ONLY, about, kept);
        }
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

/// What an answer costs with its key.
fn size(key: &[u8], kept: &Kept) -> usize {
    let lines = kept.fields.iter().map(|field| field.name.len().saturating_add(field.value.len()));
    OVERHEAD
        .saturating_add(key.len())
        .saturating_add(kept.body.len())
        .saturating_add(lines.fold(0, usize::saturating_add))
}

fn shard_put(
    mut shard: MutexGuard<'_, Shard>,
    key: Arc<[u8]>,
    kept: Arc<Kept>,
    most: usize,
    written: Option<Instant>,
) {
    let size = size(&key, &kept);
    let shard = &mut *shard;
    shard.number = shard.number.wrapping_add(1);
    let place = Place { number: shard.number, size, kept, written };
    if let Some(before) = shard.answers.insert(key.clone(), place) {
        shard.bytes = shard.bytes.saturating_sub(before.size);
    }
    shard.bytes = shard.bytes.saturating_add(size);
    shard.order.push_back((shard.number, key));
    while shard.bytes > most || shard.order.len() > shard.answers.len().saturating_mul(2).saturating_add(64) {
        let Some((number, key)) = shard.order.pop_front() else { break };
        let newest = shard.answers.get(&key).map(|newest| (newest.number, newest.size));
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
            older: Duration::ZERO,
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
        let store = Store::of(SHARDS * 10_000, None);
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
        let store = Store::of(MOST, None);
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
        let store = Store::of(MOST, None);
        let rooms: Vec<_> = (0..100).map_while(|_| store.room(MOST_OF_ONE)).collect();
        assert_eq!(rooms.len(), MOST_COMING / MOST_OF_ONE);
        drop(rooms);
        assert!(store.room(MOST_OF_ONE).is_some());
    }
}
