//! What a worker remembers of questions that were answered with yes.
//!
//! Each worker has its own, without locks, bounded in entries and bytes: when the younger half is full, the older half is
//! forgotten. Nothing but a yes is kept, compared whole and not only by its hash.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::Lines;

/// Entries of one half, and the bytes of their keys and lines.
const MOST: usize = 4096;
const MOST_BYTES: usize = 4 << 20;

/// A good answer.
pub(super) struct Yes {
    /// Lines for the service behind.
    pub(super) told: Lines,
    /// Lines for the client.
    pub(super) promised: Lines,
}

/// The questions of one compiled policy.
pub(super) struct Asked {
    id: u64,
}

struct Entry {
    yes: Rc<Yes>,
    until: Instant,
}

type Half = HashMap<(u64, Box<[u8]>), Entry>;

#[derive(Default)]
struct Memory {
    young: Half,
    old: Half,
    bytes: usize,
}

thread_local! {
    static MEMORY: RefCell<Memory> = RefCell::default();
}

impl Asked {
    /// Questions unlike those of every other policy.
    pub(super) fn new() -> Asked {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Asked { id: NEXT.fetch_add(1, Ordering::Relaxed) }
    }

    /// The answer that still holds.
    pub(super) fn recall(&self, key: &[u8], now: Instant) -> Option<Rc<Yes>> {
        MEMORY.with(|memory| memory.try_borrow().ok()?.recall(&(self.id, key.into()), now))
    }

    /// Keeps an answer for so long.
    pub(super) fn keep(&self, key: Vec<u8>, yes: &Rc<Yes>, most: Duration, now: Instant) {
        let Some(until) = now.checked_add(most) else { return };
        MEMORY.with(|memory| {
            if let Ok(mut memory) = memory.try_borrow_mut() {
                memory.keep((self.id, key.into()), Entry { yes: yes.clone(), until });
            }
        });
    }
}

impl Memory {
    fn recall(&self, key: &(u64, Box<[u8]>), now: Instant) -> Option<Rc<Yes>> {
        let entry = self.young.get(key).or_else(|| self.old.get(key))?;
        (now < entry.until).then(|| entry.yes.clone())
    }

    fn keep(&mut self, key: (u64, Box<[u8]>), entry: Entry) {
        let lines = entry
            .yes
            .told
            .iter()
            .map(|(name, value)| name.as_name().text().len().saturating_add(value.len()));
        let size = lines.fold(key.1.len(), usize::saturating_add);
        if size > MOST_BYTES {
            return;
        }
        if self.young.len() >= MOST || self.bytes.saturating_add(size) > MOST_BYTES {
            self.old = std::mem::take(&mut self.young);
            self.bytes = 0;
        }
        self.bytes = self.bytes.saturating_add(size);
        self.young.insert(key, entry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(until: Instant) -> Entry {
        Entry { yes: Rc::new(Yes { told: Vec::new(), promised: Vec::new() }), until }
    }

    #[test]
    fn a_yes_holds_for_its_time_and_its_policy() {
        let (mut memory, now) = (Memory::default(), Instant::now());
        let second = Duration::from_secs(1);
        memory.keep((1, b"a"[..].into()), entry(now + second));
        let held = |of: u64, key: &[u8], at: Instant| memory.recall(&(of, key.into()), at).is_some();
        assert!(held(1, b"a", now));
        assert!(!held(1, b"a", now + second));
        assert!(!held(1, b"b", now));
        assert!(!held(2, b"a", now));
    }

    #[test]
    fn memory_is_bounded() {
        let (mut memory, now) = (Memory::default(), Instant::now());
        for number in 0..3 * MOST {
            memory.keep((1, number.to_be_bytes()[..].into()), entry(now));
        }
        assert!(memory.young.len() <= MOST && memory.old.len() <= MOST);
        for number in 0..4u8 {
            memory.keep((1, vec![number; MOST_BYTES].into()), entry(now));
        }
        assert!(memory.young.len() == 1 && memory.old.len() == 1);
        memory.keep((1, vec![9; MOST_BYTES + 1].into()), entry(now));
        assert!(memory.young.len() == 1, "what is larger than all is not kept");
    }
}
