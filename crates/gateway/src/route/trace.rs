//! Why a request takes its route, and why not the others.
//!
//! Takes a request, gives the route that [`Table::find`] itself finds for it and the nearest others, each with the first
//! thing that speaks against it. Looks at every route, so it is for people who ask, never for the road.

use std::cmp::Reverse;
use std::fmt;

use http1::Method;

use super::condition::Failure;
use super::hash::Decoded;
use super::params::Params;
use super::pattern::{PathPattern, Pattern, Segment};
use super::table::{Lookup, Table};

/// What became of one route.
#[derive(Debug)]
pub struct Step<'t, T> {
    /// What its owner stored.
    pub value: &'t T,
    /// Its pattern.
    pub pattern: &'t Pattern,
    /// Whether it won.
    pub outcome: Outcome,
}

/// Whether a route won.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// It takes the request.
    Matched,
    /// It does not, for this reason.
    Lost(Reason),
}

/// Why a route does not take a request. Values of fields and cookies are never told: they may be secrets.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reason {
    /// It would, but another one is more specific.
    LessSpecific {
        /// The pattern of that one.
        than: String,
    },
    /// A condition does not hold.
    Condition {
        /// The condition.
        condition: String,
        /// The name does not occur at all.
        absent: bool,
    },
    /// The method is another.
    Method {
        /// That of the request.
        method: String,
        /// Those of the route.
        wanted: String,
    },
    /// The host is another.
    Host {
        /// That of the request.
        host: String,
        /// That of the route.
        wanted: String,
    },
    /// A segment of the path is another.
    Segment {
        /// Which one, counted from 1.
        number: usize,
        /// That of the request.
        segment: String,
        /// That of the route.
        wanted: String,
    },
    /// The path ends too early.
    PathEnds {
        /// The number of the first segment that is missing, counted from 1.
        number: usize,
        /// What the route has there.
        wanted: String,
    },
    /// The path goes on where the route ends.
    PathGoesOn {
        /// The number of the first segment too many, counted from 1.
        number: usize,
        /// That segment.
        segment: String,
    },
    /// The regular expression does not match the path.
    Regex {
        /// The expression.
        wanted: String,
    },
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Matched => f.write_str("matched"),
            Self::Lost(reason) => reason.fmt(f),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LessSpecific { than } => write!(f, "less specific than `{than}`"),
            Self::Condition { condition, absent: true } => {
                write!(f, "needs that {condition}; the request has none")
            }
            Self::Condition { condition, absent: false } => {
                write!(f, "needs that {condition}; it is another")
            }
            Self::Method { method, wanted } => write!(f, "method {method} is not {wanted}"),
            Self::Host { host, wanted } if host.is_empty() => {
                write!(f, "the request names no host; it is not `{wanted}`")
            }
            Self::Host { host, wanted } => write!(f, "host `{host}` is not `{wanted}`"),
            Self::Segment { number, segment, wanted } => {
                write!(f, "the path differs at segment {number}: `{segment}` is not `{wanted}`")
            }
            Self::PathEnds { number, wanted } if wanted.is_empty() => {
                write!(f, "the path ends without the slash before segment {number}")
            }
            Self::PathEnds { number, wanted } => {
                write!(f, "the path ends before segment {number}: `{wanted}`")
            }
            Self::PathGoesOn { number, segment } if segment.is_empty() => {
                write!(f, "the path ends with a slash: segment {number} is empty")
            }
            Self::PathGoesOn { number, segment } => {
                write!(f, "the path goes on at segment {number}: `{segment}`")
            }
            Self::Regex { wanted } => write!(f, "the path does not match `{wanted}`"),
        }
    }
}

impl<T: Copy> Table<T> {
    /// The route that takes the request, if one does, then at most `others` more, the nearest first.
    pub fn trace(&self, lookup: &Lookup<'_>, others: usize) -> Vec<Step<'_, T>> {
        let mut params = Params::default();
        let winner =
            self.find(lookup, &mut params).ok().map(|found| (params.route, found.pattern.to_string()));
        let order = self.all(lookup, &mut params);
        let mut losers: Vec<(Nearness, usize, Reason)> = Vec::new();
        for (index, (pattern, _)) in self.iter().enumerate() {
            if winner.as_ref().is_some_and(|(won, _)| *won == index) {
                continue;
            }
            let (nearness, reason) = match judge(pattern, lookup, &mut params.scratch) {
                Some(lost) => lost,
                None => {
                    let place = order.iter().position(|&at| at == index).unwrap_or(order.len());
                    let than = winner.as_ref().map(|(_, text)| text.clone()).unwrap_or_default();
                    (Nearness::Matches { place }, Reason::LessSpecific { than })
                }
            };
            losers.push((nearness, index, reason));
        }
        losers.sort_by(|left, right| (&left.0, left.1).cmp(&(&right.0, right.1)));
        let first = winner.map(|(index, _)| (index, Outcome::Matched));
        let rest = losers.into_iter().take(others).map(|(_, index, reason)| (index, Outcome::Lost(reason)));
        first
            .into_iter()
            .chain(rest)
            .filter_map(|(index, outcome)| {
                let (pattern, value) = self.get(index)?;
                Some(Step { value, pattern, outcome })
            })
            .collect()
    }
}

/// How near a route came, the nearest first.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Nearness {
    Matches { place: usize },
    Condition,
    Method,
    Host,
    Path { agreeing: Reverse<usize> },
}

