//! One request of a part, on the road that every request takes: policies, balance, retries, ladder; its answer held in memory
//! within bounds.
//!
//! Gives what counts of the answer, or why there is none. What the client is told of that names the part and a word, and nothing
//! behind the gateway.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http1::{Version, names};

use super::super::ask::Asked;
use super::super::{labels, ladder, rescued};
use super::gather::Gathering;
use crate::aggregate::text::Unfilled;
use crate::aggregate::{Got, Part, merge};
use crate::exchange::{Answer, Exchange};
use crate::fault::{Blame, Fault};
use crate::http::client::ClientConnection;
use crate::policies::{self, Stop};
use crate::route::compiled::Route;

/// A request that is ready to be sent.
pub(super) struct One {
    pub(super) exchange: Box<Exchange>,
    pub(super) body: Vec<u8>,
}

/// Why a part has no answer.
pub(super) struct Failure {
    /// The status for the client, if the whole fails by it.
    pub(super) status: u16,
    /// Status of the service's own answer; 0 for none.
    pub(super) answered: u16,
    /// The stable word for it.
    pub(super) code: &'static str,
    /// Whether the client's request lacks what the part needs.
    pub(super) by_request: bool,
    /// What else the client is told: how to log in, when to come again.
    pub(super) fields: Vec<(&'static str, Vec<u8>)>,
}

impl Failure {
    fn new(status: u16, code: &'static str) -> Failure {
        Failure { status, answered: 0, code, by_request: false, fields: Vec::new() }
    }

    /// A service's answer, or what is to be made of it, cannot be used.
    pub(super) fn of_answer(code: &'static str) -> Failure {
        Failure::new(502, code)
    }

    /// The request of a part cannot be made.
    pub(super) fn unfilled(unfilled: Unfilled) -> Failure {
        let status = if unfilled.by_request { 400 } else { 502 };
        Failure { by_request: unfilled.by_request, ..Failure::new(status, unfilled.code) }
    }

    fn of_fault(fault: &Fault) -> Failure {
        let facts = fault.facts();
        // Its client is the gateway.
        let status = if facts.blame == Blame::Client { 502 } else { facts.status };
        Failure::new(status, facts.code)
    }

    /// A policy of the part has refused its request.
    fn of_refusal(answer: &Answer) -> Failure {
        let fields = answer
            .fields
            .iter()
            .filter(|(name, _)| name.as_name().text().eq_ignore_ascii_case(b"retry-after"));
        let fields = fields.map(|(_, value)| ("Retry-After", value.clone())).collect();
        Failure { fields, ..Failure::new(answer.status, answer.reason) }
    }

    /// The service has answered with a status that is no success.
    fn of_status(exchange: &Exchange) -> Failure {
        let answered = exchange.response.status;
        // What is the client's to mend is told it; a service's own trouble is that of the gateway's other side.
        let status = if matches!(answered, 400..=499 | 503 | 504) { answered } else { 502 };
        let told = [("WWW-Authenticate", names::WWW_AUTHENTICATE), ("Retry-After", names::RETRY_AFTER)];
        let fields = told.into_iter().filter_map(|(text, name)| {
            exchange.response.fields.get(name).map(|value| (text, value.to_vec()))
        });
        Failure { answered, fields: fields.collect(), ..Failure::new(status, "status") }
    }
}

impl Gathering<'_> {
    /// Sends a request and reads its answer, within its time.
    pub(super) async fn send(
        &self,
        part: &Part,
        exchange: &mut Exchange,
        body: Vec<u8>,
    ) -> Result<Got, Failure> {
        let Some(route) = self.view.snapshot.route(part.route) else {
            return Err(Failure::of_fault(&Fault::NoRoute));
        };
        let now = Instant::now();
        exchange.record.begin(now, self.worker.wall_clock(now));
        let (limits, timers) = (&self.listener.limits, &self.worker.timers);
        let mut client = ClientConnection::into_memory(body, part.largest, limits.clone(), timers.timer());
        client.responder.begin(exchange.request.method, Version::Http11, true, limits.write_stall);
        let left = self.left(part);
        let deadline = timers.timer();
        if let Some(left) = left {
            deadline.arm(left);
        }
        let result = match left {
            Some(Duration::ZERO) => Err(Failure::of_fault(&Fault::Timeout)),
            _ => {
                let mut asking = pin!(self.answer(part, route, left, exchange, &mut client));
                poll_fn(|cx| match asking.as_mut().poll(cx) {
                    Poll::Ready(result) => Poll::Ready(result),
                    Poll::Pending if deadline.expired(cx) => {
                        Poll::Ready(Err(Failure::of_fault(&Fault::Timeout)))
                    }
                    Poll::Pending => Poll::Pending,
                })
                .await
            }
        };
        let record = &mut exchange.record;
        record.finished = record.started.elapsed();
        record.bytes_out = client.responder.sent;
        record.status = match &result {
            Ok(got) => got.status,
            Err(failure) if failure.answered != 0 => failure.answered,
            Err(failure) => failure.status,
        };
        let counted = self.view.counted(record.route).map(|shard| &**shard);
        let labels = labels(&self.view.snapshot, self.listener, exchange);
        self.worker.observer.part(exchange, &labels, counted);
        client.responder.release();
        result
    }

