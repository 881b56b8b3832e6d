//! One request as an origin received it, parsed with nothing forgiven.
//!
//! Takes a [`Wire`], gives a [`Recorded`] whose `odd` names everything that a gateway must never send.
//! A request that leaves any doubt about where it ends is no request: it is a [`Trouble`].

use crate::wire::{self, Headers, Trouble, Wire};

/// A request that reached an origin.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recorded {
    /// The how many-eth request of this origin, from 1; sent back as `X-Req-Seq`.
    pub seq: usize,
    /// The connection it came on, from 0 in the order of opening.
    pub connection: usize,
    /// The how many-eth request of its connection, from 1.
    pub number: usize,
    /// The method as written.
    pub method: String,
    /// The target as written.
    pub target: String,
    /// The fields in the order of the wire.
    pub headers: Headers,
    /// The body without its framing.
    pub body: Vec<u8>,
    /// The trailer section.
    pub trailers: Headers,
    /// Whether it came to its end; not when the peer went away, or when nobody read its body.
    pub whole: bool,
    /// What a strict origin would object to.
    pub odd: Vec<String>,
}

/// How the body of a request is framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    None,
    Length(usize),
    Chunked,
}

impl Recorded {
    /// The first value of a field.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers_named(name).first().copied()
    }

    /// All values of a field.
    pub fn headers_named(&self, name: &str) -> Vec<&str> {
        wire::values(&self.headers, name)
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Whether the client waits for `100 Continue`.
    pub fn expects_continue(&self) -> bool {
        self.header("expect").is_some_and(|value| value.eq_ignore_ascii_case("100-continue"))
    }
}

/// Reads one head.
pub(crate) fn read_head(wire: &mut Wire) -> Result<(Recorded, Framing), Trouble> {
    let line = wire.line()?;
    let text = String::from_utf8_lossy(&line).into_owned();
    let malformed = |what: &str| Trouble::Malformed(format!("{what} in request line {text:?}"));
    let parts: Vec<&str> = text.split(' ').collect();
    let [method, target, version] = parts[..] else { return Err(malformed("not three parts")) };
    if method.is_empty() || !method.bytes().all(wire::is_token) {
        return Err(malformed("a method that is no token"));
    }
    if target.is_empty() || !target.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(malformed("a bad target"));
    }
    if version != "HTTP/1.1" {
        return Err(malformed("not HTTP/1.1"));
    }
    let (method, target) = (method.to_owned(), target.to_owned());
    let headers = wire.fields()?;
    let framing = framing(&headers)?;
    let odd = oddities(&target, &headers);
    Ok((Recorded { method, target, headers, odd, ..Recorded::default() }, framing))
}

fn framing(headers: &Headers) -> Result<Framing, Trouble> {
    let codings = wire::values(headers, "transfer-encoding");
    let lengths = wire::values(headers, "content-length");
    match (&codings[..], &lengths[..]) {
        ([], []) => Ok(Framing::None),
        (["chunked"], []) => Ok(Framing::Chunked),
        ([], [length]) if !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit()) => {
            length.parse().map(Framing::Length).map_err(|_| Trouble::Malformed(format!("length {length:?}")))
        }
        _ => Err(Trouble::Malformed(format!("framing {codings:?} with lengths {lengths:?}"))),
    }
}

fn oddities(target: &str, headers: &Headers) -> Vec<String> {
    let mut odd = Vec::new();
    if !target.starts_with('/') && target != "*" {
        odd.push(format!("target {target:?} is not in origin form"));
    }
    if target.contains('#') {
        odd.push(format!("target {target:?} has a fragment"));
    }
    let hosts = wire::values(headers, "host");
    if hosts.len() != 1 || hosts[0].is_empty() {
        odd.push(format!("hosts {hosts:?}"));
    }
    for name in ["keep-alive", "proxy-connection", "http2-settings", "proxy-authorization"] {
        if !wire::values(headers, name).is_empty() {
            odd.push(format!("hop-by-hop field {name}"));
        }
    }
    for value in wire::values(headers, "connection") {
        if !["close", "keep-alive", "upgrade"].contains(&value.to_ascii_lowercase().as_str()) {
            odd.push(format!("Connection: {value}"));
        }
    }
    for value in wire::values(headers, "expect") {
        if !value.eq_ignore_ascii_case("100-continue") {
            odd.push(format!("Expect: {value}"));
        }
    }
    odd
}
