//! The answers that are kept, for all workers and all routes: bounded by their bytes, found by their whole key.
//!
//! `quick_cache` says what stays (S3-FIFO); beside it stand marks, by which whole resources and groups go out of use at
//! once without being looked for. A worker takes a lock only for the look-up in one shard.

use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use http1::Fields;
use quick_cache::sync::Cache;
use quick_cache::{Lifecycle, OptionsBuilder, Weighter};

use super::disk::{self, Disk};
use super::entry::{Entry, now};
use super::flight::Flights;
use super::key::MOST_VARIANTS;
use super::purge::{Purge, Purged};
use crate::observe::Figure;
use crate::policies::kept;

/// Marks of resources and groups. Several share one; then one goes out of use with the other, which costs a fetch.
const MARKS: usize = 1 << 15;
/// Least bytes of a shard, so that large answers find room.
const SHARD: u64 = 8 * 1024 * 1024;
/// Bytes of an answer that is expected, for the first size of the tables.
const USUAL: u64 = 16 * 1024;
/// Purges that are remembered for answers on their way.
const REMEMBERED: usize = 256;
/// The numbers of what is on the disk.
const ON_DISK: [&str; 7] = [
    "tidegate_cache_disk_objects",
    "tidegate_cache_disk_bytes",
    "tidegate_cache_disk_written",
    "tidegate_cache_disk_read",
    "tidegate_cache_disk_dropped",
    "tidegate_cache_disk_unreadable",
    "tidegate_cache_disk_failing",
];
/// The part of the memory that answers on their way may take.
const HELD_PART: u64 = 4;

/// The variants of one key, the newest first.
pub(super) struct Slot {
    pub(super) variants: Vec<Arc<Entry>>,
    weight: u64,
}

impl Slot {
    fn new(key: &[u8], variants: Vec<Arc<Entry>>) -> Slot {
        let weight = variants.iter().map(|entry| entry.weight()).fold(key.len(), usize::saturating_add);
        Slot { variants, weight: weight as u64 }
    }
}

/// Kept answers.
pub struct Store {
    kept: Cache<Box<[u8]>, Arc<Slot>, ByBytes, RandomState, Counting>,
    pub(super) flights: Flights,
    marks: Box<[AtomicU64]>,
    /// Until when a key is not waited for, because its answers could not be kept.
    passes: Box<[AtomicU64]>,
    hashes: RandomState,
    purged: AtomicU64,
    purges: Mutex<VecDeque<Arc<Purge>>>,
    held: AtomicU64,
    evicted: Arc<AtomicU64>,
    /// The same on a disk, and more of it.
    pub(super) disk: Option<Disk>,
    /// What has happened.
    pub counts: Counts,
}

/// What has happened since the start.
#[derive(Default)]
pub struct Counts {
    /// Answers that were kept.
    pub stored: AtomicU64,
    /// Requests that waited for the answer to another one.
    pub collapsed: AtomicU64,
    /// Answers that were found out to hold still.
    pub renewed: AtomicU64,
    /// Answers that went by command, or because something changed.
    pub purged: AtomicU64,
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<Box<[u8]>, Arc<Slot>> for ByBytes {
    fn weight(&self, _: &Box<[u8]>, slot: &Arc<Slot>) -> u64 {
        slot.weight
    }
}

#[derive(Clone)]
struct Counting(Arc<AtomicU64>);

impl Lifecycle<Box<[u8]>, Arc<Slot>> for Counting {
    type RequestState = ();

