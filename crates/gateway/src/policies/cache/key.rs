//! What tells stored answers apart: the key of a request, and the variants that `Vary` makes of one key.
//!
//! A key is a list of parts, each with its length, compared whole: scheme, host, port, path, query, route, and what the
//! route adds. Must never leave out anything that a service may answer by and that a stranger can send.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use http1::{FieldId, Fields, NameBuf, names};

use crate::exchange::Exchange;
use crate::exchange::source::decoded;
use crate::policies::kept::is_secret;
use crate::values::Source;

/// Variants of one key (RFC 9111 section 4.1) that are kept beside each other.
pub(super) const MOST_VARIANTS: usize = 16;
/// Longest key. What is longer is not kept.
const LONGEST: usize = 16 * 1024;
/// Stands for the length of a part that is not there.
const ABSENT: u32 = u32::MAX;

/// Fields by which some servers read another target or method than the request line has; nothing is kept or taken where
/// one of them stands (C3).
const REWRITING: [&[u8]; 9] = [
    b"x-rewrite-url",
    b"x-original-url",
    b"x-original-host",
    b"x-http-method-override",
    b"x-http-method",
    b"x-method-override",
    b"x-host",
    b"x-forwarded-server",
    b"x-forwarded-scheme",
];

/// Which parameters of the query count.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) enum Query {
    /// All, as they stand.
    #[default]
    All,
    /// All but these.
    Ignore(Vec<Parameter>),
    /// Only these.
    Keep(Vec<Parameter>),
}

/// The name of a parameter, or its beginning.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Parameter {
    name: Box<[u8]>,
    prefix: bool,
}

impl Parameter {
    /// A name; with a `*` at its end the beginning of one.
    pub(super) fn new(text: &str) -> Parameter {
        let (name, prefix) = text.strip_suffix('*').map_or((text, false), |name| (name, true));
        Parameter { name: name.as_bytes().into(), prefix }
    }

    fn matches(&self, name: &[u8]) -> bool {
        if self.prefix { name.starts_with(&self.name) } else { *name == *self.name }
    }
}

/// How the keys of a route are made.
#[derive(Debug, Default)]
pub(super) struct Keys {
    pub(super) query: Query,
    /// Headers of the request that count as if every answer named them in `Vary`.
    pub(super) headers: Vec<NameBuf>,
    pub(super) sources: Vec<Source>,
    pub(super) route: Arc<str>,
    /// What stands for the shape that the route gives to answers; none where it gives none.
    pub(super) shape: Option<[u8; 32]>,
}

impl Keys {
    /// Keeps answers apart from those of before the route gave them another shape, or told requests apart by something else;
    /// and where they outlive the process, from those of another service.
    pub(super) fn set_shape(&mut self, shape: &str, shared: bool, service: Option<&str>) {
        let Keys { query, headers, sources, .. } = self;
        let own = shared || !(headers.is_empty() && sources.is_empty() && *query == Query::All);
        let own = if own { format!("{shared} {query:?} {headers:?} {sources:?}") } else { String::new() };
        let text = format!("{shape}\0{own}\0{}", service.unwrap_or_default());
        let hash = digest(&SHA256, text.as_bytes());
        let some = !shape.is_empty() || !own.is_empty() || service.is_some();
        self.shape = hash.as_ref().try_into().ok().filter(|_| some);
    }

    /// Whether keys may hold what proves a caller.
    pub(super) fn hold_secrets(&self) -> bool {
        let named = self.headers.iter().any(|name| is_secret(name.as_name().text()));
        named
            || self.sources.iter().any(|source| match source {
                Source::Cookie(_) => true,
                Source::Header(name) => is_secret(name.to_string().as_bytes()),
                _ => false,
            })
    }

    /// Puts the key of a request into `key`. False when it has none that could be kept.
    pub(super) fn write(&self, exchange: &Exchange, key: &mut Vec<u8>) -> bool {
        key.clear();
        part(key, Some(if exchange.client.https { b"https" } else { b"http" }));
        part(key, Some(&exchange.host));
        let fields = &exchange.request.fields;
        part(key, fields.get(names::HOST).and_then(port));
        part(key, Some(&exchange.path));
        self.query(exchange, key);
        part(key, Some(self.route.as_bytes()));
        if let Some(shape) = &self.shape {
            part(key, Some(shape));
        }
        // Nobody but a proxy that is believed can have sent these.
        for name in [names::X_FORWARDED_HOST, names::X_FORWARDED_PORT, names::X_FORWARDED_PREFIX] {
            part(key, fields.get(name));
        }
        for name in &self.headers {
            let value = selecting(fields, name);
            part(key, value.as_deref());
        }
        for source in &self.sources {
            part(key, exchange.source(source).as_deref());
        }
        key.len() <= LONGEST
    }

