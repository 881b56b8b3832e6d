//! Route keys and the patterns in them: methods, hosts, paths.
//!
//! Takes text; gives patterns in the form in which requests are compared: hosts in lower case, paths canonical. What
//! could never match a canonical request path is refused here, with what to write instead.

use crate::values::{Invalid, Name, TargetHost, nearest, text_value};
use std::{fmt, str::FromStr};

/// The methods of the IANA registry that a client of an API may send, and `PURGE`.
const METHODS: &[&str] = &[
    "GET",
    "HEAD",
    "POST",
    "PUT",
    "DELETE",
    "PATCH",
    "OPTIONS",
    "ACL",
    "BASELINE-CONTROL",
    "BIND",
    "CHECKIN",
    "CHECKOUT",
    "COPY",
    "LABEL",
    "LINK",
    "LOCK",
    "MERGE",
    "MKACTIVITY",
    "MKCALENDAR",
    "MKCOL",
    "MKREDIRECTREF",
    "MKWORKSPACE",
    "MOVE",
    "ORDERPATCH",
    "PROPFIND",
    "PROPPATCH",
    "PURGE",
    "QUERY",
    "REBIND",
    "REPORT",
    "SEARCH",
    "UNBIND",
    "UNCHECKOUT",
    "UNLINK",
    "UNLOCK",
    "UPDATE",
    "UPDATEREDIRECTREF",
    "VERSION-CONTROL",
];

/// A request method that a route can be for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Method(String);

impl Method {
    /// GET.
    pub(super) fn get() -> Self {
        Self("GET".to_owned())
    }

    /// The method as it stands in a request.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Method {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if METHODS.contains(&text) {
            return Ok(Self(text.to_owned()));
        }
        let upper = text.to_ascii_uppercase();
        let remedy = if matches!(upper.as_str(), "CONNECT" | "TRACE") {
            "the gateway refuses CONNECT and TRACE on every route".to_owned()
        } else {
            let meant = METHODS.iter().find(|known| **known == upper).copied();
            match meant.or_else(|| nearest(&upper, METHODS.iter().copied())) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => "write GET, POST, PUT, DELETE, PATCH, ...".to_owned(),
            }
        };
        Err(Invalid::new(format!("`{}` is not a method", text.escape_debug()), remedy))
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

text_value!(Method, "Method", "a request method", {
    "type": "string",
    "description": "A request method, in capitals.",
    "examples": ["GET", "POST", "PUT", "DELETE", "PATCH"]
});

/// Which hosts a route is for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum HostPattern {
    /// This host: lower case, no port, no dot at the end, IPv6 in brackets.
    Exact(String),
    /// Any host below this one, at any depth: `*.example.com` without its `*.`.
    Below(String),
}

impl FromStr for HostPattern {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let (wildcard, host) = match text.strip_prefix("*.") {
            Some(host) => (true, host),
            None => (false, text),
        };
        let not = |remedy: &str| {
            Invalid::new(format!("`{}` is not a pattern of hosts", text.escape_debug()), remedy)
        };
        if host.contains(':') && !host.starts_with('[') {
            return Err(not("leave the port out: routes are for hosts"));
        }
        if host.contains('*') {
            return Err(not("a `*` stands only at the beginning, before a dot: *.example.com"));
        }
        match host.parse::<TargetHost>() {
            Ok(TargetHost::Name(name)) => {
                let name = name.strip_suffix('.').unwrap_or(&name).to_owned();
                Ok(if wildcard { Self::Below(name) } else { Self::Exact(name) })
            }
            Ok(address @ TargetHost::Ip(_)) if !wildcard => Ok(Self::Exact(address.to_string())),
            _ => Err(not("write a host such as api.example.com or *.example.com")),
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(host) => f.write_str(host),
            Self::Below(host) => write!(f, "*.{host}"),
        }
    }
}

text_value!(HostPattern, "HostPattern", "a host such as api.example.com or *.example.com", {
    "type": "string",
    "description": "A host, or `*.` and a host for all hosts below it.",
    "examples": ["api.example.com", "*.example.com"]
});

