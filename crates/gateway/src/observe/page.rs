//! The metrics page.
//!
//! Takes the counters of process, routes and targets; gives OpenMetrics text. Bounded: at most
//! [`PageInput::most_series`] series whatever the configuration holds; routes for which there is no room count
//! together as `_OTHER`. Runs on the control side, never on a worker.

pub mod circuits;
pub mod fallback;
mod http2;
pub mod mirrors;
pub mod retries;
pub mod splits;
pub mod versions;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{SystemTime, UNIX_EPOCH};

use super::Shared;
use super::connections::{Connections, Refusal};
use super::figure::Figure;
use super::handshakes::{Handshakes, Outcome};
use super::histogram::Reading;
use super::metrics::{RouteReading, RouteStats};
pub use super::openmetrics::CONTENT_TYPE;
use super::openmetrics::{Exposition, HISTOGRAM_SERIES, Kind, seconds};
use super::process::Process;
use super::tally::OTHER;
use circuits::CircuitReading;
use fallback::FallbackReading;
use mirrors::MirrorReading;
use retries::{DoorReading, HedgeReading, RetryReading};
use splits::SplitReading;
use versions::VersionReading;

/// Series of a page unless something else is said.
pub const MOST_SERIES: usize = 10_000;
/// Certificates that are told of each by itself.
const MOST_CERTIFICATES: usize = 100;
/// Series kept for what is not counted by route or target.
const RESERVED: usize = 2600;

/// What a page tells of.
pub struct PageInput<'a> {
    /// Counters of the process, log and traces.
    pub shared: &'a Shared,
    /// All routes of the snapshot, and what no route took under the name `none`.
    pub routes: &'a [RouteEntry<'a>],
    /// All endpoints of all services.
    pub targets: &'a [TargetReading<'a>],
    /// All circuit breakers.
    pub circuits: &'a [CircuitReading<'a>],
    /// What was sent again to services.
    pub retries: &'a [RetryReading<'a>],
    /// What was hedged.
    pub hedges: &'a [HedgeReading<'a>],
    /// The doors of services.
    pub doors: &'a [DoorReading<'a>],
    /// What stood in for services that failed.
    pub fallback: &'a [FallbackReading<'a>],
    /// Who calls which version of an interface.
    pub versions: &'a [VersionReading<'a>],
    /// The services that share routes.
    pub splits: &'a [SplitReading<'a>],
    /// The copies of requests, by route.
    pub mirrors: &'a [MirrorReading<'a>],
    /// All listeners by name.
    pub listeners: &'a [(&'a str, &'a Connections)],
    /// TLS of all listeners that have it, by name.
    pub tls: &'a [SecuredReading<'a>],
    /// Numbers that policies tell.
    pub figures: &'a [Figure],
    /// Refused credentials: policy, reason, how often.
    pub auth_failures: &'a [(&'static str, &'static str, u64)],
    /// Most series of the page.
    pub most_series: usize,
}

/// One route.
pub struct RouteEntry<'a> {
    /// Its key.
    pub route: &'a str,
    /// The service it leads to; empty for none.
    pub service: &'a str,
    /// Its counters.
    pub stats: &'a Arc<RouteStats>,
}

/// What is told of one listener's TLS.
pub struct SecuredReading<'a> {
    /// The listener's name.
    pub listener: &'a str,
    /// Its counters.
    pub handshakes: &'a Handshakes,
    /// Its certificates: file, first name, and when each ends.
    pub certificates: Vec<(String, String, SystemTime)>,
}

/// What was counted of one endpoint, over all workers. Endpoints of one target count together.
#[derive(Clone, Default)]
pub struct TargetReading<'a> {
    /// The service's name.
    pub service: &'a str,
    /// The target as written: `users-a:8000`.
    pub target: &'a str,
    /// Time to the answer's head.
    pub answered: Reading,
    /// Tries that ended in a fault.
    pub faults: u64,
    /// Connections opened.
    pub connects: u64,
    /// Exchanges that wait for it now.
    pub in_flight: u64,
    /// How many of its endpoints are well.
    pub well: u64,
    /// How many were taken out by command.
    pub drained: u64,
    /// Times that one was taken out for what requests told.
    pub ejections: u64,
    /// Checks that were good, and that failed.
    pub checks: [u64; 2],
}

