//! What a user writes under `rate_limit`, and the limits that it stands for.
//!
//! Short forms become long ones here, and what types cannot know is checked: that a limit can be kept, that a request
//! can pass it at all, and that limits can be told apart.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};

use super::gcra::{FASTEST, LARGEST};
use crate::config::{Diagnostics, OneOrMany, Spanned, codes};
use crate::values::{HeaderName, Invalid, Name, Rate, Source, text_value};

/// Most limits of one policy.
pub(super) const MOST_LIMITS: usize = 8;

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

impl Serialize for RateLimit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            RateLimit::Text(rate) => rate.serialize(serializer),
            RateLimit::List(limits) => limits.serialize(serializer),
            RateLimit::Map(map) => map.serialize(serializer),
        }
    }
}

/// The long form.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
#[schemars(rename = "RateLimitSettings")]
pub struct RateLimitMap {
    /// How often: a count and a period, at most 10000000 in a second. Either this or `limits`.
    #[serde(skip_serializing_if = "Option::is_none")]
    rate: Option<Spanned<Rate>>,
    /// How many requests may come at once. Default: the count of the rate. A small one spreads requests evenly and keeps
    /// any stretch of time near the rate.
    #[serde(skip_serializing_if = "Option::is_none")]
    burst: Option<Spanned<u64>>,
    /// The name of the limit in `RateLimit` and problem details. Default: its rate, and what it counts by where that is not
    /// the address.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<Spanned<Name>>,
    /// What requests are counted by: a source or a list of sources, together one key; `all` to count all together. IPv6
    /// addresses count by their /64, which one customer has to himself. Requests that lack a source count together as
    /// one. Default: ip.
    #[serde(skip_serializing_if = "Option::is_none")]
    per: Option<OneOrMany<Spanned<PerWord>>>,
    /// Over which requests it counts: those of the `route`, of all routes to the same `service`, or `global`, of all routes
    /// that have this limit. Limits of these two are one where their names are, else by their place in the list.
    /// Default: route.
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<Scope>,
    /// How many requests one request counts for: a number, or a map with the header of the answer that says so. Default: 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    cost: Option<Spanned<Cost>>,
    /// Several limits: rates, or maps with `rate`, `burst`, `name`, `per`, `scope` and `cost` of their own. What they leave
    /// out of `per`, `scope` and `cost` is as said beside `limits`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    limits: Vec<Limit>,
    /// Which fields tell clients what is left: `standard` for `RateLimit` and `RateLimit-Policy`, `legacy` for
    /// `X-RateLimit-Limit`, `-Remaining` and `-Reset` (in seconds) of the limit with the least left, `both`, or `off`. Shadow
    /// mode tells nothing. Default: standard.
    headers: Headers,
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

impl Serialize for Limit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Limit::Text(rate) => rate.serialize(serializer),
            Limit::Map(map) => map.serialize(serializer),
        }
    }
}

/// All about one limit of several.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[schemars(rename = "RateLimitEntrySettings")]
pub struct LimitMap {
    /// How often.
    rate: Spanned<Rate>,
    /// How many at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    burst: Option<Spanned<u64>>,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<Spanned<Name>>,
    /// What it counts by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    per: Option<OneOrMany<Spanned<PerWord>>>,
    /// Over which requests it counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scope: Option<Scope>,
    /// What a request counts for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cost: Option<Spanned<Cost>>,
}

/// Over which requests a limit counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Scope {
    /// Those of its route.
    #[default]
    Route,
    /// Those of all routes to the same service that have it.
    Service,
    /// Those of all routes that have it.
    Global,
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

impl Serialize for Cost {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Cost::Number(number) => number.serialize(serializer),
            Cost::Map(told) => told.serialize(serializer),
        }
    }
}

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

/// A word of `per`: a source, or `all`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PerWord {
    /// All requests together.
    All,
    /// By this.
    By(Source),
}

impl FromStr for PerWord {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if text == "all" {
            return Ok(PerWord::All);
        }
        text.parse()
            .map(PerWord::By)
            .map_err(|Invalid { what, remedy }| Invalid { what, remedy: format!("{remedy}; or `all`") })
    }
}

impl fmt::Display for PerWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PerWord::All => f.write_str("all"),
            PerWord::By(source) => source.fmt(f),
        }
    }
}

text_value!(PerWord, "PerWord", "a source such as ip, consumer or header.x-tenant, or all", {
    "type": "string",
    "description": "consumer, jwt.CLAIM, path.NAME, query.NAME, header.NAME, cookie.NAME, ip, method, host, path, scheme, \
                    request_id; or `all`.",
    "examples": ["ip", "consumer", "header.x-tenant", "all"]
});

/// A limit with nothing left out.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Settled {
    /// Its name for clients.
    pub(super) name: String,
    /// The name that the user gave it, if any.
    pub(super) given: Option<String>,
    /// How often.
    pub(super) rate: Spanned<Rate>,
    /// How many at once.
    pub(super) burst: u64,
    /// What it counts by; empty for all together.
    pub(super) per: Vec<Source>,
    /// Over which requests it counts.
    pub(super) scope: Scope,
    /// What a request counts for.
    pub(super) cost: Cost,
}

