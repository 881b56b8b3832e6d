//! Handshakes of one listener by how they ended, and what became of its certificates. Shared by all workers.

use std::sync::atomic::{AtomicU64, Ordering};

/// How a handshake ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// TLS 1.3 with keys of its own.
    Full13,
    /// TLS 1.3 with a ticket of an earlier connection.
    Resumed13,
    /// TLS 1.2 with keys of its own.
    Full12,
    /// TLS 1.2 with a ticket of an earlier connection.
    Resumed12,
    /// It took too long.
    Timeout,
    /// The client went away.
    Gone,
    /// The client spoke HTTP in clear.
    PlainHttp,
    /// The client sent more than any handshake needs.
    TooLong,
    /// The client showed no certificate where one is required.
    NoCertificate,
    /// The client's certificate is not believed.
    BadCertificate,
    /// No version, cipher, protocol or certificate that both sides take.
    Incompatible,
    /// The client said that it refuses: it does not believe the certificate, most often.
    Refused,
    /// What the client sent breaks the rules of TLS.
    Broken,
}

impl Outcome {
    /// All outcomes with the labels `result` and `version`.
    pub const ALL: [(Outcome, &'static str, &'static str); 13] = [
        (Outcome::Full13, "full", "1.3"),
        (Outcome::Resumed13, "resumed", "1.3"),
        (Outcome::Full12, "full", "1.2"),
        (Outcome::Resumed12, "resumed", "1.2"),
        (Outcome::Timeout, "timeout", ""),
        (Outcome::Gone, "client_gone", ""),
        (Outcome::PlainHttp, "plain_http", ""),
        (Outcome::TooLong, "too_long", ""),
        (Outcome::NoCertificate, "no_client_certificate", ""),
        (Outcome::BadCertificate, "bad_client_certificate", ""),
        (Outcome::Incompatible, "incompatible", ""),
        (Outcome::Refused, "refused_by_client", ""),
        (Outcome::Broken, "protocol_error", ""),
    ];
}

/// The counters of a listener's TLS; they outlive its reloads.
#[derive(Default)]
pub struct Handshakes {
    outcomes: [AtomicU64; Outcome::ALL.len()],
    /// Handshakes under way.
    pub active: AtomicU64,
    /// Certificates taken over while running.
    pub swapped: AtomicU64,
    /// Certificates that were given and could not be used: the ones before stay.
    pub refused: AtomicU64,
}

impl Handshakes {
    /// Counts a handshake that is over.
    pub fn count(&self, outcome: Outcome) {
        if let Some(counter) = self.outcomes.get(outcome as usize) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many ended so.
    pub fn read(&self, outcome: Outcome) -> u64 {
        self.outcomes.get(outcome as usize).map_or(0, |counter| counter.load(Ordering::Relaxed))
    }

    /// A handshake begins: it counts as under way until the value is dropped.
    pub fn begin(&self) -> Active<'_> {
        self.active.fetch_add(1, Ordering::Relaxed);
        Active(self)
    }
}

/// A handshake under way.
pub struct Active<'a>(&'a Handshakes);

impl Drop for Active<'_> {
    fn drop(&mut self) {
        self.0.active.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_has_its_own_counter() {
        let handshakes = Handshakes::default();
        for (place, (outcome, ..)) in Outcome::ALL.into_iter().enumerate() {
            assert_eq!(outcome as usize, place);
            handshakes.count(outcome);
            assert_eq!(handshakes.read(outcome), 1);
        }
        drop(handshakes.begin());
        assert_eq!(handshakes.active.load(Ordering::Relaxed), 0);
    }
}
