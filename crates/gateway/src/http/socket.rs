//! A connected stream with a deadline on each direction, shared by the reading and the writing half of one task.
//!
//! Takes a tokio stream; gives polls and small futures that end in `TimedOut` when a direction made no progress by
//! its deadline. Never buffers in clear; under TLS (`secured`, `session`) only what is on its way through the keys.

mod secured;
mod session;

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io::{self, ErrorKind, IoSlice};
use std::net::Shutdown;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustix::net::{RecvFlags, SendFlags};
use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::TcpStream;

use super::buffer::Buffer;
use super::timer::{Timer, Timers};

pub use secured::HandshakeFault;
pub use session::{Session, note_server_name};

/// Progress that counts when a peer reads slowly: a peer that takes less in a whole write deadline is let go.
pub const WRITE_PROGRESS: usize = 16 * 1024;

/// One connection, shared by reference by the halves of an exchange.
///
/// Reads and writes are system calls of their own: those of the C library are points where a thread may be cancelled,
/// which costs 2 % of an exchange once a process has several threads.
pub struct Socket {
    stream: TcpStream,
    /// Deadline of whoever waits for bytes.
    pub read_timer: Timer,
    /// Bytes that the peer's side has taken so far.
    pub written: Cell<u64>,
    write_timer: Timer,
    /// In clear there is none, and a pointer's room is all that TLS costs.
    tls: Option<Box<RefCell<Session>>>,
    /// Whether the sending direction ends with what waits in the session.
    finishing: Cell<bool>,
    /// Whether the last look for bytes found none, and left a waker: who looks again was woken by them.
    awaited: Cell<bool>,
}

/// The protocol that two peers agreed on while they shook hands (ALPN).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1, also where nothing was said.
    Http1,
    /// HTTP/2.
    Http2,
}

impl Socket {
    /// Wraps a connected stream. Small writes are sent at once (`TCP_NODELAY`).
    pub fn new(stream: TcpStream, timers: &Rc<Timers>) -> Socket {
        // Fails only on a socket that is already dead, which the first read will say.
        let _ = stream.set_nodelay(true);
        Socket {
            stream,
            read_timer: timers.timer(),
            written: Cell::new(0),
            write_timer: timers.timer(),
            tls: None,
            finishing: Cell::new(false),
            awaited: Cell::new(false),
        }
    }

    /// The protocol that the peers agreed on.
    pub fn alpn(&self) -> Protocol {
        match &self.tls {
            Some(tls) if tls.borrow().alpn() == Some(b"h2") => Protocol::Http2,
            _ => Protocol::Http1,
        }
    }

    /// What is known of the TLS session; `None` in clear.
    pub fn session(&self) -> Option<&RefCell<Session>> {
        self.tls.as_deref()
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
        if let Some(tls) = &self.tls {
            return self.poll_fill_secured(cx, tls, buffer, most);
        }
        loop {
            // Who was woken by bytes need not ask the runtime for them. Once, so that a peer that never pauses uses up
            // its turn, and others have theirs.
            if !self.awaited.take() {
                let readable = self.poll_readable(cx);
                self.awaited.set(readable.is_pending());
                ready!(readable)?;
            }
            let wanted = spare.len();
            let receive = || Ok(rustix::net::recv(&self.stream, &mut *spare, RecvFlags::empty())?.0);
            let received = self.attempt(Interest::READABLE, wanted, receive);
            if let Some(count) = received? {
                buffer.advance(count);
                return Poll::Ready(Ok(count));
            }
        }
    }

    /// Reads what has already been said to be there; `None` when nothing is. Like [`Socket::poll_fill`], without asking
    /// the runtime once more.
    pub fn fill_now(&self, buffer: &mut Buffer, most: usize) -> io::Result<Option<usize>> {
        let spare = buffer.spare(most);
        if spare.is_empty() {
            return Err(Buffer::overflow());
        }
        if let Some(tls) = &self.tls {
            return Self::fill_now_secured(tls, buffer, most);
        }
        let wanted = spare.len();
        let receive = || Ok(rustix::net::recv(&self.stream, &mut *spare, RecvFlags::empty())?.0);
        let received = self.attempt(Interest::READABLE, wanted, receive)?;
        buffer.advance(received.unwrap_or(0));
        Ok(received)
    }