    fn query(&self, exchange: &Exchange, key: &mut Vec<u8>) {
        let (names, wanted) = match &self.query {
            Query::All => return part(key, exchange.has_query.then_some(&exchange.query)),
            Query::Ignore(names) => (names, false),
            Query::Keep(names) => (names, true),
        };
        let mut kept: Vec<u8> = Vec::with_capacity(exchange.query.len());
        for pair in exchange.query.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
            let end = memchr::memchr(b'=', pair).unwrap_or(pair.len());
            let name = decoded(pair.get(..end).unwrap_or_default());
            if names.iter().any(|known| known.matches(&name)) == wanted {
                if !kept.is_empty() {
                    kept.push(b'&');
                }
                kept.extend_from_slice(pair);
            }
        }
        part(key, (!kept.is_empty()).then_some(&kept));
    }

    /// Whether the key tells callers apart, so that nobody gets what was answered to somebody else.
    fn tells_callers_apart(&self, exchange: &Exchange) -> bool {
        let known = exchange.identity.is_some();
        let by_identity = |source: &Source| match source {
            Source::Subject | Source::Consumer | Source::Jwt(_) => exchange.source(source).is_some(),
            _ => false,
        };
        if known && self.sources.iter().any(by_identity) {
            return true;
        }
        let header =
            |name: &str| self.sources.iter().any(|source| matches!(source, Source::Header(of) if of == name));
        let fields = &exchange.request.fields;
        let certificate = exchange.secure.as_ref().is_some_and(|secure| secure.client_cert.is_some());
        let by_certificate = self.sources.iter().any(|source| matches!(source, Source::ClientCert(_)));
        let by_cookie = self.sources.iter().any(|source| matches!(source, Source::Cookie(_)));
        !known
            && (!fields.contains(names::AUTHORIZATION) || header("authorization"))
            && (!fields.contains(names::COOKIE) || by_cookie || header("cookie"))
            && (!certificate || by_certificate)
    }

    /// Whether the answer may be about the caller, and the key does not tell callers apart.
    pub(super) fn is_personal(&self, exchange: &Exchange) -> bool {
        let fields = &exchange.request.fields;
        let credentials = exchange.identity.is_some()
            || fields.contains(names::AUTHORIZATION)
            || fields.contains(names::COOKIE)
            || exchange.secure.as_ref().is_some_and(|secure| secure.client_cert.is_some());
        credentials && !self.tells_callers_apart(exchange)
    }
}

/// Whether a field makes some servers read another request than the one that is seen here.
pub(super) fn is_rewritten(fields: &Fields) -> bool {
    fields.iter().any(|field| {
        field.id == FieldId::Other
            && matches!(field.name.first(), Some(b'x' | b'X'))
            && REWRITING.iter().any(|known| known.eq_ignore_ascii_case(field.name))
    })
}

fn part(key: &mut Vec<u8>, text: Option<&[u8]>) {
    let length = text.map_or(ABSENT, |text| u32::try_from(text.len()).unwrap_or(ABSENT));
    key.extend_from_slice(&length.to_le_bytes());
    key.extend_from_slice(text.unwrap_or_default());
}

