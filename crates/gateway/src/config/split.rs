//! `split`: the requests of one route spread over several services, as written.
//!
//! A map of services and weights is the short form; the long one says who stays where, who is sent where by hand, and how
//! the weights grow by themselves. Reported here is what the types cannot say.

use super::codes;
use super::decode::decode_key;
use super::diagnostic::Diagnostics;
use super::node::{Entry, Kind, Node};
use super::pairs::{Named, OneOrMany, Pairs};
use super::place::{Span, Spanned};
use super::route::{Action, Test, To};
use crate::values::{Duration, HeaderName, Invalid, Percent, Source, nearest, text_value};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize, Serializer};
use std::{fmt, str::FromStr};

/// Services of one split.
const MOST_ARMS: usize = 16;
/// The largest weight.
const MOST_WEIGHT: u32 = 1_000;
/// Preferences of one split.
const MOST_PREFERENCES: usize = 16;

/// Requests spread over services by weight.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct Split {
    /// The services and their weights, 0 to 1000, compared with each other: `{ users: 90, users-next: 10 }`. At most 16.
    #[schemars(schema_with = "weights")]
    pub to: Pairs<Spanned<To>, u32>,
    /// Who stays where: a source, or a list of which the first that the request has counts. The same text goes to the same
    /// service, and when weights change only as many move as must. Requests without any are drawn. `off` draws all;
    /// `{ cookie: NAME }` gives browsers a cookie to be known by. Default `[consumer, ip]`.
    #[serde(default)]
    pub sticky: Sticky,
    /// Who is sent where whatever the weights say, such as testers: by service, the `headers`, `cookies`, `groups` or
    /// `consumers` of which one is enough. The first that holds counts.
    #[serde(default, skip_serializing_if = "Pairs::is_empty")]
    pub prefer: Named<Preference>,
    /// Lets the weight of one service grow step by step, and stops when it does worse than the others. Default: weights
    /// stay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Spanned<Progress>>,
}

fn weights(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "additionalProperties": { "type": "integer", "minimum": 0, "maximum": MOST_WEIGHT },
    })
}

impl Action {
    /// The services that it asks.
    pub fn services(&self) -> Vec<&Spanned<To>> {
        match self {
            Self::To(to) => vec![to],
            Self::Split(split) => split.to.iter().map(|(to, _)| to).collect(),
            Self::Respond(_) | Self::Mock(_) | Self::Redirect(_) => Vec::new(),
        }
    }
}

/// The schema of both forms.
pub(super) fn schema(generator: &mut SchemaGenerator) -> Schema {
    let long = generator.subschema_for::<Split>();
    let short = weights(generator);
    json_schema!({ "anyOf": [long, short] })
}

/// Who stays where.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename = "$shape", rename_all = "lowercase")]
#[schemars(rename = "Sticky", untagged)]
pub enum Sticky {
    /// A source, or `off`.
    Text(StickyBy),
    /// Sources, of which the first that the request has counts.
    List(Vec<Source>),
    /// A cookie that the gateway gives.
    Map(StickyCookie),
}

impl Default for Sticky {
    fn default() -> Self {
        Self::List(vec![Source::Consumer, Source::Ip])
    }
}

impl Serialize for Sticky {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(by) => by.serialize(serializer),
            Self::List(sources) => sources.serialize(serializer),
            Self::Map(cookie) => cookie.serialize(serializer),
        }
    }
}

/// A source, or `off` for nobody.
#[derive(Debug, Clone, PartialEq)]
pub enum StickyBy {
    /// Every request is drawn anew.
    Off,
    /// The same text goes to the same service.
    Source(Source),
}

impl FromStr for StickyBy {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if text == "off" { Ok(Self::Off) } else { text.parse().map(Self::Source) }
    }
}

impl fmt::Display for StickyBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::Source(source) => source.fmt(f),
        }
    }
}

text_value!(StickyBy, "StickyBy", "a source such as consumer or header.x-tenant, or off", {
    "type": "string",
    "description": "A source, such as consumer, ip, cookie.session or header.x-tenant; or `off`.",
    "examples": ["consumer", "off"]
});

/// A cookie by which browsers are known again. It holds a random number and nothing else.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct StickyCookie {
    /// Its name: letters, digits, `-`, `_` and `.`.
    pub cookie: Spanned<String>,
    /// How long browsers keep it. Default 30d.
    #[serde(default = "thirty_days")]
    pub max_age: Duration,
}

const fn thirty_days() -> Duration {
    Duration::from_secs(30 * 86_400)
}

