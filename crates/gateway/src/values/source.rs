//! Where a template or a `per:` takes its text from: `ip`, `header.x-tenant`, `jwt.sub`, ...
//!
//! The list is closed: a template can ask for nothing else, so what an exchange may reveal is known beforehand.

use super::{Invalid, header::is_token, nearest, text_value};
use std::{fmt, str::FromStr};

const PLAIN: [&str; 11] = [
    "consumer",
    "subject",
    "groups",
    "scopes",
    "roles",
    "ip",
    "method",
    "host",
    "path",
    "scheme",
    "request_id",
];
const NAMED: [&str; 7] = ["jwt", "claims", "path", "query", "header", "cookie", "client_cert"];

/// One thing known of an exchange that gives a text.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Source {
    /// The name of the authenticated consumer.
    Consumer,
    /// Who the credential is about, in the words of whoever issued it: a token's `sub`, a user's name.
    Subject,
    /// The groups of the caller, with commas between them.
    Groups,
    /// The scopes that the caller was given, with spaces between them.
    Scopes,
    /// The roles of the caller, with commas between them.
    Roles,
    /// A claim of the verified token; dots lead into objects. `claims.` means the same as `jwt.`.
    Jwt(String),
    /// The text that a `{name}` of the route's path matched; `*` is the rest.
    PathParam(String),
    /// The first query parameter of this name, percent-decoded.
    Query(String),
    /// The request's header of this name, in lower case.
    Header(String),
    /// The request's cookie of this name.
    Cookie(String),
    /// A fact of the certificate that the client has proved to own.
    ClientCert(CertFact),
    /// The client's address.
    Ip,
    /// The request's method.
    Method,
    /// The request's host, without the port.
    Host,
    /// The request's canonical path.
    Path,
    /// `http` or `https`, as the client came.
    Scheme,
    /// The identifier of the exchange.
    RequestId,
}

/// A fact of a client's certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CertFact {
    /// Its subject: `C=SE, O=Shop, CN=orders`.
    Subject,
    /// Its alternative names: `DNS:orders.internal,URI:spiffe://shop/orders`.
    San,
    /// Its SHA-256 in lower hexadecimal.
    Fingerprint,
}

impl CertFact {
    const ALL: [(&'static str, CertFact); 3] =
        [("subject", CertFact::Subject), ("san", CertFact::San), ("fingerprint", CertFact::Fingerprint)];

    fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, fact)| *fact == self).map_or("", |(name, _)| name)
    }

    fn read(name: &str) -> Result<CertFact, Invalid> {
        let known = Self::ALL.iter().find(|(known, _)| *known == name);
        known.map(|(_, fact)| *fact).ok_or_else(|| {
            let meant = nearest(name, Self::ALL.map(|(name, _)| name));
            let remedy = meant.map(|fact| format!("did you mean `client_cert.{fact}`?"));
            Invalid::new(
                format!("`client_cert.{name}` is not a known source"),
                remedy.unwrap_or_else(|| "use client_cert.subject, .san or .fingerprint".into()),
            )
        })
    }
}

impl FromStr for Source {
    type Err = Invalid;

    /// Reads the bare form, `header.x-tenant`, or the braced one, `{header.x-tenant}`.
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let bare = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or(text);
        match bare.split_once('.') {
            None => plain(bare).ok_or_else(|| unknown(bare)),
            Some((kind, name)) => named(kind, name),
        }
    }
}

fn plain(word: &str) -> Option<Source> {
    Some(match word {
        "consumer" => Source::Consumer,
        "subject" => Source::Subject,
        "groups" => Source::Groups,
        "scopes" => Source::Scopes,
        "roles" => Source::Roles,
        "ip" => Source::Ip,
        "method" => Source::Method,
        "host" => Source::Host,
        "path" => Source::Path,
        "scheme" => Source::Scheme,
        "request_id" => Source::RequestId,
        _ => return None,
    })
}

fn named(kind: &str, name: &str) -> Result<Source, Invalid> {
    let bad_name = name.is_empty() || name.chars().any(|c| c.is_control() || matches!(c, '{' | '}'));
    if NAMED.contains(&kind) && bad_name {
        let remedy = format!("write `{kind}.` and a name, as in `{kind}.id`");
        return Err(Invalid::new(format!("`{kind}.{name}` has no usable name"), remedy));
    }
    Ok(match kind {
        "jwt" | "claims" => Source::Jwt(name.to_owned()),
        "path" => Source::PathParam(name.to_owned()),
        "query" => Source::Query(name.to_owned()),
        "header" | "cookie" if !is_token(name) => {
            return Err(Invalid::new(
                format!("`{name}` is not the name of a {kind}"),
                "letters, digits and -!#$%&'*+.^_`|~ only",
            ));
        }
        "header" => Source::Header(name.to_ascii_lowercase()),
        "cookie" => Source::Cookie(name.to_owned()),
        "client_cert" => Source::ClientCert(CertFact::read(name)?),
        _ => {
            let meant = nearest(kind, NAMED).map(|kind| format!("{kind}.{name}"));
            return Err(refused(&format!("{kind}.{name}"), meant.as_deref()));
        }
    })
}

