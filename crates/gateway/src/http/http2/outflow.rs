//! The sending half of a stream: heads, and data as the peer's windows allow, and an end to waiting for them.
//!
//! Takes bytes; hands to `h2` only what the windows take now, so that a peer that takes nothing pins no memory there.
//! A peer that takes less than 16 KiB of what is sent at once in a whole stall time is let go, however often it opens
//! its window a little.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, SendStream};
use http1::{Fields, ResponseHead};

use super::heads;
use crate::http::socket::WRITE_PROGRESS;
use crate::http::timer::Timer;

/// An answer on its way out, shared by the halves of one exchange.
pub struct Outflow {
    state: RefCell<State>,
    timer: Timer,
    /// The answer is complete with what is sent next, and these trailers.
    finish: RefCell<Option<http::HeaderMap>>,
    failed: Cell<bool>,
}

/// What has been sent.
enum State {
    Nothing(SendResponse<Bytes>),
    Head(SendStream<Bytes>),
}

impl Outflow {
    /// Answers on this stream.
    pub fn new(respond: SendResponse<Bytes>, timer: Timer) -> Outflow {
        Outflow {
            state: RefCell::new(State::Nothing(respond)),
            timer,
            finish: RefCell::default(),
            failed: Cell::new(false),
        }
    }

    /// Sends the body of a request, whose head has gone out on this stream.
    pub fn of_request(stream: SendStream<Bytes>, timer: Timer) -> Outflow {
        Outflow {
            state: RefCell::new(State::Head(stream)),
            timer,
            finish: RefCell::default(),
            failed: Cell::new(false),
        }
    }

    /// Sends an interim head.
    ///
    /// # Errors
    /// The stream is no more.
    pub fn interim(&self, head: &ResponseHead) -> io::Result<()> {
        let State::Nothing(respond) = &mut *self.state.borrow_mut() else { return Ok(()) };
        let response = heads::response(head).ok_or_else(gone)?;
        respond.send_informational(response).map_err(|_| gone())
    }

    /// Sends the head; nothing follows when it is `whole`. What fails is said by the next flush.
    pub fn head(&self, head: &ResponseHead, whole: bool) {
        let mut state = self.state.borrow_mut();
        let State::Nothing(respond) = &mut *state else { return };
        let sent = heads::response(head).map(|response| respond.send_response(response, whole));
        match sent {
            Some(Ok(stream)) => *state = State::Head(stream),
            _ => self.failed.set(true),
        }
    }

    /// The answer ends with what is flushed next.
    pub fn end(&self, trailers: &Fields) {
        *self.finish.borrow_mut() = Some(heads::map(trailers));
    }

    /// Sends all of `data`, and the end if it is time for it.
    ///
    /// # Errors
    /// `TimedOut` when the peer takes nothing, `ConnectionReset` when the stream is no more.
    pub async fn send(&self, data: &[u8], stall: Duration) -> io::Result<()> {
        if self.failed.get() {
            return Err(gone());
        }
        let finish = self.finish.borrow_mut().take();
        let last = finish.as_ref().is_some_and(http::HeaderMap::is_empty);
        if !data.is_empty() {
            self.send_data(data, last, stall).await?;
        }
        let Some(trailers) = finish else { return Ok(()) };
        let State::Head(stream) = &mut *self.state.borrow_mut() else { return Err(gone()) };
        match (trailers.is_empty(), data.is_empty()) {
            (true, false) => Ok(()),
            (true, true) => stream.send_data(Bytes::new(), true).map_err(|_| gone()),
            (false, _) => stream.send_trailers(trailers).map_err(|_| gone()),
        }
    }

    async fn send_data(&self, data: &[u8], last: bool, stall: Duration) -> io::Result<()> {
        let (mut done, mut counted, mut armed) = (0_usize, 0, false);
        poll_fn(|cx| {
            while let Some(rest) = data.get(done..).filter(|rest| !rest.is_empty()) {
                match self.poll_send(cx, rest, last) {
                    Poll::Ready(count) => done = done.saturating_add(count?),
                    Poll::Pending => {
                        if !armed || done.saturating_sub(counted) >= WRITE_PROGRESS {
                            (armed, counted) = (true, done);
                            self.timer.arm(stall);
                        }
                        if self.timer.expired(cx) {
                            return Poll::Ready(Err(ErrorKind::TimedOut.into()));
                        }
                        return Poll::Pending;
                    }
                }
            }
            self.timer.disarm();
            Poll::Ready(Ok(()))
        })
        .await
    }

    /// Hands over what the windows take now of `data`; ready with how much, once it is something.
    fn poll_send(&self, cx: &mut Context<'_>, data: &[u8], last: bool) -> Poll<io::Result<usize>> {
        let State::Head(stream) = &mut *self.state.borrow_mut() else { return Poll::Ready(Err(gone())) };
        stream.reserve_capacity(data.len().min(super::SEND_BUFFER));
        loop {
            let room = stream.capacity().min(data.len());
            if room > 0 {
                let part = Bytes::copy_from_slice(data.get(..room).unwrap_or_default());
                let sent = stream.send_data(part, last && room == data.len());
                return Poll::Ready(sent.map(|()| room).map_err(|_| gone()));
            }
            match ready!(stream.poll_capacity(cx)) {
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Poll::Ready(Err(gone())),
            }
        }
    }

    /// Breaks the answer off.
    pub fn reset(&self, reason: Reason) {
        match &mut *self.state.borrow_mut() {
            State::Nothing(respond) => respond.send_reset(reason),
            State::Head(stream) => stream.send_reset(reason),
        }
    }

    /// Waits until the peer gives the request up, or is gone.
    pub async fn given_up(&self) {
        poll_fn(|cx| match &mut *self.state.borrow_mut() {
            State::Nothing(respond) => respond.poll_reset(cx).map(|_| ()),
            State::Head(stream) => stream.poll_reset(cx).map(|_| ()),
        })
        .await;
    }
}

/// The error for a stream that is no more.
fn gone() -> io::Error {
    ErrorKind::ConnectionReset.into()
}
