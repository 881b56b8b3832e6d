//! One line of the access log for one exchange, as JSON or in the Combined Log Format.
//!
//! Takes an exchange that is over; appends its line. Formatted by hand, because this runs for every request. Every
//! value from outside is escaped and cut to its own length, so that a line is one line, valid, and at most
//! [`MOST_LINE`] long whatever a client sends. Credentials and cookies are never looked at.

mod attempts;

use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http1::{Method, names};

use super::clock::Clock;
use super::escape;
use super::memo::Memo;
use super::redact::{Redaction, referer};
use super::totals::blame_of;
use super::{Labels, status_of};
use crate::exchange::{Exchange, Identity, Secure};
use crate::values::{hex32, push_ip};

/// Longest line in bytes, its end included.
pub const MOST_LINE: usize = 8 * 1024;

/// Most bytes of a value. Their sum, with the names and the numbers, stays below [`MOST_LINE`].
mod most {
    pub(super) const METHOD: usize = 32;
    pub(super) const HOST: usize = 256;
    pub(super) const PATH: usize = 2048;
    pub(super) const QUERY: usize = 1536;
    pub(super) const ROUTE: usize = 512;
    pub(super) const NAME: usize = 64;
    pub(super) const SERVER_NAME: usize = 128;
    pub(super) const SUBJECT: usize = 128;
    pub(super) const REASON: usize = 64;
    pub(super) const DETAIL: usize = 160;
    pub(super) const AGENT: usize = 512;
    pub(super) const REFERER: usize = 512;
    /// Failed tries that are told.
    pub(super) const ATTEMPTS: usize = 4;
    /// Steps in place of a service that are told.
    pub(super) const STEPS: usize = 4;
    /// Refusals of watching policies that are told.
    pub(super) const SHADOWED: usize = 8;
}

/// How a line looks.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum LineFormat {
    /// One JSON object.
    #[default]
    Json,
    /// The Combined Log Format, with five values behind it.
    Text,
}

/// Writes lines. Each worker has its own.
pub struct LineWriter {
    format: LineFormat,
    redaction: Arc<Redaction>,
    clock: Clock,
    /// The query or the referer as it may be told.
    told: Vec<u8>,
    texts: Texts,
}

/// What is the same in many JSON lines, as it stands there.
struct Texts {
    /// `,"route":..` and the service.
    route: Memo<(String, String)>,
    /// `,"listener":..` and the revision.
    listener: Memo<(String, u64)>,
    endpoint: Memo<SocketAddr>,
    client: Memo<IpAddr>,
}

impl Default for Texts {
    fn default() -> Texts {
        Texts {
            route: Memo::with_places(64),
            listener: Memo::with_places(4),
            endpoint: Memo::with_places(16),
            client: Memo::with_places(64),
        }
    }
}

impl Texts {
    fn route(&mut self, labels: &Labels<'_>) -> &[u8] {
        let Labels { route, service, .. } = *labels;
        self.route.text(
            // Where a name stands does not tell names apart, but spreads them well.
            (route.as_ptr() as usize / 16).wrapping_add(service.len()),
            |known| known.0 == route && known.1 == service,
            || (route.to_owned(), service.to_owned()),
            |out| {
                text(out, b",\"route\":", route.as_bytes(), most::ROUTE);
                if !service.is_empty() {
                    text(out, b",\"service\":", service.as_bytes(), most::NAME);
                }
            },
        )
    }

    fn listener(&mut self, labels: &Labels<'_>) -> &[u8] {
        let Labels { listener, revision, .. } = *labels;
        self.listener.text(
            listener.len(),
            |known| known.1 == revision && known.0 == listener,
            || (listener.to_owned(), revision),
            |out| {
                text(out, b",\"listener\":", listener.as_bytes(), most::NAME);
                number(out, b",\"revision\":", revision);
            },
        )
    }

    fn endpoint(&mut self, endpoint: SocketAddr) -> &[u8] {
        self.endpoint.text(
            usize::from(endpoint.port()),
            |known| *known == endpoint,
            || endpoint,
            |out| {
                out.extend_from_slice(b",\"endpoint\":\"");
                socket(out, endpoint);
            },
        )
    }

