//! A Redis as all workers know it: how it is asked, in one round trip for all limits of a request, and what became of it.
//!
//! Takes what a request asks; gives what the limits say, or nothing when there is no answer in time. Keys are written as
//! digests, so that nobody reads credentials in Redis. Must never hold a request longer than the deadline.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use aws_lc_rs::digest;
use redis::Script;

use super::Ask;
use super::link::{Link, Question};
use crate::config::Redis;
use crate::policies::rate_limit::gcra::Level;

/// Least time between two lines of the log about one Redis.
const QUIET: Duration = Duration::from_secs(10);

/// What is taken from one limit: what is asked, and the least and the most of it.
pub(super) type Part = (Ask, i64, i64);

/// A Redis as all workers know it.
pub(in crate::policies::rate_limit) struct Remote {
    /// Which one of the process.
    pub(super) id: u64,
    pub(super) settings: Redis,
    pub(super) script: Script,
    failures: AtomicU64,
    calls: AtomicU64,
    told: Mutex<Option<Instant>>,
}

impl Remote {
    /// The Redis of these settings; nothing is connected before a worker asks.
    pub(in crate::policies::rate_limit) fn new(settings: Redis) -> Remote {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Remote {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            settings,
            script: Script::new(include_str!("limit.lua")),
            failures: AtomicU64::new(0),
            calls: AtomicU64::new(0),
            told: Mutex::new(None),
        }
    }

    /// What tells these settings from others, passwords included, without showing them.
    pub(in crate::policies::rate_limit) fn identity(settings: &Redis) -> String {
        let mut text = format!("{settings:?}");
        settings.addresses().for_each(|url| text.push_str(url.expose()));
        text.push_str(
            settings.sentinel.as_ref().and_then(|it| it.password.as_ref()).map_or("", |it| it.expose()),
        );
        let digest = digest::digest(&digest::SHA256, text.as_bytes());
        digest.as_ref().iter().fold("rate_limit redis ".to_owned(), |mut text, byte| {
            // Writing into a text cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
    }

    /// Times that there was no answer, or none in time.
    pub(in crate::policies::rate_limit) fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// Times that it was asked.
    pub(in crate::policies::rate_limit) fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    pub(super) fn key(&self, name: &str) -> String {
        format!("{}:{name}", self.settings.prefix.as_ref().map_or("tidegate", |prefix| prefix.as_str()))
    }

    /// Counts a failure, and tells of it now and then.
    pub(super) fn failed(&self, why: &str) {
        self.failures.fetch_add(1, Ordering::Relaxed);
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

    /// Takes of all parts, or of none where one cannot give its least; with `force` whatever room there is. In a cluster
    /// each key is asked where it lies, and what one gave is given back when another refuses. What each gives, and its
    /// level; nothing when there is no answer in time.
    pub(super) async fn ask(self: &Arc<Remote>, force: bool, parts: &[Part]) -> Option<Vec<(i64, Level)>> {
        let link = Link::of(self);
        let groups: Vec<&[Part]> = if self.settings.cluster.is_empty() {
            vec![parts]
        } else {
            parts.chunk_by(|(one, ..), (other, ..)| one.slot == other.slot).collect()
        };
        let mut told: Vec<(i64, Level)> = Vec::with_capacity(parts.len());
        for group in groups {
            self.calls.fetch_add(1, Ordering::Relaxed);
            let answer = link.ask(self, &self.question(force, group)).await.ok()?;
            let levels = answer.chunks_exact(3).filter_map(|three| match three {
                [gives, left, wait] => Some((*gives, level(*left, *wait))),
                _ => None,
            });
            let levels: Vec<(i64, Level)> = levels.collect();
            if levels.len() != group.len() {
                return None;
            }
            let refused = !force && levels.iter().zip(group).any(|((gives, _), (_, least, _))| gives < least);
            if refused {
                self.give_back(&link, parts, &told).await;
            }
            told.extend(levels);
            if refused {
                // Those that were not asked any more say nothing against it.
                let rest = parts.get(told.len()..).unwrap_or_default();
                told.extend(rest.iter().map(|(_, least, _)| (*least, Level::NONE)));
                break;
            }
        }
        Some(told)
    }

    async fn give_back(&self, link: &Link, parts: &[Part], told: &[(i64, Level)]) {
        let back = parts.iter().zip(told).map(|((ask, ..), (gives, _))| (*ask, 0, gives.saturating_neg()));
        let back: Vec<Part> = back.collect();
        for group in back.chunk_by(|(one, ..), (other, ..)| one.slot == other.slot) {
            // When that fails, the request has cost something at these limits, which is on the safe side.
            let _ = link.ask(self, &self.question(true, group)).await;
        }
    }

    fn question(&self, force: bool, parts: &[Part]) -> Question {
        let mut question = Question::new(force);
        for (ask, least, most) in parts {
            let key = self.key(&format!("{{{:032x}}}:{:016x}", ask.slot, ask.limit));
            question.push(key, ask.per_micro, ask.burst, *least, *most);
        }
        question
    }
}

fn level(left: i64, wait: i64) -> Level {
    let positive = |number: i64| u64::try_from(number).unwrap_or(0);
    Level { remaining: positive(left), wait: positive(wait).saturating_mul(1000) }
}
