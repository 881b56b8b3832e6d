//! A Redis as all workers know it: where it is, the scripts that it runs, and what became of asking it.
//!
//! Gives names of keys, counts questions and failures, and tells the log of them now and then.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use aws_lc_rs::digest;
use redis::Script;

use crate::config::Redis;
use crate::policies::Lives;

/// Least time between two lines of the log about one Redis.
const QUIET: Duration = Duration::from_secs(10);

/// What Redis is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::policies) enum About {
    /// How often requests may come.
    Limits,
    /// How much may be used in a period.
    Quotas,
}

/// A script and how often it was asked.
struct Asked {
    script: Script,
    calls: AtomicU64,
    failures: AtomicU64,
}

impl Asked {
    fn new(script: &str) -> Asked {
        Asked { script: Script::new(script), calls: AtomicU64::new(0), failures: AtomicU64::new(0) }
    }
}

/// A Redis as all workers know it.
pub(in crate::policies) struct Remote {
    /// Which one of the process.
    pub(super) id: u64,
    /// Where it is, and how long it may take.
    pub(in crate::policies) settings: Redis,
    limits: Asked,
    quotas: Asked,
    told: Mutex<Option<Instant>>,
}

impl Remote {
    /// The Redis of these settings, which outlives reloads, and its identity. It is another one when the settings are
    /// others. Nothing is connected before a worker asks.
    pub(in crate::policies) fn kept(settings: &Redis, lives: &mut Lives<'_>) -> (String, Arc<Remote>) {
        let identity = identity(settings);
        let remote = lives.keep(&identity, |before: Option<&Arc<Remote>>| {
            before.cloned().unwrap_or_else(|| Arc::new(Remote::new(settings.clone())))
        });
        (identity, remote)
    }

    fn new(settings: Redis) -> Remote {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Remote {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            settings,
            limits: Asked::new(include_str!("limit.lua")),
            quotas: Asked::new(include_str!("quota.lua")),
            told: Mutex::new(None),
        }
    }

    fn asked(&self, about: About) -> &Asked {
        match about {
            About::Limits => &self.limits,
            About::Quotas => &self.quotas,
        }
    }

    pub(super) fn script(&self, about: About) -> &Script {
        &self.asked(about).script
    }

    /// Times that there was no answer, or none in time.
    pub(in crate::policies) fn failures(&self, about: About) -> u64 {
        self.asked(about).failures.load(Ordering::Relaxed)
    }

    /// Times that it was asked.
    pub(in crate::policies) fn calls(&self, about: About) -> u64 {
        self.asked(about).calls.load(Ordering::Relaxed)
    }

    pub(super) fn count(&self, about: About) {
        self.asked(about).calls.fetch_add(1, Ordering::Relaxed);
    }

    /// A key of the prefix that gateways share.
    pub(in crate::policies) fn key(&self, name: &str) -> String {
        format!("{}:{name}", self.settings.prefix.as_ref().map_or("tidegate", |prefix| prefix.as_str()))
    }

    /// Counts a failure, and tells of it now and then.
    pub(super) fn failed(&self, about: About, why: &str) {
        self.asked(about).failures.fetch_add(1, Ordering::Relaxed);
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.is_none_or(|told| told.elapsed() > QUIET) {
            *told = Some(Instant::now());
            tracing::warn!("limits are not shared: redis: {why}");
        }
    }

    pub(super) fn is_up(&self) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.take().is_some() {
            tracing::info!("limits are shared again: redis answers");
        }
    }
}

/// What tells these settings from others, passwords included, without showing them.
fn identity(settings: &Redis) -> String {
    let mut text = format!("{settings:?}");
    settings.addresses().for_each(|url| text.push_str(url.expose()));
    text.push_str(
        settings.sentinel.as_ref().and_then(|it| it.password.as_ref()).map_or("", |it| it.expose()),
    );
    let digest = digest::digest(&digest::SHA256, text.as_bytes());
    digest.as_ref().iter().fold("redis ".to_owned(), |mut text, byte| {
        // Writing into a text cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
