//! Where in a request a credential stands: a header, a query parameter, a cookie.
//!
//! Finds it, and takes it out, so that neither a service nor a log gets it. Two credentials in one place are none:
//! which one counts must not depend on who reads them.

use std::borrow::Cow;

use http1::{FieldId, NameBuf, names};

use crate::config::{Diagnostics, Spanned, codes};
use crate::exchange::Exchange;
use crate::exchange::source::{decoded, query_value};
use crate::http::trust::Pattern;
use crate::observe::redact::Redaction;
use crate::values::HeaderName;

/// Where a credential stands.
pub enum Place {
    /// In the header of this name, whole.
    Header(NameBuf, Pattern),
    /// In `Authorization` behind this scheme (RFC 9110 section 11.6.2).
    Scheme(&'static str),
    /// In the query parameter of this name.
    Query(Box<str>),
    /// In the cookie of this name.
    Cookie(Box<str>),
}

/// What was found there.
pub enum Found<'a> {
    /// Nothing.
    Nothing,
    /// This.
    One(Cow<'a, [u8]>),
    /// More than one, or one that cannot be read.
    Unclear,
}

/// A place as a configuration writes it: one of these at most.
pub struct Written<'w> {
    /// In this header, whole.
    pub header: &'w Option<Spanned<HeaderName>>,
    /// In this query parameter.
    pub query: &'w Option<Spanned<String>>,
    /// In this cookie.
    pub cookie: &'w Option<Spanned<HeaderName>>,
}

impl Written<'_> {
    /// The place that a policy was told, or its usual one.
    pub fn place(
        &self,
        policy: &str,
        key: &Spanned<String>,
        usual: Option<Place>,
        faults: &mut Diagnostics,
    ) -> Option<Place> {
        match (self.header, self.query, self.cookie) {
            (None, None, None) => usual,
            (Some(header), None, None) => Place::header(header.as_str()),
            (None, Some(query), None) => {
                if !Redaction::default().is_secret(query.as_bytes()) {
                    let text = format!("logs would tell the value of the query parameter `{}`", **query);
                    let fault = faults.error(codes::BAD_POLICY, query.span(), text);
                    fault.help("name it so that it is known to be a secret: api_key, key, token");
                    return None;
                }
                Some(Place::Query(query.as_str().into()))
            }
            (None, None, Some(cookie)) => Some(Place::Cookie(cookie.as_str().into())),
            _ => {
                let text = format!("`{policy}` says two places for the credential");
                let fault = faults.error(codes::BAD_POLICY, key.span(), text);
                fault.help("keep one of `header`, `query`, `cookie`");
                None
            }
        }
    }
}

impl Place {
    /// A header, none for a name that is no token.
    pub fn header(name: &str) -> Option<Place> {
        Some(Place::Header(NameBuf::new(name).ok()?, Pattern::new(name)))
    }