    /// The time that a part has: its own, and no more than the whole has left.
    fn left(&self, part: &Part) -> Option<Duration> {
        let record = &self.parent.record;
        let whole = self.parent.plan.timeout.map(|timeout| timeout.saturating_sub(record.elapsed()));
        match (whole, part.timeout) {
            (Some(whole), Some(own)) => Some(whole.min(own)),
            (whole, own) => whole.or(own),
        }
    }

    async fn answer(
        &self,
        part: &Part,
        route: &Route,
        left: Option<Duration>,
        exchange: &mut Exchange,
        client: &mut ClientConnection,
    ) -> Result<Got, Failure> {
        let body = self.body(route, left, exchange, client).await?;
        let head = &exchange.response;
        if !matches!(head.status, 200..=299) || head.status == 206 {
            return Err(Failure::of_status(exchange));
        }
        let coded = head
            .fields
            .get_all(names::CONTENT_ENCODING)
            .any(|coding| !coding.eq_ignore_ascii_case(b"identity"));
        let status = head.status;
        let got = if coded {
            Err("coded")
        } else {
            merge::got(part, status, body).map_err(|refused| refused.code())
        };
        got.map_err(|code| Failure { answered: status, ..Failure::of_answer(code) })
    }

    /// The body of the answer, whoever gave it.
    async fn body(
        &self,
        route: &Route,
        left: Option<Duration>,
        exchange: &mut Exchange,
        client: &mut ClientConnection,
    ) -> Result<Bytes, Failure> {
        match policies::request(&route.policies, exchange).await {
            Ok(()) => {}
            Err(Stop::With(answer)) => {
                exchange.record.reason = answer.reason;
                return Err(Failure::of_refusal(&answer));
            }
            Err(Stop::Answered) => {
                policies::answered(&route.policies, exchange);
                return Ok(exchange.instead.take().unwrap_or_default());
            }
        }
        exchange.plan.timeout = left;
        let Some(aim) = route.action.aim(exchange, &self.worker.random) else {
            return Err(Failure::of_fault(&Fault::NoEndpoint));
        };
        let ladder = aim.care.and_then(|care| care.ladder.as_deref());
        let asked = (Asked::of(route, aim), ladder);
        let asking = ladder::ask_all(self.worker, self.view, self.listener, asked, exchange, client);
        // Made where it stays, as on the road.
        let outcome = pin!(asking).await;
        match outcome {
            Ok(None) if exchange.instead.is_some() => Ok(exchange.instead.take().unwrap_or_default()),
            Ok(None) => client.responder.take_held().map(Bytes::from).ok_or(Failure::of_answer("too_large")),
            Ok(Some(_)) => Err(Failure::of_fault(&Fault::AnswerUnasked)),
            Err(_) if client.responder.is_full() => {
                Err(Failure { answered: exchange.response.status, ..Failure::of_answer("too_large") })
            }
            Err(fault) if rescued(route, exchange, client, &fault) => {
                Ok(exchange.instead.take().unwrap_or_default())
            }
            Err(fault) => {
                let failure = Failure::of_fault(&fault);
                exchange.record.fault = Some(fault);
                Err(failure)
            }
        }
    }
}
