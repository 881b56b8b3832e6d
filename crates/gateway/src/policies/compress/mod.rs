//! `compress`: codes answers with zstd, brotli or gzip, as the client takes them (RFC 9110 section 12.5.3).
//!
//! Takes the head of a service's answer and says how its body is coded as it passes; every piece can be read by the client
//! as soon as the service has sent it. Must never code what is coded already, nor what a page of another site could ask for
//! with a visitor's credentials: the length of such an answer would tell what is in it (BREACH).

mod coding;

use std::sync::atomic::{AtomicU64, Ordering};

use http1::{Fields, Framing, Method, Name, names};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Context, Policy, Settings};
use crate::config::{Diagnostics, OneOrMany, Spanned, codes};
use crate::exchange::Exchange;
use crate::http::list::elements;
use crate::observe::Figure;
use crate::values::Size;
use coding::{Coder, Coding, Effort};

/// Compresses answers of services for clients that take it: zstd, brotli or gzip, whichever the client likes best, in this
/// order where it likes them alike.
///
/// Compressed are answers with a body whose `Content-Type` is among `types`, of `min_size` or more or without a length,
/// with a status other than 206, that are not coded yet and do not say `no-transform`. Their `ETag` becomes a weak one, and
/// `Vary` says `Accept-Encoding`. Each piece goes on as soon as the service has sent it. A `cache` on the same route keeps what
/// is compressed, so that this is done once for each coding.
///
/// Not compressed are answers under TLS to requests that a page of another site could have made with the visitor's
/// credentials (a cookie, a password that the browser remembers, a certificate), because from their length a secret in them
/// could be guessed (BREACH). Browsers that send `Sec-Fetch-Site` tell such requests apart. `credentials: true` compresses
/// these as well: only for services that put no secret beside what a request can write into the answer.
///
/// ```yaml
/// compress: {}
/// ```
///
/// ```yaml
/// compress: { codings: [br, gzip], types: [text/*, application/json], min_size: 4KiB, effort: high }
/// ```
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct Compress {
    /// Codings, the best first. Default: zstd, br, gzip.
    codings: OneOrMany<Spanned<Coding>>,
    /// Kinds of content; `text/*` stands for all that begin so, `+json` for all that end so. Default: text but for events,
    /// JSON, JavaScript, XML, SVG, WebAssembly, plain fonts.
    types: OneOrMany<Spanned<String>>,
    /// The smallest body that is compressed, where its length is known. Default: 1KiB.
    min_size: Size,
    /// How much time is spent on it: `low`, `normal` (gzip 5, br 4, zstd 3) or `high` (gzip 7, br 6, zstd 9), which costs
    /// several times as much. Default: normal.
    effort: Effort,
    /// Whether answers are compressed that a page of another site could have asked for with the visitor's credentials.
    /// Default: false.
    credentials: bool,
}

/// What shrinks, and is nobody's stream.
const TYPES: [&str; 17] = [
    "text/*",
    "+json",
    "+xml",
    "application/json",
    "application/x-ndjson",
    "application/javascript",
    "application/x-javascript",
    "application/xml",
    "application/wasm",
    "application/x-protobuf",
    "application/x-yaml",
    "application/yaml",
    "application/vnd.ms-fontobject",
    "font/otf",
    "font/ttf",
    "image/bmp",
    "image/x-icon",
];
/// A stream of events: each would be a piece of its own.
const EVENTS: &str = "text/event-stream";
/// Bodies that are compressed at once, in the whole process. Each takes up to 2MiB; those beyond go out as they are.
const MOST: u64 = 256;

static NOW: AtomicU64 = AtomicU64::new(0);
static ANSWERS: AtomicU64 = AtomicU64::new(0);
static TAKEN: AtomicU64 = AtomicU64::new(0);
static GIVEN: AtomicU64 = AtomicU64::new(0);
static REFUSED: AtomicU64 = AtomicU64::new(0);

