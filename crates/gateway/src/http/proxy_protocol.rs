//! The PROXY protocol, versions 1 and 2: what a proxy that passes connections on says of the client, ahead of its bytes.
//!
//! Takes the bytes at the beginning of a connection and tells what they say, or why they are no such header; and
//! writes one. Strict and bounded; does no I/O and believes nobody: who may speak is decided in `accept`.
//! The text it follows is "The PROXY protocol", 2020-03-05, of HAProxy (`doc/proxy-protocol.txt`).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The longest header that is taken: addresses and all that is told besides them.
pub const MOST: usize = 4096;

/// What begins version 2 (section 2.2).
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Bytes of version 2 before the addresses.
const FIXED: usize = 16;
/// What begins version 1 (section 2.1).
const WORD: &[u8] = b"PROXY ";
/// The longest line of version 1, with its end.
const MOST_LINE: usize = 107;

/// What the bytes at the beginning of a connection are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// The beginning of a header, as far as can be told: so many bytes are needed at least to know more.
    Partial(usize),
    /// No header: something else begins here.
    Absent,
    /// A header of so many bytes.
    Header(usize, Told),
}

/// What a header says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Source and destination of the client's connection; `None` where the sender speaks for itself (`LOCAL`) or
    /// does not know (`UNKNOWN`, `UNSPEC`).
    pub ends: Option<(SocketAddr, SocketAddr)>,
    /// Whether the client speaks TLS to the sender.
    pub tls: bool,
}

/// Why a header is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// It does not end within [`MOST`] bytes, or a line of version 1 within its 107.
    TooLong,
    /// A line of version 1 that is not written as it must be.
    Line,
    /// A version, command, family or protocol that is not known.
    Unknown,
    /// A length that does not fit what it stands for.
    Length,
    /// The checksum is another one.
    Checksum,
}

/// Looks at the bytes that have come so far.
pub fn parse(bytes: &[u8]) -> Result<Seen, Malformed> {
    if begins(bytes, SIGNATURE) {
        return if bytes.len() < FIXED { Ok(Seen::Partial(FIXED)) } else { version2(bytes) };
    }
    if begins(bytes, WORD) {
        return version1(bytes);
    }
    Ok(Seen::Absent)
}

/// Whether the bytes begin so, as far as they go.
fn begins(bytes: &[u8], with: &[u8]) -> bool {
    bytes.iter().zip(with).all(|(a, b)| a == b)
}

fn version1(bytes: &[u8]) -> Result<Seen, Malformed> {
    let Some(end) = bytes.iter().take(MOST_LINE).position(|byte| *byte == b'\n') else {
        let long = bytes.len() >= MOST_LINE;
        return if long { Err(Malformed::TooLong) } else { Ok(Seen::Partial(bytes.len().saturating_add(1))) };
    };
    let line = bytes.get(WORD.len()..end).and_then(|line| line.strip_suffix(b"\r"));
    let line = std::str::from_utf8(line.ok_or(Malformed::Line)?).map_err(|_| Malformed::Line)?;
    let mut words = line.split(' ');
    let v4 = match words.next() {
        Some("TCP4") => true,
        Some("TCP6") => false,
        // What follows is to be ignored (section 2.1).
        Some("UNKNOWN") => return Ok(Seen::Header(end.saturating_add(1), Told::default())),
        _ => return Err(Malformed::Unknown),
    };
    let mut address = || {
        let word = words.next()?;
        if v4 {
            word.parse::<Ipv4Addr>().ok().map(IpAddr::from)
        } else {
            word.parse::<Ipv6Addr>().ok().map(IpAddr::from)
        }
    };
    let (source, destination) = (address(), address());
    let (from, to) = (words.next().and_then(port), words.next().and_then(port));
    match (source, destination, from, to, words.next()) {
        (Some(source), Some(destination), Some(from), Some(to), None) => {
            let ends = Some((SocketAddr::new(source, from), SocketAddr::new(destination, to)));
            Ok(Seen::Header(end.saturating_add(1), Told { ends, tls: false }))
        }
        _ => Err(Malformed::Line),
    }
}

/// A port as decimal digits without a sign or leading zeros.
fn port(text: &str) -> Option<u16> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if plain { text.parse().ok() } else { None }
}

fn version2(bytes: &[u8]) -> Result<Seen, Malformed> {
    let Some(&[command, family, high, low]) = bytes.get(SIGNATURE.len()..FIXED) else {
        return Ok(Seen::Partial(FIXED));
    };
    let length = FIXED.saturating_add(usize::from(u16::from_be_bytes([high, low])));
    if length > MOST {
        return Err(Malformed::TooLong);
    }
    let local = match command {
        0x20 => true,
        0x21 => false,
        _ => return Err(Malformed::Unknown),
    };
    let Some(header) = bytes.get(..length) else { return Ok(Seen::Partial(length)) };
    if local {
        // Whatever else it holds is to be ignored, and the real ends are to be used (section 2.2).
        return Ok(Seen::Header(length, Told::default()));
    }
    let rest = header.get(FIXED..).unwrap_or_default();
    let (ends, extras) = match family {
        0x00 => return Ok(Seen::Header(length, Told::default())),
        0x11 => ends::<4>(rest)?,
        0x21 => ends::<16>(rest)?,
        // Two unix sockets of 108 bytes: the client has no address that says anything here.
        0x31 => (None, rest.get(216..).ok_or(Malformed::Length)?),
        _ => return Err(Malformed::Unknown),
    };
    let tls = extras_of(header, extras)?;
    Ok(Seen::Header(length, Told { ends, tls }))
}

