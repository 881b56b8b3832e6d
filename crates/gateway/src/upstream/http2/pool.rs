//! The connections of HTTP/2 that one worker has to one endpoint, and who waits for a place on them.
//!
//! A connection takes as many streams as the service allows; only when all are full another is opened, one at a time,
//! up to a bound. Beyond it exchanges wait in the order they came, each within its time.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use h2::SendStream;
use h2::client::ResponseFuture;
use tokio::sync::oneshot;

use super::connection::{Shared, begin};
use crate::fault::Fault;
use crate::http::socket::Socket;
use crate::http::timer::Timers;

/// Exchanges of one worker that may wait for a place at one endpoint.
const MOST_WAITING: usize = 1024;

/// The connections to one endpoint.
#[derive(Default)]
pub struct Pool {
    connections: RefCell<Vec<Rc<Shared>>>,
    waiting: RefCell<VecDeque<oneshot::Sender<Result<Turn, Fault>>>>,
    /// Whether a connection is on its way.
    opening: Cell<bool>,
    /// Whether the endpoint chose HTTP/1.1 when it could have chosen.
    plain: Cell<bool>,
    retired: Cell<bool>,
    most: Cell<usize>,
    rest: Cell<Duration>,
}

/// What an exchange that wants to be sent may do.
pub enum Turn {
    /// It has a place on a connection.
    Stream(Slot),
    /// It is to open a connection.
    Open(Opening),
    /// The endpoint speaks HTTP/1.1.
    Plain,
}

/// The place of one stream, free again when it is dropped.
pub struct Slot {
    connection: Rc<Shared>,
    pool: Rc<Pool>,
    /// Whether the connection carried an exchange before.
    pub reused: bool,
    /// On the worker's clock.
    began: Cell<u64>,
}

/// The right to open a connection, given on when it is dropped.
pub struct Opening(Rc<Pool>);

impl Pool {
    /// A turn, within the time. `most` bounds the connections, `rest` is how long one may rest, and `fresh` says that
    /// those that rest now are not to be believed.
    ///
    /// # Errors
    /// [`Fault::ServiceFull`] when there is no place within the time, or too many wait already; whatever befell the
    /// connection that was waited for.
    pub async fn turn(
        self: &Rc<Self>,
        (most, rest): (usize, Duration),
        within: Duration,
        timers: &Rc<Timers>,
        fresh: bool,
    ) -> Result<Turn, Fault> {
        self.most.set(most.max(1));
        self.rest.set(rest);
        if fresh {
            self.close(|connection| connection.rests());
        }
        self.serve();
        if self.waiting.borrow().is_empty()
            && let Some(turn) = self.turn_now()
        {
            return Ok(turn);
        }
        let mut turn = self.wait()?;
        let timer = timers.timer();
        timer.arm(within);
        poll_fn(|cx| match Pin::new(&mut turn).poll(cx) {
            Poll::Ready(turn) => Poll::Ready(turn.unwrap_or(Err(Fault::ServiceFull))),
            Poll::Pending if timer.expired(cx) => Poll::Ready(Err(Fault::ServiceFull)),
            Poll::Pending => Poll::Pending,
        })
        .await
    }

    fn wait(&self) -> Result<oneshot::Receiver<Result<Turn, Fault>>, Fault> {
        let mut waiting = self.waiting.borrow_mut();
        if waiting.len() >= MOST_WAITING {
            waiting.retain(|one| !one.is_closed());
            if waiting.len() >= MOST_WAITING {
                return Err(Fault::ServiceFull);
            }
        }
        let (sender, receiver) = oneshot::channel();
        waiting.push_back(sender);
        Ok(receiver)
    }

    fn turn_now(self: &Rc<Self>) -> Option<Turn> {
        if self.plain.get() {
            return Some(Turn::Plain);
        }
        if let Some(slot) = self.reserve() {
            return Some(Turn::Stream(slot));
        }
        let connections = self.connections.borrow();
        let enough = connections.len() >= self.most.get();
        // The room of one that has only begun is not known yet.
        let may = !enough && !self.opening.get() && connections.iter().all(|one| one.is_settled());
        may.then(|| {
            self.opening.set(true);
            Turn::Open(Opening(self.clone()))
        })
    }

