//! What a user writes under `rate_limit`. What it stands for is `settled`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::{Named, OneOrMany, Spanned, written_as_it_is};
use crate::policies::per::Scope;
use crate::policies::shared::{Kept, OnFault};
use crate::values::{HeaderName, Name, PerWord, Rate, When};

/// How often requests may come: a rate such as `100/min`, a list of limits, or a map.
///
/// Each limit counts requests by `per`, the client's address unless it says otherwise, and lets `burst` requests come at
/// once; after that as many as the rate gives back. Over a time t at most `burst + rate * t` pass. Of several limits all
/// have to agree, and a request that one of them refuses consumes nothing at any of them. A refused request gets 429 with
/// the problem type `quota-exceeded` and `Retry-After`; all answers tell what is left in `RateLimit` and
/// `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers-10). A changed limit holds from the reload on and keeps what was
/// consumed. At most a million keys are remembered; when there are more, the one that is soonest back to nothing consumed
/// is dropped, and counted in `tidegate_rate_limit_dropped_total`.
///
/// ```yaml
/// rate_limit: 100/min
/// ```
///
/// ```yaml
/// rate_limit: { rate: 1000/hour, burst: 50, per: header.x-api-key }
/// ```
///
/// ```yaml
/// rate_limit:
///   limits: [20/s, { rate: 10000/day, per: [ip, path.shop] }, { name: all, rate: 5000/s, per: all, scope: service }]
///   mode: shadow
/// ```
///
/// ```yaml
/// rate_limit:
///   rates: { gold: 1000/min, default: 100/min }
///   per: consumer
///   schedule: [{ when: 2026-11-27 00:00/24:00 Europe/Berlin, rates: { default: 1000/min } }]
/// ```
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename = "$shape", rename_all = "lowercase")]
#[schemars(untagged, rename = "RateLimit")]
pub enum RateLimit {
    /// One rate for each address.
    Text(Spanned<Rate>),
    /// Several limits.
    List(Vec<Limit>),
    /// One limit or several, and how they are kept.
    Map(Box<RateLimitMap>),
}

written_as_it_is!(RateLimit: Text, List, Map);

/// The long form.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
#[schemars(rename = "RateLimitSettings")]
pub struct RateLimitMap {
    /// How often: a count and a period, at most 10000000 in a second. One of this, `rates` and `limits`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) rate: Option<Spanned<Rate>>,
    /// How often by the groups of the caller: a rate, or a map with `rate` and `burst`, for each. The first group in this
    /// order that the caller is in counts; `default` is for everybody else and has to be there. Each group counts for
    /// itself.
    #[serde(skip_serializing_if = "Named::is_empty")]
    pub(super) rates: Named<Grade>,
    /// How many requests may come at once. Default: the count of the rate. A small one spreads requests evenly and keeps
    /// any stretch of time near the rate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) burst: Option<Spanned<u64>>,
    /// The name of the limit in `RateLimit` and problem details. Default: its rate, and what it counts by where that is not
    /// the address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<Spanned<Name>>,
    /// What requests are counted by: a source or a list of sources, together one key; `all` to count all together. IPv6
    /// addresses count by their /64, which one customer has to himself. Requests that lack a source count together as
    /// one. Default: ip.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) per: Option<OneOrMany<Spanned<PerWord>>>,
    /// Over which requests it counts: those of the `route`, of all routes to the same `service`, or `global`, of all routes
    /// that have this limit. Limits of these two are one where their names are, else by their place in the list.
    /// Default: route.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) scope: Option<Scope>,
    /// How many requests one request counts for: a number, or a map with the header of the answer that says so. Routes that
    /// share a limit may each say a cost of their own. Default: 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cost: Option<Spanned<Cost>>,
    /// Other rates at certain times. The first entry whose time it is counts; outside of all the limit is as it stands.
    /// What was consumed stays when the rate changes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) schedule: Vec<Turn>,
    /// Several limits: rates, or maps with `rate` or `rates`, `burst`, `name`, `per`, `scope`, `cost` and `schedule` of
    /// their own. What they leave out of `per`, `scope` and `cost` is as said beside `limits`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) limits: Vec<Limit>,
    /// Where it is counted: `local`, by this gateway alone, or `redis`, by all gateways that have this limit under the same
    /// route (or service, or `global`) and the same Redis, which stands at the top of the file. Default: local.
    pub(super) store: Kept,
    /// How gateways share what Redis counts: `exact`, each request asks it, or `lease`, each worker takes a share of the
    /// limit at once and answers from it. With leases all gateways together let at most one lease more pass than the limit
    /// says, and what a worker has leased and does not use is lost to the others. Default: exact.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sync: Option<Spanned<Sync>>,
    /// How many requests one lease has. Default: a tenth of the burst, at least ten.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) lease: Option<Spanned<u64>>,
    /// What becomes of requests while Redis does not answer in time: `local`, each gateway counts for itself; `open`, they
    /// pass; `closed`, they get 503. Default: local.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) on_fault: Option<Spanned<OnFault>>,
    /// Which fields tell clients what is left: `standard` for `RateLimit` and `RateLimit-Policy`, `legacy` for
    /// `X-RateLimit-Limit`, `-Remaining` and `-Reset` (in seconds) of the limit with the least left, `both`, or `off`. Shadow
    /// mode tells nothing. Default: standard.
    pub(super) headers: Headers,
}

