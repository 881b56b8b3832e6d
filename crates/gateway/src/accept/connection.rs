//! The life of one client connection: exchanges one after the other until either side has had enough.

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::net::TcpStream;

use super::handshake::{Welcome, welcome};
use super::http2;
use crate::exchange::{Client, Exchange, Secure};
use crate::http::buffer::{Buffer, SIZE};
use crate::http::client::ClientConnection;
use crate::http::incoming::Incoming;
use crate::http::socket::{Protocol, Socket};
use crate::observe::connections::Counted;
use crate::serve::{self, Next};
use crate::snapshot::Listener;
use crate::snapshot::worker::Worker;

/// A pause between two exchanges after which a connection counts as resting.
const PAUSE: Duration = Duration::from_millis(500);
/// After the last answer the client's unread bytes are thrown away for so long, so that it can read the answer
/// before it learns that the connection is gone (RFC 9112 section 9.6).
const LINGER_TIME: Duration = Duration::from_secs(2);
/// And at most so many.
const LINGER_BYTES: usize = 1024 * 1024;

/// A client that may ask, and how it came.
#[derive(Clone)]
pub(super) struct Arrived {
    pub who: Client,
    pub secure: Option<Rc<Secure>>,
}

/// Serves a connection to its end. `who` is at the other end of it, as far as the connection tells; `counted` keeps it
/// counted among those of its listener.
pub async fn run(
    worker: Rc<Worker>,
    listener: Arc<str>,
    stream: TcpStream,
    mut who: Client,
    counted: &Counted,
) {
    let mut socket = Socket::new(stream, &worker.timers);
    let Some(settings) = worker.view().snapshot.listener(&listener).cloned() else { return };
    let Welcome { secure, early } = match settings.tls {
        None => Welcome::default(),
        // On the heap, so that a resting connection does not carry the room of its handshake.
        Some(_) => match Box::pin(welcome(&mut socket, &settings)).await {
            Some(welcome) => welcome,
            None => return,
        },
    };
    who.https |= secure.is_some();
    let socket = Rc::new(socket);
    let arrived = Arrived { who, secure };
    // Here, and nowhere else, the protocol decides how the connection goes on.
    let clear = settings.http2 && settings.tls.is_none();
    let mut client = ClientConnection::new(socket.clone(), early, settings.limits.clone());
    let protocol = match socket.alpn() {
        // On the heap, as the handshake.
        Protocol::Http1 if clear => {
            Box::pin(http2::told(&worker, &settings, &mut client, &arrived, counted.among())).await
        }
        agreed => Some(agreed),
    };
    match protocol {
        Some(Protocol::Http1) => http1(worker, listener, settings, client, arrived).await,
        Some(Protocol::Http2) => {
            let early = client.reader.connection().map(|incoming| std::mem::take(&mut incoming.input));
            drop(client);
            let early = early.unwrap_or_default();
            Box::pin(http2::run(worker, settings, socket, early, arrived, counted.among().clone())).await;
        }
        None => socket.farewell(),
    }
}

/// HTTP/1.1: one exchange after the other.
async fn http1(
    worker: Rc<Worker>,
    listener: Arc<str>,
    mut settings: Arc<Listener>,
    mut client: ClientConnection,
    arrived: Arrived,
) {
    let mut bounds = Bounds::new(&worker, &settings);
    loop {
        let generation = worker.live.generation();
        let mut exchange = worker.take_exchange();
        // On the heap, so that a resting connection does not carry the room of a running exchange.
        let burst =
            Box::pin(burst(&worker, &mut settings, &mut client, &mut exchange, &arrived, &mut bounds));
        let next = match AssertUnwindSafe(burst).catch_unwind().await {
            Ok(next) => next,
            Err(_) => serve::after_panic(&worker, &settings, &mut exchange, &mut client).await,
        };
        worker.give_exchange(exchange);
        match next {
            Next::KeepAlive => {}
            Next::Close => {
                if let Some(Incoming { socket, input, .. }) = client.reader.connection() {
                    linger(socket, input).await;
                }
                return;
            }
            // A farewell would make a cut answer look whole to a client that reads until the close.
            Next::Cut => return,
            Next::Done => return farewell(&mut client),
        }
        let rest = client.limits.keep_alive;
        if !wait(&worker, &listener, generation, &mut client, rest).await {
            return farewell(&mut client);
        }
    }
}

