//! The small WebSocket client and echo of the project's own measurements (RFC 6455).
//! Takes an address; gives texts that came back unchanged.
//! It must never carry long or fragmented messages: it proves that a tunnel lives, no more.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use crate::wire::{Connection, broken, field};

/// The key of RFC 6455 section 1.3 and the answer to it.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
pub(crate) const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// An open WebSocket (RFC 6455) that sends short texts and reads them back.
pub(crate) struct WebSocket {
    connection: Connection,
}

impl WebSocket {
    pub(crate) fn open(address: SocketAddr, path: &str) -> io::Result<WebSocket> {
        let mut connection = Connection::open(address)?;
        let head = format!(
            "GET {path} HTTP/1.1\r\nHost: bench\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\r\n"
        );
        connection.send(head.as_bytes())?;
        let head = connection.read_head()?;
        if head.get(9..12) != Some("101") || field(&head, "sec-websocket-accept") != Some(ACCEPT) {
            return Err(broken("the server does not switch to WebSocket"));
        }
        Ok(WebSocket { connection })
    }

    /// Sends a text of at most 125 bytes and expects the same text back.
    pub(crate) fn echo(&mut self, text: &str) -> io::Result<()> {
        const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
        let length =
            u8::try_from(text.len()).ok().filter(|n| *n <= 125).ok_or_else(|| broken("too long a text"))?;
        let mut frame = vec![0x81, 0x80 | length];
        frame.extend(MASK);
        frame.extend(text.bytes().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        self.connection.send(&frame)?;
        let echoed = read_frame(&mut self.connection)?;
        if echoed == text.as_bytes() { Ok(()) } else { Err(broken("another text came back")) }
    }
}

/// One short frame, unmasked; a close frame is the end of the stream.
pub(crate) fn read_frame(connection: &mut Connection) -> io::Result<Vec<u8>> {
    let head = connection.read_exactly(2)?;
    let [first, second] = head[..] else { return Err(broken("half a frame")) };
    if first & 0x0f == 0x8 {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    let mask = if second & 0x80 == 0 { vec![0; 4] } else { connection.read_exactly(4)? };
    let body = connection.read_exactly(usize::from(second & 0x7f))?;
    Ok(body.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_masked_frame_is_unmasked() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = Connection::open(listener.local_addr().unwrap()).unwrap();
        client.send(&[0x81, 0x82, 1, 2, 3, 4, b'h' ^ 1, b'i' ^ 2]).unwrap();
        let mut server = Connection::over(listener.accept().unwrap().0).unwrap();
        assert_eq!(read_frame(&mut server).unwrap(), b"hi");
    }
}
