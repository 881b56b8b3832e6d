//! Lists of networks that others keep: fetched on the control side, checked, and the last good one kept.
//!
//! Takes a URL; gives a set of networks. Bounded in time, bytes and lines. What cannot be fetched, has another checksum, or is no
//! list changes nothing.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use aws_lc_rs::digest;

use super::countries::Countries;
use super::networks::Networks;
use super::settings;
use crate::identity::fetch::{Ask, Asker};
use crate::observe::Figure;
use crate::values::WebUrl;

/// The identity of the registry among what outlives reloads.
pub const LIVE: &str = "lists";
/// Time for a list, bytes of one, and networks in one.
const WITHIN: Duration = Duration::from_secs(60);
const LARGEST: usize = 32 << 20;
const MOST: usize = 1_000_000;
/// Bytes of a checksum's file.
const CHECKSUM: usize = 4_096;
/// The rest after the first failure, doubled after each further one, at most as long as between two fetches.
const FIRST_REST: Duration = Duration::from_secs(5);

/// Which list, and how it is to be fetched.
#[derive(Clone)]
pub(super) struct SharedSettings {
    written: settings::Shared,
    file: Option<PathBuf>,
}

impl SharedSettings {
    pub(super) fn new(written: settings::Shared, state: Option<PathBuf>) -> SharedSettings {
        let name = hex(digest::digest(&digest::SHA256, written.url.as_str().as_bytes()).as_ref());
        let file = state.map(|state| state.join(format!("list-{}", name.get(..16).unwrap_or_default())));
        SharedSettings { written, file }
    }

    /// What tells it from others.
    pub(super) fn identity(&self) -> String {
        let shared = &self.written;
        format!(
            "list {} {} {:?} {:?} {:?} {:?}",
            *shared.url,
            shared.every,
            shared.checksum.as_ref().map(|url| url.as_str().to_owned()),
            shared.sha256,
            shared.ca,
            self.file
        )
    }
}

/// One list.
pub(super) struct SharedList {
    settings: SharedSettings,
    networks: ArcSwap<Networks>,
    next: Mutex<(Instant, u32)>,
}

impl SharedList {
    /// A list that nobody is on yet.
    pub(super) fn new(settings: SharedSettings) -> SharedList {
        SharedList { settings, networks: ArcSwap::default(), next: Mutex::new((Instant::now(), 0)) }
    }

    /// Where it is from.
    pub(super) fn name(&self) -> &str {
        self.settings.written.url.as_str()
    }

    /// Whether an address is on it.
    #[inline]
    pub(super) fn contains(&self, address: IpAddr) -> bool {
        self.networks.load().contains(address)
    }

    /// Takes up what was good when the process before ended.
    fn take_up(&self) {
        let Some(file) = &self.settings.file else { return };
        if self.networks.load().count() > 0 {
            return;
        }
        let known = std::fs::read_to_string(file).ok().and_then(|text| Networks::read(&text, MOST));
        if let Some(networks) = known {
            self.networks.store(Arc::new(networks));
        }
    }

    fn is_due(&self) -> bool {
        self.next.lock().unwrap_or_else(PoisonError::into_inner).0 <= Instant::now()
    }

    /// Fetches it once. Whether that went well.
    async fn fetch(&self) -> bool {
        let fetched = self.try_to_fetch().await;
        let every = self.settings.written.every.get().max(Duration::from_secs(1));
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        match fetched {
            Ok(count) => {
                *next = (Instant::now() + every, 0);
                tracing::debug!(list = self.name(), count, "list fetched");
                true
            }
            Err(error) => {
                let rest = FIRST_REST.saturating_mul(1 << next.1.min(12)).min(every);
                *next = (Instant::now() + rest, next.1.saturating_add(1));
                tracing::error!(list = self.name(), "the list before stays: {error}");
                false
            }
        }
    }

