//! `cors`: which pages of other origins may call a route and read its answers (Fetch, section "HTTP extensions").
//!
//! Takes preflights and answers them, before anything else is asked of a request; writes the headers of all other
//! answers. Must never let an origin read an answer that the configuration does not name, nor refuse a request that is no
//! preflight: CORS protects the visitors of pages, not the service.

use std::fmt::Write as _;

use http1::{Fields, names};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Context, Policy, Settings};
use crate::config::{Diagnostics, Method, OneOrMany, Spanned, codes};
use crate::exchange::{Answer, Exchange, Verdict};
use crate::http::preflight;
use crate::values::{Duration, HeaderName, OriginPattern};

/// Lets pages of other origins call a route from a browser (CORS) and read its answers.
///
/// Preflights are answered here, without authentication and without the service: 204 with what is allowed, or 403 for an
/// origin that is not named. They reach the route whose method they ask for, so a route for `GET` need not name
/// `OPTIONS`. A route that asks for headers in its `match` is not found by a preflight, which has none of them.
///
/// `Access-Control-Allow-Origin`, `-Allow-Credentials` and `-Expose-Headers` that the service sends are replaced, and `Vary`
/// is added to. Refusals and errors of the gateway get the headers too, so that a page can read what went wrong.
/// A request from an origin that is not named passes, and the browser keeps its answer from the page.
///
/// ```yaml
/// cors:
///   origins: [https://app.example.com, "https://*.example.org", "http://localhost:*"]
///   headers: [Authorization, Content-Type]
///   credentials: true
///   max_age: 1h
/// ```
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct Cors {
    /// Origins whose pages may read answers, written as browsers send them: `https://app.example.com`; all below a host:
    /// `https://*.example.com` (not `example.com` itself); any port: `http://localhost:*`; every origin: `*`. Compared as
    /// a whole; `null`, the origin of sandboxed pages and files, is only among `*`.
    origins: OneOrMany<Spanned<OriginPattern>>,
    /// Methods that pages may use. Default: those that the route takes.
    #[serde(default)]
    methods: OneOrMany<Method>,
    /// Request headers that pages may send besides the few that are always allowed; `*` for all. Default: all.
    #[serde(default)]
    headers: OneOrMany<HeaderName>,
    /// Headers of the answer that pages may read besides the few that they always can; `*` for all, not together with
    /// `credentials`. Default: none.
    #[serde(default)]
    expose: OneOrMany<Spanned<HeaderName>>,
    /// Whether browsers send cookies and client certificates along. Not together with the origin `*`. Default: false.
    #[serde(default)]
    credentials: bool,
    /// How long browsers remember the answer to a preflight; they cap it themselves, Chrome at 2h, Firefox at 24h. Changes
    /// of these settings reach a browser after that time. `0s`: they ask before every request. Default: 10m.
    #[serde(default = "ten_minutes")]
    max_age: Duration,
}

const fn ten_minutes() -> Duration {
    Duration::from_secs(600)
}

impl Settings for Cors {
    const NAME: &'static str = "cors";
    // What it refuses are preflights. They are its own to answer: one that passed would reach the service.
    const REFUSES: bool = false;
    const TAKES_PREFLIGHTS: bool = true;

    fn compile(
        self,
        key: &Spanned<String>,
        _: &Context,
        faults: &mut Diagnostics,
    ) -> Option<Box<dyn Policy>> {
        let any = self.origins.iter().find(|origin| ***origin == OriginPattern::Any);
        if self.origins.is_empty() {
            let fault = faults.error(codes::BAD_POLICY, key.span(), "`cors` names no origin");
            fault.help("write `origins: [https://app.example.com]`");
            return None;
        }
        if let Some(any) = any.filter(|_| self.credentials) {
            let what = "`cors` with `credentials` for the origin `*` lets every page act as its visitor";
            faults
                .error(codes::BAD_POLICY, any.span(), what)
                .help("name the origins, or leave `credentials` out");
            return None;
        }
        let all = |name: &&HeaderName| name.as_str() == "*";
        let exposes_all = self.expose.iter().find(|name| all(&&***name));
        if let Some(name) = exposes_all.filter(|_| self.credentials) {
            let what = "`expose: *` means a header called `*` when `credentials` are sent";
            faults.error(codes::BAD_POLICY, name.span(), what).help("name the headers");
            return None;
        }
        let headers =
            if self.headers.iter().any(|name| all(&name)) { None } else { list(self.headers.iter()) };
        Some(Box::new(Compiled {
            any: any.is_some(),
            methods: list(self.methods.iter()),
            headers,
            expose: list(self.expose.iter()),
            credentials: self.credentials,
            max_age: (self.max_age.as_millis() / 1000).to_string(),
            origins: self.origins.into_vec().into_iter().map(Spanned::into_inner).collect(),
        }))
    }
}

