//! `headers`: sets, adds and removes headers of requests and answers.
//!
//! Takes the fields as the policies before it left them. Must never touch what frames a message, belongs to one
//! connection or is the gateway's own word: such names are faults when the configuration is loaded.

use http1::{Fields, NameBuf};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Context, Policy, Settings};
use crate::config::{Diagnostics, OneOrMany, Pairs, Span, Spanned, codes};
use crate::exchange::{Exchange, Verdict};
use crate::http::trust::Pattern;
use crate::values::{HeaderName, HeaderPattern, Part, Template};

/// Sets, adds and removes headers of requests and answers.
///
/// Values may hold sources such as `{ip}`, `{header.x-tenant}`, `{path.id}` or `{request_id}`, which are those of the
/// request, read before anything is changed here. A value of nothing but sources that all have no text leaves its header
/// out. First `remove` is done, then `rename`, `set`, `default`, `add`. Names are compared as services fold them: `X_Tenant` from
/// a client is removed or replaced with `X-Tenant`.
///
/// Not to be changed are headers that frame a message or belong to one connection (Connection, Content-Length,
/// Transfer-Encoding, Upgrade, ...), Host (see `rewrite`), and what the gateway says itself: Via, Forwarded,
/// X-Forwarded-For, X-Request-Id, traceparent. `X-Forwarded-Proto` and `X-Forwarded-Host` may be set, and then hold
/// instead of what the gateway saw.
///
/// ```yaml
/// headers:
///   request:
///     set: { X-Real-IP: "{ip}", X-User: "{path.id}" }
///     remove: [X-Internal-*, Cookie]
///   response:
///     set: { Strict-Transport-Security: max-age=31536000 }
///     default: { Cache-Control: no-store }
///     remove: Server
/// ```
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct Headers {
    /// Changes to the request, before the service gets it. The gateway's other policies have seen it as it came.
    #[serde(default)]
    request: Changes,
    /// Changes to the answer, before the client gets it; also to answers that the gateway itself gives on this route,
    /// such as refusals and redirects.
    #[serde(default)]
    response: Changes,
}

/// Changes to the headers of one side.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
#[schemars(rename = "HeaderChanges")]
pub(super) struct Changes {
    /// Headers that stand there once afterwards, with this value; what stood there goes, even if the value is nothing.
    set: Pairs<Spanned<HeaderName>, Spanned<Template>>,
    /// Headers that get this value where they are missing.
    default: Pairs<Spanned<HeaderName>, Spanned<Template>>,
    /// Headers that get one more line, or several from a list.
    add: Pairs<Spanned<HeaderName>, OneOrMany<Spanned<Template>>>,
    /// Headers that go: a name, or the beginning of one and a `*`.
    remove: OneOrMany<Spanned<HeaderPattern>>,
    /// Headers that get another name, each of their lines: `X-Old: X-New`. What stood under the new name goes, if there was
    /// one under the old.
    rename: Pairs<Spanned<HeaderName>, Spanned<HeaderName>>,
}

/// Whose headers are meant.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Side {
    Request,
    Response,
}