impl Default for Compress {
    fn default() -> Self {
        Compress {
            codings: OneOrMany::default(),
            types: OneOrMany::default(),
            min_size: Size::from_kib(1),
            effort: Effort::Normal,
            credentials: false,
        }
    }
}

impl Settings for Compress {
    const NAME: &'static str = "compress";
    const REFUSES: bool = false;

    fn compile(self, _: &Spanned<String>, _: &Context, faults: &mut Diagnostics) -> Option<Box<dyn Policy>> {
        let before = faults.errors();
        for kind in self.types.iter() {
            let good = kind.starts_with('+')
                || kind.split_once('/').is_some_and(|(first, rest)| !first.is_empty() && !rest.is_empty());
            if !good || !kind.bytes().all(|byte| byte.is_ascii_graphic()) {
                let what = format!("`{}` is no kind of content", **kind);
                faults
                    .error(codes::BAD_VALUE, kind.span(), what)
                    .help("write `application/json`, `text/*` or `+json`");
            }
        }
        if faults.errors() > before {
            return None;
        }
        let codings: Vec<Coding> = self.codings.iter().map(|coding| **coding).collect();
        let types: Vec<String> = self.types.iter().map(|kind| kind.to_ascii_lowercase()).collect();
        Some(Box::new(Compiled {
            codings: if codings.is_empty() { vec![Coding::Zstd, Coding::Br, Coding::Gzip] } else { codings },
            types,
            least: self.min_size.bytes(),
            effort: self.effort,
            credentials: self.credentials,
        }))
    }
}

/// The policy, ready to run.
struct Compiled {
    codings: Vec<Coding>,
    /// Empty for the usual ones.
    types: Vec<String>,
    least: u64,
    effort: Effort,
    credentials: bool,
}

impl Policy for Compiled {
    fn response(&self, exchange: &mut Exchange) {
        // What the gateway says itself is short, and what stands in for the service goes out as it is kept.
        let of_service = exchange.record.answered.is_some() && exchange.instead.is_none();
        if !of_service || !self.may(exchange) {
            return;
        }
        vary_by_coding(&mut exchange.response.fields);
        let large = match exchange.response.framing {
            Framing::Length(length) => length >= self.least,
            Framing::Chunked => true,
            // Whether a body that lasts until the close was whole could not be seen any more.
            Framing::None | Framing::UntilClose => false,
        };
        let coding = chosen(&exchange.request.fields, &self.codings);
        let Some(coding) = coding.filter(|_| large && (self.credentials || !is_guessable(exchange))) else {
            return;
        };
        if exchange.rehearsal {
            return;
        }
        let Some(coder) = Coder::new(coding, self.effort) else {
            REFUSED.fetch_add(1, Ordering::Relaxed);
            return;
        };
        let head = &mut exchange.response;
        head.fields.set(names::CONTENT_ENCODING, coding.word().as_bytes());
        head.fields.remove(names::ACCEPT_RANGES);
        // The bytes are others now, so only the meaning is the same (RFC 9110 section 8.8.3).
        let tag = head.fields.get(names::ETAG).filter(|tag| !tag.starts_with(b"W/")).map(<[u8]>::to_vec);
        if let Some(tag) = tag {
            head.fields.remove(names::ETAG);
            head.fields.push_parts(names::ETAG, &[b"W/", &tag]);
        }
        head.framing = Framing::Chunked;
        exchange.coat = Some(Box::new(coder));
    }

    fn figures(&self, tell: &mut dyn FnMut(Figure)) {
        for (name, help, count) in [
            ("tidegate_compress_answers", "Answers that were compressed.", &ANSWERS),
            ("tidegate_compress_in_bytes", "Bytes that were compressed.", &TAKEN),
            ("tidegate_compress_out_bytes", "Bytes that they became.", &GIVEN),
            (
                "tidegate_compress_refused",
                "Answers that went out as they were because too many were compressed.",
                &REFUSED,
            ),
        ] {
            tell(Figure { name, help, counts: true, value: count.load(Ordering::Relaxed) });
        }
    }
}

