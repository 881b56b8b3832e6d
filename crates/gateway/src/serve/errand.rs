//! Requests that the gateway makes for itself once a client has been answered: what a cache wants to have fresh.
//!
//! They go the same road from the policy that asked for them on. Nobody waits for them, nothing is logged of them, and
//! there are never more than a few.

use std::rc::Rc;

use http1::Version;

use super::ask::{Asked, ask};
use crate::exchange::Exchange;
use crate::http::client::ClientConnection;
use crate::policies;
use crate::snapshot::Listener;
use crate::snapshot::worker::{View, Worker};

/// Most of them under way on one worker; what comes on top is left to the next request.
const MOST: usize = 64;

/// One that is under way.
struct UnderWay(Rc<Worker>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.errands.set(self.0.errands.get().saturating_sub(1));
    }
}

/// Sends a request on its way, unless there are too many.
pub(super) fn send(worker: &Rc<Worker>, view: &Rc<View>, listener: &Listener, exchange: Box<Exchange>) {
    let Some(listener) = view.snapshot.listener(&listener.name).cloned() else { return };
    if worker.errands.get() >= MOST {
        return;
    }
    worker.errands.set(worker.errands.get().saturating_add(1));
    let (under_way, view) = (UnderWay(worker.clone()), view.clone());
    tokio::task::spawn_local(async move {
        run(&under_way.0, &view, &listener, exchange).await;
    });
}

async fn run(worker: &Worker, view: &View, listener: &Listener, mut exchange: Box<Exchange>) {
    let Some(route) = exchange.record.route.and_then(|place| view.snapshot.route(place)) else { return };
    let mut client = ClientConnection::of_nobody(listener.limits.clone(), worker.timers.timer());
    client.responder.begin(exchange.request.method, Version::Http11, true, listener.limits.write_stall);
    let rest = route.policies.get(exchange.record.policies_run..).unwrap_or_default();
    if policies::request(rest, &mut exchange).await.is_err() {
        return;
    }
    let Some(aim) = route.action.aim(&mut exchange, &worker.random) else { return };
    let asked = Asked::of(route, aim);
    if let Err(fault) = ask(worker, view, listener, asked, &mut exchange, &mut client).await {
        tracing::debug!(route = %route.key, fault = fault.facts().code, "what a cache has could not be renewed");
    }
}
