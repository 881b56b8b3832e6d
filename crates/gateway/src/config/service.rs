//! Services and their targets: what stands behind the gateway.

use super::breaker::CircuitBreaker;
use super::credentials::Credentials;
use super::health::{Eject, HealthCheck};
use super::pairs::OneOrMany;
use super::place::Spanned;
use super::retry::Retry;
use super::tls::ServiceTls;
use crate::values::{
    Duration, HeaderName, Invalid, Name, Percent, Size, Source, TargetHost, TargetUrl, text_value,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// A named set of targets that do the same job.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct Service {
    /// The instances: one URL, or a list of URLs or of maps with `url` and `weight`. At least one.
    pub targets: OneOrMany<Target>,
    /// What targets speak: `http1` (the default), `http2`, or `auto`, which lets a target with `https://` choose in the
    /// handshake (ALPN) and speaks HTTP/1.1 to others. `http2` in clear is spoken from the first byte (prior knowledge).
    /// Requests then share connections: as many at a time on each as the target allows, 100 at most.
    #[serde(default)]
    pub protocol: Protocol,
    /// How a target is chosen. Default `round_robin`.
    #[serde(default)]
    pub balance: Balance,
    /// How long connecting to a target may take. Default 1s. Then the next target is tried.
    #[serde(default = "one_second")]
    pub connect_timeout: Duration,
    /// From the request sent to the head of the answer. Default 15s. Then 504.
    #[serde(default = "fifteen_seconds")]
    pub timeout: Duration,
    /// The longest silence inside an answer that is being streamed. Default 60s. Then the client's connection is closed.
    #[serde(default = "sixty_seconds")]
    pub idle_timeout: Duration,
    /// The longest silence of both sides of a tunnel, e.g. a WebSocket. Default 1h. Then it is closed.
    #[serde(default = "one_hour")]
    pub tunnel_timeout: Duration,
    /// Connections kept open for later requests.
    #[serde(default)]
    pub keep_alive: KeepAlive,
    /// What stands in the `Host` header sent to targets: `client` (as the client sent it, the default), `target` (the
    /// target's own host and port), or a host to send.
    #[serde(default)]
    pub host: HostHeader,
    /// What is asked of targets with `https://`, and shown to them.
    #[serde(default)]
    pub tls: ServiceTls,
    /// What the gateway proves itself to the service with: one of `bearer`, `basic`, `header`, `query`, `oauth2`. It stands in
    /// the place of whatever the client sent there. Default: nothing.
    #[serde(default)]
    pub credentials: Option<Credentials>,
    /// The largest head of an answer. Default 32KiB. Beyond it: 502.
    #[serde(default = "head_of_answer")]
    pub max_response_head: Size,
    /// Begin each connection to a target with a PROXY protocol header that names the client: `v1` (text) or `v2`
    /// (binary). Default: none. A connection then serves one client only: it is used again for requests of the same
    /// client connection and for no others, so fewer connections are shared.
    #[serde(default)]
    pub proxy_protocol: Option<ProxyVersion>,
    /// Asks each target again and again whether it is well: a path such as `/healthz`, or a map. Default: no checks.
    #[serde(default)]
    pub health_check: Option<HealthCheck>,
    /// Takes a target out for a while that fails requests of clients, or is far slower than the others; `{}` for the
    /// defaults. Default: none is taken out.
    #[serde(default)]
    pub eject: Option<Eject>,
    /// Sends the service nothing for a while when too many of its requests fail; `{}` for the defaults. Default: none.
    #[serde(default)]
    pub circuit_breaker: Option<CircuitBreaker>,
    /// Sends the requests of all routes again when a target fails; `{}` for the defaults. The `retry` of a route holds
    /// instead. Default: none is sent again.
    #[serde(default)]
    pub retry: Option<Retry>,
    /// How many requests the service has at a time, over all workers. Those on top wait in `queue`; who finds no place there,
    /// or waits too long, gets 503. Default: any number.
    #[serde(default)]
    pub max_in_flight: Option<u32>,
    /// Who waits when the service has `max_in_flight` requests.
    #[serde(default)]
    pub queue: Queue,
    /// A header that tells the service how many milliseconds are left of the route's `timeout`. Default: none.
    #[serde(default)]
    pub deadline_header: Option<HeaderName>,
    /// How long a target that comes back takes until it gets its full share: it begins with a tenth. Default 10s.
    #[serde(default = "ten_seconds")]
    pub slow_start: Duration,
    /// When the share of targets that are well is smaller than this, all are used, the ill ones too: better a few
    /// failures than the last good ones drowned. Default 0%: only when none is well.
    #[serde(default = "no_share")]
    pub panic_threshold: Percent,
}

const fn ten_seconds() -> Duration {
    Duration::from_secs(10)
}

const fn no_share() -> Percent {
    Percent::ZERO
}

const fn one_second() -> Duration {
    Duration::from_secs(1)
}

const fn fifteen_seconds() -> Duration {
    Duration::from_secs(15)
}

const fn sixty_seconds() -> Duration {
    Duration::from_secs(60)
}

const fn one_hour() -> Duration {
    Duration::from_secs(3_600)
}

const fn head_of_answer() -> Size {
    Size::from_kib(32)
}

