//! What a template or a `per:` reads of an exchange: the text of each source.

use std::borrow::Cow;

use super::Exchange;
use crate::values::{CertFact, Part, Source, Template};

impl Exchange {
    /// The text of a source; `None` when the exchange has none of it.
    pub fn source(&self, source: &Source) -> Option<Cow<'_, [u8]>> {
        match source {
            Source::PathParam(name) => self.captures.get(name).map(Cow::Borrowed),
            Source::Query(name) => query_value(&self.query, name),
            Source::Header(name) => self
                .request
                .fields
                .iter()
                .find(|field| field.name.eq_ignore_ascii_case(name.as_bytes()))
                .map(|field| Cow::Borrowed(field.value)),
            Source::Cookie(name) => self.cookie(name).map(Cow::Borrowed),
            Source::ClientCert(fact) => {
                let certificate = self.secure.as_ref()?.client_cert.as_ref()?;
                let text = match fact {
                    CertFact::Subject => &certificate.subject,
                    CertFact::San => &certificate.san,
                    CertFact::Fingerprint => &certificate.fingerprint,
                };
                Some(text.as_bytes()).filter(|text| !text.is_empty()).map(Cow::Borrowed)
            }
            Source::Ip => Some(Cow::Owned(self.client.ip.to_string().into_bytes())),
            Source::Method => Some(Cow::Borrowed(self.request.method_text())),
            Source::Host => Some(Cow::Borrowed(&self.host)),
            Source::Path => Some(Cow::Borrowed(&self.path)),
            Source::Scheme => Some(Cow::Borrowed(if self.client.https { b"https" } else { b"http" })),
            Source::RequestId => Some(Cow::Borrowed(self.id.as_bytes())),
            Source::Consumer => Some(Cow::Borrowed(self.identity.as_ref()?.consumer.as_ref()?.as_bytes())),
            Source::Subject => Some(Cow::Borrowed(self.identity.as_ref()?.subject.as_ref()?.as_bytes())),
            Source::Groups => joined(&self.identity.as_ref()?.groups, ","),
            Source::Scopes => joined(&self.identity.as_ref()?.scopes, " "),
            Source::Roles => joined(&self.identity.as_ref()?.roles, ","),
            Source::Jwt(claim) => match self.identity.as_ref()?.claim_text(claim)? {
                Cow::Borrowed(text) => Some(Cow::Borrowed(text.as_bytes())),
                Cow::Owned(text) => Some(Cow::Owned(text.into_bytes())),
            },
        }
    }

    /// A template filled in; a source without text leaves nothing behind.
    pub fn render(&self, template: &Template) -> Vec<u8> {
        let mut text = Vec::new();
        for part in template.parts() {
            match part {
                Part::Literal(literal) => text.extend_from_slice(literal.as_bytes()),
                Part::Source(source) => text.extend_from_slice(&self.source(source).unwrap_or_default()),
            }
        }
        text
    }

    /// The value of a cookie of the request (RFC 6265 section 5.4: the first of that name).
    pub fn cookie(&self, name: &str) -> Option<&[u8]> {
        self.request.fields.get_all(http1::names::COOKIE).find_map(|line| cookie_value(line, name.as_bytes()))
    }
}

/// A list as one text; none when it is empty.
fn joined<'a>(texts: &'a [Box<str>], between: &str) -> Option<Cow<'a, [u8]>> {
    match texts {
        [] => None,
        [one] => Some(Cow::Borrowed(one.as_bytes())),
        more => Some(Cow::Owned(more.join(between).into_bytes())),
    }
}

fn cookie_value<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    line.split(|byte| *byte == b';').find_map(|pair| {
        let pair = pair.trim_ascii();
        let equals = memchr::memchr(b'=', pair)?;
        let (left, right) = pair.split_at_checked(equals)?;
        (left == name).then(|| right.get(1..).unwrap_or_default())
    })
}

/// The first parameter of a name in a query, percent-decoded, `+` as a space (WHATWG URL, form encoding).
pub fn query_value<'a>(query: &'a [u8], name: &str) -> Option<Cow<'a, [u8]>> {
    query.split(|byte| *byte == b'&').find_map(|pair| {
        let equals = memchr::memchr(b'=', pair).unwrap_or(pair.len());
        let (left, right) = pair.split_at_checked(equals)?;
        (*decoded(left) == *name.as_bytes()).then(|| decoded(right.get(1..).unwrap_or_default()))
    })
}

/// Text of a query, percent-decoded, `+` as a space. A `%` that no two hex digits follow stays.
pub fn decoded(text: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr2(b'%', b'+', text).is_none() {
        return Cow::Borrowed(text);
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        let hex = |byte: u8| char::from(byte).to_digit(16);
        match (byte, after) {
            (b'+', _) => out.push(b' '),
            (b'%', [high, low, behind @ ..]) if hex(*high).is_some() && hex(*low).is_some() => {
                let value = hex(*high).unwrap_or(0) << 4 | hex(*low).unwrap_or(0);
                out.push(u8::try_from(value).unwrap_or(b'?'));
                rest = behind;
            }
            _ => out.push(*byte),
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;
    use crate::exchange::Identity;

    #[test]
    fn the_first_parameter_of_a_name_counts_and_is_decoded() {
        for (query, value) in [
            ("a=1&a=2", Some("1")),
            ("b&a=x%20y+z", Some("x y z")),
            ("%61=1", Some("1")),
            ("a", Some("")),
            ("a=%zz%4", Some("%zz%4")),
            ("ab=1", None),
            ("", None),
        ] {
            let got = query_value(query.as_bytes(), "a")
                .map(|value| String::from_utf8(value.into_owned()).unwrap());
            assert_eq!(got.as_deref(), value, "{query}");
        }
    }

    #[test]
    fn an_identity_is_a_source_and_nobody_is_none() {
        let mut exchange = Exchange::default();
        let template: Template =
            "{consumer}|{subject}|{groups}|{scopes}|{roles}|{jwt.sub}|{claims.n}".parse().unwrap();
        assert_eq!(exchange.render(&template), b"||||||");
        let serde_json::Value::Object(claims) = serde_json::json!({ "sub": "u1", "n": 7 }) else {
            unreachable!()
        };
        exchange.identity = Some(Rc::new(Identity {
            consumer: Some("mobile".into()),
            subject: Some("u1".into()),
            groups: ["gold".into(), "eu".into()].into(),
            scopes: ["read".into(), "write".into()].into(),
            roles: ["admin".into()].into(),
            claims,
            ..Identity::new("jwt")
        }));
        assert_eq!(exchange.render(&template), b"mobile|u1|gold,eu|read write|admin|u1|7");
        exchange.clear();
        assert_eq!(exchange.render(&template), b"||||||");
    }

    #[test]
    fn a_cookie_is_found_among_others() {
        assert_eq!(cookie_value(b"x=1; sid=a=b; y", b"sid"), Some(&b"a=b"[..]));
        assert_eq!(cookie_value(b"xsid=1", b"sid"), None);
    }
}
