//! What a user writes under `guard`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::{OneOrMany, Span, Spanned};
use crate::values::{Cidr, Duration, Name, Rate, Secret, Source, WebUrl};

/// Watches how clients behave, and slows, limits, challenges or blocks those that behave abnormally.
///
/// A client is the consumer, where a credential is known, else its address (of IPv6 the /64). Each gets a score from 0 to 100
/// by what it did: requests a second, the share of errors, distinct paths, distinct credentials that failed, user agents,
/// addresses of one consumer, sizes of bodies, the hour; each against its own usual and that of all clients at this hour. The
/// score leads to levels: `watch`, `slow`, `limit`, `challenge`, `block`; a client comes up at once and down only after a time
/// without cause. Every decision stands in the access log with its numbers (`why`), `GET /api/v1/guard` tells of all clients
/// that are watched, and `tidegate guard forgive` undoes a false alarm. What is remembered is bounded: 65536 clients, at most
/// 48 MiB. Begin with `mode: shadow`, which does everything but act.
///
/// ```yaml
/// guard: { mode: shadow }
/// ```
///
/// ```yaml
/// guard:
///   trusted: [10.0.0.0/8]
///   highest: challenge
///   levels: { slow: { at: 40, delay: 1s }, limit: { at: 55, rate: 30/min } }
/// ```
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct Guard {
    /// Over which routes a client is watched as one: `global`, all that have this guard (by its name), those of one `service`,
    /// or the `route` alone. Default: global.
    pub(super) scope: Scope,
    /// Its name, in the admin API and in messages, and what keeps guards of other settings apart. Default: `guard`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<Name>,
    /// Requests a second of one client that are none too many, whatever is usual. Default: 20/s.
    pub(super) calm: Rate,
    /// How long after its start the guard learns: the rate and the paths of an address lead no further than `watch`, since nobody's
    /// usual is known. The rate of a consumer does so only once its own usual is known, after ten minutes of use. Default: 15m.
    pub(super) learns: Duration,
    /// Networks that are not watched at all: monitoring, offices, other gateways. Default: none.
    pub(super) trusted: Vec<Cidr>,
    /// Where a credential stands that a service refuses with 401, so that several that are tried can be told from one that is
    /// wrong; what the gateway itself checks is known. Default: `header.authorization` and `header.x-api-key`.
    pub(super) credentials: OneOrMany<Source>,
    /// The highest level that is used. Default: block.
    pub(super) highest: Highest,
    /// The levels: from which score on, for how long, and what happens there.
    pub(super) levels: Levels,
    /// What who is on the level `challenge` has to do.
    pub(super) challenge: Challenge,
}

/// Over which routes a client is watched as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "GuardScope")]
pub(super) enum Scope {
    /// All that have this guard.
    #[default]
    Global,
    /// Those of one service.
    Service,
    /// The route alone.
    Route,
}

/// The highest level that is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "GuardHighest")]
pub(super) enum Highest {
    /// Nothing happens.
    Watch = 1,
    /// Answers are delayed.
    Slow,
    /// Only some requests pass.
    Limit,
    /// Browsers must work.
    Challenge,
    /// Nothing passes.
    #[default]
    Block,
}

/// The levels.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
#[schemars(rename = "GuardLevels")]
pub(super) struct Levels {
    /// Nothing happens, but it is told. Default: `{ at: 25, for: 10m }`.
    pub(super) watch: Level,
    /// Requests wait before they go on. Default: `{ at: 45, for: 5m, delay: 500ms }`.
    pub(super) slow: Slow,
    /// Only so many requests pass, the others get 429. Default: `{ at: 60, for: 10m, rate: 60/min }`.
    pub(super) limit: Limit,
    /// Browsers must meet the challenge, all others get 429 with the problem type `abnormal-usage-detected`. Who has met it goes
    /// on, at the rate that is `calm`. Default: `{ at: 75, for: 15m }`.
    pub(super) challenge: Level,
    /// All requests get 403. Default: `{ at: 90, for: 30m }`.
    pub(super) block: Level,
}

