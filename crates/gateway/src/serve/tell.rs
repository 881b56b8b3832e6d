//! The end of the road: what log, metrics and traces are told of an exchange, and by which names.
//!
//! Takes an exchange that is over; nothing here decides anything about it.

use crate::exchange::Exchange;
use crate::http::client::ClientConnection;
use crate::observe::{Labels, RouteShard};
use crate::snapshot::worker::Worker;
use crate::snapshot::{Listener, Snapshot};

/// What the configuration calls the things an exchange met.
pub(super) fn labels<'s>(snapshot: &'s Snapshot, listener: &'s Listener, exchange: &Exchange) -> Labels<'s> {
    let route = exchange.record.route.and_then(|place| snapshot.route(place));
    let service = exchange.record.service.and_then(|place| snapshot.service(place));
    Labels {
        route: route.map_or("none", |route| &*route.key),
        service: service.map_or("", |service| &*service.name),
        revision: snapshot.revision,
        listener: &listener.name,
    }
}

/// Tells log, metrics and traces what happened.
pub(super) fn tell(
    worker: &Worker,
    labels: &Labels<'_>,
    counted: Option<&RouteShard>,
    exchange: &mut Exchange,
    client: &ClientConnection,
) {
    let record = &mut exchange.record;
    record.finished = record.started.elapsed();
    record.bytes_in = client.reader.received();
    record.bytes_out = client.responder.sent;
    record.status = if client.responder.head_sent {
        exchange.response.status
    } else {
        record.fault.as_ref().map_or(0, |fault| fault.facts().status)
    };
    worker.count(labels.revision, record.status, record.finished);
    if let Some(identity) = exchange.identity.as_ref().filter(|identity| !identity.groups.is_empty())
        && !exchange.rehearsal
    {
        worker.view().count_groups(exchange, &identity.groups);
    }
    worker.observer.finish(exchange, labels, counted);
    exchange.let_go();
    // Now, while what was just looked at is near: of thousands of callers it would have to be fetched once more.
    exchange.identity = None;
}