fn unknown(word: &str) -> Invalid {
    if NAMED.contains(&word) {
        let example = if word == "client_cert" { "san" } else { "id" };
        return Invalid::new(
            format!("`{word}` needs a name"),
            format!("write `{word}.` and a name, as in `{word}.{example}`"),
        );
    }
    refused(word, nearest(word, PLAIN))
}

fn refused(written: &str, meant: Option<&str>) -> Invalid {
    let remedy = match meant {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => "use one of consumer, subject, groups, scopes, roles, jwt.CLAIM, path.NAME, query.NAME, header.NAME, \
                 cookie.NAME, client_cert.FACT, ip, method, host, path, scheme, request_id"
            .to_owned(),
    };
    Invalid::new(format!("`{written}` is not a known source"), remedy)
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Consumer => f.write_str("consumer"),
            Self::Subject => f.write_str("subject"),
            Self::Groups => f.write_str("groups"),
            Self::Scopes => f.write_str("scopes"),
            Self::Roles => f.write_str("roles"),
            Self::Jwt(claim) => write!(f, "jwt.{claim}"),
            Self::PathParam(name) => write!(f, "path.{name}"),
            Self::Query(name) => write!(f, "query.{name}"),
            Self::Header(name) => write!(f, "header.{name}"),
            Self::Cookie(name) => write!(f, "cookie.{name}"),
            Self::ClientCert(fact) => write!(f, "client_cert.{}", fact.name()),
            Self::Ip => f.write_str("ip"),
            Self::Method => f.write_str("method"),
            Self::Host => f.write_str("host"),
            Self::Path => f.write_str("path"),
            Self::Scheme => f.write_str("scheme"),
            Self::RequestId => f.write_str("request_id"),
        }
    }
}

text_value!(Source, "Source", "a source such as ip, consumer or header.x-tenant", {
    "type": "string",
    "description": "Where a text comes from: consumer, subject, groups, scopes, roles, jwt.CLAIM, path.NAME, query.NAME, \
                    header.NAME, cookie.NAME, client_cert.subject, client_cert.san, client_cert.fingerprint, ip, method, \
                    host, path, scheme, request_id.",
    "examples": ["ip", "consumer", "header.x-tenant", "jwt.sub"]
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bare_and_braced() {
        for (text, source) in [
            ("ip", Source::Ip),
            ("{ip}", Source::Ip),
            ("header.X-Tenant", Source::Header("x-tenant".into())),
            ("jwt.realm.roles", Source::Jwt("realm.roles".into())),
            ("claims.sub", Source::Jwt("sub".into())),
            ("subject", Source::Subject),
            ("groups", Source::Groups),
            ("scopes", Source::Scopes),
            ("roles", Source::Roles),
            ("path", Source::Path),
            ("path.id", Source::PathParam("id".into())),
            ("path.*", Source::PathParam("*".into())),
            ("query.q", Source::Query("q".into())),
            ("cookie.Session", Source::Cookie("Session".into())),
            ("client_cert.san", Source::ClientCert(CertFact::San)),
        ] {
            let read: Source = text.parse().unwrap();
            assert_eq!(read, source, "{text}");
            assert_eq!(read.to_string().parse::<Source>().unwrap(), source);
        }
    }

    #[test]
    fn what_is_no_source() {
        for (text, message) in [
            ("consumr", "`consumr` is not a known source: did you mean `consumer`?"),
            ("headers.x", "`headers.x` is not a known source: did you mean `header.x`?"),
            ("header", "`header` needs a name: write `header.` and a name, as in `header.id`"),
            ("client_cert.sans", "`client_cert.sans` is not a known source: did you mean `client_cert.san`?"),
            (
                "client_cert",
                "`client_cert` needs a name: write `client_cert.` and a name, as in `client_cert.san`",
            ),
            ("query.", "`query.` has no usable name: write `query.` and a name, as in `query.id`"),
            ("header.a b", "`a b` is not the name of a header: letters, digits and -!#$%&'*+.^_`|~ only"),
        ] {
            assert_eq!(text.parse::<Source>().unwrap_err().to_string(), message);
        }
        assert!("weather".parse::<Source>().unwrap_err().remedy.starts_with("use one of"));
    }
}
