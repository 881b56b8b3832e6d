//! The client's side, sending: heads, bodies and trailers of answers, over HTTP/1.1 or one stream of HTTP/2.
//!
//! Collects a head and what follows it at once into one write; sends at the latest when the exchange waits for
//! more. Decides nothing: framing comes with the head.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use h2::Reason;
use http1::{CHUNK_END, Fields, Framing, Method, ResponseHead, Version, names};

use super::buffer::{give_out, take_out};
use super::http2::outflow::Outflow;
use super::reshaped::Dressing;
use super::socket::Socket;
use crate::exchange::{Coat, Exchange, Tap};

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
    /// Nobody: the gateway asks for itself.
    Nobody,
    /// Memory: the gateway asks for itself, and wants to know.
    Memory(Held),
}

/// A body that is held, up to a bound.
struct Held {
    body: Vec<u8>,
    most: usize,
    /// Whether there was more.
    is_full: bool,
}

impl Held {
    fn take(&mut self, data: &[u8]) -> io::Result<()> {
        self.is_full |= data.len() > self.most.saturating_sub(self.body.len());
        if self.is_full {
            self.body = Vec::new();
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.body.extend_from_slice(data);
        Ok(())
    }

    /// Takes all that waits; what is the beginning is not copied.
    fn take_out(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        if self.body.is_empty() && out.len() <= self.most && !self.is_full {
            std::mem::swap(&mut self.body, out);
            return Ok(());
        }
        self.take(out)
    }
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
    tap: Option<Box<dyn Tap>>,
    witness: Option<Box<dyn Tap>>,
    coat: Option<Box<dyn Coat>>,
    /// Who makes the body another one, and holds the head back until it is known that it can be.
    dressing: Option<Box<Dressing>>,
    /// What the coat has made of a piece.
    coated: Vec<u8>,
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

    /// A responder that nobody listens to.
    pub fn of_nobody() -> Responder {
        Responder::of(Sink::Nobody)
    }

    /// A responder that holds the body, up to so many bytes; more is an error.
    pub fn into_memory(most: usize) -> Responder {
        Responder::of(Sink::Memory(Held { body: Vec::new(), most, is_full: false }))
    }

    /// The body that was held; `None` where there was more than is held.
    pub fn take_held(&mut self) -> Option<Vec<u8>> {
        match &mut self.sink {
            Sink::Memory(held) if !held.is_full => Some(std::mem::take(&mut held.body)),
            _ => None,
        }
    }

    /// Whether there was more of a body than is held.
    pub fn is_full(&self) -> bool {
        matches!(&self.sink, Sink::Memory(held) if held.is_full)
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
            tap: None,
            witness: None,
            coat: None,
            dressing: None,
            coated: Vec::new(),
        }
    }

    /// The next answer is for a request of this method and version; `keep_alive` as the client and the
    /// connection's limits allow.
    pub fn begin(&mut self, method: Method, version: Version, keep_alive: bool, stall: Duration) {
        (self.method, self.version, self.keep_alive, self.stall) = (method, version, keep_alive, stall);
        (self.ending, self.head_sent, self.sent) = (Ending::NoBody, false, 0);
        self.undress();
        if self.out.capacity() == 0 {
            self.out = take_out();
        }
    }

    /// Puts out an interim head (1xx); an HTTP/1.0 client gets none (RFC 9110 section 15.2).
    pub async fn interim(&mut self, head: &ResponseHead) -> io::Result<()> {
        if self.version == Version::Http10 || self.head_sent {
            return Ok(());
        }
        match &self.sink {
            Sink::Connection(_) => {}
            Sink::Stream(outflow) => return outflow.interim(head),
            Sink::Nobody | Sink::Memory(_) => return Ok(()),
        }
        http1::encode_response(&mut self.out, head, self.version, true);
        self.flush().await
    }

    /// Begins to pass on the answer of a service, with whoever takes a copy of its body or codes it.
    pub fn pass_on(&mut self, exchange: &mut Exchange) {
        (self.tap, self.coat) = (exchange.tap.take(), exchange.coat.take());
        self.witness = exchange.witness.take();
        self.dressing = None;
        match exchange.shaping.as_mut().and_then(|shaping| shaping.answer.take()) {
            None => self.put_head(&mut exchange.response),
            Some(plan) => self.dressing = Some(Box::new(Dressing::new(&plan, exchange.response.clone()))),
        }
    }

    /// Nobody looks at the body that goes out, nor changes it.
    fn undress(&mut self) {
        (self.tap, self.coat, self.witness, self.dressing) = (None, None, None, None);
    }

    /// Begins an answer that is made here.
    pub fn head(&mut self, head: &mut ResponseHead) {
        self.undress();
        self.put_head(head);
    }

    /// Puts the head behind what waits to be sent. A body of unknown length is chunked for HTTP/1.1 and lasts
    /// until the close for HTTP/1.0.
    fn put_head(&mut self, head: &mut ResponseHead) {
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
            // An agreement to switch protocols, which over HTTP/2 is a success like others (RFC 8441 section 5).
            Sink::Stream(outflow) if head.status == 101 => {
                head.status = 200;
                head.fields.remove(names::SEC_WEBSOCKET_ACCEPT);
                outflow.head(head, false);
            }
            Sink::Stream(outflow) => {
                if head.framing == Framing::Length(0) {
                    self.ending = Ending::NoBody;
                }
                outflow.head(head, self.ending == Ending::NoBody);
            }
            Sink::Nobody | Sink::Memory(_) => {}
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
        if let Some(witness) = &mut self.witness {
            witness.data(data);
        }
        if let Some(dressing) = &mut self.dressing {
            dressing.take(data)?;
            // On the heap: hardly any answer comes here.
            return Box::pin(self.put_dressed(false)).await;
        }
        self.put_plain(data).await
    }