/// The parts of a key, in order.
pub(super) fn parts(mut key: &[u8]) -> impl Iterator<Item = Option<&[u8]>> {
    std::iter::from_fn(move || {
        let (length, rest) = key.split_first_chunk::<4>()?;
        let length = u32::from_le_bytes(*length);
        if length == ABSENT {
            key = rest;
            return Some(None);
        }
        let (text, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
        key = rest;
        Some(Some(text))
    })
}

/// The port that a `Host` names.
fn port(host: &[u8]) -> Option<&[u8]> {
    let at = memchr::memrchr(b':', host)?;
    let port = host.get(at.saturating_add(1)..)?;
    (!port.is_empty() && port.iter().all(u8::is_ascii_digit)).then_some(port)
}

/// The value of a field of the request by which an answer was chosen, in one form for all that mean the same: lines
/// joined, white space around commas taken away (RFC 9111 section 4.1). `None` when it is not there.
pub(super) fn selecting(fields: &Fields, name: &NameBuf) -> Option<Vec<u8>> {
    let name = name.as_name();
    if name.id() == FieldId::AcceptEncoding {
        return Some(codings(fields));
    }
    if !fields.contains(name) {
        return None;
    }
    let folds = matches!(name.id(), FieldId::Accept | FieldId::AcceptLanguage);
    let mut value: Vec<u8> = Vec::new();
    for element in fields.get_all(name).flat_map(crate::http::list::elements) {
        if !value.is_empty() {
            value.push(b',');
        }
        let start = value.len();
        value.extend_from_slice(element);
        if folds {
            value.get_mut(start..).unwrap_or_default().make_ascii_lowercase();
        }
    }
    Some(value)
}

/// The codings that a request takes, of those that are in use; the same for every way to say so.
fn codings(fields: &Fields) -> Vec<u8> {
    const KNOWN: [&[u8]; 5] = [b"br", b"deflate", b"gzip", b"zstd", b"*"];
    let mut taken = [false; KNOWN.len()];
    for element in fields.get_all(names::ACCEPT_ENCODING).flat_map(crate::http::list::elements) {
        let mut words = element.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
        let coding = words.next().unwrap_or_default();
        let coding = if coding.eq_ignore_ascii_case(b"x-gzip") { b"gzip" } else { coding };
        let refused = words.any(|word| {
            let weight = word.strip_prefix(b"q=").or_else(|| word.strip_prefix(b"Q="));
            weight.is_some_and(|weight| weight.iter().all(|byte| matches!(byte, b'0' | b'.')))
        });
        for (known, taken) in KNOWN.iter().zip(&mut taken) {
            *taken |= !refused && known.eq_ignore_ascii_case(coding);
        }
    }
    let named = KNOWN.iter().zip(taken).filter_map(|(known, taken)| taken.then_some(*known));
    named.collect::<Vec<_>>().join(&b","[..])
}

#[cfg(test)]
mod tests {
    use super::super::super::tests::asked;
    use super::*;

    fn key(keys: &Keys, target: &str, fields: &[(&str, &str)]) -> Vec<u8> {
        let mut key = Vec::new();
        assert!(keys.write(&asked("GET", target, fields), &mut key));
        key
    }

    #[test]
    fn nothing_that_is_another_request_has_the_same_key() {
        let keys = Keys::default();
        let all: Vec<Vec<u8>> = [
            ("/a", &[][..]),
            ("/A", &[]),
            ("/a?", &[]),
            ("/a?b", &[]),
            ("/a?b=", &[]),
            ("/a?b=1&c", &[]),
            ("/a?b=1%26c", &[]),
            ("/a?c&b=1", &[]),
            ("/a%3Fb", &[]),
            ("/a;b", &[]),
            ("/a/", &[]),
            ("http://h.exampl/ea", &[]),
            ("/a", &[("X-Forwarded-Host", "evil")]),
        ]
        .iter()
        .map(|(target, fields)| key(&keys, target, fields))
        .collect();
        for (nth, one) in all.iter().enumerate() {
            assert!(!all[..nth].contains(one), "the request {nth}");
        }
        let parts: Vec<Option<&[u8]>> = parts(&all[4]).take(5).collect();
        assert_eq!(parts, [Some(&b"http"[..]), Some(b"h.example"), None, Some(b"/a"), Some(b"b=")]);
    }

    #[test]
    fn a_port_counts() {
        for (host, wanted) in
            [("a", None), ("a:80", Some("80")), ("[::1]", None), ("[::1]:8", Some("8")), ("a:", None)]
        {
            assert_eq!(port(host.as_bytes()), wanted.map(str::as_bytes), "{host}");
        }
    }

    #[test]
    fn parameters_that_do_not_count_are_left_out() {
        let ignore = Keys { query: Query::Ignore(vec![Parameter::new("utm_*")]), ..Keys::default() };
        let same = key(&ignore, "/a?x=1", &[]);
        assert_eq!(key(&ignore, "/a?utm_source=m&x=1&%75tm_medium=2", &[]), same);
        assert_ne!(key(&ignore, "/a?x=2", &[]), same);
        let keep = Keys { query: Query::Keep(vec![Parameter::new("x")]), ..Keys::default() };
        assert_eq!(key(&keep, "/a?y=1&x=1&&z", &[]), key(&keep, "/a?x=1", &[]));
        assert_eq!(key(&keep, "/a?y=1", &[]), key(&keep, "/a", &[]));
    }

    #[test]
    fn values_that_mean_the_same_select_the_same() {
        let select = |name: &str, values: &[&str]| {
            let lines: Vec<(&str, &str)> = values.iter().map(|value| (name, *value)).collect();
            selecting(&asked("GET", "/", &lines).request.fields, &NameBuf::new(name).unwrap())
        };
        assert_eq!(
            select("Accept-Encoding", &["gzip, br"]),
            select("Accept-Encoding", &["BR;q=1", "x-gzip"])
        );
        assert_eq!(select("Accept-Encoding", &["gzip;q=0, br"]), select("Accept-Encoding", &["br"]));
        assert_eq!(select("Accept-Encoding", &["identity"]), select("Accept-Encoding", &[]));
        assert_ne!(select("Accept-Encoding", &["br"]), select("Accept-Encoding", &["gzip"]));
        assert_eq!(select("Accept-Language", &["de , en"]), select("Accept-Language", &["DE", "en"]));
        assert_ne!(select("X-A", &["a"]), select("X-A", &["A"]));
        assert_ne!(select("X-A", &[""]), select("X-A", &[]));
    }

    #[test]
    fn who_calls_is_in_the_key_or_the_request_is_personal() {
        for (sources, fields, personal) in [
            (&[][..], &[][..], false),
            (&[], &[("Authorization", "Basic x")], true),
            (&[], &[("Cookie", "sid=1")], true),
            (&["header.authorization"], &[("Authorization", "Basic x")], false),
            (&["cookie.sid"], &[("Cookie", "sid=1")], false),
            (&["cookie.sid"], &[("Cookie", "sid=1"), ("Authorization", "Basic x")], true),
            (&["subject"], &[("Authorization", "Basic x")], true),
        ] {
            let sources = sources.iter().map(|source| source.parse().unwrap()).collect();
            let keys = Keys { sources, ..Keys::default() };
            assert_eq!(keys.is_personal(&asked("GET", "/", fields)), personal, "{keys:?} {fields:?}");
        }
    }
}