    fn client(&mut self, client: IpAddr) -> &[u8] {
        let last = match client {
            IpAddr::V4(v4) => v4.octets()[3],
            IpAddr::V6(v6) => v6.octets()[15],
        };
        let known = |known: &IpAddr| *known == client;
        self.client.text(usize::from(last), known, || client, |out| push_ip(out, client))
    }
}

impl LineWriter {
    /// A writer of lines in this format, without these secrets.
    pub fn new(format: LineFormat, redaction: Arc<Redaction>) -> LineWriter {
        LineWriter { format, redaction, clock: Clock::default(), told: Vec::new(), texts: Texts::default() }
    }

    /// Appends the line of an exchange, with its end.
    pub fn write(&mut self, out: &mut Vec<u8>, exchange: &Exchange, labels: &Labels<'_>) {
        match self.format {
            LineFormat::Json => self.write_json(out, exchange, labels),
            LineFormat::Text => self.write_text(out, exchange, labels),
        }
    }

    /// Appends the line as a JSON object.
    pub fn write_json(&mut self, out: &mut Vec<u8>, exchange: &Exchange, labels: &Labels<'_>) {
        let record = &exchange.record;
        let stamp = self.clock.stamp(record.started_at);
        out.extend_from_slice(b"{\"time\":\"");
        out.extend_from_slice(stamp.rfc3339);
        fraction(out, stamp.millis);
        out.extend_from_slice(b"Z\",\"request_id\":\"");
        out.extend_from_slice(exchange.id.as_bytes());
        out.extend_from_slice(b"\",\"trace_id\":\"");
        out.extend_from_slice(&hex32(exchange.trace.trace_id));
        out.extend_from_slice(b"\",\"client\":\"");
        out.extend_from_slice(self.texts.client(exchange.client.ip));
        let peer = exchange.client.peer.ip().to_canonical();
        if exchange.client.ip != peer {
            out.extend_from_slice(b"\",\"peer\":\"");
            push_ip(out, peer);
        }
        out.extend_from_slice(b"\",\"method\":");
        escape::json(out, method(exchange), most::METHOD);
        text(out, b",\"host\":", &exchange.host, most::HOST);
        escape_path(out, exchange);
        if !exchange.query.is_empty() {
            self.told.clear();
            self.redaction.query(&mut self.told, &exchange.query);
            text(out, b",\"query\":", &self.told, most::QUERY);
        }
        number(out, b",\"status\":", u64::from(status_of(exchange)));
        if let Some(status) = record.grpc_status {
            number(out, b",\"grpc_status\":", u64::from(status));
        }
        if !record.reason.is_empty() {
            text(out, b",\"reason\":", record.reason.as_bytes(), most::REASON);
        }
        out.extend_from_slice(self.texts.route(labels));
        if let Some(endpoint) = record.endpoint {
            out.extend_from_slice(self.texts.endpoint(endpoint));
            number(out, b"\",\"tries\":", u64::from(record.tries));
        }
        out.extend_from_slice(b",\"duration_ms\":");
        millis(out, record.finished);
        if let Some(asked) = upstream(exchange) {
            out.extend_from_slice(b",\"upstream_ms\":");
            millis(out, asked);
        }
        number(out, b",\"bytes_in\":", record.bytes_in);
        number(out, b",\"bytes_out\":", record.bytes_out);
        if exchange.request.version == http1::Version::Http2 {
            out.extend_from_slice(b",\"http\":\"2\"");
        }
        if let Some(secure) = &exchange.secure {
            told_by_handshake(out, secure);
        }
        self.rest_of_json(out, exchange, labels);
        out.extend_from_slice(b"}\n");
    }

