//! What the service gets: the request as shaped by policies, with what a proxy must add.
//!
//! `Via` (RFC 9110 section 7.6.3), `Forwarded` (RFC 7239) and its `X-Forwarded-*` relatives, the request id and the
//! trace context. Fields of these names that could not be believed were removed when the request was received.
//! Used by the road and by `explain` alike.

use http1::{Framing, Version, names};

use super::service::{EndpointSettings, HostHeader, Service};
use crate::exchange::Exchange;

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
    let mut peer_text = IpText { bytes: [0; 46] };
    let peer = peer_text.write(exchange.client.peer.ip());
    let proto: &[u8] = if exchange.client.https { b"https" } else { b"http" };
    let fields = &mut exchange.request.fields;
    let host_line: Vec<u8>;
    let host = match fields.get(names::HOST) {
        Some(host) => {
            host_line = host.to_vec();
            &host_line[..]
        }
        None => b"",
    };
    fields.push(
        names::VIA,
        if exchange.request.version == Version::Http10 { b"1.0 tidegate" } else { b"1.1 tidegate" },
    );
    if forwarding.x_forwarded {
        if fields.contains(names::X_FORWARDED_FOR) {
            let mut hops = fields.get_all(names::X_FORWARDED_FOR).collect::<Vec<_>>().join(&b", "[..]);
            hops.extend_from_slice(b", ");
            hops.extend_from_slice(peer);
            fields.set(names::X_FORWARDED_FOR, &hops);
        } else {
            fields.push(names::X_FORWARDED_FOR, peer);
        }
        if !fields.contains(names::X_FORWARDED_PROTO) {
            fields.push(names::X_FORWARDED_PROTO, proto);
        }
        if !fields.contains(names::X_FORWARDED_HOST) && !host.is_empty() {
            fields.push(names::X_FORWARDED_HOST, host);
        }
    }
    if forwarding.rfc7239 {
        let quote: &[u8] = if peer.contains(&b':') { b"\"[" } else { b"" };
        let unquote: &[u8] = if peer.contains(&b':') { b"]\"" } else { b"" };
        let parts: [&[u8]; 7] = [b"for=", quote, peer, unquote, b";host=\"", host, b"\";proto="];
        let mut all = parts.to_vec();
        all.push(proto);
        fields.push_parts(names::FORWARDED, &all);
    }
    fields.set(names::X_REQUEST_ID, exchange.id.as_bytes());
    fields.set(names::TRACEPARENT, &exchange.trace.to_parent());
    match (&exchange.plan.host, &service.host) {
        (Some(host), _) => fields.set(names::HOST, host),
        (None, HostHeader::Fixed(host)) => fields.set(names::HOST, host),
        (None, HostHeader::Client | HostHeader::Target) => {}
    }
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
    let nameless = !exchange.request.fields.contains(names::HOST);
    if nameless || (service.host == HostHeader::Target && exchange.plan.host.is_none()) {
        exchange.request.fields.set(names::HOST, endpoint.authority.as_bytes());
    }
}

/// Whether the request can be sent again: nothing of a body has been taken from the client.
pub fn is_bodyless(exchange: &Exchange) -> bool {
    matches!(exchange.request.framing, Framing::None | Framing::Length(0))
}

/// Room for an address as text.
struct IpText {
    bytes: [u8; 46],
}

impl IpText {
    fn write(&mut self, address: std::net::IpAddr) -> &[u8] {
        use std::io::Write;
        let mut room = &mut self.bytes[..];
        let before = room.len();
        let _ = write!(room, "{}", crate::http::trust::canonical(address));
        let used = before.saturating_sub(room.len());
        self.bytes.get(..used).unwrap_or_default()
    }
}