    fn on_evict(&self, (): &mut (), _: Box<[u8]>, _: Arc<Slot>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// What was found of a key.
pub(super) enum Found {
    /// This answer.
    Entry(Arc<Entry>),
    /// Answers to other variants of the request only.
    OtherVariants,
    /// Nothing.
    Nothing,
}

impl Store {
    /// An empty one for so many bytes, with what is on a disk.
    pub fn new(memory: u64, disk: Option<keep::Settings>) -> Arc<Store> {
        let evicted = Arc::new(AtomicU64::new(0));
        let shards = usize::try_from(memory / SHARD).unwrap_or(64).clamp(1, 64);
        let mut options = OptionsBuilder::new();
        let items = usize::try_from((memory / USUAL).clamp(64, 1 << 20)).unwrap_or(64);
        options.shards(shards).estimated_items_capacity(items).weight_capacity(memory);
        let (hashes, counting) = (RandomState::new(), Counting(evicted.clone()));
        let kept = match options.build() {
            Ok(options) => Cache::with_options(options, ByBytes, hashes.clone(), counting),
            Err(_) => Cache::with(items, memory, ByBytes, hashes.clone(), counting),
        };
        let marks = || (0..MARKS).map(|_| AtomicU64::new(0)).collect();
        Arc::new(Store {
            kept,
            flights: Flights::new(hashes.clone()),
            marks: marks(),
            passes: marks(),
            hashes,
            purged: AtomicU64::new(0),
            purges: Mutex::default(),
            held: AtomicU64::new(0),
            evicted,
            disk: disk.map(Disk::new),
            counts: Counts::default(),
        })
    }

    /// Begins to use the disk, if there is one.
    pub(super) fn start(&self) {
        self.disk.iter().for_each(Disk::start);
    }

    /// Keeps what there is before the end.
    pub(super) fn close(&self) {
        self.disk.iter().for_each(Disk::close);
    }

    /// Lets it take so many bytes from now on.
    pub fn resize(&self, memory: u64) {
        if self.kept.capacity() != memory {
            self.kept.set_capacity(memory);
        }
    }

    /// Kept answers, each variant of a key with the others as one; the bytes they take; those they may take.
    pub fn size(&self) -> (u64, u64, u64) {
        (self.kept.len() as u64, self.kept.weight(), self.kept.capacity())
    }

    /// The same for what is on the disk, if there is one.
    pub fn on_disk(&self) -> Option<keep::Numbers> {
        self.disk.as_ref().map(Disk::numbers)
    }

    /// What has happened, by short names.
    pub fn counted(&self) -> [(&'static str, u64); 5] {
        let Counts { stored, collapsed, renewed, purged } = &self.counts;
        let now = |count: &AtomicU64| count.load(Ordering::Relaxed);
        [
            ("stored", now(stored)),
            ("collapsed", now(collapsed)),
            ("renewed", now(renewed)),
            ("purged", now(purged)),
            ("evicted", now(&self.evicted)),
        ]
    }

    /// Tells its numbers.
    pub(super) fn figures(&self, tell: &mut dyn FnMut(Figure)) {
        let (objects, bytes, most) = self.size();
        let Counts { stored, collapsed, renewed, purged } = &self.counts;
        let now = |count: &AtomicU64| count.load(Ordering::Relaxed);
        for (name, help, counts, value) in [
            ("tidegate_cache_objects", "Keys of which the cache keeps answers.", false, objects),
            ("tidegate_cache_bytes", "Bytes that kept answers take.", false, bytes),
            ("tidegate_cache_capacity_bytes", "Bytes that kept answers may take.", false, most),
            ("tidegate_cache_stored", "Answers that were kept.", true, now(stored)),
            ("tidegate_cache_evicted", "Keys whose answers went to make room.", true, now(&self.evicted)),
            ("tidegate_cache_purged", "Answers that went by command.", true, now(purged)),
            (
                "tidegate_cache_renewed",
                "Kept answers of which the service said that they hold.",
                true,
                now(renewed),
            ),
            (
                "tidegate_cache_collapsed",
                "Requests answered by what another one fetched.",
                true,
                now(collapsed),
            ),
        ] {
            tell(Figure { name, help, counts, value });
        }
        if let Some(disk) = &self.disk {
            kept::figures(&ON_DISK, disk.numbers(), tell);
        }
    }

    /// The answer of a key that this request may have. `public`: only one that was said to be for all.
    pub(super) fn find(&self, key: &[u8], request: &Fields, public: bool) -> Found {
        let Some(slot) = self.kept.get(key) else { return Found::Nothing };
        let alive = |entry: &&Arc<Entry>| !self.is_changed(entry) && (!public || entry.life.shareable);
        let mut entries = slot.variants.iter().filter(alive).peekable();
        if entries.peek().is_none() {
            return Found::Nothing;
        }
        entries
            .find(|entry| entry.serves(request))
            .map_or(Found::OtherVariants, |entry| Found::Entry(entry.clone()))
    }

    /// Keeps an answer whose fetch began after so many purges. False when it has been purged meanwhile.
    pub(super) fn put(&self, key: &[u8], entry: Arc<Entry>, began: u64) -> bool {
        let before = self.purged();
        if self.is_changed(&entry) || !self.outlives(key, &entry, began) {
            return false;
        }
        // First, so that what is read from the disk just now does not take its place.
        if let Some(disk) = &self.disk {
            disk.put(key, &entry);
        }
        let known = self.kept.peek(key);
        let others = known.iter().flat_map(|slot| &slot.variants);
        let others = others.filter(|other| !self.is_changed(other) && other.vary != entry.vary).cloned();
        let variants = std::iter::once(entry.clone()).chain(others).take(MOST_VARIANTS).collect();
        self.kept.insert(key.into(), Arc::new(Slot::new(key, variants)));
        self.counts.stored.fetch_add(1, Ordering::Relaxed);
        // A purge that ran meanwhile, or a change, may have looked here before the answer came.
        if self.purged() != before || (self.disk.is_some() && self.is_changed(&entry)) {
            self.kept.remove(key);
            self.forget(key, &entry);
            return false;
        }
        self.mark(self.passes.get(self.place(&("pass", key))), 0);
        true
    }

    fn forget(&self, key: &[u8], entry: &Entry) {
        if let Some(disk) = &self.disk {
            disk.forget(key, entry);
        }
    }

    /// Takes over what was read from the disk: the answer of this key that the request may have. It was looked for at that
    /// time, after so many purges.
    pub(super) fn adopt(
        &self,
        key: &[u8],
        found: &[keep::Read],
        (asked, purges): (u64, u64),
        (request, public): (&Fields, bool),
    ) -> Option<Arc<Entry>> {
        let disk = self.disk.as_ref()?;
        let read = found.iter().filter_map(|read| Some((read.number, disk::entry(read, asked)?)));
        let (number, entry) = read
            .filter(|(_, entry)| (!public || entry.life.shareable) && entry.serves(request))
            .find(|(_, entry)| !self.is_changed(entry) && self.outlives(key, entry, purges))?;
        let entry = Arc::new(entry);
        let known = self.kept.peek(key);
        let others = known.iter().flat_map(|slot| &slot.variants);
        let others: Vec<_> = others.filter(|other| !self.is_changed(other)).cloned().collect();
        // What came meanwhile is newer.
        if let Some(newer) = others.iter().find(|other| other.vary == entry.vary) {
            return (!public || newer.life.shareable).then(|| newer.clone());
        }
        let variants = std::iter::once(entry.clone()).chain(others).take(MOST_VARIANTS).collect();
        self.kept.insert(key.into(), Arc::new(Slot::new(key, variants)));
        if self.is_changed(&entry)
            || !self.outlives(key, &entry, purges)
            || !disk.is_current(key, &entry, number)
        {
            self.kept.remove(key);
            return None;
        }
        Some(entry)
    }

    /// Lets one answer of a key go.
    pub(super) fn drop_variant(&self, key: &[u8], gone: &Arc<Entry>) {
        self.forget(key, gone);
        let Some(slot) = self.kept.peek(key) else { return };
        let stay: Vec<_> = slot.variants.iter().filter(|entry| !Arc::ptr_eq(entry, gone)).cloned().collect();
        match stay.len() {
            0 => _ = self.kept.remove(key),
            left if left < slot.variants.len() => {
                self.kept.insert(key.into(), Arc::new(Slot::new(key, stay)))
            }
            _ => {}
        }
    }

    /// Whether the resource of an answer, or one of its groups, has changed since it was asked for.
    fn is_changed(&self, entry: &Entry) -> bool {
        let changed = |place: usize| {
            self.marks.get(place).is_some_and(|mark| mark.load(Ordering::Relaxed) >= entry.asked)
        };
        changed(entry.resource) || entry.groups.marks.iter().any(|place| changed(*place))
    }

    /// The mark of what this is the name of.
    pub(super) fn place(&self, of: &impl Hash) -> usize {
        let hash = if self.disk.is_some() { disk::hash(of) } else { self.hashes.hash_one(of) };
        usize::try_from(hash % MARKS as u64).unwrap_or(0)
    }

    /// What has this mark has changed just now.
    pub(super) fn change(&self, place: usize) {
        self.mark(self.marks.get(place), now());
        if let Some(disk) = &self.disk {
            disk.change(place);
        }
    }

    fn mark(&self, place: Option<&AtomicU64>, time: u64) {
        if let Some(place) = place {
            place.store(time, Ordering::Relaxed);
        }
    }

    /// The answers of this key cannot be kept: nobody shall wait for them for a while.
    pub(super) fn pass(&self, key: &[u8], until: u64) {
        self.mark(self.passes.get(self.place(&("pass", key))), until);
    }

    /// Whether it is no use to wait for the answer of this key.
    pub(super) fn passes(&self, key: &[u8], now: u64) -> bool {
        let place = self.passes.get(self.place(&("pass", key)));
        place.is_some_and(|until| until.load(Ordering::Relaxed) > now)
    }

    /// How many purges there have been.
    pub(super) fn purged(&self) -> u64 {
        self.purged.load(Ordering::Acquire)
    }

    /// Whether none of the purges since then means this answer.
    fn outlives(&self, key: &[u8], entry: &Entry, began: u64) -> bool {
        let since = self.purged().saturating_sub(began);
        if since == 0 {
            return true;
        }
        let purges = self.purges.lock().unwrap_or_else(PoisonError::into_inner);
        let since = usize::try_from(since).unwrap_or(usize::MAX);
        since <= purges.len() && !purges.iter().rev().take(since).any(|purge| purge.means(key, entry))
    }

    /// Takes out what a purge means, or makes it stale. To be called by the control side: it looks at everything.
    pub fn purge(&self, purge: Purge) -> Purged {
        let purge = Arc::new(purge);
        if !purge.dry_run && !purge.soft {
            let mut purges = self.purges.lock().unwrap_or_else(PoisonError::into_inner);
            if purges.len() >= REMEMBERED {
                purges.pop_front();
            }
            purges.push_back(purge.clone());
            self.purged.fetch_add(1, Ordering::AcqRel);
        }
        let (mut purged, mut seen) = (Purged::default(), HashSet::new());
        // Keys first: nothing is changed while a shard is being walked through.
        let all: Vec<(Box<[u8]>, Arc<Slot>)> = self.kept.iter().collect();
        for (key, slot) in all {
            let (gone, stay): (Vec<_>, Vec<_>) = slot
                .variants
                .iter()
                .cloned()
                .partition(|entry| !self.is_changed(entry) && purge.means(&key, entry));
            if gone.is_empty() {
                continue;
            }
            purged.count(&gone);
            if self.disk.is_some() {
                seen.extend(gone.iter().map(|entry| (key.clone(), disk::variant(entry))));
            }
            match () {
                () if purge.dry_run => {}
                () if purge.soft => {
                    gone.iter().for_each(|entry| entry.spent.store(true, Ordering::Relaxed));
                }
                () if stay.is_empty() => _ = self.kept.remove(&key),
                () => {
                    let slot = Slot::new(&key, stay);
                    self.kept.insert(key, Arc::new(slot));
                }
            }
        }
        if let Some(disk) = &self.disk {
            let (sum, written) = disk.purge(&purge, &seen);
            purged.objects = purged.objects.saturating_add(sum.objects);
            purged.bytes = purged.bytes.saturating_add(sum.bytes);
            purged.unwritten = !written;
        }
        if !purge.dry_run {
            self.counts.purged.fetch_add(purged.objects, Ordering::Relaxed);
        }
        purged
    }

    /// Room for an answer on its way; `None` when too much is on its way already.
    pub(super) fn hold(self: &Arc<Self>, bytes: u64) -> Option<Held> {
        let mut held = Held { store: self.clone(), bytes: 0 };
        held.grow(bytes).then_some(held)
    }
}

/// Bytes of an answer that is on its way.
pub(super) struct Held {
    store: Arc<Store>,
    bytes: u64,
}

impl Held {
    /// Holds so many bytes more. False when there is no room.
    pub(super) fn grow(&mut self, bytes: u64) -> bool {
        let most = self.store.kept.capacity() / HELD_PART;
        let all = self.store.held.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        self.bytes = self.bytes.saturating_add(bytes);
        all <= most
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.store.held.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
