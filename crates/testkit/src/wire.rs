//! One end of a TCP connection, under TLS or in clear, read by lines and by counts, with every byte received kept on record.
//!
//! Takes a socket, gives exactly the bytes asked for or a [`Trouble`] that says how the connection failed.
//! A line ends with CR LF and with nothing else. Must never wait longer than its time-out.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::PATIENCE;

/// Field lines in the order of the wire.
pub type Headers = Vec<(String, String)>;

/// How reading from a connection failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// The peer had closed before the first byte of what was asked for.
    Closed,
    /// The peer closed in the middle; what had come of it.
    Truncated(String),
    /// The peer reset the connection.
    Reset,
    /// Nothing came in time; what had come before.
    TimedOut(String),
    /// What came breaks the grammar.
    Malformed(String),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Closed => f.write_str("the peer closed the connection"),
            Trouble::Truncated(seen) => write!(f, "the peer closed in the middle, after {seen:?}"),
            Trouble::Reset => f.write_str("the peer reset the connection"),
            Trouble::TimedOut(seen) => write!(f, "nothing came in time, after {seen:?}"),
            Trouble::Malformed(what) => write!(f, "malformed: {what}"),
        }
    }
}

/// One end of a connection.
pub struct Wire {
    stream: TcpStream,
    tls: Option<Box<rustls::Connection>>,
    buffer: Vec<u8>,
    record: Arc<Mutex<Vec<u8>>>,
}

impl Wire {
    /// Takes over a connected socket: no Nagle, time-outs of [`PATIENCE`] both ways.
    pub fn new(stream: TcpStream) -> Wire {
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Wire { stream, tls: None, buffer: Vec::new(), record: Arc::default() }
    }

    /// Goes on under TLS: shakes hands, or says why not.
    pub fn secure(&mut self, connection: impl Into<rustls::Connection>) -> io::Result<()> {
        let mut connection = connection.into();
        while connection.is_handshaking() {
            connection.complete_io(&mut self.stream)?;
        }
        self.tls = Some(Box::new(connection));
        Ok(())
    }

    /// What is known of the TLS connection.
    pub fn tls(&self) -> Option<&rustls::Connection> {
        self.tls.as_deref()
    }

    /// Everything received so far, whoever asked for it.
    pub fn record(&self) -> Arc<Mutex<Vec<u8>>> {
        Arc::clone(&self.record)
    }

    /// The socket.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// How long a read may wait from now on; `None` is for ever.
    pub fn set_read_timeout(&self, time: Option<Duration>) {
        // A socket that the peer has already torn down may refuse; the read that follows tells.
        let _ = self.stream.set_read_timeout(time);
    }

    /// Bytes received and not yet asked for.
    pub fn pending(&self) -> &[u8] {
        &self.buffer
    }

