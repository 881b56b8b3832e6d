//! What is on the disk, by its whole key: where it stands, and what is to be known of it without reading it.
//!
//! Records have numbers in the order in which they were written. A change of what records depend on makes all of them gone
//! that have a smaller number: they are not looked for, they are found to be gone when somebody asks.

use std::collections::HashMap;

use crate::record::{Put, Record};
use crate::segment::Place;
use crate::store::Variant;

/// Things that records may depend on; several share one, then one goes with the other.
const MARKS: usize = 1 << 16;
/// Variants of one key; a further one takes the place of the oldest.
const MOST_VARIANTS: usize = 16;

/// Something that is on the disk.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) variant: Variant,
    pub(crate) place: Place,
    /// Which record it is.
    pub(crate) number: u64,
    pub(crate) stale: bool,
    pub(crate) marks: Box<[u16]>,
    pub(crate) note: Box<[u8]>,
}

/// All that is on the disk.
pub(crate) struct Index {
    keys: HashMap<Box<[u8]>, Vec<Held>>,
    /// The number of the last record at the time at which this changed.
    changed: Box<[u64]>,
    /// Whether anything depends on it that was kept since then.
    wanted: Box<[bool]>,
    /// The number of the last record.
    last: u64,
    /// Variants, and their bytes.
    pub(crate) objects: u64,
    pub(crate) bytes: u64,
}

impl Index {
    pub(crate) fn new() -> Index {
        let changed = vec![0; MARKS].into_boxed_slice();
        let wanted = vec![false; MARKS].into_boxed_slice();
        Index { keys: HashMap::new(), changed, wanted, last: 0, objects: 0, bytes: 0 }
    }

    /// The number of a record that was just written.
    pub(crate) fn next(&mut self) -> u64 {
        self.last = self.last.saturating_add(1);
        self.last
    }

    fn is_alive(&self, held: &Held) -> bool {
        let changed = |mark: &u16| self.changed.get(usize::from(*mark)).copied().unwrap_or(0);
        held.marks.iter().all(|mark| changed(mark) < held.number)
    }

    /// What is kept under a key.
    pub(crate) fn of(&self, key: &[u8]) -> impl Iterator<Item = &Held> {
        self.keys.get(key).into_iter().flatten().filter(|held| self.is_alive(held))
    }

    /// One variant of a key, gone or not.
    pub(crate) fn find(&mut self, key: &[u8], variant: &Variant) -> Option<&mut Held> {
        self.keys.get_mut(key)?.iter_mut().find(|held| held.variant == *variant)
    }

    /// Everything that is kept.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&[u8], &Held)> {
        let all = self.keys.iter().flat_map(|(key, all)| all.iter().map(move |held| (&**key, held)));
        all.filter(|(_, held)| self.is_alive(held))
    }

    /// Keeps something in the place of what was.
    pub(crate) fn put(&mut self, key: &[u8], held: Held) {
        self.take(key, &held.variant);
        held.marks.iter().for_each(|mark| self.depend(*mark));
        let variants = self.keys.entry(key.into()).or_default();
        if variants.len() >= MOST_VARIANTS {
            let gone = variants.remove(0);
            self.objects = self.objects.saturating_sub(1);
            self.bytes = self.bytes.saturating_sub(u64::from(gone.place.length));
        }
        self.objects = self.objects.saturating_add(1);
        self.bytes = self.bytes.saturating_add(u64::from(held.place.length));
        variants.push(held);
    }

    /// Lets something go. Whether it was there.
    pub(crate) fn take(&mut self, key: &[u8], variant: &Variant) -> bool {
        let Some(variants) = self.keys.get_mut(key) else { return false };
        let Some(at) = variants.iter().position(|held| held.variant == *variant) else { return false };
        let gone = variants.remove(at);
        if variants.is_empty() {
            self.keys.remove(key);
        }
        self.objects = self.objects.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(u64::from(gone.place.length));
        true
    }

    /// What is kept has been written anew at another place.
    pub(crate) fn moved(&mut self, key: &[u8], variant: &Variant, to: Place) {
        let number = self.next();
        if let Some(held) = self.find(key, variant) {
            (held.place, held.number) = (to, number);
        }
    }

    /// Something depends on this, or is about to.
    pub(crate) fn depend(&mut self, mark: u16) {
        if let Some(wanted) = self.wanted.get_mut(usize::from(mark)) {
            *wanted = true;
        }
    }

    /// Whatever depends on this is gone. Whether anything may.
    pub(crate) fn change(&mut self, mark: u16) -> bool {
        let (last, at) = (self.last, usize::from(mark));
        if let Some(changed) = self.changed.get_mut(at) {
            *changed = last;
        }
        self.wanted.get_mut(at).is_some_and(std::mem::take)
    }

    /// Lets all go.
    pub(crate) fn clear(&mut self) {
        self.keys.clear();
        (self.objects, self.bytes) = (0, 0);
    }

    /// Takes over what a record says that was found at a place. False for what is no record.
    pub(crate) fn apply(&mut self, place: Place, content: &[u8]) -> bool {
        let number = self.next();
        match Record::read(content) {
            Some(Record::Put(Put { variant, stale, marks, note, key, .. })) => {
                let (marks, note) = (marks.into(), note.into());
                self.put(key, Held { variant, place, number, stale, marks, note });
            }
            Some(Record::Gone(key, variant)) => _ = self.take(key, &variant),
            Some(Record::Stale(key, variant)) => {
                if let Some(held) = self.find(key, &variant) {
                    held.stale = true;
                }
            }
            Some(Record::Changed(marks)) => marks.into_iter().for_each(|mark| _ = self.change(mark)),
            None => return false,
        }
        true
    }
}
