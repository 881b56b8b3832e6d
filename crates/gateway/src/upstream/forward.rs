//! Sends the request to the service and its answer to the client, both streaming, with backpressure.
//!
//! Takes an exchange that policies let pass; ends when the answer is out, the client is gone or a fault is known.
//! Both directions run in one task: what the client sends goes up while the answer comes down. A request goes to
//! another endpoint when the connection failed, and once more over a fresh connection when a rested one turned out
//! dead and nothing can have happened; never otherwise.

use std::cell::Cell;
use std::future::{Future, pending, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use http1::{CHUNK_END, Fields, Framing, HeadLimits, ResponseHead, Upgrade, names};

use super::connection::{Connection, Ends};
use super::health::attempt::{self, Waiting};
use super::local::{Group, InFlight, LocalEndpoint, LocalService};
use super::request::{self, Forwarding};
use super::service::{EndpointSettings, Service};
use super::tunnel;
use crate::exchange::Exchange;
use crate::fault::Fault;
use crate::http::buffer::{give_out, take_out};
use crate::http::client::{ClientConnection, ClientLimits, ClientReader};
use crate::http::http2::websocket;
use crate::http::incoming::{Broken, Piece};
use crate::http::responder::Responder;
use crate::http::socket::Socket;
use crate::http::timer::Timers;
use crate::http::trust::Trust;
use crate::identity::sending::NO_TOKEN;
use crate::observe::Observer;
use crate::observe::histogram::add;
use crate::values::random::Random;

/// Interim answers (1xx) that are passed on for one request.
const MOST_INTERIM: u32 = 16;
/// Endpoints that are asked for a connection.
const MOST_CONNECTS: usize = 3;
/// Pieces of a body up to this size are collected before they are sent.
const COPIED: usize = 8 * 1024;

/// What forwarding needs besides the exchange.
pub struct Forward<'a> {
    /// The service to ask.
    pub service: &'a Service,
    /// The worker's view of it.
    pub local: &'a LocalService,
    /// The worker's random numbers.
    pub random: &'a Random,
    /// The worker's deadlines.
    pub timers: &'a Rc<Timers>,
    /// Which forwarding fields the service gets.
    pub forwarding: Forwarding,
    /// What is done to the head of the answer before the client gets it.
    pub shape: &'a dyn Fn(&mut Exchange),
    /// Cleans trailers as it cleaned the head.
    pub trust: &'a Trust,
    /// Whether the gateway is ending, so that the client's connection should too.
    pub closing: &'a dyn Fn() -> bool,
}

/// How far the upload is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Upload {
    Running,
    Complete,
    /// The endpoint takes no more; what it answers still counts.
    Refused,
}

/// What the two directions of an exchange know of each other.
struct Progress {
    upload: Cell<Upload>,
    answered: Cell<bool>,
    waiting: Cell<Option<Waiting>>,
}

/// A connection and whose it is.
struct Aimed {
    // Boxed, because it is handed from hand to hand.
    connection: Box<Connection>,
    endpoint: Rc<LocalEndpoint>,
    _in_flight: InFlight,
}

/// A connection that was switched to another protocol. It holds on to nothing of the snapshot: tunnels outlive many.
pub struct Switched {
    connection: Box<Connection>,
    idle_timeout: Duration,
    _in_flight: InFlight,
}

impl Switched {
    /// Carries bytes both ways until both sides have ended.
    pub async fn carry(mut self, observer: &Observer, client: &mut ClientConnection) -> Result<(), Fault> {
        let _tunnel = observer.tunnel();
        tunnel::run(&mut client.reader, &mut self.connection.incoming, self.idle_timeout).await
    }
}

/// A try that failed, and whether it may be made again.
struct Failed {
    fault: Fault,
    untouched: bool,
}