impl Compiled {
    /// Whether answers like this one are compressed for clients that take it.
    fn may(&self, exchange: &Exchange) -> bool {
        let answer = &exchange.response;
        let fields = &answer.fields;
        let whole =
            !matches!(answer.status, 0..200 | 204 | 206 | 304) && exchange.record.method != Method::Head;
        let forbidden =
            || fields.get_all(names::CACHE_CONTROL).flat_map(elements).any(|word| word == b"no-transform");
        // A digest is one of the bytes as they are (RFC 9530).
        let digested = || {
            [&b"Content-Digest"[..], b"Repr-Digest", b"Digest", b"Content-MD5"]
                .iter()
                .any(|name| Name::new(name).is_ok_and(|name| fields.contains(name)))
        };
        whole
            && !fields.contains(names::CONTENT_ENCODING)
            && !fields.contains(names::CONTENT_RANGE)
            && fields.get(names::CONTENT_TYPE).is_some_and(|kind| self.takes(kind))
            && !forbidden()
            && !digested()
    }

    fn takes(&self, kind: &[u8]) -> bool {
        let end = memchr::memchr(b';', kind).unwrap_or(kind.len());
        let kind = kind.get(..end).unwrap_or_default().trim_ascii().to_ascii_lowercase();
        let is = |known: &str| match (known.strip_suffix('*'), known.strip_prefix('+')) {
            (Some(start), _) => kind.starts_with(start.as_bytes()),
            (None, Some(_)) => kind.ends_with(known.as_bytes()),
            (None, None) => *kind == *known.as_bytes(),
        };
        match self.types.is_empty() {
            true => kind != EVENTS.as_bytes() && TYPES.iter().any(|known| is(known)),
            false => self.types.iter().any(|known| is(known)),
        }
    }
}

/// Whether a page of another site could have made the request with what its visitor's browser adds by itself.
fn is_guessable(exchange: &Exchange) -> bool {
    let fields = &exchange.request.fields;
    let ambient = fields.contains(names::COOKIE)
        || fields.get(names::AUTHORIZATION).is_some_and(|value| !starts_with(value, b"bearer "))
        || exchange.secure.as_ref().is_some_and(|secure| secure.client_cert.is_some());
    let own_page =
        fields.get(names::SEC_FETCH_SITE).is_some_and(|site| matches!(site, b"same-origin" | b"none"));
    exchange.client.https && ambient && !own_page
}

fn starts_with(value: &[u8], start: &[u8]) -> bool {
    value.get(..start.len()).is_some_and(|first| first.eq_ignore_ascii_case(start))
}

/// The coding that the client likes best, of those that there are (RFC 9110 section 12.5.3).
fn chosen(request: &Fields, codings: &[Coding]) -> Option<Coding> {
    let mut weights: Vec<(&[u8], u16)> = Vec::new();
    for element in request.get_all(names::ACCEPT_ENCODING).flat_map(elements) {
        let mut words = element.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
        let coding = words.next().unwrap_or_default();
        let weight = words.find_map(|word| word.strip_prefix(b"q=").or_else(|| word.strip_prefix(b"Q=")));
        weights.push((coding, weight.map_or(1000, thousandths)));
    }
    let weight = |word: &str| {
        let named = weights.iter().find(|(known, _)| known.eq_ignore_ascii_case(word.as_bytes()));
        named.or_else(|| weights.iter().find(|(known, _)| *known == b"*")).map_or(0, |(_, weight)| *weight)
    };
    let plain = weights
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(b"identity"))
        .map_or(0, |(_, weight)| *weight);
    let mut best = None;
    for coding in codings {
        let liked = match coding {
            Coding::Gzip => weight("gzip").max(
                weights
                    .iter()
                    .find(|(known, _)| known.eq_ignore_ascii_case(b"x-gzip"))
                    .map_or(0, |(_, weight)| *weight),
            ),
            other => weight(other.word()),
        };
        if liked > 0 && liked >= plain && best.is_none_or(|(most, _)| liked > most) {
            best = Some((liked, *coding));
        }
    }
    best.map(|(_, coding)| coding)
}

