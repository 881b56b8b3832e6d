//! How the state of targets is known: checks of our own, what requests tell, and what follows from it.

use super::answers::Status;
use super::codes;
use super::diagnostic::Diagnostics;
use super::pairs::OneOrMany;
use super::place::Span;
use super::service::{Protocol, Service};
use crate::values::{Duration, Percent};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Asks each target again and again whether it is well. The gateway does so once for all its workers.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(from = "WrittenCheck")]
pub struct HealthCheck {
    /// What a GET asks for: `/healthz`. Without it, a target is well when it accepts a connection.
    pub path: Option<String>,
    /// Asks by gRPC (`grpc.health.v1.Health/Check`) instead: `true` for the whole server, or the name of a service. The
    /// service must speak HTTP/2 (`protocol: http2`).
    pub grpc: Option<String>,
    /// Statuses of a target that is well. Default: 200 to 299.
    pub status: OneOrMany<Status>,
    /// A text that must stand in the first 64KiB of the answer. Default: none.
    pub body: Option<String>,
    /// The `Host` that is sent. Default: that of the service, or else the target's own.
    pub host: Option<String>,
    /// Time between two checks of one target, a tenth more or less. Default 5s.
    pub interval: Duration,
    /// Time for one check. Default 2s.
    pub timeout: Duration,
    /// Good checks in a row after which a target that was down is used again. Default 2.
    pub rise: u32,
    /// Failed checks in a row after which a target is down. Default 3. The first check of all decides alone.
    pub fall: u32,
}

/// A check as written: its path, or a map.
#[derive(Deserialize, JsonSchema)]
#[serde(rename = "$shape", rename_all = "lowercase")]
#[schemars(untagged)]
enum WrittenCheck {
    Text(String),
    Map(CheckSettings),
}

/// Asks each target again and again whether it is well. The gateway does so once for all its workers.
#[derive(Deserialize, JsonSchema)]
#[serde(default)]
struct CheckSettings {
    /// What a GET asks for: `/healthz`. Without it, a target is well when it accepts a connection.
    path: Option<String>,
    /// Asks by gRPC (`grpc.health.v1.Health/Check`) instead: `true` for the whole server, or the name of a service. The
    /// service must speak HTTP/2 (`protocol: http2`).
    grpc: Option<String>,
    /// Statuses of a target that is well. Default: 200 to 299.
    status: OneOrMany<Status>,
    /// A text that must stand in the first 64KiB of the answer. Default: none.
    body: Option<String>,
    /// The `Host` that is sent. Default: that of the service, or else the target's own.
    host: Option<String>,
    /// Time between two checks of one target, a tenth more or less. Default 5s.
    interval: Duration,
    /// Time for one check. Default 2s.
    timeout: Duration,
    /// Good checks in a row after which a target that was down is used again. Default 2.
    rise: u32,
    /// Failed checks in a row after which a target is down. Default 3. The first check of all decides alone.
    fall: u32,
}

impl Default for CheckSettings {
    fn default() -> Self {
        Self {
            path: None,
            grpc: None,
            status: OneOrMany::default(),
            body: None,
            host: None,
            interval: Duration::from_secs(5),
            timeout: Duration::from_secs(2),
            rise: 2,
            fall: 3,
        }
    }
}

impl From<WrittenCheck> for HealthCheck {
    fn from(written: WrittenCheck) -> Self {
        let settings = match written {
            WrittenCheck::Text(path) => CheckSettings { path: Some(path), ..CheckSettings::default() },
            WrittenCheck::Map(settings) => settings,
        };
        let CheckSettings { path, grpc, status, body, host, interval, timeout, rise, fall } = settings;
        Self { path, grpc, status, body, host, interval, timeout, rise, fall }
    }
}

/// Takes a target out for a while that fails requests of clients, or is far slower than the others.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct Eject {
    /// Failures in a row, of all workers together, after which a target is out. Failures are refused or broken
    /// connections, answers that do not come, and answers of 500 and above. Default 5.
    pub errors: u32,
    /// The share of failures within `window` from which a target is out. Default 50%.
    pub error_rate: Percent,
    /// The time that `error_rate` looks back. Default 10s.
    pub window: Duration,
    /// Requests that a target must have had, or that must be waiting for it, before its share of failures or its
    /// slowness says anything. Default 5.
    pub min_requests: u32,
    /// When a target is too slow.
    pub slow: Slow,
    /// How long a target is out the first time. Each further time it is out that much longer. Where there is a `health_check`, it
    /// stays out until a check is good as well. Default 10s.
    #[serde(rename = "for")]
    pub time: Duration,
    /// The longest time that a target is out. Default 5m.
    pub max_for: Duration,
    /// The largest share of a service's targets that may be out; one may always be, if there are others. Default 50%.
    pub most: Percent,
}

/// When a target is too slow: both must hold.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct Slow {
    /// How many times slower it answers, in the middle, than the others. While requests wait for it, the time that
    /// nothing has come counts as well. Default 5.
    pub times: u32,
    /// The least time to answer that counts as slow. Default 500ms.
    pub over: Duration,
}

impl Default for Eject {
    fn default() -> Self {
        Self {
            errors: 5,
            error_rate: Percent::whole(50),
            window: Duration::from_secs(10),
            min_requests: 5,
            slow: Slow::default(),
            time: Duration::from_secs(10),
            max_for: Duration::from_secs(300),
            most: Percent::whole(50),
        }
    }
}

