//! What a route asks of a request: methods, host, path and conditions.
//!
//! Takes the texts a user wrote, gives patterns with an order of their own: which request they take never depends on
//! their place in a file. Knows nothing of how a table finds them.

use std::fmt;

use http1::Method;

use super::condition::Condition;
use super::full_regex::FullRegex;
use super::hash::Decoded;
use super::method::MethodSet;

/// All that a route asks of a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pattern {
    /// The methods that have a word of their own.
    pub methods: MethodSet,
    /// The texts of other methods, such as `PURGE`. With no method in either list the route takes every method.
    pub other_methods: Vec<String>,
    /// The host.
    pub host: HostPattern,
    /// The path.
    pub path: PathPattern,
    /// What fields, query and cookies must hold, all of it.
    pub conditions: Vec<Condition>,
}

/// The hosts a route takes, in lower case.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum HostPattern {
    /// Every host.
    Any,
    /// This host.
    Exact(String),
    /// Every host below this one, at any depth: `example.com` stands for `*.example.com` and takes `a.example.com` and
    /// `a.b.example.com`, not `example.com`.
    Suffix(String),
}

/// The paths a route takes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PathPattern {
    /// Segment by segment.
    Segments {
        /// The segments; an empty literal at the end stands for a slash there.
        segments: Vec<Segment>,
        /// `*` at the end: takes all that follows, also nothing, so that `/x/*` takes `/x`, `/x/` and `/x/y/z`.
        tail: bool,
    },
    /// The whole path, in its canonical spelling, by a regular expression.
    Regex(FullRegex),
}

/// One segment of a path.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Segment {
    /// This text, in any spelling: `%40me`, `@me` and `%40%6De` are one.
    Literal(String),
    /// `{name}`: any text of at least one byte.
    Name(String),
}

/// Why a text is no pattern.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PatternError {
    /// The path does not start with `/`.
    NotAbsolute,
    /// An empty segment inside the path.
    EmptySegment,
    /// `.` or `..` as a segment, which no canonical path holds.
    DotSegment,
    /// `*` elsewhere than as the last segment.
    StarInside,
    /// `{` or `}` that is not `{name}` as a whole segment, or a name of other than letters, digits, `_`, `-` and `.`.
    BadName(String),
    /// Two segments of one name.
    NameTwice(String),
    /// A `%` without two hex digits.
    BadEscape(String),
    /// The host is no name, `*.name` or `*`.
    BadHost(String),
    /// What is wrong with a regular expression.
    BadRegex(String),
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAbsolute => f.write_str("the path must start with `/`"),
            Self::EmptySegment => f.write_str("`//` matches no path: empty segments are merged"),
            Self::DotSegment => f.write_str("`.` and `..` match no path: dot segments are resolved"),
            Self::StarInside => f.write_str("`*` can only be the last segment"),
            Self::BadName(segment) => write!(f, "`{segment}` is not `{{name}}` as a whole segment"),
            Self::NameTwice(name) => write!(f, "`{{{name}}}` stands twice"),
            Self::BadEscape(segment) => {
                write!(f, "`{segment}` holds a `%` that two hex digits do not follow")
            }
            Self::BadHost(host) => write!(f, "`{host}` is not a host, `*.host` or `*`"),
            Self::BadRegex(error) => write!(f, "the regular expression is wrong: {error}"),
        }
    }
}

impl std::error::Error for PatternError {}

impl Pattern {
    /// A pattern that takes every request with such a path.
    pub fn any(path: PathPattern) -> Self {
        let (methods, other_methods) = (MethodSet::EMPTY, Vec::new());
        Self { methods, other_methods, host: HostPattern::Any, path, conditions: Vec::new() }
    }

    /// Takes a method, by its text, into the pattern.
    #[must_use]
    pub fn with_method(mut self, text: &str) -> Self {
        match Method::from_bytes(text.as_bytes()) {
            Method::Other if self.other_methods.iter().any(|other| other == text) => {}
            Method::Other => self.other_methods.push(text.to_owned()),
            known => self.methods.insert(known),
        }
        self
    }

