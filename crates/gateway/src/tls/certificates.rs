//! The certificates of a listener: chosen by the name asked for, swapped in one step.
//!
//! A worker that shakes hands reads one published index; the control side publishes another when a file has changed.
//! A pair that cannot be used is refused, and the one before goes on being shown.

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use arc_swap::ArcSwap;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::files::{self, State};
use super::pair::Pair;
use crate::http::socket::note_server_name;

/// The protocol by which an authority asks for the proof of a name (RFC 8737 section 6.2).
pub const ACME_ALPN: &[u8] = b"acme-tls/1";

/// Certificates by name.
#[derive(Default)]
pub struct Certificates {
    slots: Mutex<Vec<Slot>>,
    index: ArcSwap<Index>,
    proofs: ArcSwap<HashMap<String, Arc<CertifiedKey>>>,
}

struct Slot {
    files: Option<(PathBuf, PathBuf)>,
    seen: State,
    pair: Arc<Pair>,
}

/// What is found by a name in a handshake.
#[derive(Default)]
struct Index {
    exact: HashMap<String, Vec<Arc<CertifiedKey>>>,
    /// By what stands behind the `*.`.
    wildcard: HashMap<String, Vec<Arc<CertifiedKey>>>,
    first: Vec<Arc<CertifiedKey>>,
}

/// What a look at the files brought.
#[derive(Default, Debug, PartialEq, Eq)]
pub struct Refreshed {
    /// Certificates taken over.
    pub swapped: Vec<PathBuf>,
    /// What could not be used, and why.
    pub refused: Vec<String>,
}

/// A certificate as metrics and warnings tell of it.
pub struct Told {
    /// Its file, or `acme`.
    pub name: String,
    /// The first of its names.
    pub subject: String,
    /// Not good after this.
    pub not_after: SystemTime,
}

impl Certificates {
    /// Takes over pairs, each with the files it was read from and how they were then.
    pub fn new(pairs: Vec<(PathBuf, PathBuf, State, Pair)>) -> Arc<Certificates> {
        let slots = pairs.into_iter().map(|(cert, key, seen, pair)| Slot {
            files: Some((cert, key)),
            seen,
            pair: Arc::new(pair),
        });
        let certificates = Certificates { slots: Mutex::new(slots.collect()), ..Certificates::default() };
        certificates.publish();
        Arc::new(certificates)
    }

    /// Looks at the files again.
    pub fn refresh(&self) -> Refreshed {
        let mut refreshed = Refreshed::default();
        for slot in self.slots().iter_mut() {
            let Some((cert, key)) = &slot.files else { continue };
            let now = files::state(&[cert, key]);
            if now == slot.seen {
                continue;
            }
            // As the files were before they are read: what changes meanwhile is seen the next time.
            slot.seen = now;
            match Pair::load(cert, key) {
                Ok(pair) => {
                    slot.pair = Arc::new(pair);
                    refreshed.swapped.push(cert.clone());
                }
                Err(reason) => refreshed.refused.push(reason),
            }
        }
        if !refreshed.swapped.is_empty() {
            self.publish();
        }
        refreshed
    }

    /// Shows this pair, which no file of the configuration holds, instead of an earlier one of the kind.
    pub fn adopt(&self, pair: Pair) {
        let mut slots = self.slots();
        slots.retain(|slot| slot.files.is_some());
        slots.push(Slot { files: None, seen: State::new(), pair: Arc::new(pair) });
        drop(slots);
        self.publish();
    }

    /// The pair that no file of the configuration holds, if there is one.
    pub fn adopted(&self) -> Option<Arc<Pair>> {
        self.slots().iter().find(|slot| slot.files.is_none()).map(|slot| slot.pair.clone())
    }

    /// What is shown to the authority that asks for the proof of a name.
    pub fn prove(&self, proofs: HashMap<String, Arc<CertifiedKey>>) {
        self.proofs.store(Arc::new(proofs));
    }

    /// The files, for who watches them.
    pub fn paths(&self) -> Vec<PathBuf> {
        let slots = self.slots();
        let files = slots.iter().filter_map(|slot| slot.files.clone());
        files.flat_map(|(cert, key)| [cert, key]).collect()
    }

    /// All certificates now.
    pub fn told(&self) -> Vec<Told> {
        let tell = |slot: &Slot| Told {
            name: slot.files.as_ref().map_or_else(|| "acme".into(), |(cert, _)| cert.display().to_string()),
            subject: slot.pair.names.first().cloned().unwrap_or_default(),
            not_after: slot.pair.not_after,
        };
        self.slots().iter().map(tell).collect()
    }

    fn slots(&self) -> std::sync::MutexGuard<'_, Vec<Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn publish(&self) {
        let mut index = Index::default();
        for slot in self.slots().iter() {
            for name in &slot.pair.names {
                let (map, name) = match name.strip_prefix("*.") {
                    Some(below) => (&mut index.wildcard, below),
                    None => (&mut index.exact, name.as_str()),
                };
                map.entry(name.to_owned()).or_default().push(slot.pair.key.clone());
            }
            index.first.push(slot.pair.key.clone());
        }
        self.index.store(Arc::new(index));
    }
}

impl Index {
    /// Those for a name: exact before wildcard (one label, RFC 9525 section 6.3), else the first written.
    fn find(&self, name: Option<&str>) -> &[Arc<CertifiedKey>] {
        let named =
            name.and_then(|name| self.exact.get(name).or_else(|| self.wildcard.get(name.split_once('.')?.1)));
        named.unwrap_or(&self.first)
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name().map(str::to_ascii_lowercase);
        note_server_name(name.as_deref());
        if let Some(mut protocols) = hello.alpn()
            && protocols.any(|protocol| protocol == ACME_ALPN)
        {
            return self.proofs.load().get(name.as_deref()?).cloned();
        }
        let index = self.index.load();
        let fitting = index.find(name.as_deref());
        // A client that takes no key of the kind gets the first: it says itself why it goes away.
        let schemes = hello.signature_schemes();
        let chosen = fitting.iter().find(|key| key.key.choose_scheme(schemes).is_some());
        chosen.or(fitting.first()).cloned()
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.told().iter().map(|told| &told.name)).finish()
    }
}
