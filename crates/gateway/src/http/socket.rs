//! A connected stream with a deadline on each direction, shared by the reading and the writing half of one task.
//!
//! Takes a tokio stream; gives polls and small futures that end in `TimedOut` when a direction made no progress by
//! its deadline. Never buffers.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::buffer::Buffer;
use super::timer::{Timer, Timers};

/// Progress that counts when a peer reads slowly: a peer that takes less in a whole write deadline is let go.
const WRITE_PROGRESS: usize = 16 * 1024;

/// One connection. The halves of an exchange share it by reference: no borrow of the stream outlives a poll.
pub struct Socket {
    stream: RefCell<TcpStream>,
    /// Deadline of whoever waits for bytes.
    pub read_timer: Timer,
    /// Bytes that the peer's side has taken so far.
    pub written: Cell<u64>,
    write_timer: Timer,
}

impl Socket {
    /// Wraps a connected stream. Small writes are sent at once (`TCP_NODELAY`).
    pub fn new(stream: TcpStream, timers: &Rc<Timers>) -> Socket {
        // Fails only on a socket that is already dead, which the first read will say.
        let _ = stream.set_nodelay(true);
        Socket {
            stream: RefCell::new(stream),
            read_timer: timers.timer(),
            written: Cell::new(0),
            write_timer: timers.timer(),
        }
    }

    /// Reads into the buffer, which may hold `most` waiting bytes; 0 is the end of the stream.
    pub fn poll_fill(
        &self,
        cx: &mut Context<'_>,
        buffer: &mut Buffer,
        most: usize,
    ) -> Poll<io::Result<usize>> {
        let spare = buffer.spare(most);
        if spare.is_empty() {
            return Poll::Ready(Err(Buffer::overflow()));
        }
        let mut room = ReadBuf::new(spare);
        let polled = Pin::new(&mut *self.stream.borrow_mut()).poll_read(cx, &mut room);
        match polled {
            Poll::Ready(Ok(())) => {
                let count = room.filled().len();
                buffer.advance(count);
                Poll::Ready(Ok(count))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending if self.read_timer.expired(cx) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }

    /// [`Socket::poll_fill`] as a future.
    pub async fn fill(&self, buffer: &mut Buffer, most: usize) -> io::Result<usize> {
        poll_fn(|cx| self.poll_fill(cx, buffer, most)).await
    }

    /// Ready when bytes, or the end of the stream, can be read.
    pub fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.stream.borrow().poll_read_ready(cx) {
            Poll::Pending if self.read_timer.expired(cx) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            polled => polled,
        }
    }

    /// [`Socket::poll_readable`] as a future.
    pub async fn readable(&self) -> io::Result<()> {
        poll_fn(|cx| self.poll_readable(cx)).await
    }

    /// Whether the peer has sent something, or gone, while nobody was reading. With `ask_kernel` false this knows
    /// what the last look at epoll knew and costs nothing; with true it is one more system call.
    pub fn stirred(&self, cx: &mut Context<'_>, ask_kernel: bool) -> bool {
        let stream = self.stream.borrow();
        if stream.poll_read_ready(cx).is_ready() {
            return true;
        }
        let mut byte = [std::mem::MaybeUninit::uninit()];
        ask_kernel && SockRef::from(&*stream).peek(&mut byte).is_ok()
    }

    /// Writes all of the pieces in order, or fails. `stall` bounds the time in which the peer takes less than
    /// 16 KiB.
    pub async fn write_all<const N: usize>(&self, pieces: [&[u8]; N], stall: Duration) -> io::Result<()> {
        let total: usize = pieces.iter().map(|piece| piece.len()).sum();
        let (mut done, mut counted, mut armed) = (0, 0, false);
        poll_fn(|cx| {
            while done < total {
                match self.poll_pieces(cx, &pieces, done) {
                    Poll::Ready(count) => done = done.saturating_add(count?),
                    Poll::Pending => {
                        if !armed || done.saturating_sub(counted) >= WRITE_PROGRESS {
                            (armed, counted) = (true, done);
                            self.write_timer.arm(stall);
                        }
                        if self.write_timer.expired(cx) {
                            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                        }
                        return Poll::Pending;
                    }
                }
            }
            if armed {
                self.write_timer.disarm();
            }
            Poll::Ready(Ok(()))
        })
        .await
    }

    fn poll_pieces(
        &self,
        cx: &mut Context<'_>,
        pieces: &[&[u8]],
        mut skip: usize,
    ) -> Poll<io::Result<usize>> {
        let mut slices = [IoSlice::new(&[]), IoSlice::new(&[]), IoSlice::new(&[]), IoSlice::new(&[])];
        let mut used = 0;
        let mut only: &[u8] = &[];
        for piece in pieces {
            let cut = skip.min(piece.len());
            skip = skip.saturating_sub(cut);
            let rest = piece.get(cut..).unwrap_or_default();
            if let Some(slot) = slices.get_mut(used).filter(|_| !rest.is_empty()) {
                *slot = IoSlice::new(rest);
                only = rest;
                used += 1;
            }
        }
        let mut stream = self.stream.borrow_mut();
        let stream = Pin::new(&mut *stream);
        let count = match used {
            1 => ready!(stream.poll_write(cx, only))?,
            _ => ready!(stream.poll_write_vectored(cx, slices.get(..used).unwrap_or_default()))?,
        };
        self.written.set(self.written.get().saturating_add(count as u64));
        if count == 0 { Poll::Ready(Err(io::ErrorKind::WriteZero.into())) } else { Poll::Ready(Ok(count)) }
    }

    /// Tells the peer that nothing more will be sent.
    pub fn finish(&self) {
        let _ = SockRef::from(&*self.stream.borrow()).shutdown(Shutdown::Write);
    }

    /// Makes the close that follows a reset, so that nobody takes a cut answer for a whole one.
    pub fn reset_on_close(&self) {
        let _ = SockRef::from(&*self.stream.borrow()).set_linger(Some(Duration::ZERO));
    }
}
