//! The road: one exchange from its first byte to its log line.
//!
//! Takes a client's connection on which something has arrived; reads one request, finds its route, runs the
//! policies, asks the service or answers itself, and tells what happened. Says whether the connection may go on.
//! A fault before the head of the answer becomes a response; after it, the answer is cut so that nobody takes it
//! for whole.

mod aggregate;
mod ask;
pub mod door;
mod errand;
mod judging;
mod ladder;
mod mirror;
mod patience;
mod shaped_body;
mod signed_body;
mod tell;
mod transcoded;

use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http1::{Fields, Framing, Method};

use crate::exchange::{Answer, Exchange, RequestId, Trace, programs};
use crate::fault::{Blame, Fault, response};
use crate::http::client::{ClientConnection, ClientReader};
use crate::http::preflight;
use crate::http::reshaped::client_fault;
use crate::http::target;
use crate::observe::Labels;
use crate::policies::rewrite::location;
use crate::policies::{self, Stop};
use crate::route::compiled::{Action, Route};
use crate::route::params::Params;
use crate::route::table::Lookup;
use crate::snapshot::worker::{View, Worker};
use crate::snapshot::{Listener, Snapshot};
use crate::upstream::forward::Switched;
use crate::values::Template;
use crate::values::random::Random;
use tell::{labels, tell};

/// Rest of an unread body that is read and thrown away to keep a connection.
const MOST_DRAINED: u64 = 64 * 1024;
/// Time for that.
const DRAIN_TIME: Duration = Duration::from_secs(2);

/// What becomes of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// It may carry another exchange.
    KeepAlive,
    /// It is to be closed; the client may still be sending.
    Close,
    /// It is to be closed as the client asked; it sends nothing more.
    Done,
    /// It is to be reset: what was sent of the answer must not pass for all of it.
    Cut,
}

/// Serves one exchange by the snapshot of `view`. `may_stay` says whether the connection may go on after it, for all
/// that the connection knows.
pub async fn serve(
    worker: &Rc<Worker>,
    view: Rc<View>,
    listener: &Listener,
    exchange: &mut Exchange,
    client: &mut ClientConnection,
    may_stay: bool,
) -> Next {
    let now = Instant::now();
    exchange.record.begin(now, worker.wall_clock(now));
    let received = patience::head(exchange, client).await;
    let _in_flight = worker.observer.begin();
    let keep_alive = may_stay && exchange.request.keep_alive && received == Ok(true);
    let (method, version) = (exchange.request.method, exchange.request.version);
    client.responder.begin(method, version, keep_alive, client.limits.write_stall);
    exchange.record.method = method;
    name(&worker.random, exchange);
    worker.observer.sample(&mut exchange.trace);
    let outcome = match received {
        Ok(false) => return Next::Close,
        Ok(true) => pin!(road(worker, &view, listener, exchange, client)).await,
        Err(fault) => Err(fault),
    };
    match outcome {
        Ok(None) => {}
        Ok(Some(switched)) => return carry(worker, view, listener, exchange, client, switched).await,
        Err(fault) => fail(&view, listener, exchange, client, fault).await,
    }
    judging::tell(exchange, &client.reader);
    while let Some(mut again) = exchange.errand.take() {
        exchange.errand = again.errand.take();
        errand::send(worker, &view, listener, again);
    }
    let drained = !client.responder.keep_alive || client.reader.drain(DRAIN_TIME).await;
    let labels = labels(&view.snapshot, listener, exchange);
    tell(worker, &labels, view.counted(exchange.record.route).map(|shard| &**shard), exchange, client);
    match (client.responder.is_cut, drained && client.responder.keep_alive) {
        (true, _) => Next::Cut,
        (false, true) => Next::KeepAlive,
        (false, false) if is_last(exchange, client) => Next::Done,
        (false, false) => Next::Close,
    }
}

/// Whether the client said that this is its last request, and everything it sent has been read.
fn is_last(exchange: &Exchange, client: &ClientConnection) -> bool {
    client.reader.is_empty() && !exchange.request.keep_alive && exchange.record.fault.is_none()
}