/// The words of a list field; `None` for none.
fn list(words: impl Iterator<Item = impl std::fmt::Display>) -> Option<String> {
    let mut text = String::new();
    for word in words {
        let comma = if text.is_empty() { "" } else { ", " };
        // Writing to a `String` cannot fail.
        let _ = write!(text, "{comma}{word}");
    }
    Some(text).filter(|text| !text.is_empty())
}

/// The policy, ready to run.
struct Compiled {
    any: bool,
    origins: Vec<OriginPattern>,
    /// `None` for whatever is asked for.
    methods: Option<String>,
    /// `None` for whatever is asked for.
    headers: Option<String>,
    expose: Option<String>,
    credentials: bool,
    /// Seconds.
    max_age: String,
}

impl Policy for Compiled {
    fn request<'a>(&'a self, exchange: &'a mut Exchange) -> Verdict<'a> {
        let origin = only_line(&exchange.request.fields);
        let allowed = origin.filter(|origin| self.origins.iter().any(|pattern| pattern.matches(origin)));
        exchange.reader.clear();
        exchange.reader.extend_from_slice(allowed.unwrap_or_default());
        match preflight::asked_method(&exchange.request) {
            None => Verdict::Go,
            Some(_) if exchange.reader.is_empty() => Verdict::answer(
                Answer::problem(403, "cors_origin_denied", "pages of this origin may not use this route")
                    .with("Vary", PREFLIGHT_VARY),
            ),
            Some(method) => Verdict::answer(self.preflight(method, &exchange.request.fields)),
        }
    }

    fn response(&self, exchange: &mut Exchange) {
        let fields = &mut exchange.response.fields;
        fields.remove(names::ACCESS_CONTROL_ALLOW_ORIGIN);
        fields.remove(names::ACCESS_CONTROL_ALLOW_CREDENTIALS);
        fields.remove(names::ACCESS_CONTROL_EXPOSE_HEADERS);
        if self.any {
            // The same for everybody, so caches need not keep an answer for each origin.
            fields.push(names::ACCESS_CONTROL_ALLOW_ORIGIN, b"*");
        } else {
            vary_by_origin(fields);
            if exchange.reader.is_empty() {
                return;
            }
            fields.push(names::ACCESS_CONTROL_ALLOW_ORIGIN, &exchange.reader);
        }
        if self.credentials {
            fields.push(names::ACCESS_CONTROL_ALLOW_CREDENTIALS, b"true");
        }
        if let Some(expose) = &self.expose {
            fields.push(names::ACCESS_CONTROL_EXPOSE_HEADERS, expose.as_bytes());
        }
    }
}

/// What the answer to a preflight depends on.
const PREFLIGHT_VARY: &str = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers";

impl Compiled {
    /// Yes, and to what; the origin is written with all other answers. The browser compares what it asked for.
    fn preflight(&self, method: &[u8], fields: &Fields) -> Answer {
        let methods = self.methods.as_ref().map_or(method, |methods| methods.as_bytes());
        let mut answer = Answer::empty(204, "cors_preflight")
            .with("Access-Control-Allow-Methods", methods)
            .with("Access-Control-Max-Age", self.max_age.as_str())
            .with("Vary", PREFLIGHT_VARY);
        let asked = fields.get(names::ACCESS_CONTROL_REQUEST_HEADERS).filter(|asked| is_list_of_names(asked));
        if let Some(headers) = self.headers.as_ref().map(|headers| headers.as_bytes()).or(asked) {
            answer = answer.with("Access-Control-Allow-Headers", headers);
        }
        answer
    }
}

