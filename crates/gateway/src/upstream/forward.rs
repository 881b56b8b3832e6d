//! Sends the request to the service and its answer to the client, both streaming, with backpressure.
//!
//! Takes an exchange that policies let pass; ends when the answer is out, the client is gone or a fault is known.
//! Both directions run in one task: what the client sends goes up while the answer comes down. A request goes to
//! another endpoint when the connection failed, and once more over a fresh connection when a rested one turned out
//! dead and nothing can have happened; never otherwise.

mod call;
mod choice;
mod hedged;
mod http1;
mod http2;
mod judged;
mod opening;
mod progress;
mod stream;
mod transcoded;

use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use ::http1::names;

use self::opening::Need;
use super::breaker::target::{self, Leave};
use super::connection::Connection;
use super::health::attempt as health;
use super::http2::pool::Slot;
use super::ladder::Below;
use super::local::{Group, InFlight, LocalEndpoint, LocalService};
use super::request::{self, Forwarding};
use super::retry;
use super::service::Service;
use super::tunnel;
use super::way;
use crate::config::Protocol;
use crate::exchange::Exchange;
use crate::exchange::record::Attempt;
use crate::fault::Fault;
use crate::http::client::ClientConnection;
use crate::http::timer::Timers;
use crate::http::trust::Trust;
use crate::identity::sending::NO_TOKEN;
use crate::observe::Observer;
use crate::observe::histogram::add;
use crate::values::random::Random;

/// Interim answers (1xx) that are passed on for one request.
const MOST_INTERIM: u32 = 16;
/// The first status that may be a failure.
const FAILED: u16 = 400;
/// Bytes of a body that are kept for another service.
const MOST_KEPT: usize = 64 * 1024;
/// Endpoints that are asked for a connection.
const MOST_CONNECTS: usize = 3;

/// Tries that a service may refuse unseen before the fault is the client's to know.
const MOST_REFUSALS: u32 = 3;

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
    /// Whether the request is sent once more.
    pub again: retry::Again<'a>,
    /// What stands in when the service fails.
    pub below: Option<Below<'a>>,
    /// Whether the gateway is ending, so that the client's connection should too.
    pub closing: &'a dyn Fn() -> bool,
}

/// What an exchange goes over.
enum Way {
    /// A connection of its own. Boxed, because it is handed from hand to hand.
    Http1(Box<Connection>),
    /// A place on one that others share.
    Http2(Slot),
}

/// A way and whose it is.
struct Aimed {
    way: Way,
    endpoint: Rc<LocalEndpoint>,
    /// The endpoint's place in its group.
    place: usize,
    /// Where targets have circuits of their own.
    leave: Option<Leave>,
    in_flight: InFlight,
}

impl Way {
    /// Whether its connection carried an exchange before.
    fn is_reused(&self) -> bool {
        match self {
            Way::Http1(connection) => connection.reused,
            Way::Http2(slot) => slot.reused,
        }
    }
}

/// A connection that was switched to another protocol. It holds on to nothing of the snapshot: tunnels outlive many.
pub struct Switched {
    connection: Box<Connection>,
    timeout: Duration,
    _in_flight: InFlight,
}

impl Switched {
    /// Carries bytes both ways until both sides have ended.
    pub async fn carry(mut self, observer: &Observer, client: &mut ClientConnection) -> Result<(), Fault> {
        let _tunnel = observer.tunnel();
        let service = &mut self.connection.incoming;
        let ended = tunnel::run(&mut client.reader, service, self.timeout).await;
        client.responder.sent = client.responder.sent.saturating_add(service.received);
        ended
    }
}

/// A try that failed, and whether it may be made again.
struct Failed {
    fault: Fault,
    again: Again,
}

/// Whether a try may be made again.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Again {
    Never,
    /// Over a fresh connection, if this one had rested: nothing of an answer came, and to ask twice does no harm.
    Fresh,
    /// Whatever it was: the service has said, or it is known, that it never looked at the request.
    Unprocessed,
}

impl Again {
    /// Whether a try may be made again whatever the route says of retries: once over a fresh connection, a few times where
    /// the service refuses.
    fn is_harmless(self, reused: bool, fresh: &mut bool, refusals: &mut u32) -> bool {
        match self {
            Again::Unprocessed if *refusals < MOST_REFUSALS => {
                *refusals = refusals.saturating_add(1);
                true
            }
            Again::Fresh if reused && !*fresh => {
                *fresh = true;
                true
            }
            _ => false,
        }
    }
}

