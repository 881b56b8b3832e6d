//! The router against a naive one, over random routes and requests.
//!
//! The naive router knows nothing of trees: it tests every route and sorts those that match. Both must agree on the winner,
//! the parts of the path, the methods that would have been taken and the order of all others.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::panic
)]

use std::cmp::Reverse;

use http1::{Fields, Method, Name, NameBuf};
use proptest::prelude::*;
use tidegate::route::condition::{Condition, Source, Test};
use tidegate::route::full_regex::FullRegex;
use tidegate::route::method::MethodSet;
use tidegate::route::params::Params;
use tidegate::route::pattern::{HostPattern, PathPattern, Pattern, Segment};
use tidegate::route::table::{Builder, Lookup, Table};
use tidegate::route::trace::{Outcome, Reason};

/// Regular expressions with the number of whole segments each match starts with.
const REGEXES: [(&str, usize); 5] =
    [("/a/[ab]+", 1), ("/a/b/.*", 2), ("/[ab]", 0), ("/[ab](/[ab])+", 0), (".*b", 0)];
const METHODS: [&str; 5] = ["GET", "HEAD", "POST", "PURGE", "BAN"];

#[derive(Clone, Debug)]
struct Request {
    method: &'static str,
    host: &'static str,
    path: String,
    query: &'static str,
    header: Option<&'static str>,
    cookie: Option<&'static str>,
}

impl Request {
    fn fields(&self) -> Fields {
        let mut fields = Fields::new();
        for (name, value) in [("X-A", self.header), ("Cookie", self.cookie)] {
            if let Some(value) = value {
                fields.push(Name::new(name.as_bytes()).unwrap(), value.as_bytes());
            }
        }
        fields
    }

    fn lookup<'r>(&'r self, fields: &'r Fields) -> Lookup<'r> {
        Lookup {
            method: Method::from_bytes(self.method.as_bytes()),
            method_text: self.method.as_bytes(),
            host: self.host.as_bytes(),
            path: self.path.as_bytes(),
            query: self.query.as_bytes(),
            fields,
        }
    }

    /// Where the parts of the path stand if the pattern takes the path.
    fn parts(&self, path: &PathPattern) -> Option<Vec<String>> {
        let (segments, tail) = match path {
            PathPattern::Regex(regex) => return regex.is_match(self.path.as_bytes()).then(Vec::new),
            PathPattern::Segments { segments, tail } => (segments, *tail),
        };
        let mut parts = Vec::new();
        let mut pieces: Vec<&str> = self.path[1..].split('/').collect();
        if pieces.len() < segments.len() {
            return None;
        }
        let rest = pieces.split_off(segments.len());
        for (segment, piece) in segments.iter().zip(pieces) {
            match segment {
                Segment::Literal(text) if text == piece => {}
                Segment::Name(_) if !piece.is_empty() => parts.push(piece.to_owned()),
                _ => return None,
            }
        }
        if tail {
            parts.push(rest.join("/"));
        } else if !rest.is_empty() {
            return None;
        }
        Some(parts)
    }

    fn host_matches(&self, host: &HostPattern) -> bool {
        match host {
            HostPattern::Any => true,
            HostPattern::Exact(name) => name == self.host,
            HostPattern::Suffix(name) => self.host.ends_with(&format!(".{name}")),
        }
    }

    fn conditions_hold(&self, pattern: &Pattern) -> bool {
        pattern.conditions.iter().all(|condition| {
            let value = match &condition.source {
                Source::Header(_) => self.header,
                Source::Query(_) => self.query.strip_prefix("q="),
                Source::Cookie(_) => self.cookie.and_then(|cookie| cookie.strip_prefix("c=")),
            };
            if condition.test == Test::Absent {
                return value.is_none();
            }
            value.is_some_and(|value| match &condition.test {
                Test::Present => true,
                Test::Absent => false,
                Test::Equals(wanted) => value == wanted,
                Test::Matches(_) => !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()),
            })
        })
    }

    /// 0 named, 1 by standing in for HEAD, 2 as every method.
    fn method_rank(&self, pattern: &Pattern) -> Option<u8> {
        let names = pattern.method_names();
        match self.method {
            method if names.contains(&method) => Some(0),
            "HEAD" if names.contains(&"GET") => Some(1),
            _ if names.is_empty() => Some(2),
            _ => None,
        }
    }

    /// The place of a route among those that take the request; the smallest wins.
    fn rank(&self, pattern: &Pattern) -> Option<impl Ord + use<>> {
        self.parts(&pattern.path)?;
        let method = self.method_rank(pattern)?;
        if !self.host_matches(&pattern.host) || !self.conditions_hold(pattern) {
            return None;
        }
        let path: Vec<(u8, Reverse<usize>, String)> = match &pattern.path {
            PathPattern::Segments { segments, tail } => {
                let kinds = segments.iter().map(|segment| u8::from(matches!(segment, Segment::Name(_))));
                let tail = tail.then_some(3);
                kinds.chain(tail).map(|kind| (kind, Reverse(0), String::new())).collect()
            }
            PathPattern::Regex(regex) => {
                let (text, depth) = REGEXES.into_iter().find(|(text, _)| *text == regex.as_str()).unwrap();
                let literals = std::iter::repeat_n((0, Reverse(0), String::new()), depth);
                literals.chain([(2, Reverse(text.len()), text.to_owned())]).collect()
            }
        };
        let host = match &pattern.host {
            HostPattern::Exact(_) => (0, Reverse(0)),
            HostPattern::Suffix(name) => (1, Reverse(name.len())),
            HostPattern::Any => (2, Reverse(0)),
        };
        Some((path, method, host, Reverse(pattern.conditions.len()), conditions_text(pattern)))
    }
}

