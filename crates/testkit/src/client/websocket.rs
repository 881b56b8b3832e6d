//! A minimal WebSocket (RFC 6455) over a [`Wire`], for both ends of a tunnel.
//!
//! Takes whole messages, gives whole frames; no extensions, no fragments of its own. The client masks, the
//! server does not, and each refuses the other's habit, so that bytes changed on the way are seen.

use std::net::SocketAddr;

use sha1::{Digest, Sha1};

use super::{Raw, Response};
use crate::wire::{Trouble, Wire, wanted};

/// One frame, unmasked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// A text message.
    Text(String),
    /// A binary message.
    Binary(Vec<u8>),
    /// A ping with its payload.
    Ping(Vec<u8>),
    /// A pong with its payload.
    Pong(Vec<u8>),
    /// The closing handshake with its status code (1005 when it names none).
    Close(u16),
}

/// The key every handshake of the kit sends (the example of RFC 6455 section 1.3).
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// A WebSocket as its client sees it.
pub struct WebSocket {
    raw: Raw,
}

impl WebSocket {
    /// Opens a WebSocket, or fails the test with the answer that came instead.
    #[track_caller]
    pub fn connect(addr: SocketAddr, path: &str) -> WebSocket {
        match WebSocket::try_connect(addr, path, &[]) {
            Ok(socket) => socket,
            Err(answer) => panic!("no WebSocket: {} {:?}", answer.status, answer.headers),
        }
    }

    /// Opens a WebSocket with more fields in the handshake; an answer other than 101 is the error.
    #[track_caller]
    pub fn try_connect(
        addr: SocketAddr,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Result<WebSocket, Box<Response>> {
        let mut raw = Raw::connect(addr);
        let mut all = vec![
            ("Connection", "Upgrade"),
            ("Upgrade", "websocket"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", KEY),
        ];
        all.extend_from_slice(headers);
        raw.request("GET", path, &all, b"");
        let head = raw.read_head();
        if head.status != 101 {
            return Err(Box::new(head));
        }
        assert_eq!(head.header("upgrade"), Some("websocket"), "{:?}", head.headers);
        assert_eq!(head.header("sec-websocket-accept"), Some(accept_key(KEY).as_str()), "{:?}", head.headers);
        Ok(WebSocket { raw })
    }

    /// Sends a frame.
    pub fn send(&mut self, frame: &Frame) -> &mut WebSocket {
        self.raw.send(encode(frame, Some([0x37, 0xfa, 0x21, 0x3d])));
        self
    }

    /// Sends a text message.
    fn send_text(&mut self, text: &str) -> &mut WebSocket {
        self.send(&Frame::Text(text.to_owned()))
    }

    /// The next frame, or why there is none.
    pub fn try_read(&mut self) -> Result<Frame, Trouble> {
        decode(self.raw.wire(), false)
    }

    /// The next frame, or a failure of the test.
    #[track_caller]
    pub fn read(&mut self) -> Frame {
        wanted("frame", self.try_read())
    }

    /// Sends a text and fails the test unless the same comes back.
    #[track_caller]
    pub fn expect_echo(&mut self, text: &str) {
        self.send_text(text);
        assert_eq!(self.read(), Frame::Text(text.to_owned()));
    }

    /// Closes by the closing handshake and waits for the end of the connection.
    #[track_caller]
    pub fn close(mut self) {
        self.send(&Frame::Close(1000));
        assert_eq!(self.read(), Frame::Close(1000));
        self.raw.expect_closed();
    }

    /// The connection underneath, for bytes out of grammar.
    pub fn raw(&mut self) -> &mut Raw {
        &mut self.raw
    }
}

/// `Sec-WebSocket-Accept` for a `Sec-WebSocket-Key` (RFC 6455 section 4.2.2).
pub(crate) fn accept_key(key: &str) -> String {
    base64(&Sha1::digest(format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11")))
}

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let bits = group.iter().fold(0_u32, |bits, byte| (bits << 8) | u32::from(*byte));
        let bits = bits << (8 * (3 - group.len()));
        for place in 0..4 {
            let sextet = (bits >> (18 - 6 * place)) & 63;
            text.push(if place <= group.len() { char::from(ALPHABET[sextet as usize]) } else { '=' });
        }
    }
    text
}

/// The bytes of a frame, masked when it comes from a client.
pub(crate) fn encode(frame: &Frame, mask: Option<[u8; 4]>) -> Vec<u8> {
    let (opcode, payload) = match frame {
        Frame::Text(text) => (1, text.clone().into_bytes()),
        Frame::Binary(bytes) => (2, bytes.clone()),
        Frame::Close(code) => (8, code.to_be_bytes().to_vec()),
        Frame::Ping(bytes) => (9, bytes.clone()),
        Frame::Pong(bytes) => (10, bytes.clone()),
    };
    let masked = if mask.is_some() { 0x80 } else { 0 };
    let mut bytes = vec![0x80 | opcode];
    match payload.len() {
        short @ 0..=125 => bytes.push(masked | short as u8),
        middle @ 126..=0xffff => {
            bytes.push(masked | 126);
            bytes.extend_from_slice(&(middle as u16).to_be_bytes());
        }
        long => {
            bytes.push(masked | 127);
            bytes.extend_from_slice(&(long as u64).to_be_bytes());
        }
    }
    let mask = mask.inspect(|mask| bytes.extend_from_slice(mask)).unwrap_or_default();
    bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

/// Reads one frame that must be masked exactly when `from_client`.
pub(crate) fn decode(wire: &mut Wire, from_client: bool) -> Result<Frame, Trouble> {
    let head = wire.exact(2)?;
    if head[0] & 0xf0 != 0x80 {
        return Err(Trouble::Malformed(format!("a fragment or an extension: {:#x}", head[0])));
    }
    if (head[1] & 0x80 != 0) != from_client {
        return Err(Trouble::Malformed("masked by the wrong side".into()));
    }
    let length = match head[1] & 0x7f {
        126 => wire.exact(2)?.iter().fold(0, |sum, byte| (sum << 8) | usize::from(*byte)),
        127 => wire.exact(8)?.iter().fold(0, |sum, byte| (sum << 8) | usize::from(*byte)),
        short => usize::from(short),
    };
    let mask = if from_client { wire.exact(4)? } else { vec![0; 4] };
    let payload: Vec<u8> =
        wire.exact(length)?.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
    Ok(match head[0] & 0x0f {
        1 => Frame::Text(String::from_utf8_lossy(&payload).into_owned()),
        2 => Frame::Binary(payload),
        8 => Frame::Close(payload.get(..2).map_or(1005, |code| u16::from_be_bytes([code[0], code[1]]))),
        9 => Frame::Ping(payload),
        10 => Frame::Pong(payload),
        other => return Err(Trouble::Malformed(format!("opcode {other}"))),
    })
}
