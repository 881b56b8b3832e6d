//! Reads bodies by the framing their head decided.
//!
//! Takes a [`Framing`] and the bytes after the head, gives the ranges of them that are body, and the trailers.
//! The bytes are never copied. The answer does not depend on how they were split. It must never take a byte
//! that lies behind the end of the message.

use core::ops::Range;

use crate::chunk::{ChunkLimits, ChunkLine};
use crate::error::BodyError;
use crate::fields::Fields;
use crate::head::Framing;
use crate::trailers::Trailers;

/// What the marks of a chunked body may cost, in bytes.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct BodyLimits {
    /// The extensions of all chunks of a body together. Default 16 KiB.
    pub extensions: usize,
    /// How many trailer fields. Default 32.
    pub trailer_fields: usize,
    /// All trailer lines together, with their CRLFs. Default 8 KiB.
    pub trailer_bytes: usize,
    /// One chunk line without its CRLF. Default 4 KiB.
    pub chunk_line: usize,
}

impl Default for BodyLimits {
    fn default() -> BodyLimits {
        BodyLimits { extensions: 16 << 10, trailer_fields: 32, trailer_bytes: 8 << 10, chunk_line: 4 << 10 }
    }
}

/// What one step took.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Decoded {
    /// How many bytes of the input were taken; they must not be given again.
    pub consumed: usize,
    /// Where in the taken bytes the body bytes stand; may be empty.
    pub data: Range<usize>,
}

/// Reads one body.
#[derive(Clone, Debug)]
pub struct BodyDecoder {
    state: State,
    line: ChunkLine,
    trailers: Trailers,
    limits: BodyLimits,
}

#[derive(Copy, Clone, PartialEq, Eq, Debug)]
enum State {
    Done,
    Length(u64),
    UntilClose,
    ChunkLine,
    ChunkData(u64),
    ChunkCr,
    ChunkLf,
    Trailers,
    Failed(BodyError),
}

impl BodyDecoder {
    /// A decoder with the default limits.
    pub fn new(framing: Framing) -> BodyDecoder {
        BodyDecoder::with_limits(framing, BodyLimits::default())
    }

    /// A decoder with own limits.
    pub fn with_limits(framing: Framing, limits: BodyLimits) -> BodyDecoder {
        let state = match framing {
            Framing::None | Framing::Length(0) => State::Done,
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::ChunkLine,
            Framing::UntilClose => State::UntilClose,
        };
        BodyDecoder { state, line: ChunkLine::default(), trailers: Trailers::default(), limits }
    }

    /// Takes a prefix of the input. To be called again with what was not consumed, until nothing is consumed
    /// (more bytes are needed) or the body is done.
    ///
    /// # Errors
    /// The first rule the bytes break, again at each further call. All body bytes before the fault have been
    /// given by earlier steps.
    pub fn decode(&mut self, input: &[u8]) -> Result<Decoded, BodyError> {
        match self.state {
            State::Failed(error) => Err(error),
            State::Done => Ok(Decoded { consumed: 0, data: 0..0 }),
            State::UntilClose => Ok(Decoded { consumed: input.len(), data: 0..input.len() }),
            State::Length(left) => {
                let taken = up_to(left, input.len());
                let left = left.saturating_sub(taken as u64);
                self.state = if left == 0 { State::Done } else { State::Length(left) };
                Ok(Decoded { consumed: taken, data: 0..taken })
            }
            _ => self.decode_chunks(input),
        }
    }

    /// Whether the body was read to its end.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// The peer closed its side: the end of a body that goes until then.
    ///
    /// # Errors
    /// [`BodyError::Truncated`] if the body was not complete, or the error the body already had.
    pub fn on_eof(&mut self) -> Result<(), BodyError> {
        match self.state {
            State::Done | State::UntilClose => {
                self.state = State::Done;
                Ok(())
            }
            State::Failed(error) => Err(error),
            _ => {
                self.state = State::Failed(BodyError::Truncated);
                Err(BodyError::Truncated)
            }
        }
    }

    /// How many body bytes are still to come, where that is known: for a length, and at the end.
    pub fn remaining(&self) -> Option<u64> {
        match self.state {
            State::Done => Some(0),
            State::Length(left) => Some(left),
            _ => None,
        }
    }

    /// The trailer fields that may be passed on; complete when the body is done.
    pub fn trailers(&self) -> &Fields {
        self.trailers.kept()
    }

    /// The same, to remove from or add to.
    pub fn trailers_mut(&mut self) -> &mut Fields {
        self.trailers.kept_mut()
    }

    /// Marks, then at most one run of data, then marks again as far as they go.
    fn decode_chunks(&mut self, input: &[u8]) -> Result<Decoded, BodyError> {
        let mut consumed = 0;
        let mut data = 0..0;
        while let Some(rest) = input.get(consumed..)
            && !rest.is_empty()
            && self.state != State::Done
        {
            if let State::ChunkData(left) = self.state {
                if !data.is_empty() {
                    break;
                }
                let taken = up_to(left, rest.len());
                let left = left.saturating_sub(taken as u64);
                self.state = if left == 0 { State::ChunkCr } else { State::ChunkData(left) };
                data = consumed..consumed + taken;
                consumed += taken;
                continue;
            }
            match self.marks(rest) {
                Ok(taken) => consumed += taken,
                Err(error) => {
                    self.state = State::Failed(error);
                    if data.is_empty() {
                        return Err(error);
                    }
                    // The data before the fault is given first, so that no split of the bytes loses any.
                    break;
                }
            }
        }
        Ok(Decoded { consumed, data })
    }

    /// Takes bytes that are not data: how many.
    fn marks(&mut self, rest: &[u8]) -> Result<usize, BodyError> {
        match (self.state, rest.first()) {
            (State::ChunkCr, Some(b'\r')) => self.state = State::ChunkLf,
            (State::ChunkLf, Some(b'\n')) => self.state = State::ChunkLine,
            (State::ChunkLine, Some(_)) => return self.chunk_line(rest),
            (State::Trailers, Some(_)) => {
                let (bytes, fields) = (self.limits.trailer_bytes, self.limits.trailer_fields);
                let (taken, ended) = self.trailers.feed(rest, bytes, fields)?;
                if ended {
                    self.state = State::Done;
                }
                return Ok(taken);
            }
            _ => return Err(BodyError::BadChunkEnd),
        }
        Ok(1)
    }

    fn chunk_line(&mut self, rest: &[u8]) -> Result<usize, BodyError> {
        let limits = ChunkLimits { line: self.limits.chunk_line, extensions: self.limits.extensions };
        for (at, &byte) in rest.iter().enumerate() {
            if let Some(size) = self.line.feed(byte, limits)? {
                self.state = if size == 0 { State::Trailers } else { State::ChunkData(size) };
                return Ok(at + 1);
            }
        }
        Ok(rest.len())
    }
}

/// The smaller of what is left of a body and what is there.
fn up_to(left: u64, there: usize) -> usize {
    usize::try_from(left).map_or(there, |left| left.min(there))
}
