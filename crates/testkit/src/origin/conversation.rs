//! One connection of an origin: requests in, answers out, one after the other.
//!
//! Takes what the behaviour of the origin decides, gives it to the wire; every request is recorded before it
//! is answered. Bytes that come before the answer to a request without body are odd: a gateway does not
//! pipeline. Must never read beyond the request at hand.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::reply::Reply;
use super::request::{self, Framing, Recorded};
use super::{Origin, Shared};
use crate::wire::{Headers, Trouble, Wire};

/// What becomes of the connection after an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// The next request is read.
    KeepAlive,
    /// The connection is closed.
    Close,
    /// The connection is reset.
    Reset,
}

/// A connection in the middle of one request.
pub struct Conversation {
    wire: Wire,
    shared: Arc<Shared>,
    request: Recorded,
    framing: Framing,
    continued: bool,
    chunks_ended: bool,
    recorded: bool,
    trouble: Option<Trouble>,
}

/// Serves a connection to its end; gives back what was odd at the last.
pub(crate) fn serve(wire: Wire, shared: &Arc<Shared>, connection: usize) -> Option<String> {
    wire.set_read_timeout(shared.idle);
    let mut conversation = Conversation {
        wire,
        shared: Arc::clone(shared),
        request: Recorded::default(),
        framing: Framing::None,
        continued: false,
        chunks_ended: false,
        recorded: false,
        trouble: None,
    };
    for number in 1.. {
        let trouble = match conversation.one(connection, number) {
            Ok(After::KeepAlive) if shared.close_after != Some(number) => continue,
            Ok(After::KeepAlive | After::Close) => return None,
            Ok(After::Reset) => {
                conversation.wire.reset();
                return None;
            }
            Err(trouble) => trouble,
        };
        return match trouble {
            Trouble::Closed | Trouble::Reset => None,
            Trouble::TimedOut(seen) if seen.is_empty() => None,
            trouble => {
                let _ = conversation.wire.write(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
                Some(format!("connection {connection}, request {number}: {trouble}"))
            }
        };
    }
    None
}

impl Conversation {
    fn one(&mut self, connection: usize, number: usize) -> Result<After, Trouble> {
        let (request, framing) = request::read_head(&mut self.wire)?;
        self.shared.set_busy(connection, true);
        let seq = self.shared.sequence.fetch_add(1, Ordering::SeqCst) + 1;
        self.request = Recorded { seq, connection, number, ..request };
        (self.framing, self.continued, self.chunks_ended, self.recorded) = (framing, false, false, false);
        for odd in &self.request.odd {
            self.shared.flag(connection, odd.clone());
        }
        let shared = Arc::clone(&self.shared);
        let after = (shared.behaviour)(&self.request.clone(), self);
        self.record();
        self.shared.set_busy(connection, false);
        match self.trouble.take() {
            // A client that goes away in the middle takes its request along: the record says so.
            Some(Trouble::Truncated(_) | Trouble::Reset) => Ok(After::Close),
            Some(trouble) => Err(trouble),
            None => Ok(after),
        }
    }

    /// Puts the request on record as far as it was read; once only.
    pub fn record(&mut self) {
        if !self.recorded {
            self.recorded = true;
            self.shared.requests.push(self.request.clone());
        }
    }

    /// Reads the whole body and puts the request on record; `None` when the body does not come to its end.
    pub fn read_request(&mut self) -> Option<Recorded> {
        while let Some(piece) = self.read_piece() {
            self.request.body.extend_from_slice(&piece);
        }
        if self.trouble.is_some() {
            return None;
        }
        if !self.wire.pending().is_empty() {
            let text = String::from_utf8_lossy(self.wire.pending()).into_owned();
            self.shared.flag(self.request.connection, format!("bytes before the answer: {text:?}"));
        }
        self.request.whole = true;
        self.record();
        Some(self.request.clone())
    }

    /// The next piece of the body as it comes (a chunk when it is chunked); `None` at its end or in trouble.
    pub fn read_piece(&mut self) -> Option<Vec<u8>> {
        if self.request.expects_continue() && !self.continued {
            self.continued = true;
            self.write(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
        let piece = match self.framing {
            Framing::None | Framing::Length(0) => return None,
            Framing::Length(left) => {
                let piece = self.wire.some(left);
                self.framing = Framing::Length(left - piece.as_ref().map_or(0, Vec::len));
                piece
            }
            Framing::Chunked if self.chunks_ended => return None,
            Framing::Chunked => self.wire.chunk().and_then(|chunk| {
                if chunk.is_empty() {
                    self.chunks_ended = true;
                    self.request.trailers = self.wire.fields()?;
                }
                Ok(chunk)
            }),
        };
        match piece {
            Ok(piece) if piece.is_empty() => None,
            Ok(piece) => Some(piece),
            Err(trouble) => {
                self.trouble = Some(match trouble {
                    Trouble::Closed => Trouble::Truncated("the body".into()),
                    other => other,
                });
                self.framing = Framing::None;
                None
            }
        }
    }

    /// Writes bytes as they are; whether the peer took them.
    pub fn write(&mut self, bytes: &[u8]) -> bool {
        self.wire.write(bytes).is_ok()
    }

    /// Writes a head: status line, `X-Req-Seq` and the given fields.
    pub fn write_head(&mut self, status: u16, headers: &[(&str, &str)]) -> bool {
        let headers: Headers = headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        let seq = self.request.seq;
        self.write(&super::reply::head(status, &headers, Some(seq)))
    }

    /// Writes a chunk.
    pub fn write_chunk(&mut self, chunk: &[u8]) -> bool {
        self.write(&super::reply::chunk(chunk))
    }

    /// Waits until the peer closes; what it had sent until then.
    pub fn wait_for_close(&mut self) -> Vec<u8> {
        self.wire.set_read_timeout(None);
        self.wire.to_end().unwrap_or_default()
    }

    /// The connection underneath.
    pub fn wire(&mut self) -> &mut Wire {
        &mut self.wire
    }

    /// Gives a reply to a whole request.
    pub fn answer(&mut self, request: &Recorded, reply: Reply) -> After {
        reply.send(request, self)
    }

    /// The raw bytes received on this connection so far.
    pub fn received(&self) -> Vec<u8> {
        self.wire.record().lock().unwrap().clone()
    }
}

impl Origin {
    /// An origin that accepts connections and requests and never answers.
    pub fn hanging() -> Origin {
        Origin::answering(|_| Reply::hang())
    }
}