/// What ends at the next party on the way, or says where a message ends (RFC 9110 section 7.6.1, RFC 9112 section 6).
const OF_THE_CONNECTION: &[&str] = &[
    "connection",
    "content-length",
    "expect",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
/// What the gateway says in its own name.
const OWN_WORDS: &[&str] = &["forwarded", "traceparent", "via", "x-forwarded-for", "x-request-id"];
/// What the gateway says where nobody said it before; only setting it makes sense.
const OWN_UNLESS_SET: &[&str] = &["x-forwarded-host", "x-forwarded-proto"];

impl Settings for Headers {
    const NAME: &'static str = "headers";
    const REFUSES: bool = false;
    // A refusal wants its security headers as much as an answer of the service.
    const EVERY_ANSWER: bool = true;

    fn compile(
        self,
        key: &Spanned<String>,
        _: &Context,
        faults: &mut Diagnostics,
    ) -> Option<Box<dyn Policy>> {
        if self == (Headers { request: Changes::default(), response: Changes::default() }) {
            let fault = faults.error(codes::BAD_POLICY, key.span(), "`headers` changes nothing");
            fault.help("write `request:` or `response:` with `set`, `default`, `add` or `remove`");
            return None;
        }
        let request = self.request.compile(Side::Request, faults);
        let response = self.response.compile(Side::Response, faults);
        Some(Box::new(Compiled { request, response }))
    }
}

impl Changes {
    pub(super) fn compile(self, side: Side, faults: &mut Diagnostics) -> Edits {
        let mut edits = Edits::default();
        for pattern in self.remove.iter() {
            refuse_removal(pattern, side, faults);
            edits.removed.push(Pattern::new(&pattern.to_string()));
        }
        for (old, new) in &self.rename {
            for name in [old, new] {
                if let Some(reason) = forbidden(name.as_str(), side, Verb::Default) {
                    report(format!("`{name}` cannot be renamed by `headers`"), reason, name.span(), faults);
                }
            }
            if let Ok(exact) = NameBuf::new(new.as_str()) {
                edits.renamed.push((Pattern::new(old.as_str()), Pattern::new(new.as_str()), exact));
            }
        }
        for (verb, pairs) in [(Verb::Set, &self.set), (Verb::Default, &self.default)] {
            for (name, value) in pairs {
                edits.lines.extend(line(verb, name, value, side, faults));
            }
        }
        for (name, values) in &self.add {
            for value in values.iter() {
                edits.lines.extend(line(Verb::Add, name, value, side, faults));
            }
        }
        edits
    }
}

fn line(
    verb: Verb,
    name: &Spanned<HeaderName>,
    value: &Spanned<Template>,
    side: Side,
    faults: &mut Diagnostics,
) -> Option<Line> {
    if let Some(reason) = forbidden(name.as_str(), side, verb) {
        report(format!("`{name}` cannot be written by `headers`"), reason, name.span(), faults);
    }
    for part in value.parts() {
        let Part::Literal(text) = part else { continue };
        if let Some(odd) = text.chars().find(|c| !matches!(c, ' '..='~' | '\t')) {
            let what = format!("the value of `{name}` holds {odd:?}, which no header may hold");
            report(what, "write printable ASCII on one line", value.span(), faults);
        }
    }
    let value = match value.as_literal() {
        Some(text) => Value::Literal(text.into()),
        None => Value::Template((**value).clone()),
    };
    // A `HeaderName` is a token, so the name is always one.
    let exact = NameBuf::new(name.as_str()).ok()?;
    Some(Line { verb, folded: Pattern::new(name.as_str()), name: exact, value })
}

/// Why a header is not this policy's to write.
fn forbidden(name: &str, side: Side, verb: Verb) -> Option<&'static str> {
    let among = |names: &[&str]| names.iter().any(|own| own.eq_ignore_ascii_case(name));
    if among(OF_THE_CONNECTION) {
        return Some("it belongs to the connection and is written by the gateway");
    }
    if among(OWN_WORDS) {
        return Some("it is the gateway's own word; see `forwarded` for the forwarding headers");
    }
    if side == Side::Request && name.eq_ignore_ascii_case("host") {
        return Some("write `rewrite: { host: .. }`");
    }
    if side == Side::Request && verb != Verb::Set && among(OWN_UNLESS_SET) {
        return Some("the gateway writes it where it is missing: use `set`");
    }
    None
}

fn refuse_removal(pattern: &Spanned<HeaderPattern>, side: Side, faults: &mut Diagnostics) {
    let folded = Pattern::new(&pattern.to_string());
    let host: &[&str] = if side == Side::Request { &["host"] } else { &[] };
    let unless_set = if side == Side::Request { OWN_UNLESS_SET } else { &[] };
    let names = [OF_THE_CONNECTION, OWN_WORDS, unless_set, host].concat();
    let Some(name) = names.iter().find(|name| folded.matches(name.as_bytes())) else { return };
    let (what, remedy) = if pattern.is_prefix() {
        let what = format!("`{pattern}` takes in `{name}`, which `headers` cannot remove");
        (what, "write a longer beginning, or the names")
    } else {
        let what = format!("`{pattern}` cannot be removed by `headers`");
        (what, "leave it out: the gateway removes what clients send of it, or writes it anew")
    };
    report(what, remedy, pattern.span(), faults);
}

fn report(what: String, remedy: &str, place: Span, faults: &mut Diagnostics) {
    faults.error(codes::BAD_POLICY, place, what).help(remedy);
}

/// The policy, ready to run.
struct Compiled {
    request: Edits,
    response: Edits,
}

#[derive(Default)]
pub(super) struct Edits {
    removed: Vec<Pattern>,
    /// The old name, the new one, and how it is written.
    renamed: Vec<(Pattern, Pattern, NameBuf)>,
    lines: Vec<Line>,
}

/// One header that is written.
struct Line {
    verb: Verb,
    folded: Pattern,
    name: NameBuf,
    value: Value,
}

