//! The decision record: what was decided about one exchange, when, and by whom.
//!
//! Written by the stages on the way, read by access log, metrics, traces and `explain`, which therefore cannot
//! disagree. Plain numbers and short lists; nothing here allocates unless something unusual happens.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use http1::Method;

use crate::fault::Fault;

/// Tries that are written down.
const MOST_ATTEMPTS: usize = 16;

/// What happened to one exchange.
pub struct Record {
    /// When the first byte of the request had been read, on the monotonic clock.
    pub started: Instant,
    /// The same moment on the wall clock.
    pub started_at: SystemTime,
    /// When the exchange last went on after it had waited: for the rest of its head, or for a policy. What is decided by the
    /// time of the decision goes by this, which costs no look at a clock.
    pub resumed: Instant,
    /// The method as received (policies may change the head's).
    pub method: Method,
    /// Which route took the request, by its place in the snapshot.
    pub route: Option<u32>,
    /// The service that was asked, by its place in the snapshot.
    pub service: Option<u32>,
    /// The endpoint that was asked last.
    pub endpoint: Option<SocketAddr>,
    /// The target as sent to the service.
    pub target: Vec<u8>,
    /// How often an endpoint was asked.
    pub tries: u32,
    /// The tries that failed, in order, and targets that were passed over because of their circuits; as far as they are kept.
    pub attempts: Vec<Attempt>,
    /// Whether the last try went over a connection that had been used before.
    pub reused: bool,
    /// When the request was handed to the service, from `started`.
    pub sent: Option<Duration>,
    /// When the head of the service's answer was there, from `started`.
    pub answered: Option<Duration>,
    /// When the exchange was over, from `started`.
    pub finished: Duration,
    /// Status of the service's answer, whatever the client got; 0 for none.
    pub service_status: u16,
    /// What a cache had to do with the answer: `hit`, `stale`, `revalidated`, `miss`, `bypass`; empty where there is none.
    pub cache: &'static str,
    /// Status the client got; 0 when it got none.
    pub status: u16,
    /// The status of a call of gRPC, where one was told.
    pub grpc_status: Option<u16>,
    /// Bytes of the request's body.
    pub bytes_in: u64,
    /// Bytes of the answer's body as sent.
    pub bytes_out: u64,
    /// Why this service of several was asked: `preferred`, `sticky`, `drawn`; empty where there is one.
    pub split: &'static str,
    /// What the client got in place of the service's answer: `standby`, `last-good`, `answer`; empty for that answer itself.
    pub degraded: &'static str,
    /// The steps that were tried in place of the service, and what came of each.
    pub fallback: Vec<(Arc<str>, &'static str)>,
    /// The parts of an aggregate, in the order of the file, and what came of each.
    pub parts: Vec<PartTold>,
    /// The word for why the gateway answered itself; empty when the service's answer was passed on.
    pub reason: &'static str,
    /// The policy that answered, if one did.
    pub refused_by: Option<&'static str>,
    /// What is known about a refusal and is not told to the client; empty for nothing.
    pub why: Cow<'static, str>,
    /// How many of the route's policies have seen the request.
    pub policies_run: usize,
    /// Policies that would have refused but only watch (`mode: shadow`), with their reasons.
    pub shadowed: Vec<(&'static str, &'static str)>,
    /// The fault that ended the exchange, if one did.
    pub fault: Option<Fault>,
    /// Whether the service keeps its connection open after this answer.
    pub connection_stays: bool,
    /// Whether the connection was switched to another protocol (101).
    pub upgraded: bool,
}

/// A try that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// The service that was asked, by its place in the snapshot.
    pub service: u32,
    /// The endpoint that was asked.
    pub endpoint: SocketAddr,
    /// The stable word for what happened.
    pub outcome: &'static str,
    /// The status of its answer; 0 for none.
    pub status: u16,
}

impl Attempt {
    /// Stands for a target that was not asked because its circuit was open.
    pub const OPEN: &'static str = "circuit_open";
    /// The same for one that got no more than trials.
    pub const HALF_OPEN: &'static str = "circuit_half_open";
    /// A try that was given up because another target had answered.
    pub const OUTPACED: &'static str = "outpaced";

    /// The state of its circuit, where it stands for that and no try was made.
    pub fn circuit(&self) -> Option<&'static str> {
        match self.outcome {
            Attempt::OPEN => Some("open"),
            Attempt::HALF_OPEN => Some("half_open"),
            _ => None,
        }
    }
}

/// What came of one part of an aggregate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartTold {
    /// Its name.
    pub name: Arc<str>,
    /// `ok`, or the stable word for why it failed; `canceled` for one that nobody waited for any more, `not_asked` for one
    /// that never started.
    pub outcome: &'static str,
    /// The status of its answer; 0 for none.
    pub status: u16,
    /// Requests that it took.
    pub requests: u32,
    /// How long it took.
    pub took: Duration,
}

impl PartTold {
    /// The word for a part that answered.
    pub const OK: &'static str = "ok";

    /// Whether it answered, all of it.
    pub fn is_ok(&self) -> bool {
        self.outcome == PartTold::OK
    }
}

impl Default for Record {
    fn default() -> Self {
        Record::at(Instant::now(), SystemTime::now(), Vec::new())
    }
}

impl Record {
    /// An empty record of an exchange that started then; `target` is memory to use again.
    fn at(started: Instant, started_at: SystemTime, target: Vec<u8>) -> Record {
        Record {
            started,
            started_at,
            resumed: started,
            method: Method::Get,
            route: None,
            service: None,
            endpoint: None,
            target,
            tries: 0,
            attempts: Vec::new(),
            reused: false,
            sent: None,
            answered: None,
            finished: Duration::ZERO,
            service_status: 0,
            cache: "",
            status: 0,
            grpc_status: None,
            bytes_in: 0,
            bytes_out: 0,
            split: "",
            degraded: "",
            fallback: Vec::new(),
            parts: Vec::new(),
            reason: "",
            refused_by: None,
            why: Cow::Borrowed(""),
            policies_run: 0,
            shadowed: Vec::new(),
            fault: None,
            connection_stays: false,
            upgraded: false,
        }
    }

    /// Begins at this moment of both clocks.
    pub fn begin(&mut self, now: Instant, wall: SystemTime) {
        (self.started, self.started_at, self.resumed) = (now, wall, now);
    }

    /// Forgets everything but the time, which costs a look at the clock to know.
    pub fn clear(&mut self) {
        let mut target = std::mem::take(&mut self.target);
        target.clear();
        *self = Record::at(self.started, self.started_at, target);
    }

    /// Whether something that belongs into the answer is missing in it, or has been replaced.
    pub fn is_partial(&self) -> bool {
        self.parts.iter().any(|part| !part.is_ok())
    }

    /// Writes down a try that failed.
    pub fn failed(&mut self, attempt: Attempt) {
        if self.attempts.len() < MOST_ATTEMPTS {
            self.attempts.push(attempt);
        }
    }

    /// Time since the exchange started.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }
}
