//! The target of a request (RFC 9112 section 3.2) taken apart: canonical path, query as it came, canonical host.

use http1::names;

use super::host::HostError;
use super::path::{PathError, PathOptions, canonicalise, without_params};
use crate::exchange::Exchange;

/// Why a target is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetError {
    /// Its path breaks a rule.
    Path(PathError),
    /// Its host breaks a rule.
    Host(HostError),
}

impl TargetError {
    /// The stable word for the rule.
    pub fn code(self) -> &'static str {
        match self {
            TargetError::Path(error) => error.code(),
            TargetError::Host(error) => error.code(),
        }
    }

    /// One sentence for the client.
    pub fn reason(self) -> &'static str {
        match self {
            TargetError::Path(error) => error.reason(),
            TargetError::Host(error) => error.reason(),
        }
    }
}

/// Fills path, query and host of the exchange from its request. True when the path has `;parameters`.
pub fn take_apart(exchange: &mut Exchange, reject_encoded_slash: bool) -> Result<bool, TargetError> {
    let target = exchange.request.target();
    let (path, query) = match memchr::memchr(b'?', target).and_then(|mark| target.split_at_checked(mark)) {
        Some((path, query)) => (path, query.get(1..)),
        None => (target, None),
    };
    exchange.has_query = query.is_some();
    exchange.query.clear();
    exchange.query.extend_from_slice(query.unwrap_or_default());
    let (authority, path) = split_absolute(path);
    exchange.host.clear();
    if let Some(host) = authority.or_else(|| exchange.request.fields.get(names::HOST)) {
        exchange.known_host.canonical(host, &mut exchange.host).map_err(TargetError::Host)?;
    }
    let options = PathOptions { reject_encoded_slash };
    let outcome = canonicalise(path, &mut exchange.path, options).map_err(TargetError::Path)?;
    Ok(outcome.params)
}

/// The path without `;parameters`, if that is another one.
pub fn bare_path(path: &[u8]) -> Option<Vec<u8>> {
    let mut bare = Vec::with_capacity(path.len());
    without_params(path, &mut bare);
    (bare != path).then_some(bare)
}

/// Authority and path of an absolute-form target; its path may be empty, which means `/`. `OPTIONS *` asks for `/`.
fn split_absolute(target: &[u8]) -> (Option<&[u8]>, &[u8]) {
    if target.first() == Some(&b'/') {
        return (None, target);
    }
    let rest = [&b"http://"[..], b"https://"].iter().find_map(|scheme| {
        let (head, rest) = target.split_at_checked(scheme.len())?;
        head.eq_ignore_ascii_case(scheme).then_some(rest)
    });
    let Some(rest) = rest else { return (None, b"/") };
    let end = memchr::memchr(b'/', rest).unwrap_or(rest.len());
    let (authority, path) = rest.split_at_checked(end).unwrap_or((rest, b""));
    (Some(authority), if path.is_empty() { b"/" } else { path })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_of_all_forms_are_taken_apart() {
        for (target, host, path, query) in [
            ("/a/../b?x=/../y", "h.example", "/b", Some("x=/../y")),
            ("/a?", "h.example", "/a", Some("")),
            ("http://Other.Example:80/x?q", "other.example", "/x", Some("q")),
            ("HTTP://other.example", "other.example", "/", None),
            ("http://other.example?q", "other.example", "/", Some("q")),
            ("*", "h.example", "/", None),
        ] {
            let mut exchange = Exchange::default();
            exchange.request.set_target(target.as_bytes());
            exchange.request.fields.push(names::HOST, b"H.example:8080");
            take_apart(&mut exchange, false).unwrap();
            assert_eq!(exchange.host, host.as_bytes(), "{target}");
            assert_eq!(exchange.path, path.as_bytes(), "{target}");
            assert_eq!(
                exchange.has_query.then_some(&exchange.query[..]),
                query.map(str::as_bytes),
                "{target}"
            );
        }
    }
}