/// The page's text; its `Content-Type` is [`CONTENT_TYPE`].
pub fn page(input: &PageInput<'_>) -> String {
    let mut page = Exposition::default();
    let room = input.most_series.saturating_sub(RESERVED);
    let targets = Targets::gather(input.targets, room / 2);
    let routes = Routes::gather(input, room.saturating_sub(targets.series()));
    routes.write(&mut page);
    targets.write(&mut page);
    circuits::write(&mut page, input.circuits);
    retries::write(&mut page, input.retries);
    retries::write_hedges(&mut page, input.hedges);
    retries::write_doors(&mut page, input.doors);
    fallback::write(&mut page, input.fallback);
    versions::write(&mut page, input.versions);
    splits::write(&mut page, input.splits);
    mirrors::write(&mut page, input.mirrors);
    exchanges(&mut page, input.shared);
    connections(&mut page, input.listeners);
    http2::tell(&mut page, input.listeners);
    handshakes(&mut page, input.tls);
    configuration(&mut page, input.shared);
    telling(&mut page, input.shared);
    process(&mut page, input.shared);
    let help = "Credentials that were refused, by the policy that asked for them and the reason.";
    page.family("tidegate_auth_failures", Kind::Counter, "", help);
    for (policy, reason, count) in input.auth_failures {
        page.counter(&[("policy", policy), ("reason", reason)], *count);
    }
    for figure in input.figures {
        let kind = if figure.counts { Kind::Counter } else { Kind::Gauge };
        page.family(figure.name, kind, "", figure.help);
        if figure.counts { page.counter(&[], figure.value) } else { page.gauge(&[], figure.value) }
    }
    page.family("tidegate_metrics_series", Kind::Gauge, "", "Series on this page, without the last two.");
    let count = page.len();
    page.gauge(&[], count);
    let help = "Series that found no room on this page: their routes or targets count as _OTHER.";
    page.family("tidegate_metrics_series_dropped", Kind::Gauge, "", help);
    page.gauge(&[], routes.dropped.saturating_add(targets.dropped));
    page.end()
}

/// Routes as the page tells them.
struct Routes<'a> {
    told: Vec<(&'a str, &'a str, RouteReading)>,
    dropped: usize,
}

impl<'a> Routes<'a> {
    fn gather(input: &PageInput<'a>, room: usize) -> Routes<'a> {
        let used = input.routes.iter().filter_map(|entry| Some((entry.stats.order()?, entry)));
        let mut used: Vec<_> = used.collect();
        // The oldest stay, so that a counter that was told goes on being told.
        used.sort_by_key(|(order, _)| *order);
        let (mut told, mut other) = (Vec::new(), RouteReading::default());
        let (mut series, mut dropped, mut others) = (0_usize, 0_usize, 0_usize);
        for (_, entry) in used {
            let mut reading = RouteReading::default();
            entry.stats.read(&mut reading);
            let more = reading.series();
            // Room is left for the one that stands for all others.
            if series.saturating_add(more).saturating_add(RouteReading::MOST_SERIES) > room {
                entry.stats.read(&mut other);
                (dropped, others) = (dropped.saturating_add(more), others.saturating_add(1));
            } else {
                series = series.saturating_add(more);
                told.push((entry.route, entry.service, reading));
            }
        }
        if others > 0 {
            told.push((OTHER, OTHER, other.bounded()));
        }
        Routes { told, dropped }
    }

    fn write(&self, page: &mut Exposition) {
        page.family("tidegate_requests", Kind::Counter, "", "Exchanges that are over.");
        for (route, service, reading) in &self.told {
            for (key, count) in &reading.requests {
                let status = key.status().map_or_else(|| OTHER.to_owned(), |status| status.to_string());
                let labels =
                    [("route", *route), ("method", key.method()), ("status", &status), ("service", service)];
                page.counter(&labels, count);
            }
        }
        let help = "Time from the first byte of a request to the last of its answer.";
        page.family("tidegate_request_duration_seconds", Kind::Histogram, "seconds", help);
        for (route, service, reading) in &self.told {
            page.histogram(&[("route", route), ("service", service)], &reading.duration);
        }
        page.family("tidegate_request_body_bytes", Kind::Counter, "bytes", "Bytes of requests' bodies.");
        for (route, service, reading) in &self.told {
            page.counter(&[("route", route), ("service", service)], reading.bytes_in);
        }
        page.family("tidegate_response_body_bytes", Kind::Counter, "bytes", "Bytes of answers' bodies.");
        for (route, service, reading) in &self.told {
            page.counter(&[("route", route), ("service", service)], reading.bytes_out);
        }
        let help = "Requests on routes with a cache, by what it had to do with the answer.";
        page.family("tidegate_cache_requests", Kind::Counter, "", help);
        for (route, _, reading) in &self.told {
            for ([result, ..], count) in &reading.caches {
                page.counter(&[("route", *route), ("result", *result)], count);
            }
        }
        let help =
            "Requests that a policy refused, or would have refused where it only watches (mode shadow).";
        page.family("tidegate_refused", Kind::Counter, "", help);
        for (route, _, reading) in &self.told {
            for ([policy, reason, mode], count) in &reading.refusals {
                let labels = [("route", *route), ("policy", policy), ("reason", reason), ("mode", mode)];
                page.counter(&labels, count);
            }
        }
    }
}

/// Targets as the page tells them.
struct Targets<'a> {
    told: BTreeMap<(&'a str, &'a str), TargetReading<'a>>,
    dropped: usize,
}

