//! One check of one endpoint: a connection, and a GET where a path is given. Control side only.
//!
//! A connection of its own, closed afterwards: it tells that the endpoint accepts new ones. Every wait has an end and
//! the answer a greatest size.

use std::io;
use std::net::SocketAddr;

use http1::{BodyDecoder, HeadLimits, Method, ResponseHead, ResponseParser};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::Check;
use crate::http::proxy_protocol::{self, Version};

/// Most bytes of an answer's body that are looked at.
const MOST_BODY: usize = 64 * 1024;
/// Bytes read at a time.
const PIECE: usize = 4 * 1024;

/// What one check needs to know.
pub(super) struct Probe {
    /// What is asked.
    pub check: Check,
    /// Whom.
    pub address: SocketAddr,
    /// Its name, for `Host`.
    pub authority: std::sync::Arc<str>,
    /// Whether connections begin with a PROXY protocol header.
    pub announce: Option<Version>,
}

impl Probe {
    /// Asks once; the error says what was wrong, in a few words.
    pub(super) async fn ask(&self) -> Result<(), String> {
        let asked = tokio::time::timeout(self.check.timeout, self.connect_and_ask());
        asked.await.unwrap_or_else(|_| Err(format!("no answer in {} ms", self.check.timeout.as_millis())))
    }

    async fn connect_and_ask(&self) -> Result<(), String> {
        let failed = |error: io::Error| error.kind().to_string();
        let mut stream = TcpStream::connect(self.address).await.map_err(failed)?;
        let Some(path) = &self.check.path else { return Ok(()) };
        let mut out = match self.announce {
            Some(version) => {
                let own = stream.local_addr().map_err(failed)?;
                proxy_protocol::header(version, own, self.address)
            }
            None => Vec::new(),
        };
        let host = self.check.host.as_deref().unwrap_or(&self.authority);
        let head = format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: tidegate-health\r\nAccept: */*\r\nConnection: close\r\n\r\n"
        );
        out.extend_from_slice(head.as_bytes());
        stream.write_all(&out).await.map_err(failed)?;
        self.judge(&mut stream).await
    }

    async fn judge(&self, stream: &mut TcpStream) -> Result<(), String> {
        let (mut head, mut read) = (ResponseHead::default(), Vec::new());
        let mut parser = ResponseParser::new();
        loop {
            let parsed = parser.parse(&read, &HeadLimits::default(), Method::Get, &mut head);
            match parsed.map_err(|error| format!("not an answer of HTTP: {}", error.reason()))? {
                Some(length) => {
                    read.drain(..length.min(read.len()));
                    if !head.is_interim() {
                        break;
                    }
                    parser.reset();
                }
                None if !more(stream, &mut read).await? => return Err("closed without an answer".to_owned()),
                None => {}
            }
        }
        let status = head.status;
        let expected = match &*self.check.status {
            [] => (200..300).contains(&status),
            some => some.contains(&status),
        };
        if !expected {
            return Err(format!("status {status}"));
        }
        match &self.check.body {
            Some(text) => body_holds(stream, &head, read, text.as_bytes()).await,
            None => Ok(()),
        }
    }
}

/// Whether the text stands in the body, as far as that is looked at.
async fn body_holds(
    stream: &mut TcpStream,
    head: &ResponseHead,
    mut read: Vec<u8>,
    text: &[u8],
) -> Result<(), String> {
    let (mut decoder, mut body) = (BodyDecoder::new(head.framing), Vec::new());
    loop {
        let mut at = 0;
        while !decoder.is_done() && body.len() < MOST_BODY {
            let rest = read.get(at..).unwrap_or_default();
            let step = decoder.decode(rest).map_err(|error| error.to_string())?;
            body.extend_from_slice(rest.get(step.data).unwrap_or_default());
            at = at.saturating_add(step.consumed);
            if step.consumed == 0 {
                break;
            }
        }
        read.drain(..at.min(read.len()));
        if memchr::memmem::find(&body, text).is_some() {
            return Ok(());
        }
        let over = decoder.is_done() || body.len() >= MOST_BODY;
        if over || !more(stream, &mut read).await? {
            return Err("the expected text is not in the answer".to_owned());
        }
    }
}

/// Reads on; false at the end.
async fn more(stream: &mut TcpStream, read: &mut Vec<u8>) -> Result<bool, String> {
    let mut piece = [0; PIECE];
    let count = stream.read(&mut piece).await.map_err(|error| error.kind().to_string())?;
    read.extend_from_slice(piece.get(..count).unwrap_or_default());
    Ok(count > 0)
}
