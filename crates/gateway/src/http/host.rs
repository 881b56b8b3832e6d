//! The host of a request in its one canonical spelling.
//!
//! Takes the value of `Host` or the authority of an absolute-form target, gives the bytes by which the request finds its
//! route, and the port apart. Must never let two spellings of one host lead to different routes.

use std::fmt;
use std::io::Write as _;
use std::net::Ipv6Addr;

/// The longest name that DNS can hold in its text form (RFC 1035 section 2.3.4), in bytes.
const LONGEST_NAME: usize = 253;

/// Why a host is refused; the client is told 400 for each of them.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum HostError {
    /// No name stands there.
    Empty,
    /// A byte that no host name holds, or an empty label.
    BadName,
    /// The name is longer than 253 bytes.
    TooLong,
    /// Brackets without an IPv6 address in them.
    BadIpv6,
    /// The port is not a number from 1 to 65535.
    BadPort,
}

impl HostError {
    /// The stable name of the rule, for logs and metrics.
    pub fn code(self) -> &'static str {
        match self {
            Self::Empty => "host_empty",
            Self::BadName => "host_bad_name",
            Self::TooLong => "host_too_long",
            Self::BadIpv6 => "host_bad_ipv6",
            Self::BadPort => "host_bad_port",
        }
    }

    /// One plain sentence for the client.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Empty => "the host is empty",
            Self::BadName => "the host is not a name",
            Self::TooLong => "the host is longer than 253 bytes",
            Self::BadIpv6 => "the host has brackets without an IPv6 address in them",
            Self::BadPort => "the port of the host is not a number from 1 to 65535",
        }
    }
}

impl fmt::Display for HostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason())
    }
}

impl std::error::Error for HostError {}

/// The last host that was made canonical: most clients name the same one in request after request.
#[derive(Default)]
pub struct KnownHost {
    raw: Vec<u8>,
    host: Vec<u8>,
}

impl KnownHost {
    /// As [`canonical_host`], without the port.
    ///
    /// # Errors
    /// As [`canonical_host`].
    pub fn canonical(&mut self, raw: &[u8], out: &mut Vec<u8>) -> Result<(), HostError> {
        if raw.is_empty() || raw != self.raw {
            canonical_host(raw, &mut self.host).inspect_err(|_| self.raw.clear())?;
            self.raw.clear();
            self.raw.extend_from_slice(raw);
        }
        out.clear();
        out.extend_from_slice(&self.host);
        Ok(())
    }
}

/// Writes the canonical form of a host to `out`, whose old content goes, and gives the port that stood with it: lower case,
/// without the dot that ends an absolute name; an IPv6 address in brackets in its shortest form (RFC 5952).
///
/// # Errors
/// The rule of [`HostError`] that the host breaks; `out` then holds nothing of use.
pub fn canonical_host(raw: &[u8], out: &mut Vec<u8>) -> Result<Option<u16>, HostError> {
    out.clear();
    if let Some(rest) = raw.strip_prefix(b"[") {
        let Some(end) = memchr::memchr(b']', rest) else { return Err(HostError::BadIpv6) };
        let (address, after) = rest.split_at_checked(end).ok_or(HostError::BadIpv6)?;
        push_ipv6(address, out)?;
        return match after {
            b"]" => Ok(None),
            [b']', b':', port @ ..] => parse_port(port).map(Some),
            _ => Err(HostError::BadIpv6),
        };
    }
    let (name, port) = match memchr::memchr(b':', raw).and_then(|at| raw.split_at_checked(at)) {
        Some((name, [_, port @ ..])) => (name, Some(parse_port(port)?)),
        _ => (raw, None),
    };
    push_name(name.strip_suffix(b".").unwrap_or(name), out)?;
    Ok(port)
}

fn push_name(name: &[u8], out: &mut Vec<u8>) -> Result<(), HostError> {
    if name.is_empty() {
        return Err(HostError::Empty);
    }
    if name.len() > LONGEST_NAME {
        return Err(HostError::TooLong);
    }
    let mut before = b'.';
    for &byte in name {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'~' => {}
            b'.' if before != b'.' => {}
            _ => return Err(HostError::BadName),
        }
        out.push(byte.to_ascii_lowercase());
        before = byte;
    }
    if before == b'.' { Err(HostError::BadName) } else { Ok(()) }
}