type Ends<'a> = (Option<(SocketAddr, SocketAddr)>, &'a [u8]);

/// Two addresses of N bytes, then two ports; gives what follows them.
fn ends<const N: usize>(rest: &[u8]) -> Result<Ends<'_>, Malformed>
where
    IpAddr: From<[u8; N]>,
{
    let read = || {
        let (source, rest) = rest.split_first_chunk::<N>()?;
        let (destination, rest) = rest.split_first_chunk::<N>()?;
        let (from, rest) = rest.split_first_chunk::<2>()?;
        let (to, rest) = rest.split_first_chunk::<2>()?;
        let end = |address: &[u8; N], port: &[u8; 2]| {
            SocketAddr::new(IpAddr::from(*address), u16::from_be_bytes(*port))
        };
        Some((Some((end(source, from), end(destination, to))), rest))
    };
    read().ok_or(Malformed::Length)
}

/// Goes through what is told besides the addresses (TLVs, section 2.2.1 and on); says whether the client speaks TLS.
fn extras_of(header: &[u8], mut extras: &[u8]) -> Result<bool, Malformed> {
    const CRC32C: u8 = 0x03;
    const SSL: u8 = 0x20;
    const CLIENT_SSL: u8 = 0x01;
    let (mut tls, mut checked) = (false, false);
    while !extras.is_empty() {
        let at = header.len().saturating_sub(extras.len()).saturating_add(3);
        let (kind, value, rest) = extra(extras).ok_or(Malformed::Length)?;
        match kind {
            CRC32C => {
                let told = <[u8; 4]>::try_from(value).map_err(|_| Malformed::Length)?;
                if checked || checksum(header, at) != u32::from_be_bytes(told) {
                    return Err(Malformed::Checksum);
                }
                checked = true;
            }
            SSL => {
                // Which client, whether its certificate was verified, then extras of its own.
                let (fixed, mut inner) = value.split_first_chunk::<5>().ok_or(Malformed::Length)?;
                tls |= fixed.first().is_some_and(|client| client & CLIENT_SSL != 0);
                while !inner.is_empty() {
                    inner = extra(inner).ok_or(Malformed::Length)?.2;
                }
            }
            _ => {}
        }
        extras = rest;
    }
    Ok(tls)
}

/// The first extra: its kind, its value, and what follows.
fn extra(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[kind, high, low], rest) = bytes.split_first_chunk::<3>()?;
    let (value, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes([high, low])))?;
    Some((kind, value, rest))
}

/// CRC32c (RFC 3720 appendix B.4) of a header, the four bytes at `at` taken for zeros.
fn checksum(header: &[u8], at: usize) -> u32 {
    let mut crc = u32::MAX;
    for (place, byte) in header.iter().enumerate() {
        let own = place >= at && place < at.saturating_add(4);
        crc ^= if own { 0 } else { u32::from(*byte) };
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 };
        }
    }
    !crc
}

/// A version of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// A line of text.
    V1,
    /// Binary.
    V2,
}

/// The header that says whose connection this is.
pub fn header(version: Version, source: SocketAddr, destination: SocketAddr) -> Vec<u8> {
    let (from, to) = match (source.ip().to_canonical(), destination.ip().to_canonical()) {
        (IpAddr::V4(from), IpAddr::V6(to)) => (from.to_ipv6_mapped().into(), to.into()),
        (IpAddr::V6(from), IpAddr::V4(to)) => (from.into(), to.to_ipv6_mapped().into()),
        same => same,
    };
    let ports = (source.port(), destination.port());
    match version {
        Version::V1 => {
            let family = if from.is_ipv4() { "TCP4" } else { "TCP6" };
            // Display of a mapped address has dots in it, which a reader may not know; the text allows both.
            format!("PROXY {family} {from} {to} {} {}\r\n", ports.0, ports.1).into_bytes()
        }
        Version::V2 => {
            let mut bytes = SIGNATURE.to_vec();
            bytes.push(0x21);
            match (from, to) {
                (IpAddr::V4(from), IpAddr::V4(to)) => {
                    bytes.extend_from_slice(&[0x11, 0, 12]);
                    bytes.extend_from_slice(&from.octets());
                    bytes.extend_from_slice(&to.octets());
                }
                (from, to) => {
                    let octets = |address| match address {
                        IpAddr::V4(address) => Ipv4Addr::to_ipv6_mapped(&address).octets(),
                        IpAddr::V6(address) => address.octets(),
                    };
                    bytes.extend_from_slice(&[0x21, 0, 36]);
                    bytes.extend_from_slice(&octets(from));
                    bytes.extend_from_slice(&octets(to));
                }
            }
            bytes.extend_from_slice(&ports.0.to_be_bytes());
            bytes.extend_from_slice(&ports.1.to_be_bytes());
            bytes
        }
    }
}

#[cfg(test)]
mod tests;