impl Forward<'_> {
    /// Asks the service. On success the answer has gone out whole, or what was switched is given back.
    pub async fn run(
        &self,
        exchange: &mut Exchange,
        client: &mut ClientConnection,
    ) -> Result<Option<Switched>, Fault> {
        if let Some(credentials) = &self.service.credentials
            && !credentials.send(exchange).await
        {
            exchange.record.why = NO_TOKEN;
            return Err(Fault::NoEndpoint);
        }
        request::prepare(exchange, self.service, self.forwarding);
        let group = self.local.group(self.service);
        exchange.record.service = Some(self.service.index);
        let mut tried = Vec::new();
        let mut fresh = false;
        loop {
            let aimed = self.open(&group, exchange, &mut tried, fresh).await?;
            let (reused, endpoint) = (aimed.connection.reused, aimed.endpoint.clone());
            match self.attempt(aimed, exchange, client).await {
                Ok(switched) => return Ok(switched),
                Err(failed) => {
                    if let Some(shard) = endpoint.shard() {
                        add(&shard.faults, 1);
                    }
                    if fresh || !reused || !failed.untouched {
                        attempt::failed(self.service, &endpoint, &failed.fault);
                        return Err(failed.fault);
                    }
                    fresh = true;
                }
            }
        }
    }

    /// A connection to an endpoint: a rested one, or a new one to the first that accepts.
    async fn open(
        &self,
        group: &Group,
        exchange: &mut Exchange,
        tried: &mut Vec<usize>,
        fresh: bool,
    ) -> Result<Aimed, Fault> {
        let mut fault = Fault::NoEndpoint;
        while tried.len() < MOST_CONNECTS {
            let Some((place, endpoint)) = group.choose(exchange, self.random, tried) else { break };
            let settings = &endpoint.shared.settings;
            request::aim(exchange, self.service, settings);
            exchange.record.endpoint = Some(settings.address);
            exchange.record.tries = exchange.record.tries.saturating_add(1);
            // Where the request cannot be sent twice, asking the kernel as well narrows the race with an origin
            // that is closing.
            let careful = !exchange.request.method.is_idempotent() || !request::is_bodyless(exchange);
            let announced = self.announced(exchange);
            let rested = if fresh { None } else { endpoint.take_idle(careful, announced) };
            let connected = match rested {
                Some(connection) => Ok(connection),
                None => {
                    if let Some(shard) = endpoint.shard() {
                        add(&shard.connects, 1);
                    }
                    self.connect(exchange, settings).await
                }
            };
            match connected {
                Ok(connection) => {
                    exchange.record.reused = connection.reused;
                    let in_flight = endpoint.enter();
                    return Ok(Aimed { connection, endpoint, _in_flight: in_flight });
                }
                Err(failed) => {
                    if let Some(shard) = endpoint.shard() {
                        add(&shard.faults, 1);
                    }
                    attempt::failed(self.service, &endpoint, &failed);
                    if failed == Fault::Timeout {
                        return Err(failed);
                    }
                    tried.push(place);
                    fault = failed;
                }
            }
        }
        Err(fault)
    }

    /// A new connection, within the time of the service and what is left of the route's.
    async fn connect(
        &self,
        exchange: &Exchange,
        endpoint: &EndpointSettings,
    ) -> Result<Box<Connection>, Fault> {
        let left = exchange.plan.timeout.map(|timeout| timeout.saturating_sub(exchange.record.elapsed()));
        let within = left.map_or(self.service.connect_timeout, |left| left.min(self.service.connect_timeout));
        let announce = self.service.proxy_protocol.zip(self.announced(exchange));
        let opened = Connection::open(endpoint, within, self.timers, announce).await;
        match opened {
            Err(Fault::ConnectTimeout) if left == Some(within) => Err(Fault::Timeout),
            opened => opened,
        }
    }

    /// The client for whom alone a connection is, where the service is told of it at the connection's beginning.
    fn announced(&self, exchange: &Exchange) -> Option<Ends> {
        self.service.proxy_protocol.map(|_| request::ends(&exchange.client))
    }

    /// One try over one connection.
    async fn attempt(
        &self,
        aimed: Aimed,
        exchange: &mut Exchange,
        client: &mut ClientConnection,
    ) -> Result<Option<Switched>, Failed> {
        let Aimed { mut connection, endpoint, _in_flight } = aimed;
        let mut out = take_out();
        http1::encode_request(&mut out, &exchange.request, true);
        let sent = exchange.record.elapsed();
        exchange.record.sent = Some(sent);
        let repeatable = exchange.request.method.is_idempotent() && request::is_bodyless(exchange);
        let progress = Progress {
            upload: Cell::new(Upload::Running),
            answered: Cell::new(false),
            waiting: Cell::new(Waiting::begin(self.service, &endpoint)),
        };
        let socket = connection.incoming.socket.clone();
        socket.read_timer.arm(self.service.answer_timeout);
        if let Some(timeout) = exchange.plan.timeout {
            client.total.arm(timeout.saturating_sub(sent));
        }
        let framing = exchange.request.framing;
        let ended = {
            // Made where they stay: to move them would be to copy a kilobyte.
            let up = pin!(self.upload(&mut client.reader, &client.limits, &socket, out, framing, &progress));
            let down = pin!(self.download(exchange, &mut client.responder, &mut connection, &progress));
            race(up, down, &progress, &client.total).await
        };
        client.total.disarm();
        match ended {
            Ok(true) => {
                learn(exchange, &endpoint);
                Ok(Some(Switched { connection, idle_timeout: self.service.idle_timeout, _in_flight }))
            }
            Ok(false) => {
                learn(exchange, &endpoint);
                self.rest(exchange, connection, &endpoint, progress.upload.get());
                Ok(None)
            }
            Err(fault) => {
                let untouched = repeatable && fault == Fault::NoAnswer && !connection.heard;
                Err(Failed { fault, untouched })
            }
        }
    }

    /// Keeps the connection for the next exchange if nothing is left on it from this one.
    fn rest(
        &self,
        exchange: &Exchange,
        connection: Box<Connection>,
        endpoint: &LocalEndpoint,
        upload: Upload,
    ) {
        let clean = upload == Upload::Complete
            && exchange.record.connection_stays
            && connection.incoming.is_done()
            && connection.incoming.input.is_empty();
        if clean {
            let told = exchange.response.keep_alive_timeout.map(|seconds| seconds.saturating_sub(1));
            let rest = told.map_or(self.service.pool_idle, |seconds| Duration::from_secs(u64::from(seconds)));
            endpoint.put_idle(connection, rest, self.service.pool_size);
        }
    }

    /// Sends the head and the body, then watches the client. Ends only with what is the client's fault.
    async fn upload(
        &self,
        reader: &mut ClientReader,
        limits: &ClientLimits,
        socket: &Socket,
        mut out: Vec<u8>,
        framing: Framing,
        progress: &Progress,
    ) -> Fault {
        // The time for the answer counts from the last byte of the request. After its head the timer is the answer's.
        let await_answer = |is_client_awaited: bool| match (progress.answered.get(), is_client_awaited) {
            (false, true) => socket.read_timer.disarm(),
            (false, false) => socket.read_timer.arm(self.service.answer_timeout),
            (true, _) => {}
        };
        let sent = send_body(reader, limits, socket, &mut out, framing, &await_answer, self.trust).await;
        give_out(out);
        match sent {
            Ok(complete) => progress.upload.set(if complete { Upload::Complete } else { Upload::Refused }),
            Err(fault) => return fault,
        }
        // After a refused upload the rest of the body stands in the stream: there is nothing to watch for.
        if progress.upload.get() == Upload::Complete { reader.watch().await } else { pending().await }
    }

    /// Receives the answer and sends it to the client. True when the connection was switched to a tunnel.
    async fn download(
        &self,
        exchange: &mut Exchange,
        responder: &mut Responder,
        connection: &mut Connection,
        progress: &Progress,
    ) -> Result<bool, Fault> {
        self.final_head(exchange, responder, connection).await?;
        progress.answered.set(true);
        if let Some(waiting) = progress.waiting.take() {
            waiting.answered(exchange.response.status);
        }
        exchange.record.answered = Some(exchange.record.elapsed());
        let head = &mut exchange.response;
        exchange.record.connection_stays = head.keep_alive && head.framing != Framing::UntilClose;
        connection.incoming.begin(head.framing);
        let switched = head.status == 101;
        if switched
            && (exchange.request.upgrade != Upgrade::WebSocket
                || head.upgrade != Upgrade::WebSocket
                || !websocket::agreed(&exchange.request, &head.fields))
        {
            return Err(Fault::AnswerUnasked);
        }
        head.remove_hop_by_hop();
        head.fields.push(names::VIA, b"1.1 tidegate");
        head.fields.set(names::X_REQUEST_ID, exchange.id.as_bytes());
        (self.shape)(exchange);
        exchange.record.upgraded = switched;
        // A body that was not read to its end would be taken for the next request.
        responder.keep_alive &= progress.upload.get() == Upload::Complete && !switched && !(self.closing)();
        responder.head(&mut exchange.response);
        if !switched {
            self.body(connection, responder).await?;
        }
        responder.flush().await.map_err(client_fault)?;
        Ok(switched)
    }

    /// The head of the final answer; interim ones go to the client at once.
    async fn final_head(
        &self,
        exchange: &mut Exchange,
        responder: &mut Responder,
        connection: &mut Connection,
    ) -> Result<(), Fault> {
        let limits = HeadLimits { head: self.service.max_head, ..HeadLimits::default() };
        for _ in 0..=MOST_INTERIM {
            connection.head(exchange.request.method, &limits, &mut exchange.response).await?;
            if !exchange.response.is_interim() {
                return Ok(());
            }
            let head: &mut ResponseHead = &mut exchange.response;
            head.remove_hop_by_hop();
            responder.interim(head).await.map_err(client_fault)?;
        }
        Err(Fault::AnswerUnasked)
    }

    async fn body(&self, connection: &mut Connection, responder: &mut Responder) -> Result<(), Fault> {
        loop {
            match connection.incoming.piece().map_err(Fault::AnswerBody)? {
                Piece::Data(span) => {
                    responder.data(connection.incoming.data(span)).await.map_err(client_fault)?;
                }
                Piece::Done => break,
                Piece::Starved => {
                    responder.flush().await.map_err(client_fault)?;
                    connection.incoming.socket.read_timer.arm(self.service.idle_timeout);
                    connection.incoming.fill().await.map_err(answer_fault)?;
                }
            }
        }
        responder.end(connection.incoming.trailers());
        Ok(())
    }
}

