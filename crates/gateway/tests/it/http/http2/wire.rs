//! Frames of HTTP/2 by hand (RFC 9113 section 4), and how a stream or a connection ended.

use std::sync::Arc;

use rustls::ClientConfig;
use testkit::client::Raw;
use testkit::gateway::Gateway;
use testkit::wire::Trouble;

/// What a client begins with.
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
pub(crate) const PADDED: u8 = 8;

/// Types of frames.
pub(crate) mod kind {
    pub(crate) const DATA: u8 = 0;
    pub(crate) const HEADERS: u8 = 1;
    pub(crate) const PRIORITY: u8 = 2;
    pub(crate) const RST_STREAM: u8 = 3;
    pub(crate) const SETTINGS: u8 = 4;
    pub(crate) const PING: u8 = 6;
    pub(crate) const WINDOW_UPDATE: u8 = 8;
    pub(crate) const CONTINUATION: u8 = 9;
}

/// Codes of errors (RFC 9113 section 7).
pub(crate) mod code {
    pub(crate) const PROTOCOL_ERROR: u32 = 1;
    pub(crate) const CANCEL: u32 = 8;
    pub(crate) const COMPRESSION_ERROR: u32 = 9;
    pub(crate) const ENHANCE_YOUR_CALM: u32 = 0xb;
}

/// The head of a simple request.
pub(crate) const GET: [(&str, &str); 4] =
    [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "a.example")];

/// The head of a request with a body.
pub(crate) const POST: [(&str, &str); 4] =
    [(":method", "POST"), (":scheme", "http"), (":path", "/"), (":authority", "a.example")];

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// A length with a prefix of seven bits (RFC 7541 section 5.1).
fn length(bytes: &mut Vec<u8>, length: usize) {
    if length < 127 {
        return bytes.push(length as u8);
    }
    bytes.push(127);
    let mut rest = length - 127;
    while rest >= 128 {
        bytes.push((rest % 128) as u8 | 128);
        rest /= 128;
    }
    bytes.push(rest as u8);
}

/// A field as a literal without Huffman; the first byte says whether it is to be indexed.
pub(crate) fn literal(first: u8, name: &str, value: &str) -> Vec<u8> {
    let mut bytes = vec![first];
    for text in [name, value] {
        length(&mut bytes, text.len());
        bytes.extend(text.as_bytes());
    }
    bytes
}

/// A block of fields as literals that are not indexed (RFC 7541 section 6.2.2).
pub(crate) fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    fields.iter().flat_map(|(name, value)| literal(0, name, value)).collect()
}

pub(crate) fn headers(fields: &[(&str, &str)], flags: u8, stream: u32) -> Vec<u8> {
    frame(kind::HEADERS, END_HEADERS | flags, stream, &block(fields))
}

pub(crate) fn reset(stream: u32) -> Vec<u8> {
    frame(kind::RST_STREAM, 0, stream, &code::CANCEL.to_be_bytes())
}

pub(crate) fn window(stream: u32, by: u32) -> Vec<u8> {
    frame(kind::WINDOW_UPDATE, 0, stream, &by.to_be_bytes())
}

/// A connection that has begun.
pub(crate) fn connect(gateway: &Gateway) -> Raw {
    with_settings(gateway, &[])
}

/// A connection that has begun with these settings.
pub(crate) fn with_settings(gateway: &Gateway, settings: &[(u16, u32)]) -> Raw {
    let mut client = Raw::connect(gateway.addr());
    begin(&mut client, settings);
    client
}

/// The same under TLS, of a client that agrees on HTTP/2.
pub(crate) fn connect_tls(gateway: &Gateway, config: &ClientConfig, name: &str) -> Raw {
    let mut config = config.clone();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let mut client = Raw::connect_tls(gateway.addr(), &Arc::new(config), name);
    begin(&mut client, &[]);
    client
}

/// Without a word about it the other side keeps no table, so that every block stands for itself.
fn begin(client: &mut Raw, settings: &[(u16, u32)]) {
    let mut payload = Vec::new();
    for (id, value) in [(1, 0)].iter().chain(settings) {
        payload.extend(id.to_be_bytes());
        payload.extend(value.to_be_bytes());
    }
    client.send([PREFACE, &frame(kind::SETTINGS, 0, 0, &payload)].concat());
}

/// Memory of a gateway's own making, in MiB: what it has read of its program does not count.
pub(crate) fn memory(gateway: &Gateway) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", gateway.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
}

/// How a stream, or the connection, ended.
#[derive(Debug, PartialEq, Clone, Copy)]
pub(crate) enum Ended {
    /// The head of an answer, with its status.
    Answer(u16),
    /// RST_STREAM with this code.
    Reset(u32),
    /// GOAWAY with this code, and the last stream that was looked at.
    GoAway(u32, u32),
    /// The connection, without a word.
    Closed,
    /// Nothing has ended so far.
    TimedOut,
}

impl Ended {
    /// Whether it is a GOAWAY with this code.
    pub(crate) fn says(self, code: u32) -> bool {
        matches!(self, Ended::GoAway(told, _) if told == code)
    }
}

/// The next frame: type, flags, stream, payload.
pub(crate) fn next(client: &mut Raw) -> Result<(u8, u8, u32, Vec<u8>), Trouble> {
    let head = client.wire().exact(9)?;
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
    let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
    Ok((head[3], head[4], stream, client.wire().exact(length)?))
}

/// Reads frames until the first answer, reset or farewell.
pub(crate) fn ended(client: &mut Raw) -> Ended {
    loop {
        let (kind, _, _, payload) = match next(client) {
            Ok(frame) => frame,
            Err(Trouble::TimedOut(_)) => return Ended::TimedOut,
            Err(_) => return Ended::Closed,
        };
        let code = |at: usize| u32::from_be_bytes(payload[at..at + 4].try_into().unwrap());
        match kind {
            kind::HEADERS => return Ended::Answer(status(&payload)),
            kind::RST_STREAM => return Ended::Reset(code(0)),
            7 => return Ended::GoAway(code(4), code(0)),
            _ => {}
        }
    }
}

/// Reads frames until the connection ends; gives the farewell, if there was one.
pub(crate) fn farewell(client: &mut Raw) -> Ended {
    loop {
        match ended(client) {
            Ended::Answer(_) | Ended::Reset(_) => {}
            end => return end,
        }
    }
}

/// The status at the beginning of a block: by its place in the static table, or spelled with or without Huffman.
fn status(block: &[u8]) -> u16 {
    let block = if block[0] & 0xe0 == 0x20 { &block[1..] } else { block };
    match block[0] {
        0x88 => 200,
        0x89 => 204,
        0x8a => 206,
        0x8b => 304,
        0x8c => 400,
        0x8d => 404,
        0x8e => 500,
        _ => spelled(&block[1..]),
    }
}

fn spelled(text: &[u8]) -> u16 {
    let digits = match text[0] {
        3 => text[1..4].iter().map(|digit| digit - b'0').collect::<Vec<_>>(),
        _ => {
            // The codes of digits (RFC 7541 appendix B): 0 to 2 have five bits, 3 to 9 six.
            let mut bits = text[1..].iter().flat_map(|byte| (0..8).rev().map(move |at| byte >> at & 1));
            let mut digit = || {
                let five = (0..5).fold(0, |sum, _| sum << 1 | bits.next().unwrap());
                if five < 3 { five } else { (five << 1 | bits.next().unwrap()) - 0x19 + 3 }
            };
            vec![digit(), digit(), digit()]
        }
    };
    digits.into_iter().fold(0, |sum, digit| sum * 10 + u16::from(digit))
}
