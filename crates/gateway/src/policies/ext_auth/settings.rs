//! What a user writes under `ext_auth`, and what it stands for.
//!
//! Names are checked here: a header that belongs to a connection, or that the gateway itself writes, can be neither asked
//! with nor taken from an answer.

use std::time::Duration;

use http1::{Fields, NameBuf};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Lines;
use crate::config::{Diagnostics, OneOrMany, Spanned, codes};
use crate::exchange::Exchange;
use crate::http::trust::Pattern;
use crate::values::{self, HeaderName, Name, OrOff, Source};

/// Names that are not for services to set: of a connection, of a body, or words of the gateway's own. Folded patterns.
const NOT_COPIED: [&str; 19] = [
    "connection",
    "keep-alive",
    "proxy-*",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "content-*",
    "host",
    "expect",
    "via",
    "date",
    "forwarded",
    "x-forwarded-*",
    "x-request-id",
    "traceparent",
    "tracestate",
    "client-cert*",
    "http2-settings",
];
/// Header lines that a service is asked with where nothing else is said.
const USUAL: [&str; 2] = ["Authorization", "Cookie"];
/// Most bytes of a key by which an answer is remembered.
const LONGEST_KEY: usize = 16 * 1024;
/// Longest time for a question.
const LONGEST: Duration = Duration::from_secs(60);

/// Asks a service whether a request may pass.
///
/// The service gets `GET` on `path` with the chosen header lines, the identity that policies before it found, and the request in
/// `X-Forwarded-Method`, `X-Forwarded-Proto`, `X-Forwarded-Host`, `X-Forwarded-Uri` and `X-Forwarded-For`; never the body.
/// A status of 200 to 299 lets the request pass. A status in `refuse` is the client's answer, with `WWW-Authenticate`, `Location`,
/// `Retry-After` and the chosen lines. Everything else, and no answer in time, lets nobody pass: 503. It runs after `allow` and
/// `rate_limit`, so that a service is not asked about what the gateway can refuse itself.
///
/// ```yaml
/// ext_auth: { service: products, path: /allowed, upstream_headers: [X-Auth-User, X-Auth-Roles], cache: 5s }
/// ```
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct ExtAuth {
    /// The service that is asked, one of `services`, with its targets, TLS, health and `credentials`.
    pub(super) service: Spanned<Name>,
    /// The path, and query, that it is asked on. Default: /.
    #[serde(default)]
    path: Option<Spanned<String>>,
    /// The header lines of the request that it is asked with. Default: Authorization and Cookie.
    #[serde(default)]
    request_headers: Option<OneOrMany<Spanned<HeaderName>>>,
    /// The header lines of a good answer that the service behind gets. What clients send of these names is taken away, on
    /// every route and however it is spelled. Default: none.
    #[serde(default)]
    upstream_headers: OneOrMany<Spanned<HeaderName>>,
    /// The header lines of the answer that the client gets, with the answer of the service behind or with the refusal.
    /// Default: none but those of refusals.
    #[serde(default)]
    client_headers: OneOrMany<Spanned<HeaderName>>,
    /// The statuses, from 300 to 499, that are refusals and go to the client. Default: 401 and 403.
    #[serde(default)]
    refuse: Option<OneOrMany<Spanned<u16>>>,
    /// The time for the whole question, at most 60s. Default: 200ms.
    #[serde(default = "usual_timeout")]
    timeout: Spanned<values::Duration>,
    /// Whether a request passes when the service gives no answer that decides: `deny`, or `allow`, which lets everybody pass
    /// while the service is down, with nothing of `upstream_headers`. Default: deny.
    #[serde(default)]
    on_fault: OnFault,
    /// How long a worker remembers that a request may pass; refusals, and answers with lines for the client, are never
    /// remembered. What is taken back passes that long. Default: off.
    #[serde(default = "off")]
    cache: OrOff<values::Duration>,
    /// What an answer is remembered for: a source or several, as `[header.authorization, host]`. Only what the service decides
    /// by may be left out. Default: all that it is asked with: method, scheme, host, path, query, address, identity and header
    /// lines.
    #[serde(default)]
    cache_by: OneOrMany<Source>,
    /// Whether the service behind gets the `Authorization` of the client. Default: false.
    #[serde(default)]
    forward_credentials: bool,
}

/// What becomes of a request about which there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "ExtAuthOnFault")]
pub(super) enum OnFault {
    /// It is refused with 503.
    #[default]
    Deny,
    /// It passes.
    Allow,
}

fn usual_timeout() -> Spanned<values::Duration> {
    Spanned::new(values::Duration::from_millis(200), crate::config::Span::NONE)
}

