//! One connection of HTTP/2 to an endpoint: opened, kept alive, closed when its last stream has ended.
//!
//! A task of its own drives it. It takes streams as far as the service allows, asks (PING) whether the service is still
//! there when streams wait and nothing comes, and takes no more once the service has said farewell (GOAWAY).

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use h2::client::{Builder, ResponseFuture, SendRequest};
use h2::{Ping, PingPong, SendStream};

use super::MOST_STREAMS;
use super::pool::Pool;
use super::wire::{Heard, Wire};
use crate::http::http2::{FRAME, MOST_LOCAL_RESETS, SEND_BUFFER, STREAM_WINDOW};
use crate::http::socket::Socket;
use crate::http::timer::{Timer, Timers};

/// Silence, while streams wait, after which the service is asked whether it is there. Servers of gRPC end a connection
/// over which they are asked more often than every five minutes.
const PING_AFTER: Duration = Duration::from_secs(330);
/// Time for its answer.
const PONG_WITHIN: Duration = Duration::from_secs(20);
/// Bytes that the service may send ahead on all streams: as many as on all of them one by one, so that clients which
/// take nothing never stop the streams of others.
const WINDOW: u32 = STREAM_WINDOW * MOST_STREAMS as u32;
/// Stands for the most streams while the service has not said how many it takes: no service says this.
const UNTOLD: usize = 0x7fff_fff1;

/// One connection.
pub struct Shared {
    /// Opens streams; `None` once it takes no more.
    opener: RefCell<Option<SendRequest<Bytes>>>,
    /// Streams under way.
    streams: Cell<usize>,
    /// Most streams at a time; `None` until the service's settings have come.
    most: Cell<Option<usize>>,
    /// On the worker's clock, until when it may rest.
    pub(super) until: Cell<u64>,
    heard: Rc<Heard>,
    timers: Rc<Timers>,
}

/// Opens connections as the gateway wants them; `max_head` bounds the head of an answer.
pub(super) fn builder(max_head: usize) -> Builder {
    let mut builder = Builder::new();
    builder
        .enable_push(false)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(WINDOW)
        .max_frame_size(FRAME)
        .max_header_list_size(u32::try_from(max_head).unwrap_or(u32::MAX))
        .max_send_buffer_size(SEND_BUFFER)
        .max_local_error_reset_streams(Some(MOST_LOCAL_RESETS))
        .initial_max_send_streams(UNTOLD);
    builder
}