#[derive(Clone, Copy, PartialEq)]
enum Verb {
    Set,
    Default,
    Add,
}

enum Value {
    Literal(Box<str>),
    Template(Template),
}

impl Policy for Compiled {
    fn request<'a>(&'a self, exchange: &'a mut Exchange) -> Verdict<'a> {
        self.request.apply(exchange, Side::Request);
        Verdict::Go
    }

    fn response(&self, exchange: &mut Exchange) {
        self.response.apply(exchange, Side::Response);
    }
}

impl Edits {
    pub(super) fn apply(&self, exchange: &mut Exchange, side: Side) {
        // Sources are read before anything is changed: a header that is removed can live on in another one.
        let mut rendered = self.rendered(exchange).into_iter();
        let fields = match side {
            Side::Request => &mut exchange.request.fields,
            Side::Response => &mut exchange.response.fields,
        };
        if !self.removed.is_empty() {
            fields.retain(|field| !self.removed.iter().any(|pattern| pattern.matches(field.name)));
        }
        for (old, new, name) in &self.renamed {
            rename(fields, old, new, name);
        }
        for line in &self.lines {
            match &line.value {
                Value::Literal(text) => line.write(fields, Some(text.as_bytes())),
                Value::Template(_) => {
                    let text = rendered.next().unwrap_or_default();
                    line.write(fields, Some(&*text).filter(|text| !text.is_empty()));
                }
            }
        }
    }

    /// The values that hold sources, in the order of the lines. Allocates nothing when there are none.
    fn rendered(&self, exchange: &Exchange) -> Vec<Vec<u8>> {
        let templates = self.lines.iter().filter_map(|line| match &line.value {
            Value::Template(template) => Some(template),
            Value::Literal(_) => None,
        });
        templates.map(|template| exchange.render(template)).collect()
    }
}

fn rename(fields: &mut Fields, old: &Pattern, new: &Pattern, name: &NameBuf) {
    let values: Vec<Vec<u8>> =
        fields.iter().filter(|field| old.matches(field.name)).map(|field| field.value.to_vec()).collect();
    if values.is_empty() {
        return;
    }
    fields.retain(|field| !old.matches(field.name) && !new.matches(field.name));
    values.iter().for_each(|value| fields.push(name.as_name(), value));
}

