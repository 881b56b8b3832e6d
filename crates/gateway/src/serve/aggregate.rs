//! Answers with one answer made of several: asks the parts, merges what they say, and says what is missing.
//!
//! Takes an exchange that policies let pass. A required part that fails ends it all: the others are given up, and the client is
//! told which part it was. What is not whole is never to be kept by anybody.

mod gather;
mod part;

use std::pin::pin;

use bytes::Bytes;
use http1::{Fields, Framing, Name, names};
use serde_json::json;
use shape::Misfit;

use super::{answer_here, by_program, can_drain, door, patience, rescued, send_instead, signed_body};
use crate::aggregate::text::Known;
use crate::aggregate::{Aggregate, Form, Rule, State, merge};
use crate::exchange::record::PartTold;
use crate::exchange::{Answer, Exchange, Problem};
use crate::fault::Fault;
use crate::http::client::ClientConnection;
use crate::http::reshaped::client_fault;
use crate::policies;
use crate::route::compiled::Route;
use crate::snapshot::Listener;
use crate::snapshot::worker::{View, Worker};
use gather::Gathering;
use part::Failure;

/// The type of the problem that names the part which failed.
const PROBLEM: &str = "urn:tidegate:problem:part_failed";

/// Answers a request of an aggregate.
///
/// # Errors
/// A fault of the client.
pub(super) async fn answer(
    worker: &Worker,
    view: &View,
    listener: &Listener,
    (route, aggregate): (&Route, &Aggregate),
    exchange: &mut Exchange,
    client: &mut ClientConnection,
) -> Result<(), Fault> {
    if exchange.plan.digest.is_some()
        && let Some(refusal) = Box::pin(signed_body::refusal(listener, exchange, client)).await?
    {
        return answer_here(listener, route, exchange, client, &refusal).await;
    }
    exchange.record.sent = Some(exchange.record.elapsed());
    let gathering = Gathering::new(worker, view, listener, aggregate, exchange);
    let outcome = {
        let mut gathered = pin!(gathering.run());
        // A body that is still to come says that the client is there, and is nothing to be read yet.
        match client.reader.is_done() {
            true => patience::watched(gathered.as_mut(), &mut client.reader).await,
            false => Ok(gathered.await),
        }
    };
    let said = gathering.into_said();
    let record = &mut exchange.record;
    (record.parts, record.degraded) = (said.parts, said.degraded);
    record.answered = Some(record.elapsed());
    exchange.errand = said.errand;
    let states = match outcome? {
        Ok(states) => states,
        Err(failed) => return fail(listener, route, exchange, client, failed).await,
    };
    let mut fresh = said.fresh;
    if exchange.record.is_partial() || !exchange.record.degraded.is_empty() {
        fresh.forbid();
    }
    let sent = async {
        let status = status(aggregate, &states);
        let body = made(aggregate, exchange, states).await?;
        dress(exchange, status, aggregate.form.content_type(), body.len());
        fresh.tell(&mut exchange.response.fields);
        send(view, listener, route, exchange, client, &body).await
    };
    match sent.await {
        Err(fault) if rescued(route, exchange, client, &fault) => {
            send_instead(listener, exchange, client).await
        }
        sent => sent,
    }
}

/// The body of the whole.
///
/// # Errors
/// What the parts have said cannot be made the answer; logs are told why.
async fn made(aggregate: &Aggregate, exchange: &mut Exchange, states: Vec<State>) -> Result<Vec<u8>, Fault> {
    let known = Known { exchange, states: &states, item: None };
    match &aggregate.form {
        Form::Object => Ok(merge::object(aggregate, &known)),
        Form::Skeleton(skeleton) => merge::filled(skeleton, &known).map_err(|unfilled| {
            exchange.record.why = format!("template: {}", unfilled.code).into();
            Fault::AnswerUnfit(Misfit::Duplicate)
        }),
        Form::Text(template) => template.write(exchange, &aggregate.parts, states).await.map_err(|unmade| {
            exchange.record.why = unmade.why.into();
            Fault::AnswerUnfit(unmade.misfit)
        }),
    }
}

/// The status of the whole: the worst of the required parts', which all are good.
fn status(aggregate: &Aggregate, states: &[State]) -> u16 {
    let required = aggregate.parts.iter().zip(states).filter(|(part, _)| part.rule == Rule::Required);
    // Statuses above say something about a body that is not the one that goes out.
    let told = required.filter_map(|(_, state)| state.got().map(|got| got.status));
    told.filter(|status| (200..=203).contains(status)).max().unwrap_or(200)
}

