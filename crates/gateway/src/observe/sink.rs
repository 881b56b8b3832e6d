//! The thread that writes the access log.
//!
//! Takes buffers of whole lines and writes them one after another. A sink that fails is tried again and again, at
//! growing intervals; the line on which it failed is not lost, what comes meanwhile waits in the queue, and what
//! finds no place there is dropped by the workers. Must never end the process and never write half a line twice.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, SyncSender};
use std::time::{Duration, Instant};

use super::access_log::{LogCounters, LogTarget, Parcel};

/// First rest after a failure; doubles up to [`LONGEST_REST`].
const FIRST_REST: Duration = Duration::from_millis(20);
const LONGEST_REST: Duration = Duration::from_secs(1);

/// Where lines end up.
pub(crate) enum Sink {
    Stdout(io::Stdout),
    Stderr(io::Stderr),
    File(File, PathBuf),
}

impl Sink {
    /// Opens the sink; `None` for none.
    pub(crate) fn open(target: &LogTarget) -> io::Result<Option<Sink>> {
        Ok(match target {
            LogTarget::Stdout => Some(Sink::Stdout(io::stdout())),
            LogTarget::Stderr => Some(Sink::Stderr(io::stderr())),
            LogTarget::File(path) => Some(Sink::File(append(path)?, path.clone())),
            LogTarget::Off => None,
        })
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            // The standard library's buffer behind `Stdout` is passed by, or it would keep half a line back.
            Sink::Stdout(out) => rustix::io::write(out, bytes).map_err(io::Error::from),
            Sink::Stderr(out) => rustix::io::write(out, bytes).map_err(io::Error::from),
            Sink::File(file, _) => file.write(bytes),
        }
    }

    fn reopen(&mut self) -> io::Result<()> {
        if let Sink::File(file, path) = self {
            *file = append(path)?;
        }
        Ok(())
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o640).open(path)
}

/// The writer's side of the log.
pub(crate) struct Writer {
    sink: Sink,
    parcels: Receiver<Parcel>,
    shared: Arc<LogCounters>,
    /// Dropped with the writer, which tells whoever waits for the end.
    _ending: SyncSender<()>,
}

impl Writer {
    pub(crate) fn new(
        sink: Sink,
        parcels: Receiver<Parcel>,
        shared: Arc<LogCounters>,
        ending: SyncSender<()>,
    ) -> Writer {
        Writer { sink, parcels, shared, _ending: ending }
    }

    /// Writes until everybody who could send is gone, or until it is to end and nothing waits.
    pub(crate) fn run(mut self) {
        loop {
            self.reopen_if_asked();
            let ending = self.shared.ends_by().is_some();
            let next = if ending { self.parcels.try_recv().ok() } else { self.parcels.recv().ok() };
            match next {
                Some(Parcel::Lines(buffer, count)) => {
                    let written = self.write(&buffer);
                    let counter = if written { &self.shared.written } else { &self.shared.dropped };
                    counter.fetch_add(u64::from(count), Ordering::Relaxed);
                    self.shared.waiting.fetch_sub(1, Ordering::Release);
                    self.shared.give_back(buffer);
                }
                Some(Parcel::Wake) => {}
                None => return,
            }
        }
    }

    fn reopen_if_asked(&mut self) {
        if self.shared.reopen.swap(false, Ordering::AcqRel)
            && let Err(error) = self.sink.reopen()
        {
            self.shared.failures.fetch_add(1, Ordering::Relaxed);
            tracing::warn!("cannot open the access log anew, going on with the old file: {error}");
        }
    }

    /// Writes a whole buffer. False when it gave up, because it is to end.
    fn write(&mut self, buffer: &[u8]) -> bool {
        let (mut done, mut rest, mut failing) = (0, FIRST_REST, false);
        while let Some(left) = buffer.get(done..).filter(|left| !left.is_empty()) {
            let error = match self.sink.write(left) {
                Ok(0) => ErrorKind::WriteZero.into(),
                Ok(count) => {
                    done = done.saturating_add(count);
                    rest = FIRST_REST;
                    continue;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => error,
            };
            if error.kind() != ErrorKind::WouldBlock {
                self.shared.failures.fetch_add(1, Ordering::Relaxed);
                if !failing {
                    tracing::warn!("cannot write the access log, trying again: {error}");
                    failing = true;
                }
            }
            if self.shared.ends_by().is_some_and(|end| Instant::now() >= end) {
                return false;
            }
            std::thread::sleep(rest);
            rest = rest.saturating_mul(2).min(LONGEST_REST);
            if self.shared.reopen.load(Ordering::Acquire) {
                self.reopen_if_asked();
                // The line that was cut begins again in the new file.
                let before = buffer.get(..done).unwrap_or_default();
                done = memchr::memrchr(b'\n', before).map_or(0, |end| end.saturating_add(1));
            }
        }
        if failing {
            tracing::info!("the access log is written again");
        }
        true
    }
}
