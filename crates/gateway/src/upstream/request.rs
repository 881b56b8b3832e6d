//! What the service gets: the request as shaped by policies, with what a proxy must add.
//!
//! `Via` (RFC 9110 section 7.6.3), `Forwarded` (RFC 7239) and its `X-Forwarded-*` relatives, the request id and the
//! trace context. Fields of these names that could not be believed were removed when the request was received.
//! Used by the road and by `explain` alike.

use std::net::SocketAddr;

use http1::{Framing, Name, names};

use super::connection::Ends;
use super::service::{EndpointSettings, HostHeader, Service};
use super::way;
use crate::exchange::{Client, Exchange};
use crate::http::trust::canonical;
use crate::values::push_ip;

/// Which forwarding fields are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forwarding {
    /// `X-Forwarded-For`, `-Host`, `-Proto`.
    pub x_forwarded: bool,
    /// `Forwarded`.
    pub rfc7239: bool,
}

/// Makes the exchange's request the one for the service. Once for each exchange, before the first try.
pub fn prepare(exchange: &mut Exchange, service: &Service, forwarding: Forwarding) {
    let mut text = std::mem::take(&mut exchange.scratch);
    text.clear();
    push_ip(&mut text, canonical(exchange.client.peer.ip()));
    let length = text.len();
    text.extend_from_slice(exchange.request.fields.get(names::HOST).unwrap_or_default());
    let (peer, host) = text.split_at_checked(length).unwrap_or_default();
    add_way(exchange, forwarding, peer, host);
    exchange.scratch = text;
    let fields = &mut exchange.request.fields;
    fields.set(names::TRACEPARENT, &exchange.trace.to_parent());
    match (&exchange.plan.host, &service.host) {
        (Some(host), _) => fields.set(names::HOST, host),
        (None, HostHeader::Fixed(host)) => fields.set(names::HOST, host),
        (None, HostHeader::Client | HostHeader::Target) => {}
    }
}

/// Tells the service which certificate the client has proved to own (RFC 9440 section 2.2).
pub fn tell_certificate(exchange: &mut Exchange) {
    let Some(secure) = &exchange.secure else { return };
    if let Some(certificate) = &secure.client_cert
        && let Ok(name) = Name::new(b"Client-Cert")
    {
        exchange.request.fields.set(name, &certificate.field);
    }
}

/// Says which way the request has come, and by what name it is found.
fn add_way(exchange: &mut Exchange, forwarding: Forwarding, peer: &[u8], host: &[u8]) {
    let (version, https) = (exchange.request.version, exchange.client.https);
    let fields = &mut exchange.request.fields;
    let tells_proto = forwarding.x_forwarded && !fields.contains(names::X_FORWARDED_PROTO);
    fields.remove(names::X_REQUEST_ID);
    fields.append_with(way::of_request(version, tells_proto.then_some(https)), &[exchange.id.as_bytes()]);
    if forwarding.x_forwarded {
        if fields.contains(names::X_FORWARDED_FOR) {
            let mut hops = fields.get_all(names::X_FORWARDED_FOR).collect::<Vec<_>>().join(&b", "[..]);
            hops.extend_from_slice(b", ");
            hops.extend_from_slice(peer);
            fields.set(names::X_FORWARDED_FOR, &hops);
        } else {
            fields.push(names::X_FORWARDED_FOR, peer);
        }
        if !fields.contains(names::X_FORWARDED_HOST) && !host.is_empty() {
            fields.push(names::X_FORWARDED_HOST, host);
        }
    }
    if forwarding.rfc7239 {
        let proto: &[u8] = if https { b"https" } else { b"http" };
        // An IPv6 address stands in brackets and quotes (RFC 7239 section 6).
        let (open, close): (&[u8], &[u8]) = if peer.contains(&b':') { (b"\"[", b"]\"") } else { (b"", b"") };
        let parts: [&[u8]; 8] = [b"for=", open, peer, close, b";host=\"", host, b"\";proto=", proto];
        fields.push_parts(names::FORWARDED, &parts);
    }
}

/// The client's connection as a service is told of it: its port is 0 where the client stands behind a proxy that named
/// only its address.
pub fn ends(client: &Client) -> Ends {
    let direct = client.ip == canonical(client.peer.ip());
    let port = if direct { client.peer.port() } else { 0 };
    (SocketAddr::new(client.ip, port), client.local)
}

/// Aims the prepared request at one endpoint, whose name the service may want as Host.
pub fn aim(exchange: &mut Exchange, service: &Service, endpoint: &EndpointSettings) {
    let mut target = std::mem::take(&mut exchange.record.target);
    target.clear();
    target.extend_from_slice(exchange.upstream_path());
    if let Some(query) = exchange.upstream_query() {
        target.push(b'?');
        target.extend_from_slice(query);
    }
    exchange.request.set_target(&target);
    exchange.record.target = target;
    if let (Some(name), Some(timeout)) = (&service.deadline_header, exchange.plan.timeout) {
        let left = timeout.saturating_sub(exchange.record.elapsed()).as_millis();
        exchange.request.fields.set(name.as_name(), left.to_string().as_bytes());
    }
    let nameless = !exchange.request.fields.contains(names::HOST);
    if nameless || (service.host == HostHeader::Target && exchange.plan.host.is_none()) {
        exchange.request.fields.set(names::HOST, endpoint.authority.as_bytes());
    }
    if let Some(credentials) = &service.credentials {
        credentials.sign(exchange);
    }
}

/// Whether the request can be sent again: nothing of a body has been taken from the client.
pub fn is_bodyless(exchange: &Exchange) -> bool {
    matches!(exchange.request.framing, Framing::None | Framing::Length(0))
}
