//! A socket under TLS: the same reads and writes as in clear, through a [`Session`].
//!
//! Every wait is one on the socket, so that the deadlines of the socket hold for TLS too, its handshake included. What
//! is to be sent waits in the session, in the order it was encrypted, whoever stops waiting for it.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::net::Shutdown;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustix::net::{RecvFlags, SendFlags};
use socket2::SockRef;
use tokio::io::Interest;

use super::Socket;
use super::session::{End, Session};
use crate::http::buffer::Buffer;

/// The first byte of a TLS connection: a record of the handshake (RFC 8446 section 5.1).
const HANDSHAKE: u8 = 22;

/// Why no TLS came about.
pub enum HandshakeFault {
    /// It was not over in time.
    TimedOut,
    /// The peer went away.
    Gone,
    /// The peer sent more than any handshake needs.
    TooLong,
    /// The peer speaks HTTP in clear: what came of it.
    PlainHttp(Buffer),
    /// The peers cannot agree, or one does not believe the other.
    Refused(rustls::Error),
}

impl Socket {
    /// Agrees on keys with the peer, within this time. The socket then reads and writes under TLS.
    pub async fn secure(&mut self, session: Session, within: Duration) -> Result<(), HandshakeFault> {
        self.tls = Some(Box::new(RefCell::new(session)));
        self.read_timer.arm(within);
        let shaken = self.shake_hands().await;
        self.read_timer.disarm();
        if let Err(HandshakeFault::PlainHttp(_)) = shaken {
            self.tls = None;
        }
        shaken
    }

    async fn shake_hands(&self) -> Result<(), HandshakeFault> {
        let Some(tls) = self.tls.as_deref() else { return Ok(()) };
        let failed = |error: io::Error| match error.kind() {
            ErrorKind::TimedOut => HandshakeFault::TimedOut,
            ErrorKind::InvalidData => HandshakeFault::TooLong,
            _ => HandshakeFault::Gone,
        };
        let mut first = tls.borrow().is_server();
        loop {
            let looked = tls.borrow_mut().look();
            let sent = poll_fn(|cx| match self.poll_send_waiting(cx, tls) {
                Poll::Pending if self.read_timer.expired(cx) => Poll::Ready(Err(ErrorKind::TimedOut.into())),
                polled => polled,
            });
            let sent = sent.await;
            looked.map_err(HandshakeFault::Refused)?;
            sent.map_err(failed)?;
            if !tls.borrow().is_handshaking() {
                return Ok(());
            }
            if poll_fn(|cx| self.poll_receive(cx, tls)).await.map_err(failed)? == 0 {
                return Err(HandshakeFault::Gone);
            }
            if std::mem::take(&mut first) {
                let raw = &mut tls.borrow_mut().raw;
                if raw.filled().first().is_some_and(|byte| *byte != HANDSHAKE && byte.is_ascii_uppercase()) {
                    return Err(HandshakeFault::PlainHttp(std::mem::take(raw)));
                }
            }
        }
    }

    /// Takes bytes from the kernel into the session; 0 is the end of the stream.
    fn poll_receive(&self, cx: &mut Context<'_>, tls: &RefCell<Session>) -> Poll<io::Result<usize>> {
        loop {
            match self.stream.poll_read_ready(cx) {
                Poll::Ready(ready) => ready?,
                Poll::Pending if self.read_timer.expired(cx) => {
                    return Poll::Ready(Err(ErrorKind::TimedOut.into()));
                }
                Poll::Pending => {
                    tls.borrow_mut().rest();
                    return Poll::Pending;
                }
            }
            let mut session = tls.borrow_mut();
            let spare = session.room();
            if spare.is_empty() {
                return Poll::Ready(Err(Buffer::overflow()));
            }
            let wanted = spare.len();
            let receive = || Ok(rustix::net::recv(&self.stream, &mut *spare, RecvFlags::empty())?.0);
            if let Some(count) = self.attempt(Interest::READABLE, wanted, receive)? {
                session.raw.advance(count);
                if count == 0 {
                    session.wire_ended();
                }
                return Poll::Ready(Ok(count));
            }
        }
    }

    /// Sends what waits in the session.
    pub(super) fn poll_send_waiting(
        &self,
        cx: &mut Context<'_>,
        tls: &RefCell<Session>,
    ) -> Poll<io::Result<()>> {
        loop {
            let mut session = tls.borrow_mut();
            let wanted = session.waiting().len();
            if wanted == 0 {
                if self.finishing.replace(false) {
                    let _ = SockRef::from(&self.stream).shutdown(Shutdown::Write);
                }
                return Poll::Ready(Ok(()));
            }
            ready!(self.stream.poll_write_ready(cx))?;
            let send = || Ok(rustix::net::send(&self.stream, session.waiting(), SendFlags::NOSIGNAL)?);
            match self.attempt(Interest::WRITABLE, wanted, send)? {
                Some(0) => return Poll::Ready(Err(ErrorKind::WriteZero.into())),
                Some(count) => {
                    session.taken(count);
                    self.written.set(self.written.get().saturating_add(count as u64));
                }
                None => {}
            }
        }
    }

    /// Sends what waits as far as the kernel takes it now, for answers that the session gives of itself.
    fn send_aside(&self, cx: &mut Context<'_>, tls: &RefCell<Session>) {
        if self.finishing.get() || !tls.borrow().waiting().is_empty() {
            // A connection that does not take it shows that to the next write.
            let _ = self.poll_send_waiting(cx, tls);
        }
    }

