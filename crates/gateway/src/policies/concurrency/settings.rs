//! What a user writes under `concurrency`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::{OneOrMany, Spanned, written_as_it_is};
use crate::policies::per::Scope;
use crate::values::{Duration, Name, PerWord};

/// How many requests may be under way at once: a number, or a map.
///
/// A request is under way from here until its answer has been sent, a tunnel until it ends. One that finds no place waits
/// for one, if `queue` lets it; else it gets 503, or 429 where it is about one client (`per`), with `Retry-After`. With
/// `adaptive` the number follows the latency of the service: it falls when answers get slower than they usually are, and
/// grows while they do not.
///
/// ```yaml
/// concurrency: 100
/// ```
///
/// ```yaml
/// concurrency: { max: 4, per: ip, queue: 20, wait: 250ms }
/// ```
///
/// ```yaml
/// concurrency: { max: 500, scope: service, adaptive: { min: 20 }, priority: low }
/// ```
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename = "$shape", rename_all = "lowercase")]
#[schemars(untagged, rename = "Concurrency")]
pub enum Concurrency {
    /// So many on this route.
    Number(Spanned<u64>),
    /// All about it.
    Map(Box<ConcurrencyMap>),
}

written_as_it_is!(Concurrency: Number, Map);

/// The long form.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[schemars(rename = "ConcurrencySettings")]
pub struct ConcurrencyMap {
    /// How many at once, from 1 to 1000000. With `adaptive` the most there may ever be.
    pub(super) max: Spanned<u64>,
    /// Who has a number of his own: a source or a list of sources; `all` for all together. IPv6 addresses count by their
    /// /64. Default: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) per: Option<OneOrMany<Spanned<PerWord>>>,
    /// Over which requests it counts: those of the `route`, of all routes to the same `service`, or `global`, of all routes
    /// that have it by its name. Default: route.
    #[serde(default)]
    pub(super) scope: Scope,
    /// Its name, by which routes share it, and which clients are told. Default: its number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<Name>,
    /// How many may wait for a place, all clients together. Default: 0.
    #[serde(default)]
    pub(super) queue: u64,
    /// How long one waits at most. Default: 100ms.
    #[serde(default = "hundred_millis")]
    pub(super) wait: Duration,
    /// How much the requests of this route matter: `high` may take every place, `normal` 95 of 100 and `low` 80 of 100, so
    /// that low ones are refused first. It matters where routes share a number. Default: high.
    #[serde(default)]
    pub(super) priority: Priority,
    /// Let the number follow the latency of the service. Only without `per`. Default: it stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) adaptive: Option<Spanned<Adaptive>>,
}

/// How the number follows the latency.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[schemars(rename = "ConcurrencyAdaptive")]
pub(super) struct Adaptive {
    /// The least it falls to. Default: 10.
    #[serde(default = "ten")]
    pub(super) min: u64,
}

fn ten() -> u64 {
    10
}

const fn hundred_millis() -> Duration {
    Duration::from_millis(100)
}

/// How much requests matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "Priority")]
pub(super) enum Priority {
    /// They may take every place.
    #[default]
    High,
    /// They leave 5 of 100 to others.
    Normal,
    /// They leave 20 of 100.
    Low,
}