impl Forward<'_> {
    /// Gives a call its deadline, where the service may be called.
    fn take_call(&self, exchange: &mut Exchange) -> Result<(), Fault> {
        if self.service.protocol != Protocol::Http1 {
            call::take_deadline(exchange);
        } else if exchange.plan.transcode.is_some() {
            // One of several services, or one that stands in.
            exchange.record.why = "the service does not speak HTTP/2, as gRPC does".into();
            return Err(Fault::AnswerProtocol);
        }
        Ok(())
    }

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
        self.take_call(exchange)?;
        let group = self.local.group(self.service);
        exchange.record.service = Some(self.service.index);
        // A call of gRPC has a deadline and trailers of its own, and no method that only reads.
        if self.again.begin(exchange, &mut client.reader) && call::form(exchange).is_none() {
            // On the heap, so that other requests do not carry its room.
            return Box::pin(self.run_hedged(&group, exchange, client)).await;
        }
        if self.below.is_some_and(|below| below.keeps(exchange)) {
            client.reader.keep(MOST_KEPT);
        }
        let mut tried = Vec::new();
        let (mut fresh, mut refusals) = (false, 0);
        loop {
            let (fault, sent) = match self.open(&group, exchange, &mut tried, fresh).await {
                Ok(mut aimed) => {
                    let (reused, leave) = (aimed.way.is_reused(), aimed.leave.take());
                    let (place, endpoint) = (aimed.place, aimed.endpoint.clone());
                    // Made where it stays: awaited alone it is copied twice, two kilobytes each.
                    let attempted = pin!(self.attempt(aimed, exchange, client)).await;
                    let failed = match attempted {
                        Ok(switched) => {
                            target::ended(leave, self.again.worker(), exchange, None);
                            return Ok(switched);
                        }
                        Err(failed) => failed,
                    };
                    let harmless = failed.again.is_harmless(reused, &mut fresh, &mut refusals);
                    let anew = harmless && client.reader.rewind();
                    self.blame(exchange, &endpoint, &failed.fault, !anew);
                    if anew {
                        continue;
                    }
                    target::ended(leave, self.again.worker(), exchange, Some(&failed.fault));
                    tried.push(place);
                    (failed.fault, !matches!(failed.again, Again::Unprocessed))
                }
                Err(fault) => (fault, false),
            };
            if client.responder.head_sent || !self.again.goes_on(exchange, &fault, sent) {
                return Err(fault);
            }
            // On the heap: hardly any request comes here.
            Box::pin(self.pause(exchange, client, fault)).await?;
            fresh = false;
        }
    }

    /// Counts a try that failed, and writes it down. `tells` says whether it speaks against the endpoint's health.
    fn blame(&self, exchange: &mut Exchange, endpoint: &LocalEndpoint, fault: &Fault, tells: bool) {
        let record = &mut exchange.record;
        record.failed(Attempt {
            service: self.service.index,
            endpoint: endpoint.shared.settings.address,
            outcome: fault.facts().code,
            status: if let Fault::ServiceFailed(status) = fault { *status } else { 0 },
        });
        // An answer is counted where its head comes in.
        if matches!(fault, Fault::ServiceFailed(_)) {
            return;
        }
        if let Some(shard) = endpoint.shard() {
            add(&shard.faults, 1);
        }
        if tells {
            health::failed(self.service, endpoint, fault);
        }
    }

    /// Rests before the next attempt, while the client is there.
    async fn pause(
        &self,
        exchange: &mut Exchange,
        client: &mut ClientConnection,
        fault: Fault,
    ) -> Result<(), Fault> {
        let rest = self.again.next(exchange, self.random);
        exchange.record.answered = None;
        if !client.reader.rewind() {
            return Err(fault);
        }
        if !client.reader.is_done() {
            tokio::time::sleep(rest).await;
            return Ok(());
        }
        let gone = pin!(client.reader.watch());
        tokio::time::timeout(rest, gone).await.map_or(Ok(()), Err)
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
        for _ in 0..MOST_CONNECTS {
            let chosen = self.choose(group, exchange, tried, &mut fault);
            let Some((place, endpoint, leave)) = chosen else { break };
            let settings = &endpoint.shared.settings;
            request::aim(exchange, self.service, settings);
            exchange.record.endpoint = Some(settings.address);
            exchange.record.tries = exchange.record.tries.saturating_add(1);
            let need = Need::of(exchange, self.service);
            let way = match &endpoint.http2 {
                None => self.over_http1(&need, &endpoint, fresh).await,
                Some(pool) => Box::pin(self.over_either(&need, &endpoint, pool, fresh)).await,
            };
            match way {
                Ok(way) => {
                    exchange.record.reused = way.is_reused();
                    let in_flight = endpoint.enter();
                    return Ok(Aimed { way, endpoint, place, leave, in_flight });
                }
                Err(failed) => {
                    self.blame(exchange, &endpoint, &failed, true);
                    target::ended(leave, self.again.worker(), exchange, Some(&failed));
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

    /// One try over one connection.
    async fn attempt(
        &self,
        aimed: Aimed,
        exchange: &mut Exchange,
        client: &mut ClientConnection,
    ) -> Result<Option<Switched>, Failed> {
        let Aimed { way, endpoint, in_flight, .. } = aimed;
        match way {
            Way::Http1(connection) => {
                pin!(self.attempt_http1((connection, endpoint, in_flight), exchange, client)).await
            }
            Way::Http2(slot) => {
                // On the heap, so that requests over HTTP/1.1 do not carry its room.
                let attempt = self.attempt_http2((slot, endpoint, in_flight), exchange, client);
                Box::pin(attempt).await.map(|()| None)
            }
        }
    }

    /// Whether an answer is passed over: the request is sent once more, or something else stands in.
    #[cold]
    fn passes_over(&self, exchange: &Exchange) -> bool {
        self.again.passes_over(exchange) || self.below.is_some_and(|below| below.passes_over(exchange))
    }

    /// Makes the head of the service's answer the one for the client. False when another answer is to go out instead: then
    /// nothing is put out of this one.
    ///
    /// # Errors
    /// The answer is passed over, because the request is sent once more or something else stands in.
    fn dress(&self, exchange: &mut Exchange) -> Result<bool, Fault> {
        let status = exchange.response.status;
        exchange.record.service_status = status;
        if status >= FAILED && self.passes_over(exchange) {
            return Err(Fault::ServiceFailed(status));
        }
        let head = &mut exchange.response;
        head.remove_hop_by_hop();
        head.fields.remove(names::X_REQUEST_ID);
        head.fields.append_with(way::of_answer(head.version), &[exchange.id.as_bytes()]);
        (self.shape)(exchange);
        Ok(exchange.instead.is_none())
    }
}

/// Tells the endpoint how long its answer took.
fn learn(exchange: &Exchange, endpoint: &LocalEndpoint) {
    if let (Some(sent), Some(answered)) = (exchange.record.sent, exchange.record.answered) {
        endpoint.learn(answered.saturating_sub(sent));
    }
}