    /// Looks for the credential.
    pub fn find<'e>(&self, exchange: &'e Exchange) -> Found<'e> {
        let fields = &exchange.request.fields;
        match self {
            Place::Header(name, _) => {
                let mut lines = fields.get_all(name.as_name());
                one(lines.next(), lines.next())
            }
            Place::Scheme(scheme) => {
                let mut lines = fields.get_all(names::AUTHORIZATION);
                match one(lines.next(), lines.next()) {
                    Found::One(Cow::Borrowed(value)) => match behind(value, scheme) {
                        Some(value) => Found::One(Cow::Borrowed(value)),
                        None => Found::Nothing,
                    },
                    other => other,
                }
            }
            Place::Query(name) => {
                let named = |pair: &&[u8]| {
                    let equals = memchr::memchr(b'=', pair).unwrap_or(pair.len());
                    *decoded(pair.get(..equals).unwrap_or_default()) == *name.as_bytes()
                };
                match exchange.query.split(|byte| *byte == b'&').filter(named).count() {
                    0 => Found::Nothing,
                    1 => query_value(&exchange.query, name).map_or(Found::Nothing, Found::One),
                    _ => Found::Unclear,
                }
            }
            Place::Cookie(name) => {
                let lines = fields.get_all(names::COOKIE);
                let mut pairs = lines.flat_map(pairs).filter(|pair| cookie_name(pair) == name.as_bytes());
                let value = |pair: &'e [u8]| pair.get(name.len().saturating_add(1)..).unwrap_or_default();
                one(pairs.next().map(value), pairs.next().map(value))
            }
        }
    }

    /// Takes the credential out of the request, and whatever a service could take for it.
    pub fn take(&self, exchange: &mut Exchange) {
        let fields = &mut exchange.request.fields;
        match self {
            Place::Header(name, folded) => {
                let own = name.as_name().id();
                fields.retain(|field| match (own, field.id) {
                    // A name that the codec knows is spelled as it is to be: it is this one or another.
                    (own, id) if own != FieldId::Other && id != FieldId::Other => own != id,
                    _ => !folded.matches(field.name),
                });
            }
            Place::Scheme(scheme) => fields
                .retain(|field| field.id != FieldId::Authorization || behind(field.value, scheme).is_none()),
            Place::Query(name) => take_parameter(exchange, name),
            Place::Cookie(name) => {
                let with: Vec<Vec<u8>> = fields.get_all(names::COOKIE).map(<[u8]>::to_vec).collect();
                if !with.iter().any(|line| pairs(line).any(|pair| cookie_name(pair) == name.as_bytes())) {
                    return;
                }
                fields.retain(|field| field.id != FieldId::Cookie);
                for line in with {
                    let kept: Vec<&[u8]> =
                        pairs(&line).filter(|pair| cookie_name(pair) != name.as_bytes()).collect();
                    if !kept.is_empty() {
                        fields.push(names::COOKIE, &kept.join(&b"; "[..]));
                    }
                }
            }
        }
    }
}

fn one<'a>(first: Option<&'a [u8]>, second: Option<&'a [u8]>) -> Found<'a> {
    match (first, second) {
        (None, _) => Found::Nothing,
        (Some(value), None) => Found::One(Cow::Borrowed(value)),
        (Some(_), Some(_)) => Found::Unclear,
    }
}

/// What stands behind the scheme, in any letter case, and at least one space.
fn behind<'a>(value: &'a [u8], scheme: &str) -> Option<&'a [u8]> {
    let (first, rest) = value.split_at_checked(scheme.len())?;
    let rest = rest.strip_prefix(b" ").or_else(|| rest.is_empty().then_some(rest))?;
    first.eq_ignore_ascii_case(scheme.as_bytes()).then(|| rest.trim_ascii())
}

fn pairs(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|byte| *byte == b';').map(<[u8]>::trim_ascii).filter(|pair| !pair.is_empty())
}

fn cookie_name(pair: &[u8]) -> &[u8] {
    let equals = memchr::memchr(b'=', pair).unwrap_or(pair.len());
    pair.get(..equals).unwrap_or_default()
}

/// Takes all parameters of this name out of the query. What the client sent is changed, not the plan for the
/// service, so that logs do not tell it either.
fn take_parameter(exchange: &mut Exchange, name: &str) {
    let query = std::mem::take(&mut exchange.query);
    let mut kept = Vec::with_capacity(query.len());
    for pair in query.split(|byte| *byte == b'&') {
        let equals = memchr::memchr(b'=', pair).unwrap_or(pair.len());
        if *decoded(pair.get(..equals).unwrap_or_default()) == *name.as_bytes() {
            continue;
        }
        if !kept.is_empty() {
            kept.push(b'&');
        }
        kept.extend_from_slice(pair);
    }
    exchange.has_query &= !kept.is_empty();
    exchange.query = kept;
}

#[cfg(test)]
mod tests {
    use http1::Name;

    use super::*;

    fn exchange(query: &str, fields: &[(&str, &str)]) -> Exchange {
        let mut exchange = Exchange { query: query.into(), has_query: true, ..Exchange::default() };
        for (name, value) in fields {
            exchange.request.fields.push(Name::new(name.as_bytes()).unwrap(), value.as_bytes());
        }
        exchange
    }

