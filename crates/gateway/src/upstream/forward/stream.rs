//! The stream of HTTP/2 that an exchange goes over, up to the heads of the answer.
//!
//! Heads may be waited for before anybody receives them: they stay here until then, in their order.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

use ::http1::{HeadLimits, Method, ResponseHead};
use bytes::Bytes;
use h2::client::ResponseFuture;
use h2::{RecvStream, SendStream};

use super::super::http2::pool::Slot;
use super::super::http2::{fault_of, heads};
use super::{Again, Failed, MOST_INTERIM};
use crate::fault::Fault;
use crate::http::http2::outflow::Outflow;
use crate::http::timer::Timer;

/// A stream that was opened for an exchange.
pub(super) struct Stream {
    answer: ResponseFuture,
    outflow: Outflow,
    /// Deadline of the answer's head.
    timer: Timer,
    /// Whether something of an answer has come.
    heard: Cell<bool>,
    /// Whether the service said that it never looked at the request.
    unprocessed: Cell<bool>,
    /// Heads that were waited for and are not received yet.
    early: RefCell<VecDeque<Head>>,
    // Dropped last: its place is free once the stream is no more.
    slot: Slot,
}

/// A head, and what follows the final one.
pub(super) type Head = (http::response::Parts, Option<RecvStream>);

impl Stream {
    /// Of a request whose head has been sent over this place. The timers are the one of the answer's head, which runs, and the
    /// one of a body that is not taken.
    pub(super) fn new(
        (answer, sending): (ResponseFuture, SendStream<Bytes>),
        timer: Timer,
        stall: Timer,
        slot: Slot,
    ) -> Stream {
        Stream {
            answer,
            outflow: Outflow::of_request(sending, stall),
            timer,
            heard: Cell::new(false),
            unprocessed: Cell::new(false),
            early: RefCell::default(),
            slot,
        }
    }

    /// Whether its connection carried an exchange before.
    pub(super) fn is_reused(&self) -> bool {
        self.slot.reused
    }

    /// What is waited for, where the body goes, and how it is waited.
    pub(super) fn parts(&mut self) -> (&mut ResponseFuture, &Outflow, Waits<'_>) {
        let Stream { answer, outflow, timer, heard, unprocessed, early, .. } = self;
        (answer, outflow, Waits { timer, heard, unprocessed, early })
    }

    /// Waits for the head of the final answer and leaves it to be received, with all that came before it; gives its status.
    /// To give that up is to doubt the connection.
    pub(super) async fn await_head(&mut self, method: Method, limits: &HeadLimits) -> Result<u16, Fault> {
        let Stream { answer, timer, heard, unprocessed, early, slot, .. } = self;
        let patience = Patience(Some(slot));
        let waits = Waits { timer, heard, unprocessed, early };
        let (mut head, mut come) = (ResponseHead::default(), VecDeque::new());
        let awaited = loop {
            let (parts, body) = match waits.head(answer).await {
                Ok(head) => head,
                Err(fault) => break Err(fault),
            };
            let ended = body.as_ref().is_some_and(RecvStream::is_end_stream);
            if let Err(wrong) = heads::answer(&parts, ended, method, limits, &mut head) {
                break Err(Fault::AnswerHead(wrong));
            }
            let is_last = body.is_some();
            come.push_back((parts, body));
            // Of too many that are interim judges whoever receives them.
            if is_last || come.len() > MOST_INTERIM as usize {
                break Ok(head.status);
            }
        };
        patience.end();
        early.replace(come);
        awaited
    }

    /// What a fault means for the connection, and whether the try may be made again. `kept` is whether all that was read of
    /// the body can be sent again.
    pub(super) fn failed(&self, fault: Fault, kept: bool, repeatable: bool) -> Failed {
        if matches!(fault, Fault::AnswerTimeout | Fault::AnswerStalled | Fault::Timeout) {
            self.slot.doubt();
        }
        let untaken = kept && !self.heard.get();
        let again = match fault {
            Fault::NoAnswer if untaken && self.unprocessed.get() => Again::Unprocessed,
            Fault::NoAnswer if untaken && repeatable => Again::Fresh,
            _ => Again::Never,
        };
        Failed { fault, again }
    }
}

/// Waits for a head; when it is dropped before its end, the stream has waited in vain.
struct Patience<'s>(Option<&'s Slot>);

impl Patience<'_> {
    fn end(mut self) {
        self.0 = None;
    }
}

impl Drop for Patience<'_> {
    fn drop(&mut self) {
        if let Some(slot) = self.0 {
            slot.doubt();
        }
    }
}

/// What waiting for the head of an answer learns.
#[derive(Clone, Copy)]
pub(super) struct Waits<'s> {
    pub(super) timer: &'s Timer,
    heard: &'s Cell<bool>,
    unprocessed: &'s Cell<bool>,
    early: &'s RefCell<VecDeque<Head>>,
}

impl Waits<'_> {
    /// The next head, interim or final.
    pub(super) async fn head(&self, answer: &mut ResponseFuture) -> Result<Head, Fault> {
        if let Some(head) = self.early.borrow_mut().pop_front() {
            return Ok(head);
        }
        let head = poll_fn(|cx| {
            let polled = match answer.poll_informational(cx) {
                Poll::Ready(Some(interim)) => {
                    Poll::Ready(interim.map(|interim| (interim.into_parts().0, None)))
                }
                Poll::Ready(None) => Pin::new(&mut *answer).poll(cx).map_ok(|answer| {
                    let (parts, body) = answer.into_parts();
                    (parts, Some(body))
                }),
                Poll::Pending => Poll::Pending,
            };
            match polled {
                Poll::Ready(head) => Poll::Ready(head.map_err(Some)),
                Poll::Pending if self.timer.expired(cx) => Poll::Ready(Err(None)),
                Poll::Pending => Poll::Pending,
            }
        });
        match head.await {
            Ok(head) => {
                self.heard.set(true);
                Ok(head)
            }
            Err(None) => Err(Fault::AnswerTimeout),
            Err(Some(error)) => {
                let (fault, unprocessed) = fault_of(&error);
                self.unprocessed.set(unprocessed);
                Err(fault)
            }
        }
    }
}
