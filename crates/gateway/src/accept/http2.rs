//! The life of one client connection of HTTP/2: each stream is an exchange of its own on the one road.
//!
//! Takes a connection whose client chose HTTP/2 in the handshake, or began with it. Ends it in good order (GOAWAY) when
//! the gateway drains, it is old or has rested too long; at once when a flood comes over it.

use std::future::{Future as _, poll_fn};
use std::io::ErrorKind;
use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use h2::server::{Connection, SendResponse};
use h2::{Reason, RecvStream};
use tokio::task::JoinSet;

use super::connection::{Arrived, Bounds, closing_time, linger, wait};
use crate::fault::Fault;
use crate::http::buffer::{Buffer, SIZE};
use crate::http::client::{ClientConnection, ClientLimits};
use crate::http::http2::budget::Misuse;
use crate::http::http2::frames::kind;
use crate::http::http2::wire::{Watch, Wire};
use crate::http::http2::{self, FAREWELL, PREFACE};
use crate::http::socket::{Protocol, Socket};
use crate::http::timer::Timer;
use crate::observe::Connections;
use crate::serve;
use crate::snapshot::Listener;
use crate::snapshot::worker::Worker;

/// What a client without a handshake begins with; `None` when it went away before that was told, or was sent away.
pub(super) async fn told(
    worker: &Worker,
    settings: &Listener,
    client: &mut ClientConnection,
    arrived: &Arrived,
    counts: &Arc<Connections>,
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
            Err(error) if error.kind() == ErrorKind::TimedOut => break,
            _ => return None,
        }
    }
    if incoming.input.filled().starts_with(RESERVED) {
        let _active = counts.http2.begin();
        Teller::new(settings, arrived, counts).ended(Misuse::Slow);
        let _ = incoming.socket.write_all([&parting(Misuse::Slow.reason())], FAREWELL).await;
        return None;
    }
    // The beginning of a method too, for whose head there is no time left: it is answered as such.
    client.limits = Arc::new(ClientLimits { head_timeout: Duration::ZERO, ..(*client.limits).clone() });
    Some(Protocol::Http1)
}

/// The beginning of the preface that is the beginning of nothing else (RFC 9113 section 3.4).
const RESERVED: &[u8] = b"PRI ";

type Asked = (http::Request<RecvStream>, SendResponse<Bytes>);

/// What happens on a connection.
enum Event {
    Asked(Box<Asked>),
    /// The connection is over, because of what the client did where that is said.
    Over(Option<Misuse>),
    Misuse(Misuse),
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
    teller: Teller,
    /// Streams that became requests.
    served: u64,
    streams: JoinSet<()>,
    /// Deadline of a connection that rests or is being closed. Always armed, so that whoever wakes all deadlines wakes
    /// this connection too.
    timer: Timer,
    bounds: Bounds,
    generation: u64,
    /// Whether the end is near: a time for it has been drawn.
    closing: bool,
    /// Whether a connection whose end is near still waits for its first request.
    expectant: bool,
    /// Whether the client was told that no more is served.
    parted: bool,
}

/// The last frame of a connection on which nothing was served: GOAWAY (RFC 9113 section 6.8) with this reason.
fn parting(reason: Reason) -> [u8; 17] {
    let [a, b, c, d] = u32::from(reason).to_be_bytes();
    [0, 0, 8, kind::GOAWAY, 0, 0, 0, 0, 0, 0, 0, 0, 0, a, b, c, d]
}

/// Serves a connection of HTTP/2, of which `early` was read already, to its end.
pub(super) async fn run(
    worker: Rc<Worker>,
    settings: Arc<Listener>,
    socket: Rc<Socket>,
    early: Buffer,
    arrived: Arrived,
    counts: Arc<Connections>,
) {
    let _active = counts.http2.begin();
    let limits = settings.limits.clone();
    let watch = Watch::new(&worker.timers);
    let wire = Wire::new(socket.clone(), watch.clone(), early, limits.head_timeout, limits.write_stall);
    let teller = Teller::new(&settings, &arrived, &counts);
    let mut handshake = pin!(http2::server(&limits.head).handshake::<_, Bytes>(wire));
    let begun = poll_fn(|cx| match (handshake.as_mut().poll(cx), watch.misuse()) {
        (Poll::Ready(Ok(connection)), _) => Poll::Ready(Ok(connection)),
        (Poll::Ready(Err(error)), misuse) => Poll::Ready(Err(misuse.or_else(|| Misuse::of(&error)))),
        (Poll::Pending, Some(misuse)) => Poll::Ready(Err(Some(misuse))),
        (Poll::Pending, None) => Poll::Pending,
    });
    let connection = match begun.await {
        Ok(connection) => connection,
        Err(misuse) => {
            if let Some(misuse) = misuse {
                teller.ended(misuse);
                // A client that does not take it has gone.
                let _ = socket.write_all([&parting(misuse.reason())], FAREWELL).await;
            }
            return linger(&socket, &mut Buffer::default()).await;
        }
    };
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
        teller,
        served: 0,
        streams,
        timer,
        bounds,
        generation,
        closing: false,
        expectant: false,
        parted: false,
    };
    served.run().await;
    linger(&socket, &mut Buffer::default()).await;
}

