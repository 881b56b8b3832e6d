//! The way down when a service fails: the steps of a route's ladder, one after the other, until one has an answer.

use std::pin::pin;

use http1::Fields;

use super::ask::{Asked, ask};
use super::rescued;
use crate::exchange::Exchange;
use crate::fault::Fault;
use crate::http::client::ClientConnection;
use crate::policies;
use crate::route::compiled::Route;
use crate::snapshot::Listener;
use crate::snapshot::worker::{View, Worker};
use crate::upstream::forward::Switched;
use crate::upstream::ladder::{Below, By, Ladder, StandIn, Step, is_for_another};

/// The request as it was before it was made the one for a service: another service gets nothing that was meant for the
/// first, neither its host nor its credentials.
struct Before {
    fields: Fields,
    query: Option<Vec<u8>>,
}

impl Before {
    fn of(exchange: &Exchange) -> Before {
        Before { fields: exchange.request.fields.clone(), query: exchange.plan.query.clone() }
    }

    fn restore(&self, exchange: &mut Exchange) {
        exchange.request.fields.copy_from(&self.fields);
        exchange.plan.query.clone_from(&self.query);
        exchange.record.answered = None;
    }
}

/// Asks the service of a route, with all that is done for its requests.
pub(super) async fn ask_all(
    worker: &Worker,
    view: &View,
    listener: &Listener,
    (asked, ladder): (Asked<'_>, Option<&Ladder>),
    exchange: &mut Exchange,
    client: &mut ClientConnection,
) -> Result<Option<Switched>, Fault> {
    match ladder {
        None => pin!(ask(worker, view, listener, asked, exchange, client)).await,
        // On the heap, so that routes without one do not carry its room.
        Some(ladder) => {
            let ended = Box::pin(descend(worker, view, listener, (asked, ladder), exchange, client)).await;
            if ended.is_ok() && is_passed_on(ladder, exchange) {
                ladder.counts.count(None);
            }
            ended
        }
    }
}

/// Asks the service of a route, and whatever stands below it when that fails.
async fn descend(
    worker: &Worker,
    view: &View,
    listener: &Listener,
    (asked, ladder): (Asked<'_>, &Ladder),
    exchange: &mut Exchange,
    client: &mut ClientConnection,
) -> Result<Option<Switched>, Fault> {
    let before = ladder.asks().then(|| Before::of(exchange));
    let first = Asked { below: Some(Below { ladder, next: 0 }), ..asked };
    let mut fault = match ask(worker, view, listener, first, exchange, client).await {
        Err(fault) if !client.responder.head_sent && ladder.on.has(&fault) => fault,
        outcome => return outcome,
    };
    let mut rescuing = true;
    for (place, step) in ladder.steps.iter().enumerate() {
        match &step.by {
            By::Service(service) => {
                if !is_for_another(exchange) || !client.reader.rewind() {
                    told(exchange, step, "not_repeatable");
                    continue;
                }
                if let Some(before) = &before {
                    before.restore(exchange);
                }
                exchange.record.degraded = step.word;
                let below = Below { ladder, next: place.saturating_add(1) };
                let next = (asked.route, *service, below);
                match ask_another((worker, view, listener), next, exchange, client).await {
                    Err(failed) => {
                        let over = client.responder.head_sent || !ladder.on.has(&failed);
                        told(exchange, step, failed.facts().code);
                        if over {
                            return Err(failed);
                        }
                        exchange.record.degraded = "";
                        fault = failed;
                    }
                    outcome => {
                        served(exchange, ladder, (place, step));
                        return outcome;
                    }
                }
            }
            By::Here(stand_in) => {
                // What a cache has is nearer to the truth than what stands here.
                if std::mem::take(&mut rescuing) && rescued(asked.route, exchange, client, &fault) {
                    return Ok(None);
                }
                if stands_in(asked, &**stand_in, step, exchange, &fault) {
                    served(exchange, ladder, (place, step));
                    return Ok(None);
                }
                told(exchange, step, "nothing_kept");
            }
        }
    }
    ladder.counts.count(None);
    Err(fault)
}

/// Whether the client gets an answer of the service that is a failure, because no step had one in its place.
fn is_passed_on(ladder: &Ladder, exchange: &Exchange) -> bool {
    let status = exchange.response.status;
    let is_the_services = exchange.record.degraded.is_empty() && exchange.record.service_status == status;
    is_the_services && ladder.on.has_status(status)
}

/// Lets a step answer from here, if it can; the policies shape its answer as they do every other.
fn stands_in(
    asked: Asked<'_>,
    stand_in: &dyn StandIn,
    step: &Step,
    exchange: &mut Exchange,
    fault: &Fault,
) -> bool {
    if !stand_in.stand_in(exchange) {
        return false;
    }
    exchange.record.degraded = step.word;
    exchange.record.reason = "fallback";
    exchange.record.why = fault.facts().code.into();
    policies::response(&asked.route.policies, exchange);
    true
}

/// Asks the service of a step. What it is asked is what the client's policies made of the request, and nothing else.
async fn ask_another(
    (worker, view, listener): (&Worker, &View, &Listener),
    (route, service, below): (&Route, u32, Below<'_>),
    exchange: &mut Exchange,
    client: &mut ClientConnection,
) -> Result<Option<Switched>, Fault> {
    let retry = view.service(service).and_then(|(service, _)| service.retry.as_ref());
    let asked = Asked { route, place: service, retry, below: Some(below), watch: None };
    ask(worker, view, listener, asked, exchange, client).await
}

fn served(exchange: &mut Exchange, ladder: &Ladder, (place, step): (usize, &Step)) {
    ladder.counts.count(Some(place));
    told(exchange, step, "answered");
}

fn told(exchange: &mut Exchange, step: &Step, outcome: &'static str) {
    exchange.record.fallback.push((step.name.clone(), outcome));
}