const fn off() -> OrOff<values::Duration> {
    OrOff::Off
}

/// The settings, ready to run.
pub(super) struct Settled {
    pub(super) path: Box<str>,
    asked_with: Vec<Box<str>>,
    pub(super) upstream: Vec<(NameBuf, Pattern)>,
    pub(super) client: Vec<(NameBuf, Pattern)>,
    pub(super) refuses: Vec<u16>,
    pub(super) timeout: Duration,
    pub(super) on_fault: OnFault,
    pub(super) cache: Option<Duration>,
    cache_by: Vec<Source>,
    pub(super) forward_credentials: bool,
}

impl ExtAuth {
    /// Checks what its types could not know.
    pub(super) fn settle(&self, faults: &mut Diagnostics) -> Option<Settled> {
        let before = faults.errors();
        let path = self.path.as_ref().map_or("/", |path| path.as_str());
        if let Some(written) = &self.path
            && (!path.starts_with('/')
                || path.contains('#')
                || !path.bytes().all(|byte| byte.is_ascii_graphic()))
        {
            let fault = faults.error(codes::BAD_POLICY, written.span(), format!("`{path}` is not a path"));
            fault.help("begin with `/`, and write other characters percent-encoded");
        }
        let asked_with = match &self.request_headers {
            None => USUAL.map(Into::into).to_vec(),
            Some(written) => names(written, faults).iter().map(|(name, _)| text_of(name).into()).collect(),
        };
        let statuses = self.refuse.iter().flat_map(|statuses| statuses.iter());
        for status in statuses.filter(|status| !(300..500).contains(&***status)) {
            let text = format!("{} cannot be a refusal", **status);
            let fault = faults.error(codes::BAD_POLICY, status.span(), text);
            fault.help("write statuses from 300 to 499: 2xx lets pass, and 5xx is a fault");
        }
        if self.timeout.is_zero() || self.timeout.get() > LONGEST {
            let text = format!("a question of {} is none", *self.timeout);
            faults.error(codes::BAD_POLICY, self.timeout.span(), text).help("write a time up to 60s");
        }
        let settled = Settled {
            path: path.into(),
            asked_with,
            upstream: names(&self.upstream_headers, faults),
            client: names(&self.client_headers, faults),
            refuses: match &self.refuse {
                None => vec![401, 403],
                Some(statuses) => statuses.iter().map(|status| **status).collect(),
            },
            timeout: self.timeout.get(),
            on_fault: self.on_fault,
            cache: match self.cache {
                OrOff::At(time) if !time.is_zero() => Some(time.get()),
                _ => None,
            },
            cache_by: self.cache_by.to_vec(),
            forward_credentials: self.forward_credentials,
        };
        (faults.errors() == before).then_some(settled)
    }
}

fn names(written: &OneOrMany<Spanned<HeaderName>>, faults: &mut Diagnostics) -> Vec<(NameBuf, Pattern)> {
    let mut names = Vec::new();
    for name in written.iter() {
        if NOT_COPIED.iter().any(|known| Pattern::new(known).matches(name.as_str().as_bytes())) {
            let text = format!("`{}` cannot be copied between `ext_auth` and a request", **name);
            let fault = faults.error(codes::BAD_POLICY, name.span(), text);
            fault.help("it belongs to a connection or a body, or is the gateway's own word: leave it out");
        }
        if let Ok(exact) = NameBuf::new(name.as_str()) {
            names.push((exact, Pattern::new(name.as_str())));
        }
    }
    names
}

pub(super) fn text_of(name: &NameBuf) -> &str {
    std::str::from_utf8(name.as_name().text()).unwrap_or_default()
}

impl Settled {
    /// Whether the service is asked with lines of this name.
    pub(super) fn asks_with(&self, name: &[u8]) -> bool {
        self.asked_with.iter().any(|own| own.as_bytes().eq_ignore_ascii_case(name))
    }

    /// The lines of these names.
    pub(super) fn of_answer(&self, fields: &Fields, wanted: &[(NameBuf, Pattern)]) -> Lines {
        let mut lines = Vec::new();
        for (name, _) in wanted {
            let own = name.as_name();
            let values = fields.iter().filter(|field| field.name.eq_ignore_ascii_case(own.text()));
            lines.extend(values.map(|field| (name.clone(), field.value.into())));
        }
        lines
    }

