//! Routes as written: which requests, what to do with them, and with which policies.
//!
//! The settings of policies stay a raw `Node` here: a policy reads its own.

use super::aggregate::Aggregate;
use super::answers::{Redirect, Respond};
use super::mock::Mock;
use super::node::Node;
use super::pairs::{Named, OneOrMany, Pairs};
use super::pattern::{HostPattern, Method, PathPattern};
use super::place::Spanned;
use super::split::Split;
use crate::values::{HeaderName, Invalid, Name, TargetUrl, text_value};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize, Serializer, ser::SerializeMap};
use std::{fmt, str::FromStr};

/// One route.
#[derive(Debug, Clone, PartialEq)]
pub struct Route {
    /// Which requests: what the key says and what `match:` says, together.
    pub conditions: Match,
    /// What to do with them.
    pub action: Action,
    /// Bundles of policies added and taken away, in the order of the file.
    pub uses: Vec<Spanned<Use>>,
    /// The route's own policies with their settings, in the order of the file.
    pub policies: Named<Node>,
}

impl Serialize for Route {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("match", &self.conditions)?;
        match &self.action {
            Action::To(to) => map.serialize_entry("to", to)?,
            Action::Aggregate(aggregate) => map.serialize_entry("aggregate", aggregate)?,
            Action::Split(split) => map.serialize_entry("split", split)?,
            Action::Respond(respond) => map.serialize_entry("respond", respond)?,
            Action::Mock(mock) => map.serialize_entry("mock", mock)?,
            Action::Redirect(redirect) => map.serialize_entry("redirect", redirect)?,
        }
        map.serialize_entry("use", &self.uses)?;
        for (name, settings) in &self.policies {
            map.serialize_entry(name, settings)?;
        }
        map.end()
    }
}

/// Which requests a route takes: all that is written must hold. What is empty does not matter.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct Match {
    /// Hosts, one of which must be the request's: `api.example.com`, or `*.example.com` for all below it.
    #[serde(skip_serializing_if = "is_empty")]
    pub host: OneOrMany<HostPattern>,
    /// Methods, one of which must be the request's. A route for GET serves HEAD too, unless another one names HEAD.
    #[serde(skip_serializing_if = "is_empty")]
    pub methods: OneOrMany<Method>,
    /// The path: a pattern as in a route key, or `{ regex: ".." }`, which must match the whole path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<Spanned<PathMatch>>,
    /// Headers that the request must have: `{ X-Version: "2" }`, `{ X-Debug: { present: true } }`,
    /// `{ User-Agent: { regex: "^curl/" } }`.
    #[serde(skip_serializing_if = "Pairs::is_empty")]
    pub headers: Pairs<HeaderName, Test>,
    /// Query parameters that the request must have, written as for headers. Percent-encoding is decoded before.
    #[serde(skip_serializing_if = "Pairs::is_empty")]
    pub query: Pairs<String, Test>,
    /// Cookies that the request must have, written as for headers.
    #[serde(skip_serializing_if = "Pairs::is_empty")]
    pub cookies: Pairs<String, Test>,
}

fn is_empty<T>(values: &OneOrMany<T>) -> bool {
    values.is_empty()
}

/// What the path of a request must be.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename = "$shape", rename_all = "lowercase")]
#[schemars(rename = "PathMatch", untagged)]
pub enum PathMatch {
    /// A pattern of segments.
    Text(PathPattern),
    /// A regular expression.
    Map(PathRegex),
}

/// A regular expression for the whole path.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct PathRegex {
    /// The expression, in the syntax of the Rust crate `regex`; it must match the whole canonical path.
    pub regex: Regex,
}

impl Serialize for PathMatch {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(pattern) => pattern.serialize(serializer),
            Self::Map(regex) => regex.serialize(serializer),
        }
    }
}

