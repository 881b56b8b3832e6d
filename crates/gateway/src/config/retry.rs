//! Sending a request again, as written.

use super::codes;
use super::diagnostic::Diagnostics;
use super::pairs::OneOrMany;
use super::pattern::Method;
use super::place::Span;
use super::service::Service;
use crate::values::{Duration, Failure, Percent, Size};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Sends a request again when a target fails: to another target, where there is one.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct Retry {
    /// How often a request is sent at most, the first time included: 2 to 10. Default 2.
    #[schemars(range(min = 2, max = 10))]
    pub attempts: u32,
    /// What it is sent again for: `connect`, `reset`, `timeout`, `invalid` (an answer that breaks the rules of HTTP), `5xx`, or
    /// a status from 400. Default: connect, reset, timeout, 502, 503, 504. An answer with `Retry-After` is never a reason:
    /// it says that now is too soon.
    pub on: OneOrMany<Failure>,
    /// Which methods. Default: GET, HEAD, OPTIONS, PUT, DELETE. POST and PATCH may do something twice: where they are
    /// written here, a request is sent again only if it has an `Idempotency-Key`, by which the service knows it again.
    /// A request of which the service has got nothing is sent again whatever its method.
    pub methods: OneOrMany<Method>,
    /// The rest before the first repetition, which doubles with each: by chance between nothing and this. Default 25ms.
    pub backoff: Duration,
    /// The longest rest. Default 250ms.
    pub max_backoff: Duration,
    /// Time for the answer to one attempt, where it is to be shorter than the `timeout` of the service. Default: none.
    pub per_try_timeout: Option<Duration>,
    /// The share of requests to the service that may be repetitions, over the last 2s and over all workers and routes; 3 of
    /// them are always free. Beyond it a request is not sent again. Default 20%.
    pub budget: Percent,
    /// The largest body that is kept to be sent again. A request with more of it is not sent again. Default 64KiB.
    pub max_body: Size,
}

impl Default for Retry {
    fn default() -> Self {
        use Failure::{Connect, Reset, Status, Timeout};
        let methods = ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"].iter().filter_map(|name| name.parse().ok());
        Self {
            attempts: 2,
            on: vec![Connect, Reset, Timeout, Status(502), Status(503), Status(504)].into(),
            methods: methods.collect::<Vec<_>>().into(),
            backoff: Duration::from_millis(25),
            max_backoff: Duration::from_millis(250),
            per_try_timeout: None,
            budget: Percent::whole(20),
            max_body: Size::from_kib(64),
        }
    }
}

impl Retry {
    /// What is wrong with it, with the remedy.
    pub fn fault(&self) -> Option<(String, &'static str)> {
        if !(2..=10).contains(&self.attempts) {
            let fault = format!("`attempts: {}` is not between 2 and 10", self.attempts);
            return Some((fault, "the first time counts: 2 sends a request once more"));
        }
        let never =
            |failure: &&Failure| matches!(failure, Failure::OpenCircuit | Failure::Full | Failure::NoTarget);
        if let Some(failure) = self.on.iter().find(never) {
            let fault = format!("`{failure}` is no reason to send a request again");
            return Some((fault, "the service was not even asked: `fallback` is for that"));
        }
        if self.on.is_empty() || self.methods.is_empty() {
            let key = if self.on.is_empty() { "on" } else { "methods" };
            return Some((format!("`{key}` of `retry` is empty"), "leave it out for the default"));
        }
        if self.budget == Percent::ZERO {
            return Some((
                "a `budget` of nothing lets nothing be sent again".to_owned(),
                "leave `retry` out",
            ));
        }
        if self.per_try_timeout.is_some_and(|time| time.is_zero()) {
            return Some((
                "a `per_try_timeout` of no time ends every try".to_owned(),
                "leave it out for none",
            ));
        }
        None
    }
}

/// Reports what the types cannot say of the `retry` of a service.
pub(super) fn check(name: &str, service: &Service, at: Span, diagnostics: &mut Diagnostics) {
    if let Some((fault, remedy)) = service.retry.as_ref().and_then(Retry::fault) {
        diagnostics.error(codes::BAD_VALUE, at, format!("{fault}, in service `{name}`")).help(remedy);
    }
}
