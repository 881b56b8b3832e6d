//! The spans of one exchange, by OpenTelemetry's conventions for HTTP.
//!
//! Takes an exchange that is over; gives the span of the gateway as a server and, where a service was asked, that of
//! the gateway as its client. The service was told the exchange's span id as its parent (`traceparent`), so that is
//! the client span's id; the server span's is made from it. Values are bounded, secrets masked.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, UNIX_EPOCH};

use http1::{Method, names};

use super::super::redact::Redaction;
use super::super::{Labels, line, status_of};
use crate::exchange::{Exchange, Trace};
use crate::fault::{Blame, Fault};

/// Most bytes of a text.
const MOST_TEXT: usize = 1024;

/// One span.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Span {
    pub(crate) trace_id: u128,
    pub(crate) span_id: u64,
    /// 0 for none.
    pub(crate) parent_id: u64,
    /// What other vendors say of the trace, as it came.
    pub(crate) trace_state: String,
    pub(crate) kind: SpanKind,
    pub(crate) name: String,
    /// Nanoseconds since 1970.
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) failed: bool,
    pub(crate) attributes: Vec<(&'static str, Value)>,
}

/// Which side of a call; the numbers are those of OTLP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SpanKind {
    Server = 2,
    Client = 3,
}

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Text(String),
    Number(i64),
}

impl Span {
    fn new(exchange: &Exchange, kind: SpanKind, begin: Duration, end: Duration) -> Span {
        let since = exchange.record.started_at.duration_since(UNIX_EPOCH).unwrap_or_default();
        let at = |offset| u64::try_from(since.saturating_add(offset).as_nanos()).unwrap_or(u64::MAX);
        let state = exchange.request.fields.get(names::TRACESTATE).unwrap_or_default();
        Span {
            trace_id: exchange.trace.trace_id,
            span_id: 0,
            parent_id: 0,
            trace_state: text_of(state),
            kind,
            name: String::new(),
            start: at(begin),
            end: at(end),
            failed: false,
            attributes: Vec::with_capacity(24),
        }
    }

    fn text(&mut self, key: &'static str, value: &[u8]) {
        if !value.is_empty() {
            self.attributes.push((key, Value::Text(text_of(value))));
        }
    }

    fn number(&mut self, key: &'static str, value: u64) {
        self.attributes.push((key, Value::Number(i64::try_from(value).unwrap_or(i64::MAX))));
    }

    fn ip(&mut self, key: &'static str, ip: IpAddr) {
        self.attributes.push((key, Value::Text(ip.to_canonical().to_string())));
    }

    /// The method as the conventions want it: known ones by name, others as `_OTHER` with the text beside it.
    fn method(&mut self, exchange: &Exchange) {
        let method = exchange.record.method;
        self.text("http.request.method", method.as_str().as_bytes());
        if method == Method::Other {
            self.text("http.request.method_original", line::method(exchange));
        }
    }

    /// Failed are, for this side, statuses from `from` on, and what was not the client's fault.
    fn outcome(&mut self, exchange: &Exchange, status: u16, from: u16) {
        self.number("http.response.status_code", u64::from(status));
        let facts = exchange.record.fault.as_ref().map(Fault::facts);
        self.failed = status >= from || facts.as_ref().is_some_and(|facts| facts.blame != Blame::Client);
        match facts {
            Some(facts) => self.text("error.type", facts.code.as_bytes()),
            None if self.failed => self.text("error.type", status.to_string().as_bytes()),
            None => {}
        }
    }
}