/// The way of a request that was received well.
async fn road(
    worker: &Rc<Worker>,
    view: &Rc<View>,
    listener: &Listener,
    exchange: &mut Exchange,
    client: &mut ClientConnection,
) -> Result<Option<Switched>, Fault> {
    client.reader.begin_body(&exchange.request, listener.body_limit);
    let has_params = receive(listener, exchange)?;
    if let Some(answer) = door::answer(&view.snapshot, listener, exchange)? {
        let body = response::respond(exchange, &answer);
        return send(listener, exchange, client, &body).await.map(|()| None);
    }
    let route = find_route(&view.snapshot, exchange, has_params, &mut worker.params.borrow_mut())?;
    if let Err(stop) = patience::policies(route, exchange, client).await? {
        return stopped(listener, route, exchange, client, stop).await.map(|()| None);
    }
    if exchange.judges.is_some()
        && let Some(refusal) = Box::pin(judging::refusal(listener, exchange, client)).await?
    {
        return answer_here(listener, route, exchange, client, &refusal).await.map(|()| None);
    }
    match &route.action {
        Action::Forward(..) | Action::Split(_) => {
            if (exchange.plan.digest.is_some() || exchange.shaping.is_some())
                && let Some(refusal) = Box::pin(signed_body::refusal(listener, exchange, client)).await?
            {
                return answer_here(listener, route, exchange, client, &refusal).await.map(|()| None);
            }
            let outcome = pin!(ask::ask_for(worker, view, listener, route, exchange, client)).await;
            match outcome {
                Ok(None) if exchange.instead.is_some() => {
                    send_instead(listener, exchange, client).await.map(|()| None)
                }
                Err(fault) if rescued(route, exchange, client, &fault) => {
                    send_instead(listener, exchange, client).await.map(|()| None)
                }
                outcome => outcome,
            }
        }
        Action::Aggregate(aggregate) => {
            let asked = (route, &**aggregate);
            Box::pin(aggregate::answer(worker, view, listener, asked, exchange, client)).await.map(|()| None)
        }
        Action::Respond(answer) => {
            answer_here(listener, route, exchange, client, answer).await.map(|()| None)
        }
        Action::Mock(mock) => {
            let answer = mock.answer(exchange);
            answer_here(listener, route, exchange, client, &answer).await.map(|()| None)
        }
        Action::Redirect { status, location } => {
            let answer = redirect(exchange, *status, location);
            answer_here(listener, route, exchange, client, &answer).await.map(|()| None)
        }
    }
}

/// Answers a request that goes no further than to a policy.
async fn stopped(
    listener: &Listener,
    route: &Route,
    exchange: &mut Exchange,
    client: &mut ClientConnection,
    stop: Stop,
) -> Result<(), Fault> {
    match stop {
        Stop::With(answer) => answer_here(listener, route, exchange, client, &answer).await,
        Stop::Answered => {
            policies::answered(&route.policies, exchange);
            send_instead(listener, exchange, client).await
        }
    }
}

/// Whether a policy has an answer where the service gave none.
fn rescued(route: &Route, exchange: &mut Exchange, client: &ClientConnection, fault: &Fault) -> bool {
    let facts = fault.facts();
    let rescued = facts.blame == Blame::Service
        && !client.responder.head_sent
        && policies::rescue(&route.policies, exchange, fault);
    if rescued {
        exchange.record.why = facts.code.into();
    }
    rescued
}

/// Carries a tunnel to its end. That may be after many reloads, so it keeps of the configuration only what its line
/// will say.
async fn carry(
    worker: &Worker,
    view: Rc<View>,
    listener: &Listener,
    exchange: &mut Exchange,
    client: &mut ClientConnection,
    switched: Switched,
) -> Next {
    let Labels { route, service, revision, .. } = labels(&view.snapshot, listener, exchange);
    let (route, service) = (route.to_owned(), service.to_owned());
    let counted = view.counted(exchange.record.route).cloned();
    drop(view);
    if let Err(fault) = switched.carry(&worker.observer, client).await {
        cut(exchange, client, &fault);
        exchange.record.fault = Some(fault);
    }
    let labels = Labels { route: &route, service: &service, revision, listener: &listener.name };
    tell(worker, &labels, counted.as_deref(), exchange, client);
    if client.responder.is_cut { Next::Cut } else { Next::Close }
}

