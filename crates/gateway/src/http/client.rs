//! The client's side, receiving: heads and bodies of requests, within their limits and deadlines.
//!
//! One connection of HTTP/1.1 or one stream of HTTP/2: the road does not see which.
//! Gives one request after the other, in order. Never reads ahead of the exchange by more than one buffer.

mod shaped;

use std::cell::Cell;
use std::future::poll_fn;
use std::io::ErrorKind;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use http1::{Fields, Framing, HeadLimits, RequestHead, RequestParser};

use super::buffer::{Buffer, SIZE, Span};
use super::http2::Asked;
use super::http2::inflow::Inflow;
use super::http2::outflow::Outflow;
use super::incoming::{Broken, Incoming, Piece};
use super::kept::Kept;
use super::reshaped::Reshaped;
use super::responder::Responder;
use super::socket::Socket;
use super::timer::Timer;
use crate::fault::Fault;

/// Limits of what a client may send and how slowly. The defaults are those of the configuration.
#[derive(Clone, Debug)]
pub struct ClientLimits {
    /// Time for the handshake of TLS.
    pub handshake: Duration,
    /// Sizes of heads.
    pub head: HeadLimits,
    /// From the first byte of a head to its last.
    pub head_timeout: Duration,
    /// Rest between two exchanges.
    pub keep_alive: Duration,
    /// Silence inside a body; also the window in which the least rate is measured.
    pub body_idle: Duration,
    /// Least bytes of body in a second, over [`ClientLimits::body_idle`].
    pub min_body_rate: u64,
    /// Time in which a client takes less than 16 KiB of an answer.
    pub write_stall: Duration,
    /// Exchanges on one connection.
    pub max_requests: u32,
    /// Age of a connection.
    pub max_age: Duration,
    /// Whether a `%2F` in a path is refused.
    pub reject_encoded_slash: bool,
}

/// How long an answer may rest when the client has closed its sending side. A client that is gone and one that only
/// said "no more requests" look alike; the second gets its answer if that never rests longer than this.
const HALF_CLOSED_GRACE: Duration = Duration::from_millis(500);

/// A client's connection: both halves, and what bounds them.
pub struct ClientConnection {
    /// Receives requests.
    pub reader: ClientReader,
    /// Sends answers.
    pub responder: Responder,
    /// What bounds them.
    pub limits: Arc<ClientLimits>,
    /// Deadline of a whole exchange.
    pub total: Timer,
}

impl ClientConnection {
    /// A connection of HTTP/1.1, of which `early` was read already.
    pub fn new(socket: Rc<Socket>, early: Buffer, limits: Arc<ClientLimits>) -> ClientConnection {
        let total = socket.read_timer.timers().timer();
        let mut incoming = Incoming::new(socket.clone());
        incoming.input = early;
        let source = Source::Connection(incoming, RequestParser::new());
        ClientConnection {
            reader: ClientReader::of(source),
            responder: Responder::new(socket),
            limits,
            total,
        }
    }

    /// One stream of HTTP/2, which carries one exchange.
    pub fn of_stream(
        asked: Asked,
        outflow: Rc<Outflow>,
        limits: Arc<ClientLimits>,
        total: Timer,
    ) -> ClientConnection {
        let source = Source::Stream(Box::new(asked), outflow.clone());
        let responder = Responder::of_stream(outflow);
        ClientConnection { reader: ClientReader::of(source), responder, limits, total }
    }

    /// The client of a request that the gateway makes for itself: it sends nothing, waits for nothing and takes all.
    pub fn of_nobody(limits: Arc<ClientLimits>, total: Timer) -> ClientConnection {
        let reader = ClientReader::of(Source::Nobody(Fields::default()));
        ClientConnection { reader, responder: Responder::of_nobody(), limits, total }
    }

    /// The client of a request that the gateway makes for itself with this body, to know the answer up to so many bytes.
    pub fn into_memory(
        body: Vec<u8>,
        most: usize,
        limits: Arc<ClientLimits>,
        total: Timer,
    ) -> ClientConnection {
        let mut reader = ClientReader::of(Source::Nobody(Fields::default()));
        reader.kept = (!body.is_empty()).then(|| Box::new(Kept::of(body)));
        ClientConnection { reader, responder: Responder::into_memory(most), limits, total }
    }

    /// The client of a copy that the gateway sends: it has sent this body, and takes all.
    pub fn of_copy(limits: Arc<ClientLimits>, total: Timer, body: Vec<u8>) -> ClientConnection {
        let mut client = ClientConnection::of_nobody(limits, total);
        client.reader.kept = Some(Box::new(Kept::of(body)));
        client
    }
}