fn farewell(client: &mut ClientConnection) {
    if let Some(incoming) = client.reader.connection() {
        incoming.socket.farewell();
    }
}

/// Exchanges in close succession, until the client rests. A panic in one costs this connection, nothing else.
async fn burst(
    worker: &Rc<Worker>,
    settings: &mut Arc<Listener>,
    client: &mut ClientConnection,
    exchange: &mut Exchange,
    arrived: &Arrived,
    bounds: &mut Bounds,
) -> Next {
    loop {
        let pause = client.limits.keep_alive.min(PAUSE);
        let generation = worker.live.generation();
        if !wait(worker, &settings.name, generation, client, pause).await {
            // While the gateway drains, this was the time drawn for the connection to close.
            return if worker.live.draining().is_some() { Next::Close } else { Next::KeepAlive };
        }
        // Settings may have changed with a reload; the connections of a listener that is gone end.
        let view = worker.draw();
        let Some(now) = view.snapshot.listener(&settings.name) else { return Next::Close };
        if !Arc::ptr_eq(settings, now) {
            *settings = now.clone();
            client.limits = settings.limits.clone();
        }
        exchange.clear();
        exchange.client = arrived.who;
        exchange.secure.clone_from(&arrived.secure);
        let may_stay = bounds.may_stay(worker);
        let next = pin!(serve::serve(worker, view, settings, exchange, client, may_stay)).await;
        client.responder.release();
        if next != Next::KeepAlive {
            return next;
        }
    }
}

/// Waits for the next request; false when none has come in time. `generation` is that of the settings seen last.
pub(super) async fn wait(
    worker: &Worker,
    listener: &str,
    generation: u64,
    client: &mut ClientConnection,
    rest: Duration,
) -> bool {
    client.reader.wait(rest, || closing_time(worker, listener, generation)).await
}

/// How long a connection may still rest, once it is to end.
pub(super) fn closing_time(worker: &Worker, listener: &str, generation: u64) -> Option<Duration> {
    // Closed while it rests: a client that finds its request unread cannot know whether it was served.
    let gone = worker.live.generation() != generation && worker.view().snapshot.listener(listener).is_none();
    if gone { Some(Duration::ZERO) } else { worker.closing_time() }
}

/// How long a connection may live.
pub(super) struct Bounds {
    until: u64,
    left: u32,
}

impl Bounds {
    pub(super) fn new(worker: &Worker, listener: &Listener) -> Bounds {
        // A tenth less at most, drawn for each, so that connections made together do not end together.
        let jitter = |most: u64| {
            most.saturating_sub(worker.random.below(usize::try_from(most / 10).unwrap_or(0)) as u64)
        };
        let limits = &listener.limits;
        let age =
            Duration::from_millis(jitter(u64::try_from(limits.max_age.as_millis()).unwrap_or(u64::MAX)));
        let left = u32::try_from(jitter(u64::from(limits.max_requests))).unwrap_or(u32::MAX);
        Bounds { until: worker.timers.after(age), left }
    }

    /// Counts one exchange; false when the connection is to end after it.
    pub(super) fn may_stay(&mut self, worker: &Worker) -> bool {
        self.left = self.left.saturating_sub(1);
        self.left > 0 && worker.live.draining().is_none() && worker.timers.now() < self.until
    }
}

/// Lets the client read the last answer: says that no more comes, and reads on without looking.
pub(super) async fn linger(socket: &Socket, input: &mut Buffer) {
    socket.finish();
    socket.read_timer.arm(LINGER_TIME);
    let mut thrown = 0;
    while thrown < LINGER_BYTES {
        input.consume(input.len());
        match socket.fill(input, SIZE).await {
            Ok(count) if count > 0 => thrown = thrown.saturating_add(count),
            _ => return,
        }
    }
}
