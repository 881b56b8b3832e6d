//! The receiving half of a connection, for both roles: buffered bytes, and the body that is being read from them.
//!
//! Takes bytes from a socket; gives pieces of body without copying them. Never reads beyond what its buffer may
//! hold, so that a slow taker slows the sender.

use std::io;
use std::rc::Rc;

use http1::{BodyDecoder, BodyError, Fields, Framing};

use super::buffer::{Buffer, SIZE, Span};
use super::socket::Socket;

/// Bytes on their way in.
pub struct Incoming {
    /// The connection.
    pub socket: Rc<Socket>,
    /// Received and not yet looked at.
    pub input: Buffer,
    decoder: BodyDecoder,
    /// Body bytes given so far.
    pub received: u64,
}

/// What the buffer holds of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece {
    /// These bytes of the body: see [`Incoming::data`].
    Data(Span),
    /// The body is whole.
    Done,
    /// Nothing until more is received.
    Starved,
}

/// Why a body cannot be read to its end.
#[derive(Debug)]
pub enum Broken {
    /// It breaks a rule of HTTP/1.1, or ended too early.
    Rule(BodyError),
    /// The connection failed, or its deadline passed (`TimedOut`).
    Io(io::ErrorKind),
}

impl Incoming {
    /// Nothing received yet.
    pub fn new(socket: Rc<Socket>) -> Incoming {
        let decoder = BodyDecoder::new(Framing::None);
        Incoming { socket, input: Buffer::default(), decoder, received: 0 }
    }

    /// A body with this framing follows.
    pub fn begin(&mut self, framing: Framing) {
        self.decoder = BodyDecoder::new(framing);
        self.received = 0;
    }

    /// Whether the body is whole.
    pub fn is_done(&self) -> bool {
        self.decoder.is_done()
    }

    /// Bytes still to come, where the framing says so.
    pub fn remaining(&self) -> Option<u64> {
        self.decoder.remaining()
    }

    /// The trailers that came behind the body.
    pub fn trailers(&self) -> &Fields {
        self.decoder.trailers()
    }

    /// The same, to clean them.
    pub fn trailers_mut(&mut self) -> &mut Fields {
        self.decoder.trailers_mut()
    }

    /// What stands in the buffer already.
    pub fn piece(&mut self) -> Result<Piece, BodyError> {
        while !self.decoder.is_done() {
            let decoded = self.decoder.decode(self.input.filled())?;
            if decoded.consumed == 0 {
                return Ok(Piece::Starved);
            }
            self.input.consume(decoded.consumed);
            if !decoded.data.is_empty() {
                self.received = self.received.saturating_add(decoded.data.len() as u64);
                return Ok(Piece::Data(self.input.behind(decoded.consumed, decoded.data)));
            }
        }
        Ok(Piece::Done)
    }

    /// The bytes of a piece, until more is received.
    pub fn data(&self, span: Span) -> &[u8] {
        self.input.at(span)
    }

    /// Receives more. The end of the stream ends a body that lasts until the close and breaks every other.
    pub async fn fill(&mut self) -> Result<usize, Broken> {
        let count =
            self.socket.fill(&mut self.input, SIZE).await.map_err(|error| Broken::Io(error.kind()))?;
        if count == 0 {
            self.decoder.on_eof().map_err(Broken::Rule)?;
        }
        Ok(count)
    }
}