/// A weight in thousandths (RFC 9110 section 12.4.2); what is none counts as nothing.
fn thousandths(weight: &[u8]) -> u16 {
    let text = std::str::from_utf8(weight).unwrap_or_default();
    let weight: f32 = text.parse().unwrap_or(0.0);
    // Between 0 and 1000, so that nothing is lost.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped before")]
    let thousandths = (weight.clamp(0.0, 1.0) * 1000.0) as u16;
    thousandths
}

/// Adds `Accept-Encoding` to what the answer depends on.
fn vary_by_coding(fields: &mut Fields) {
    let knows = |name: &[u8]| name.eq_ignore_ascii_case(b"accept-encoding") || name == b"*";
    if !fields.get_all(names::VARY).flat_map(elements).any(knows) {
        fields.push(names::VARY, b"Accept-Encoding");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policies::tests::asked;

    #[test]
    fn the_client_says_which_coding_it_likes() {
        let all = [Coding::Zstd, Coding::Br, Coding::Gzip];
        for (accept, wanted) in [
            ("gzip", Some("gzip")),
            ("gzip, deflate, br, zstd", Some("zstd")),
            ("gzip, br", Some("br")),
            ("gzip;q=1.0, br;q=0.5", Some("gzip")),
            ("GZIP;Q=0.3", Some("gzip")),
            ("x-gzip", Some("gzip")),
            ("br;q=0, *", Some("zstd")),
            ("*;q=0", None),
            ("zstd;q=0, br;q=0, gzip;q=0, *", None),
            ("identity", None),
            ("identity;q=1, gzip;q=0.5", None),
            ("deflate", None),
            ("gzip;q=much", None),
            ("", None),
        ] {
            let exchange = asked("GET", "/", &[("Accept-Encoding", accept)]);
            assert_eq!(chosen(&exchange.request.fields, &all).map(Coding::word), wanted, "{accept}");
        }
        assert_eq!(chosen(&Fields::new(), &all), None, "who says nothing gets it as it is");
    }

    #[test]
    fn kinds_of_content_are_compared_without_their_parameters() {
        let usual = Compiled {
            codings: Vec::new(),
            types: Vec::new(),
            least: 0,
            effort: Effort::Normal,
            credentials: false,
        };
        for (kind, takes) in [
            ("text/html; charset=utf-8", true),
            ("Application/JSON", true),
            ("application/problem+json", true),
            ("image/svg+xml", true),
            ("text/event-stream", false),
            ("image/png", false),
            ("application/zip", false),
            ("", false),
        ] {
            assert_eq!(usual.takes(kind.as_bytes()), takes, "{kind}");
        }
        let own = Compiled { types: vec!["text/event-stream".into(), "image/*".into()], ..usual };
        assert!(own.takes(b"text/event-stream") && own.takes(b"image/png") && !own.takes(b"text/html"));
    }

    #[test]
    fn what_another_site_can_ask_for_with_credentials_is_guessable() {
        for (https, fields, guessable) in [
            (true, &[("Cookie", "a=b")][..], true),
            (false, &[("Cookie", "a=b")], false),
            (true, &[], false),
            (true, &[("Authorization", "Basic x")], true),
            (true, &[("Authorization", "Bearer x")], false),
            (true, &[("Cookie", "a=b"), ("Sec-Fetch-Site", "same-origin")], false),
            (true, &[("Cookie", "a=b"), ("Sec-Fetch-Site", "cross-site")], true),
        ] {
            let mut exchange = asked("GET", "/", fields);
            exchange.client.https = https;
            assert_eq!(is_guessable(&exchange), guessable, "{fields:?}");
        }
    }
}