/// Counts what clients do that ends their connections, and says so in the log.
struct Teller {
    listener: Arc<str>,
    peer: IpAddr,
    counts: Arc<Connections>,
}

impl Teller {
    fn new(listener: &Listener, arrived: &Arrived, counts: &Arc<Connections>) -> Teller {
        Teller { listener: listener.name.clone(), peer: arrived.who.ip, counts: counts.clone() }
    }

    fn ended(&self, misuse: Misuse) {
        self.counts.http2.end(misuse);
        let (listener, reason, client) = (&*self.listener, misuse.code(), self.peer);
        if self.counts.may_warn() {
            tracing::warn!(listener, reason, %client, "a connection of HTTP/2 was ended for what its client did");
        } else {
            tracing::debug!(listener, reason, %client, "a connection of HTTP/2 was ended for what its client did");
        }
    }
}

impl Http2 {
    async fn run(mut self) {
        loop {
            match poll_fn(|cx| self.poll_event(cx)).await {
                Event::Asked(asked) => self.ask(*asked),
                Event::Due if self.closing && self.served == 0 && !self.expectant => self.expect(),
                Event::Due if self.closing && !self.parted => self.part(),
                // Streams end by their own deadlines.
                Event::Due if !self.streams.is_empty() => self.timer.arm(self.settings.limits.keep_alive),
                Event::Due if !self.parted => self.part(),
                Event::Due => break,
                Event::Over(misuse) => {
                    misuse.iter().for_each(|misuse| self.teller.ended(*misuse));
                    break;
                }
                Event::Misuse(misuse) => {
                    self.teller.ended(misuse);
                    self.connection.abrupt_shutdown(misuse.reason());
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
        let unserved = self.watch.streams().saturating_sub(self.served);
        self.teller.counts.http2.unserved.fetch_add(unserved, Ordering::Relaxed);
        // Their exchanges see that the connection is gone, and each has its line in the log.
        let Http2 { connection, mut streams, watch, teller, .. } = self;
        drop(connection);
        while streams.join_next().await.is_some() {}
        watch.take_seen().into_iter().for_each(|seen| teller.counts.http2.add(seen));
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
        if let Some(seen) = self.watch.take_seen() {
            self.teller.counts.http2.add(seen);
        }
        if let Some(misuse) = self.watch.misuse() {
            return Poll::Ready(Event::Misuse(misuse));
        }
        match asked {
            Poll::Ready(Some(Ok(asked))) => Poll::Ready(Event::Asked(Box::new(asked))),
            Poll::Ready(Some(Err(error))) => Poll::Ready(Event::Over(Misuse::of(&error))),
            Poll::Ready(None) => Poll::Ready(Event::Over(None)),
            Poll::Pending if self.timer.expired(cx) => Poll::Ready(Event::Due),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Waits a little for the first request: whoever was let in just before the gateway began to drain has it on the way,
    /// and would have to ask elsewhere for nothing.
    fn expect(&mut self) {
        self.expectant = true;
        self.timer.arm(FAREWELL);
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
        let fragment = self.watch.had_fragment(respond.stream_id().as_u32());
        self.served = self.served.saturating_add(1);
        let view = self.worker.draw();
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
        let ends = !self.bounds.may_stay(&self.worker) && !self.closing;
        if (ends || self.expectant) && !self.parted {
            self.part();
        }
        let (worker, arrived, watch) = (self.worker.clone(), self.arrived.clone(), self.watch.clone());
        let limits = settings.limits.clone();
        let (asked, outflow) = http2::halves(request, respond, &worker.timers, &worker.random, fragment);
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
