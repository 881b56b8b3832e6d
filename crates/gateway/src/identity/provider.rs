//! The keys of an issuer, kept fresh by the control side.
//!
//! Fetched when a configuration begins to run, ahead of their end, and when a token names a key that is not known: then
//! once in a while, however many ask. While the issuer does not answer, the last good keys go on for a day. Workers read
//! what is there; who needs keys that are being fetched may wait for that fetch, bounded by themselves.

use std::any::Any;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use serde_json::{Map, Value};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use super::fetch::{Ask, Asker};
use super::jose::{Algorithm, KeySet, unique};
use super::shelf::Kept;
use crate::values::WebUrl;

/// One request to an issuer takes at most so long, and its answer has at most so many bytes.
const PATIENCE: Duration = Duration::from_secs(5);
const LARGEST: usize = 1 << 20;
/// How long keys count as fresh where the issuer says nothing, and the bounds of what it may say.
const FRESH: Duration = Duration::from_secs(15 * 60);
const FRESH_LEAST: Duration = Duration::from_secs(60);
const FRESH_MOST: Duration = Duration::from_secs(60 * 60);
/// How long the last good keys are kept while the issuer fails.
const KEPT: Duration = Duration::from_secs(24 * 60 * 60);
/// The longest rest between two attempts while the issuer fails.
const RETRY_MOST: Duration = Duration::from_secs(30);

/// Where keys come from, and which are taken.
#[derive(Clone, Debug, PartialEq)]
pub struct ProviderSettings {
    /// Where.
    pub origin: Origin,
    /// The algorithms wanted, for keys that name none.
    pub algorithms: Vec<Algorithm>,
    /// Authorities that are trusted instead of the system's, in PEM.
    pub ca: Option<String>,
    /// The shortest time between two fetches because of unknown keys.
    pub refetch_after: Duration,
}

/// Where keys come from.
#[derive(Clone, Debug, PartialEq)]
pub enum Origin {
    /// This key set.
    KeySet(WebUrl),
    /// The key set that the metadata of this issuer name (OpenID Connect Discovery 1.0, RFC 8414).
    Issuer(WebUrl),
}

/// The keys of one issuer.
pub struct Provider {
    settings: ProviderSettings,
    good: ArcSwapOption<Good>,
    age: AtomicU64,
    busy: AtomicBool,
    /// When the last attempt ended, in milliseconds of [`clock`]; 0 for never.
    tried: AtomicU64,
    wanted: Notify,
    done: watch::Sender<u64>,
}

/// Keys that were fetched well.
struct Good {
    set: Arc<KeySet>,
    body: Vec<u8>,
    at: Instant,
}

/// Milliseconds since the first look, plus one.
fn clock() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    let since = START.get_or_init(Instant::now).elapsed().as_millis();
    u64::try_from(since).unwrap_or(u64::MAX).saturating_add(1)
}

impl Provider {
    /// A provider that has nothing yet.
    pub fn new(settings: ProviderSettings) -> Arc<Provider> {
        Arc::new(Provider {
            settings,
            good: ArcSwapOption::empty(),
            age: AtomicU64::new(0),
            busy: AtomicBool::new(false),
            tried: AtomicU64::new(0),
            wanted: Notify::new(),
            done: watch::Sender::new(0),
        })
    }

    /// Where its keys come from.
    pub fn settings(&self) -> &ProviderSettings {
        &self.settings
    }

    /// Changes with every change of the keys: what was proven by others counts no more.
    pub fn age(&self) -> u64 {
        self.age.load(Ordering::Acquire)
    }

    /// The keys, if there are any.
    pub fn keys(&self) -> Option<Arc<KeySet>> {
        self.good.load().as_ref().map(|good| good.set.clone())
    }

    /// Asks for newer keys. Gives what to wait for, when a fetch is under way or now begins; none when the last one was
    /// too short a while ago.
    pub fn ask(&self) -> Option<watch::Receiver<u64>> {
        let done = self.done.subscribe();
        if self.busy.load(Ordering::Acquire) {
            return Some(done);
        }
        let rest = u64::try_from(self.settings.refetch_after.as_millis()).unwrap_or(u64::MAX);
        let tried = self.tried.load(Ordering::Acquire);
        let rested = tried > 0 && clock().saturating_sub(tried) >= rest;
        let mine =
            rested && self.busy.compare_exchange(false, true, Ordering::AcqRel, Ordering::Acquire).is_ok();
        if mine {
            self.wanted.notify_one();
            return Some(done);
        }
        self.busy.load(Ordering::Acquire).then_some(done)
    }

