//! The keys under which clients keep their sessions: shared by all workers, turned every six hours, and handed from
//! process to process, so that an upgrade does not cost every client a full handshake.
//!
//! A session taken up again is not verified again. So keys are bound to what was verified: they go over only to a
//! listener that believes the same authorities in the same way. They are never written anywhere.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::{ArcSwap, Guard};
use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::digest::{Context, SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::RootCertStore;
use rustls::server::ProducesTickets;
use serde::{Deserialize, Serialize};

/// How long a key seals tickets.
const TURN: u64 = 6 * 3600;
/// How long a key opens them.
const LIFE: u64 = 2 * TURN;
/// Bytes of the name of a key, and of the key.
const NAME: usize = 16;
const SECRET: usize = 32;
/// The longest ticket that is looked at: a chain of certificates may be in it.
const MOST: usize = 32 * 1024;

/// The keys of one listener.
pub struct Tickets {
    about: String,
    ring: ArcSwap<Ring>,
    turning: Mutex<()>,
}

/// The keys of a time.
struct Ring {
    /// When the first began, in seconds since 1970.
    since: u64,
    current: Arc<Key>,
    before: Option<Arc<Key>>,
}

struct Key {
    name: [u8; NAME],
    secret: [u8; SECRET],
    sealing: RandomizedNonceKey,
}

/// Keys on their way to the next process.
#[derive(Clone, Serialize, Deserialize)]
pub struct Handed {
    /// The listener they are of.
    pub listener: String,
    about: String,
    since: u64,
    keys: Vec<String>,
}

impl fmt::Debug for Handed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handed").field("listener", &self.listener).finish_non_exhaustive()
    }
}

impl Key {
    fn of(bytes: &[u8]) -> Option<Arc<Key>> {
        let (name, secret) = bytes.split_first_chunk()?;
        let secret: [u8; SECRET] = secret.try_into().ok()?;
        let sealing = RandomizedNonceKey::new(&AES_256_GCM, &secret).ok()?;
        Some(Arc::new(Key { name: *name, secret, sealing }))
    }

