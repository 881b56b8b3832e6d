//! The thread that sends spans to the collector.
//!
//! Takes spans from the queue; sends them in batches, each tried a few times where the collector says that this may
//! help (OTLP specification, "Retryable response codes"). Must never hold more than one batch besides the queue.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::post::post;
use super::settings::{Encoding, TraceSettings};
use super::span::Span;
use super::{json, protobuf};

/// Spans of one export.
const BATCH: usize = 512;
/// How long the first span of a batch waits for others.
const DELAY: Duration = Duration::from_secs(1);
/// Tries of one batch, and the rest before the second; doubles with each.
const TRIES: u32 = 4;
const REST: Duration = Duration::from_millis(500);

/// What goes over the queue.
pub(crate) enum Parcel {
    Span(Box<Span>),
    /// Look whether this is the end.
    Wake,
}

/// How far the exporter is, and whether it is to end.
#[derive(Default)]
pub(crate) struct Progress {
    exported: AtomicU64,
    dropped: AtomicU64,
    stage: Mutex<Stage>,
    changed: Condvar,
}

#[derive(Clone, Copy, Default)]
enum Stage {
    #[default]
    Running,
    EndBy(Instant),
    Ended,
}

impl Progress {
    pub(crate) fn exported(&self) -> u64 {
        self.exported.load(Ordering::Relaxed)
    }

    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    pub(crate) fn drop_spans(&self, count: usize) {
        self.dropped.fetch_add(count as u64, Ordering::Relaxed);
    }

    fn stage(&self) -> MutexGuard<'_, Stage> {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn ask_to_end(&self, within: Duration) {
        let now = Instant::now();
        let mut stage = self.stage();
        if matches!(*stage, Stage::Running) {
            *stage = Stage::EndBy(now.checked_add(within).unwrap_or(now));
        }
        self.changed.notify_all();
    }

    /// True when the exporter has ended.
    pub(crate) fn await_end(&self, within: Duration) -> bool {
        let running = |stage: &mut Stage| !matches!(stage, Stage::Ended);
        let waited = self.changed.wait_timeout_while(self.stage(), within, running);
        let (stage, _) = waited.unwrap_or_else(PoisonError::into_inner);
        matches!(*stage, Stage::Ended)
    }

    /// When to end, if so.
    fn ends_by(&self) -> Option<Instant> {
        match *self.stage() {
            Stage::EndBy(end) => Some(end),
            Stage::Running | Stage::Ended => None,
        }
    }

    /// Waits, unless it is to end.
    fn pause(&self, duration: Duration) {
        let running = |stage: &mut Stage| matches!(stage, Stage::Running);
        // Whether it was the time or the end makes no difference here.
        drop(self.changed.wait_timeout_while(self.stage(), duration, running));
    }
}

/// The exporter's side of the queue.
pub(crate) struct Exporter {
    settings: TraceSettings,
    parcels: Receiver<Parcel>,
    progress: Arc<Progress>,
    batch: Vec<Span>,
    failing: bool,
}

impl Exporter {
    pub(crate) fn new(
        settings: TraceSettings,
        parcels: Receiver<Parcel>,
        progress: Arc<Progress>,
    ) -> Exporter {
        Exporter { settings, parcels, progress, batch: Vec::new(), failing: false }
    }

    /// Sends until the tracer is gone, or until it is to end and nothing waits.
    pub(crate) fn run(mut self) {
        while self.collect() {
            self.export();
        }
        *self.progress.stage() = Stage::Ended;
        self.progress.changed.notify_all();
    }

    /// Fills a batch. False when there is none and will be none.
    fn collect(&mut self) -> bool {
        let mut until: Option<Instant> = None;
        while self.batch.len() < BATCH {
            let next = match (self.progress.ends_by(), until) {
                (Some(_), _) => self.parcels.try_recv().map_err(|_| RecvTimeoutError::Disconnected),
                (None, None) => self.parcels.recv().map_err(|_| RecvTimeoutError::Disconnected),
                (None, Some(until)) => {
                    self.parcels.recv_timeout(until.saturating_duration_since(Instant::now()))
                }
            };
            match next {
                Ok(Parcel::Span(span)) => {
                    until = until.or_else(|| Instant::now().checked_add(DELAY));
                    self.batch.push(*span);
                }
                Ok(Parcel::Wake) => {}
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        !self.batch.is_empty()
    }

    fn export(&mut self) {
        let (resource, batch) = (&self.settings.resource, &self.batch);
        let body = match self.settings.encoding {
            Encoding::Json => json::encode(resource, batch),
            Encoding::Protobuf => protobuf::encode(resource, batch),
        };
        let count = self.batch.len();
        match self.send(&body) {
            Ok(()) => {
                self.progress.exported.fetch_add(count as u64, Ordering::Relaxed);
                if self.failing {
                    tracing::info!("the collector takes spans again");
                }
                self.failing = false;
            }
            Err(fault) => {
                self.progress.drop_spans(count);
                if !self.failing {
                    tracing::warn!("the collector takes no spans, dropping them: {fault}");
                }
                self.failing = true;
            }
        }
        self.batch.clear();
    }

    fn send(&self, body: &[u8]) -> Result<(), String> {
        let mut rest = REST;
        let mut fault = String::new();
        for attempt in 0..TRIES {
            if attempt > 0 {
                self.progress.pause(rest);
                rest = rest.saturating_mul(2);
                // At the end there is one try for each batch, so that all of them get one.
                if self.progress.ends_by().is_some() {
                    break;
                }
            }
            let within = match self.progress.ends_by() {
                Some(end) => end.saturating_duration_since(Instant::now()).min(self.settings.timeout),
                None => self.settings.timeout,
            };
            if within.is_zero() {
                break;
            }
            match post(&self.settings, body, within) {
                Ok(200..=299) => return Ok(()),
                Ok(status @ (429 | 502 | 503 | 504)) => fault = format!("status {status}"),
                Ok(status) => return Err(format!("status {status}")),
                Err(error) => fault = error.to_string(),
            }
        }
        Err(fault)
    }
}
