//! The client's side, sending: heads, bodies and trailers of answers, over HTTP/1.1 or one stream of HTTP/2.
//!
//! Collects a head and what follows it at once into one write; sends at the latest when the exchange waits for
//! more. Decides nothing: framing comes with the head.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use h2::Reason;
use http1::{CHUNK_END, Fields, Framing, Method, ResponseHead, Version};

use super::buffer::{give_out, take_out};
use super::http2::outflow::Outflow;
use super::socket::Socket;

/// Pieces up to this size are copied behind what waits already, larger ones are written from where they stand.
const COPIED: usize = 8 * 1024;

/// How the body that is being sent ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// There is no body (HEAD, 204, 304).
    NoBody,
    /// After so many bytes, or with the connection.
    Counted,
    /// With the last chunk.
    LastChunk,
}

/// Where answers go.
enum Sink {
    /// A connection of HTTP/1.1.
    Connection(Rc<Socket>),
    /// A stream of HTTP/2.
    Stream(Rc<Outflow>),
}

/// The sending half.
pub struct Responder {
    sink: Sink,
    out: Vec<u8>,
    stall: Duration,
    version: Version,
    method: Method,
    ending: Ending,
    /// Whether the connection may take another request after this answer.
    pub keep_alive: bool,
    /// Whether the final head was put out; after that a fault can only cut the answer.
    pub head_sent: bool,
    /// Whether the connection ends in a reset.
    pub is_cut: bool,
    /// Body bytes put out so far.
    pub sent: u64,
}

impl Responder {
    /// A responder for a new connection.
    pub fn new(socket: Rc<Socket>) -> Responder {
        Responder::of(Sink::Connection(socket))
    }

    /// A responder for one stream.
    pub fn of_stream(outflow: Rc<Outflow>) -> Responder {
        Responder::of(Sink::Stream(outflow))
    }

    fn of(sink: Sink) -> Responder {
        Responder {
            sink,
            out: Vec::new(),
            stall: Duration::from_secs(30),
            version: Version::Http11,
            method: Method::Get,
            ending: Ending::NoBody,
            keep_alive: true,
            head_sent: false,
            is_cut: false,
            sent: 0,
        }
    }

    /// The next answer is for a request of this method and version; `keep_alive` as the client and the
    /// connection's limits allow.
    pub fn begin(&mut self, method: Method, version: Version, keep_alive: bool, stall: Duration) {
        (self.method, self.version, self.keep_alive, self.stall) = (method, version, keep_alive, stall);
        (self.ending, self.head_sent, self.sent) = (Ending::NoBody, false, 0);
        if self.out.capacity() == 0 {
            self.out = take_out();
        }
    }

    /// Puts out an interim head (1xx); an HTTP/1.0 client gets none (RFC 9110 section 15.2).
    pub async fn interim(&mut self, head: &ResponseHead) -> io::Result<()> {
        if self.version == Version::Http10 || self.head_sent {
            return Ok(());
        }
        if let Sink::Stream(outflow) = &self.sink {
            return outflow.interim(head);
        }
        http1::encode_response(&mut self.out, head, self.version, true);
        self.flush().await
    }

    /// Puts the head behind what waits to be sent. A body of unknown length is chunked for HTTP/1.1 and lasts
    /// until the close for HTTP/1.0.
    pub fn head(&mut self, head: &mut ResponseHead) {
        if matches!(head.framing, Framing::Chunked | Framing::UntilClose) {
            head.framing =
                if self.version == Version::Http10 { Framing::UntilClose } else { Framing::Chunked };
        }
        if head.framing == Framing::None && head.version == Version::Http2 && self.wants_length(head.status) {
            head.framing = Framing::Length(0);
        }
        self.keep_alive &= head.framing != Framing::UntilClose;
        self.ending = match head.framing {
            _ if self.method == Method::Head => Ending::NoBody,
            Framing::None => Ending::NoBody,
            Framing::Chunked => Ending::LastChunk,
            Framing::Length(_) | Framing::UntilClose => Ending::Counted,
        };
        match &self.sink {
            Sink::Connection(_) => {
                http1::encode_response(&mut self.out, head, self.version, self.keep_alive);
            }
            Sink::Stream(outflow) => {
                if head.framing == Framing::Length(0) {
                    self.ending = Ending::NoBody;
                }
                outflow.head(head, self.ending == Ending::NoBody);
            }
        }
        self.head_sent = true;
    }

    /// Whether a client of HTTP/1.1 has to be told that no body follows: a stream ends with its head, a connection does
    /// not.
    fn wants_length(&self, status: u16) -> bool {
        matches!(self.sink, Sink::Connection(_))
            && self.method != Method::Head
            && !matches!(status, 100..200 | 204 | 304)
    }

    /// Puts out a piece of the body.
    pub async fn data(&mut self, data: &[u8]) -> io::Result<()> {
        if self.ending == Ending::NoBody || data.is_empty() {
            return Ok(());
        }
        self.sent = self.sent.saturating_add(data.len() as u64);
        let chunked = self.ending == Ending::LastChunk && matches!(self.sink, Sink::Connection(_));
        if chunked {
            http1::encode_chunk_line(&mut self.out, data.len());
        }
        let end = if chunked { CHUNK_END } else { b"" };
        if data.len() <= COPIED {
            self.out.extend_from_slice(data);
            self.out.extend_from_slice(end);
            if self.out.len() > COPIED.saturating_mul(2) { self.flush().await } else { Ok(()) }
        } else {
            let written = match &self.sink {
                Sink::Connection(socket) => socket.write_all([&self.out, data, end], self.stall).await,
                Sink::Stream(outflow) => match outflow.send(&self.out, self.stall).await {
                    Ok(()) => outflow.send(data, self.stall).await,
                    failed => failed,
                },
            };
            self.out.clear();
            written
        }
    }

    /// Ends the body; a client of HTTP/1.1 gets the trailers of a chunked one, one of HTTP/2 all.
    pub fn end(&mut self, trailers: &Fields) {
        match &self.sink {
            Sink::Connection(_) if self.ending == Ending::LastChunk => {
                http1::encode_last_chunk(&mut self.out, trailers);
            }
            Sink::Stream(outflow) if self.ending != Ending::NoBody => outflow.end(trailers),
            _ => {}
        }
        self.ending = Ending::NoBody;
    }

    /// Sends what waits.
    pub async fn flush(&mut self) -> io::Result<()> {
        let written = match &self.sink {
            Sink::Connection(_) if self.out.is_empty() => return Ok(()),
            Sink::Connection(socket) => socket.write_all([&self.out], self.stall).await,
            Sink::Stream(outflow) => outflow.send(&self.out, self.stall).await,
        };
        self.out.clear();
        written
    }

    /// Gives the allocation back while the connection rests.
    pub fn release(&mut self) {
        if self.out.is_empty() {
            give_out(std::mem::take(&mut self.out));
        }
    }

    /// Lets the connection, or the stream, end in a reset, because what was sent of the answer must not pass for all of it.
    pub fn cut(&mut self) {
        self.out.clear();
        (self.keep_alive, self.is_cut) = (false, true);
        match &self.sink {
            Sink::Connection(socket) => socket.reset_on_close(),
            Sink::Stream(outflow) => outflow.reset(Reason::INTERNAL_ERROR),
        }
    }
}