    async fn try_to_fetch(&self) -> Result<usize, String> {
        let written = &self.settings.written;
        let asker = Asker::new(written.ca.as_deref())?;
        let body = get(&asker, &written.url, LARGEST).await?;
        let sum = hex(digest::digest(&digest::SHA256, &body).as_ref());
        if let Some(url) = &written.checksum {
            let told = get(&asker, url, CHECKSUM).await.map_err(|error| format!("its checksum: {error}"))?;
            let told =
                String::from_utf8_lossy(&told).split_whitespace().next().unwrap_or_default().to_owned();
            if !told.eq_ignore_ascii_case(&sum) {
                return Err("its checksum is another".to_owned());
            }
        }
        if written.sha256.as_ref().is_some_and(|wanted| !wanted.eq_ignore_ascii_case(&sum)) {
            return Err("its checksum is not the one that is written".to_owned());
        }
        let text = String::from_utf8(body).map_err(|_| "it is no text".to_owned())?;
        let networks = Networks::read(&text, MOST).ok_or("it is no list of networks")?;
        let count = networks.count();
        self.networks.store(Arc::new(networks));
        if let Some(file) = &self.settings.file {
            let draft = file.with_extension("new");
            let kept = file.parent().map_or(Ok(()), std::fs::create_dir_all);
            let kept =
                kept.and_then(|()| std::fs::write(&draft, text)).and_then(|()| std::fs::rename(&draft, file));
            if let Err(error) = kept {
                tracing::warn!(list = self.name(), "it holds, but is not kept: {error}");
            }
        }
        Ok(count)
    }
}

async fn get(asker: &Asker, url: &WebUrl, most: usize) -> Result<Vec<u8>, String> {
    let told = asker.ask(Ask { url, fields: &[], body: None, within: WITHIN, most }).await?;
    if told.status == 200 { Ok(told.body) } else { Err(format!("it was answered with {}", told.status)) }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// All lists and databases that are in use.
#[derive(Default)]
pub struct Registry {
    lists: Mutex<Vec<Weak<SharedList>>>,
    countries: Mutex<Vec<Weak<Countries>>>,
    failures: AtomicU64,
}

impl Registry {
    pub(super) fn adopt_list(&self, list: &Arc<SharedList>) {
        list.take_up();
        adopt(&self.lists, list);
    }

    pub(super) fn adopt_countries(&self, countries: &Arc<Countries>) {
        adopt(&self.countries, countries);
    }

    /// Fetches what is due. To be called every few seconds, never on a worker.
    pub async fn refresh(&self) {
        for list in in_use(&self.lists).iter().filter(|list| list.is_due()) {
            if !list.fetch().await {
                self.failures.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Reads databases that have changed. It waits for the disk.
    pub fn reread(&self) {
        in_use(&self.countries).iter().for_each(|countries| countries.refresh());
    }

    pub(super) fn figures(&self, tell: &mut dyn FnMut(Figure)) {
        let count: usize = in_use(&self.lists).iter().map(|list| list.networks.load().count()).sum();
        tell(Figure {
            name: "tidegate_lists_networks",
            help: "Networks on the lists that others keep.",
            counts: false,
            value: count as u64,
        });
        tell(Figure {
            name: "tidegate_lists_failures",
            help: "Fetches of lists that went wrong; the list before stays.",
            counts: true,
            value: self.failures.load(Ordering::Relaxed),
        });
    }
}

fn adopt<T>(known: &Mutex<Vec<Weak<T>>>, new: &Arc<T>) {
    let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
    known.retain(|one| one.strong_count() > 0);
    if !known.iter().any(|one| std::ptr::eq(one.as_ptr(), Arc::as_ptr(new))) {
        known.push(Arc::downgrade(new));
    }
}

fn in_use<T>(known: &Mutex<Vec<Weak<T>>>) -> Vec<Arc<T>> {
    known.lock().unwrap_or_else(PoisonError::into_inner).iter().filter_map(Weak::upgrade).collect()
}
