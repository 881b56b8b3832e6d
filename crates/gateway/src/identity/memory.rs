//! What one worker remembers of credentials that held, so that a signature is checked once and not for each request.
//!
//! Each worker has its own, without locks. Bounded in entries and bytes: when the younger half is full, the older half
//! is forgotten. Found by a keyed hash that no client can steer, and compared whole. A credential that failed is
//! never kept.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use smallvec::SmallVec;

use crate::exchange::{Exchange, Identity};

/// The time on both clocks: the one that only goes on, and that on the wall.
pub type Now = (Instant, SystemTime);

/// The time at which an exchange started, which costs no look at a clock.
pub fn now(exchange: &Exchange) -> Now {
    (exchange.record.started, exchange.record.started_at)
}

/// Entries of one half, and the bytes of their credentials.
const MOST: usize = 4096;
const MOST_BYTES: usize = 4 << 20;

/// One set of rules by which credentials hold: those of one compiled policy. What one set takes, another may not.
pub struct Realm {
    id: u64,
}

impl Realm {
    /// A realm unlike every other.
    #[expect(clippy::new_without_default, reason = "each is another one")]
    pub fn new() -> Realm {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Realm { id: NEXT.fetch_add(1, Ordering::Relaxed) }
    }

    /// The identity of a credential that held a short while ago, by keys of this age.
    pub fn recall(&self, age: u64, credential: &[u8], (now, at): Now) -> Option<Rc<Identity>> {
        MEMORY.with(|memory| memory.try_borrow_mut().ok()?.recall((self.id, age), credential, now, at))
    }

    /// Keeps the identity of a credential that held by keys of this age: no longer than `most`, and not beyond
    /// `until` on the wall clock.
    pub fn keep(
        &self,
        age: u64,
        credential: &[u8],
        identity: &Rc<Identity>,
        (most, until): (Duration, Option<SystemTime>),
        (now, _): Now,
    ) {
        let proof = Proof {
            remembered_until: now.checked_add(most).unwrap_or(now),
            until,
            realm: (self.id, age),
            credential: SmallVec::from_slice(credential),
        };
        let entry = Entry { identity: identity.clone(), proof: Box::new(proof) };
        MEMORY.with(|memory| {
            if let Ok(mut memory) = memory.try_borrow_mut() {
                memory.keep(entry);
            }
        });
    }
}

thread_local! {
    static MEMORY: RefCell<Memory> = RefCell::default();
}

/// The key of the hash. The first 16 bytes of a credential and the last 48 are taken, four or five multiplications: a token
/// of 300 bytes takes 15 ns, where the hash of the standard library takes 200. It need not withstand who chooses what is kept:
/// that is only what an issuer has signed or an operator has given out; and two credentials of one hash are told apart by
/// themselves.
struct Secret([u64; 2]);

impl Default for Secret {
    fn default() -> Secret {
        let random = RandomState::new();
        Secret([random.hash_one(1), random.hash_one(2)])
    }
}

impl Secret {
    fn hash(&self, realm: u64, credential: &[u8]) -> u64 {
        let Secret([one, two]) = *self;
        let fold = |a: u64, b: u64| {
            let product = u128::from(a).wrapping_mul(u128::from(b));
            (product ^ (product >> 64)) as u64
        };
        let mut hash = fold(realm ^ one, credential.len() as u64 ^ two);
        let mut mix = |chunk: &[u8; 16]| {
            let both = u128::from_le_bytes(*chunk);
            hash = fold(both as u64 ^ one ^ hash, (both >> 64) as u64 ^ two);
        };
        let tail = credential.get(credential.len().saturating_sub(48)..).unwrap_or_default();
        let (chunks, rest) = tail.as_chunks::<16>();
        match (credential.first_chunk::<16>(), credential.last_chunk::<16>()) {
            (Some(first), Some(last)) => {
                mix(first);
                chunks.iter().for_each(&mut mix);
                if !rest.is_empty() {
                    mix(last);
                }
            }
            _ => {
                let mut padded = [0; 16];
                padded.iter_mut().zip(credential).for_each(|(byte, from)| *byte = *from);
                mix(&padded);
            }
        }
        fold(hash ^ two, one)
    }
}

/// The hash is the key, so it is not hashed again.
#[derive(Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, _: &[u8]) {}
    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

type Half = HashMap<u64, Entry, BuildHasherDefault<AsItIs>>;

#[derive(Default)]
struct Memory {
    secret: Secret,
    young: Half,
    old: Half,
    bytes: usize,
}

/// Two words, so that the map of thousands stays in the caches nearest; what they lead to is fetched beside each other.
struct Entry {
    identity: Rc<Identity>,
    proof: Box<Proof>,
}

/// What was proven. The credential stands beside the times if it is no longer than an API key.
struct Proof {
    remembered_until: Instant,
    until: Option<SystemTime>,
    realm: (u64, u64),
    credential: SmallVec<[u8; 64]>,
}

