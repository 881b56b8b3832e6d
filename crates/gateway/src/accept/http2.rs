//! The life of one client connection of HTTP/2: each stream is an exchange of its own on the one road.
//!
//! Takes a connection whose client chose HTTP/2 in the handshake, or began with it. Ends it in good order (GOAWAY) when
//! the gateway drains, it is old or has rested too long; at once when a flood comes over it.

use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::FutureExt;
use h2::server::{Connection, SendResponse};
use h2::{Reason, RecvStream};
use tokio::task::JoinSet;

use super::connection::{Arrived, Bounds, closing_time, linger, wait};
use crate::fault::Fault;
use crate::http::buffer::{Buffer, SIZE};
use crate::http::client::ClientConnection;
use crate::http::http2::budget::Flood;
use crate::http::http2::wire::{Watch, Wire};
use crate::http::http2::{self, FAREWELL, PREFACE};
use crate::http::socket::{Protocol, Socket};
use crate::http::timer::Timer;
use crate::serve;
use crate::snapshot::Listener;
use crate::snapshot::worker::Worker;

/// What a client without a handshake begins with; `None` when it went away before that was told.
pub(super) async fn told(
    worker: &Worker,
    settings: &Listener,
    client: &mut ClientConnection,
) -> Option<Protocol> {
    let rest = settings.limits.keep_alive;
    if !wait(worker, &settings.name, worker.live.generation(), client, rest).await {
        return None;
    }
    let incoming = client.reader.connection()?;
    incoming.socket.read_timer.arm(settings.limits.head_timeout);
    loop {
        let begun = incoming.input.filled();
        if begun.starts_with(PREFACE) {
            return Some(Protocol::Http2);
        }
        if !PREFACE.starts_with(begun) {
            return Some(Protocol::Http1);
        }
        match incoming.socket.fill(&mut incoming.input, SIZE).await {
            Ok(count) if count > 0 => {}
            _ => return None,
        }
    }
}

type Asked = (http::Request<RecvStream>, SendResponse<Bytes>);

/// What happens on a connection.
enum Event {
    Asked(Box<Asked>),
    /// The connection is over.
    Over,
    Flood(Flood),
    /// The time for resting, or for saying farewell, is over.
    Due,
}

/// One connection.
struct Http2 {
    worker: Rc<Worker>,
    settings: Arc<Listener>,
    arrived: Arrived,
    connection: Connection<Wire, Bytes>,
    watch: Rc<Watch>,
    streams: JoinSet<()>,
    /// Deadline of a connection that rests or is being closed. Always armed, so that whoever wakes all deadlines wakes
    /// this connection too.
    timer: Timer,
    bounds: Bounds,
    generation: u64,
    /// Whether the end is near: a time for it has been drawn.
    closing: bool,
    /// Whether the client was told that no more is served.
    parted: bool,
}

/// Serves a connection of HTTP/2, of which `early` was read already, to its end.
pub(super) async fn run(
    worker: Rc<Worker>,
    settings: Arc<Listener>,
    socket: Rc<Socket>,
    early: Buffer,
    arrived: Arrived,
) {
    let limits = settings.limits.clone();
    let watch = Watch::new(&worker.timers);
    let wire = Wire::new(socket.clone(), watch.clone(), early, limits.head_timeout, limits.write_stall);
    let Ok(connection) = http2::server(&limits.head).handshake::<_, Bytes>(wire).await else { return };
    let timer = worker.timers.timer();
    timer.arm(limits.keep_alive);
    let (bounds, generation) = (Bounds::new(&worker, &settings), worker.live.generation());
    let streams = JoinSet::new();
    let served = Http2 {
        worker,
        settings,
        arrived,
        connection,
        watch,
        streams,
        timer,
        bounds,
        generation,
        closing: false,
        parted: false,
    };
    served.run().await;
    linger(&socket, &mut Buffer::default()).await;
}

impl Http2 {
    async fn run(mut self) {
        loop {
            match poll_fn(|cx| self.poll_event(cx)).await {
                Event::Asked(asked) => self.ask(*asked),
                Event::Due if self.closing && !self.parted => self.part(),
                // Streams end by their own deadlines.
                Event::Due if !self.streams.is_empty() => self.timer.arm(self.settings.limits.keep_alive),
                Event::Due if !self.parted => self.part(),
                Event::Due | Event::Over => break,
                Event::Flood(flood) => {
                    tracing::debug!(listener = %self.settings.name, flood = flood.code(), "a flood over HTTP/2");
                    self.connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
                    self.timer.arm(FAREWELL);
                    poll_fn(|cx| match self.connection.poll_closed(cx) {
                        Poll::Pending if !self.timer.expired(cx) => Poll::Pending,
                        _ => Poll::Ready(()),
                    })
                    .await;
                    break;
                }
            }
        }
        // Their exchanges see that the connection is gone, and each has its line in the log.
        let Http2 { connection, mut streams, .. } = self;
        drop(connection);
        while streams.join_next().await.is_some() {}
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        let had = !self.streams.is_empty();
        while let Poll::Ready(Some(_)) = self.streams.poll_join_next(cx) {}
        if had && self.streams.is_empty() && !self.closing {
            self.timer.arm(self.settings.limits.keep_alive);
        }
        if !self.closing
            && let Some(rest) = closing_time(&self.worker, &self.settings.name, self.generation)
        {
            self.closing = true;
            self.timer.arm(rest);
        }
        let asked = self.connection.poll_accept(cx);
        if let Some(flood) = self.watch.flood() {
            return Poll::Ready(Event::Flood(flood));
        }
        match asked {
            Poll::Ready(Some(Ok(asked))) => Poll::Ready(Event::Asked(Box::new(asked))),
            Poll::Ready(Some(Err(_)) | None) => Poll::Ready(Event::Over),
            Poll::Pending if self.timer.expired(cx) => Poll::Ready(Event::Due),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Says that no more is served; what was asked before is.
    fn part(&mut self) {
        (self.closing, self.parted) = (true, true);
        self.connection.graceful_shutdown();
        self.timer.arm(FAREWELL);
    }

    /// Serves a request as a task of its own.
    fn ask(&mut self, (request, mut respond): Asked) {
        self.watch.opened();
        let view = self.worker.view();
        // Settings may have changed with a reload; the connections of a listener that is gone end.
        let Some(settings) = view.snapshot.listener(&self.settings.name).cloned() else {
            respond.send_reset(Reason::REFUSED_STREAM);
            if !self.parted {
                self.part();
            }
            return;
        };
        self.settings = settings.clone();
        self.generation = self.worker.live.generation();
        if !self.bounds.may_stay(&self.worker) && !self.closing {
            self.part();
        }
        let (worker, arrived, watch) = (self.worker.clone(), self.arrived.clone(), self.watch.clone());
        let limits = settings.limits.clone();
        let (asked, outflow) = http2::halves(request, respond, &worker.timers);
        let mut client = ClientConnection::of_stream(asked, outflow, limits, worker.timers.timer());
        self.streams.spawn_local(async move {
            let mut exchange = worker.take_exchange();
            exchange.clear();
            exchange.client = arrived.who;
            exchange.secure = arrived.secure;
            let served = serve::serve(&worker, view, &settings, &mut exchange, &mut client, true);
            if AssertUnwindSafe(served).catch_unwind().await.is_err() {
                serve::after_panic(&worker, &settings, &mut exchange, &mut client).await;
            }
            if exchange.record.fault == Some(Fault::ClientGone) {
                watch.given_up();
            }
            client.responder.release();
            worker.give_exchange(exchange);
        });
    }
}
