//! What stands in the table: what is on the disk, what waits to be written, and the words of what is gone.
//!
//! Changed under the lock alone, so that whoever keeps, lets go or takes out sees one state; the writer looks again at what
//! it has written before it says so. Must never forget a word: when there are too many, all goes.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use crate::index::Index;
use crate::segment::Place;
use crate::store::{About, Item, Sum, Taken, Variant};

/// Words that wait to be written.
const MOST_WORDS: usize = 65_536;

/// Whether what is on the disk is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Not yet.
    Opening,
    /// Another process has the folder, or it cannot be used.
    Elsewhere,
    /// Yes.
    Open,
}

/// An answer that waits to be written.
pub(crate) struct Pending<A> {
    pub(crate) variant: Variant,
    /// When it was kept.
    pub(crate) stamp: u64,
    pub(crate) stale: bool,
    pub(crate) about: About,
    pub(crate) answer: Arc<A>,
}

/// A word about something that is on the disk.
#[derive(Clone, Debug)]
pub(crate) struct Word {
    pub(crate) key: Box<[u8]>,
    pub(crate) variant: Variant,
    pub(crate) goes: bool,
}

pub(crate) struct State<A> {
    pub(crate) access: Access,
    pub(crate) index: Index,
    pub(crate) pending: HashMap<Box<[u8]>, Vec<Pending<A>>>,
    /// In the order in which they were kept; what was kept anew or let go stands here for nothing.
    pub(crate) order: VecDeque<(Box<[u8]>, Variant, u64)>,
    pub(crate) pending_bytes: u64,
    pending_count: usize,
    pub(crate) words: Vec<Word>,
    /// What has changed and is not written down.
    pub(crate) changed: BTreeSet<u16>,
    /// When it last changed.
    pub(crate) touched: HashMap<u16, u64>,
    /// Whether all that is on the disk is to go.
    pub(crate) void: bool,
    /// Counts what is kept and what changes.
    pub(crate) stamp: u64,
    /// Calls for everything to be written, and up to which it was, or could not be.
    pub(crate) called: u64,
    pub(crate) done: u64,
    pub(crate) failed: u64,
    pub(crate) closing: bool,
}

impl<A> State<A> {
    pub(crate) fn new() -> State<A> {
        State {
            access: Access::Opening,
            index: Index::new(),
            pending: HashMap::new(),
            order: VecDeque::new(),
            pending_bytes: 0,
            pending_count: 0,
            words: Vec::new(),
            changed: BTreeSet::new(),
            touched: HashMap::new(),
            void: false,
            stamp: 0,
            called: 0,
            done: 0,
            failed: 0,
            closing: false,
        }
    }

    /// Lets an answer wait to be written.
    pub(crate) fn wait(&mut self, key: &[u8], variant: Variant, about: About, answer: Arc<A>) {
        about.marks.iter().for_each(|mark| self.index.depend(*mark));
        self.stamp = self.stamp.saturating_add(1);
        let stamp = self.stamp;
        self.pending_bytes = self.pending_bytes.saturating_add(about.size);
        self.pending_count = self.pending_count.saturating_add(1);
        let waiting = Pending { variant, stamp, stale: false, about, answer };
        self.pending.entry(key.into()).or_default().push(waiting);
        self.order.push_back((key.into(), variant, stamp));
        if self.order.len() > self.pending_count.saturating_mul(2).saturating_add(1024) {
            let State { order, pending, .. } = self;
            order.retain(|(key, _, stamp)| {
                pending.get(key).is_some_and(|all| all.iter().any(|one| one.stamp == *stamp))
            });
        }
    }

    /// What waits to be written since then.
    pub(crate) fn waiting(&self, key: &[u8], variant: &Variant, stamp: u64) -> Option<&Pending<A>> {
        self.pending.get(key)?.iter().find(|one| one.variant == *variant && one.stamp == stamp)
    }

    /// Whether what stands at a place is still wanted, and then whether it is stale.
    pub(crate) fn wanted_at(&mut self, key: &[u8], variant: &Variant, place: Place) -> Option<bool> {
        let mut of = self.index.of(key);
        of.find(|held| held.variant == *variant && held.place == place).map(|held| held.stale)
    }

    /// Takes back what waits to be written. Whether it did.
    pub(crate) fn withdraw(&mut self, key: &[u8], variant: &Variant) -> bool {
        let Some(variants) = self.pending.get_mut(key) else { return false };
        let Some(at) = variants.iter().position(|pending| pending.variant == *variant) else { return false };
        let gone = variants.remove(at);
        if variants.is_empty() {
            self.pending.remove(key);
        }
        self.pending_bytes = self.pending_bytes.saturating_sub(gone.about.size);
        self.pending_count = self.pending_count.saturating_sub(1);
        if self.pending.is_empty() {
            self.touched.clear();
        }
        true
    }

    /// Lets go what is kept under a key, wherever it is.
    pub(crate) fn forget(&mut self, key: &[u8], variant: Variant) {
        // What waits may be on its way to the disk just now.
        let waits = self.withdraw(key, &variant);
        let known = self.index.take(key, &variant);
        // What is on the disk is not known yet: then it may be there.
        if waits || known || self.access != Access::Open {
            self.say(Word { key: key.into(), variant, goes: true });
        }
    }

    /// Lets a word wait to be written, unless all is to go anyhow.
    pub(crate) fn say(&mut self, word: Word) {
        if self.words.len() >= MOST_WORDS {
            self.clear();
        } else if !self.void {
            self.words.push(word);
        }
    }

    /// Lets all go that is on the disk.
    pub(crate) fn clear(&mut self) {
        self.void = true;
        self.index.clear();
        self.words.clear();
        self.changed.clear();
    }

    /// Whether what an answer depends on has changed since it was kept.
    pub(crate) fn is_changed(&self, marks: &[u16], stamp: u64) -> bool {
        marks.iter().any(|mark| self.touched.get(mark).is_some_and(|touched| *touched > stamp))
    }

    /// See [`crate::Keep::take_out`].
    pub(crate) fn take_out(&mut self, chosen: &dyn Fn(Item<'_>) -> bool, taken: Taken) -> Sum {
        let mut sum = Sum::default();
        let mut found: Vec<(Box<[u8]>, Variant)> = Vec::new();
        for (key, held) in self.index.all() {
            let bytes = u64::from(held.place.length);
            if !chosen(Item { key, variant: &held.variant, note: &held.note, bytes }) {
                continue;
            }
            sum.objects = sum.objects.saturating_add(1);
            sum.bytes = sum.bytes.saturating_add(bytes);
            found.push((key.into(), held.variant));
        }
        if taken == Taken::Counted {
            return sum;
        }
        if self.access != Access::Open {
            // Whatever it is, it is on the disk of another process, and is not known here.
            self.clear();
        }
        let pending = self.pending.iter_mut();
        for (key, variants) in pending {
            for pending in variants.iter_mut() {
                let Pending { variant, about, .. } = pending;
                if !chosen(Item { key, variant, note: &about.note, bytes: about.size }) {
                    continue;
                }
                pending.stale = true;
                if taken == Taken::Gone {
                    found.push((key.clone(), pending.variant));
                }
            }
        }
        for (key, variant) in found {
            if taken == Taken::Gone {
                self.forget(&key, variant);
            } else if let Some(held) = self.index.find(&key, &variant) {
                held.stale = true;
                self.say(Word { key, variant, goes: false });
            }
        }
        sum
    }
}