    /// Whether the route takes every method.
    pub fn takes_every_method(&self) -> bool {
        self.methods.is_empty() && self.other_methods.is_empty()
    }

    /// Whether the pattern names this method.
    pub(super) fn names_method(&self, method: Method, text: &[u8]) -> bool {
        match method {
            Method::Other => self.other_methods.iter().any(|other| other.as_bytes() == text),
            known => self.methods.contains(known),
        }
    }

    /// The methods it names, by their texts.
    pub fn method_names(&self) -> Vec<&str> {
        let known = self.methods.iter().filter(|&method| method != Method::Other);
        let mut names: Vec<&str> = known.map(|method| method.as_str()).collect();
        names.extend(self.other_methods.iter().map(String::as_str));
        names
    }

    /// A text that is the same for patterns that ask the same of fields, query and cookies.
    pub(super) fn conditions_key(&self) -> String {
        let mut keys: Vec<String> = self.conditions.iter().map(Condition::key).collect();
        keys.sort_unstable();
        keys.join("\n")
    }

    /// The names under which parts of the path can be asked for, in the order of the path; `*` is the tail.
    pub fn param_names(&self) -> Vec<String> {
        match &self.path {
            PathPattern::Segments { segments, tail } => {
                let names = segments.iter().filter_map(|segment| match segment {
                    Segment::Name(name) => Some(name.clone()),
                    Segment::Literal(_) => None,
                });
                names.chain(tail.then(|| "*".to_owned())).collect()
            }
            PathPattern::Regex(regex) => regex.group_names().map(str::to_owned).collect(),
        }
    }
}

impl HostPattern {
    /// Reads `*`, `*.example.com` or `example.com`.
    ///
    /// # Errors
    /// [`PatternError::BadHost`].
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        if text == "*" {
            return Ok(Self::Any);
        }
        let (name, suffix) = match text.strip_prefix("*.") {
            Some(name) => (name, true),
            None => (text, false),
        };
        let mut host = Vec::new();
        match crate::http::host::canonical_host(name.as_bytes(), &mut host) {
            Ok(None) if !(suffix && name.starts_with('[')) => {}
            _ => return Err(PatternError::BadHost(text.to_owned())),
        }
        let host = String::from_utf8(host).map_err(|_| PatternError::BadHost(text.to_owned()))?;
        Ok(if suffix { Self::Suffix(host) } else { Self::Exact(host) })
    }

    /// Whether the pattern takes this host, given in its canonical spelling.
    pub(super) fn takes(&self, host: &[u8]) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(name) => name.as_bytes() == host,
            Self::Suffix(name) => {
                host.strip_suffix(name.as_bytes()).is_some_and(|rest| rest.len() > 1 && rest.ends_with(b"."))
            }
        }
    }
}

impl PathPattern {
    /// Reads `/users/{id}/orders` or `/static/*`.
    ///
    /// # Errors
    /// The first fault of the text.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let Some(rest) = text.strip_prefix('/') else { return Err(PatternError::NotAbsolute) };
        let mut segments: Vec<Segment> = Vec::new();
        let mut pieces = rest.split('/').peekable();
        while let Some(piece) = pieces.next() {
            let last = pieces.peek().is_none();
            if piece == "*" && last {
                return Ok(Self::Segments { segments, tail: true });
            }
            if piece.is_empty() && !last {
                return Err(PatternError::EmptySegment);
            }
            let segment = Segment::parse(piece)?;
            match &segment {
                Segment::Name(name) if segments.contains(&segment) => {
                    return Err(PatternError::NameTwice(name.clone()));
                }
                _ => segments.push(segment),
            }
        }
        Ok(Self::Segments { segments, tail: false })
    }

    /// Reads a regular expression over the whole path.
    ///
    /// # Errors
    /// [`PatternError::BadRegex`].
    pub fn regex(text: &str) -> Result<Self, PatternError> {
        FullRegex::new(text).map(Self::Regex).map_err(PatternError::BadRegex)
    }
}

