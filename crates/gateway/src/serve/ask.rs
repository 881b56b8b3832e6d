//! Asks the service of a route: which of several, how often, with what done to its answer.
//!
//! Takes a request that the policies let pass; gives the fault, or what is to be carried as a tunnel. Where a policy has put
//! another answer into the exchange, nothing has gone out.

use std::pin::pin;
use std::rc::Rc;

use super::mirror::{self, Copy, Watch};
use super::{door, ladder};
use crate::exchange::Exchange;
use crate::fault::{Blame, Fault};
use crate::http::client::ClientConnection;
use crate::policies;
use crate::route::compiled::{Action, Aim, Route};
use crate::route::split::Split;
use crate::snapshot::Listener;
use crate::snapshot::worker::{View, Worker};
use crate::upstream::breaker;
use crate::upstream::forward::{Forward, Switched};
use crate::upstream::ladder::Below;
use crate::upstream::request;
use crate::upstream::retry::{Again, Retry};

/// Asks the service that a route has for a request, with all that is done for it; counts what came of it, and has it copied
/// where that is wanted.
pub(super) async fn ask_for(
    worker: &Rc<Worker>,
    view: &Rc<View>,
    listener: &Listener,
    route: &Route,
    exchange: &mut Exchange,
    client: &mut ClientConnection,
) -> Result<Option<Switched>, Fault> {
    let aim = route.action.aim(exchange, &worker.random).ok_or(Fault::NoEndpoint)?;
    let copy = mirror::begin(aim.care, worker, exchange, &mut client.reader);
    let watch = copy.as_deref().map(Copy::watch);
    let asked = Asked { watch: watch.as_ref(), ..Asked::of(route, aim) };
    let ladder = aim.care.and_then(|care| care.ladder.as_deref());
    // Made where it stays, as in `road`: what is awaited at once is copied first, and this is large.
    let outcome = pin!(ladder::ask_all(worker, view, listener, (asked, ladder), exchange, client)).await;
    if let Some((split, chosen)) = aim.chosen {
        split.count(worker.index, chosen.arm, exchange, is_service_fault(exchange, &outcome));
    }
    if let Some(copy) = copy {
        let answered = matches!(outcome, Ok(None)) && exchange.record.degraded.is_empty();
        copy.send(worker, view, listener, (answered, &client.reader));
    }
    outcome
}

/// Whom a request asks, and what is done for it besides.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) route: &'a Route,
    /// The service's place in the snapshot.
    pub(super) place: u32,
    pub(super) retry: Option<&'a Retry>,
    pub(super) below: Option<Below<'a>>,
    /// Who compares the answer with that of another service.
    pub(super) watch: Option<&'a Watch>,
}

impl<'a> Asked<'a> {
    pub(super) fn of(route: &'a Route, aim: Aim<'a>) -> Asked<'a> {
        let retry = aim.care.and_then(|care| care.retry.as_ref());
        Asked { route, place: aim.service, retry, below: None, watch: None }
    }
}

/// Asks the service of a route. Where a policy has put another answer into the exchange, nothing has gone out.
pub(super) async fn ask(
    worker: &Worker,
    view: &View,
    listener: &Listener,
    asked: Asked<'_>,
    exchange: &mut Exchange,
    client: &mut ClientConnection,
) -> Result<Option<Switched>, Fault> {
    let Asked { route, place, retry, below, watch } = asked;
    let (service, local) = view.service(place).ok_or(Fault::NoEndpoint)?;
    client.reader.body_limit = super::body_limit(exchange, listener)?;
    if listener.tells_certificates() {
        request::tell_certificate(exchange);
    }
    let forward = Forward {
        service,
        local,
        random: &worker.random,
        timers: &worker.timers,
        forwarding: view.snapshot.forwarding,
        shape: &|exchange| {
            watch.inspect(|watch| watch.head(exchange));
            exchange.head_came();
            policies::response(&route.policies, exchange);
            if let Some(cache) = &view.snapshot.cache {
                policies::cache::changed(cache, exchange);
            }
            if let Action::Split(_) = route.action {
                Split::dress(exchange);
            }
            door::dress(listener, exchange);
            watch.inspect(|watch| watch.body(exchange));
        },
        trust: &listener.trust,
        again: Again::new(retry, service, worker.index),
        below,
        closing: &|| worker.live.draining().is_some(),
    };
    let admitted = breaker::admit(service)?;
    let _place = match &service.door {
        Some(door) => Some(door.enter(exchange, &mut client.reader).await?),
        None => None,
    };
    let outcome = pin!(forward.run(exchange, client)).await;
    breaker::ended(admitted, worker.index, exchange, &outcome);
    outcome
}

/// Whether the service has failed a request: with an answer, or without one.
fn is_service_fault(exchange: &Exchange, outcome: &Result<Option<Switched>, Fault>) -> bool {
    match outcome {
        Ok(_) => exchange.record.service_status >= 500,
        Err(fault) => fault.facts().blame == Blame::Service,
    }
}
