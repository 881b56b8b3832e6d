//! Names and values of HTTP headers as a configuration may write them (RFC 9110 section 5).

use super::{Invalid, text_value};
use std::{fmt, str::FromStr};

/// Whether the text is a token: what names of headers, methods and cookies are made of (RFC 9110 section 5.6.2).
pub(super) fn is_token(text: &str) -> bool {
    let symbol = |b: u8| b"!#$%&'*+-.^_`|~".contains(&b);
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || symbol(b))
}

/// The name of a header, kept as written and compared without regard to letter case.
#[derive(Debug, Clone)]
pub struct HeaderName(String);

impl HeaderName {
    /// The name as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl PartialEq for HeaderName {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Eq for HeaderName {}

impl FromStr for HeaderName {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if is_token(text) { Ok(Self(text.to_owned())) } else { Err(not_a_name(text)) }
    }
}

fn not_a_name(text: &str) -> Invalid {
    Invalid::new(
        format!("`{}` is not the name of a header", text.escape_debug()),
        "letters, digits and -!#$%&'*+.^_`|~ only",
    )
}

impl fmt::Display for HeaderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

text_value!(HeaderName, "HeaderName", "the name of a header", {
    "type": "string",
    "pattern": r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$",
    "description": "The name of an HTTP header; letter case does not matter."
});

/// The name of a header, or with a `*` at its end all names that begin so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderPattern {
    text: HeaderName,
    prefix: bool,
}

impl HeaderPattern {
    /// The name, or its beginning when [`HeaderPattern::is_prefix`], as written and without the `*`.
    pub fn as_str(&self) -> &str {
        self.text.as_str()
    }

    /// Whether the pattern stands for all names that begin so.
    pub const fn is_prefix(&self) -> bool {
        self.prefix
    }
}

impl FromStr for HeaderPattern {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let (name, prefix) = match text.strip_suffix('*') {
            Some(name) => (name, true),
            None => (text, false),
        };
        if name.contains('*') || !is_token(name) {
            return Err(Invalid::new(
                format!("`{}` is not a pattern of header names", text.escape_debug()),
                "write a name, or the beginning of one and a `*`: X-Internal-*",
            ));
        }
        Ok(Self { text: HeaderName(name.to_owned()), prefix })
    }
}

impl fmt::Display for HeaderPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.text, if self.prefix { "*" } else { "" })
    }
}

text_value!(HeaderPattern, "HeaderPattern", "the name of a header, or its beginning and a *", {
    "type": "string",
    "pattern": r"^[A-Za-z0-9!#$%&'+.^_`|~-]+\*?$",
    "description": "The name of an HTTP header, or with a `*` at its end all names that begin so.",
    "examples": ["X-Consumer-*", "Client-Cert"]
});

/// The value of a header: printable text without a line break (RFC 9110 section 5.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderValue(String);

impl HeaderValue {
    /// The text of the value.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for HeaderValue {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let good = |b: u8| b == b'\t' || (b' '..=b'~').contains(&b);
        if text.bytes().all(good) && text.trim_ascii() == text {
            return Ok(Self(text.to_owned()));
        }
        Err(Invalid::new(
            format!("`{}` is not the value of a header", text.escape_debug()),
            "printable ASCII only, no line break, no space at either end",
        ))
    }
}

impl fmt::Display for HeaderValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

text_value!(HeaderValue, "HeaderValue", "the value of a header", {
    "type": ["string", "number", "boolean"],
    "description": "The value of an HTTP header: printable ASCII on one line."
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fold() {
        let name: HeaderName = "X-Tenant".parse().unwrap();
        assert_eq!(name, "x-tenant".parse().unwrap());
        assert_eq!(name.to_string(), "X-Tenant");
        for bad in ["", "a b", "a:b", "ä", "a\r\nb"] {
            assert!(bad.parse::<HeaderName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn patterns() {
        let pattern: HeaderPattern = "X-Consumer-*".parse().unwrap();
        assert_eq!((pattern.as_str(), pattern.is_prefix()), ("X-Consumer-", true));
        assert_eq!(pattern.to_string(), "X-Consumer-*");
        assert!(!"Client-Cert".parse::<HeaderPattern>().unwrap().is_prefix());
        for bad in ["", "*", "a*b", "a**", "a b*"] {
            assert!(bad.parse::<HeaderPattern>().is_err(), "{bad}");
        }
    }

    #[test]
    fn values() {
        for good in ["", "a", "a b", "a\tb", "max-age=60"] {
            assert_eq!(good.parse::<HeaderValue>().unwrap().as_str(), good);
        }
        for bad in [" a", "a ", "a\nb", "a\rb", "a\0b", "ä"] {
            assert!(bad.parse::<HeaderValue>().is_err(), "{bad:?}");
        }
    }
}