/// The value of the only `Origin` line: browsers send one, so two are nobody's.
fn only_line(fields: &Fields) -> Option<&[u8]> {
    let mut lines = fields.get_all(names::ORIGIN);
    let origin = lines.next()?;
    lines.next().is_none().then_some(origin)
}

fn is_list_of_names(text: &[u8]) -> bool {
    text.split(|byte| *byte == b',').all(|name| http1::Name::new(name.trim_ascii()).is_ok())
}

/// Adds `Origin` to what the answer depends on (RFC 9110 section 12.5.5); what stands there stays.
fn vary_by_origin(fields: &mut Fields) {
    let named: Vec<&[u8]> = fields.get_all(names::VARY).collect();
    let knows = |word: &[u8]| word.eq_ignore_ascii_case(b"origin") || word == b"*";
    if named.iter().any(|line| line.split(|byte| *byte == b',').any(|word| knows(word.trim_ascii()))) {
        return;
    }
    let mut all = named.join(&b", "[..]);
    all.extend_from_slice(if all.is_empty() { b"Origin" } else { b", Origin" });
    fields.set(names::VARY, &all);
}

#[cfg(test)]
mod tests {
    use super::super::tests::{asked, bound, fault, lines, stopped};
    use super::super::{request, response};
    use crate::exchange::{Body, Exchange};
    use crate::fault::response::respond;
    use futures_util::FutureExt;
    use http1::{Name, NameBuf};

    const NAMED: &str =
        "origins: [https://a.com, \"https://*.b.com\"], credentials: true, expose: [X-Total, ETag]";

    /// Sends a request with these fields through `cors: { .. }`, to a service that answers with others; gives the CORS
    /// part of the answer, or all of it when the policy answered.
    fn exchanged(settings: &str, mut exchange: Exchange, service: &[(&str, &str)]) -> (u16, Vec<String>) {
        let policies = bound(&format!("cors: {{ {settings} }}")).unwrap();
        match request(&policies, &mut exchange).now_or_never().unwrap() {
            Err(stop) => {
                let answer = stopped(stop);
                assert!(answer.status != 204 || matches!(answer.body, Body::Empty));
                respond(&mut exchange, &answer);
            }
            Ok(()) => {
                exchange.response.set_status(200);
                exchange.request.fields.clear();
                for (name, value) in service {
                    exchange.response.fields.push(Name::new(name.as_bytes()).unwrap(), value.as_bytes());
                }
            }
        }
        response(&policies, &mut exchange);
        exchange.response.fields.remove(NameBuf::new("X-Request-Id").unwrap().as_name());
        (exchange.response.status, lines(&exchange.response.fields))
    }

    #[test]
    fn an_answer_can_be_read_by_the_named_origins_only() {
        let named = |origin: &str| {
            vec![
                "Vary: Origin".to_owned(),
                format!("Access-Control-Allow-Origin: {origin}"),
                "Access-Control-Allow-Credentials: true".to_owned(),
                "Access-Control-Expose-Headers: X-Total, ETag".to_owned(),
            ]
        };
        for origin in ["https://a.com", "https://x.b.com"] {
            let came = asked("GET", "/", &[("Origin", origin)]);
            assert_eq!(exchanged(NAMED, came, &[]), (200, named(origin)));
        }
        for origin in
            ["null", "https://a.com.evil.com", "https://b.com", "https://evilb.com", "http://a.com", ""]
        {
            let came = asked("GET", "/", &[("Origin", origin)]);
            let service =
                [("access-control-allow-origin", "*"), ("Access-Control-Allow-Credentials", "true")];
            assert_eq!(exchanged(NAMED, came, &service), (200, vec!["Vary: Origin".to_owned()]), "{origin}");
        }
        let twice = asked("GET", "/", &[("Origin", "https://a.com"), ("Origin", "https://evil.com")]);
        assert_eq!(exchanged(NAMED, twice, &[]).1, ["Vary: Origin"]);
        assert_eq!(exchanged(NAMED, asked("GET", "/", &[]), &[]).1, ["Vary: Origin"]);
    }

    #[test]
    fn every_origin_gets_the_same_answer() {
        for fields in [&[("Origin", "https://a.com")][..], &[("Origin", "null")], &[]] {
            let told = exchanged("origins: \"*\"", asked("GET", "/", fields), &[("Vary", "Accept")]);
            assert_eq!(told.1, ["Vary: Accept", "Access-Control-Allow-Origin: *"]);
        }
    }

