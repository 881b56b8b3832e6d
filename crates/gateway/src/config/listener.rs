//! Where clients arrive, and what they may cost: listeners, limits, time-outs.

use super::place::Spanned;
use super::tls::ListenerTls;
use crate::values::{Address, Cidr, Duration, Size};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An address on which clients arrive.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct Listener {
    /// The IP address and port to listen on. Port 0 lets the system choose one.
    pub address: Spanned<Address>,
    /// TLS on this listener. Default: none, clients are served in clear.
    #[serde(default)]
    pub tls: Option<ListenerTls>,
    /// Answer every request that comes in clear with a redirection (308) to the same address under `https`: on a listener
    /// without TLS all of them, on one with TLS those that come to its port in clear and would else get 400. The
    /// redirection leads to the port of the first listener with TLS. Default: false.
    #[serde(default)]
    pub redirect_http: bool,
    /// Limits of this listener; what is left out is taken from the `limits` of the whole gateway.
    #[serde(default)]
    pub limits: Limits,
    /// Time-outs of this listener; what is left out is taken from the `timeouts` of the whole gateway.
    #[serde(default)]
    pub timeouts: Timeouts,
    /// Whose `Forwarded` and `X-Forwarded-*` headers are believed on this listener. Default: the `trusted_proxies` of
    /// the whole gateway.
    #[serde(default)]
    pub trusted_proxies: Vec<Cidr>,
    /// Refuse paths that hold an encoded slash (`%2F`) with 400. Default: false; it is then data, never a separator,
    /// and is forwarded as it came. Turn it on where a service behind decodes it into a separator.
    #[serde(default)]
    pub reject_encoded_slash: bool,
}

/// How much one client may send. What goes beyond is refused with the status named, and the connection is closed.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct Limits {
    /// The longest request line: method, target and version. Default 8KiB (RFC 9112 asks for at least 8000 bytes).
    /// Beyond it: 414.
    pub request_line: Size,
    /// The longest single header, name and value. Default 16KiB. Beyond it: 431.
    pub header: Size,
    /// All headers of a request together. Default 32KiB. Beyond it: 431.
    pub headers: Size,
    /// How many headers a request may have, trailers included. Default 100. Beyond it: 431.
    pub header_count: u32,
    /// How many clients may be connected to one listener at a time. Default 10000. Beyond it, connections wait in the
    /// system's queue.
    pub connections: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            request_line: Size::from_kib(8),
            header: Size::from_kib(16),
            headers: Size::from_kib(32),
            header_count: 100,
            connections: 10_000,
        }
    }
}

/// How long one client may take.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct Timeouts {
    /// How long the handshake of a TLS connection may take. Default 10s. Then the connection is closed.
    pub handshake: Duration,
    /// From the first byte of a request to the end of its head. Default 10s. Then 408 and close.
    pub head: Duration,
    /// How long an idle connection is kept for the next request. Default 75s.
    pub keep_alive: Duration,
    /// The longest silence inside a request body. Default 30s. Then 408 and close.
    pub body_idle: Duration,
    /// The least a request body must bring on average, in bytes per second; 0 turns it off. Default 512B. A client that
    /// drips slower is cut off.
    pub min_body_rate: Size,
    /// How long a client may take nothing of an answer that waits for it. Default 30s. Then the connection is closed.
    pub write_idle: Duration,
    /// How many requests one connection may carry; then it is closed in good order, so that clients spread over new
    /// nodes. Default 10000.
    pub max_requests: u32,
    /// How long one connection may live; it is closed in good order after the request then running. Default 1h, each
    /// connection a little less by chance.
    pub max_age: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(10),
            head: Duration::from_secs(10),
            keep_alive: Duration::from_secs(75),
            body_idle: Duration::from_secs(30),
            min_body_rate: Size::from_bytes(512),
            write_idle: Duration::from_secs(30),
            max_requests: 10_000,
            max_age: Duration::from_secs(3_600),
        }
    }
}