/// What a header, query parameter or cookie must be.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(from = "WrittenTest", rename_all = "lowercase")]
pub enum Test {
    /// Equal to this text.
    Equals(String),
    /// Matched by this regular expression somewhere.
    Regex(Regex),
    /// There (`true`) or not there (`false`).
    Present(bool),
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename = "$shape", rename_all = "lowercase")]
#[schemars(untagged)]
enum WrittenTest {
    Text(#[schemars(schema_with = "scalar")] String),
    Map(TestSettings),
}

/// A text, or what is taken as its text.
fn scalar(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": ["string", "number", "boolean"] })
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum TestSettings {
    Equals(String),
    Regex(Regex),
    Present(bool),
}

impl From<WrittenTest> for Test {
    fn from(written: WrittenTest) -> Self {
        match written {
            WrittenTest::Text(text) | WrittenTest::Map(TestSettings::Equals(text)) => Self::Equals(text),
            WrittenTest::Map(TestSettings::Regex(regex)) => Self::Regex(regex),
            WrittenTest::Map(TestSettings::Present(present)) => Self::Present(present),
        }
    }
}

/// The text of a regular expression that is known to compile.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Regex(String);

impl Regex {
    /// The expression as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Regex {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        match regex::Regex::new(text) {
            Ok(_) => Ok(Self(text.to_owned())),
            Err(error) => {
                // The last line of the crate's message says what is wrong; the others draw the place.
                let reason = error.to_string();
                let reason =
                    reason.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
                Err(Invalid::new(
                    format!("`{}` is not a regular expression: {reason}", text.escape_debug()),
                    "",
                ))
            }
        }
    }
}

impl fmt::Display for Regex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

text_value!(Regex, "Regex", "a regular expression", {
    "type": "string",
    "description": "A regular expression in the syntax of the Rust crate `regex`."
});

/// What a route does.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Forwards to a service.
    To(Spanned<To>),
    /// Asks several services and makes one answer of theirs.
    Aggregate(Box<Aggregate>),
    /// Spreads over services.
    Split(Box<Split>),
    /// Answers by itself.
    Respond(Respond),
    /// Makes answers up.
    Mock(Box<Mock>),
    /// Sends the client elsewhere.
    Redirect(Redirect),
}

/// Where a route forwards to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum To {
    /// A service by its name.
    Service(Name),
    /// A service of one target that has no other name than its URL.
    Url(TargetUrl),
}

impl FromStr for To {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if text.contains("://") {
            return text.parse().map(Self::Url);
        }
        text.parse().map(Self::Service).map_err(|_| {
            Invalid::new(
                format!("`{}` is not the name of a service", text.escape_debug()),
                "write the name of a service or a URL such as http://users:8000",
            )
        })
    }
}

impl fmt::Display for To {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Service(name) => name.fmt(f),
            Self::Url(url) => url.fmt(f),
        }
    }
}

text_value!(To, "To", "the name of a service or a URL", {
    "type": "string",
    "description": "The name of a service, or the URL of a single target.",
    "examples": ["users", "http://users:8000"]
});

/// A bundle of policies added to a route or taken from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Use {
    /// `login`: the bundle's policies apply, after those of `defaults` and before the route's own.
    Add(Name),
    /// `-login`: a bundle that `defaults` adds does not apply.
    Remove(Name),
}

impl Use {
    /// The name of the bundle.
    pub fn name(&self) -> &str {
        match self {
            Self::Add(name) | Self::Remove(name) => name.as_str(),
        }
    }
}

impl FromStr for Use {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text.strip_prefix('-') {
            Some(name) => name.parse().map(Self::Remove),
            None => text.parse().map(Self::Add),
        }
    }
}

impl fmt::Display for Use {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Add(name) => name.fmt(f),
            Self::Remove(name) => write!(f, "-{name}"),
        }
    }
}

text_value!(Use, "Use", "the name of a bundle of policies, or - and the name", {
    "type": "string",
    "pattern": "^-?[A-Za-z0-9_.][A-Za-z0-9_.-]{0,63}$",
    "description": "A bundle of policies by its name; with `-` before it, the bundle is taken away."
});

/// A named bundle of policies.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Bundle {
    /// The policies with their settings, in the order of the file.
    pub policies: Named<Node>,
}

impl Serialize for Bundle {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.policies.serialize(serializer)
    }
}

/// What applies to every route that does not say otherwise.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Defaults {
    /// Bundles of policies for every route.
    pub uses: Vec<Spanned<Use>>,
    /// Policies for every route.
    pub policies: Named<Node>,
}

impl Serialize for Defaults {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("use", &self.uses)?;
        for (name, settings) in &self.policies {
            map.serialize_entry(name, settings)?;
        }
        map.end()
    }
}
