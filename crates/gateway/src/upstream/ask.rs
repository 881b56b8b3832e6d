//! Asks a service a question of the gateway's own, on the worker that needs to know.
//!
//! Takes a question and the time for all of it; gives the head of the answer. Connections rest between questions, a few for
//! each endpoint and worker. What follows the head is read and thrown away beside the road, within bounds, so that nobody
//! waits for it. A question must be one that may be asked twice: it is, when a connection that rested turns out dead.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http1::{Framing, HeadLimits, names};

use super::connection::Connection;
use super::request;
use super::service::{Endpoint, HostHeader, Service};
use crate::exchange::Exchange;
use crate::fault::Fault;
use crate::http::buffer::{give_out, take_out};
use crate::http::incoming::Piece;
use crate::http::timer::Timers;

/// Endpoints that are asked for a connection.
const MOST_CONNECTS: usize = 3;
/// Interim answers (1xx) that are passed over.
const MOST_INTERIM: u32 = 16;
/// Bytes of a body, and the time, that are spent on keeping a connection.
const MOST_DRAINED: u64 = 64 * 1024;
const DRAIN_TIME: Duration = Duration::from_secs(1);
/// How often connections that rested too long are looked for.
const SWEEP: Duration = Duration::from_secs(5);

/// Asks; the head of the answer is the response of `question`, which is nobody's exchange but a request being made.
///
/// # Errors
/// Why there is no answer within the time.
pub async fn ask(service: &Service, question: &mut Exchange, within: Duration) -> Result<(), Fault> {
    match tokio::time::timeout(within, try_to_ask(service, question)).await {
        Ok(asked) => asked,
        Err(_) => Err(Fault::AnswerTimeout),
    }
}

async fn try_to_ask(service: &Service, question: &mut Exchange) -> Result<(), Fault> {
    if let Some(credentials) = &service.credentials
        && !credentials.send(question).await
    {
        return Err(Fault::NoEndpoint);
    }
    if let HostHeader::Fixed(host) = &service.host {
        question.request.fields.set(names::HOST, host);
    }
    let named = question.request.fields.contains(names::HOST);
    let endpoints = service.live.endpoints();
    let well: Vec<_> = endpoints.iter().filter(|endpoint| is_well(endpoint)).collect();
    let mut fault = Fault::NoEndpoint;
    let turn = TURN.with(|turn| turn.replace(turn.get().wrapping_add(1)));
    let first = turn.checked_rem(well.len()).unwrap_or(0);
    for endpoint in well.iter().cycle().skip(first).take(well.len().min(MOST_CONNECTS)) {
        if !named {
            question.request.fields.remove(names::HOST);
        }
        request::aim(question, service, &endpoint.settings);
        while let Some(connection) = take_rested(endpoint) {
            match converse(service, connection, endpoint, question).await {
                Err(Failed { untouched: true, .. }) => {}
                ended => return ended.map_err(|failed| failed.fault),
            }
        }
        let timers = TIMERS.with(Rc::clone);
        match Connection::open(&endpoint.settings, true, service.connect_timeout, &timers, None).await {
            Ok(connection) => {
                let ended = converse(service, connection, endpoint, question).await;
                return ended.map_err(|failed| failed.fault);
            }
            Err(failed) => fault = failed,
        }
    }
    Err(fault)
}

fn is_well(endpoint: &Endpoint) -> bool {
    !endpoint.health.is_drained() && endpoint.health.share() > 0
}

/// A try that failed, and whether nothing of it can have been heard.
struct Failed {
    fault: Fault,
    untouched: bool,
}

async fn converse(
    service: &Service,
    mut connection: Box<Connection>,
    endpoint: &Arc<Endpoint>,
    question: &mut Exchange,
) -> Result<(), Failed> {
    let mut out = take_out();
    http1::encode_request(&mut out, &question.request, true);
    // The whole question has an end in time, so that no direction needs one of its own.
    let sent = connection.incoming.socket.write_all([&out], Duration::MAX).await;
    give_out(out);
    let limits = HeadLimits { head: service.max_head, ..HeadLimits::default() };
    let heard = match sent {
        Ok(()) => final_head(&mut connection, &limits, question).await,
        Err(_) => Err(Fault::NoAnswer),
    };
    if let Err(fault) = heard {
        let untouched = connection.reused && !connection.heard && fault == Fault::NoAnswer;
        return Err(Failed { fault, untouched });
    }
    let head = &question.response;
    let stays = head.keep_alive && head.framing != Framing::UntilClose && head.status != 101;
    if stays && !service.pool_idle.is_zero() && service.pool_size > 0 {
        connection.incoming.begin(head.framing);
        let rest = match head.keep_alive_timeout {
            Some(seconds) => Duration::from_secs(u64::from(seconds.saturating_sub(1))),
            None => service.pool_idle,
        };
        keep(connection, endpoint.clone(), rest, service.pool_size);
    }
    Ok(())
}