/// Tells the endpoint how long its answer took.
fn learn(exchange: &Exchange, endpoint: &LocalEndpoint) {
    if let (Some(sent), Some(answered)) = (exchange.record.sent, exchange.record.answered) {
        endpoint.learn(answered.saturating_sub(sent));
    }
}

/// Sends what `out` holds and then the body. False when the endpoint takes no more.
async fn send_body(
    reader: &mut ClientReader,
    limits: &ClientLimits,
    socket: &Socket,
    out: &mut Vec<u8>,
    framing: Framing,
    await_answer: &dyn Fn(bool),
    trust: &Trust,
) -> Result<bool, Fault> {
    let chunked = framing == Framing::Chunked;
    loop {
        let piece = reader.piece()?;
        let end: &[u8] = if chunked { CHUNK_END } else { b"" };
        let mut sent = Ok(());
        match piece {
            Piece::Data(span) => {
                let data = reader.data(span);
                if chunked {
                    http1::encode_chunk_line(out, data.len());
                }
                if data.len() <= COPIED && out.len() <= COPIED {
                    out.extend_from_slice(data);
                    out.extend_from_slice(end);
                    continue;
                }
                sent = socket.write_all([out, data, end], limits.write_stall).await;
                out.clear();
            }
            Piece::Done | Piece::Starved => {
                if chunked && piece == Piece::Done {
                    http1::encode_last_chunk(out, trailers(reader, trust));
                }
                if !out.is_empty() {
                    sent = socket.write_all([out], limits.write_stall).await;
                    out.clear();
                }
            }
        }
        // A client that has sent nothing yet may be waiting for the service to say that it may.
        await_answer(piece == Piece::Starved && reader.received() > 0);
        match (sent, piece) {
            (Err(_), _) => return Ok(false),
            (Ok(()), Piece::Done) => return Ok(true),
            (Ok(()), Piece::Starved) => reader.receive(limits).await?,
            (Ok(()), Piece::Data(_)) => {}
        }
    }
}

