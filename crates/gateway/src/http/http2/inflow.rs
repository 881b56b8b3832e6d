//! The receiving half of a stream: the pieces of a body, released as they are taken.
//!
//! Takes a stream of `h2`; gives pieces and, behind the last, trailers. The peer may send on only what was released,
//! so that a slow taker slows the sender. Where a length was said, the last piece is given when the stream has ended
//! there: a message of another length is malformed (RFC 9113 section 8.1.1) and must not pass for a whole one.

use std::future::poll_fn;
use std::io::ErrorKind;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::RecvStream;
use http1::{BodyError, BodyLimits, Fields, Framing};

use super::heads;
use crate::http::buffer::Span;
use crate::http::incoming::{Broken, Piece};
use crate::http::timer::Timer;

/// A body on its way in.
pub struct Inflow {
    stream: RecvStream,
    /// Deadline of whoever waits for bytes.
    pub timer: Timer,
    data: Bytes,
    /// The last piece of a body whose length was said: nobody's before the stream has ended there.
    last: Bytes,
    given: bool,
    done: bool,
    /// Whether what comes is not for anybody yet.
    held: bool,
    /// Body bytes given so far.
    pub received: u64,
    declared: Option<u64>,
    trailers: Fields,
}

impl Inflow {
    /// The body that comes on this stream.
    pub fn new(stream: RecvStream, timer: Timer) -> Inflow {
        Inflow {
            // Without a body there may still be trailers, unless the stream has ended.
            done: stream.is_end_stream(),
            stream,
            timer,
            data: Bytes::new(),
            last: Bytes::new(),
            given: false,
            held: false,
            received: 0,
            declared: None,
            trailers: Fields::new(),
        }
    }

    /// The head says how the body is framed.
    pub fn begin(&mut self, framing: Framing) {
        self.declared = if let Framing::Length(length) = framing { Some(length) } else { None };
    }

    /// Nothing of what comes is for anybody before [`Inflow::let_go`]: until then there is no body. The peer can send
    /// no more than its window.
    pub fn hold(&mut self) {
        self.held = true;
    }

    /// What comes is for whoever asks for it now.
    pub fn let_go(&mut self) {
        self.held = false;
    }

    /// Whether the body is whole.
    pub fn is_done(&self) -> bool {
        self.held || self.done && self.data.is_empty()
    }

    /// Bytes still to come, where the head said how many there are.
    pub fn remaining(&self) -> Option<u64> {
        Some(self.declared?.saturating_sub(self.received))
    }

    /// The trailers that came behind the body.
    pub fn trailers_mut(&mut self) -> &mut Fields {
        &mut self.trailers
    }

    /// What has been received and not taken.
    pub fn piece(&mut self) -> Piece {
        if self.held {
            return Piece::Done;
        }
        self.release();
        match (self.data.is_empty(), self.done) {
            (false, _) => {
                self.given = true;
                self.received = self.received.saturating_add(self.data.len() as u64);
                Piece::Data(Span::of(self.data.len()))
            }
            (true, true) => Piece::Done,
            (true, false) => Piece::Starved,
        }
    }

    /// The bytes of the piece given last.
    pub fn data(&self, span: Span) -> &[u8] {
        span.of_bytes(&self.data)
    }

    /// Lets the peer send as much as was taken.
    fn release(&mut self) {
        if std::mem::take(&mut self.given) {
            let count = self.data.len();
            self.data = Bytes::new();
            // Fails only for a stream that is gone, which the next look at it says.
            let _ = self.stream.flow_control().release_capacity(count);
        }
    }

    /// Receives more. 0 when the body is whole.
    pub async fn fill(&mut self) -> Result<usize, Broken> {
        poll_fn(|cx| match self.poll_fill(cx) {
            Poll::Pending if self.timer.expired(cx) => Poll::Ready(Err(Broken::Io(ErrorKind::TimedOut))),
            polled => polled,
        })
        .await
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize, Broken>> {
        self.release();
        loop {
            match ready!(self.stream.poll_data(cx)) {
                Some(Ok(data)) if data.is_empty() => {}
                // More than was said, which `h2` refuses already.
                Some(Ok(_)) if !self.last.is_empty() => {
                    return Poll::Ready(Err(Broken::Io(ErrorKind::InvalidData)));
                }
                // A taker counts too, and would hold a body for whole that goes on.
                Some(Ok(data)) if self.completes(&data) && !self.stream.is_end_stream() => self.last = data,
                Some(Ok(data)) => {
                    let count = data.len();
                    self.data = data;
                    return Poll::Ready(Ok(count));
                }
                Some(Err(error)) => return Poll::Ready(Err(Broken::Io(kind(&error)))),
                None => break,
            }
        }
        match ready!(self.stream.poll_trailers(cx)) {
            Ok(Some(trailers)) => {
                let taken = self.trailers.take_trailers(heads::lines(&trailers), &BodyLimits::default());
                taken.map_err(Broken::Rule)?;
            }
            Ok(None) => {}
            Err(error) => return Poll::Ready(Err(Broken::Io(kind(&error)))),
        }
        self.done = true;
        self.data = std::mem::take(&mut self.last);
        let count = self.data.len();
        if self.remaining().is_some_and(|left| left > count as u64) {
            return Poll::Ready(Err(Broken::Rule(BodyError::Truncated)));
        }
        Poll::Ready(Ok(count))
    }

    /// Whether nothing may follow this piece but the end.
    fn completes(&self, data: &Bytes) -> bool {
        self.remaining().is_some_and(|left| left <= data.len() as u64)
    }
}

fn kind(error: &h2::Error) -> ErrorKind {
    error.get_io().map_or(ErrorKind::ConnectionReset, std::io::Error::kind)
}