/// Begins to speak HTTP/2 on a socket. Gives the connection and the task that drives it for as long as it lasts.
///
/// # Errors
/// The socket is no more.
pub async fn begin(
    socket: Rc<Socket>,
    max_head: usize,
    pool: Weak<Pool>,
) -> Result<(Rc<Shared>, impl Future<Output = ()>), h2::Error> {
    let timers = socket.read_timer.timers().clone();
    let heard = Heard::new(&timers);
    let wire = Wire::new(socket, heard.clone());
    let (opener, mut connection) = builder(max_head).handshake(wire).await?;
    let timer = timers.timer();
    let shared = Rc::new(Shared {
        opener: RefCell::new(Some(opener)),
        streams: Cell::new(0),
        most: Cell::new(None),
        until: Cell::new(u64::MAX),
        heard,
        timers,
    });
    let driven = shared.clone();
    let drive = async move {
        let mut life = Life { ping: connection.ping_pong(), asked: false, timer };
        life.timer.arm(PING_AFTER);
        poll_fn(|cx| {
            let ended = Pin::new(&mut connection).poll(cx).is_ready();
            if driven.settle(connection.max_concurrent_send_streams())
                && let Some(pool) = pool.upgrade()
            {
                pool.serve();
            }
            if ended || life.is_over(cx, &driven) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        driven.close();
        // Streams that still wait see that it is gone.
        drop(connection);
        if let Some(pool) = pool.upgrade() {
            pool.serve();
        }
    };
    Ok((shared, drive))
}

/// Whether the service is still there.
struct Life {
    ping: Option<PingPong>,
    asked: bool,
    timer: Timer,
}

impl Life {
    /// Looks at the clock; true when the service has been silent for too long.
    fn is_over(&mut self, cx: &mut Context<'_>, connection: &Shared) -> bool {
        if let Some(ping) = &mut self.ping
            && self.asked
        {
            // Any byte is a sign of life; this only makes room for the next question.
            let _ = ping.poll_pong(cx);
        }
        while self.timer.expired(cx) {
            let silent =
                Duration::from_millis(connection.timers.now().saturating_sub(connection.heard.at.get()));
            if connection.streams.get() == 0 || silent < PING_AFTER {
                self.asked = false;
                let rest = PING_AFTER.saturating_sub(silent);
                self.timer.arm(if rest.is_zero() { PING_AFTER } else { rest });
            } else if self.asked {
                return true;
            } else {
                self.asked = true;
                // Refused only where an earlier question waits for its answer still.
                let _ = self.ping.as_mut().map(|ping| ping.send_ping(Ping::opaque()));
                self.timer.arm(PONG_WITHIN);
                cx.waker().wake_by_ref();
            }
        }
        false
    }
}

impl Shared {
    /// Takes note of how many streams the service takes; true when that has changed.
    fn settle(&self, most: usize) -> bool {
        if most == UNTOLD {
            return false;
        }
        let before = self.most.replace(Some(most));
        before != Some(most)
    }

    /// Whether the service has said how many streams it takes.
    pub(super) fn is_settled(&self) -> bool {
        self.most.get().is_some()
    }

    /// Whether it may take streams at all, now or later.
    pub(super) fn is_open(&self) -> bool {
        let mut opener = self.opener.borrow_mut();
        let mut cx = Context::from_waker(Waker::noop());
        let broken =
            opener.as_mut().is_none_or(|opener| matches!(opener.poll_ready(&mut cx), Poll::Ready(Err(_))));
        if broken {
            *opener = None;
        }
        !broken
    }

    /// Streams that it takes now. Before the service has said anything, one is sure not to be too many.
    fn room(&self) -> usize {
        let most = self.most.get().map_or(1, |most| most.min(MOST_STREAMS));
        most.saturating_sub(self.streams.get())
    }

    /// Takes the place of one stream.
    pub(super) fn take(&self) -> bool {
        let free = self.room() > 0;
        if free {
            self.streams.set(self.streams.get().saturating_add(1));
        }
        free
    }

    /// Gives it back; true when no stream is left.
    pub(super) fn leave(&self) -> bool {
        let left = self.streams.get().saturating_sub(1);
        self.streams.set(left);
        left == 0
    }

    /// Whether no stream is under way.
    pub(super) fn rests(&self) -> bool {
        self.streams.get() == 0
    }

    /// Whether it carried an exchange before the one that is about to begin.
    pub(super) fn is_used(&self) -> bool {
        self.heard.opened.get() > 0
    }

    /// Lets it rest for so long.
    pub(super) fn rest(&self, time: Duration) {
        self.until.set(self.timers.after(time));
    }

    /// The worker's clock now.
    pub(super) fn now(&self) -> u64 {
        self.timers.now()
    }

    /// A stream that began then has waited in vain: if nothing at all has come since, the connection takes no more.
    pub(super) fn doubt(&self, began: u64) {
        if self.heard.at.get() <= began {
            self.close();
        }
    }

    /// Takes no more streams; the connection ends with the last one.
    pub(super) fn close(&self) {
        self.opener.borrow_mut().take();
    }

    /// Opens a stream and sends the head of a request; nothing follows when it is `whole`.
    ///
    /// # Errors
    /// The connection takes no more: nothing has been sent.
    pub(super) fn ask(
        &self,
        request: http::Request<()>,
        whole: bool,
    ) -> Result<(ResponseFuture, SendStream<Bytes>), h2::Error> {
        let mut opener = self.opener.borrow_mut();
        let Some(opener) = opener.as_mut() else { return Err(h2::Reason::REFUSED_STREAM.into()) };
        let asked = opener.send_request(request, whole)?;
        self.heard.opened.set(self.heard.opened.get().saturating_add(1));
        Ok(asked)
    }
}