/// The trailers without those that look like an identity.
fn trailers<'r>(reader: &'r mut ClientReader, trust: &Trust) -> &'r Fields {
    let trailers = reader.trailers_mut();
    trust.clean_trailers(trailers);
    trailers
}

/// Runs both directions until the answer is out, the client is at fault, or the route's time is over before the
/// head of the answer is there. Once all is sent, the answer comes first: the upload then only watches the client.
async fn race<T>(
    mut upload: Pin<&mut impl Future<Output = Fault>>,
    mut download: Pin<&mut impl Future<Output = Result<T, Fault>>>,
    progress: &Progress,
    total: &crate::http::timer::Timer,
) -> Result<T, Fault> {
    poll_fn(|cx| {
        let sent = progress.upload.get() == Upload::Complete;
        if sent && let Poll::Ready(ended) = download.as_mut().poll(cx) {
            return Poll::Ready(ended);
        }
        if let Poll::Ready(fault) = upload.as_mut().poll(cx) {
            return Poll::Ready(Err(fault));
        }
        if !sent && let Poll::Ready(ended) = download.as_mut().poll(cx) {
            return Poll::Ready(ended);
        }
        if !progress.answered.get() && total.expired(cx) {
            return Poll::Ready(Err(Fault::Timeout));
        }
        Poll::Pending
    })
    .await
}

fn client_fault(error: std::io::Error) -> Fault {
    if error.kind() == std::io::ErrorKind::TimedOut { Fault::ClientStalled } else { Fault::ClientGone }
}

fn answer_fault(broken: Broken) -> Fault {
    match broken {
        Broken::Io(std::io::ErrorKind::TimedOut) => Fault::AnswerStalled,
        Broken::Io(_) | Broken::Rule(_) => Fault::AnswerCut,
    }
}