/// The receiving half.
pub struct ClientReader {
    source: Source,
    /// Most bytes of body the exchange takes.
    pub body_limit: u64,
    window: Option<(Instant, u64)>,
    /// What is kept of the body to be sent again.
    kept: Option<Box<Kept>>,
    /// What becomes of the body, where it is made another one.
    reshaped: Option<Box<Reshaped>>,
}

/// Where requests come from.
#[expect(clippy::large_enum_variant, reason = "a box would cost every connection of HTTP/1.1 an allocation")]
enum Source {
    /// A connection of HTTP/1.1: bytes and body, and the parser of heads.
    Connection(Incoming, RequestParser),
    /// A stream of HTTP/2, and its other half, which learns when the client gives up.
    Stream(Box<Asked>, Rc<Outflow>),
    /// Nowhere: the gateway asks for itself. The trailers that never come.
    Nobody(Fields),
}

impl ClientReader {
    fn of(source: Source) -> ClientReader {
        ClientReader { source, body_limit: u64::MAX, window: None, kept: None, reshaped: None }
    }

    /// The connection's bytes; `None` on a stream.
    pub fn connection(&mut self) -> Option<&mut Incoming> {
        match &mut self.source {
            Source::Connection(incoming, _) => Some(incoming),
            Source::Stream(..) | Source::Nobody(_) => None,
        }
    }

    /// Both halves of a stream; `None` where there is none.
    pub fn stream(&mut self) -> Option<(&mut Inflow, &Outflow)> {
        match &mut self.source {
            Source::Connection(..) | Source::Nobody(_) => None,
            Source::Stream(asked, outflow) => Some((&mut asked.inflow, outflow)),
        }
    }

    /// Body bytes given so far.
    pub fn received(&self) -> u64 {
        match &self.source {
            Source::Connection(incoming, _) => incoming.received,
            Source::Stream(asked, _) => asked.inflow.received,
            Source::Nobody(_) => 0,
        }
    }

    /// Whether the body is whole.
    pub fn is_done(&self) -> bool {
        match &self.source {
            Source::Connection(incoming, _) => incoming.is_done(),
            Source::Stream(asked, _) => asked.inflow.is_done(),
            Source::Nobody(_) => true,
        }
    }

    /// Whether everything that came has been read.
    pub fn is_empty(&self) -> bool {
        self.is_done()
            && match &self.source {
                Source::Connection(incoming, _) => incoming.input.is_empty(),
                Source::Stream(..) | Source::Nobody(_) => true,
            }
    }

    /// Bytes of body still to come, where that was said.
    pub fn remaining(&self) -> Option<u64> {
        match &self.source {
            Source::Connection(incoming, _) => incoming.remaining(),
            Source::Stream(asked, _) => asked.inflow.remaining(),
            Source::Nobody(_) => Some(0),
        }
    }

    /// The bytes of a piece, until more is received.
    pub fn data(&self, span: Span) -> &[u8] {
        if let Some(data) = self.kept.as_ref().and_then(|kept| kept.data(span)) {
            return data;
        }
        if let Some(given) = self.reshaped.as_ref().and_then(|reshaped| reshaped.given()) {
            return span.of_bytes(given);
        }
        self.own_data(span)
    }

    /// The bytes of a piece as the client sent it.
    fn own_data(&self, span: Span) -> &[u8] {
        match &self.source {
            Source::Connection(incoming, _) => incoming.data(span),
            Source::Stream(asked, _) => asked.inflow.data(span),
            Source::Nobody(_) => b"",
        }
    }

    /// The trailers that came behind the body, to clean them.
    pub fn trailers_mut(&mut self) -> &mut Fields {
        match &mut self.source {
            Source::Connection(incoming, _) => incoming.trailers_mut(),
            Source::Stream(asked, _) => asked.inflow.trailers_mut(),
            Source::Nobody(trailers) => trailers,
        }
    }

    /// Waits until there is something of a next request; false when the client closed or rested too long.
    /// `closing_time` says, once the gateway drains, how long this connection may still rest.
    pub async fn wait(&mut self, rest: Duration, closing_time: impl Fn() -> Option<Duration>) -> bool {
        let Source::Connection(incoming, _) = &mut self.source else { return true };
        if !incoming.input.is_empty() {
            return true;
        }
        incoming.input.release();
        let socket = &incoming.socket;
        socket.read_timer.arm(rest);
        let mut closing = false;
        poll_fn(|cx| {
            if !closing && let Some(time) = closing_time() {
                closing = true;
                socket.read_timer.arm(time);
            }
            socket.poll_readable(cx)
        })
        .await
        .is_ok()
    }