    /// What an answer is remembered for; none when that is longer than is worth remembering.
    pub(super) fn key(&self, exchange: &Exchange) -> Option<Vec<u8>> {
        let mut key = Vec::with_capacity(256);
        // Each part with its length, so that no two keys are alike.
        let mut add = |part: Option<&[u8]>| {
            let length = part.map_or(u64::MAX, |part| part.len() as u64);
            key.extend_from_slice(&length.to_be_bytes());
            key.extend_from_slice(part.unwrap_or_default());
        };
        if !self.cache_by.is_empty() {
            self.cache_by.iter().for_each(|source| add(exchange.source(source).as_deref()));
            return (key.len() <= LONGEST_KEY).then_some(key);
        }
        add(Some(exchange.request.method_text()));
        add(Some(if exchange.client.https { b"https" } else { b"http" }));
        add(Some(exchange.request.fields.get(http1::names::HOST).unwrap_or_default()));
        add(Some(&exchange.path));
        add(exchange.has_query.then_some(&exchange.query));
        add(Some(exchange.client.ip.to_string().as_bytes()));
        for line in exchange.identity.iter().flat_map(|identity| identity.told.iter()) {
            add(Some(line.name));
            add(Some(line.value));
        }
        add(None);
        for field in exchange.request.fields.iter().filter(|field| self.asks_with(field.name)) {
            add(Some(&field.name.to_ascii_lowercase()));
            add(Some(field.value));
        }
        (key.len() <= LONGEST_KEY).then_some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::tests::{asked, bound, fault};
    use super::*;

    #[test]
    fn what_cannot_be_meant_is_told() {
        for (written, told) in [
            (
                "path: allowed",
                "`allowed` is not a path: begin with `/`, and write other characters percent-encoded",
            ),
            (
                "path: \"/a b\"",
                "`/a b` is not a path: begin with `/`, and write other characters percent-encoded",
            ),
            (
                "refuse: [401, 500]",
                "500 cannot be a refusal: write statuses from 300 to 499: 2xx lets pass, and 5xx is a fault",
            ),
            ("timeout: 0s", "a question of 0s is none: write a time up to 60s"),
            ("timeout: 2m", "a question of 2m is none: write a time up to 60s"),
            (
                "upstream_headers: X-Forwarded-User",
                "`X-Forwarded-User` cannot be copied between `ext_auth` and a request: it belongs to a connection or a \
                 body, or is the gateway's own word: leave it out",
            ),
        ] {
            assert_eq!(fault(&format!("ext_auth: {{ service: a, {written} }}")), told, "{written}");
        }
        for name in ["Connection", "Content-Length", "Transfer_Encoding", "Host", "Client-Cert", "Proxy-X"] {
            for option in ["request_headers", "upstream_headers", "client_headers"] {
                let told = fault(&format!("ext_auth: {{ service: a, {option}: [{name}] }}"));
                assert!(told.contains("cannot be copied"), "{option} {name}: {told}");
            }
        }
        assert!(bound("ext_auth: { service: a, refuse: 302, cache: 5s, cache_by: header.cookie }").is_ok());
    }

    #[test]
    fn an_answer_is_remembered_for_all_that_was_asked_with() {
        let settled = |by: OneOrMany<Source>| Settled {
            path: "/".into(),
            asked_with: USUAL.map(Into::into).to_vec(),
            upstream: Vec::new(),
            client: Vec::new(),
            refuses: Vec::new(),
            timeout: Duration::ZERO,
            on_fault: OnFault::Deny,
            cache: None,
            cache_by: by.to_vec(),
            forward_credentials: false,
        };
        let all = settled(OneOrMany::default());
        let base = asked("GET", "/a?b", &[("Authorization", "x"), ("X-Other", "1")]);
        let same = asked("GET", "/a?b", &[("authorization", "x"), ("X-Other", "2")]);
        assert_eq!(all.key(&base), all.key(&same));
        for other in [
            asked("POST", "/a?b", &[("Authorization", "x")]),
            asked("GET", "/a?c", &[("Authorization", "x")]),
            asked("GET", "/a", &[("Authorization", "x")]),
            asked("GET", "/a?b", &[("Authorization", "y")]),
            asked("GET", "/a?b", &[]),
            asked("GET", "/a?b", &[("Authorization", "x"), ("Cookie", "c")]),
            asked("GET", "/a?b", &[("Authorization", "x"), ("Authorization", "x")]),
        ] {
            assert_ne!(all.key(&base), all.key(&other), "{:?}", other.request);
        }
        let few = settled(vec!["header.authorization".parse().unwrap()].into());
        assert_eq!(few.key(&base), few.key(&asked("POST", "/z", &[("Authorization", "x")])));
        assert_ne!(few.key(&base), few.key(&asked("GET", "/a?b", &[])));
        assert_eq!(all.key(&asked("GET", "/", &[("Cookie", &"x".repeat(20_000))])), None);
    }
}