    /// Writes everything, or says why not.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.tls {
            Some(tls) => {
                // Piece by piece: rustls holds back no more than it was told to.
                for piece in bytes.chunks(16 * 1024) {
                    tls.writer().write_all(piece)?;
                    send_waiting(tls, &mut self.stream)?;
                }
                Ok(())
            }
            None => self.stream.write_all(bytes),
        }
    }

    /// Receives once; 0 at the end of the stream.
    pub fn fill(&mut self) -> Result<usize, Trouble> {
        let mut piece = [0; 16 * 1024];
        let count = loop {
            let read = match &mut self.tls {
                Some(tls) => read_secured(tls, &mut self.stream, &mut piece),
                None => self.stream.read(&mut piece),
            };
            match read {
                Ok(count) => break count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.trouble(&error)),
            }
        };
        self.record.lock().unwrap().extend_from_slice(&piece[..count]);
        self.buffer.extend_from_slice(&piece[..count]);
        Ok(count)
    }

    fn trouble(&self, error: &io::Error) -> Trouble {
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Trouble::TimedOut(self.seen()),
            // Under TLS the end must be told (close_notify), or what came may be less than was sent.
            io::ErrorKind::UnexpectedEof => Trouble::Truncated(format!("{} (no close_notify)", self.seen())),
            io::ErrorKind::InvalidData => Trouble::Malformed(error.to_string()),
            _ => Trouble::Reset,
        }
    }

    fn seen(&self) -> String {
        String::from_utf8_lossy(&self.buffer[..self.buffer.len().min(200)]).into_owned()
    }

    fn fill_or_end(&mut self) -> Result<(), Trouble> {
        match self.fill()? {
            0 if self.buffer.is_empty() => Err(Trouble::Closed),
            0 => Err(Trouble::Truncated(self.seen())),
            _ => Ok(()),
        }
    }

    /// The next line without its CR LF. A lone CR or LF is malformed.
    pub fn line(&mut self) -> Result<Vec<u8>, Trouble> {
        let mut looked = 0;
        loop {
            if let Some(at) = self.buffer[looked..].iter().position(|byte| *byte == b'\n') {
                let mut line: Vec<u8> = self.buffer.drain(..=looked + at).collect();
                line.pop();
                if line.pop() != Some(b'\r') || line.contains(&b'\r') {
                    return Err(Trouble::Malformed(format!(
                        "a lone CR or LF near {:?}",
                        String::from_utf8_lossy(&line)
                    )));
                }
                return Ok(line);
            }
            looked = self.buffer.len();
            self.fill_or_end()?;
        }
    }

    /// Exactly `count` bytes.
    pub fn exact(&mut self, count: usize) -> Result<Vec<u8>, Trouble> {
        while self.buffer.len() < count {
            self.fill_or_end()?;
        }
        Ok(self.buffer.drain(..count).collect())
    }

    /// At least one byte and at most `count`.
    pub fn some(&mut self, count: usize) -> Result<Vec<u8>, Trouble> {
        if self.buffer.is_empty() {
            self.fill_or_end()?;
        }
        let count = count.min(self.buffer.len());
        Ok(self.buffer.drain(..count).collect())
    }

    /// Everything up to the end of the stream.
    pub fn to_end(&mut self) -> Result<Vec<u8>, Trouble> {
        while self.fill()? > 0 {}
        Ok(std::mem::take(&mut self.buffer))
    }

    /// Field lines up to and with the empty line, strictly by RFC 9112 section 5.
    pub fn fields(&mut self) -> Result<Headers, Trouble> {
        let mut fields = Headers::new();
        loop {
            let line = self.line().map_err(truncated)?;
            if line.is_empty() {
                return Ok(fields);
            }
            fields.push(field(&line)?);
        }
    }

    /// One chunk of a chunked body (RFC 9112 section 7.1); empty for the last.
    pub fn chunk(&mut self) -> Result<Vec<u8>, Trouble> {
        let line = self.line().map_err(truncated)?;
        let digits = line.split(|byte| *byte == b';').next().unwrap_or_default();
        let text = std::str::from_utf8(digits).unwrap_or_default();
        if text.is_empty() || text.len() > 8 || !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err(Trouble::Malformed(format!("chunk size {:?}", String::from_utf8_lossy(&line))));
        }
        let size = usize::from_str_radix(text, 16).unwrap();
        if size == 0 {
            return Ok(Vec::new());
        }
        let chunk = self.exact(size).map_err(truncated)?;
        match self.line().map_err(truncated)?.is_empty() {
            true => Ok(chunk),
            false => Err(Trouble::Malformed("a chunk is longer than its size".into())),
        }
    }

    /// A whole chunked body and its trailers.
    pub fn chunked(&mut self) -> Result<(Vec<u8>, Headers), Trouble> {
        let mut body = Vec::new();
        loop {
            let chunk = self.chunk()?;
            if chunk.is_empty() {
                return Ok((body, self.fields()?));
            }
            body.extend_from_slice(&chunk);
        }
    }

    /// Ends the sending direction.
    pub fn half_close(&mut self) {
        if let Some(tls) = &mut self.tls {
            tls.send_close_notify();
            let _ = tls.write_tls(&mut self.stream);
        }
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Ends the connection with a reset instead of a farewell.
    pub fn reset(self) {
        let _ = socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
    }
}

/// Sends what a TLS connection has put together.
fn send_waiting(tls: &mut rustls::Connection, stream: &mut TcpStream) -> io::Result<()> {
    while tls.wants_write() {
        tls.write_tls(stream)?;
    }
    Ok(())
}

/// Reads once under TLS; answers what TLS itself asks.
fn read_secured(tls: &mut rustls::Connection, stream: &mut TcpStream, piece: &mut [u8]) -> io::Result<usize> {
    loop {
        match tls.reader().read(piece) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            read => return read,
        }
        tls.read_tls(stream)?;
        let processed = tls.process_new_packets();
        send_waiting(tls, stream)?;
        processed.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    }
}

/// Inside a message the end of the stream cuts something off.
fn truncated(trouble: Trouble) -> Trouble {
    match trouble {
        Trouble::Closed => Trouble::Truncated(String::new()),
        other => other,
    }
}

fn field(line: &[u8]) -> Result<(String, String), Trouble> {
    let text = String::from_utf8_lossy(line);
    let malformed = |what: &str| Trouble::Malformed(format!("{what} in field line {text:?}"));
    let Some(colon) = line.iter().position(|byte| *byte == b':') else {
        return Err(malformed("no colon"));
    };
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    if name.is_empty() || !name.iter().all(|byte| is_token(*byte)) {
        return Err(malformed("a name that is no token"));
    }
    if value.iter().any(|byte| (*byte < 0x20 && *byte != b'\t') || *byte == 0x7f) {
        return Err(malformed("a control byte"));
    }
    let value = String::from_utf8_lossy(value);
    Ok((String::from_utf8_lossy(name).into_owned(), value.trim_matches([' ', '\t']).to_owned()))
}

/// What came, or a failure of the test, at the place of the caller, that says what did not come.
#[track_caller]
pub fn wanted<T>(what: &str, came: Result<T, Trouble>) -> T {
    match came {
        Ok(it) => it,
        Err(trouble) => panic!("no {what}: {trouble}"),
    }
}

/// Whether a byte may stand in a token (RFC 9110 section 5.6.2).
pub fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// All values of a field, in order; names compare without case.
pub fn values<'a>(headers: &'a [(String, String)], name: &str) -> Vec<&'a str> {
    headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str()).collect()
}
