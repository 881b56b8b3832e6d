//! Tests as written: a request, and what is to become of it.
//!
//! Takes `tests:` of the file; gives cases whose names of routes, services, listeners and policies are known to exist.
//! Whether they hold is found out by `admin::cases`; what runs never looks at them.

use super::answers::Status;
use super::codes;
use super::decode::decode;
use super::diagnostic::Diagnostics;
use super::load::Known;
use super::node::{Entry, Node};
use super::pairs::{Named, OneOrMany, Pairs};
use super::pattern::Method;
use super::place::Spanned;
use super::route::Test;
use super::{Config, check};
use crate::values::{HeaderName, HeaderValue, Invalid, Name, Size, text_value};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};
use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr};
use std::{fmt, str::FromStr};

/// What stands for a request that no route takes.
pub const NO_ROUTE: &str = "none";

/// One test: a request, and what is to become of it. `tidegate test` runs it without a running gateway, by the code that
/// decides requests; nothing is sent anywhere.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct Case {
    /// The request: `GET /orders/1`, or a map.
    pub request: CaseRequest,
    /// What is to become of it: all that is written must hold, what is not written does not matter.
    pub expect: Expected,
}

/// The request of a test: a method and a URL or path, or a map.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename = "$shape", rename_all = "lowercase")]
#[schemars(rename = "CaseRequest", untagged)]
pub enum CaseRequest {
    /// A method and a URL or path.
    Text(CaseLine),
    /// All about it.
    Map(Box<CaseRequestMap>),
}

/// The request of a test.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[schemars(rename = "CaseRequestSettings")]
pub struct CaseRequestMap {
    /// The method. Default GET.
    #[serde(default = "get")]
    pub method: Method,
    /// A URL such as `https://shop.example/orders/1?page=2`, or just a path. The host of a mere path is `localhost`, unless
    /// `headers` has a `Host`.
    pub url: CaseUrl,
    /// Header lines: names, each with a value or a list of values.
    #[serde(default, skip_serializing_if = "Pairs::is_empty")]
    pub headers: Pairs<HeaderName, OneOrMany<HeaderValue>>,
    /// The IP address that the connection comes from. Default 127.0.0.1.
    #[serde(default = "this_machine")]
    pub from: CaseClient,
    /// The listener that it comes in on. Default: the first that speaks as the URL says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listener: Option<Spanned<Name>>,
    /// How large its body is. Default: it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_size: Option<Size>,
}

/// What is to become of a request. At least one thing.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct Expected {
    /// How it ends: `forwarded` to a service, `answered` by the gateway itself, or `refused` by it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Spanned<CaseOutcome>>,
    /// The status that the gateway itself answers with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<Spanned<Status>>,
    /// The stable word for why the gateway itself answers: `no_route`, `ip_denied`, ...
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Spanned<String>>,
    /// The policy that answers instead of the service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<Spanned<String>>,
    /// The route that takes it, by its key; `none` for no route.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<Spanned<String>>,
    /// The service that gets it; of several one, as where a `split` chooses by chance.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub service: OneOrMany<Spanned<String>>,
    /// The method that the service gets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<Spanned<String>>,
    /// The path that the service gets; with its query if there is a `?` in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<Spanned<String>>,
    /// Headers that the service gets: `{ X-User-Id: ann, X-Debug: { present: false }, Via: { regex: "^1.1" } }`. Secrets are
    /// compared as `***`, as `explain` shows them.
    #[serde(skip_serializing_if = "Pairs::is_empty")]
    pub headers: Pairs<Spanned<HeaderName>, Test>,
    /// Headers of the answer that the gateway itself gives, written as in `headers`.
    #[serde(skip_serializing_if = "Pairs::is_empty")]
    pub answer_headers: Pairs<Spanned<HeaderName>, Test>,
    /// Where the gateway sends the client: `Location` of its own answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<Spanned<String>>,
    /// The body of the answer that the gateway itself gives: a text, or `{ regex: ".." }`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<Spanned<Test>>,
}

/// How a request of a test ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CaseOutcome {
    /// It goes to a service.
    Forwarded,
    /// The gateway answers it, with a status below 400.
    Answered,
    /// The gateway refuses it.
    Refused,
}

impl CaseOutcome {
    /// Its name.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Forwarded => "forwarded",
            Self::Answered => "answered",
            Self::Refused => "refused",
        }
    }
}

impl Expected {
    /// Whether it says nothing at all.
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl CaseRequest {
    /// The long form.
    pub fn settings(&self) -> CaseRequestMap {
        match self {
            Self::Text(line) => CaseRequestMap {
                method: line.method.clone(),
                url: line.url.clone(),
                headers: Pairs::default(),
                from: this_machine(),
                listener: None,
                body_size: None,
            },
            Self::Map(map) => (**map).clone(),
        }
    }
}

impl Serialize for CaseRequest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(line) => line.serialize(serializer),
            Self::Map(map) => map.serialize(serializer),
        }
    }
}

fn get() -> Method {
    Method::get()
}

const fn this_machine() -> CaseClient {
    CaseClient(IpAddr::V4(Ipv4Addr::LOCALHOST))
}

/// `GET /orders/1`: a method and a URL or path; a URL alone is asked with GET.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaseLine {
    method: Method,
    url: CaseUrl,
}

