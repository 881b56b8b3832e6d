//! What is told about exchanges: access log, metrics, traces.
//!
//! Takes a finished exchange with its decision record; gives a line of the log, counts, and spans where a trace is
//! sampled. All three read the same record and so cannot disagree. Must never block a worker: what cannot be taken
//! at once is dropped and counted.

pub mod access_log;
pub(crate) mod clock;
pub mod connections;
pub(crate) mod escape;
mod figure;
pub mod fill;
pub mod handshakes;
pub mod histogram;
pub mod http2;
pub mod line;
mod memo;
pub mod metrics;
mod openmetrics;
pub mod page;
mod process;
pub mod redact;
pub mod said;
pub mod samples;
mod sink;
mod tally;
pub mod telemetry;
pub mod totals;
pub mod trace;

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

pub use access_log::{AccessLog, LogSettings};
pub use connections::Connections;
pub use figure::Figure;
pub use metrics::{RouteShard, RouteStats};
pub use page::{PageInput, page};
pub use samples::Samples;
pub use totals::Totals;
pub use trace::Tracer;

use access_log::LogLines;
use line::LineWriter;
use samples::Sampler;
use totals::{Open, WorkerTotals};

use crate::exchange::{Exchange, Trace};

/// What the configuration calls the things an exchange met.
#[derive(Clone, Copy, Debug)]
pub struct Labels<'a> {
    /// The route's key; `none` where no route matched.
    pub route: &'a str,
    /// The service's name; empty where none was asked.
    pub service: &'a str,
    /// The revision of the configuration that decided.
    pub revision: u64,
    /// The listener's name.
    pub listener: &'a str,
}

/// What all workers tell into.
pub struct Shared {
    /// The access log, unless it is off.
    pub log: Option<Arc<AccessLog>>,
    /// Counters of the process.
    pub totals: Arc<Totals>,
    /// Where spans go, if tracing is on.
    pub tracer: Option<Arc<Tracer>>,
    /// Single exchanges that are kept, if there is anywhere to look at them.
    pub samples: Option<Arc<Samples>>,
}

impl Shared {
    /// Fresh counters for so many workers.
    pub fn new(
        workers: usize,
        log: Option<Arc<AccessLog>>,
        tracer: Option<Arc<Tracer>>,
        samples: Option<Arc<Samples>>,
    ) -> Arc<Shared> {
        Arc::new(Shared { log, totals: Totals::new(workers), tracer, samples })
    }

    /// Writes and sends what waits, no longer than this for each of log and traces. To be called when the workers
    /// have ended.
    pub fn close(&self, within: Duration) {
        if let Some(log) = &self.log {
            log.close(within);
        }
        if let Some(tracer) = &self.tracer {
            tracer.close(within);
        }
    }
}

/// A worker's own teller. Not for use by another thread than its worker's.
pub struct Observer {
    worker: usize,
    shared: Arc<Shared>,
    log: Option<RefCell<Log>>,
    sampler: Option<RefCell<Sampler>>,
}

struct Log {
    lines: LogLines,
    writer: LineWriter,
}

impl Observer {
    /// The teller of the worker with this number, counted from 0.
    pub fn new(worker: usize, shared: Arc<Shared>) -> Observer {
        let log =
            shared.log.as_ref().map(|log| RefCell::new(Log { lines: log.lines(), writer: log.writer() }));
        let sampler = shared.samples.as_ref().map(|samples| RefCell::new(samples.sampler()));
        Observer { worker, shared, log, sampler }
    }

    /// Decides whether the trace is sampled; without a tracer the caller's word stands.
    pub fn sample(&self, trace: &mut Trace) {
        if let Some(tracer) = &self.shared.tracer {
            tracer.decide(trace);
        }
    }

    /// An exchange begins: it counts as in flight until the value is dropped.
    pub fn begin(&self) -> Option<Open<'_>> {
        self.totals().map(WorkerTotals::exchange)
    }

    /// A connection becomes a tunnel: it counts as open until the value is dropped.
    pub fn tunnel(&self) -> Option<Open<'_>> {
        self.totals().map(WorkerTotals::tunnel)
    }

    /// Tells of an exchange that is over: [`crate::exchange::Record::finished`] has been set. `counted` is this
    /// worker's part of the route that took it, or of all exchanges that no route took. A rehearsal is not told of.
    pub fn finish(&self, exchange: &Exchange, labels: &Labels<'_>, counted: Option<&RouteShard>) {
        if exchange.rehearsal {
            return;
        }
        if let Some(shard) = counted {
            shard.record(exchange);
        }
        if let Some(totals) = self.totals() {
            totals.record(exchange);
        }
        if let Some(log) = &self.log {
            let Log { lines, writer } = &mut *log.borrow_mut();
            lines.push(|out| writer.write(out, exchange, labels));
        }
        if let Some(sampler) = &self.sampler {
            sampler.borrow_mut().look(exchange, labels, counted);
        }
        if exchange.trace.sampled
            && let Some(tracer) = &self.shared.tracer
        {
            tracer.finish(exchange, labels);
        }
    }

    /// Tells of a request that was made for a part of an answer: it counts and is traced, and has no line of its own.
    pub fn part(&self, exchange: &Exchange, labels: &Labels<'_>, counted: Option<&RouteShard>) {
        if let Some(shard) = counted {
            shard.record(exchange);
        }
        if exchange.trace.sampled
            && let Some(tracer) = &self.shared.tracer
        {
            tracer.finish(exchange, labels);
        }
    }

    /// Hands over what has been collected. To be called about every 50 ms, and once when the worker ends.
    pub fn tick(&self) {
        if let Some(log) = &self.log {
            log.borrow_mut().lines.flush();
        }
        if let Some(sampler) = &self.sampler {
            sampler.borrow_mut().flush();
        }
    }

    /// What all workers tell into.
    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    fn totals(&self) -> Option<&WorkerTotals> {
        self.shared.totals.worker(self.worker)
    }
}

/// The status of an exchange as logs, metrics and traces tell it: what the client got, else what it would have got,
/// else 499 (the client was gone before any answer).
pub(crate) fn status_of(exchange: &Exchange) -> u16 {
    match (exchange.record.status, &exchange.record.fault) {
        (0, Some(fault)) => fault.facts().status,
        (0, None) => 499,
        (status, _) => status,
    }
}

#[cfg(test)]
mod tests {
    use super::access_log::LogTarget;
    use super::line::LineFormat;
    use super::*;

    #[test]
    fn one_call_counts_and_logs_and_a_rehearsal_does_neither() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access.log");
        let target = LogTarget::File(path.clone());
        let log =
            AccessLog::open(LogSettings { target, format: LineFormat::Json, redact: vec!["no".into()] });
        let shared = Shared::new(1, log.unwrap(), None, None);
        let (observer, stats) = (Observer::new(0, shared.clone()), RouteStats::new(1));
        let labels = Labels { route: "GET /a", service: "s", revision: 1, listener: "public" };
        let mut exchange = Exchange { query: b"no=SECRET".to_vec(), ..Exchange::default() };
        observer.finish(&exchange, &labels, stats.shard(0).as_deref());
        exchange.rehearsal = true;
        observer.finish(&exchange, &labels, stats.shard(0).as_deref());
        observer.tick();
        shared.close(Duration::from_secs(60));
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!((text.lines().count(), stats.requests()), (1, 1));
        assert!(text.contains("\"query\":\"no=***\""), "{text}");
    }
}
