//! The client's side of HTTP/1.1, receiving: heads and bodies of requests, within their limits and deadlines.
//!
//! Gives one request after the other, in order. Never reads ahead of the exchange by more than one buffer.

use std::future::poll_fn;
use std::io::ErrorKind;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use http1::{HeadLimits, RequestHead, RequestParser};

use super::buffer::SIZE;
use super::incoming::{Broken, Incoming, Piece};
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

/// The receiving half.
pub struct ClientReader {
    /// Bytes and body.
    pub incoming: Incoming,
    parser: RequestParser,
    /// Most bytes of body the exchange takes.
    pub body_limit: u64,
    window: Option<(Instant, u64)>,
}

impl ClientReader {
    /// A reader for a new connection.
    pub fn new(socket: Rc<Socket>) -> ClientReader {
        ClientReader {
            incoming: Incoming::new(socket),
            parser: RequestParser::new(),
            body_limit: u64::MAX,
            window: None,
        }
    }

    /// Waits until there is something of a next request; false when the client closed or rested too long.
    /// `closing_time` says, once the gateway drains, how long this connection may still rest.
    pub async fn wait(&mut self, rest: Duration, closing_time: impl Fn() -> Option<Duration>) -> bool {
        if !self.incoming.input.is_empty() {
            return true;
        }
        self.incoming.input.release();
        let socket = &self.incoming.socket;
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
        self.parser.reset();
        self.incoming.received = 0;
        self.incoming.socket.read_timer.arm(limits.head_timeout);
        let most = limits.head.head.saturating_add(limits.head.start_line).max(SIZE);
        // The connection was readable a moment ago; an error comes again below.
        let input = &mut self.incoming.input;
        if input.is_empty() && self.incoming.socket.fill_now(input, most).is_ok_and(|count| count == Some(0))
        {
            return Ok(false);
        }
        loop {
            if !self.incoming.input.is_empty() {
                let parsed = self.parser.parse(self.incoming.input.filled(), &limits.head, head);
                if let Some(length) = parsed.map_err(Fault::Head)? {
                    self.incoming.input.consume(length);
                    self.incoming.socket.read_timer.disarm();
                    return Ok(true);
                }
            }
            match self.incoming.socket.fill(&mut self.incoming.input, most).await {
                Ok(0) if self.incoming.input.is_empty() => return Ok(false),
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
        self.incoming.begin(head.framing);
        self.body_limit = limit;
        self.window = None;
    }

    /// What the buffer holds of the body.
    pub fn piece(&mut self) -> Result<Piece, Fault> {
        match self.incoming.piece().map_err(Fault::Body)? {
            Piece::Data(_) if self.incoming.received > self.body_limit => {
                Err(Fault::BodyTooLarge(self.body_limit))
            }
            piece => Ok(piece),
        }
    }

    /// Waits, while the answer is being made, for the client to go away. Requests sent ahead are kept as far as
    /// the buffer holds them.
    pub async fn watch(&mut self) -> Fault {
        let socket = self.incoming.socket.clone();
        while self.incoming.input.len() < SIZE {
            match socket.fill(&mut self.incoming.input, SIZE).await {
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
        self.incoming.socket.read_timer.arm(limits.body_idle);
        let count = match self.incoming.fill().await {
            Ok(0) => return Err(Fault::ClientGone),
            Ok(count) => count as u64,
            Err(Broken::Io(ErrorKind::TimedOut)) => return Err(Fault::BodyTimeout),
            Err(_) => return Err(Fault::ClientGone),
        };
        self.incoming.socket.read_timer.disarm();
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