    fn found(place: &Place, exchange: &Exchange) -> String {
        match place.find(exchange) {
            Found::Nothing => "nothing".into(),
            Found::Unclear => "unclear".into(),
            Found::One(value) => format!("={}", String::from_utf8_lossy(&value)),
        }
    }

    #[test]
    fn a_credential_is_found_once_or_not_at_all() {
        let header = || Place::header("X-API-Key").unwrap();
        let (query, cookie, bearer) =
            (|| Place::Query("key".into()), || Place::Cookie("sid".into()), || Place::Scheme("Bearer"));
        for (place, sent, wish) in [
            (header(), exchange("", &[("x-api-key", "k")]), "=k"),
            (header(), exchange("", &[]), "nothing"),
            (header(), exchange("", &[("X-API-Key", "")]), "="),
            (header(), exchange("", &[("X-API-Key", "k"), ("x-api-key", "k")]), "unclear"),
            (header(), exchange("", &[("X_API_Key", "k")]), "nothing"),
            (query(), exchange("a=1&key=x%20y", &[]), "=x y"),
            (query(), exchange("%6bey=x", &[]), "=x"),
            (query(), exchange("key=x&%6bey=y", &[]), "unclear"),
            (query(), exchange("keys=x", &[]), "nothing"),
            (cookie(), exchange("", &[("Cookie", "a=1; sid=x=y")]), "=x=y"),
            (cookie(), exchange("", &[("Cookie", "sid=x"), ("Cookie", "sid=y")]), "unclear"),
            (cookie(), exchange("", &[("Cookie", "xsid=x; sidx=y")]), "nothing"),
            (bearer(), exchange("", &[("Authorization", "bearer  t")]), "=t"),
            (bearer(), exchange("", &[("Authorization", "Bearer")]), "="),
            (bearer(), exchange("", &[("Authorization", "Bearert")]), "nothing"),
            (bearer(), exchange("", &[("Authorization", "Basic t")]), "nothing"),
            (
                bearer(),
                exchange("", &[("Authorization", "Basic t"), ("Authorization", "Bearer t")]),
                "unclear",
            ),
        ] {
            assert_eq!(found(&place, &sent), wish, "{:?}", sent.request.fields);
        }
    }

    #[test]
    fn nothing_is_left_of_a_credential() {
        let lines = |exchange: &Exchange| -> Vec<String> {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            exchange.request.fields.iter().map(|f| format!("{}: {}", text(f.name), text(f.value))).collect()
        };
        for (place, sent, left) in [
            (
                Place::header("X-API-Key").unwrap(),
                &[("x_api_key", "1"), ("X-API-Key", "2"), ("A", "3")][..],
                &["A: 3"][..],
            ),
            (
                Place::Cookie("sid".into()),
                &[("Cookie", "a=1; sid=2;b=3"), ("Cookie", "sid=4")],
                &["Cookie: a=1; b=3"],
            ),
            (Place::Cookie("sid".into()), &[("Cookie", "a=1")], &["Cookie: a=1"]),
            (Place::Scheme("Bearer"), &[("Authorization", "bEARER x")], &[]),
            (Place::Scheme("Bearer"), &[("Authorization", "Basic x")], &["Authorization: Basic x"]),
        ] {
            let mut exchange = exchange("", sent);
            place.take(&mut exchange);
            assert_eq!(lines(&exchange), left, "{sent:?}");
        }
        for (query, left, has) in [
            ("key=1&a=2&%6bey=3", "a=2", true),
            ("key=1", "", false),
            ("a=1&b", "a=1&b", true),
            ("key", "", false),
        ] {
            let mut exchange = exchange(query, &[]);
            Place::Query("key".into()).take(&mut exchange);
            assert_eq!((&*exchange.query, exchange.has_query), (left.as_bytes(), has), "{query}");
        }
    }
}
