//! A client that sends any bytes and reads answers by the letter of RFC 9112.
//!
//! Takes bytes as the test wrote them, gives [`Response`]s. An answer that no strict client would accept
//! (two lengths, a length besides a transfer coding, a lone LF) fails the test. Must never retry or follow.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};
use socket2::{Domain, Socket, Type};

use crate::PATIENCE;
use crate::wire::{self, Headers, Trouble, Wire};

/// An interim answer (1xx) that came before the final one.
#[derive(Debug, Clone)]
pub struct Interim {
    /// Its status code.
    pub status: u16,
    /// Its fields.
    pub headers: Headers,
}

/// An answer, read to its end unless it came from [`Raw::read_head`].
#[derive(Debug, Clone)]
pub struct Response {
    /// The protocol version as written, e.g. `HTTP/1.1`.
    pub version: String,
    /// The status code.
    pub status: u16,
    /// The fields in the order of the wire.
    pub headers: Headers,
    /// The body without its framing.
    pub body: Vec<u8>,
    /// The trailer section of a chunked body.
    pub trailers: Headers,
    /// What came before the final head.
    pub interim: Vec<Interim>,
}

impl Response {
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

    /// The body as JSON; fails the test when it is not.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        match serde_json::from_slice(&self.body) {
            Ok(value) => value,
            Err(error) => panic!("the body is not JSON ({error}): {} {:?}", self.status, self.text()),
        }
    }

    /// Whether the answer says that the connection ends after it.
    pub fn says_close(&self) -> bool {
        self.headers_named("connection")
            .iter()
            .any(|value| value.split(',').any(|token| token.trim().eq_ignore_ascii_case("close")))
    }
}

/// How the body of an answer ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    None,
    Length(usize),
    Chunked,
    Close,
}

/// A connection to the gateway (or to anything) under the test's control, byte by byte.
pub struct Raw {
    wire: Wire,
    authority: String,
}

impl Raw {
    /// Connects, or fails the test.
    #[track_caller]
    pub fn connect(addr: SocketAddr) -> Raw {
        match TcpStream::connect_timeout(&addr, PATIENCE) {
            Ok(stream) => Raw { wire: Wire::new(stream), authority: addr.to_string() },
            Err(error) => panic!("cannot connect to {addr}: {error}"),
        }
    }

    /// Connects and shakes hands as a client of `name`, or fails the test.
    #[track_caller]
    pub fn connect_tls(addr: SocketAddr, config: &Arc<ClientConfig>, name: &str) -> Raw {
        match Raw::try_connect_tls(addr, config, name) {
            Ok(raw) => raw,
            Err(error) => panic!("no TLS connection to {addr} as {name}: {error}"),
        }
    }

    /// The same, or why there is no TLS connection. In TLS 1.3 a server that refuses the client's certificate says so
    /// only to the first read.
    pub fn try_connect_tls(addr: SocketAddr, config: &Arc<ClientConfig>, name: &str) -> io::Result<Raw> {
        let stream = TcpStream::connect_timeout(&addr, PATIENCE)?;
        let mut wire = Wire::new(stream);
        let server = ServerName::try_from(name.to_owned()).unwrap();
        wire.secure(ClientConnection::new(Arc::clone(config), server).unwrap())?;
        Ok(Raw { wire, authority: name.to_owned() })
    }

    /// Connects from this address of the machine, or fails the test.
    #[track_caller]
    pub fn connect_from(from: IpAddr, addr: SocketAddr) -> Raw {
        let connected = Socket::new(Domain::for_address(addr), Type::STREAM, None).and_then(|socket| {
            socket.bind(&SocketAddr::new(from, 0).into())?;
            socket.connect_timeout(&addr.into(), PATIENCE)?;
            Ok(TcpStream::from(socket))
        });
        match connected {
            Ok(stream) => Raw { wire: Wire::new(stream), authority: addr.to_string() },
            Err(error) => panic!("cannot connect from {from} to {addr}: {error}"),
        }
    }

    /// The client's own address.
    pub fn local_addr(&self) -> SocketAddr {
        self.wire.stream().local_addr().unwrap()
    }

    /// The connection underneath.
    pub fn wire(&mut self) -> &mut Wire {
        &mut self.wire
    }