/// One level.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
#[schemars(rename = "GuardLevel")]
pub(super) struct Level {
    /// The score from which on a client is there, from 1 to 100, and more than that of the level below. It leaves when its
    /// score is ten points lower.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) at: Option<Spanned<u32>>,
    /// How long it stays there at least after the last cause.
    #[serde(rename = "for", skip_serializing_if = "Option::is_none")]
    pub(super) time: Option<Duration>,
}

/// The level that delays.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
#[schemars(rename = "GuardSlow")]
pub(super) struct Slow {
    /// The score from which on a client is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) at: Option<Spanned<u32>>,
    /// How long it stays there at least after the last cause.
    #[serde(rename = "for", skip_serializing_if = "Option::is_none")]
    pub(super) time: Option<Duration>,
    /// How long each request waits, at most 10s. At most 1000 requests wait at a time; further ones get 429.
    pub(super) delay: Spanned<Duration>,
}

/// The level that limits.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
#[schemars(rename = "GuardLimit")]
pub(super) struct Limit {
    /// The score from which on a client is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) at: Option<Spanned<u32>>,
    /// How long it stays there at least after the last cause.
    #[serde(rename = "for", skip_serializing_if = "Option::is_none")]
    pub(super) time: Option<Duration>,
    /// How many requests pass; ten may come at once.
    pub(super) rate: Rate,
}

/// What is to be done to go on.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
#[schemars(rename = "GuardChallenge")]
pub(super) struct Challenge {
    /// The zero bits that the solution of a task begins with, from 8 to 24; each bit doubles the work. Default: 17, which takes a
    /// browser some tenths of a second.
    pub(super) difficulty: Spanned<u32>,
    /// How long who has met it is left alone. Default: 1h.
    pub(super) lasts: Duration,
    /// A secret of at least 32 letters that passes are sealed with, so that several gateways take each other's, and restarts
    /// forget none. With `url` the operator's verification seals its answers with it. Default: one by chance, until the process
    /// ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) secret: Option<Spanned<Secret>>,
    /// Whether consumers that have a `totp` secret type a code of their authenticator app (RFC 6238) in place of the task or of
    /// `url`, which hold for all others. A code counts once, and after five that were wrong none is looked at for a quarter of
    /// an hour. Default: false.
    pub(super) totp: Spanned<bool>,
    /// A verification of the operator's own in place of the task: browsers are sent there with `token` and `return`, and come
    /// back to `return` with `tidegate_verified=TOKEN.HMAC`, HMAC being the HMAC-SHA256 of the token with `secret` in hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) url: Option<Spanned<WebUrl>>,
}

#[expect(clippy::expect_used, reason = "these very texts are what they are read as")]
fn known<T: std::str::FromStr<Err = crate::values::Invalid>>(text: &str) -> T {
    text.parse().expect("a value")
}

impl Default for Guard {
    fn default() -> Guard {
        Guard {
            scope: Scope::default(),
            name: None,
            calm: known("20/s"),
            learns: Duration::from_secs(900),
            trusted: Vec::new(),
            credentials: vec![known("header.authorization"), known("header.x-api-key")].into(),
            highest: Highest::default(),
            levels: Levels::default(),
            challenge: Challenge::default(),
        }
    }
}

impl Default for Slow {
    fn default() -> Slow {
        Slow { at: None, time: None, delay: Spanned::new(Duration::from_millis(500), Span::NONE) }
    }
}

impl Default for Limit {
    fn default() -> Limit {
        Limit { at: None, time: None, rate: known("60/min") }
    }
}

impl Default for Challenge {
    fn default() -> Challenge {
        Challenge {
            difficulty: Spanned::new(17, Span::NONE),
            lasts: Duration::from_secs(3_600),
            secret: None,
            totp: Spanned::new(false, Span::NONE),
            url: None,
        }
    }
}