// What follows down to `answer_fault` is all that decides about a request: `explain` calls it too.

/// Gives the exchange its names: request id and trace.
pub fn name(random: &Random, exchange: &mut Exchange) {
    let fields = &exchange.request.fields;
    let parent = fields.get(http1::names::TRACEPARENT);
    let trace = parent.and_then(|parent| Trace::from_parent(parent, random));
    exchange.trace = trace.unwrap_or_else(|| Trace::start(random));
    let brought = fields.get(http1::names::X_REQUEST_ID).and_then(RequestId::from_client);
    exchange.id = brought.unwrap_or_else(|| RequestId::from_trace(&exchange.trace));
}

/// Takes the request apart and removes what is not believed. True when its path has `;parameters`.
pub fn receive(listener: &Listener, exchange: &mut Exchange) -> Result<bool, Fault> {
    let reject = listener.limits.reject_encoded_slash;
    let has_params = target::take_apart(exchange, reject).map_err(Fault::Target)?;
    listener.trust.receive(exchange);
    Ok(has_params)
}

/// The route of the request.
pub fn find_route<'s>(
    snapshot: &'s Snapshot,
    exchange: &mut Exchange,
    has_params: bool,
    params: &mut Params,
) -> Result<&'s Route, Fault> {
    if snapshot.bans.refuse(exchange.client.ip) {
        return Err(Fault::Banned);
    }
    let method = exchange.request.method;
    if matches!(method, Method::Connect | Method::Trace) {
        return Err(Fault::MethodRefused(method));
    }
    let lookup = Lookup {
        method,
        method_text: exchange.request.method_text(),
        host: &exchange.host,
        path: &exchange.path,
        query: &exchange.query,
        fields: &exchange.request.fields,
    };
    // A preflight asks about another request, so it is for the route of that one, if that route answers preflights.
    let asked = preflight::asked_method(&exchange.request).and_then(|asked| {
        let lookup = Lookup { method: Method::from_bytes(asked), method_text: asked, ..lookup };
        let place = find_place(snapshot, &lookup, has_params, params).ok()?;
        snapshot.route(place).filter(|route| route.takes_preflights()).map(|_| place)
    });
    let place = match asked {
        Some(place) => place,
        None => find_place(snapshot, &lookup, has_params, params)?,
    };
    for (name, value) in snapshot.table.params(params, &exchange.path) {
        exchange.captures.push(name, value);
    }
    exchange.record.route = Some(place);
    snapshot.route(place).ok_or(Fault::NoRoute)
}

/// The place of the one route that takes a request, with and without the `;parameters` of its path.
fn find_place(
    snapshot: &Snapshot,
    lookup: &Lookup<'_>,
    has_params: bool,
    params: &mut Params,
) -> Result<u32, Fault> {
    if has_params && let Some(bare) = target::bare_path(lookup.path) {
        let with = snapshot.table.find(lookup, params).map(|found| found.value);
        let without =
            snapshot.table.find(&Lookup { path: &bare, ..*lookup }, params).map(|found| found.value);
        if with != without {
            return Err(Fault::AmbiguousPath);
        }
    }
    match snapshot.table.find(lookup, params) {
        Ok(found) => Ok(found.value),
        Err(missed) if missed.allowed.is_empty() => Err(Fault::NoRoute),
        Err(_) => Err(Fault::MethodNotAllowed(snapshot.table.allow(lookup, params))),
    }
}

/// Most bytes that the body may have. One that says it is larger is refused before anything is sent.
pub fn body_limit(exchange: &Exchange, listener: &Listener) -> Result<u64, Fault> {
    let limit = exchange.plan.body_limit.unwrap_or(listener.body_limit);
    match exchange.request.framing {
        Framing::Length(length) if length > limit => Err(Fault::BodyTooLarge(limit)),
        _ => Ok(limit),
    }
}

/// The answer that sends the client elsewhere.
pub fn redirect(exchange: &Exchange, status: u16, to: &Template) -> Answer {
    Answer::empty(status, "redirect").with("Location", location::location(exchange, to))
}