    fn new() -> Option<Arc<Key>> {
        let mut bytes = [0; NAME + SECRET];
        aws_lc_rs::rand::fill(&mut bytes).ok()?;
        Key::of(&bytes)
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

impl Tickets {
    /// New keys for a listener that believes these authorities, and requires that clients show a certificate or not.
    ///
    /// # Errors
    /// A sentence, when the system gives no random bytes.
    pub fn new(authorities: Option<&RootCertStore>, required: bool) -> Result<Arc<Tickets>, String> {
        let current = Key::new().ok_or("the system gives no random bytes")?;
        let ring = ArcSwap::from_pointee(Ring { since: now(), current, before: None });
        Ok(Arc::new(Tickets { about: about(authorities, required), ring, turning: Mutex::new(()) }))
    }

    /// The keys, for the listener of this name in the next process.
    pub fn hand(&self, listener: &str) -> Handed {
        let ring = self.ring.load();
        let keys = [Some(&ring.current), ring.before.as_ref()];
        let keys =
            keys.into_iter().flatten().map(|key| STANDARD.encode([&key.name[..], &key.secret].concat()));
        Handed {
            listener: listener.to_owned(),
            about: self.about.clone(),
            since: ring.since,
            keys: keys.collect(),
        }
    }

    /// Goes on with keys that are about the same; others are none of its own. True when they were taken.
    pub fn adopt(&self, handed: &Handed) -> bool {
        let mut keys = handed.keys.iter().map(|key| STANDARD.decode(key).ok().and_then(|key| Key::of(&key)));
        let Some(Some(current)) = keys.next().filter(|_| handed.about == self.about) else { return false };
        self.ring.store(Arc::new(Ring { since: handed.since, current, before: keys.next().flatten() }));
        true
    }

    /// The keys of now.
    fn ring(&self, now: u64) -> Guard<Arc<Ring>> {
        let ring = self.ring.load();
        if now.saturating_sub(ring.since) < TURN {
            return ring;
        }
        // One turns; the others go on with what there is for so long.
        if let Ok(_turning) = self.turning.try_lock() {
            let ring = self.ring.load();
            let age = now.saturating_sub(ring.since);
            if age >= TURN
                && let Some(current) = Key::new()
            {
                let before = (age < LIFE).then(|| ring.current.clone());
                self.ring.store(Arc::new(Ring { since: now, current, before }));
            }
        }
        self.ring.load()
    }

    fn seal(&self, plain: &[u8], now: u64) -> Option<Vec<u8>> {
        let ring = self.ring(now);
        let key = Some(&ring.current).filter(|_| now.saturating_sub(ring.since) < LIFE)?;
        let mut sealed = plain.to_vec();
        let nonce = key.sealing.seal_in_place_append_tag(Aad::from(key.name), &mut sealed).ok()?;
        Some([&key.name[..], nonce.as_ref(), &sealed].concat())
    }

    fn open(&self, ticket: &[u8], now: u64) -> Option<Vec<u8>> {
        let (name, rest) = Some(ticket).filter(|ticket| ticket.len() <= MOST)?.split_first_chunk::<NAME>()?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>()?;
        let ring = self.ring(now);
        // Names are no secrets.
        let key = [Some(&ring.current), ring.before.as_ref()]
            .into_iter()
            .flatten()
            .find(|key| key.name == *name)?;
        let mut opened = sealed.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let length = key.sealing.open_in_place(nonce, Aad::from(key.name), &mut opened).ok()?.len();
        opened.truncate(length);
        Some(opened)
    }
}

/// What sessions were verified by.
fn about(authorities: Option<&RootCertStore>, required: bool) -> String {
    let mut digest = Context::new(&SHA256);
    digest.update(&[u8::from(authorities.is_some()), u8::from(required)]);
    for anchor in authorities.iter().flat_map(|store| &store.roots) {
        for part in [&anchor.subject, &anchor.subject_public_key_info] {
            digest.update(&part.len().to_be_bytes());
            digest.update(part);
        }
        let constraints = anchor.name_constraints.as_deref().unwrap_or_default();
        digest.update(&constraints.len().to_be_bytes());
        digest.update(constraints);
    }
    STANDARD.encode(digest.finish())
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        u32::try_from(Duration::from_secs(LIFE).as_secs()).unwrap_or(u32::MAX)
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.seal(plain, now())
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        self.open(cipher, now())
    }
}

impl fmt::Debug for Tickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tickets").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_opened_by_the_keys_of_its_time_and_the_ones_behind() {
        let tickets = Tickets::new(None, false).unwrap();
        let begin = now();
        let ticket = tickets.seal(b"session", begin).unwrap();
        assert!(!ticket.windows(7).any(|window| window == b"session"));
        assert_ne!(tickets.seal(b"session", begin), Some(ticket.clone()), "no nonce comes twice");
        for (later, opened) in [(0, true), (TURN - 1, true), (TURN + 9, true), (2 * TURN + 99, false)] {
            assert_eq!(tickets.open(&ticket, begin + later).is_some(), opened, "{later}");
        }
        let late = tickets.seal(b"session", begin + 10 * TURN).unwrap();
        assert_eq!(tickets.open(&late, begin + 12 * TURN), None, "nothing happened for so long");
    }

    #[test]
    fn what_was_changed_or_cut_opens_nothing() {
        let tickets = Tickets::new(None, false).unwrap();
        let ticket = tickets.encrypt(b"session").unwrap();
        assert_eq!(tickets.decrypt(&ticket).as_deref(), Some(&b"session"[..]));
        for place in 0..ticket.len() {
            let mut changed = ticket.clone();
            changed[place] ^= 1;
            assert_eq!(tickets.decrypt(&changed), None, "{place}");
            assert_eq!(tickets.decrypt(&ticket[..place]), None, "{place}");
        }
        assert_eq!(tickets.decrypt(&vec![0; MOST + 1]), None);
        assert_eq!(Tickets::new(None, false).unwrap().decrypt(&ticket), None, "another listener");
    }

    #[test]
    fn keys_go_over_to_what_is_about_the_same() {
        let tickets = Tickets::new(None, false).unwrap();
        let ticket = tickets.encrypt(b"session").unwrap();
        let handed = tickets.hand("web");
        assert!(!format!("{handed:?} {tickets:?}").contains(&handed.keys[0]));
        let text = serde_json::to_string(&handed).unwrap();
        let handed: Handed = serde_json::from_str(&text).unwrap();
        let next = Tickets::new(None, false).unwrap();
        assert!(next.adopt(&handed));
        assert!(next.decrypt(&ticket).is_some());
        let other = Tickets::new(Some(&RootCertStore::empty()), true).unwrap();
        assert!(!other.adopt(&handed));
        assert_eq!(other.decrypt(&ticket), None);
        assert!(!next.adopt(&Handed { keys: vec!["AAAA".into()], ..handed }));
        assert!(next.decrypt(&ticket).is_some(), "what is no key changes nothing");
    }
}
