//! The access log: from the worker's own buffer over a bounded queue to one thread that writes.
//!
//! Takes finished lines; gives them to standard output, standard error or a file, in order for each worker. Must
//! never block a worker and never cut a line in two: what the writer does not keep up with is dropped by whole
//! buffers, and counted.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::line::{LineFormat, LineWriter, MOST_LINE};
use super::redact::Redaction;
use super::sink::{Sink, Writer};

/// A buffer of this size is handed over.
const FULL: usize = 64 * 1024;
/// Buffers that wait for the writer: with [`FULL`] 16 MiB, or some 40,000 lines.
const QUEUE: u64 = 256;
/// Buffers kept for reuse.
const SPARE: usize = 16;

/// Where the log goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogTarget {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// This file, to whose end lines are added; made with mode 0640 if it is not there.
    File(PathBuf),
    /// Nowhere.
    Off,
}

/// How the access log is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// Where it goes.
    pub target: LogTarget,
    /// How a line looks.
    pub format: LineFormat,
    /// Further names of query parameters that are secrets.
    pub redact: Vec<String>,
}

/// The access log. Dropping it ends the writer when it has written what waits.
pub struct AccessLog {
    settings: LogSettings,
    redaction: Arc<Redaction>,
    queue: SyncSender<Parcel>,
    shared: Arc<LogCounters>,
    /// Says that the writer has ended, by being disconnected.
    ended: Mutex<Receiver<()>>,
}

/// What goes over the queue.
pub(crate) enum Parcel {
    /// Whole lines, and how many.
    Lines(Vec<u8>, u32),
    /// Look at the flags.
    Wake,
}

/// What workers and writer share.
#[derive(Default)]
pub(crate) struct LogCounters {
    /// Lines that never reached the sink.
    pub(crate) dropped: AtomicU64,
    /// Lines that reached it.
    pub(crate) written: AtomicU64,
    /// Attempts to write or open that failed.
    pub(crate) failures: AtomicU64,
    /// Buffers in the queue.
    pub(crate) waiting: AtomicU64,
    /// The file is to be opened anew.
    pub(crate) reopen: AtomicBool,
    /// When the writer is to end at the latest, once it is to end.
    pub(crate) end_by: Mutex<Option<Instant>>,
    /// Empty buffers.
    pub(crate) spare: Mutex<Vec<Vec<u8>>>,
}

impl LogCounters {
    /// When to end, if so.
    pub(crate) fn ends_by(&self) -> Option<Instant> {
        *self.end_by.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a buffer for reuse.
    pub(crate) fn give_back(&self, mut buffer: Vec<u8>) {
        buffer.clear();
        if let Ok(mut spare) = self.spare.try_lock()
            && spare.len() < SPARE
        {
            spare.push(buffer);
        }
    }

    fn buffer(&self) -> Vec<u8> {
        let spare = self.spare.try_lock().ok().and_then(|mut spare| spare.pop());
        spare.unwrap_or_else(|| Vec::with_capacity(FULL.saturating_add(MOST_LINE)))
    }
}

impl AccessLog {
    /// Opens the sink and starts the writer; `None` when the log is off.
    ///
    /// # Errors
    /// The file cannot be opened, or the thread cannot be started.
    pub fn open(settings: LogSettings) -> io::Result<Option<Arc<AccessLog>>> {
        let Some(sink) = Sink::open(&settings.target)? else { return Ok(None) };
        let shared = Arc::new(LogCounters::default());
        let (queue, parcels) = sync_channel(usize::try_from(QUEUE).unwrap_or(usize::MAX));
        let (ending, ended) = sync_channel(0);
        let writer = Writer::new(sink, parcels, shared.clone(), ending);
        std::thread::Builder::new().name("access-log".to_owned()).spawn(move || writer.run())?;
        let redaction = Arc::new(Redaction::new(settings.redact.iter().map(String::as_str)));
        Ok(Some(Arc::new(AccessLog { settings, redaction, queue, shared, ended: Mutex::new(ended) })))
    }