impl RateLimit {
    /// All limits with nothing left out, and which fields tell of them. Faults are reported.
    pub(super) fn settle(self, key: &Spanned<String>, faults: &mut Diagnostics) -> (Vec<Settled>, Headers) {
        let (limits, map) = match self {
            RateLimit::Text(rate) => (vec![Limit::Text(rate)], RateLimitMap::default()),
            RateLimit::List(limits) => (limits, RateLimitMap::default()),
            RateLimit::Map(map) => map.apart(key, faults),
        };
        if limits.is_empty() && faults.errors() == 0 {
            let fault = faults.error(codes::BAD_POLICY, key.span(), "`rate_limit` names no limit");
            fault.help("write a rate: `rate_limit: 100/min`");
        }
        if limits.len() > MOST_LIMITS {
            let what = format!("{} limits stand on one route, at most {MOST_LIMITS} may", limits.len());
            faults.error(codes::BAD_POLICY, key.span(), what);
        }
        let limits = limits.into_iter().map(|limit| limit.over(&map).settle(faults));
        let limits: Vec<Settled> = limits.collect();
        for (nth, limit) in limits.iter().enumerate() {
            if limits.iter().take(nth).any(|other| other.name == limit.name) {
                let what = format!("two limits are called `{}`", limit.name);
                faults
                    .error(codes::BAD_POLICY, limit.rate.span(), what)
                    .help("give one of them another `name`");
            }
        }
        (limits, map.headers)
    }
}

impl RateLimitMap {
    /// The limits, and what holds for those that do not say otherwise.
    fn apart(mut self, key: &Spanned<String>, faults: &mut Diagnostics) -> (Vec<Limit>, RateLimitMap) {
        let Some(rate) = self.rate.take() else {
            let limits = std::mem::take(&mut self.limits);
            if limits.is_empty() {
                let fault = faults.error(codes::BAD_POLICY, key.span(), "`rate_limit` says no rate");
                fault.help("write `rate: 100/min`, or `limits:` with several");
            }
            let alone = self.burst.as_ref().map(|burst| ("burst", burst.span()));
            let alone = alone.or_else(|| self.name.as_ref().map(|name| ("name", name.span())));
            if let Some((word, place)) = alone {
                let what = format!("`{word}` is about one limit and stands beside `limits`");
                faults.error(codes::BAD_POLICY, place, what).help("write it into the limit that it is about");
            }
            return (limits, self);
        };
        if !self.limits.is_empty() {
            let fault =
                faults.error(codes::BAD_POLICY, rate.span(), "`rate_limit` says both `rate` and `limits`");
            fault.help("put the rate into the list");
        }
        let (burst, name) = (self.burst.take(), self.name.take());
        (vec![Limit::Map(Box::new(LimitMap { rate, burst, name, per: None, scope: None, cost: None }))], self)
    }
}

impl Limit {
    /// The long form, with what holds for all limits where this one says nothing.
    fn over(self, all: &RateLimitMap) -> LimitMap {
        let own = match self {
            Limit::Map(map) => *map,
            Limit::Text(rate) => {
                LimitMap { rate, burst: None, name: None, per: None, scope: None, cost: None }
            }
        };
        LimitMap {
            per: own.per.or_else(|| all.per.clone()),
            scope: own.scope.or(all.scope),
            cost: own.cost.or_else(|| all.cost.clone()),
            ..own
        }
    }
}

impl LimitMap {
    fn settle(self, faults: &mut Diagnostics) -> Settled {
        let before = faults.errors();
        if self.rate.per_second() > FASTEST as f64 {
            let what = format!("`{}` is faster than a limit can count", *self.rate);
            faults
                .error(codes::BAD_POLICY, self.rate.span(), what)
                .help(format!("write at most {FASTEST}/s, or no limit"));
        }
        let burst = self.burst.as_ref().map_or(self.rate.count(), |burst| **burst);
        let place = self.burst.as_ref().map_or(self.rate.span(), Spanned::span);
        if faults.errors() == before && (burst == 0 || burst > LARGEST) {
            faults
                .error(codes::BAD_POLICY, place, format!("a `burst` of {burst} cannot be kept"))
                .help(format!("write a number from 1 to {LARGEST}"));
        }
        let cost = self.cost.as_ref().map_or(Cost::Number(1), |cost| (**cost).clone());
        let least = match &cost {
            Cost::Number(number) => *number,
            Cost::Map(told) => told.default,
        };
        if let Some(cost) = self.cost.filter(|_| least > burst) {
            let what = format!("one request counts for {least}, and no more than {burst} may come at once");
            faults
                .error(codes::BAD_POLICY, cost.span(), what)
                .help("no request could ever pass: write a smaller `cost` or a larger `burst`");
        }
        let per = self.per.map_or_else(|| vec![PerWord::By(Source::Ip).into()], OneOrMany::into_vec);
        let all = per.iter().find(|word| ***word == PerWord::All).filter(|_| per.len() > 1);
        if let Some(all) = all {
            let fault = faults.error(codes::BAD_POLICY, all.span(), "`all` stands beside sources in `per`");
            fault.help("write `per: all` to count all requests together, or leave `all` out");
        }
        let per = per.into_iter().filter_map(|word| match word.into_inner() {
            PerWord::All => None,
            PerWord::By(source) => Some(source),
        });
        let per: Vec<Source> = per.collect();
        let given = self.name.map(|name| name.to_string());
        let name = given.clone().unwrap_or_else(|| named(*self.rate, &per));
        Settled { name, given, rate: self.rate, burst, per, scope: self.scope.unwrap_or_default(), cost }
    }
}

/// The name of a limit that has none: its rate, and what it counts by unless that is the address. Fit for a string of
/// RFC 9651 section 3.3.3 between quotes.
fn named(rate: Rate, per: &[Source]) -> String {
    let mut name = rate.to_string();
    if per != [Source::Ip] {
        let words: Vec<String> = per.iter().map(Source::to_string).collect();
        let words = if words.is_empty() { "all".to_owned() } else { words.join(", ") };
        name.push_str(" per ");
        let fit = |c: char| if matches!(c, ' '..='~') && !matches!(c, '"' | '\\') { c } else { '_' };
        name.extend(words.chars().map(fit));
    }
    name
}