    /// Puts out what has become of the body, once its head may go.
    async fn put_dressed(&mut self, rests: bool) -> io::Result<()> {
        if let Some(mut head) = self.dressing.as_mut().and_then(|dressing| dressing.head(rests)) {
            self.put_head(&mut head);
        }
        match self.dressing.as_mut().and_then(|dressing| dressing.ready()) {
            Some(ready) => self.put_plain(&ready).await,
            None => Ok(()),
        }
    }

    async fn put_plain(&mut self, data: &[u8]) -> io::Result<()> {
        match &mut self.coat {
            None => self.put(data).await,
            Some(coat) => {
                let mut coated = std::mem::take(&mut self.coated);
                coat.data(data, &mut coated)?;
                self.put_coated(coated).await
            }
        }
    }

    /// Puts out what a coat has made.
    async fn put_coated(&mut self, mut coated: Vec<u8>) -> io::Result<()> {
        let put = self.put(&coated).await;
        coated.clear();
        self.coated = coated;
        put
    }

    async fn put(&mut self, data: &[u8]) -> io::Result<()> {
        if let Some(tap) = &mut self.tap {
            tap.data(data);
        }
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
            if self.out.len() > COPIED.saturating_mul(2) { self.send_out().await } else { Ok(()) }
        } else {
            let written = match &mut self.sink {
                Sink::Connection(socket) => socket.write_all([&self.out, data, end], self.stall).await,
                Sink::Stream(outflow) => match outflow.send(&self.out, self.stall).await {
                    Ok(()) => outflow.send(data, self.stall).await,
                    failed => failed,
                },
                Sink::Nobody => Ok(()),
                Sink::Memory(held) => held.take(&self.out).and_then(|()| held.take(data)),
            };
            self.out.clear();
            written
        }
    }

    /// Ends the body; a client of HTTP/1.1 gets the trailers of a chunked one, one of HTTP/2 all.
    ///
    /// # Errors
    /// The body is not what it was to be made another one from.
    pub fn end(&mut self, trailers: &Fields) -> io::Result<()> {
        self.end_dressing()?;
        if self.coat.is_some() && self.end_coat().is_err() {
            self.cut();
            return Ok(());
        }
        for mut tap in [self.tap.take(), self.witness.take()].into_iter().flatten() {
            tap.end();
        }
        match &self.sink {
            Sink::Connection(_) if self.ending == Ending::LastChunk => {
                http1::encode_last_chunk(&mut self.out, trailers);
            }
            Sink::Stream(outflow) if self.ending != Ending::NoBody => outflow.end(trailers),
            _ => {}
        }
        self.ending = Ending::NoBody;
        Ok(())
    }

    /// Puts the end of a body that was made another one behind what waits. One that is whole by now says its length.
    fn end_dressing(&mut self) -> io::Result<()> {
        let Some(mut dressing) = self.dressing.take() else { return Ok(()) };
        dressing.finish()?;
        let head = dressing.last_head();
        let ready = dressing.ready().unwrap_or_default();
        if let Some(mut head) = head {
            if self.coat.is_none() {
                head.framing = Framing::Length(ready.len() as u64);
            }
            self.put_head(&mut head);
        }
        if self.coat.is_none() {
            self.put_last(&ready);
            return Ok(());
        }
        let mut coated = std::mem::take(&mut self.coated);
        if let Some(coat) = &mut self.coat {
            coat.data(&ready, &mut coated)?;
        }
        self.put_last(&coated);
        Ok(())
    }

    /// Puts the end of a coded body behind what waits.
    fn end_coat(&mut self) -> io::Result<()> {
        let Some(mut coat) = self.coat.take() else { return Ok(()) };
        let mut coated = std::mem::take(&mut self.coated);
        coat.end(&mut coated)?;
        // A large buffer is not kept for a connection that may rest.
        self.put_last(&coated);
        Ok(())
    }

    /// Puts a piece behind what waits; the next flush sends it.
    fn put_last(&mut self, data: &[u8]) {
        if let Some(tap) = &mut self.tap {
            tap.data(data);
        }
        if self.ending != Ending::NoBody && !data.is_empty() {
            self.sent = self.sent.saturating_add(data.len() as u64);
            let chunked = self.ending == Ending::LastChunk && matches!(self.sink, Sink::Connection(_));
            if chunked {
                http1::encode_chunk_line(&mut self.out, data.len());
            }
            self.out.extend_from_slice(data);
            self.out.extend_from_slice(if chunked { CHUNK_END } else { b"" });
        }
    }

    /// Sends what waits.
    pub async fn flush(&mut self) -> io::Result<()> {
        if self.dressing.is_some() {
            Box::pin(self.put_dressed(true)).await?;
            if !self.head_sent {
                return Ok(());
            }
        }
        if let Some(coat) = &mut self.coat {
            let mut coated = std::mem::take(&mut self.coated);
            coat.flush(&mut coated)?;
            self.put_coated(coated).await?;
        }
        self.send_out().await
    }

    async fn send_out(&mut self) -> io::Result<()> {
        let written = match &mut self.sink {
            Sink::Connection(_) if self.out.is_empty() => return Ok(()),
            Sink::Connection(socket) => socket.write_all([&self.out], self.stall).await,
            Sink::Stream(outflow) => outflow.send(&self.out, self.stall).await,
            Sink::Nobody => Ok(()),
            Sink::Memory(held) => held.take_out(&mut self.out),
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
        self.undress();
        match &self.sink {
            Sink::Connection(socket) => socket.reset_on_close(),
            Sink::Stream(outflow) => outflow.reset(Reason::INTERNAL_ERROR),
            Sink::Nobody | Sink::Memory(_) => {}
        }
    }
}
