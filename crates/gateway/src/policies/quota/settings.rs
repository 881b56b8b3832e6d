//! What a user writes under `quota`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::calendar::Every;
use crate::config::{OneOrMany, Spanned};
use crate::policies::per::Scope;
use crate::policies::shared::{Kept, OnFault};
use crate::values::{Amount, Name, PerWord, Zone};

/// How much may be used within an hour, a day, a week, a month or a year of the calendar.
///
/// Each request counts for one. What was used is written to the folder `state`, which stands at the top of the file, and
/// known again after a restart; a crash forgets what was used in the last moment. With `store: redis` it is counted by all
/// gateways together. A request that finds the quota used up gets 429 with the problem type `quota-exceeded`, and
/// `Retry-After` says when the next period begins. All answers tell what is left in `RateLimit` and `RateLimit-Policy`. A
/// changed amount holds from the reload on and keeps what was used. `GET /api/v1/quotas` of the admin address tells who has
/// used how much.
///
/// ```yaml
/// quota: { amount: 1_000_000, every: month, per: consumer, zone: Europe/Berlin }
/// ```
///
/// ```yaml
/// quota: { name: api, amount: 10_000, every: day, scope: global, usage: /api/usage }
/// ```
///
/// ```yaml
/// quota: { amount: 1_000_000, every: month, store: redis, on_fault: open }
/// ```
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct Quota {
    /// How many requests may come within a period; from 1 to 1099511627775.
    pub(super) amount: Spanned<Amount>,
    /// How long a period is: `hour`, `day`, `week` (from Monday), `month` or `year`, as calendars and clocks of the zone
    /// have them.
    pub(super) every: Every,
    /// The time zone, as `Europe/Berlin`. Default: UTC.
    #[serde(default)]
    pub(super) zone: Zone,
    /// Who has a quota of his own: a source or a list of sources, together one key; `all` for one quota for all. Requests
    /// that lack a source share one. Default: consumer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) per: Option<OneOrMany<Spanned<PerWord>>>,
    /// Over which requests it counts: those of the `route`, of all routes to the same `service`, or `global`, of all routes
    /// that have this quota by its name. Default: route.
    #[serde(default)]
    pub(super) scope: Scope,
    /// Its name for clients and in the list of what was used. Default: its amount and period.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<Name>,
    /// A path of this route at which a GET tells the caller what he has used. Such a request counts for nothing and does
    /// not reach the service. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) usage: Option<Spanned<String>>,
    /// Where it is counted: `local`, by this gateway alone, or `redis`, by all gateways that have this quota under the same
    /// route (or service, or `global`), name, period, zone and `per`, and the same Redis, which stands at the top of the
    /// file. Then `state` may be missing: it keeps what could not be told to Redis before a restart. Default: local.
    #[serde(default)]
    pub(super) store: Kept,
    /// What becomes of requests while Redis does not answer in time: `local`, each gateway goes on from what it knows to be
    /// used; `open`, they pass; `closed`, they get 503. What passes meanwhile is added when Redis is back. Default: local.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) on_fault: Option<Spanned<OnFault>>,
}