fn conditions_text(pattern: &Pattern) -> String {
    let mut texts: Vec<String> = pattern.conditions.iter().map(|it| it.to_string().to_lowercase()).collect();
    texts.sort();
    texts.join(" ")
}

/// Whether two patterns take the same requests with equal right.
fn collide(left: &Pattern, right: &Pattern) -> bool {
    let shape = |path: &PathPattern| match path {
        PathPattern::Regex(regex) => format!("~{}", regex.as_str()),
        PathPattern::Segments { segments, tail } => {
            let kinds = segments.iter().map(|segment| match segment {
                Segment::Literal(text) => format!("={text}"),
                Segment::Name(_) => "?".to_owned(),
            });
            format!("{}{tail}", kinds.collect::<Vec<_>>().join("/"))
        }
    };
    let (mine, theirs) = (left.method_names(), right.method_names());
    shape(&left.path) == shape(&right.path)
        && left.host == right.host
        && conditions_text(left) == conditions_text(right)
        && ((mine.is_empty() && theirs.is_empty()) || mine.iter().any(|method| theirs.contains(method)))
}

fn paths() -> impl Strategy<Value = PathPattern> {
    let segment = prop_oneof![
        3 => prop::sample::select(vec!["a", "b"]).prop_map(|text| Segment::Literal(text.to_owned())),
        2 => Just(Segment::Name("x".to_owned())),
    ];
    let segments = (prop::collection::vec(segment, 0..4), any::<bool>(), any::<bool>());
    let segments = segments.prop_map(|(mut segments, tail, slash)| {
        if !tail && (slash || segments.is_empty()) {
            segments.push(Segment::Literal(String::new()));
        }
        PathPattern::Segments { segments, tail }
    });
    let regex =
        prop::sample::select(REGEXES.to_vec()).prop_map(|(text, _)| PathPattern::regex(text).unwrap());
    prop_oneof![5 => segments, 1 => regex]
}

fn conditions() -> impl Strategy<Value = Vec<Condition>> {
    let digits = || Test::Matches(FullRegex::new("[0-9]+").unwrap());
    let header = |name| Source::Header(NameBuf::new(name).unwrap());
    let all = vec![
        Condition { source: header("X-A"), test: Test::Equals("1".to_owned()) },
        Condition { source: header("x-a"), test: Test::Present },
        Condition { source: Source::Query("q".to_owned()), test: digits() },
        Condition { source: Source::Query("q".to_owned()), test: Test::Present },
        Condition { source: Source::Query("q".to_owned()), test: Test::Absent },
        Condition { source: Source::Cookie("c".to_owned()), test: Test::Equals("2".to_owned()) },
    ];
    prop_oneof![2 => Just(Vec::new()), 1 => prop::sample::subsequence(all, 0..3)]
}

fn patterns() -> impl Strategy<Value = Pattern> {
    let methods = prop::sample::subsequence(METHODS.to_vec(), 0..3);
    let host = prop::sample::select(vec!["*", "*", "a.test", "b.a.test", "*.test", "*.a.test"]);
    (paths(), methods, host, conditions()).prop_map(|(path, methods, host, conditions)| {
        let pattern = Pattern { host: HostPattern::parse(host).unwrap(), conditions, ..Pattern::any(path) };
        methods.into_iter().fold(pattern, Pattern::with_method)
    })
}