/// A part whose failure is that of the whole.
struct Failed {
    part: std::sync::Arc<str>,
    failure: Failure,
}

/// The head of the whole.
fn dress(exchange: &mut Exchange, status: u16, content_type: &str, length: usize) {
    let told = &exchange.record.parts;
    let timing = timing(told);
    let missing: Vec<&str> = told.iter().filter(|part| !part.is_ok()).map(|part| &*part.name).collect();
    let missing = missing.join(", ");
    let head = &mut exchange.response;
    head.clear();
    head.set_status(status);
    head.framing = Framing::Length(length as u64);
    head.fields.push(names::CONTENT_TYPE, content_type.as_bytes());
    head.fields.push(names::X_REQUEST_ID, exchange.id.as_bytes());
    for (name, value) in [("Server-Timing", &timing[..]), ("Tidegate-Partial", missing.as_bytes())] {
        if !value.is_empty()
            && let Ok(name) = Name::new(name.as_bytes())
        {
            head.fields.push(name, value);
        }
    }
}

/// How long each part took (Server Timing, section 3).
fn timing(told: &[PartTold]) -> Vec<u8> {
    let mut timing = Vec::with_capacity(32 * told.len());
    let mut digits = itoa::Buffer::new();
    for part in told.iter().filter(|part| part.requests > 0) {
        let between: &[u8] = if timing.is_empty() { b"" } else { b", " };
        let tenths = u64::try_from(part.took.as_micros() / 100).unwrap_or(u64::MAX);
        for text in [between, part.name.as_bytes(), b";dur=", digits.format(tenths / 10).as_bytes(), b"."] {
            timing.extend_from_slice(text);
        }
        timing.extend_from_slice(digits.format(tenths % 10).as_bytes());
        if !part.is_ok() {
            for text in [b";desc=\"", part.outcome.as_bytes(), b"\""] {
                timing.extend_from_slice(text);
            }
        }
    }
    timing
}

/// Sends the whole, through the policies that have seen the request.
async fn send(
    view: &View,
    listener: &Listener,
    route: &Route,
    exchange: &mut Exchange,
    client: &mut ClientConnection,
    body: &[u8],
) -> Result<(), Fault> {
    policies::response(&route.policies, exchange);
    if let Some(cache) = &view.snapshot.cache {
        policies::cache::changed(cache, exchange);
    }
    if exchange.instead.is_some() {
        return send_instead(listener, exchange, client).await;
    }
    if exchange.record.is_partial() {
        // Whatever a policy has made of it.
        exchange.response.fields.set(names::CACHE_CONTROL, b"no-store");
    }
    door::dress(listener, exchange);
    let made = match exchange.shaping {
        Some(_) => Some(Box::pin(by_program(exchange, Bytes::copy_from_slice(body))).await?),
        None => None,
    };
    let body = made.as_deref().unwrap_or(body);
    let responder = &mut client.responder;
    responder.keep_alive &= can_drain(exchange, &client.reader);
    responder.pass_on(exchange);
    let sent = async {
        responder.data(body).await?;
        responder.end(&Fields::default())?;
        responder.flush().await
    };
    sent.await.map_err(client_fault)
}

/// Tells the client which part failed, unless a policy has an answer all the same.
async fn fail(
    listener: &Listener,
    route: &Route,
    exchange: &mut Exchange,
    client: &mut ClientConnection,
    Failed { part, failure }: Failed,
) -> Result<(), Fault> {
    exchange.record.answered = None;
    let status = failure.status;
    if status >= 500 && rescued(route, exchange, client, &Fault::ServiceFailed(status)) {
        return send_instead(listener, exchange, client).await;
    }
    exchange.record.why = format!("{part}: {}", failure.code).into();
    let told: Vec<_> = exchange
        .record
        .parts
        .iter()
        .map(|told| {
            let status = (told.status != 0).then_some(told.status);
            json!({ "name": &*told.name, "outcome": told.outcome, "status": status })
        })
        .collect();
    let title = http1::canonical_reason(status);
    let detail = match failure.by_request {
        true => format!("the request lacks what the part `{part}` of the answer needs"),
        false => format!("the part `{part}` of the answer failed: {}", failure.code),
    };
    let members = vec![("part", json!(&*part)), ("parts", json!(told))];
    let mut answer =
        Answer::typed_problem(status, "part_failed", Problem { kind: PROBLEM, title, detail, members });
    for (name, value) in failure.fields {
        answer = answer.with(name, value);
    }
    let timing = timing(&exchange.record.parts);
    if !timing.is_empty() {
        answer = answer.with("Server-Timing", timing);
    }
    answer_here(listener, route, exchange, client, &answer).await
}
