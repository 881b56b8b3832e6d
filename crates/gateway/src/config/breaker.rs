//! The circuit breaker of a service, as written.

use super::codes;
use super::diagnostic::Diagnostics;
use super::pairs::OneOrMany;
use super::place::Span;
use crate::values::{Duration, Failure, Percent};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Sends a service, or one target of it, nothing for a while when too many of its requests fail: with 503 at once where nobody
/// else can be asked.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct CircuitBreaker {
    /// What has a circuit: the `service` as a whole, or each `target` of it (each address, where a name has several), which is
    /// then passed over while the others are asked. Default `service`.
    pub per: CircuitOf,
    /// The share of failed requests within `window` that opens the circuit. Default 50%.
    pub error_rate: Percent,
    /// What is a failure: `connect`, `reset`, `timeout`, `invalid`, `no_target`, `5xx`, or a status from 400. Default: all these
    /// faults and 5xx.
    pub on: OneOrMany<Failure>,
    /// Slow answers that open the circuit as well. Default: slowness alone never does.
    pub slow: Option<SlowShare>,
    /// The time that the shares look back. Default 10s.
    pub window: Duration,
    /// Requests within `window` before a share says anything. Default 20.
    pub min_requests: u32,
    /// How long the circuit is open before trials are made. Default 30s.
    pub open_for: Duration,
    /// Requests that are let through as trials; when all are good the circuit closes, when one fails it opens anew.
    /// Default 5.
    pub half_open: u32,
}

/// What a circuit is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CircuitOf {
    /// The service as a whole.
    #[default]
    Service,
    /// Each target by itself.
    Target,
}

/// Slow answers that open the circuit.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct SlowShare {
    /// The time to the head of an answer from which it is slow. Default 1s.
    pub over: Duration,
    /// The share of slow answers that opens the circuit. Default 80%.
    pub rate: Percent,
}

impl Default for CircuitBreaker {
    fn default() -> Self {
        use Failure::{Class5, Connect, Invalid, NoTarget, Reset, Timeout};
        Self {
            per: CircuitOf::Service,
            error_rate: Percent::whole(50),
            on: vec![Connect, Reset, Timeout, Invalid, NoTarget, Class5].into(),
            slow: None,
            window: Duration::from_secs(10),
            min_requests: 20,
            open_for: Duration::from_secs(30),
            half_open: 5,
        }
    }
}

impl Default for SlowShare {
    fn default() -> Self {
        Self { over: Duration::from_secs(1), rate: Percent::whole(80) }
    }
}

/// Reports what the types cannot say. `at` knows where a key of the service stands.
pub(super) fn check(
    name: &str,
    breaker: &CircuitBreaker,
    at: &dyn Fn(&[&str]) -> Span,
    diagnostics: &mut Diagnostics,
) {
    let slow = breaker.slow.as_ref();
    let never = |failure: &&Failure| matches!(failure, Failure::OpenCircuit | Failure::Full);
    if breaker.on.is_empty() || breaker.on.iter().any(|failure| never(&failure)) {
        let message =
            format!("`circuit_breaker.on` of service `{name}` names what is no failure of the service");
        diagnostics
            .error(codes::BAD_VALUE, at(&["circuit_breaker", "on"]), message)
            .help("write connect, reset, timeout, invalid, no_target, 5xx, or a status from 400");
    }
    for (path, zero) in [
        (&["circuit_breaker", "error_rate"][..], breaker.error_rate == Percent::ZERO),
        (&["circuit_breaker", "slow", "over"], slow.is_some_and(|slow| slow.over.is_zero())),
        (&["circuit_breaker", "slow", "rate"], slow.is_some_and(|slow| slow.rate == Percent::ZERO)),
        (&["circuit_breaker", "window"], breaker.window.is_zero()),
        (&["circuit_breaker", "min_requests"], breaker.min_requests == 0),
        (&["circuit_breaker", "open_for"], breaker.open_for.is_zero()),
        (&["circuit_breaker", "half_open"], breaker.half_open == 0),
    ] {
        if zero {
            let message = format!("`{}` of service `{name}` is nothing", path.join("."));
            diagnostics
                .error(codes::BAD_VALUE, at(path), message)
                .help("write more than 0, or leave it out for the default");
        }
    }
}