/// One limit of several.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename = "$shape", rename_all = "lowercase")]
#[schemars(untagged, rename = "RateLimitEntry")]
pub enum Limit {
    /// Its rate.
    Text(Spanned<Rate>),
    /// All about it.
    Map(Box<LimitMap>),
}

written_as_it_is!(Limit: Text, Map);

/// All about one limit of several.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[schemars(rename = "RateLimitEntrySettings")]
pub struct LimitMap {
    /// How often.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) rate: Option<Spanned<Rate>>,
    /// How often by the groups of the caller.
    #[serde(default, skip_serializing_if = "Named::is_empty")]
    pub(super) rates: Named<Grade>,
    /// How many at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) burst: Option<Spanned<u64>>,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<Spanned<Name>>,
    /// What it counts by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) per: Option<OneOrMany<Spanned<PerWord>>>,
    /// Over which requests it counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) scope: Option<Scope>,
    /// What a request counts for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) cost: Option<Spanned<Cost>>,
    /// Other rates at certain times.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) schedule: Vec<Turn>,
}

/// The rate of a group.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename = "$shape", rename_all = "lowercase")]
#[schemars(untagged, rename = "RateLimitGrade")]
pub(super) enum Grade {
    /// Its rate.
    Text(Spanned<Rate>),
    /// Its rate and burst.
    Map(GradeMap),
}

written_as_it_is!(Grade: Text, Map);

/// The rate and burst of a group.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[schemars(rename = "RateLimitGradeSettings")]
pub(super) struct GradeMap {
    /// How often.
    pub(super) rate: Spanned<Rate>,
    /// How many at once. Default: as said beside `rates`, else the count of the rate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) burst: Option<Spanned<u64>>,
}

/// Another rate at certain times.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[schemars(rename = "RateLimitTurn")]
pub(super) struct Turn {
    /// At which times: `2026-11-27 00:00/24:00 Europe/Berlin`, `mon-fri 09:00/17:00 Europe/Berlin` or
    /// `cron 0 22 * * * for 8h Europe/Berlin`. Where clocks are changed, a time that they leave out is an hour later.
    pub(super) when: Spanned<When>,
    /// How often then, where the limit says `rate`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) rate: Option<Spanned<Rate>>,
    /// How often then, where the limit says `rates`; groups that are left out keep their rates.
    #[serde(default, skip_serializing_if = "Named::is_empty")]
    pub(super) rates: Named<Grade>,
    /// How many at once then. Default: as the limit says, else the count of the rate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) burst: Option<Spanned<u64>>,
}

/// How gateways share what Redis counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "RateLimitSync")]
pub(super) enum Sync {
    /// Each request asks.
    Exact,
    /// Workers take shares.
    Lease,
}

/// What a request counts for.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename = "$shape", rename_all = "lowercase")]
#[schemars(untagged, rename = "RateLimitCost")]
pub(super) enum Cost {
    /// For so many requests.
    Number(u64),
    /// For what the answer says.
    Map(Told),
}

written_as_it_is!(Cost: Number, Map);

/// A cost that the answer tells.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[schemars(rename = "RateLimitToldCost")]
pub(super) struct Told {
    /// The header of the service's answer with a whole number, at most 1000000000: points, tokens, rows.
    pub header: HeaderName,
    /// What a request counts for until its answer is there, and where the answer does not say. Default: 1.
    #[serde(default = "one")]
    pub default: u64,
}

fn one() -> u64 {
    1
}

/// Which fields tell clients what is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Headers {
    /// `RateLimit` and `RateLimit-Policy`.
    #[default]
    Standard,
    /// `X-RateLimit-*`.
    Legacy,
    /// Both.
    Both,
    /// None.
    Off,
}
