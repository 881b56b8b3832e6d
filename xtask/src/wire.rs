//! The small client of the project's own measurements: HTTP/1.1 with keep-alive, in clear or under TLS.
//! Takes an address; gives answers read to their end, each checked by the caller.
//! It must never mend a failure by trying again: a request that fails is what is being counted.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::{ClientConfig, ClientConnection, HandshakeKind};

/// A peer that is silent for so long has hung.
const PATIENCE: Duration = Duration::from_secs(10);
/// The answer to a GET.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
    /// The server ends the connection after this answer.
    pub(crate) closes: bool,
}

/// A client's connection with what was read ahead.
pub(crate) struct Connection {
    stream: TcpStream,
    session: Option<Box<ClientConnection>>,
    ahead: Vec<u8>,
}

pub(crate) fn broken(what: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what)
}

impl Connection {
    pub(crate) fn open(address: SocketAddr) -> io::Result<Connection> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        Connection::over(stream)
    }

    /// The same reader over a connection that was accepted.
    pub(crate) fn over(stream: TcpStream) -> io::Result<Connection> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Connection { stream, session: None, ahead: Vec::new() })
    }

    /// The same under TLS; the handshake is done with the first request.
    pub(crate) fn open_secure(address: SocketAddr, config: &Arc<ClientConfig>) -> io::Result<Connection> {
        let mut connection = Connection::open(address)?;
        let session = ClientConnection::new(config.clone(), address.ip().into()).map_err(io::Error::other)?;
        connection.session = Some(Box::new(session));
        Ok(connection)
    }

    /// Whether the session was taken up again.
    pub(crate) fn handshake_kind(&self) -> Option<HandshakeKind> {
        self.session.as_ref()?.handshake_kind()
    }

    /// Waits for so long instead of the usual time.
    pub(crate) fn set_patience(&self, time: Duration) -> io::Result<()> {
        self.stream.set_read_timeout(Some(time))
    }

    /// Whether the peer has closed since the last answer, as any client looks before it uses a connection again.
    pub(crate) fn is_closed(&self) -> bool {
        if self.stream.set_nonblocking(true).is_err() {
            return true;
        }
        let peeked = self.stream.peek(&mut [0]);
        let restored = self.stream.set_nonblocking(false).is_ok();
        let open = match peeked {
            // Under TLS a server may have sent more tickets.
            Ok(count) => count > 0 && self.session.is_some(),
            Err(e) => e.kind() == ErrorKind::WouldBlock,
        };
        !restored || !open
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.session {
            Some(session) => rustls::Stream::new(session.as_mut(), &mut self.stream).write_all(bytes),
            None => self.stream.write_all(bytes),
        }
    }

    pub(crate) fn get(&mut self, path: &str) -> io::Result<Answer> {
        self.ask("bench", path, "")
    }

    /// The same of a host that has to be named.
    pub(crate) fn get_of(&mut self, host: &str, path: &str) -> io::Result<Answer> {
        self.ask(host, path, "")
    }

    /// A GET after which the server is to close.
    pub(crate) fn get_last(&mut self, path: &str) -> io::Result<Answer> {
        self.ask("bench", path, "Connection: close\r\n")
    }

    /// The same with a further line, with its end.
    pub(crate) fn get_with(&mut self, path: &str, line: &str) -> io::Result<Answer> {
        self.ask("bench", path, line)
    }

    /// A POST whose body is its path.
    pub(crate) fn post(&mut self, path: &str) -> io::Result<Answer> {
        let length = path.len();
        let head = format!("POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Length: {length}\r\n\r\n{path}");
        self.send(head.as_bytes())?;
        self.read_answer()
    }

    /// The same with both.
    pub(crate) fn get_of_with(&mut self, host: &str, path: &str, line: &str) -> io::Result<Answer> {
        self.ask(host, path, line)
    }

    fn ask(&mut self, host: &str, path: &str, line: &str) -> io::Result<Answer> {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{line}\r\n").as_bytes())?;
        self.read_answer()
    }

    /// The next answer.
    pub(crate) fn read_answer(&mut self) -> io::Result<Answer> {
        let head = self.read_head()?;
        let status =
            head.get(9..12).and_then(|status| status.parse().ok()).ok_or_else(|| broken("no status"))?;
        let length = field(&head, "content-length").and_then(|length| length.parse::<usize>().ok());
        let body = match length {
            Some(length) => self.read_exactly(length)?,
            None if field(&head, "transfer-encoding").is_some() => self.read_chunks()?,
            None => return Err(broken("an answer without a length")),
        };
        let closes = field(&head, "connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
        Ok(Answer { status, head, body, closes })
    }

    /// A head up to its empty line, which is not part of it.
    pub(crate) fn read_head(&mut self) -> io::Result<String> {
        let mut searched = 0_usize;
        loop {
            let from = searched.saturating_sub(3);
            let found =
                self.ahead.get(from..).and_then(|tail| tail.windows(4).position(|w| w == b"\r\n\r\n"));
            if let Some(at) = found {
                let head = self.take(from + at + 4);
                return String::from_utf8(head).map_err(|_| broken("a head that is no text"));
            }
            searched = self.ahead.len();
            self.fill()?;
        }
    }

    pub(crate) fn read_exactly(&mut self, length: usize) -> io::Result<Vec<u8>> {
        while self.ahead.len() < length {
            self.fill()?;
        }
        Ok(self.take(length))
    }

    fn read_chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = self.read_line()?;
            let size = line.split(';').next().unwrap_or_default().trim();
            let size = usize::from_str_radix(size, 16).map_err(|_| broken("a bad size of a chunk"))?;
            body.extend(self.read_exactly(size)?);
            // The line end after the data, or, after the last chunk, the end of the empty trailer section.
            if !self.read_line()?.is_empty() {
                return Err(broken("a chunk longer than its size"));
            }
            if size == 0 {
                return Ok(body);
            }
        }
    }

    fn read_line(&mut self) -> io::Result<String> {
        loop {
            if let Some(at) = self.ahead.windows(2).position(|w| w == b"\r\n") {
                let mut line = self.take(at + 2);
                line.truncate(at);
                return String::from_utf8(line).map_err(|_| broken("a line that is no text"));
            }
            self.fill()?;
        }
    }

    fn take(&mut self, length: usize) -> Vec<u8> {
        let rest = self.ahead.split_off(length.min(self.ahead.len()));
        std::mem::replace(&mut self.ahead, rest)
    }

    fn fill(&mut self) -> io::Result<()> {
        let mut buffer = [0_u8; 16 * 1024];
        let read = match &mut self.session {
            Some(session) => rustls::Stream::new(session.as_mut(), &mut self.stream).read(&mut buffer)?,
            None => self.stream.read(&mut buffer)?,
        };
        if read == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        self.ahead.extend_from_slice(buffer.get(..read).unwrap_or_default());
        Ok(())
    }
}

/// The value of a field of a head.
pub(crate) fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().skip(1).find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(bytes: &'static [u8]) -> io::Result<Answer> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let mut connection = Connection::over(listener.accept().unwrap().0).unwrap();
            connection.read_head().unwrap();
            connection.send(bytes).unwrap();
        });
        let answer = Connection::open(address).unwrap().get("/");
        server.join().unwrap();
        answer
    }

    #[test]
    fn answers_are_read_to_their_end() {
        let by_length =
            answered(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi").unwrap();
        assert_eq!((by_length.status, by_length.closes, &by_length.body[..]), (200, true, &b"hi"[..]));
        let head = b"HTTP/1.1 404 No\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n3;x\r\n yo\r\n0\r\n\r\n";
        let by_chunks = answered(head).unwrap();
        assert_eq!((by_chunks.status, by_chunks.closes, &by_chunks.body[..]), (404, false, &b"hi yo"[..]));
    }

    #[test]
    fn half_an_answer_is_a_failure() {
        assert!(answered(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi").is_err());
        assert!(answered(b"").is_err());
    }
}
