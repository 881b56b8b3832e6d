//! Which signatures have been used: each is good once, on all workers together.
//!
//! A table of fixed size that workers share without a lock. A signature stays in it for as long as it would hold. Where
//! its bucket is full of others that still hold, nobody can tell whether it is new, and that is not taken for a yes.

use std::hash::{BuildHasher, RandomState};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Places in one bucket, and buckets: a million signatures in 8 MiB, which are there once the first comes.
const WAYS: usize = 32;
const BUCKETS: usize = 1 << 15;
/// Bits that hold the second at which an entry ends, counted from the start: two years. Above them stands the hash.
const TIME_BITS: u32 = 26;
const TIME: u64 = (1 << TIME_BITS) - 1;
/// How often a place is tried again that another worker took meanwhile.
const TRIES: usize = 64;

/// Whether a signature was used before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// This is the first time.
    First,
    /// It was.
    Again,
    /// There is no room to remember it.
    NoRoom,
}

/// Notes the use of a signature, known by what was signed, that holds for so long.
pub fn note(text: &[u8], now: Instant, holds: Duration) -> Seen {
    static MEMORY: OnceLock<Memory> = OnceLock::new();
    MEMORY.get_or_init(|| Memory::new(BUCKETS)).note(text, now, holds)
}

struct Memory {
    secret: RandomState,
    start: Instant,
    places: Box<[AtomicU64]>,
}

impl Memory {
    fn new(buckets: usize) -> Memory {
        let places = bytemuck::allocation::zeroed_slice_box(buckets.saturating_mul(WAYS));
        Memory { secret: RandomState::new(), start: Instant::now(), places }
    }

    fn note(&self, text: &[u8], now: Instant, holds: Duration) -> Seen {
        let hash = self.secret.hash_one(text);
        let buckets = (self.places.len() / WAYS).max(1);
        let bucket = usize::try_from(hash & 0x3ff_ffff).unwrap_or(0) % buckets;
        let start = bucket.saturating_mul(WAYS);
        let places = self.places.get(start..start.saturating_add(WAYS)).unwrap_or_default();
        let name = (hash >> TIME_BITS).max(1);
        let second = now.saturating_duration_since(self.start).as_secs();
        let end = second.saturating_add(holds.as_secs()).saturating_add(1).min(TIME);
        let holds = |entry: u64| entry >> TIME_BITS != 0 && entry & TIME >= second;
        let is_it = |entry: u64| entry >> TIME_BITS == name && holds(entry);
        for _ in 0..TRIES {
            let mut free = None;
            for place in places {
                let entry = place.load(Ordering::SeqCst);
                if is_it(entry) {
                    return Seen::Again;
                }
                if free.is_none() && !holds(entry) {
                    free = Some((place, entry));
                }
            }
            let Some((place, entry)) = free else { return Seen::NoRoom };
            let own = name << TIME_BITS | end;
            if place.compare_exchange(entry, own, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
                // Two workers that note one signature at once want the same place, and one gets it. Should they have taken
                // different ones, because an entry ended between their looks, both see it here, and neither is the first.
                let twins = places.iter().filter(|place| is_it(place.load(Ordering::SeqCst))).count();
                return if twins > 1 { Seen::Again } else { Seen::First };
            }
        }
        Seen::NoRoom
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_signature_is_new_once_for_as_long_as_it_holds() {
        let (memory, now) = (Memory::new(8), Instant::now());
        assert_eq!(memory.note(b"a", now, 300 * SECOND), Seen::First);
        assert_eq!(memory.note(b"a", now + 300 * SECOND, 300 * SECOND), Seen::Again);
        assert_eq!(memory.note(b"b", now, 300 * SECOND), Seen::First);
        assert_eq!(
            memory.note(b"a", now + 303 * SECOND, 300 * SECOND),
            Seen::First,
            "it holds no more by itself"
        );
    }

    #[test]
    fn what_cannot_be_remembered_is_not_new() {
        let (memory, now) = (Memory::new(1), Instant::now());
        for number in 0..WAYS {
            assert_eq!(memory.note(&number.to_be_bytes(), now, 60 * SECOND), Seen::First);
        }
        assert_eq!(memory.note(b"one more", now, 60 * SECOND), Seen::NoRoom);
        assert_eq!(memory.note(&0_usize.to_be_bytes(), now, 60 * SECOND), Seen::Again);
        assert_eq!(memory.note(b"one more", now + 63 * SECOND, 60 * SECOND), Seen::First);
    }

    #[test]
    fn of_many_workers_one_is_the_first() {
        let (memory, now) = (Memory::new(64), Instant::now());
        for round in 0..200_u64 {
            let firsts = std::thread::scope(|scope| {
                let note = || memory.note(&round.to_be_bytes(), now, 60 * SECOND) == Seen::First;
                let workers: Vec<_> = (0..4).map(|_| scope.spawn(note)).collect();
                workers.into_iter().map(|worker| worker.join().unwrap()).filter(|first| *first).count()
            });
            assert_eq!(firsts, 1, "round {round}");
        }
    }
}
