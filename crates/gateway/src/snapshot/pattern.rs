//! From what a route says of its requests to the patterns of the router: one for each of its hosts.

use http1::NameBuf;

use crate::config::{self, Diagnostics, Pairs, PathMatch, Spanned, codes};
use crate::route::condition::{Condition, Source, Test};
use crate::route::full_regex::FullRegex;
use crate::route::pattern::{HostPattern, PathPattern, Pattern, Segment};
use crate::values::HeaderName;

/// The patterns of a route; none when it has faults.
pub(super) fn patterns(
    key: &Spanned<String>,
    route: &config::Route,
    faults: &mut Diagnostics,
) -> Vec<Pattern> {
    let wanted = &route.conditions;
    let Some(path) = path(key, wanted.path.as_ref(), faults) else { return Vec::new() };
    let Some(conditions) = conditions(key, wanted, faults) else { return Vec::new() };
    let mut pattern = Pattern::any(path);
    pattern.conditions = conditions;
    for method in wanted.methods.iter() {
        pattern = pattern.with_method(method.as_str());
    }
    if wanted.host.is_empty() {
        return vec![pattern];
    }
    let hosts = wanted.host.iter().map(|host| match host {
        config::HostPattern::Exact(host) => HostPattern::Exact(host.clone()),
        config::HostPattern::Below(host) => HostPattern::Suffix(host.clone()),
    });
    hosts.map(|host| Pattern { host, ..pattern.clone() }).collect()
}

/// Without a path, a route that names a host takes all of it.
fn path(
    key: &Spanned<String>,
    wanted: Option<&Spanned<PathMatch>>,
    faults: &mut Diagnostics,
) -> Option<PathPattern> {
    let Some(wanted) = wanted else {
        return Some(PathPattern::Segments { segments: Vec::new(), tail: true });
    };
    match &**wanted {
        PathMatch::Text(pattern) => {
            let segments = pattern.segments.iter().map(|segment| match segment {
                config::Segment::Literal(text) => Segment::Literal(text.clone()),
                config::Segment::Param(name) => Segment::Name(name.clone()),
            });
            let mut segments: Vec<Segment> = segments.collect();
            if segments.is_empty() && !pattern.tail {
                // The path `/` has one segment, which is empty.
                segments.push(Segment::Literal(String::new()));
            }
            Some(PathPattern::Segments { segments, tail: pattern.tail })
        }
        PathMatch::Map(map) => regex(key, map.regex.as_str(), faults).map(PathPattern::Regex),
    }
}

fn regex(key: &Spanned<String>, text: &str, faults: &mut Diagnostics) -> Option<FullRegex> {
    match FullRegex::new(text) {
        Ok(regex) => Some(regex),
        Err(error) => {
            let text = format!("`{text}` cannot be used: {error}");
            faults.error(codes::BAD_VALUE, key.span(), text);
            None
        }
    }
}

fn conditions(
    key: &Spanned<String>,
    wanted: &config::Match,
    faults: &mut Diagnostics,
) -> Option<Vec<Condition>> {
    let query = wanted.query.iter().map(|(name, test)| (Source::Query(name.clone()), test));
    let named = named(&wanted.headers, &wanted.cookies);
    compiled(key, named.into_iter().chain(query), faults)
}

/// The tests of headers and of cookies.
pub(super) fn named<'t>(
    headers: &'t Pairs<HeaderName, config::Test>,
    cookies: &'t Pairs<String, config::Test>,
) -> Vec<(Source, &'t config::Test)> {
    let headers = headers
        .iter()
        .filter_map(|(name, test)| Some((Source::Header(NameBuf::new(name.as_str()).ok()?), test)));
    headers.chain(cookies.iter().map(|(name, test)| (Source::Cookie(name.clone()), test))).collect()
}

/// The conditions that these tests are; none when one cannot be used, which is reported.
pub(super) fn compiled<'t>(
    key: &Spanned<String>,
    tests: impl Iterator<Item = (Source, &'t config::Test)>,
    faults: &mut Diagnostics,
) -> Option<Vec<Condition>> {
    tests
        .map(|(source, test)| {
            let test = match test {
                config::Test::Equals(value) => Test::Equals(value.clone()),
                config::Test::Present(true) => Test::Present,
                config::Test::Present(false) => Test::Absent,
                config::Test::Regex(text) => Test::Matches(regex(key, text.as_str(), faults)?),
            };
            Some(Condition { source, test })
        })
        .collect()
}
