//! Fills the template of a redirection: where the client is sent, and no further than the configuration leads.
//!
//! Takes an exchange and a `Location` as written; gives it with its places filled in and encoded as `rewrite` does. No
//! request can turn a path of this host into another host, nor add to the host or the query that is written.

use super::fill;
use crate::exchange::Exchange;
use crate::values::{Part, Source, Template};

/// The text of `Location`. A source without text leaves nothing behind.
pub fn location(exchange: &Exchange, template: &Template) -> Vec<u8> {
    let mut out = Vec::new();
    for part in template.parts() {
        match part {
            Part::Literal(text) => out.extend_from_slice(text.as_bytes()),
            Part::Source(source) => fill_in(exchange, source, &mut out),
        }
    }
    // `//name` is another host (RFC 3986 section 4.2): only the configuration may say so.
    let meant = matches!(template.parts().first(), Some(Part::Literal(text)) if text.starts_with("//"));
    if !meant {
        let more = out.iter().take_while(|byte| **byte == b'/').count().saturating_sub(1);
        out.drain(..more);
    }
    out
}

fn fill_in(exchange: &Exchange, source: &Source, out: &mut Vec<u8>) {
    let text = exchange.source(source).unwrap_or_default();
    if matches!(source, Source::Scheme | Source::Host) {
        // Canonical, and made of nothing that means anything elsewhere.
        return out.extend_from_slice(&text);
    }
    let place = place(out);
    let whole = matches!(source, Source::Path) || matches!(source, Source::PathParam(name) if name == "*");
    if place == Place::Start || (place == Place::Host && whole) {
        // What a request brings can neither begin a URL nor be the end of a host's name.
        let is_path = fill::is_of_the_path(source) && text.starts_with(b"/");
        out.extend_from_slice(if is_path { b"" } else { b"/" });
    }
    match place {
        Place::Start | Place::Path if fill::is_of_the_path(source) => out.extend_from_slice(&text),
        Place::Host if whole => out.extend_from_slice(&text),
        _ if fill::is_of_the_path(source) => fill::encode_rest(&text, out),
        _ => fill::encode(&text, out),
    }
}

/// The part of a URL that is being written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Start,
    Host,
    Path,
    Query,
}

fn place(out: &[u8]) -> Place {
    if out.is_empty() {
        return Place::Start;
    }
    if out.iter().any(|byte| matches!(byte, b'?' | b'#')) {
        return Place::Query;
    }
    match memchr::memmem::find(out, b"//").and_then(|at| out.get(at.saturating_add(2)..)) {
        Some(rest) if !rest.contains(&b'/') => Place::Host,
        _ => Place::Path,
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::tests::asked;

    #[test]
    fn no_request_leads_to_a_host_that_is_not_written() {
        for (template, rest, header, location) in [
            ("/new/{path.*}", "a/b%20c", "", "/new/a/b%20c"),
            ("/{path.*}", "/evil.example", "", "/evil.example"),
            ("/{header.x}", "", "/evil.example", "/%2Fevil.example"),
            ("/{header.x}", "", "\\evil.example", "/%5Cevil.example"),
            ("{path.*}", "https:evil.example", "", "/https:evil.example"),
            ("{header.x}", "", "//evil.example", "/%2F%2Fevil.example"),
            ("{header.x}", "", "https://evil.example", "/https%3A%2F%2Fevil.example"),
            ("https://a.example{path.*}", ".evil.example", "", "https://a.example/.evil.example"),
            ("https://a.example{path.*}", "", "", "https://a.example/"),
            ("https://{header.x}.a.example/", "", "evil@b/", "https://evil%40b%2F.a.example/"),
            ("//b.example/{path.*}", "x", "", "//b.example/x"),
            ("/login?next={path.*}", "a&b=1/c%26", "", "/login?next=a%26b%3D1%2Fc%26"),
            ("{scheme}://{host}:8443{path}", "", "", "http://h.example:8443/"),
        ] {
            let mut exchange = asked("GET", "/", &[("X", header)]);
            exchange.captures.clear();
            exchange.captures.push("*", rest.as_bytes());
            exchange.host = b"h.example".to_vec();
            let made = super::location(&exchange, &template.parse().unwrap());
            assert_eq!(String::from_utf8(made).unwrap(), location, "{template} {rest:?} {header:?}");
        }
    }
}