    /// One system call on a stream that is said to be ready; `None` when it was not. Fewer bytes than wanted mean that
    /// the kernel has no more, which tokio takes note of when it is told "would block": that saves the call that would
    /// only say so.
    fn attempt(
        &self,
        interest: Interest,
        wanted: usize,
        call: impl FnOnce() -> io::Result<usize>,
    ) -> io::Result<Option<usize>> {
        let mut moved = None;
        let tried = self.stream.try_io(interest, || {
            let count = call()?;
            moved = Some(count);
            if count > 0 && count < wanted { Err(ErrorKind::WouldBlock.into()) } else { Ok(()) }
        });
        match tried {
            _ if moved.is_some() => Ok(moved),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(None),
            Err(error) => Err(error),
            Ok(()) => Ok(None),
        }
    }

    /// [`Socket::poll_fill`] as a future.
    pub async fn fill(&self, buffer: &mut Buffer, most: usize) -> io::Result<usize> {
        poll_fn(|cx| self.poll_fill(cx, buffer, most)).await
    }

    /// Ready when bytes, or the end of the stream, can be read.
    pub fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(tls) = &self.tls {
            return self.poll_readable_secured(cx, tls);
        }
        match self.stream.poll_read_ready(cx) {
            Poll::Pending if self.read_timer.expired(cx) => Poll::Ready(Err(ErrorKind::TimedOut.into())),
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
        if let Some(tls) = &self.tls {
            return self.stirred_secured(cx, tls, ask_kernel);
        }
        if self.stream.poll_read_ready(cx).is_ready() {
            return true;
        }
        let mut byte = [0];
        ask_kernel && rustix::net::recv(&self.stream, &mut byte[..], RecvFlags::PEEK).is_ok()
    }

    /// Writes what the kernel takes of the pieces, in order.
    pub fn poll_write(&self, cx: &mut Context<'_>, pieces: &[&[u8]]) -> Poll<io::Result<usize>> {
        if let Some(tls) = &self.tls {
            return self.poll_write_secured(cx, tls, pieces);
        }
        self.poll_pieces(cx, pieces, 0)
    }

    /// Ready when the kernel has taken everything that [`Socket::poll_write`] took.
    pub fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.tls.as_ref().map_or(Poll::Ready(Ok(())), |tls| self.poll_send_waiting(cx, tls))
    }

    /// Writes all of the pieces in order, or fails. `stall` bounds the time in which the peer takes less than
    /// 16 KiB.
    pub async fn write_all<const N: usize>(&self, pieces: [&[u8]; N], stall: Duration) -> io::Result<()> {
        if let Some(tls) = &self.tls {
            return self.write_all_secured(tls, &pieces, stall).await;
        }
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
                            return Poll::Ready(Err(ErrorKind::TimedOut.into()));
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
        let slices = slices.get(..used).unwrap_or_default();
        let wanted = slices.iter().map(|slice| slice.len()).sum();
        loop {
            let sent = self.attempt(Interest::WRITABLE, wanted, || match slices {
                [_] => Ok(rustix::net::send(&self.stream, only, SendFlags::NOSIGNAL)?),
                _ => Ok(rustix::io::writev(&self.stream, slices)?),
            });
            match sent? {
                Some(0) => return Poll::Ready(Err(ErrorKind::WriteZero.into())),
                Some(count) => {
                    self.written.set(self.written.get().saturating_add(count as u64));
                    return Poll::Ready(Ok(count));
                }
                // Only now: mostly there is room, and the runtime need not be asked.
                None => ready!(self.stream.poll_write_ready(cx))?,
            }
        }
    }

    /// Tells the peer that nothing more will be sent.
    pub fn finish(&self) {
        if let Some(tls) = &self.tls {
            return self.part(tls, true);
        }
        let _ = SockRef::from(&self.stream).shutdown(Shutdown::Write);
    }

    /// To be called before a close in good order: under TLS the peer is told that everything has been sent, in clear the
    /// close says so.
    pub fn farewell(&self) {
        if let Some(tls) = &self.tls {
            self.part(tls, false);
        }
    }

    /// Makes the close that follows a reset, so that nobody takes a cut answer for a whole one.
    pub fn reset_on_close(&self) {
        let _ = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
    }
}