/// The span of the gateway as a server.
pub(crate) fn server(exchange: &Exchange, labels: &Labels<'_>, redaction: &Redaction) -> Span {
    let record = &exchange.record;
    let mut span = Span::new(exchange, SpanKind::Server, Duration::ZERO, record.finished);
    (span.span_id, span.parent_id) = (server_id(&exchange.trace), exchange.trace.parent_id);
    let method = if record.method == Method::Other { "HTTP" } else { record.method.as_str() };
    span.method(exchange);
    span.name = method.to_owned();
    if record.route.is_some() {
        let pattern = labels.route.rsplit(' ').next().unwrap_or_default();
        span.name = text_of(format!("{method} {pattern}").as_bytes());
        span.text("http.route", pattern.as_bytes());
    }
    span.text("url.scheme", if exchange.client.https { b"https" } else { b"http" });
    span.text("url.path", line::path(exchange));
    span.text("url.query", &masked(&exchange.query, redaction));
    span.text("server.address", &exchange.host);
    span.number("server.port", u64::from(exchange.client.local.port()));
    span.ip("client.address", exchange.client.ip);
    span.ip("network.peer.address", exchange.client.peer.ip());
    span.number("network.peer.port", u64::from(exchange.client.peer.port()));
    let version: &[u8] = match exchange.request.version {
        http1::Version::Http10 => b"1.0",
        http1::Version::Http11 => b"1.1",
        http1::Version::Http2 => b"2",
    };
    span.text("network.protocol.version", version);
    span.text("user_agent.original", exchange.request.fields.get(names::USER_AGENT).unwrap_or_default());
    span.number("http.request.body.size", record.bytes_in);
    span.number("http.response.body.size", record.bytes_out);
    span.outcome(exchange, status_of(exchange), 500);
    span.text("tidegate.request_id", exchange.id.as_bytes());
    span.text("tidegate.service", labels.service.as_bytes());
    span.text("tidegate.listener", labels.listener.as_bytes());
    span.number("tidegate.revision", labels.revision);
    span.text("tidegate.reason", record.reason.as_bytes());
    span.text("tidegate.refused_by", record.refused_by.unwrap_or_default().as_bytes());
    span
}

/// The span of the gateway as a client of the service; `None` when none was asked.
pub(crate) fn client(exchange: &Exchange, labels: &Labels<'_>, redaction: &Redaction) -> Option<Span> {
    let record = &exchange.record;
    let (sent, endpoint) = (record.sent?, record.endpoint?);
    let mut span = Span::new(exchange, SpanKind::Client, sent, record.finished);
    (span.span_id, span.parent_id) = (exchange.trace.span_id, server_id(&exchange.trace));
    span.name = if record.method == Method::Other { "HTTP".into() } else { record.method.as_str().into() };
    span.method(exchange);
    span.text("url.full", url(endpoint, &record.target, redaction).as_slice());
    span.ip("server.address", endpoint.ip());
    span.number("server.port", u64::from(endpoint.port()));
    span.text("network.protocol.version", b"1.1");
    if record.tries > 1 {
        span.number("http.request.resend_count", u64::from(record.tries.saturating_sub(1)));
    }
    if record.answered.is_some() {
        span.outcome(exchange, status_of(exchange), 400);
    } else if let Some(fault) = &record.fault {
        span.failed = true;
        span.text("error.type", fault.facts().code.as_bytes());
    }
    span.text("tidegate.service", labels.service.as_bytes());
    Some(span)
}

/// The id of the server span: another one than the exchange's, and always the same for it (the last step of
/// SplitMix64, Steele et al. 2014).
fn server_id(trace: &Trace) -> u64 {
    let mut id = trace.span_id.wrapping_add(0x9e37_79b9_7f4a_7c15);
    id = (id ^ (id >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    id = (id ^ (id >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (id ^ (id >> 31)).max(1)
}

fn url(endpoint: SocketAddr, target: &[u8], redaction: &Redaction) -> Vec<u8> {
    let mut url = format!("http://{endpoint}").into_bytes();
    let end = memchr::memchr(b'?', target).unwrap_or(target.len());
    let (path, query) = target.split_at_checked(end).unwrap_or_default();
    url.extend_from_slice(path);
    if let Some(query) = query.get(1..) {
        url.push(b'?');
        url.extend_from_slice(&masked(query, redaction));
    }
    url
}

fn masked(query: &[u8], redaction: &Redaction) -> Vec<u8> {
    let mut told = Vec::with_capacity(query.len());
    redaction.query(&mut told, query);
    told
}

/// Text of bytes, cut at a character.
fn text_of(bytes: &[u8]) -> String {
    let cut = bytes.get(..bytes.len().min(MOST_TEXT)).unwrap_or_default();
    String::from_utf8_lossy(cut).into_owned()
}