/// Makes the answer of a route, or of its policies, the response of the exchange; gives its body.
pub fn answer(route: &Route, exchange: &mut Exchange, answer: &Answer) -> Arc<[u8]> {
    let body = response::respond(exchange, answer);
    policies::response(&route.policies, exchange);
    exchange.instead.take().map_or(body, |instead| Arc::from(&*instead))
}

/// Makes a fault the response of the exchange; gives its body.
pub fn answer_fault(snapshot: &Snapshot, exchange: &mut Exchange, fault: &Fault) -> Arc<[u8]> {
    let body = response::respond_fault(exchange, fault);
    match exchange.record.route.and_then(|place| snapshot.route(place)) {
        Some(route) => policies::response(&route.policies, exchange),
        None => policies::response(snapshot.stranger.as_slice(), exchange),
    }
    body
}

/// Answers without asking a service.
async fn answer_here(
    listener: &Listener,
    route: &Route,
    exchange: &mut Exchange,
    client: &mut ClientConnection,
    told: &Answer,
) -> Result<(), Fault> {
    let body = answer(route, exchange, told);
    send(listener, exchange, client, &body).await
}

/// Sends the answer that a policy has put into the exchange.
async fn send_instead(
    listener: &Listener,
    exchange: &mut Exchange,
    client: &mut ClientConnection,
) -> Result<(), Fault> {
    let mut body = exchange.instead.take().unwrap_or_default();
    if exchange.shaping.is_some() {
        body = Box::pin(by_program(exchange, body)).await?;
    }
    send(listener, exchange, client, &body).await
}

/// What programs make of a body that is there already.
async fn by_program(exchange: &mut Exchange, body: Bytes) -> Result<Bytes, Fault> {
    let Some(plan) = exchange.shaping.as_mut().and_then(|shaping| shaping.long_answer()) else {
        return Ok(body);
    };
    programs::made_answer(*plan, exchange, body.to_vec()).await.map(Bytes::from)
}

async fn send(
    listener: &Listener,
    exchange: &mut Exchange,
    client: &mut ClientConnection,
    body: &[u8],
) -> Result<(), Fault> {
    door::dress(listener, exchange);
    let responder = &mut client.responder;
    responder.keep_alive &= can_drain(exchange, &client.reader);
    responder.head(&mut exchange.response);
    let sent = async {
        responder.data(body).await?;
        responder.end(&Fields::default())?;
        responder.flush().await
    };
    sent.await.map_err(client_fault)
}

/// Makes a response of a fault, if there is still somebody to tell.
async fn fail(
    view: &View,
    listener: &Listener,
    exchange: &mut Exchange,
    client: &mut ClientConnection,
    fault: Fault,
) {
    let gone = matches!(fault, Fault::ClientGone | Fault::ClientStalled);
    client.responder.keep_alive &= !fault.ends_connection();
    if client.responder.head_sent || gone {
        cut(exchange, client, &fault);
    } else {
        // What is said now is not the service's, though it may have answered.
        exchange.record.answered = None;
        let body = answer_fault(&view.snapshot, exchange, &fault);
        // A second fault while telling the first means that the client is gone.
        if send(listener, exchange, client, &body).await.is_err() {
            client.responder.cut();
        }
    }
    exchange.record.fault = Some(fault);
}

/// Breaks an answer off.
fn cut(exchange: &mut Exchange, client: &mut ClientConnection, fault: &Fault) {
    client.responder.cut();
    exchange.record.reason = fault.facts().code;
}

/// Whether what is left of the body can be read and thrown away, so that the connection may go on.
fn can_drain(exchange: &Exchange, reader: &ClientReader) -> bool {
    let small = reader.remaining().is_some_and(|left| left <= MOST_DRAINED);
    reader.is_done() || (small && !exchange.request.expect_continue)
}

/// What is left to do for an exchange that panicked.
pub async fn after_panic(
    worker: &Worker,
    listener: &Listener,
    exchange: &mut Exchange,
    client: &mut ClientConnection,
) -> Next {
    let view = worker.view();
    client.responder.keep_alive = false;
    fail(&view, listener, exchange, client, Fault::Panic).await;
    let labels = labels(&view.snapshot, listener, exchange);
    tell(worker, &labels, view.counted(exchange.record.route).map(|shard| &**shard), exchange, client);
    if client.responder.is_cut { Next::Cut } else { Next::Close }
}