    pub(super) fn poll_fill_secured(
        &self,
        cx: &mut Context<'_>,
        tls: &RefCell<Session>,
        buffer: &mut Buffer,
        most: usize,
    ) -> Poll<io::Result<usize>> {
        loop {
            let read = tls.borrow_mut().read(buffer, most);
            self.send_aside(cx, tls);
            let count = read.map_err(broken)?;
            if count > 0 {
                return Poll::Ready(Ok(count));
            }
            let (end, server) = { (tls.borrow().end(), tls.borrow().is_server()) };
            match end {
                End::Told => return Poll::Ready(Ok(0)),
                // What a client sends says itself where it ends, and many clients go without a word. The answer of a
                // service may last until the close: only the word tells that it is whole.
                End::Cut if server => return Poll::Ready(Ok(0)),
                End::Cut => return Poll::Ready(Err(ErrorKind::UnexpectedEof.into())),
                End::Open => {}
            }
            ready!(self.poll_receive(cx, tls))?;
        }
    }

    /// What has been decrypted already; the kernel is asked by who waits.
    pub(super) fn fill_now_secured(
        tls: &RefCell<Session>,
        buffer: &mut Buffer,
        most: usize,
    ) -> io::Result<Option<usize>> {
        let count = tls.borrow_mut().read(buffer, most).map_err(broken)?;
        Ok(Some(count).filter(|count| *count > 0))
    }

    pub(super) fn poll_readable_secured(
        &self,
        cx: &mut Context<'_>,
        tls: &RefCell<Session>,
    ) -> Poll<io::Result<()>> {
        loop {
            let looked = tls.borrow_mut().look();
            self.send_aside(cx, tls);
            if looked.map_err(broken)? {
                return Poll::Ready(Ok(()));
            }
            ready!(self.poll_receive(cx, tls))?;
        }
    }

    /// Whether something came that is more than talk among sessions, such as tickets.
    pub(super) fn stirred_secured(
        &self,
        cx: &mut Context<'_>,
        tls: &RefCell<Session>,
        ask_kernel: bool,
    ) -> bool {
        let mut ask = ask_kernel || self.stream.poll_read_ready(cx).is_ready();
        while std::mem::take(&mut ask) {
            let mut session = tls.borrow_mut();
            let received = rustix::net::recv(&self.stream, session.room(), RecvFlags::DONTWAIT);
            match received {
                Ok((count, _)) if count > 0 => session.raw.advance(count),
                Err(rustix::io::Errno::WOULDBLOCK) => break,
                _ => return true,
            }
            ask = true;
            if session.look().unwrap_or(true) {
                return true;
            }
        }
        let stirred = tls.borrow_mut().look().unwrap_or(true);
        tls.borrow_mut().rest();
        stirred
    }

    pub(super) async fn write_all_secured(
        &self,
        tls: &RefCell<Session>,
        pieces: &[&[u8]],
        stall: Duration,
    ) -> io::Result<()> {
        let mut done = 0;
        let (mut counted, mut armed) = (0, false);
        poll_fn(|cx| {
            loop {
                match self.poll_send_waiting(cx, tls) {
                    Poll::Ready(sent) => sent?,
                    Poll::Pending => {
                        let written = self.written.get();
                        if !armed || written.saturating_sub(counted) >= super::WRITE_PROGRESS as u64 {
                            (armed, counted) = (true, written);
                            self.write_timer.arm(stall);
                        }
                        if self.write_timer.expired(cx) {
                            return Poll::Ready(Err(ErrorKind::TimedOut.into()));
                        }
                        return Poll::Pending;
                    }
                }
                let sealed = tls.borrow_mut().seal(pieces, done).map_err(broken)?;
                if sealed == 0 {
                    if armed {
                        self.write_timer.disarm();
                    }
                    return Poll::Ready(Ok(()));
                }
                done = done.saturating_add(sealed);
            }
        })
        .await
    }

    pub(super) fn poll_write_secured(
        &self,
        cx: &mut Context<'_>,
        tls: &RefCell<Session>,
        pieces: &[&[u8]],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_send_waiting(cx, tls))?;
        let sealed = tls.borrow_mut().seal(pieces, 0).map_err(broken)?;
        self.send_aside(cx, tls);
        Poll::Ready(Ok(sealed))
    }

    /// Says that nothing more comes, and then ends the sending direction where that is wanted: at once, or when the
    /// kernel has taken what waits before.
    pub(super) fn part(&self, tls: &RefCell<Session>, finishing: bool) {
        tls.borrow_mut().farewell();
        self.finishing.set(finishing);
        // The kernel is asked itself: the runtime may not know yet that a new stream can be written to.
        let mut session = tls.borrow_mut();
        while !session.waiting().is_empty() {
            let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
            match rustix::net::send(&self.stream, session.waiting(), flags) {
                Ok(count) if count > 0 => session.taken(count),
                _ => return,
            }
        }
        if self.finishing.replace(false) {
            let _ = SockRef::from(&self.stream).shutdown(Shutdown::Write);
        }
    }
}

/// A session that failed ends the connection: nothing it would carry can be believed.
fn broken(_: rustls::Error) -> io::Error {
    ErrorKind::ConnectionAborted.into()
}