    #[test]
    fn vary_is_added_to() {
        for (service, merged) in [
            (
                &[("Vary", "Accept"), ("Vary", "Accept-Language")][..],
                &["Vary: Accept, Accept-Language, Origin"][..],
            ),
            (&[("Vary", "Accept, origin")], &["Vary: Accept, origin"]),
            (&[("Vary", "*")], &["Vary: *"]),
        ] {
            assert_eq!(exchanged(NAMED, asked("GET", "/", &[]), service).1, merged);
        }
    }

    fn preflight(origin: &str, more: &[(&str, &str)]) -> Exchange {
        let fields = [&[("Origin", origin), ("Access-Control-Request-Method", "PUT")], more].concat();
        asked("OPTIONS", "/", &fields)
    }

    #[test]
    fn a_preflight_is_answered_here() {
        let vary = "Vary: Origin, Access-Control-Request-Method, Access-Control-Request-Headers";
        let wish = [("Access-Control-Request-Headers", "authorization, x-a")];
        for (settings, came, told) in [
            (
                "origins: https://a.com",
                preflight("https://a.com", &wish),
                &[
                    "Access-Control-Allow-Methods: PUT",
                    "Access-Control-Max-Age: 600",
                    vary,
                    "Access-Control-Allow-Headers: authorization, x-a",
                    "Access-Control-Allow-Origin: https://a.com",
                ][..],
            ),
            (
                "origins: https://a.com, methods: [GET, PUT], headers: [X-A, X-B], max_age: 1h, credentials: true",
                preflight("https://a.com", &wish),
                &[
                    "Access-Control-Allow-Methods: GET, PUT",
                    "Access-Control-Max-Age: 3600",
                    vary,
                    "Access-Control-Allow-Headers: X-A, X-B",
                    "Access-Control-Allow-Origin: https://a.com",
                    "Access-Control-Allow-Credentials: true",
                ],
            ),
            (
                "origins: \"*\", headers: \"*\", max_age: 0s",
                preflight("https://b.com", &[("Access-Control-Request-Headers", "x-a;\"b")]),
                &[
                    "Access-Control-Allow-Methods: PUT",
                    "Access-Control-Max-Age: 0",
                    vary,
                    "Access-Control-Allow-Origin: *",
                ],
            ),
        ] {
            assert_eq!(
                exchanged(settings, came, &[]),
                (204, told.iter().map(|line| line.to_string()).collect())
            );
        }
    }

    #[test]
    fn a_preflight_of_another_origin_is_refused_and_leaks_no_permission() {
        for origin in ["null", "https://a.com.evil.com"] {
            let (status, told) = exchanged(NAMED, preflight(origin, &[]), &[]);
            assert_eq!(status, 403);
            assert!(!told.iter().any(|line| line.starts_with("Access-Control")), "{told:?}");
            assert!(told.iter().any(|line| line.starts_with("Vary: Origin, ")), "{told:?}");
        }
    }

    #[test]
    fn an_options_that_is_no_preflight_passes() {
        let (status, _) = exchanged(NAMED, asked("OPTIONS", "/", &[("Origin", "https://a.com")]), &[]);
        assert_eq!(status, 200);
    }

    #[test]
    fn what_would_open_too_much_is_a_fault() {
        for (settings, message) in [
            (
                "origins: \"*\", credentials: true",
                "`cors` with `credentials` for the origin `*` lets every page act as its visitor: name the origins, or \
                 leave `credentials` out",
            ),
            ("origins: []", "`cors` names no origin: write `origins: [https://app.example.com]`"),
            (
                "origins: https://a.com, credentials: true, expose: \"*\"",
                "`expose: *` means a header called `*` when `credentials` are sent: name the headers",
            ),
            (
                "origins: [\"null\"]",
                "`cors.origins[0]`: `null` is not an origin: `null` is the origin of every sandboxed page and file: name \
                 the page's own",
            ),
            ("credentials: true", "the key `origins` is missing in `cors`: -"),
        ] {
            assert_eq!(fault(&format!("cors: {{ {settings} }}")), message, "{settings}");
        }
    }
}