fn requests() -> impl Strategy<Value = Request> {
    let path = prop::collection::vec(prop::sample::select(vec!["a", "b", "c"]), 0..5);
    let path = (path, any::<bool>()).prop_map(|(pieces, slash)| match pieces.join("/") {
        path if slash && !path.is_empty() => format!("/{path}/"),
        path => format!("/{path}"),
    });
    let host = prop::sample::select(vec!["", "a.test", "b.a.test", "c.b.a.test", "test", "other"]);
    let header = prop::sample::select(vec![None, Some("1"), Some("2")]);
    let cookie = prop::sample::select(vec![None, Some("c=2"), Some("d=2")]);
    let query = prop::sample::select(vec!["", "q=", "q=7", "q=x"]);
    (prop::sample::select(METHODS.to_vec()), host, path, query, header, cookie).prop_map(
        |(method, host, path, query, header, cookie)| Request { method, host, path, query, header, cookie },
    )
}

/// The table of all patterns that collide with none before them.
fn table_of(patterns: &[Pattern]) -> (Table<usize>, Vec<Pattern>) {
    let mut builder = Builder::new();
    let mut kept: Vec<Pattern> = Vec::new();
    for pattern in patterns {
        let collision = kept.iter().position(|other| collide(other, pattern));
        match builder.add(pattern.clone(), kept.len()) {
            Ok(()) => {
                assert_eq!(collision, None, "{pattern} was taken");
                kept.push(pattern.clone());
            }
            Err(conflict) => assert_eq!(Some(conflict.existing_index), collision, "{conflict}"),
        }
    }
    (builder.build(), kept)
}

fn check(table: &Table<usize>, patterns: &[Pattern], request: &Request, params: &mut Params) {
    let fields = request.fields();
    let lookup = request.lookup(&fields);
    let mut ranked: Vec<_> = patterns.iter().filter_map(|it| Some((request.rank(it)?, it))).collect();
    ranked.sort_by(|left, right| left.0.cmp(&right.0));
    let found = table.find(&lookup, params);
    match (found, ranked.first()) {
        (Ok(found), Some((_, expected))) => {
            assert_eq!(found.pattern.to_string(), expected.to_string());
            let parts: Vec<String> = table
                .params(params, lookup.path)
                .map(|(_, value)| String::from_utf8(value.to_vec()).unwrap())
                .collect();
            assert_eq!(parts, request.parts(&found.pattern.path).unwrap());
        }
        (Err(not_found), None) => {
            let others = patterns.iter().filter(|it| {
                request.parts(&it.path).is_some()
                    && request.host_matches(&it.host)
                    && request.conditions_hold(it)
            });
            let mut allowed: Vec<&str> = others.flat_map(|it| it.method_names()).collect();
            if allowed.contains(&"GET") {
                allowed.push("HEAD");
            }
            let set: MethodSet = allowed.iter().map(|name| Method::from_bytes(name.as_bytes())).collect();
            assert_eq!(not_found.allowed, set);
            allowed.sort_unstable();
            allowed.dedup();
            let told = table.allow(&lookup, params);
            let mut told: Vec<&str> = told.split(", ").filter(|name| !name.is_empty()).collect();
            told.sort_unstable();
            assert_eq!(told, allowed);
        }
        (found, expected) => {
            let expected = expected.map(|(_, pattern)| pattern.to_string());
            panic!("found {found:?}, expected {expected:?}");
        }
    }
    let trace = table.trace(&lookup, patterns.len());
    assert_eq!(trace.len(), patterns.len());
    let takes = trace.iter().take_while(|step| {
        matches!(step.outcome, Outcome::Matched | Outcome::Lost(Reason::LessSpecific { .. }))
    });
    let told: Vec<String> = takes.map(|step| step.pattern.to_string()).collect();
    assert_eq!(told, ranked.iter().map(|(_, pattern)| pattern.to_string()).collect::<Vec<_>>());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_router_agrees_with_a_naive_one(
        patterns in prop::collection::vec(patterns(), 0..14),
        requests in prop::collection::vec(requests(), 1..8),
    ) {
        let (table, kept) = table_of(&patterns);
        let mut params = Params::default();
        for request in &requests {
            check(&table, &kept, request, &mut params);
        }
    }

    #[test]
    fn the_order_of_routes_never_matters(
        patterns in prop::collection::vec(patterns(), 0..14),
        requests in prop::collection::vec(requests(), 1..8),
    ) {
        let (table, mut kept) = table_of(&patterns);
        kept.reverse();
        let (reversed, same) = table_of(&kept);
        prop_assert_eq!(same.len(), kept.len());
        for request in &requests {
            let fields = request.fields();
            let lookup = request.lookup(&fields);
            let told = |table: &Table<usize>| {
                table.find(&lookup, &mut Params::default()).map(|found| found.pattern.to_string())
            };
            prop_assert_eq!(told(&table), told(&reversed));
        }
    }
}