    /// A worker's own buffer.
    pub fn lines(&self) -> LogLines {
        LogLines { queue: self.queue.clone(), shared: self.shared.clone(), buffer: Vec::new(), count: 0 }
    }

    /// A worker's own writer of lines, in the format of the settings.
    pub fn writer(&self) -> LineWriter {
        LineWriter::new(self.settings.format, self.redaction.clone())
    }

    /// The names that are secrets.
    pub fn redaction(&self) -> &Arc<Redaction> {
        &self.redaction
    }

    /// Lines that were given and never reached the sink.
    pub fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }

    /// Lines that reached the sink.
    pub fn written(&self) -> u64 {
        self.shared.written.load(Ordering::Relaxed)
    }

    /// Attempts to write to the sink, or to open it anew, that failed.
    pub fn failures(&self) -> u64 {
        self.shared.failures.load(Ordering::Relaxed)
    }

    /// Opens the file anew before the next line: the old one was moved away. Does not wait for it.
    pub fn reopen(&self) {
        self.shared.reopen.store(true, Ordering::Release);
        // A full queue needs no wake: the writer looks at the flag between two buffers.
        _ = self.queue.try_send(Parcel::Wake);
    }

    /// Writes what waits and ends the writer, within the time; false when lines had to be dropped, or when a write
    /// hangs. What workers still hold is not in it: they flush before.
    pub fn close(&self, within: Duration) -> bool {
        let now = Instant::now();
        let end_by = now.checked_add(within).unwrap_or(now);
        self.shared.end_by.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(end_by);
        _ = self.queue.try_send(Parcel::Wake);
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        // The writer never sends: the end of the wait is the end of the writer, or of the patience.
        let in_time = ended.recv_timeout(within) == Err(std::sync::mpsc::RecvTimeoutError::Disconnected);
        in_time && self.shared.waiting.load(Ordering::Acquire) == 0
    }
}

/// A worker's lines that are not handed over yet.
pub struct LogLines {
    queue: SyncSender<Parcel>,
    shared: Arc<LogCounters>,
    buffer: Vec<u8>,
    count: u32,
}

impl LogLines {
    /// Adds what `write` appends, which is one line with its end. A line longer than 8 KiB is dropped.
    pub fn push(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        if self.buffer.capacity() == 0 {
            self.buffer = self.shared.buffer();
        }
        let before = self.buffer.len();
        write(&mut self.buffer);
        if self.buffer.len().saturating_sub(before) > MOST_LINE {
            self.buffer.truncate(before);
            self.shared.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        self.count = self.count.saturating_add(1);
        if self.buffer.len() >= FULL {
            self.hand_over();
        }
    }

    /// Hands over what has been collected. While the writer is behind, small buffers would fill the queue with
    /// little: then only full ones go.
    pub fn flush(&mut self) {
        if !self.buffer.is_empty() && self.shared.waiting.load(Ordering::Relaxed) < QUEUE / 8 {
            self.hand_over();
        }
    }

    fn hand_over(&mut self) {
        let (buffer, count) = (std::mem::take(&mut self.buffer), std::mem::take(&mut self.count));
        if buffer.is_empty() {
            return;
        }
        self.shared.waiting.fetch_add(1, Ordering::Relaxed);
        if let Err(refused) = self.queue.try_send(Parcel::Lines(buffer, count)) {
            self.shared.waiting.fetch_sub(1, Ordering::Relaxed);
            self.shared.dropped.fetch_add(u64::from(count), Ordering::Relaxed);
            if let TrySendError::Full(Parcel::Lines(mut buffer, _)) = refused {
                buffer.clear();
                self.buffer = buffer;
            }
        }
    }
}

impl Drop for LogLines {
    fn drop(&mut self) {
        self.hand_over();
    }
}

#[cfg(test)]
mod tests;