    /// Sends bytes as they are. A peer that has already closed is no failure here: what is read next tells.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Raw {
        let _ = self.wire.write(bytes.as_ref());
        self
    }

    /// Sends bytes as they are and says whether the peer took them.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.wire.write(bytes.as_ref()).is_ok()
    }

    /// Sends bytes in pieces of `size`, each in a segment of its own.
    pub fn send_slowly(&mut self, bytes: impl AsRef<[u8]>, size: usize) -> &mut Raw {
        for piece in bytes.as_ref().chunks(size.max(1)) {
            self.send(piece);
            std::thread::yield_now();
        }
        self
    }

    /// Sends a well-formed request (see [`super::format_request`]).
    pub fn request(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> &mut Raw {
        let bytes = super::format_request(&self.authority, method, path, headers, body);
        self.send(bytes)
    }

    /// Sends a GET.
    pub fn get(&mut self, path: &str) -> &mut Raw {
        self.request("GET", path, &[], b"")
    }

    /// The next final answer with its body, as the answer to a GET or POST.
    #[track_caller]
    pub fn read_response(&mut self) -> Response {
        self.read_response_to("GET")
    }

    /// The next final answer with its body, as the answer to `method` (`HEAD` has none).
    #[track_caller]
    pub fn read_response_to(&mut self, method: &str) -> Response {
        wire::wanted("whole answer", self.try_read_response_to(method))
    }

    /// The next final answer with its body, or why there is none.
    pub fn try_read_response(&mut self) -> Result<Response, Trouble> {
        self.try_read_response_to("GET")
    }

    fn try_read_response_to(&mut self, method: &str) -> Result<Response, Trouble> {
        let mut response = self.try_read_head()?;
        match ending(&response, method)? {
            Ending::None => {}
            Ending::Length(length) => response.body = self.wire.exact(length)?,
            Ending::Chunked => (response.body, response.trailers) = self.wire.chunked()?,
            Ending::Close => response.body = self.wire.to_end()?,
        }
        Ok(response)
    }

    /// The next final head alone; the body is left on the wire for [`Raw::read_chunk`] or [`Raw::read_exact`].
    #[track_caller]
    pub fn read_head(&mut self) -> Response {
        wire::wanted("head of an answer", self.try_read_head())
    }

    /// The next head, interim or final, and nothing after it.
    #[track_caller]
    pub fn read_interim(&mut self) -> Interim {
        let head = wire::wanted("interim answer", self.one_head());
        assert!((100..200).contains(&head.status), "expected an interim answer, got {}", head.status);
        Interim { status: head.status, headers: head.headers }
    }

    fn try_read_head(&mut self) -> Result<Response, Trouble> {
        let mut interim = Vec::new();
        loop {
            let mut head = self.one_head()?;
            if head.status >= 200 || head.status == 101 {
                head.interim = interim;
                return Ok(head);
            }
            interim.push(Interim { status: head.status, headers: head.headers });
        }
    }

    fn one_head(&mut self) -> Result<Response, Trouble> {
        let line = self.wire.line()?;
        let text = String::from_utf8_lossy(&line).into_owned();
        let mut parts = text.splitn(3, ' ');
        let (version, status) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let number = status.parse().unwrap_or(0);
        if version != "HTTP/1.1"
            || status.len() != 3
            || !(100..600).contains(&number)
            || parts.next().is_none()
        {
            return Err(Trouble::Malformed(format!("status line {text:?}")));
        }
        let headers = self.wire.fields()?;
        Ok(Response {
            version: version.to_owned(),
            status: number,
            headers,
            body: Vec::new(),
            trailers: Headers::new(),
            interim: Vec::new(),
        })
    }

    /// The next chunk of a chunked body, as text; `None` after the last one (its trailers are read too).
    #[track_caller]
    pub fn read_chunk(&mut self) -> Option<String> {
        let chunk = wire::wanted("chunk", self.wire.chunk());
        if chunk.is_empty() {
            wire::wanted("end of the trailers", self.wire.fields());
            return None;
        }
        Some(String::from_utf8_lossy(&chunk).into_owned())
    }

    /// Exactly `count` bytes.
    #[track_caller]
    pub fn read_exact(&mut self, count: usize) -> Vec<u8> {
        wire::wanted("such number of bytes", self.wire.exact(count))
    }

    /// Everything up to the end of the stream; a reset ends it too.
    #[track_caller]
    pub fn read_to_end(&mut self) -> Vec<u8> {
        match self.wire.to_end() {
            Ok(bytes) => bytes,
            Err(Trouble::Reset) => self.wire.pending().to_vec(),
            Err(trouble) => panic!("the stream does not end: {trouble}"),
        }
    }

    /// Fails the test unless the peer closes now without another byte.
    #[track_caller]
    pub fn expect_closed(&mut self) {
        let rest = self.read_to_end();
        assert!(rest.is_empty(), "bytes after the last answer: {:?}", String::from_utf8_lossy(&rest));
    }

    /// Whether nothing at all comes within `time`: the connection is open and silent.
    pub fn is_silent_for(&mut self, time: Duration) -> bool {
        self.wire.set_read_timeout(Some(time));
        let silent = self.wire.pending().is_empty() && matches!(self.wire.fill(), Err(Trouble::TimedOut(_)));
        self.wire.set_read_timeout(Some(PATIENCE));
        silent
    }

    /// Ends the sending direction, keeps receiving.
    pub fn half_close(&mut self) -> &mut Raw {
        self.wire.half_close();
        self
    }

    /// Ends the connection with a reset.
    pub fn reset(self) {
        self.wire.reset();
    }
}

/// RFC 9112 section 6.3 with nothing forgiven.
fn ending(response: &Response, method: &str) -> Result<Ending, Trouble> {
    let codings = response.headers_named("transfer-encoding");
    let lengths = response.headers_named("content-length");
    if codings.len() > 1 || lengths.len() > 1 || (!codings.is_empty() && !lengths.is_empty()) {
        return Err(Trouble::Malformed(format!("two framings in one answer: {:?}", response.headers)));
    }
    let bodyless = response.status < 200 || response.status == 204;
    if bodyless && !(codings.is_empty() && lengths.is_empty()) {
        return Err(Trouble::Malformed(format!("a framing field in a {}", response.status)));
    }
    if bodyless || response.status == 304 || method == "HEAD" {
        return Ok(Ending::None);
    }
    if let Some(coding) = codings.first() {
        return match *coding {
            "chunked" => Ok(Ending::Chunked),
            other => Err(Trouble::Malformed(format!("transfer coding {other:?}"))),
        };
    }
    match lengths.first() {
        None => Ok(Ending::Close),
        Some(text) if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) => {
            text.parse().map(Ending::Length).map_err(|_| Trouble::Malformed(format!("length {text:?}")))
        }
        Some(text) => Err(Trouble::Malformed(format!("length {text:?}"))),
    }
}