impl Segment {
    fn parse(text: &str) -> Result<Self, PatternError> {
        if text == "*" {
            return Err(PatternError::StarInside);
        }
        if text.contains(['{', '}']) {
            let name = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or_default();
            let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
            if name.is_empty() || !name.bytes().all(good) {
                return Err(PatternError::BadName(text.to_owned()));
            }
            return Ok(Self::Name(name.to_owned()));
        }
        let decoded: Vec<u8> = Decoded::path(text.as_bytes()).collect();
        if matches!(decoded.as_slice(), b"." | b"..") {
            return Err(PatternError::DotSegment);
        }
        let escapes = text.bytes().filter(|&byte| byte == b'%').count();
        if text.len() - decoded.len() != 2 * escapes {
            return Err(PatternError::BadEscape(text.to_owned()));
        }
        Ok(Self::Literal(text.to_owned()))
    }

    /// The bytes by which a literal is found: without escapes.
    pub(super) fn literal_key(text: &str) -> Box<[u8]> {
        Decoded::path(text.as_bytes()).collect()
    }
}

/// As in a route key: `GET,POST api.example.com/users/{id}`, then the conditions.
impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let methods = self.method_names();
        if !methods.is_empty() {
            write!(f, "{} ", methods.join(","))?;
        }
        write!(f, "{}{}", self.host, self.path)?;
        for (at, condition) in self.conditions.iter().enumerate() {
            write!(f, "{}{condition}", if at == 0 { " if " } else { " and " })?;
        }
        Ok(())
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => Ok(()),
            Self::Exact(name) => f.write_str(name),
            Self::Suffix(name) => write!(f, "*.{name}"),
        }
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Segments { segments, tail } => {
                segments.iter().try_for_each(|segment| write!(f, "/{segment}"))?;
                f.write_str(if *tail { "/*" } else { "" })
            }
            Self::Regex(regex) => write!(f, "~{}", regex.as_str()),
        }
    }
}

impl fmt::Display for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Literal(text) => f.write_str(text),
            Self::Name(name) => write!(f, "{{{name}}}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_pattern_prints_as_it_was_read() {
        for text in ["/", "/*", "/a", "/a/", "/a/{id}/*", "/a%2Fb/{x.y-z_1}", "/users/@me", "/a*b"] {
            assert_eq!(PathPattern::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_path_that_no_request_can_have_is_refused() {
        for (text, expected) in [
            ("", PatternError::NotAbsolute),
            ("a", PatternError::NotAbsolute),
            ("*", PatternError::NotAbsolute),
            ("//", PatternError::EmptySegment),
            ("/a//b", PatternError::EmptySegment),
            ("/a/../b", PatternError::DotSegment),
            ("/%2e", PatternError::DotSegment),
            ("/*/a", PatternError::StarInside),
            ("/*/", PatternError::StarInside),
            ("/{}", PatternError::BadName("{}".to_owned())),
            ("/a{b}", PatternError::BadName("a{b}".to_owned())),
            ("/{a", PatternError::BadName("{a".to_owned())),
            ("/{a b}", PatternError::BadName("{a b}".to_owned())),
            ("/{a}/{a}", PatternError::NameTwice("a".to_owned())),
            ("/50%", PatternError::BadEscape("50%".to_owned())),
            ("/%zz", PatternError::BadEscape("%zz".to_owned())),
        ] {
            assert_eq!(PathPattern::parse(text), Err(expected), "{text}");
        }
    }

    #[test]
    fn a_host_pattern_is_read_in_lower_case() {
        for (text, expected) in [
            ("*", Some(HostPattern::Any)),
            ("API.example.com.", Some(HostPattern::Exact("api.example.com".to_owned()))),
            ("*.Example.com", Some(HostPattern::Suffix("example.com".to_owned()))),
            ("[::1]", Some(HostPattern::Exact("[::1]".to_owned()))),
            ("", None),
            ("*.", None),
            ("a.*.com", None),
            ("*a.com", None),
            ("a.com:80", None),
            ("*.[::1]", None),
        ] {
            assert_eq!(HostPattern::parse(text).ok(), expected, "{text}");
        }
    }
}
