//! Where clients arrive, and what they may cost: listeners, limits, time-outs.

use super::place::Spanned;
use super::tls::ListenerTls;
use crate::values::{Address, Cidr, Duration, Invalid, Size, text_value};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// An address on which clients arrive.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct Listener {
    /// The IP address and port to listen on. Port 0 lets the system choose one.
    pub address: Spanned<Address>,
    /// TLS on this listener. Default: none, clients are served in clear.
    #[serde(default)]
    pub tls: Option<ListenerTls>,
    /// Serve HTTP/2 besides HTTP/1.1. Under TLS the client chooses (ALPN); in clear HTTP/2 is for clients that begin with
    /// it (prior knowledge), `Upgrade: h2c` is never followed. Default: true on listeners with TLS, false in clear.
    #[serde(default)]
    pub http2: Option<bool>,
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
    /// Whether connections begin with a PROXY protocol header (version 1 or 2) that says whose they are: `off` (the
    /// default), `required` (or `true`: a connection without one is closed, and so is one that comes from no trusted
    /// proxy), or `optional` (trusted proxies may send one, all others are served as they come). Only the
    /// `trusted_proxies` are believed. The header must come within `timeouts.head`.
    #[serde(default)]
    pub proxy_protocol: ProxyProtocol,
    /// Refuse paths that hold an encoded slash (`%2F`) with 400. Default: false; it is then data, never a separator,
    /// and is forwarded as it came. Turn it on where a service behind decodes it into a separator.
    #[serde(default)]
    pub reject_encoded_slash: bool,
}

/// Whether connections begin with a PROXY protocol header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ProxyProtocol {
    /// No.
    #[default]
    Off,
    /// Those of trusted proxies may.
    Optional,
    /// All do, and all come from trusted proxies.
    Required,
}

impl FromStr for ProxyProtocol {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text {
            "off" | "false" => Ok(Self::Off),
            "optional" => Ok(Self::Optional),
            "required" | "true" => Ok(Self::Required),
            _ => Err(Invalid::new(
                format!("`{}` is no way to take the PROXY protocol", text.escape_debug()),
                "write `required`, `optional` or `off`; versions 1 and 2 are both taken",
            )),
        }
    }
}

impl fmt::Display for ProxyProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Off => "off",
            Self::Optional => "optional",
            Self::Required => "required",
        })
    }
}

text_value!(ProxyProtocol, "ProxyProtocol", "required, optional or off", {
    "anyOf": [
        { "type": "string", "pattern": r"^(off|optional|required|.*\$\{.*)$" },
        { "type": "boolean" }
    ],
    "description": "Whether connections begin with a PROXY protocol header: `required` (or true), `optional`, `off`.",
    "examples": ["required", "optional"]
});

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
    /// How many connections one listener has at a time. Default 10000. Beyond it: 503 and close.
    pub connections: u32,
    /// How many of them one client address may have; the addresses of an IPv6 /64 network count as one. Default 5000, so
    /// that nobody alone fills a listener. Beyond it: 503 and close. Trusted proxies are not bounded, the clients that
    /// they name by the PROXY protocol are.
    pub connections_per_client: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            request_line: Size::from_kib(8),
            header: Size::from_kib(16),
            headers: Size::from_kib(32),
            header_count: 100,
            connections: 10_000,
            connections_per_client: 5_000,
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
