//! Spans of sampled traces, sent to an OpenTelemetry collector by OTLP over HTTP.
//!
//! Takes exchanges that are over; gives a server span for each and a client span for the service that was asked.
//! Switched on and set by the standard `OTEL_*` variables alone; without them nothing is spent. Must never wait for
//! the collector: spans go over a bounded queue to one thread, and what finds no place there is dropped and counted.

mod exporter;
mod json;
mod post;
mod protobuf;
mod settings;
mod span;

use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

use exporter::{Exporter, Parcel, Progress};
use settings::Sampler;
pub use settings::TraceSettings;

use super::Labels;
use super::redact::Redaction;
use crate::exchange::{Exchange, Trace};

/// Spans that wait for the exporter (the default of `OTEL_BSP_MAX_QUEUE_SIZE`); with the bounds on their values at
/// most about 16 MiB.
const QUEUE: usize = 2048;

/// The sampler, and the way to the exporter.
pub struct Tracer {
    sampler: Sampler,
    redaction: Redaction,
    queue: SyncSender<Parcel>,
    progress: Arc<Progress>,
}

impl Tracer {
    /// A tracer as the environment wants it; `None` when it wants none. What is wrong there is told in the log of
    /// the process and switches tracing off, because telemetry must not keep a gateway from starting.
    pub fn from_environment(
        environment: impl Fn(&str) -> Option<String>,
        redaction: Redaction,
    ) -> Option<Arc<Tracer>> {
        let started = TraceSettings::from_environment(environment).and_then(|settings| {
            settings
                .map(|settings| Tracer::start(settings, redaction))
                .transpose()
                .map_err(|error| error.to_string())
        });
        match started {
            Ok(tracer) => tracer,
            Err(fault) => {
                tracing::warn!("tracing is off: {fault}");
                None
            }
        }
    }

    /// Starts the exporter.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn start(settings: TraceSettings, redaction: Redaction) -> std::io::Result<Arc<Tracer>> {
        let (queue, parcels) = sync_channel(QUEUE);
        let (sampler, progress) = (settings.sampler, Arc::new(Progress::default()));
        let exporter = Exporter::new(settings, parcels, progress.clone());
        std::thread::Builder::new().name("spans".to_owned()).spawn(move || exporter.run())?;
        Ok(Arc::new(Tracer { sampler, redaction, queue, progress }))
    }

    /// Decides whether a trace is sampled: by the caller's word, by its number, or always the same, as
    /// `OTEL_TRACES_SAMPLER` says.
    pub fn decide(&self, trace: &mut Trace) {
        trace.sampled = self.sampler.decide(trace);
    }

    /// Takes the spans of an exchange that is over. Only for sampled ones.
    pub fn finish(&self, exchange: &Exchange, labels: &Labels<'_>) {
        let spans = [
            Some(span::server(exchange, labels, &self.redaction)),
            span::client(exchange, labels, &self.redaction),
        ];
        for span in spans.into_iter().flatten() {
            if self.queue.try_send(Parcel::Span(Box::new(span))).is_err() {
                self.progress.drop_spans(1);
            }
        }
    }

    /// Spans the collector took.
    pub fn exported(&self) -> u64 {
        self.progress.exported()
    }

    /// Spans that were dropped: the queue was full, or the collector did not take them.
    pub fn dropped(&self) -> u64 {
        self.progress.dropped()
    }

    /// Sends what waits and ends the exporter, within the time; false when it did not end in time.
    pub fn close(&self, within: Duration) -> bool {
        self.progress.ask_to_end(within);
        // A full queue needs no wake.
        _ = self.queue.try_send(Parcel::Wake);
        self.progress.await_end(within)
    }
}

#[cfg(test)]
mod tests;
