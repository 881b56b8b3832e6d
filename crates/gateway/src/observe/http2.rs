//! HTTP/2 of one listener: connections, streams that came to nothing, and how connections were ended for their
//! clients' misuse. Shared by all workers, outlives reloads.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::http::http2::budget::Misuse;
use crate::http::http2::wire::Seen;

/// The counters of a listener.
#[derive(Default)]
pub struct Http2Counts {
    /// Connections begun.
    pub begun: AtomicU64,
    /// Connections open now.
    pub active: AtomicU64,
    /// RST_STREAM frames of clients.
    pub resets_received: AtomicU64,
    /// RST_STREAM frames of the gateway.
    pub resets_sent: AtomicU64,
    /// Streams that clients opened and that came to no request.
    pub unserved: AtomicU64,
    misuses: [AtomicU64; Misuse::ALL.len()],
}

impl Http2Counts {
    /// A connection begins: it counts as open until the value is dropped.
    pub fn begin(&self) -> Active<'_> {
        self.begun.fetch_add(1, Ordering::Relaxed);
        self.active.fetch_add(1, Ordering::Relaxed);
        Active(self)
    }

    /// Counts what was seen on a connection since the last time.
    pub fn add(&self, seen: Seen) {
        self.resets_received.fetch_add(seen.resets_received.into(), Ordering::Relaxed);
        self.resets_sent.fetch_add(seen.resets_sent.into(), Ordering::Relaxed);
    }

    /// Counts a connection that was ended for this.
    pub fn end(&self, misuse: Misuse) {
        if let Some(counter) = self.misuses.get(misuse as usize) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Connections that were ended for this.
    pub fn ended(&self, misuse: Misuse) -> u64 {
        self.misuses.get(misuse as usize).map_or(0, |counter| counter.load(Ordering::Relaxed))
    }
}

/// An open connection.
pub struct Active<'a>(&'a Http2Counts);

impl Drop for Active<'_> {
    fn drop(&mut self) {
        self.0.active.fetch_sub(1, Ordering::Relaxed);
    }
}