impl Service {
    /// A service with one target and the default for everything else: what `to: http://users:8000` means.
    pub fn of_target(url: Spanned<TargetUrl>) -> Self {
        Self {
            targets: vec![Target { url, weight: 1, backup: false, zone: None }].into(),
            protocol: Protocol::default(),
            balance: Balance::default(),
            connect_timeout: one_second(),
            timeout: fifteen_seconds(),
            idle_timeout: sixty_seconds(),
            tunnel_timeout: one_hour(),
            keep_alive: KeepAlive::default(),
            host: HostHeader::default(),
            tls: ServiceTls::default(),
            credentials: None,
            max_response_head: head_of_answer(),
            proxy_protocol: None,
            health_check: None,
            eject: None,
            circuit_breaker: None,
            retry: None,
            max_in_flight: None,
            queue: Queue::default(),
            deadline_header: None,
            slow_start: ten_seconds(),
            panic_threshold: no_share(),
        }
    }
}

/// Who waits when a service has as many requests as it takes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct Queue {
    /// How many requests wait, over all workers. Default 100. With 0 nobody waits.
    pub max: u32,
    /// How long one waits. Default 1s.
    pub timeout: Duration,
}

impl Default for Queue {
    fn default() -> Self {
        Self { max: 100, timeout: one_second() }
    }
}

/// What is spoken to targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// HTTP/1.1.
    #[default]
    Http1,
    /// HTTP/2.
    Http2,
    /// What the target chooses.
    Auto,
}

/// A version of the PROXY protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ProxyVersion {
    /// A line of text.
    V1,
    /// Binary.
    V2,
}

/// One instance of a service.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(from = "WrittenTarget")]
pub struct Target {
    /// Where it is reached: `http://users-a:8000`.
    pub url: Spanned<TargetUrl>,
    /// Its share of the requests, compared with the other targets: 0 to 1000, default 1. With 0 it gets none and stays
    /// known.
    pub weight: u32,
    /// Whether it is asked only when no other is well, or when the others cannot be reached. Default false.
    pub backup: bool,
    /// Where it runs. A gateway with another `zone` asks it only when fewer than seven tenths of the targets of its own zone are
    /// well. Default: everywhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone: Option<Name>,
}

/// A target as written: its URL, or a map.
#[derive(Deserialize, JsonSchema)]
#[serde(rename = "$shape", rename_all = "lowercase")]
#[schemars(untagged)]
enum WrittenTarget {
    Text(Spanned<TargetUrl>),
    Map(TargetSettings),
}

/// One instance of a service.
#[derive(Deserialize, JsonSchema)]
struct TargetSettings {
    /// Where it is reached: `http://users-a:8000`.
    url: Spanned<TargetUrl>,
    /// Its share of the requests, compared with the other targets: 0 to 1000, default 1. With 0 it gets none and stays
    /// known.
    #[serde(default = "weight_of_one")]
    #[schemars(range(max = 1000))]
    weight: u32,
    /// Whether it is asked only when no other is well, or when the others cannot be reached. Default false.
    #[serde(default)]
    backup: bool,
    /// Where it runs. A gateway with another `zone` asks it only when fewer than seven tenths of the targets of its own zone are
    /// well. Default: everywhere.
    #[serde(default)]
    zone: Option<Name>,
}

const fn weight_of_one() -> u32 {
    1
}

impl From<WrittenTarget> for Target {
    fn from(written: WrittenTarget) -> Self {
        match written {
            WrittenTarget::Text(url) => Self { url, weight: 1, backup: false, zone: None },
            WrittenTarget::Map(TargetSettings { url, weight, backup, zone }) => {
                Self { url, weight, backup, zone }
            }
        }
    }
}

/// How a target is chosen among those of a service.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Balance {
    /// One after the other, by weight.
    #[default]
    RoundRobin,
    /// Of two chosen by chance, the one with fewer requests under way.
    LeastRequest,
    /// By chance, by weight.
    Random,
    /// Of two chosen by chance, the one that answered faster of late.
    Ewma,
    /// The same text always to the same target, as long as that one is there: `{ hash: header.x-tenant }`.
    Hash(Source),
}

/// Connections to targets that are kept open for later requests.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct KeepAlive {
    /// How long an idle connection is kept. Default 4s, below the 5s after which many servers close; a target that names
    /// its own time in `Keep-Alive` gets that minus 1s.
    pub idle: Duration,
    /// How many idle connections to one target each worker keeps. Default 256. With 0 each request has a connection of
    /// its own. Over HTTP/2, where requests share connections, also how many there may be at all, at least one.
    pub max_idle: u32,
}

impl Default for KeepAlive {
    fn default() -> Self {
        Self { idle: Duration::from_secs(4), max_idle: 256 }
    }
}

/// What stands in the `Host` header sent to targets.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum HostHeader {
    /// As the client sent it.
    #[default]
    Client,
    /// The target's own host and port.
    Target,
    /// This text.
    Literal(String),
}

impl FromStr for HostHeader {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text {
            "client" => return Ok(Self::Client),
            "target" => return Ok(Self::Target),
            _ => {}
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
            _ => (text, None),
        };
        let good_port =
            port.is_none_or(|port| port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok());
        if host.parse::<TargetHost>().is_ok() && good_port {
            return Ok(Self::Literal(text.to_owned()));
        }
        Err(Invalid::new(
            format!("`{}` is not a host", text.escape_debug()),
            "write `client`, `target`, or a host such as users.example.com",
        ))
    }
}

impl fmt::Display for HostHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Client => "client",
            Self::Target => "target",
            Self::Literal(text) => text,
        })
    }
}

text_value!(HostHeader, "HostHeader", "client, target or a host", {
    "type": "string",
    "description": "The `Host` sent to targets: `client`, `target`, or a host to send.",
    "examples": ["client", "target", "users.example.com"]
});
