//! Single exchanges that are worth a look: every failure, every slow one, and one in so many of the rest.
//!
//! Takes finished exchanges; a worker writes those it picks as JSON lines into a buffer of its own and hands it over by
//! a bounded queue, whoever asks takes them out into bounded rings, one for each reason, so that a flood of one kind
//! does not hide the others. What finds no room is dropped and counted. Must never wait, and never show a secret: a
//! sample is the line of the access log, masked and cut as that is, and the decisions and times behind it.

pub mod filter;

use std::collections::VecDeque;
use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;

use super::line::{LineFormat, LineWriter};
use super::metrics::RouteShard;
use super::redact::Redaction;
use super::{Figure, Labels, status_of};
use crate::exchange::Exchange;
use crate::fault::Blame;
use filter::Filter;

/// Of exchanges that neither failed nor were slow, one in so many is taken.
const ONE_IN: u32 = 128;
/// Samples that a worker takes between two hand-overs, 50 ms apart.
const MOST_AT_ONCE: usize = 32;
/// Buffers that wait, for each worker.
const QUEUE: usize = 32;
/// Samples kept for each reason.
const KEPT: usize = 1_000;
/// Bytes kept for each reason.
const KEPT_BYTES: usize = 2 * 1024 * 1024;

/// Why an exchange was taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Why {
    Error,
    Slow,
    Chance,
}

impl Why {
    fn word(self) -> &'static str {
        match self {
            Why::Error => "error",
            Why::Slow => "slow",
            Why::Chance => "chance",
        }
    }
}

type Batch = Vec<(Why, Vec<u8>)>;

/// What all workers hand over, and what is kept of it.
pub struct Samples {
    queue: SyncSender<Batch>,
    kept: Mutex<Kept>,
    dropped: AtomicU64,
    redaction: Arc<Redaction>,
}

struct Kept {
    arriving: Receiver<Batch>,
    last: u64,
    rings: [Ring; 3],
}

#[derive(Default)]
struct Ring {
    samples: VecDeque<(u64, Box<str>)>,
    bytes: usize,
}

/// Samples in the order they came.
pub struct Found {
    /// The number of the last sample that was looked at: what is asked for next comes after it.
    pub last: u64,
    /// Number and content of each.
    pub samples: Vec<(u64, Value)>,
}

impl Samples {
    /// For so many workers, without these secrets.
    pub fn new(workers: usize, redaction: Redaction) -> Arc<Samples> {
        let (queue, arriving) = sync_channel(workers.saturating_mul(QUEUE).max(1));
        let kept = Kept { arriving, last: 0, rings: Default::default() };
        Arc::new(Samples {
            queue,
            kept: Mutex::new(kept),
            dropped: AtomicU64::new(0),
            redaction: Arc::new(redaction),
        })
    }

    /// A worker's own part.
    pub(super) fn sampler(self: &Arc<Self>) -> Sampler {
        let writer = LineWriter::new(LineFormat::Json, self.redaction.clone());
        Sampler { shared: self.clone(), writer, batch: Vec::new(), left: 1 }
    }

    /// Samples that were to be taken and found no room.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// The same, for the metrics page.
    pub fn figure(&self) -> Figure {
        let help = "Requests that were to be kept as samples and found no room.";
        Figure { name: "tidegate_samples_dropped", help, counts: true, value: self.dropped() }
    }

    /// Takes out what has arrived. To be called often enough that the queue does not fill.
    pub fn collect(&self) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).collect();
    }

    /// The samples after this number that pass the filter: the last `most` of them.
    pub fn find(&self, after: u64, filter: &Filter, most: usize) -> Found {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.collect();
        let newer = kept.rings.iter().flat_map(|ring| &ring.samples).filter(|(number, _)| *number > after);
        let mut texts: Vec<(u64, Box<str>)> = newer.cloned().collect();
        let last = kept.last;
        // Reading them is left for when nobody waits for the lock.
        drop(kept);
        texts.sort_unstable_by_key(|(number, _)| std::cmp::Reverse(*number));
        let read =
            texts.iter().filter_map(|(number, text)| Some((*number, serde_json::from_str(text).ok()?)));
        let mut samples: Vec<(u64, Value)> =
            read.filter(|(_, sample)| filter.passes(sample)).take(most).collect();
        samples.reverse();
        Found { last, samples }
    }
}

impl Kept {
    fn collect(&mut self) {
        while let Ok(batch) = self.arriving.try_recv() {
            for (why, line) in batch {
                self.last = self.last.saturating_add(1);
                let Ok(text) = String::from_utf8(line) else { continue };
                if let Some(ring) = self.rings.get_mut(why as usize) {
                    ring.push(self.last, text.into_boxed_str());
                }
            }
        }
    }
}

impl Ring {
    fn push(&mut self, number: u64, text: Box<str>) {
        self.bytes = self.bytes.saturating_add(text.len());
        self.samples.push_back((number, text));
        while self.samples.len() > KEPT || self.bytes > KEPT_BYTES {
            let Some((_, gone)) = self.samples.pop_front() else { return };
            self.bytes = self.bytes.saturating_sub(gone.len());
        }
    }
}

/// Picks exchanges for a worker. Not for use by another thread.
pub(super) struct Sampler {
    shared: Arc<Samples>,
    writer: LineWriter,
    batch: Batch,
    /// Exchanges until one is taken by chance.
    left: u32,
}