impl<'a> Targets<'a> {
    /// Series of one target.
    const SERIES: usize = HISTOGRAM_SERIES + 8;

    fn gather(readings: &[TargetReading<'a>], room: usize) -> Targets<'a> {
        let most = (room / Self::SERIES).saturating_sub(1);
        let mut told: BTreeMap<_, TargetReading<'a>> = BTreeMap::new();
        let mut dropped = 0_usize;
        for reading in readings {
            let mut key = (reading.service, reading.target);
            if !told.contains_key(&key) && told.len() >= most {
                key = (OTHER, OTHER);
                dropped = dropped.saturating_add(Self::SERIES);
            }
            let sum = told.entry(key).or_default();
            sum.answered.add(&reading.answered);
            sum.faults = sum.faults.wrapping_add(reading.faults);
            sum.connects = sum.connects.wrapping_add(reading.connects);
            sum.in_flight = sum.in_flight.wrapping_add(reading.in_flight);
            sum.well = sum.well.wrapping_add(reading.well);
            sum.drained = sum.drained.wrapping_add(reading.drained);
            sum.ejections = sum.ejections.wrapping_add(reading.ejections);
            for (sum, count) in sum.checks.iter_mut().zip(reading.checks) {
                *sum = sum.wrapping_add(count);
            }
        }
        Targets { told, dropped }
    }

    fn series(&self) -> usize {
        self.told.len().saturating_mul(Self::SERIES)
    }

    fn write(&self, page: &mut Exposition) {
        let help = "Time from the sent request to the head of the service's answer.";
        page.family("tidegate_upstream_duration_seconds", Kind::Histogram, "seconds", help);
        self.each(|labels, reading| page.histogram(labels, &reading.answered));
        page.family("tidegate_upstream_faults", Kind::Counter, "", "Tries that ended in a fault.");
        self.each(|labels, reading| page.counter(labels, reading.faults));
        page.family("tidegate_upstream_connections_opened", Kind::Counter, "", "Connections opened.");
        self.each(|labels, reading| page.counter(labels, reading.connects));
        let help = "Exchanges that wait for a target now.";
        page.family("tidegate_upstream_inflight_requests", Kind::Gauge, "", help);
        self.each(|labels, reading| page.gauge(labels, reading.in_flight));
        let help = "Endpoints of a target that neither checks nor requests nor a command have taken out.";
        page.family("tidegate_endpoint_healthy", Kind::Gauge, "", help);
        self.each(|labels, reading| page.gauge(labels, reading.well));
        page.family("tidegate_endpoint_drained", Kind::Gauge, "", "Endpoints taken out by command.");
        self.each(|labels, reading| page.gauge(labels, reading.drained));
        let help = "Times that an endpoint was taken out for what requests told.";
        page.family("tidegate_endpoint_ejections", Kind::Counter, "", help);
        self.each(|labels, reading| page.counter(labels, reading.ejections));
        page.family("tidegate_health_checks", Kind::Counter, "", "Checks of endpoints by their result.");
        self.each(|labels, reading| {
            let [service, target] = labels else { return };
            for (result, count) in ["good", "failed"].into_iter().zip(reading.checks) {
                page.counter(&[*service, *target, ("result", result)], count);
            }
        });
    }

    fn each(&self, mut write: impl FnMut(&[(&'static str, &str)], &TargetReading<'a>)) {
        for ((service, target), reading) in &self.told {
            write(&[("service", service), ("target", target)], reading);
        }
    }
}

fn exchanges(page: &mut Exposition, shared: &Shared) {
    let totals = &shared.totals;
    let mut overhead = Reading::default();
    let mut faults = BTreeMap::<_, u64>::new();
    for worker in totals.workers() {
        worker.overhead.read(&mut overhead);
        worker.faults.read(|words, count| *faults.entry(words).or_default() += count);
    }
    let help = "Time before the service was asked; the whole time of exchanges that asked none.";
    page.family("tidegate_gateway_overhead_seconds", Kind::Histogram, "seconds", help);
    page.histogram(&[], &overhead);
    page.family("tidegate_inflight_requests", Kind::Gauge, "", "Exchanges in flight.");
    page.gauge(&[], totals.in_flight());
    page.family("tidegate_faults", Kind::Counter, "", "Exchanges that failed, by code and who is to blame.");
    for ([code, blame, _], count) in &faults {
        page.counter(&[("code", code), ("blame", blame)], count);
    }
    page.family("tidegate_panics", Kind::Counter, "", "Exchanges on which a part of the gateway panicked.");
    page.counter(&[], totals.sum(|worker| &worker.panics));
    page.family("tidegate_upgrades", Kind::Counter, "", "Exchanges that became tunnels and are over.");
    page.counter(&[], totals.sum(|worker| &worker.upgrades));
    page.family("tidegate_tunnels_open", Kind::Gauge, "", "Tunnels open now, e.g. WebSockets.");
    page.gauge(&[], totals.sum(|worker| &worker.tunnels));
}

fn connections(page: &mut Exposition, listeners: &[(&str, &Connections)]) {
    page.family("tidegate_connections_accepted", Kind::Counter, "", "Connections of clients accepted.");
    for (listener, connections) in listeners {
        page.counter(&[("listener", listener)], connections.accepted.load(Ordering::Relaxed));
    }
    page.family("tidegate_connections_rejected", Kind::Counter, "", "Connections of clients turned away.");
    for (listener, connections) in listeners {
        for refusal in Refusal::ALL {
            let labels = [("listener", *listener), ("reason", refusal.label())];
            page.counter(&labels, connections.refused(refusal));
        }
    }
    let help = "Times that the system had no connection to give, for want of descriptors or memory.";
    page.family("tidegate_accept_failures", Kind::Counter, "", help);
    for (listener, connections) in listeners {
        page.counter(&[("listener", listener)], connections.failures.load(Ordering::Relaxed));
    }
    page.family("tidegate_connections_active", Kind::Gauge, "", "Connections of clients open now.");
    for (listener, connections) in listeners {
        page.gauge(&[("listener", listener)], connections.active.load(Ordering::Relaxed));
    }
}

fn handshakes(page: &mut Exposition, listeners: &[SecuredReading<'_>]) {
    if listeners.is_empty() {
        return;
    }
    page.family("tidegate_tls_handshakes", Kind::Counter, "", "Handshakes of clients, by how they ended.");
    for SecuredReading { listener, handshakes, .. } in listeners {
        for (outcome, result, version) in Outcome::ALL {
            let labels = [("listener", *listener), ("result", result), ("version", version)];
            page.counter(&labels, handshakes.read(outcome));
        }
    }
    page.family("tidegate_tls_handshakes_active", Kind::Gauge, "", "Handshakes under way.");
    for SecuredReading { listener, handshakes, .. } in listeners {
        page.gauge(&[("listener", listener)], handshakes.active.load(Ordering::Relaxed));
    }
    let help = "Certificates taken over while running.";
    page.family("tidegate_tls_certificates_swapped", Kind::Counter, "", help);
    for SecuredReading { listener, handshakes, .. } in listeners {
        page.counter(&[("listener", listener)], handshakes.swapped.load(Ordering::Relaxed));
    }
    let help = "Certificates that were given and could not be used; the ones before stay.";
    page.family("tidegate_tls_certificates_refused", Kind::Counter, "", help);
    for SecuredReading { listener, handshakes, .. } in listeners {
        page.counter(&[("listener", listener)], handshakes.refused.load(Ordering::Relaxed));
    }
    let help = "When a certificate ends: those that end first.";
    page.family("tidegate_tls_certificate_not_after_timestamp_seconds", Kind::Gauge, "seconds", help);
    let mut all: Vec<_> = listeners
        .iter()
        .flat_map(|one| one.certificates.iter().map(|certificate| (one.listener, certificate)))
        .collect();
    all.sort_by_key(|(_, (.., ends))| *ends);
    for (listener, (name, subject, ends)) in all.into_iter().take(MOST_CERTIFICATES) {
        let ends = ends.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        page.gauge(&[("listener", listener), ("certificate", name), ("subject", subject)], ends);
    }
}

fn configuration(page: &mut Exposition, shared: &Shared) {
    let reloads = shared.totals.reloads();
    let help = "Whether the last configuration that was given could be applied.";
    page.family("tidegate_config_reload_success", Kind::Gauge, "", help);
    page.gauge(&[], u8::from(!reloads.last_failed));
    page.family("tidegate_config_reloads", Kind::Counter, "", "Configurations given after the first.");
    page.counter(&[("result", "success")], reloads.done);
    page.counter(&[("result", "failure")], reloads.failed);
    let help = "When the configuration that runs was applied.";
    page.family("tidegate_config_last_success_timestamp_seconds", Kind::Gauge, "seconds", help);
    page.gauge(&[], reloads.configured_at);
    page.family("tidegate_config_revision", Kind::Info, "", "The revision that runs.");
    page.info(&[("revision", &reloads.revision.to_string())]);
    let help = "New processes that were started to take over and did not.";
    page.family("tidegate_handover_failures", Kind::Counter, "", help);
    page.counter(&[], shared.totals.failed_handovers());
    page.family("tidegate_build", Kind::Info, "", "The program.");
    page.info(&[("version", env!("CARGO_PKG_VERSION"))]);
}

fn telling(page: &mut Exposition, shared: &Shared) {
    if let Some(log) = &shared.log {
        page.family("tidegate_log_lines", Kind::Counter, "", "Lines of the access log that were written.");
        page.counter(&[], log.written());
        page.family("tidegate_log_dropped", Kind::Counter, "", "Lines of the access log that were dropped.");
        page.counter(&[], log.dropped());
        page.family("tidegate_log_failures", Kind::Counter, "", "Attempts to write the log that failed.");
        page.counter(&[], log.failures());
    }
    if let Some(tracer) = &shared.tracer {
        page.family("tidegate_spans_exported", Kind::Counter, "", "Spans the collector took.");
        page.counter(&[], tracer.exported());
        page.family("tidegate_spans_dropped", Kind::Counter, "", "Spans that were dropped.");
        page.counter(&[], tracer.dropped());
    }
}

fn process(page: &mut Exposition, shared: &Shared) {
    let process = Process::read();
    if let Some((user, system)) = process.cpu {
        page.family("process_cpu_seconds", Kind::Counter, "seconds", "Processor time of user and system.");
        page.counter(&[], user + system);
    }
    let gauges = [
        ("process_resident_memory_bytes", "bytes", "Memory that is resident.", process.resident),
        ("process_virtual_memory_bytes", "bytes", "Address space.", process.virtual_size),
        ("process_open_fds", "", "Files and sockets that are open.", process.open_files),
        ("process_max_fds", "", "Files and sockets that may be open.", process.most_files),
        ("process_threads", "", "Threads.", process.threads),
    ];
    for (name, unit, help, value) in gauges {
        if let Some(value) = value {
            page.family(name, Kind::Gauge, unit, help);
            page.gauge(&[], value);
        }
    }
    let started = shared.totals.started().duration_since(UNIX_EPOCH).unwrap_or_default();
    page.family("process_start_time_seconds", Kind::Gauge, "seconds", "When the process started.");
    page.gauge(&[], seconds(u64::try_from(started.as_micros()).unwrap_or(u64::MAX)));
}

#[cfg(test)]
mod tests;