/// Which paths a route is for, as segments: `/users/{id}/*`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PathPattern {
    /// What stands between the slashes; a slash at the end of the pattern gives an empty literal at the end. The path
    /// `/` has none.
    pub segments: Vec<Segment>,
    /// Whether the pattern ends in `/*` and so takes all that follows, nothing included.
    pub tail: bool,
}

/// One segment of a path pattern.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Segment {
    /// This text, percent-encoded as in a canonical path.
    Literal(String),
    /// Any one segment, which is known by this name afterwards.
    Param(String),
}

impl FromStr for PathPattern {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let not = |what: &str, remedy: String| {
            Invalid::new(format!("path `{}`: {what}", text.escape_debug()), remedy)
        };
        let Some(rest) = text.strip_prefix('/') else {
            return Err(not("a path begins with `/`", format!("write `/{}`", text.escape_debug())));
        };
        let (rest, tail) = match rest.strip_suffix('*') {
            Some("") => ("", true),
            Some(before) if before.ends_with('/') => (before.strip_suffix('/').unwrap_or(before), true),
            _ => (rest, false),
        };
        let mut segments = Vec::new();
        if rest.is_empty() {
            if tail && text != "/*" {
                return Err(not(
                    "two slashes in a row",
                    "paths are compared with slashes merged: write one".into(),
                ));
            }
            return Ok(Self { segments, tail });
        }
        let count = rest.split('/').count();
        for (index, segment) in rest.split('/').enumerate() {
            let last = index.saturating_add(1) == count;
            let read = match segment {
                "" if last && !tail => Segment::Literal(String::new()),
                "" => {
                    return Err(not(
                        "two slashes in a row",
                        "paths are compared with slashes merged: write one".into(),
                    ));
                }
                _ => read_segment(segment).map_err(|invalid| not(&invalid.what, invalid.remedy))?,
            };
            if segments.contains(&read) && matches!(read, Segment::Param(_)) {
                return Err(not(&format!("`{segment}` stands twice"), "give each its own name".into()));
            }
            segments.push(read);
        }
        Ok(Self { segments, tail })
    }
}

fn read_segment(segment: &str) -> Result<Segment, Invalid> {
    if let Some(name) = segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
        let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        if name.is_empty() || !name.chars().all(good) {
            return Err(Invalid::new(
                format!("`{segment}` has no usable name"),
                "write a name of letters and digits: {id}",
            ));
        }
        return Ok(Segment::Param(name.to_owned()));
    }
    if segment.contains(['{', '}']) {
        return Err(Invalid::new(
            "a `{name}` takes a whole segment",
            "for a part of one use `match:` with `path: { regex: .. }`",
        ));
    }
    if segment.contains('*') {
        return Err(Invalid::new(
            "a `*` stands only as the whole last segment",
            "use `{name}` for one segment, `*` at the end for the rest",
        ));
    }
    if segment.contains(['?', '#']) {
        return Err(Invalid::new("a query or fragment is not part of a path", "use `match:` with `query:`"));
    }
    // A segment with parameters (`..;x`) is a dot segment to some servers behind.
    if matches!(segment.split(';').next(), Some("." | "..")) {
        return Err(Invalid::new(
            "`.` and `..` are resolved before routes are compared",
            "write the path that is meant",
        ));
    }
    let canonical = canonical_segment(segment)?;
    if canonical != segment {
        return Err(Invalid::new(
            format!("`{}` is not how a request path is compared", segment.escape_debug()),
            format!("write `{canonical}`"),
        ));
    }
    Ok(Segment::Literal(canonical))
}