/// Who is sent to a service: one of these is enough.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct Preference {
    /// Headers, written as in `match`: `{ X-Canary: "1" }`.
    #[serde(skip_serializing_if = "Pairs::is_empty")]
    pub headers: Pairs<HeaderName, Test>,
    /// Cookies, written as in `match`.
    #[serde(skip_serializing_if = "Pairs::is_empty")]
    pub cookies: Pairs<String, Test>,
    /// Groups of callers, on routes with a policy that finds out who calls.
    #[serde(skip_serializing_if = "is_empty")]
    pub groups: OneOrMany<String>,
    /// Consumers by name, likewise.
    #[serde(skip_serializing_if = "is_empty")]
    pub consumers: OneOrMany<String>,
}

fn is_empty<T>(values: &OneOrMany<T>) -> bool {
    values.is_empty()
}

impl Preference {
    fn is_empty(&self) -> bool {
        self.headers.is_empty()
            && self.cookies.is_empty()
            && self.groups.is_empty()
            && self.consumers.is_empty()
    }
}

/// How the share of one service grows, and what stops it.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct Progress {
    /// The service whose share grows. Default: the last one of `to`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<Spanned<String>>,
    /// How much more of all requests it gets with each step. Default 10%.
    pub step: Percent,
    /// The time between two steps, 1s or more. Default 5m.
    pub every: Duration,
    /// Where it ends. Default 100%.
    pub until: Percent,
    /// The share of its requests that may fail (5xx, no answer) since the last step. Default 1%.
    pub max_error: Percent,
    /// How much longer its slowest hundredth may take than that of all others together: `1.2x`. Default 1.2x.
    pub max_p99: Times,
    /// Requests that it and the others must have had since the last step before anything is said of them. Without them it
    /// waits. Default 50.
    pub min_requests: u32,
    /// What happens when it does worse: `hold` (its share stays as it is), `start` (the weights written here, the default) or
    /// `zero` (it gets nothing but what is preferred).
    pub when_worse: WhenWorse,
}

impl Default for Progress {
    fn default() -> Self {
        Self {
            to: None,
            step: Percent::whole(10),
            every: Duration::from_secs(300),
            until: Percent::whole(100),
            max_error: Percent::whole(1),
            max_p99: Times(1_200),
            min_requests: 50,
            when_worse: WhenWorse::Start,
        }
    }
}

/// What happens to a service that does worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WhenWorse {
    /// Its share stays as it is.
    Hold,
    /// The weights that are written hold again.
    Start,
    /// It gets nothing.
    Zero,
}

/// So many times as much, in thousandths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Times(u32);

impl Times {
    /// In thousandths.
    pub const fn thousandths(self) -> u32 {
        self.0
    }
}

impl FromStr for Times {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let not = || {
            Invalid::new(format!("`{text}` is not a factor"), "write a number of 1 to 100 and an x: 1.2x, 2x")
        };
        let number = text.strip_suffix('x').ok_or_else(not)?;
        let (whole, decimals) = number.split_once('.').unwrap_or((number, "0"));
        let digits = |part: &str, most: usize| {
            !part.is_empty() && part.len() <= most && part.bytes().all(|byte| byte.is_ascii_digit())
        };
        if !digits(whole, 3) || !digits(decimals, 3) {
            return Err(not());
        }
        let thousandths: u32 = format!("{whole}{decimals:0<3}").parse().map_err(|_| not())?;
        if (1_000..=100_000).contains(&thousandths) { Ok(Self(thousandths)) } else { Err(not()) }
    }
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, decimals) = (self.0 / 1_000, format!("{:03}", self.0 % 1_000));
        let decimals = decimals.trim_end_matches('0');
        if decimals.is_empty() { write!(f, "{whole}x") } else { write!(f, "{whole}.{decimals}x") }
    }
}

text_value!(Times, "Times", "a factor such as 1.2x", {
    "type": "string",
    "pattern": r"^([0-9]+(\.[0-9]{1,3})?x|.*\$\{.*)$",
    "description": "So many times as much: a number from 1 to 100 and an x.",
    "examples": ["1.2x", "2x"]
});

/// The long form of what is written: a map of services and weights stands for `to`.
pub(super) fn long_form(node: &Node) -> Node {
    let is_long = node.get("to").is_some_and(|to| matches!(to.kind, Kind::Map(_)));
    if is_long || !matches!(node.kind, Kind::Map(_)) {
        return node.clone();
    }
    let key = Spanned::new("to".to_owned(), node.span);
    Node::map(node.span, vec![Entry { key, value: node.clone() }])
}