impl Default for Slow {
    fn default() -> Self {
        Self { times: 5, over: Duration::from_millis(500) }
    }
}

/// Reports what the types cannot say about a service's checks. `at` knows where a key of the service stands;
/// `complete` is false where a target could not be read.
pub(super) fn check(
    name: &str,
    service: &Service,
    at: &dyn Fn(&[&str]) -> Span,
    complete: bool,
    diagnostics: &mut Diagnostics,
) {
    let serving =
        |backup: bool| service.targets.iter().any(|target| target.backup == backup && target.weight > 0);
    if complete && serving(true) && !serving(false) {
        let message = format!("every target of service `{name}` is a backup");
        diagnostics
            .error(codes::BAD_VALUE, at(&["targets"]), message)
            .help("a backup stands in for others: leave `backup` out for at least one with a weight");
    }
    let mut nothing = |path: &[&str], zero: bool| {
        if zero {
            let message = format!("`{}` of service `{name}`: nothing would be allowed", path.join("."));
            diagnostics
                .error(codes::BAD_VALUE, at(path), message)
                .help("write more than 0, or leave it out for the default");
        }
    };
    if let Some(check) = &service.health_check {
        nothing(&["health_check", "interval"], check.interval.is_zero());
        nothing(&["health_check", "timeout"], check.timeout.is_zero());
        nothing(&["health_check", "rise"], check.rise == 0);
        nothing(&["health_check", "fall"], check.fall == 0);
    }
    if let Some(eject) = &service.eject {
        nothing(&["eject", "errors"], eject.errors == 0);
        nothing(&["eject", "error_rate"], eject.error_rate == Percent::ZERO);
        nothing(&["eject", "window"], eject.window.is_zero());
        nothing(&["eject", "min_requests"], eject.min_requests == 0);
        nothing(&["eject", "slow", "times"], eject.slow.times == 0);
        nothing(&["eject", "slow", "over"], eject.slow.over.is_zero());
        nothing(&["eject", "for"], eject.time.is_zero());
        nothing(&["eject", "most"], eject.most == Percent::ZERO);
        if eject.max_for < eject.time {
            let message = format!(
                "service `{name}`: `eject.for` ({}) is longer than `eject.max_for` ({})",
                eject.time, eject.max_for
            );
            diagnostics
                .error(codes::CONFLICT, at(&["eject", "for"]), message)
                .help("shorten the one or lengthen the other");
        }
    }
    if let Some(check) = &service.health_check {
        check_path(name, check, at, diagnostics);
    }
    check_grpc(name, service, at, diagnostics);
}

fn check_grpc(name: &str, service: &Service, at: &dyn Fn(&[&str]) -> Span, diagnostics: &mut Diagnostics) {
    let Some((check, asked)) =
        service.health_check.as_ref().and_then(|check| Some((check, check.grpc.as_ref()?)))
    else {
        return;
    };
    let span = at(&["health_check", "grpc"]);
    if service.protocol != Protocol::Http2 {
        let message = format!("the check of service `{name}` is by gRPC, which is spoken over HTTP/2");
        diagnostics.error(codes::CONFLICT, span, message).help("write `protocol: http2` at the service");
    }
    if check.path.is_some() || !check.status.is_empty() || check.body.is_some() {
        let message = format!("the check of service `{name}` asks by gRPC and expects an answer of HTTP");
        diagnostics
            .error(codes::CONFLICT, span, message)
            .help("remove `grpc`, or `path`, `status` and `body`");
    }
    if asked.is_empty() || asked.len() > 127 || !asked.bytes().all(|byte| byte.is_ascii_graphic()) {
        let message = format!("`{}` is not the name of a service of gRPC", asked.escape_debug());
        diagnostics
            .error(codes::BAD_VALUE, span, message)
            .help("write a name such as shop.Catalog, or `true` for the whole server");
    }
}

fn check_path(name: &str, check: &HealthCheck, at: &dyn Fn(&[&str]) -> Span, diagnostics: &mut Diagnostics) {
    match &check.path {
        None if check.grpc.is_some() => {}
        None if !check.status.is_empty() || check.body.is_some() || check.host.is_some() => {
            let message = format!("the check of service `{name}` expects an answer and asks for nothing");
            diagnostics
                .error(codes::CONFLICT, at(&["health_check"]), message)
                .help("add a `path` such as /healthz, or remove `status`, `body` and `host`");
        }
        Some(path) if !is_target(path) => {
            let message = format!("`{}` is not the path of a check", path.escape_debug());
            diagnostics.error(codes::BAD_VALUE, at(&["health_check", "path"]), message).help(
                "write a path such as /healthz; without one, a target is well when it accepts a connection",
            );
        }
        _ => {}
    }
    if let Some(host) = check.host.as_deref()
        && (host.is_empty() || !host.bytes().all(|byte| byte.is_ascii_graphic()))
    {
        let message = format!("`{}` is not a host", host.escape_debug());
        diagnostics
            .error(codes::BAD_VALUE, at(&["health_check", "host"]), message)
            .help("write a host such as users.example.com");
    }
}

/// Whether a text can stand as the target of a request line.
fn is_target(path: &str) -> bool {
    path.starts_with('/') && path.len() <= 2_000 && path.bytes().all(|b| b.is_ascii_graphic() && b != b'#')
}
