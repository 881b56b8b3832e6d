//! Read buffers of a worker: borrowed from a free list while bytes move, given back when a connection rests.
//!
//! An idle connection holds none, so ten thousand idle connections cost no buffers. Bytes are initialised once,
//! when a buffer is made, and never again.

use std::cell::RefCell;
use std::io;
use std::ops::Range;

/// Size of a buffer: one whole head within the default limits, and a good read of a body.
pub const SIZE: usize = 32 * 1024;

/// Size of a buffer whose few bytes may have to wait long.
const SMALL: usize = 2 * 1024;

/// Largest allocation kept to collect bytes for a write in: two TLS records.
const MOST_OUT: usize = SIZE + 1024;

/// Buffers kept for later by each worker: 256 x 32 KiB = 8 MiB at most.
const KEPT: usize = 256;

thread_local! {
    static FREE: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
    static FREE_OUT: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// An empty vector to collect bytes for one write in.
pub fn take_out() -> Vec<u8> {
    FREE_OUT.with_borrow_mut(Vec::pop).unwrap_or_else(|| Vec::with_capacity(4096))
}

/// Gives such a vector back.
pub fn give_out(mut out: Vec<u8>) {
    out.clear();
    if out.capacity() > 0 && out.capacity() <= MOST_OUT {
        let _ = FREE_OUT.try_with(|free| {
            if let Ok(mut free) = free.try_borrow_mut()
                && free.len() < KEPT
            {
                free.push(out);
            }
        });
    }
}

/// A place inside a buffer, valid until its next read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    start: usize,
    end: usize,
}

impl Span {
    /// The first bytes of something that is no [`Buffer`].
    pub fn of(length: usize) -> Span {
        Span { start: 0, end: length }
    }

    /// A place in something that is no [`Buffer`].
    pub fn between(start: usize, end: usize) -> Span {
        Span { start, end }
    }

    /// The bytes at this place.
    pub fn of_bytes(self, bytes: &[u8]) -> &[u8] {
        bytes.get(self.start..self.end).unwrap_or_default()
    }
}

/// A window of received bytes inside a reused allocation.
#[derive(Default)]
pub struct Buffer {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Buffer {
    /// Bytes received and not yet consumed.
    pub fn filled(&self) -> &[u8] {
        self.bytes.get(self.start..self.end).unwrap_or_default()
    }