    /// Reads the next head. `Ok(false)` when the client closed before its first byte.
    pub async fn head(&mut self, limits: &ClientLimits, head: &mut RequestHead) -> Result<bool, Fault> {
        let (incoming, parser) = match &mut self.source {
            Source::Connection(incoming, parser) => (incoming, parser),
            Source::Stream(asked, _) => {
                asked.take(&limits.head, head).map_err(Fault::Head)?;
                if head.framing == Framing::Length(0) && !asked.inflow.is_done() {
                    // A service would hold the request for whole with its head, whatever follows.
                    asked.inflow.begin(head.framing);
                    Box::pin(self.receive(limits)).await?;
                }
                return Ok(true);
            }
            Source::Nobody(_) => return Ok(false),
        };
        parser.reset();
        incoming.received = 0;
        incoming.socket.read_timer.arm(limits.head_timeout);
        let most = limits.head.head.saturating_add(limits.head.start_line).max(SIZE);
        // The connection was readable a moment ago; an error comes again below.
        let input = &mut incoming.input;
        if input.is_empty() && incoming.socket.fill_now(input, most).is_ok_and(|count| count == Some(0)) {
            return Ok(false);
        }
        loop {
            if !incoming.input.is_empty() {
                let parsed = parser.parse(incoming.input.filled(), &limits.head, head);
                if let Some(length) = parsed.map_err(Fault::Head)? {
                    incoming.input.consume(length);
                    incoming.socket.read_timer.disarm();
                    return Ok(true);
                }
            }
            match incoming.socket.fill(&mut incoming.input, most).await {
                Ok(0) if incoming.input.is_empty() => return Ok(false),
                Ok(0) => return Err(Fault::ClientGone),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::TimedOut => return Err(Fault::HeadTimeout),
                Err(error) if error.kind() == ErrorKind::InvalidData => {
                    return Err(Fault::Head(http1::HeadError::HeadTooLong));
                }
                Err(_) => return Err(Fault::ClientGone),
            }
        }
    }

    /// The request that was read says how its body is framed.
    pub fn begin_body(&mut self, head: &RequestHead, limit: u64) {
        match &mut self.source {
            Source::Connection(incoming, _) => incoming.begin(head.framing),
            Source::Stream(asked, _) => asked.inflow.begin(head.framing),
            Source::Nobody(_) => {}
        }
        self.body_limit = limit;
        (self.window, self.kept, self.reshaped) = (None, None, None);
    }

    /// Reads the whole body ahead, to be looked at and then given again; its trailers are dropped. `None` when it has more
    /// than `most` bytes.
    pub async fn hold(&mut self, limits: &ClientLimits, most: usize) -> Result<Option<&[u8]>, Fault> {
        let whole = self.keep(most);
        loop {
            match self.piece()? {
                Piece::Data(_) if whole.get() => {}
                Piece::Data(_) => return Ok(None),
                Piece::Starved => self.receive(limits).await?,
                Piece::Done => break,
            }
        }
        self.trailers_mut().clear();
        Ok(self.rewind().then(|| self.kept.as_ref().map_or(&[][..], |kept| kept.bytes())))
    }

    /// Keeps what is read of the body from now on, up to so many bytes, to be sent again. What is given back is true as
    /// long as that is all of it. The largest bound that was asked for holds.
    pub fn keep(&mut self, most: usize) -> Rc<Cell<bool>> {
        let kept = self.kept.get_or_insert_with(|| Box::new(Kept::new(most)));
        kept.widen(most);
        kept.whole().clone()
    }

    /// Puts another body in the place of one that was held.
    pub fn replace(&mut self, body: Vec<u8>) {
        (self.kept, self.reshaped) = (Some(Box::new(Kept::of(body))), None);
    }

    /// All of the body, where it has come whole and was kept.
    pub fn kept(&self) -> Option<&[u8]> {
        let kept = self.kept.as_ref().filter(|kept| self.is_done() && kept.whole().get())?;
        Some(kept.bytes())
    }

    /// Lets the body begin anew with what is kept of it. False when that is not all.
    pub fn rewind(&mut self) -> bool {
        match &mut self.kept {
            Some(kept) => kept.rewind(),
            None => self.reshaped.as_ref().map_or(self.received() == 0, |reshaped| reshaped.is_fresh()),
        }
    }

    /// What the buffer holds of the body.
    pub fn piece(&mut self) -> Result<Piece, Fault> {
        if let Some(span) = self.kept.as_mut().and_then(|kept| kept.next_piece()) {
            return Ok(Piece::Data(span));
        }
        let piece = match &self.reshaped {
            None => self.own_piece()?,
            Some(_) => self.reshaped_piece()?,
        };
        if let Piece::Data(span) = piece
            && let Some(mut kept) = self.kept.take()
        {
            kept.keep(self.data(span));
            self.kept = Some(kept);
        }
        Ok(piece)
    }