impl Line {
    fn write(&self, fields: &mut Fields, value: Option<&[u8]>) {
        match self.verb {
            Verb::Set => fields.retain(|field| !self.folded.matches(field.name)),
            Verb::Default if fields.iter().any(|field| self.folded.matches(field.name)) => return,
            Verb::Default | Verb::Add => {}
        }
        if let Some(value) = value {
            fields.push(self.name.as_name(), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{asked, bound, fault, lines, run, stopped};
    use super::super::{request, response};
    use crate::fault::response::respond;
    use futures_util::FutureExt;
    use http1::Name;

    #[test]
    fn a_request_is_changed_in_the_documented_order() {
        for (changes, came, sent) in [
            ("set: { X-A: new }", &[("X-A", "1"), ("x-a", "2")][..], &["X-A: new"][..]),
            ("set: { X-A: new }", &[("X_A", "1"), ("X.a", "2")], &["X-A: new"]),
            ("set: { X-A: \"\" }", &[("X-A", "1")], &["X-A: "]),
            ("add: { X-A: new }", &[("X-A", "1")], &["X-A: 1", "X-A: new"]),
            ("add: { X-A: [b, c] }", &[], &["X-A: b", "X-A: c"]),
            ("default: { X-A: new }", &[("x_a", "1")], &["x_a: 1"]),
            ("default: { X-A: new }", &[], &["X-A: new"]),
            ("remove: X-A", &[("X-A", "1"), ("X-AB", "2")], &["X-AB: 2"]),
            ("remove: [X-A*, Cookie]", &[("x_ab", "1"), ("Cookie", "a=b"), ("Y", "2")], &["Y: 2"]),
            ("remove: X-A, set: { X-A: a }, add: { X-A: b }", &[("X-A", "1")], &["X-A: a", "X-A: b"]),
            (
                "rename: { X-Old: X-New }",
                &[("x_old", "1"), ("X-Old", "2"), ("x-new", "3"), ("Y", "4")],
                &["Y: 4", "X-New: 1", "X-New: 2"],
            ),
            ("rename: { X-Old: X-New }", &[("X-New", "3")], &["X-New: 3"]),
            ("remove: X-Old, set: { X-New: \"{header.x-old}\" }", &[("X-Old", "v")], &["X-New: v"]),
            (
                "set: { X-A: \"{header.x-b}\", X-B: \"{header.x-a}\" }",
                &[("X-A", "1"), ("X-B", "2")],
                &["X-A: 2", "X-B: 1"],
            ),
            ("set: { X-User: \"{jwt.sub}\" }", &[("X-User", "root")], &[]),
            ("set: { X-User: \"id={jwt.sub}\" }", &[], &["X-User: id="]),
            (
                "set: { X-From: \"{ip} {method} {host} {path} {path.*}\" }",
                &[],
                &["X-From: 0.0.0.0 GET h.example /a/b a/b"],
            ),
        ] {
            let mut exchange = asked("GET", "/a/b?q", came);
            let came = run(&format!("headers: {{ request: {{ {changes} }} }}"), &mut exchange);
            assert!(came.is_none());
            assert_eq!(lines(&exchange.request.fields)[1..], *sent, "{changes}");
        }
    }

    #[test]
    fn a_value_from_outside_stays_on_its_line() {
        let mut exchange = asked("GET", "/?q=a%0d%0aX-Evil:%201", &[]);
        run("headers: { request: { set: { X-Q: \"{query.q}\" } } }", &mut exchange);
        assert_eq!(lines(&exchange.request.fields)[1..], ["X-Q: a  X-Evil: 1"]);
    }

    #[test]
    fn every_answer_is_changed_also_one_from_before() {
        let policies = bound(
            "ip: { deny: [0.0.0.0] }\nheaders: { request: { set: { X-Seen: \"1\" } }, \
             response: { set: { X-Frame-Options: DENY, X-Path: \"{path}\" }, remove: Content-Type, default: { X-A: b } } }",
        );
        let policies = policies.unwrap();
        let mut exchange = asked("GET", "/a", &[]);
        let answer = request(&policies, &mut exchange).now_or_never().unwrap().map_err(stopped).unwrap_err();
        respond(&mut exchange, &answer.with("X-A", "a"));
        response(&policies, &mut exchange);
        let told = lines(&exchange.response.fields);
        assert_eq!(
            told,
            ["Cache-Control: no-store", "X-A: a", "X-Request-Id: ", "X-Frame-Options: DENY", "X-Path: /a"]
        );
        assert!(!exchange.request.fields.contains(Name::new(b"X-Seen").unwrap()));
    }

    #[test]
    fn what_is_not_its_own_is_a_fault() {
        for (changes, message) in [
            (
                "request: { set: { Host: a } }",
                "`Host` cannot be written by `headers`: write `rewrite: { host: .. }`",
            ),
            (
                "response: { add: { transfer-encoding: chunked } }",
                "`transfer-encoding` cannot be written by `headers`: it belongs to the connection and is written by the \
                 gateway",
            ),
            (
                "request: { set: { X-Forwarded-For: \"{ip}\" } }",
                "`X-Forwarded-For` cannot be written by `headers`: it is the gateway's own word; see `forwarded` for \
                 the forwarding headers",
            ),
            (
                "request: { add: { X-Forwarded-Proto: https } }",
                "`X-Forwarded-Proto` cannot be written by `headers`: the gateway writes it where it is missing: use \
                 `set`",
            ),
            (
                "request: { remove: Via }",
                "`Via` cannot be removed by `headers`: leave it out: the gateway removes what clients send of it, or \
                 writes it anew",
            ),
            (
                "response: { remove: X-R* }",
                "`X-R*` takes in `x-request-id`, which `headers` cannot remove: write a longer beginning, or the names",
            ),
            (
                "response: { set: { X-A: \"a\\nb\" } }",
                "the value of `X-A` holds '\\n', which no header may hold: write printable ASCII on one line",
            ),
            (
                "request: {}",
                "`headers` changes nothing: write `request:` or `response:` with `set`, `default`, `add` or `remove`",
            ),
            (
                "request: { set: { X-A: a, x-a: b } }",
                "`headers.request.set`: `x-a` stands twice: keep one of them",
            ),
        ] {
            assert_eq!(fault(&format!("headers: {{ {changes} }}")), message, "{changes}");
        }
    }

    #[test]
    fn what_a_proxy_would_say_may_be_said_otherwise() {
        assert!(
            bound("headers: { request: { set: { X-Forwarded-Proto: https, X-Real-IP: \"{ip}\" } } }").is_ok()
        );
        assert!(bound("headers: { response: { set: { Host: a }, remove: X-Forwarded-Host } }").is_ok());
    }
}