impl Proof {
    /// Both clocks must agree: the wall clock may be set back, the other knows nothing of the hour.
    fn holds(&self, realm: (u64, u64), credential: &[u8], now: Instant, at: SystemTime) -> bool {
        self.realm == realm
            && *self.credential == *credential
            && now < self.remembered_until
            && self.until.is_none_or(|until| at < until)
    }
}

impl Memory {
    fn hash(&self, realm: (u64, u64), credential: &[u8]) -> u64 {
        self.secret.hash(realm.0, credential)
    }

    fn recall(
        &mut self,
        realm: (u64, u64),
        credential: &[u8],
        now: Instant,
        at: SystemTime,
    ) -> Option<Rc<Identity>> {
        if self.young.is_empty() && self.old.is_empty() {
            return None;
        }
        let hash = self.hash(realm, credential);
        if let Some(entry) = self.young.get(&hash) {
            return entry.proof.holds(realm, credential, now, at).then(|| entry.identity.clone());
        }
        let entry = self.old.remove(&hash)?;
        let identity = entry.proof.holds(realm, credential, now, at).then(|| entry.identity.clone())?;
        self.keep(entry);
        Some(identity)
    }

    fn keep(&mut self, entry: Entry) {
        let Proof { realm, credential, .. } = &*entry.proof;
        let (hash, length) = (self.hash(*realm, credential), credential.len());
        if self.young.len() >= MOST || self.bytes.saturating_add(length) > MOST_BYTES {
            self.old = std::mem::take(&mut self.young);
            self.bytes = 0;
        }
        self.bytes = self.bytes.saturating_add(length);
        self.young.insert(hash, entry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(
        memory: &mut Memory,
        realm: (u64, u64),
        credential: &[u8],
        kept: Instant,
        until: Option<SystemTime>,
    ) {
        let (credential, remembered_until) = (credential.into(), kept + Duration::from_secs(60));
        let proof = Box::new(Proof { remembered_until, until, realm, credential });
        memory.keep(Entry { identity: Rc::default(), proof });
    }

    #[test]
    fn only_the_same_credential_by_the_same_rules_in_its_time_is_remembered() {
        let (mut memory, now, at) = (Memory::default(), Instant::now(), SystemTime::now());
        let second = Duration::from_secs(1);
        kept(&mut memory, (1, 1), b"a", now, Some(at + second));
        let mut held =
            |realm, credential: &[u8], now, at| memory.recall(realm, credential, now, at).is_some();
        assert!(held((1, 1), b"a", now, at));
        assert!(!held((2, 1), b"a", now, at), "by other rules");
        assert!(!held((1, 2), b"a", now, at), "by other keys");
        assert!(!held((1, 1), b"b", now, at));
        assert!(!held((1, 1), b"a", now, at + second), "beyond its own end");
        assert!(!held((1, 1), b"a", now + 60 * second, at - 60 * second), "though the clock was set back");
    }

    #[test]
    fn credentials_have_hashes_of_their_own() {
        let (secret, text) = (Secret::default(), [7; 100]);
        let mut seen = std::collections::HashSet::new();
        for length in 0..=text.len() {
            assert!(seen.insert(secret.hash(1, &text[..length])), "{length}");
            assert!(seen.insert(secret.hash(2, &text[..length])), "{length} by other rules");
            for place in (0..length).filter(|place| *place < 16 || place + 48 >= length) {
                let mut other = text;
                other[place] ^= 1;
                assert!(seen.insert(secret.hash(1, &other[..length])), "{length}, {place}");
            }
        }
        assert_ne!(Secret::default().hash(1, b"a"), secret.hash(1, b"a"));
        // What differs in the middle alone has one hash, and is told apart all the same.
        let (now, at) = (Instant::now(), SystemTime::now());
        let (mut memory, mut other) = (Memory::default(), text);
        other[30] ^= 1;
        kept(&mut memory, (1, 1), &text, now, None);
        assert!(memory.recall((1, 1), &text, now, at).is_some());
        assert!(memory.recall((1, 1), &other, now, at).is_none());
    }

    #[test]
    fn memory_is_bounded_and_what_is_used_stays() {
        let (mut memory, now, at) = (Memory::default(), Instant::now(), SystemTime::now());
        for number in 0..5 * MOST {
            kept(&mut memory, (1, 1), &number.to_be_bytes(), now, None);
            assert!(memory.recall((1, 1), &0_usize.to_be_bytes(), now, at).is_some(), "{number}");
        }
        assert!(memory.young.len() <= MOST && memory.old.len() <= MOST);
        let large = vec![0; MOST_BYTES];
        for number in 0..4 {
            kept(&mut memory, (number, 1), &large, now, None);
        }
        assert!(memory.young.len() == 1 && memory.old.len() == 1);
    }
}