impl FromStr for CaseLine {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let mut words = text.split_whitespace();
        match (words.next(), words.next(), words.next()) {
            (Some(url), None, None) => Ok(Self { method: get(), url: url.parse()? }),
            (Some(method), Some(url), None) => Ok(Self { method: method.parse()?, url: url.parse()? }),
            _ => Err(Invalid::new(
                format!("`{}` is not a request", text.escape_debug()),
                "write a method and a URL or path: `GET /orders/1`, or a map with `url`",
            )),
        }
    }
}

impl fmt::Display for CaseLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.url)
    }
}

text_value!(CaseLine, "CaseLine", "a request such as GET /orders/1", {
    "type": "string",
    "description": "A method and a URL or path; a URL alone is asked with GET.",
    "examples": ["GET /orders/1", "POST https://shop.example/payments"]
});

/// A URL or a path that a client asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaseUrl(String);

impl CaseUrl {
    /// As written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for CaseUrl {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let is_url = text.starts_with("http://") || text.starts_with("https://");
        let has_gap = text.chars().any(|c| c.is_whitespace() || c.is_control());
        if (is_url || text.starts_with('/') || text == "*") && !has_gap {
            return Ok(Self(text.to_owned()));
        }
        Err(Invalid::new(
            format!("`{}` is neither a URL nor a path", text.escape_debug()),
            "write `https://shop.example/orders/1`, or just `/orders/1`",
        ))
    }
}

impl fmt::Display for CaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

text_value!(CaseUrl, "CaseUrl", "a URL or a path", {
    "type": "string",
    "description": "A URL, or a path with or without a query.",
    "examples": ["/orders/1", "https://shop.example/orders?page=2"]
});

/// The address that the connection of a test comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CaseClient(IpAddr);

impl CaseClient {
    /// As the standard library's type.
    pub const fn get(self) -> IpAddr {
        self.0
    }
}

impl FromStr for CaseClient {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        text.parse().map(Self).map_err(|_| {
            Invalid::new(
                format!("`{}` is not an IP address", text.escape_debug()),
                "write one address without a port: 192.0.2.7, 2001:db8::7",
            )
        })
    }
}

impl fmt::Display for CaseClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

text_value!(CaseClient, "CaseClient", "an IP address such as 192.0.2.7", {
    "type": "string",
    "description": "An IP address.",
    "examples": ["192.0.2.7", "2001:db8::7"]
});

/// Reads the tests of a file; `entries` are those of `tests:`.
pub(super) fn read(entries: &[Entry], diagnostics: &mut Diagnostics) -> Named<Case> {
    let mut read = Named::default();
    for entry in entries {
        let case = diagnostics.within(format!("test `{}`", entry.key), |diagnostics| {
            let at_name = Node { span: entry.key.span(), kind: entry.value.kind.clone() };
            decode::<Case>(&at_name, diagnostics)
        });
        if let Some(case) = case {
            read.push(entry.key.clone(), case);
        }
    }
    read
}

/// Checks that what the tests name exists.
pub(super) fn check(config: &Config, known: &Known<'_>, diagnostics: &mut Diagnostics) {
    // What had a fault is missing, and would be told again here.
    if diagnostics.has_errors() {
        return;
    }
    let routes: HashSet<&str> = config.routes.names().chain([NO_ROUTE]).collect();
    let services: HashSet<&str> = config.services.names().collect();
    let listeners: HashSet<&str> = config.listeners.names().collect();
    let policies: HashSet<&str> = known.policies.iter().copied().collect();
    for (name, Case { request, expect }) in &config.tests {
        let mut wanted = |what: &str, name: &Spanned<String>, known: &HashSet<&str>, test: &str| {
            if !known.contains(name.as_str()) {
                let message = format!("unknown {what} `{}` in test `{test}`", name.as_str());
                let label = format!("no {what} has this name");
                check::dangling(name, known, name.span(), message, &label, diagnostics);
            }
        };
        if let Some(route) = &expect.route {
            wanted("route", route, &routes, name);
        }
        // A route may forward to a URL, which is its own service.
        for service in expect.service.iter().filter(|service| !service.contains("://")) {
            wanted("service", service, &services, name);
        }
        if let Some(policy) = &expect.policy {
            wanted("policy", policy, &policies, name);
        }
        if let Some(listener) = request.settings().listener {
            wanted("listener", &listener.map(|name| name.to_string()), &listeners, name);
        }
        if expect.is_empty() {
            diagnostics
                .error(codes::MISSING_KEY, name.span(), format!("test `{}` expects nothing", name.as_str()))
                .help("say what is to become of the request: `expect: { status: 200 }`, `expect: { service: users }`");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_on_one_line() {
        for (text, written) in [
            ("GET /a", Ok("GET /a")),
            ("  POST   https://h/a?b ", Ok("POST https://h/a?b")),
            ("/a", Ok("GET /a")),
            ("", Err("is not a request")),
            ("GET", Err("neither a URL nor a path")),
            ("GET /a HTTP/1.1", Err("is not a request")),
            ("get /a", Err("is not a method")),
            ("GET shop.example/a", Err("neither a URL nor a path")),
        ] {
            let read = text.parse::<CaseLine>();
            match (read, written) {
                (Ok(line), Ok(written)) => assert_eq!(line.to_string(), written),
                (Err(invalid), Err(part)) => assert!(invalid.what.contains(part), "{text}: {invalid}"),
                (read, _) => panic!("{text}: {read:?}"),
            }
        }
    }
}