/// Reads a split, and reports what its type cannot say.
pub(super) fn read(entry: &Entry, diagnostics: &mut Diagnostics) -> Option<Split> {
    let split: Split = decode_key(&entry.key, &long_form(&entry.value), diagnostics)?;
    check(&split, entry, diagnostics);
    Some(split)
}

fn check(split: &Split, entry: &Entry, diagnostics: &mut Diagnostics) {
    let place = entry.key.span();
    let mut fault = |span, what: String, remedy: &str| {
        diagnostics.error(codes::BAD_VALUE, span, what).help(remedy);
    };
    if split.to.is_empty() || split.to.len() > MOST_ARMS {
        let what = format!("`split` has {} services", split.to.len());
        fault(place, what, "write between 1 and 16 of them: { users: 90, users-next: 10 }");
        return;
    }
    if split.to.iter().all(|(_, weight)| *weight == 0) {
        fault(
            place,
            "every service of `split` has weight 0".into(),
            "at least one needs a weight of 1 or more",
        );
    }
    for (to, weight) in &split.to {
        if *weight > MOST_WEIGHT {
            let what = format!("the weight {weight} of `{}` is more than {MOST_WEIGHT}", **to);
            fault(to.span(), what, "weights are compared with each other: 90 and 10");
        }
    }
    let names: Vec<String> = split.to.iter().map(|(to, _)| to.to_string()).collect();
    let known = |name: &Spanned<String>, fault: &mut dyn FnMut(Span, String, &str)| {
        if !names.iter().any(|known| *known == **name) {
            let meant = nearest(name, names.iter().map(String::as_str));
            let remedy = meant.map_or_else(
                || format!("known here: {}", names.join(", ")),
                |meant| format!("did you mean `{meant}`?"),
            );
            fault(name.span(), format!("`{}` is none of the services of this `split`", **name), &remedy);
        }
    };
    if split.prefer.len() > MOST_PREFERENCES {
        fault(place, format!("`prefer` has {} entries", split.prefer.len()), "write at most 16");
    }
    for (name, preference) in &split.prefer {
        known(name, &mut fault);
        if preference.is_empty() {
            let what = format!("nothing says who prefers `{}`", **name);
            fault(name.span(), what, "write `headers`, `cookies`, `groups` or `consumers`");
        }
    }
    check_sticky(&split.sticky, place, &mut fault);
    if let Some(progress) = &split.progress {
        progress.to.iter().for_each(|name| known(name, &mut fault));
        check_progress(progress, split.to.len(), &mut fault);
    }
}

fn check_sticky(sticky: &Sticky, place: Span, fault: &mut dyn FnMut(Span, String, &str)) {
    if let Sticky::List(sources) = sticky
        && sources.is_empty()
    {
        fault(place, "`sticky` names no source".into(), "write one such as `consumer`, or `off`");
    }
    if let Sticky::Map(StickyCookie { cookie, .. }) = sticky {
        let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if cookie.is_empty() || cookie.len() > 64 || !cookie.chars().all(good) {
            let what = format!("`{}` is not the name of a cookie", cookie.escape_debug());
            fault(cookie.span(), what, "use up to 64 letters, digits, `-`, `_` and `.`");
        }
    }
}

fn check_progress(progress: &Spanned<Progress>, arms: usize, fault: &mut dyn FnMut(Span, String, &str)) {
    let at = progress.span();
    if arms < 2 {
        fault(
            at,
            "`progress` needs a second service to compare with".into(),
            "add one to `to`, or leave it out",
        );
    }
    if progress.step == Percent::ZERO {
        fault(at, "a `step` of nothing never gets anywhere".into(), "write 1% or more");
    }
    if progress.every.as_millis() < 1_000 {
        fault(
            at,
            "`every` is shorter than 1s".into(),
            "write 1s or more: answers must be counted in between",
        );
    }
    if progress.min_requests == 0 {
        fault(at, "`min_requests: 0` would judge by nothing".into(), "write 1 or more");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn factors_and_what_is_none() {
        for (text, thousandths, shown) in
            [("1.2x", 1_200, "1.2x"), ("2x", 2_000, "2x"), ("1.05x", 1_050, "1.05x")]
        {
            let read: Times = text.parse().unwrap();
            assert_eq!((read.thousandths(), read.to_string().as_str()), (thousandths, shown));
        }
        for text in ["", "x", "1.2", "0.9x", "-1x", "1.x", "101x", "1.2345x", "1,2x"] {
            assert!(text.parse::<Times>().is_err(), "{text}");
        }
    }
}