fn push_ipv6(address: &[u8], out: &mut Vec<u8>) -> Result<(), HostError> {
    let text = str::from_utf8(address).map_err(|_| HostError::BadIpv6)?;
    let address: Ipv6Addr = text.parse().map_err(|_| HostError::BadIpv6)?;
    write!(out, "[{address}]").map_err(|_| HostError::BadIpv6)
}

fn parse_port(digits: &[u8]) -> Result<u16, HostError> {
    let [b'1'..=b'9', ..] = digits else { return Err(HostError::BadPort) };
    let text = str::from_utf8(digits).map_err(|_| HostError::BadPort)?;
    text.parse().map_err(|_| HostError::BadPort)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_host_has_one_spelling() {
        for (given, host, port) in [
            ("example.com", "example.com", None),
            ("API.Example.COM", "api.example.com", None),
            ("api.example.com.", "api.example.com", None),
            ("api.example.com.:8443", "api.example.com", Some(8443)),
            ("localhost:1", "localhost", Some(1)),
            ("a_b-c~d:65535", "a_b-c~d", Some(65535)),
            ("127.0.0.1:80", "127.0.0.1", Some(80)),
            ("xn--bcher-kva.example", "xn--bcher-kva.example", None),
            ("[::1]", "[::1]", None),
            ("[0:0:0:0:0:0:0:1]:8080", "[::1]", Some(8080)),
            ("[2001:DB8::A]", "[2001:db8::a]", None),
        ] {
            let mut out = b"old".to_vec();
            assert_eq!(canonical_host(given.as_bytes(), &mut out), Ok(port), "{given}");
            assert_eq!(out, host.as_bytes(), "{given}");
        }
    }

    #[test]
    fn a_host_that_is_known_is_the_same_as_one_that_is_not() {
        let (mut known, mut out) = (KnownHost::default(), Vec::new());
        for (given, host) in [
            ("A.example:80", Ok("a.example")),
            ("A.example:80", Ok("a.example")),
            ("a..b", Err(HostError::BadName)),
            ("a..b", Err(HostError::BadName)),
            ("", Err(HostError::Empty)),
            ("A.example:80", Ok("a.example")),
            ("b.example", Ok("b.example")),
        ] {
            assert_eq!(known.canonical(given.as_bytes(), &mut out), host.map(drop), "{given}");
            if let Ok(host) = host {
                assert_eq!(out, host.as_bytes(), "{given}");
            }
        }
    }

    #[test]
    fn what_is_no_host_is_refused() {
        let long = format!("{}a", "a.".repeat(127));
        for (given, expected) in [
            ("", HostError::Empty),
            (".", HostError::Empty),
            (":80", HostError::Empty),
            ("a..b", HostError::BadName),
            (".a", HostError::BadName),
            ("a..", HostError::BadName),
            ("a b", HostError::BadName),
            ("user@host", HostError::BadName),
            ("a,b", HostError::BadName),
            ("a/b", HostError::BadName),
            ("b\u{fc}cher.example", HostError::BadName),
            ("a%2eb", HostError::BadName),
            (long.as_str(), HostError::TooLong),
            ("a:", HostError::BadPort),
            ("a:0", HostError::BadPort),
            ("a:080", HostError::BadPort),
            ("a:65536", HostError::BadPort),
            ("a:+1", HostError::BadPort),
            ("a:1:2", HostError::BadPort),
            ("::1", HostError::BadPort),
            ("[::1", HostError::BadIpv6),
            ("[]", HostError::BadIpv6),
            ("[::1]x", HostError::BadIpv6),
            ("[fe80::1%25eth0]", HostError::BadIpv6),
            ("[v1.x]", HostError::BadIpv6),
            ("[::1]:", HostError::BadPort),
        ] {
            assert_eq!(canonical_host(given.as_bytes(), &mut Vec::new()), Err(expected), "{given}");
        }
    }
}