    async fn fetch(&self, asker: &Asker) -> Result<(Vec<u8>, Duration), String> {
        let url = match &self.settings.origin {
            Origin::KeySet(url) => url.clone(),
            Origin::Issuer(issuer) => discover(asker, issuer).await?,
        };
        let told = get(asker, &url).await?;
        let fresh = told.1.unwrap_or(FRESH).clamp(FRESH_LEAST, FRESH_MOST);
        Ok((told.0, fresh))
    }

    /// Takes over what was fetched.
    fn take(&self, body: Vec<u8>) -> Result<(), String> {
        let same = self.good.load().as_ref().is_some_and(|good| good.body == body);
        let set = match (same, self.keys()) {
            (true, Some(set)) => set,
            _ => Arc::new(KeySet::from_json(&body, &self.settings.algorithms, false)?),
        };
        self.good.store(Some(Arc::new(Good { set, body, at: Instant::now() })));
        if !same {
            self.age.fetch_add(1, Ordering::AcqRel);
        }
        Ok(())
    }

    /// Forgets keys that are too old to go on with.
    fn forget_old(&self) {
        if self.good.load().as_ref().is_some_and(|good| good.at.elapsed() > KEPT) {
            self.good.store(None);
            self.age.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// Keeps the keys fresh until it is no longer wanted.
    async fn keep(self: Arc<Self>) {
        let asker = Asker::new(self.settings.ca.as_deref());
        let mut failures = 0u32;
        loop {
            self.busy.store(true, Ordering::Release);
            let fetched = match &asker {
                Ok(asker) => self.fetch(asker).await,
                Err(fault) => Err(fault.clone()),
            };
            let taken = fetched.and_then(|(body, fresh)| self.take(body).map(|()| fresh));
            let rest = match taken {
                Ok(fresh) => {
                    failures = 0;
                    // Ahead of the end, so that nobody ever needs keys that are being fetched.
                    fresh.saturating_mul(4) / 5
                }
                Err(fault) => {
                    let (Origin::KeySet(url) | Origin::Issuer(url)) = &self.settings.origin;
                    tracing::warn!(url = %url, "cannot fetch the keys of an issuer: {fault}");
                    self.forget_old();
                    failures = failures.saturating_add(1);
                    Duration::from_secs(1u64 << failures.min(6)).min(RETRY_MOST)
                }
            };
            self.tried.store(clock(), Ordering::Release);
            self.busy.store(false, Ordering::Release);
            self.done.send_modify(|done| *done = done.wrapping_add(1));
            tokio::select! {
                () = tokio::time::sleep(rest) => {}
                () = self.wanted.notified() => {}
            }
        }
    }
}

/// A document and how long it may be kept.
async fn get(asker: &Asker, url: &WebUrl) -> Result<(Vec<u8>, Option<Duration>), String> {
    let told = asker.ask(Ask { url, fields: &[], body: None, within: PATIENCE, most: LARGEST }).await;
    let told = told.map_err(|fault| format!("{url}: {fault}"))?;
    match told.status {
        200 => Ok((told.body, told.max_age)),
        status => Err(format!("{url}: it answers {status}")),
    }
}

/// The URL of the key set of an issuer, by its own metadata.
async fn discover(asker: &Asker, issuer: &WebUrl) -> Result<WebUrl, String> {
    key_set_of(&metadata(asker, issuer).await?, issuer).map_err(|fault| format!("{issuer}: {fault}"))
}

/// The metadata of an issuer, where they are its own.
pub(super) async fn metadata(asker: &Asker, issuer: &WebUrl) -> Result<Map<String, Value>, String> {
    let base = issuer.as_str().trim_end_matches('/');
    let (start, path) = (base
        .split_at_checked(base.len().saturating_sub(issuer.target().trim_end_matches('/').len())))
    .unwrap_or((base, ""));
    // OpenID Connect Discovery 1.0 section 4 puts the well-known name behind the path, RFC 8414 section 3 before it.
    let places = [
        format!("{base}/.well-known/openid-configuration"),
        format!("{start}/.well-known/oauth-authorization-server{path}"),
    ];
    let mut fault = String::new();
    for place in places {
        let url: WebUrl = place.parse().map_err(|_| format!("{place} is no URL"))?;
        match get(asker, &url).await {
            Ok((body, _)) => return own_metadata(&body, issuer).map_err(|fault| format!("{url}: {fault}")),
            Err(told) => fault = told,
        }
    }
    Err(fault)
}

/// What the metadata say, if they are those of this issuer (RFC 8414 section 3.3).
fn own_metadata(metadata: &[u8], issuer: &WebUrl) -> Result<Map<String, Value>, String> {
    let metadata = unique::object(metadata).ok_or("the metadata are no JSON object")?;
    if metadata.get("issuer").and_then(Value::as_str) != Some(issuer.as_str()) {
        return Err("the metadata are those of another issuer".to_owned());
    }
    Ok(metadata)
}

fn key_set_of(metadata: &Map<String, Value>, issuer: &WebUrl) -> Result<WebUrl, String> {
    let url = metadata.get("jwks_uri").and_then(Value::as_str).and_then(|url| url.parse().ok());
    let url: WebUrl = url.ok_or("the metadata name no `jwks_uri`")?;
    if issuer.is_https() && !url.is_https() {
        return Err("the metadata lead from https to http".to_owned());
    }
    Ok(url)
}

/// Runs what is kept fresh for the configuration that runs.
#[derive(Default)]
pub struct Keeper {
    running: HashMap<usize, Running>,
}

struct Running {
    // Keeps the address, which is the key of the map, from being used again.
    _kept: Arc<dyn Any + Send + Sync>,
    task: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Keeper {
    /// Keeps all this fresh and lets go of all others. Must be called on the control runtime.
    pub fn adopt(&mut self, wanted: &Kept) {
        let mut kept = HashMap::new();
        for source in &wanted.sources {
            let address = Arc::as_ptr(source).addr();
            let running = self.running.remove(&address).unwrap_or_else(|| {
                let task = tokio::spawn(source.clone().keep());
                Running { _kept: source.clone(), task }
            });
            kept.insert(address, running);
        }
        for party in &wanted.parties {
            let address = Arc::as_ptr(party).addr();
            let running = self.running.remove(&address).unwrap_or_else(|| {
                let task = tokio::spawn(party.clone().keep());
                Running { _kept: party.clone(), task }
            });
            kept.insert(address, running);
        }
        for server in &wanted.introspectors {
            let address = Arc::as_ptr(server).addr();
            let running = self.running.remove(&address).unwrap_or_else(|| {
                let task = tokio::spawn(server.clone().keep());
                Running { _kept: server.clone(), task }
            });
            kept.insert(address, running);
        }
        for provider in &wanted.providers {
            let address = Arc::as_ptr(provider).addr();
            let running = self.running.remove(&address).unwrap_or_else(|| {
                // From now on somebody is fetching: who comes first waits for that.
                provider.busy.store(true, Ordering::Release);
                Running { _kept: provider.clone(), task: tokio::spawn(provider.clone().keep()) }
            });
            kept.insert(address, running);
        }
        self.running = kept;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_must_be_those_of_the_issuer() {
        let issuer: WebUrl = "https://id.example/realm".parse().unwrap();
        let told = |metadata: &str| {
            let metadata = own_metadata(metadata.as_bytes(), &issuer)?;
            key_set_of(&metadata, &issuer).map(|url| url.to_string())
        };
        let good = r#"{"issuer":"https://id.example/realm","jwks_uri":"https://id.example/keys"}"#;
        assert_eq!(told(good), Ok("https://id.example/keys".to_owned()));
        for wrong in [
            good.replace("realm\"", "realm/\""),
            good.replace("https://id.example/keys", "http://id.example/keys"),
            good.replace("https://id.example/keys", "file:///etc/passwd"),
            good.replace("jwks_uri", "jwks"),
            good.replace('}', ",\"issuer\":\"https://evil.example\"}"),
            "[]".to_owned(),
            String::new(),
        ] {
            assert!(told(&wrong).is_err(), "{wrong}");
        }
    }
}