/// A segment as it stands in a canonical request path: unreserved characters plain, other escapes in capitals, `%2F`
/// left in either case.
fn canonical_segment(segment: &str) -> Result<String, Invalid> {
    let mut canonical = String::with_capacity(segment.len());
    let mut bytes = segment.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => {
                let digits = (bytes.next(), bytes.next());
                let digit = |b: Option<u8>| b.and_then(|b| char::from(b).to_digit(16));
                let (Some(high), Some(low)) = (digit(digits.0), digit(digits.1)) else {
                    return Err(Invalid::new(
                        "a `%` without two hexadecimal digits",
                        "write `%25` for the character itself",
                    ));
                };
                let value = u8::try_from(high.saturating_mul(16).saturating_add(low)).unwrap_or(0);
                match value {
                    0..=0x1f | 0x7f | b'\\' => {
                        return Err(Invalid::new(
                            format!("`%{value:02X}` is refused in every request"),
                            "leave it out",
                        ));
                    }
                    b'/' => canonical.extend(['%', '2', char::from(digits.1.unwrap_or(b'F'))]),
                    _ if value.is_ascii_alphanumeric() || b"-._~".contains(&value) => {
                        canonical.push(char::from(value))
                    }
                    _ => canonical.push_str(&format!("%{value:02X}")),
                }
            }
            b'\\' | 0..=0x1f | 0x7f => {
                return Err(Invalid::new(
                    "a backslash or control character is refused in every request",
                    "leave it out",
                ));
            }
            b' ' | b'"' | b'<' | b'>' | b'^' | b'`' | b'|' | 0x80.. => {
                canonical.push_str(&format!("%{byte:02X}"))
            }
            _ => canonical.push(char::from(byte)),
        }
    }
    Ok(canonical)
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for segment in &self.segments {
            match segment {
                Segment::Literal(text) => write!(f, "/{text}")?,
                Segment::Param(name) => write!(f, "/{{{name}}}")?,
            }
        }
        match (self.tail, self.segments.is_empty()) {
            (true, _) => f.write_str("/*"),
            (false, true) => f.write_str("/"),
            (false, false) => Ok(()),
        }
    }
}

text_value!(PathPattern, "PathPattern", "a path such as /users/{id}/*", {
    "type": "string",
    "pattern": "^/",
    "description": "A path: literal segments, `{name}` for one segment, `*` at the end for the rest.",
    "examples": ["/users", "/users/{id}", "/static/*"]
});

/// What a route key says: `[METHOD[,METHOD]] [host]/path`, or a mere name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteKey {
    /// Methods; empty for all.
    pub methods: Vec<Method>,
    /// The host; `None` for all.
    pub host: Option<HostPattern>,
    /// The path; `None` when the key is a name.
    pub path: Option<PathPattern>,
}

impl FromStr for RouteKey {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let not =
            |remedy: &str| Invalid::new(format!("`{}` is not a route key", text.escape_debug()), remedy);
        let (methods, rest) = match text.split_once(' ') {
            Some((methods, rest)) if !methods.contains('/') => (methods, rest.trim_start_matches(' ')),
            _ => ("", text),
        };
        let Some(slash) = rest.find('/') else {
            if !methods.is_empty() {
                return Err(not("a path begins with `/`: write `GET /users`"));
            }
            rest.parse::<Name>()
                .map_err(|_| not("write `GET /users`, `/users/*`, `api.example.com/users`, or a name"))?;
            return Ok(Self { methods: Vec::new(), host: None, path: None });
        };
        let (host, path) = rest.split_at_checked(slash).unwrap_or(("", rest));
        if host.contains(' ') || methods.ends_with(',') {
            return Err(not("write methods with commas and without spaces: `GET,POST /users`"));
        }
        let mut read: Vec<Method> = Vec::new();
        for method in methods.split(',').filter(|_| !methods.is_empty()) {
            let method = method.parse()?;
            if read.contains(&method) {
                return Err(Invalid::new(format!("the method `{method}` stands twice"), "keep one"));
            }
            read.push(method);
        }
        let host = if host.is_empty() { None } else { Some(host.parse()?) };
        Ok(Self { methods: read, host, path: Some(path.parse()?) })
    }
}

#[cfg(test)]
#[path = "pattern_tests.rs"]
mod tests;