    /// A place on the first connection that has one, so that those behind it come to rest.
    fn reserve(self: &Rc<Self>) -> Option<Slot> {
        let mut connections = self.connections.borrow_mut();
        connections.retain(|connection| connection.is_open());
        let connection = connections.iter().find(|connection| connection.take())?.clone();
        let reused = connection.is_used();
        Some(Slot { connection, pool: self.clone(), reused, began: Cell::default() })
    }

    /// The right to open a connection to an endpoint that has chosen HTTP/1.1 before: it may choose anew.
    pub fn claim(self: &Rc<Self>) -> Opening {
        self.opening.set(true);
        Opening(self.clone())
    }

    /// Gives turns to those who wait, as far as there are any.
    pub(super) fn serve(self: &Rc<Self>) {
        loop {
            let front = {
                let mut waiting = self.waiting.borrow_mut();
                while waiting.front().is_some_and(oneshot::Sender::is_closed) {
                    waiting.pop_front();
                }
                if waiting.is_empty() {
                    return;
                }
                drop(waiting);
                let Some(turn) = self.turn_now() else { return };
                self.waiting.borrow_mut().pop_front().map(|front| (front, turn))
            };
            if let Some((front, turn)) = front {
                // One that went away just now gives its turn back by dropping it.
                let _ = front.send(Ok(turn));
            }
        }
    }

    /// Closes connections that have rested too long.
    pub fn sweep(&self, now: u64) {
        self.close(|connection| connection.rests() && connection.until.get() <= now);
    }

    /// Closes all, each with its last stream.
    pub fn retire(&self) {
        self.retired.set(true);
        self.close(|_| true);
    }

    fn close(&self, which: impl Fn(&Shared) -> bool) {
        self.connections.borrow_mut().retain(|connection| {
            let ends = which(connection);
            if ends {
                connection.close();
            }
            !ends
        });
    }
}

impl Slot {
    /// Opens the stream and sends the head of the request; nothing follows when it is `whole`.
    ///
    /// # Errors
    /// The connection takes no more: nothing has been sent.
    pub fn ask(
        &self,
        request: http::Request<()>,
        whole: bool,
    ) -> Result<(ResponseFuture, SendStream<Bytes>), h2::Error> {
        self.began.set(self.connection.now());
        self.connection.ask(request, whole)
    }

    /// The stream has waited in vain.
    pub fn doubt(&self) {
        self.connection.doubt(self.began.get());
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if self.connection.leave() {
            let rest = self.pool.rest.get();
            self.connection.rest(rest);
            if rest.is_zero() || self.pool.retired.get() {
                self.connection.close();
            }
        }
        self.pool.serve();
    }
}

impl Opening {
    /// Speaks HTTP/2 on the new connection; gives the first place on it.
    ///
    /// # Errors
    /// The connection is gone already.
    pub async fn open(self, socket: Rc<Socket>, max_head: usize) -> Result<Slot, Fault> {
        let pool = self.0.clone();
        let begun = begin(socket, max_head, Rc::downgrade(&pool)).await;
        let Ok((connection, drive)) = begun else {
            self.failed(&Fault::NoAnswer);
            return Err(Fault::NoAnswer);
        };
        tokio::task::spawn_local(drive);
        connection.take();
        pool.plain.set(false);
        // Where settings have changed meanwhile it is for this exchange alone.
        if !pool.retired.get() {
            pool.connections.borrow_mut().push(connection.clone());
        }
        Ok(Slot { connection, pool, reused: false, began: Cell::default() })
    }

    /// The endpoint has chosen HTTP/1.1.
    pub fn plain(self) {
        self.0.plain.set(true);
    }

    /// No connection came about: those who wait for it learn that now.
    pub fn failed(self, fault: &Fault) {
        let waiting = std::mem::take(&mut *self.0.waiting.borrow_mut());
        for one in waiting {
            let _ = one.send(Err(fault.clone()));
        }
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        self.0.opening.set(false);
        self.0.serve();
    }
}