    /// What the buffer holds of the body as the client sent it.
    fn own_piece(&mut self) -> Result<Piece, Fault> {
        let piece = match &mut self.source {
            Source::Connection(incoming, _) => incoming.piece().map_err(Fault::Body)?,
            Source::Stream(asked, _) => asked.inflow.piece(),
            Source::Nobody(_) => Piece::Done,
        };
        match piece {
            Piece::Data(_) if self.received() > self.body_limit => Err(Fault::BodyTooLarge(self.body_limit)),
            piece => Ok(piece),
        }
    }

    /// Reads what is left of the body, within this time, and throws it away. False when it does not come, or is broken.
    pub async fn drain(&mut self, time: Duration) -> bool {
        match &mut self.source {
            Source::Connection(incoming, _) => {
                incoming.socket.read_timer.arm(time);
                loop {
                    match incoming.piece() {
                        Ok(Piece::Done) => return true,
                        Ok(Piece::Data(_)) => {}
                        Ok(Piece::Starved) => match incoming.fill().await {
                            Ok(count) if count > 0 => {}
                            _ => return false,
                        },
                        Err(_) => return false,
                    }
                }
            }
            // A stream may end with a reset that says nothing bad, but not every client takes it so.
            Source::Stream(asked, _) => {
                asked.inflow.timer.arm(time);
                loop {
                    match asked.inflow.piece() {
                        Piece::Done => return true,
                        Piece::Data(_) => {}
                        Piece::Starved if asked.inflow.fill().await.is_err() => return false,
                        Piece::Starved => {}
                    }
                }
            }
            Source::Nobody(_) => true,
        }
    }

    /// Waits, while the answer is being made, for the client to go away. Requests sent ahead are kept as far as
    /// the buffer holds them.
    pub async fn watch(&mut self) -> Fault {
        let incoming = match &mut self.source {
            Source::Connection(incoming, _) => incoming,
            Source::Stream(_, outflow) => {
                outflow.given_up().await;
                return Fault::ClientGone;
            }
            Source::Nobody(_) => return std::future::pending().await,
        };
        let socket = incoming.socket.clone();
        while incoming.input.len() < SIZE {
            match socket.fill(&mut incoming.input, SIZE).await {
                Ok(0) => {
                    let mut written = None;
                    while written != Some(socket.written.get()) {
                        written = Some(socket.written.get());
                        socket.read_timer.arm(HALF_CLOSED_GRACE);
                        let due = |cx: &mut Context<'_>| socket.read_timer.expired(cx);
                        poll_fn(|cx| if due(cx) { Poll::Ready(()) } else { Poll::Pending }).await;
                    }
                    return Fault::ClientGone;
                }
                Ok(_) => {}
                Err(_) => return Fault::ClientGone,
            }
        }
        std::future::pending().await
    }

    /// Receives more of the body.
    pub async fn receive(&mut self, limits: &ClientLimits) -> Result<(), Fault> {
        let (filled, timer) = match &mut self.source {
            Source::Connection(incoming, _) => {
                incoming.socket.read_timer.arm(limits.body_idle);
                (incoming.fill().await, &incoming.socket.read_timer)
            }
            Source::Stream(asked, _) => {
                asked.inflow.timer.arm(limits.body_idle);
                match asked.inflow.fill().await {
                    // Whole, with an end that came by itself.
                    Ok(0) => return Ok(()),
                    Err(Broken::Rule(error)) => return Err(Fault::Body(error)),
                    filled => (filled, &asked.inflow.timer),
                }
            }
            Source::Nobody(_) => return Ok(()),
        };
        let count = match filled {
            Ok(0) => return Err(Fault::ClientGone),
            Ok(count) => count as u64,
            Err(Broken::Io(ErrorKind::TimedOut)) => return Err(Fault::BodyTimeout),
            Err(_) => return Err(Fault::ClientGone),
        };
        timer.disarm();
        let (since, before) = self.window.unwrap_or_else(|| (Instant::now(), 0));
        let so_far = before.saturating_add(count);
        let elapsed = since.elapsed();
        if elapsed < limits.body_idle {
            self.window = Some((since, so_far));
            return Ok(());
        }
        self.window = None;
        let millis = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        let least = limits.min_body_rate.saturating_mul(millis) / 1000;
        if so_far < least { Err(Fault::BodyTimeout) } else { Ok(()) }
    }
}