async fn final_head(
    connection: &mut Connection,
    limits: &HeadLimits,
    question: &mut Exchange,
) -> Result<(), Fault> {
    for _ in 0..=MOST_INTERIM {
        connection.head(question.request.method, limits, &mut question.response).await?;
        if !question.response.is_interim() {
            return Ok(());
        }
    }
    Err(Fault::AnswerUnasked)
}

/// A connection at rest.
struct Rested {
    connection: Box<Connection>,
    endpoint: Arc<Endpoint>,
    until: Instant,
}

thread_local! {
    static RESTED: RefCell<Vec<Rested>> = const { RefCell::new(Vec::new()) };
    static SWEEPING: Cell<bool> = const { Cell::new(false) };
    static TURN: Cell<usize> = const { Cell::new(0) };
    /// Nobody moves this clock: the deadline of a question is that of whoever asks.
    static TIMERS: Rc<Timers> = Timers::new();
}

/// A connection that rests and is still good.
fn take_rested(endpoint: &Arc<Endpoint>) -> Option<Box<Connection>> {
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    loop {
        let rested = RESTED.with(|all| {
            let mut all = all.borrow_mut();
            let place = all.iter().rposition(|rested| Arc::ptr_eq(&rested.endpoint, endpoint))?;
            Some(all.swap_remove(place))
        })?;
        let stirred = rested.connection.incoming.socket.stirred(&mut cx, true);
        if !stirred && Instant::now() < rested.until {
            return Some(rested.connection);
        }
    }
}

/// Keeps a connection for the next question, once what is left of the answer has come.
fn keep(mut connection: Box<Connection>, endpoint: Arc<Endpoint>, rest: Duration, most: usize) {
    if is_read(&mut connection) == Some(true) {
        return put(connection, endpoint, rest, most);
    }
    // Beside the road: who asked goes on with what the head says.
    tokio::task::spawn_local(async move {
        let drained = async {
            loop {
                match is_read(&mut connection) {
                    Some(false) => connection.incoming.fill().await.ok()?,
                    Some(true) => return Some(connection),
                    None => return None,
                };
            }
        };
        if let Ok(Some(connection)) = tokio::time::timeout(DRAIN_TIME, drained).await {
            put(connection, endpoint, rest, most);
        }
    });
}

/// Whether the body has been read to its end; none when it is broken or too large.
fn is_read(connection: &mut Connection) -> Option<bool> {
    loop {
        match connection.incoming.piece().ok()? {
            Piece::Data(_) if connection.incoming.received > MOST_DRAINED => return None,
            Piece::Data(_) => {}
            Piece::Done => return connection.incoming.input.is_empty().then_some(true),
            Piece::Starved => return Some(false),
        }
    }
}

fn put(mut connection: Box<Connection>, endpoint: Arc<Endpoint>, rest: Duration, most: usize) {
    let Some(until) = Instant::now().checked_add(rest) else { return };
    connection.rest();
    RESTED.with(|all| {
        let mut all = all.borrow_mut();
        if all.iter().filter(|rested| Arc::ptr_eq(&rested.endpoint, &endpoint)).count() < most {
            all.push(Rested { connection, endpoint, until });
        }
    });
    if !SWEEPING.replace(true) {
        tokio::task::spawn_local(sweep());
    }
}

/// Closes connections that rested too long, and those to endpoints that nobody else knows, as long as there are any.
async fn sweep() {
    loop {
        tokio::time::sleep(SWEEP).await;
        let now = Instant::now();
        let is_empty = RESTED.with(|all| {
            let mut all = all.borrow_mut();
            all.retain(|rested| rested.until > now);
            all.is_empty()
        });
        if is_empty {
            SWEEPING.set(false);
            return;
        }
    }
}