    fn rest_of_json(&mut self, out: &mut Vec<u8>, exchange: &Exchange, labels: &Labels<'_>) {
        let record = &exchange.record;
        let fields = &exchange.request.fields;
        if let Some(agent) = fields.get(names::USER_AGENT).filter(|agent| !agent.is_empty()) {
            text(out, b",\"user_agent\":", agent, most::AGENT);
        }
        if let Some(value) = fields.get(names::REFERER).filter(|value| !value.is_empty()) {
            text(out, b",\"referer\":", self.referer(value), most::REFERER);
        }
        if let Some(identity) = &exchange.identity {
            self.caller(out, identity);
        }
        out.extend_from_slice(self.texts.listener(labels));
        if !record.cache.is_empty() {
            text(out, b",\"cache\":", record.cache.as_bytes(), most::NAME);
        }
        if !record.split.is_empty() {
            text(out, b",\"split\":", record.split.as_bytes(), most::NAME);
        }
        if record.upgraded {
            out.extend_from_slice(b",\"upgraded\":true");
        }
        if let Some(policy) = record.refused_by {
            text(out, b",\"refused_by\":", policy.as_bytes(), most::NAME);
        }
        if !record.why.is_empty() {
            text(out, b",\"why\":", record.why.as_bytes(), most::DETAIL);
        }
        for (place, (policy, reason)) in record.shadowed.iter().take(most::SHADOWED).enumerate() {
            let start: &[u8] = if place == 0 { b",\"shadowed\":[{\"policy\":" } else { b",{\"policy\":" };
            text(out, start, policy.as_bytes(), most::NAME);
            text(out, b",\"reason\":", reason.as_bytes(), most::REASON);
            out.push(b'}');
        }
        if !record.shadowed.is_empty() {
            out.push(b']');
        }
        attempts::attempts(out, &record.attempts);
        attempts::fallback(out, record);
        attempts::parts(out, &record.parts);
        if let Some(fault) = &record.fault {
            let facts = fault.facts();
            text(out, b",\"fault\":", facts.code.as_bytes(), most::REASON);
            text(out, b",\"blame\":", blame_of(facts.blame).as_bytes(), most::REASON);
            text(out, b",\"detail\":", facts.detail.as_bytes(), most::DETAIL);
        }
    }

    /// Who the caller is.
    fn caller(&self, out: &mut Vec<u8>, identity: &Identity) {
        if let Some(consumer) = &identity.consumer {
            text(out, b",\"consumer\":", consumer.as_bytes(), most::NAME);
        }
        if let Some(subject) = &identity.subject {
            text(out, b",\"subject\":", subject.as_bytes(), most::SUBJECT);
        }
        text(out, b",\"auth\":", identity.kind.as_bytes(), most::NAME);
        if !identity.credential.is_empty() {
            text(out, b",\"credential\":", identity.credential.as_bytes(), most::NAME);
        }
    }

    /// Appends the line in the Combined Log Format: `client - caller [time] "request" status bytes "referer" "agent"`,
    /// then `"route" endpoint milliseconds reason request_id`.
    fn write_text(&mut self, out: &mut Vec<u8>, exchange: &Exchange, labels: &Labels<'_>) {
        let record = &exchange.record;
        push_ip(out, exchange.client.ip);
        out.extend_from_slice(b" - ");
        match exchange.identity.as_ref().and_then(|identity| identity.name()) {
            Some(name) => escape::word(out, name.as_bytes(), most::NAME),
            None => out.push(b'-'),
        }
        out.extend_from_slice(b" [");
        out.extend_from_slice(self.clock.stamp(record.started_at).common);
        out.extend_from_slice(b" +0000] \"");
        escape::quoted(out, method(exchange), most::METHOD);
        out.push(b' ');
        escape::quoted(out, path(exchange), most::PATH);
        if exchange.has_query {
            out.push(b'?');
        }
        if !exchange.query.is_empty() {
            self.told.clear();
            self.redaction.query(&mut self.told, &exchange.query);
            escape::quoted(out, &self.told, most::QUERY);
        }
        let version = match exchange.request.version {
            http1::Version::Http10 => " HTTP/1.0\" ",
            http1::Version::Http11 => " HTTP/1.1\" ",
            http1::Version::Http2 => " HTTP/2.0\" ",
        };
        number(out, version.as_bytes(), u64::from(status_of(exchange)));
        number(out, b" ", record.bytes_out);
        out.extend_from_slice(b" \"");
        let value = exchange.request.fields.get(names::REFERER).unwrap_or_default();
        escape::quoted(out, self.referer(value), most::REFERER);
        out.extend_from_slice(b"\" \"");
        let agent = exchange.request.fields.get(names::USER_AGENT).unwrap_or_default();
        escape::quoted(out, agent, most::AGENT);
        out.extend_from_slice(b"\" \"");
        escape::quoted(out, labels.route.as_bytes(), most::ROUTE);
        out.extend_from_slice(b"\" ");
        match record.endpoint {
            Some(endpoint) => socket(out, endpoint),
            None => out.push(b'-'),
        }
        out.push(b' ');
        millis(out, record.finished);
        out.push(b' ');
        escape::quoted(out, record.reason.as_bytes(), most::REASON);
        out.push(b' ');
        escape::quoted(out, exchange.id.as_bytes(), most::NAME);
        out.push(b'\n');
    }

