//! A connection to a service as `h2` reads and writes it.
//!
//! Notes when something was heard, so that a dead service is told from a quiet one, and ends a connection that sends
//! more heads than any answer has.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::http::buffer::{Buffer, SIZE};
use crate::http::http2::frames::{Frames, Passing, kind};
use crate::http::socket::Socket;
use crate::http::timer::Timers;

/// Pieces that one write takes.
const PIECES: usize = 4;
/// Heads of one answer: interim ones, the final one, trailers. Interim heads cost the service nothing and would wait
/// here for a client that reads slowly.
const MOST_HEADS: u64 = 24;

/// What is known of the bytes of one connection. Shared by its wire and whoever drives it.
pub(super) struct Heard {
    timers: Rc<Timers>,
    /// When something came last, on the worker's clock.
    pub(super) at: Cell<u64>,
    /// Streams opened.
    pub(super) opened: Cell<u64>,
    heads: Cell<u64>,
}

impl Heard {
    pub(super) fn new(timers: &Rc<Timers>) -> Rc<Heard> {
        let at = Cell::new(timers.now());
        Rc::new(Heard { timers: timers.clone(), at, opened: Cell::new(0), heads: Cell::new(0) })
    }

    fn too_many(&self) -> bool {
        self.heads.get() > self.opened.get().saturating_mul(MOST_HEADS)
    }
}

/// A connection for `h2`.
pub(super) struct Wire {
    socket: Rc<Socket>,
    heard: Rc<Heard>,
    input: Buffer,
    frames: Frames,
}

impl Wire {
    pub(super) fn new(socket: Rc<Socket>, heard: Rc<Heard>) -> Wire {
        Wire { socket, heard, input: Buffer::default(), frames: Frames::default() }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Wire { socket, heard, input, frames } = self.get_mut();
        if input.is_empty() {
            let filled = socket.poll_fill(cx, input, SIZE);
            if !matches!(filled, Poll::Ready(Ok(count)) if count > 0) {
                // A connection that rests holds no buffer.
                input.release();
                return filled.map_ok(|_| ());
            }
            heard.at.set(heard.timers.now());
        }
        let count = input.len().min(buffer.remaining());
        let bytes = input.filled().get(..count).unwrap_or_default();
        let mut heads = heard.heads.get();
        frames.feed(bytes, |passing| {
            let is_head = matches!(passing, Passing::Frame(frame) if frame.kind == kind::HEADERS);
            heads = heads.saturating_add(u64::from(is_head));
        });
        heard.heads.set(heads);
        if heard.too_many() {
            return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
        }
        buffer.put_slice(bytes);
        input.consume(count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.socket.poll_write(cx, &[bytes])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut pieces: [&[u8]; PIECES] = [&[]; PIECES];
        pieces.iter_mut().zip(slices).for_each(|(piece, slice)| *piece = slice);
        self.socket.poll_write(cx, &pieces)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket.finish();
        Poll::Ready(Ok(()))
    }
}