impl Sampler {
    /// Looks at an exchange that is over.
    pub(super) fn look(&mut self, exchange: &Exchange, labels: &Labels<'_>, counted: Option<&RouteShard>) {
        self.left = self.left.saturating_sub(1);
        let Some(why) = self.why(exchange, counted) else { return };
        if self.batch.len() >= MOST_AT_ONCE {
            self.shared.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let mut line = Vec::with_capacity(768);
        self.writer.write_json(&mut line, exchange, labels);
        decisions(&mut line, exchange, why);
        self.batch.push((why, line));
    }

    fn why(&mut self, exchange: &Exchange, counted: Option<&RouteShard>) -> Option<Why> {
        let record = &exchange.record;
        let failed = record.fault.as_ref().is_some_and(|fault| fault.facts().blame != Blame::Client);
        if failed || status_of(exchange) >= 500 {
            return Some(Why::Error);
        }
        if counted.is_some_and(|counted| counted.is_slow(record.finished)) {
            return Some(Why::Slow);
        }
        if self.left > 0 {
            return None;
        }
        self.left = ONE_IN;
        Some(Why::Chance)
    }

    /// Hands over what was taken.
    pub(super) fn flush(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        let batch = std::mem::take(&mut self.batch);
        if let Err(TrySendError::Full(batch) | TrySendError::Disconnected(batch)) =
            self.shared.queue.try_send(batch)
        {
            self.shared.dropped.fetch_add(batch.len() as u64, Ordering::Relaxed);
        }
    }
}

/// Opens the object of a line again and adds why it was taken, and what the log does not say.
fn decisions(line: &mut Vec<u8>, exchange: &Exchange, why: Why) {
    line.truncate(line.len().saturating_sub(b"}\n".len()));
    let record = &exchange.record;
    // Writing into memory does not fail.
    let _ = write!(line, ",\"sampled\":\"{}\",\"policies_run\":{}", why.word(), record.policies_run);
    let mut time = |name: &str, at: Option<Duration>| {
        if let Some(at) = at {
            let _ = write!(line, ",\"{name}\":{:.3}", at.as_secs_f64() * 1000.0);
        }
    };
    time("sent_at_ms", record.sent);
    time("answered_at_ms", record.answered);
    if record.endpoint.is_some() {
        let _ = write!(line, ",\"connection_reused\":{}", record.reused);
    }
    line.push(b'}');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Fault;

    const LABELS: Labels<'static> = Labels { route: "GET /a", service: "s", revision: 1, listener: "public" };

    fn exchange(status: u16) -> Exchange {
        let mut exchange = Exchange { query: b"token=SECRET&a=1".to_vec(), ..Exchange::default() };
        exchange.record.status = status;
        exchange
    }

    fn found(samples: &Samples, filter: &str) -> Vec<Value> {
        let found = samples.find(0, &filter.parse().unwrap(), 10_000);
        found.samples.into_iter().map(|(_, sample)| sample).collect()
    }

    #[test]
    fn failures_are_taken_and_the_rest_by_chance() {
        let samples = Samples::new(1, Redaction::default());
        let mut sampler = samples.sampler();
        for nth in 0..ONE_IN * 3 {
            let mut exchange = exchange(if nth % 100 == 50 { 503 } else { 200 });
            exchange.record.fault = (nth == 77).then_some(Fault::NoAnswer);
            sampler.look(&exchange, &LABELS, None);
            sampler.flush();
        }
        let taken = |why: &str| found(&samples, &format!("why:{why}")).len();
        assert_eq!((taken("error"), taken("chance"), taken("slow"), samples.dropped()), (5, 3, 0, 0));
        let sample = found(&samples, "status:503").remove(0);
        assert_eq!((&sample["route"], &sample["query"]), (&"GET /a".into(), &"token=***&a=1".into()));
    }

    #[test]
    fn a_flood_is_bounded_and_counted() {
        let samples = Samples::new(1, Redaction::default());
        let mut sampler = samples.sampler();
        (0..MOST_AT_ONCE + 5).for_each(|_| sampler.look(&exchange(500), &LABELS, None));
        assert_eq!(samples.dropped(), 5);
        for _ in 0..QUEUE + 2 {
            sampler.look(&exchange(500), &LABELS, None);
            sampler.flush();
        }
        // The first of these went with the full batch; the last two found the queue full.
        assert_eq!(samples.dropped(), 5 + 1 + 2);
        for _ in 0..KEPT + 100 {
            sampler.look(&exchange(500), &LABELS, None);
            sampler.flush();
            samples.collect();
        }
        assert_eq!(found(&samples, "").len(), KEPT);
    }

    #[test]
    fn who_asks_again_gets_what_is_new() {
        let samples = Samples::new(1, Redaction::default());
        let mut sampler = samples.sampler();
        let mut take = |status| {
            sampler.look(&exchange(status), &LABELS, None);
            sampler.flush();
        };
        (0..3).for_each(|_| take(500));
        let all = Filter::default();
        let first = samples.find(0, &all, 2);
        assert_eq!((first.last, first.samples.len()), (3, 2));
        take(502);
        let next = samples.find(first.last, &all, 10);
        assert_eq!((next.last, next.samples.len(), &next.samples[0].1["status"]), (4, 1, &502.into()));
    }
}