    fn referer(&mut self, value: &[u8]) -> &[u8] {
        let (start, rest) = referer(value);
        self.told.clear();
        self.told.extend_from_slice(start);
        self.told.extend_from_slice(rest);
        &self.told
    }
}

/// The method as received, also one that policies changed or that has no name here.
pub(crate) fn method(exchange: &Exchange) -> &[u8] {
    match exchange.record.method {
        Method::Other => exchange.request.method_text(),
        known => known.as_str().as_bytes(),
    }
}

/// The canonical path; where there is none because it broke a rule, the path as it came.
pub(crate) fn path(exchange: &Exchange) -> &[u8] {
    let target = exchange.request.target();
    if !exchange.path.is_empty() || !target.starts_with(b"/") {
        return &exchange.path;
    }
    let end = memchr::memchr(b'?', target).unwrap_or(target.len());
    target.get(..end).unwrap_or_default()
}

/// How long the service was waited for: until the head of its answer, or until the exchange was over without.
pub(crate) fn upstream(exchange: &Exchange) -> Option<Duration> {
    let record = &exchange.record;
    Some(record.answered.unwrap_or(record.finished).saturating_sub(record.sent?))
}

/// The client's TLS connection.
fn told_by_handshake(out: &mut Vec<u8>, secure: &Secure) {
    for (name, value) in [(&b",\"tls\":\""[..], secure.version), (b"\",\"cipher\":\"", secure.cipher)] {
        out.extend_from_slice(name);
        out.extend_from_slice(value.as_bytes());
    }
    out.push(b'"');
    if let Some(name) = &secure.server_name {
        text(out, b",\"sni\":", name.as_bytes(), most::SERVER_NAME);
    }
    if secure.resumed {
        out.extend_from_slice(b",\"resumed\":true");
    }
    if let Some(certificate) = &secure.client_cert {
        text(out, b",\"client_cert\":", certificate.fingerprint.as_bytes(), most::NAME + 2);
    }
}

fn escape_path(out: &mut Vec<u8>, exchange: &Exchange) {
    text(out, b",\"path\":", path(exchange), most::PATH);
}

fn text(out: &mut Vec<u8>, name: &[u8], value: &[u8], most: usize) {
    out.extend_from_slice(name);
    escape::json(out, value, most);
}

fn number(out: &mut Vec<u8>, name: &[u8], value: u64) {
    out.extend_from_slice(name);
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Milliseconds with three digits behind the point.
fn millis(out: &mut Vec<u8>, duration: Duration) {
    let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    number(out, b"", micros / 1000);
    fraction(out, u32::try_from(micros % 1000).unwrap_or(0));
}

/// A point and three digits.
fn fraction(out: &mut Vec<u8>, thousandths: u32) {
    let digit = |unit: u32| b'0'.wrapping_add(u8::try_from(thousandths / unit % 10).unwrap_or(0));
    out.extend_from_slice(&[b'.', digit(100), digit(10), digit(1)]);
}

fn socket(out: &mut Vec<u8>, address_and_port: SocketAddr) {
    match address_and_port {
        SocketAddr::V4(v4) => push_ip(out, IpAddr::V4(*v4.ip())),
        SocketAddr::V6(v6) => _ = write!(out, "[{}]", v6.ip()),
    }
    number(out, b":", u64::from(address_and_port.port()));
}

#[cfg(test)]
mod tests;
