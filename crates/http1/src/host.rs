//! The host and port of a `Host` field or of an authority.
//!
//! Takes the text, gives host and port or nothing. No user information, no list, no empty host, no port but
//! 1 to 65535 in its only spelling (RFC 9110 section 7.2, RFC 3986 section 3.2): two parties must never see two
//! hosts in it.

use core::net::Ipv6Addr;

use crate::octets;

/// A host with an optional port.
#[derive(Copy, Clone)]
pub(crate) struct Authority<'a> {
    host: &'a [u8],
    port: Option<u16>,
}

/// Reads a host with an optional port; `None` if it is anything else.
pub(crate) fn authority(text: &[u8]) -> Option<Authority<'_>> {
    let end = match text.first()? {
        b'[' => literal(text)?,
        _ => octets::reg_name(text),
    };
    let (host, rest) = text.split_at_checked(end)?;
    if host.is_empty() {
        return None;
    }
    match rest {
        [] => Some(Authority { host, port: None }),
        [b':', digits @ ..] => {
            let port = u16::try_from(octets::decimal(digits)?).ok().filter(|&port| port != 0)?;
            Some(Authority { host, port: Some(port) })
        }
        _ => None,
    }
}

/// The length of an IPv6 literal with its brackets.
fn literal(text: &[u8]) -> Option<usize> {
    let close = text.iter().position(|&byte| byte == b']')?;
    let address = core::str::from_utf8(text.get(1..close)?).ok()?;
    address.parse::<Ipv6Addr>().ok()?;
    Some(close + 1)
}

impl Authority<'_> {
    pub(crate) fn has_port(&self) -> bool {
        self.port.is_some()
    }

    /// Whether both name the same place; a port that is not said is the default one, where there is one.
    pub(crate) fn same(&self, other: &Authority<'_>, default_port: Option<u16>) -> bool {
        self.host.eq_ignore_ascii_case(other.host)
            && self.port.or(default_port) == other.port.or(default_port)
    }
}