/// The first thing that speaks against a route: path, then host, method, conditions.
fn judge(pattern: &Pattern, lookup: &Lookup<'_>, scratch: &mut Vec<u8>) -> Option<(Nearness, Reason)> {
    if let Err((agreeing, reason)) = judge_path(&pattern.path, lookup.path) {
        return Some((Nearness::Path { agreeing: Reverse(agreeing) }, reason));
    }
    if !pattern.host.takes(lookup.host) {
        let (host, wanted) = (text(lookup.host), pattern.host.to_string());
        return Some((Nearness::Host, Reason::Host { host, wanted }));
    }
    let takes_method = pattern.takes_every_method()
        || pattern.names_method(lookup.method, lookup.method_text)
        || (lookup.method == Method::Head && pattern.methods.contains(Method::Get));
    if !takes_method {
        let method = match lookup.method {
            Method::Other => text(lookup.method_text),
            known => known.as_str().to_owned(),
        };
        return Some((
            Nearness::Method,
            Reason::Method { method, wanted: pattern.method_names().join(" or ") },
        ));
    }
    pattern.conditions.iter().find_map(|condition| {
        let failure = condition.judge(lookup, scratch).err()?;
        let (condition, absent) = (condition.to_string(), failure == Failure::Absent);
        Some((Nearness::Condition, Reason::Condition { condition, absent }))
    })
}

/// How many segments agree, and what the next one lacks.
fn judge_path(pattern: &PathPattern, path: &[u8]) -> Result<(), (usize, Reason)> {
    let (segments, tail) = match pattern {
        PathPattern::Segments { segments, tail } => (segments, *tail),
        PathPattern::Regex(regex) if regex.is_match(path) => return Ok(()),
        PathPattern::Regex(regex) => return Err((0, Reason::Regex { wanted: regex.as_str().to_owned() })),
    };
    let rest = path.strip_prefix(b"/").unwrap_or_default();
    let mut pieces = rest.split(|&byte| byte == b'/');
    for (agreeing, segment) in segments.iter().enumerate() {
        let (number, wanted) = (agreeing + 1, segment.to_string());
        let Some(piece) = pieces.next() else { return Err((agreeing, Reason::PathEnds { number, wanted })) };
        match segment {
            Segment::Literal(literal) if Decoded::path(piece).eq(Segment::literal_key(literal)) => {}
            Segment::Name(_) if !piece.is_empty() => {}
            Segment::Name(_) => return Err((agreeing, Reason::PathEnds { number, wanted })),
            Segment::Literal(_) => {
                return Err((agreeing, Reason::Segment { number, segment: text(piece), wanted }));
            }
        }
    }
    match pieces.next() {
        Some(piece) if !tail => {
            Err((segments.len(), Reason::PathGoesOn { number: segments.len() + 1, segment: text(piece) }))
        }
        _ => Ok(()),
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use http1::{Fields, Name, NameBuf};

    use super::*;
    use crate::route::condition::{Condition, Source, Test};
    use crate::route::pattern::HostPattern;
    use crate::route::table::Builder;

    fn table() -> Table<usize> {
        let path = |text: &str| Pattern::any(PathPattern::parse(text).unwrap());
        let host = |text: &str| HostPattern::parse(text).unwrap();
        let tier = Source::Header(NameBuf::new("X-Tier").unwrap());
        let gold = Condition { source: tier, test: Test::Equals("gold".to_owned()) };
        let mut builder = Builder::new();
        for (index, pattern) in [
            path("/*"),
            path("/users/{id}").with_method("GET"),
            path("/users/{id}").with_method("POST").with_method("PURGE"),
            Pattern { host: host("*.example.com"), ..path("/users/{id}") },
            Pattern { conditions: vec![gold], ..path("/users/{id}") },
            path("/users/{id}/orders"),
            path("/users"),
            path("/orders/*"),
            Pattern::any(PathPattern::regex("/users/[a-z]+").unwrap()),
        ]
        .into_iter()
        .enumerate()
        {
            builder.add(pattern, index).unwrap();
        }
        builder.build()
    }

    fn told(path: &str, tier: Option<&str>, others: usize) -> Vec<(usize, String)> {
        let mut fields = Fields::new();
        tier.iter().for_each(|tier| fields.push(Name::new(b"x-tier").unwrap(), tier.as_bytes()));
        let (method, method_text) = (Method::Get, &b"GET"[..]);
        let (host, path) = (&b"a.test"[..], path.as_bytes());
        let lookup = Lookup { method, method_text, host, path, query: b"", fields: &fields };
        table().trace(&lookup, others).iter().map(|step| (*step.value, step.outcome.to_string())).collect()
    }

    #[test]
    fn each_route_tells_the_first_thing_against_it_the_nearest_first() {
        let expected = [
            (1, "matched"),
            (0, "less specific than `GET /users/{id}`"),
            (4, "needs that header `X-Tier` is `gold`; the request has none"),
            (2, "method GET is not POST or PURGE"),
            (3, "host `a.test` is not `*.example.com`"),
            (5, "the path ends before segment 3: `orders`"),
            (6, "the path goes on at segment 2: `7`"),
            (7, "the path differs at segment 1: `users` is not `orders`"),
            (8, "the path does not match `/users/[a-z]+`"),
        ];
        assert_eq!(told("/users/7", None, 20), expected.map(|(route, text)| (route, text.to_owned())));
    }

    #[test]
    fn only_the_asked_number_of_others_is_told_and_no_value() {
        let steps = told("/users/7", Some("secret"), 2);
        assert_eq!(steps.len(), 3);
        assert_eq!(steps[2], (4, "needs that header `X-Tier` is `gold`; it is another".to_owned()));
    }
}