    /// The same, to be changed in place.
    pub fn filled_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.start..self.end).unwrap_or_default()
    }

    /// Whether nothing is waiting to be consumed.
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// How many bytes wait to be consumed.
    pub fn len(&self) -> usize {
        self.end.saturating_sub(self.start)
    }

    /// Marks the first `count` waiting bytes as consumed. They stay readable through [`Buffer::at`] until the next
    /// [`Buffer::spare`].
    pub fn consume(&mut self, count: usize) {
        self.start = self.start.saturating_add(count).min(self.end);
    }

    /// The place of a range that is counted from where the window started `back` bytes ago.
    pub fn behind(&self, back: usize, range: Range<usize>) -> Span {
        let from = self.start.saturating_sub(back);
        Span { start: from.saturating_add(range.start), end: from.saturating_add(range.end) }
    }

    /// The bytes of a place. They stay until the next [`Buffer::spare`], consumed or not.
    pub fn at(&self, span: Span) -> &[u8] {
        self.bytes.get(span.start..span.end).unwrap_or_default()
    }

    /// Room to read into: at least one byte unless `most` bytes are waiting already.
    pub fn spare(&mut self, most: usize) -> &mut [u8] {
        if self.bytes.is_empty() {
            self.bytes = FREE.with_borrow_mut(Vec::pop).unwrap_or_else(|| vec![0; SIZE]);
        }
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if self.end == self.bytes.len() {
            if self.start > 0 {
                self.bytes.copy_within(self.start..self.end, 0);
                (self.start, self.end) = (0, self.len());
            } else if self.bytes.len() < most {
                self.bytes.resize(self.bytes.len().saturating_mul(2).min(most), 0);
            }
        }
        self.bytes.get_mut(self.end..).unwrap_or_default()
    }

    /// Copies bytes behind what waits, as far as `most` waiting bytes allow; gives what found no room.
    pub fn append<'b>(&mut self, mut bytes: &'b [u8], most: usize) -> &'b [u8] {
        while !bytes.is_empty() {
            let spare = self.spare(most);
            let count = spare.len().min(bytes.len());
            let (now, later) = bytes.split_at_checked(count).unwrap_or_default();
            let Some(room) = spare.get_mut(..count).filter(|_| count > 0) else { break };
            room.copy_from_slice(now);
            self.advance(count);
            bytes = later;
        }
        bytes
    }

    /// Keeps few waiting bytes in an allocation of their size, for a peer that may be long in sending the next.
    pub fn shrink(&mut self) {
        if !self.is_empty() && self.len() <= SMALL / 2 && self.bytes.len() > SMALL {
            let mut small = vec![0; SMALL];
            let length = self.len();
            if let Some(place) = small.get_mut(..length) {
                place.copy_from_slice(self.filled());
            }
            give_back(std::mem::replace(&mut self.bytes, small));
            (self.start, self.end) = (0, length);
        }
    }

    /// Says that `count` bytes were read into the room of [`Buffer::spare`].
    pub fn advance(&mut self, count: usize) {
        self.end = self.end.saturating_add(count).min(self.bytes.len());
    }

    /// Gives the allocation back if nothing is waiting.
    pub fn release(&mut self) {
        if self.is_empty() {
            (self.start, self.end) = (0, 0);
            give_back(std::mem::take(&mut self.bytes));
        }
    }

    /// An error for a peer that sent more than a buffer may hold.
    pub fn overflow() -> io::Error {
        io::Error::new(io::ErrorKind::InvalidData, "the peer sent more than the buffer may hold")
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        give_back(std::mem::take(&mut self.bytes));
    }
}

fn give_back(bytes: Vec<u8>) {
    if bytes.len() == SIZE {
        // A worker that is ending has no free list any more: then the bytes are simply freed.
        let _ = FREE.try_with(|free| {
            if let Ok(mut free) = free.try_borrow_mut()
                && free.len() < KEPT
            {
                free.push(bytes);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(buffer: &mut Buffer, bytes: &[u8]) {
        buffer.spare(SIZE)[..bytes.len()].copy_from_slice(bytes);
        buffer.advance(bytes.len());
    }

    #[test]
    fn consumed_bytes_stay_readable_until_the_next_read() {
        let mut buffer = Buffer::default();
        put(&mut buffer, b"abcdef");
        buffer.consume(4);
        assert_eq!(buffer.filled(), b"ef");
        assert_eq!(buffer.at(buffer.behind(4, 1..3)), b"bc");
    }

    #[test]
    fn a_full_buffer_moves_its_rest_to_the_front_and_grows_only_to_its_limit() {
        let mut buffer = Buffer::default();
        let room = buffer.spare(SIZE).len();
        buffer.advance(room);
        buffer.consume(SIZE - 10);
        assert_eq!(buffer.spare(SIZE).len(), SIZE - 10);
        let room = buffer.spare(SIZE).len();
        buffer.advance(room);
        assert_eq!(buffer.spare(SIZE).len(), 0, "full, and may not grow");
        assert_eq!(buffer.spare(SIZE + 5).len(), 5);
    }

    #[test]
    fn few_bytes_wait_in_little_room() {
        let mut buffer = Buffer::default();
        put(&mut buffer, b"abcdef");
        buffer.consume(2);
        buffer.shrink();
        assert_eq!((buffer.filled(), buffer.bytes.len()), (&b"cdef"[..], SMALL));
        assert_eq!(buffer.append(&[b'x'; SIZE], SIZE), &[b'x'; 4], "grows again as far as it may");
    }

    #[test]
    fn an_empty_buffer_gives_its_bytes_back() {
        let mut buffer = Buffer::default();
        put(&mut buffer, b"a");
        buffer.release();
        assert_eq!(buffer.filled(), b"a", "nothing is lost");
        buffer.consume(1);
        buffer.release();
        assert!(buffer.bytes.is_empty());
    }
}
