//! What a route asks of fields, query and cookies.
//!
//! Takes a request as it came, gives yes or no. A name that occurs several times holds when one of its values does. Must
//! never allocate but in the buffer that the caller lends.

use std::fmt;

use http1::{NameBuf, names};

use super::full_regex::FullRegex;
use super::hash::Decoded;
use super::table::Lookup;

/// One thing that must hold.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Condition {
    /// Where to look.
    pub source: Source,
    /// What must stand there.
    pub test: Test,
}

/// Where a condition looks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Source {
    /// A field of the request; each field line is one value.
    Header(NameBuf),
    /// A parameter of the query, escapes resolved and `+` a space; names are case-sensitive.
    Query(String),
    /// A cookie (RFC 6265 section 4.2.1), value as it came; names are case-sensitive.
    Cookie(String),
}

/// What must stand there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Test {
    /// Anything, also nothing: the name occurs.
    Present,
    /// The name does not occur.
    Absent,
    /// This value, byte by byte.
    Equals(String),
    /// A value of which this matches the whole.
    Matches(FullRegex),
}

/// Why a condition does not hold.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Failure {
    /// The name does not occur.
    Absent,
    /// No value passes the test.
    Different,
}

impl Condition {
    /// Whether the request fulfils the condition; `scratch` is overwritten.
    pub(super) fn judge(&self, lookup: &Lookup<'_>, scratch: &mut Vec<u8>) -> Result<(), Failure> {
        match &self.source {
            Source::Header(name) => self.test.judge(lookup.fields.get_all(name.as_name())),
            Source::Cookie(name) => self.test.judge(cookies(lookup, name)),
            Source::Query(name) => {
                let mut found = self.test.judge(std::iter::empty());
                for value in query_values(lookup.query, name) {
                    scratch.clear();
                    scratch.extend(Decoded::query(value));
                    found = self.test.judge(std::iter::once(scratch.as_slice()));
                    if found.is_ok() {
                        break;
                    }
                }
                found
            }
        }
    }

    /// A text that is the same for conditions that ask the same.
    pub(super) fn key(&self) -> String {
        let source = match &self.source {
            Source::Header(_) => self.source.to_string().to_ascii_lowercase(),
            Source::Query(_) | Source::Cookie(_) => self.source.to_string(),
        };
        format!("{source} {}", self.test)
    }
}

impl Test {
    fn judge<'v>(&self, mut values: impl Iterator<Item = &'v [u8]>) -> Result<(), Failure> {
        let passes = |value: &[u8]| match self {
            Self::Present => true,
            Self::Absent => false,
            Self::Equals(wanted) => value == wanted.as_bytes(),
            Self::Matches(regex) => regex.is_match(value),
        };
        let Some(first) = values.next() else {
            return if *self == Self::Absent { Ok(()) } else { Err(Failure::Absent) };
        };
        if passes(first) || values.any(passes) { Ok(()) } else { Err(Failure::Different) }
    }
}

/// The values of a cookie, over all `Cookie` lines.
fn cookies<'l>(lookup: &'l Lookup<'_>, name: &'l str) -> impl Iterator<Item = &'l [u8]> {
    let pairs = lookup.fields.get_all(names::COOKIE).flat_map(|line| line.split(|&byte| byte == b';'));
    pairs.filter_map(move |pair| pair.trim_ascii().strip_prefix(name.as_bytes())?.strip_prefix(b"="))
}

/// The raw values of a query parameter; one without `=` has an empty value.
fn query_values<'q>(query: &'q [u8], name: &'q str) -> impl Iterator<Item = &'q [u8]> {
    query.split(|&byte| byte == b'&').filter(|pair| !pair.is_empty()).filter_map(move |pair| {
        let at = memchr::memchr(b'=', pair).unwrap_or(pair.len());
        let (key, value) = pair.split_at_checked(at)?;
        Decoded::query(key).eq(name.bytes()).then(|| value.strip_prefix(b"=").unwrap_or(value))
    })
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.source, self.test)
    }
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Present => f.write_str("is there"),
            Self::Absent => f.write_str("is absent"),
            Self::Equals(value) => write!(f, "is `{value}`"),
            Self::Matches(regex) => write!(f, "matches `{}`", regex.as_str()),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header(name) => write!(f, "header `{}`", String::from_utf8_lossy(name.as_name().text())),
            Self::Query(name) => write!(f, "query parameter `{name}`"),
            Self::Cookie(name) => write!(f, "cookie `{name}`"),
        }
    }
}
