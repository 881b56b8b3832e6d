//! Waits for a client and for policies: notes when an exchange went on, and watches the client while a policy takes its time:
//! one that goes away is waited for by nobody.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Instant;

use crate::exchange::Exchange;
use crate::fault::Fault;
use crate::http::client::{ClientConnection, ClientReader};
use crate::policies::{self, Stop};
use crate::route::compiled::Route;

/// Reads the head of a request: false when the client has none to send.
///
/// # Errors
/// It is none, or it did not come.
pub(super) async fn head(exchange: &mut Exchange, client: &mut ClientConnection) -> Result<bool, Fault> {
    let mut waited = false;
    let mut reading = pin!(client.reader.head(&client.limits, &mut exchange.request));
    let received = poll_fn(|cx| {
        let read = reading.as_mut().poll(cx);
        waited |= read.is_pending();
        read
    });
    let received = received.await;
    if waited {
        exchange.record.resumed = Instant::now();
    }
    received
}

/// What the policies say of a request.
///
/// # Errors
/// The client went away while a policy waited for somebody else.
pub(super) async fn policies(
    route: &Route,
    exchange: &mut Exchange,
    client: &mut ClientConnection,
) -> Result<Result<(), Stop>, Fault> {
    let mut judging = pin!(policies::request(&route.policies, exchange));
    // Nearly always that is all.
    if let Poll::Ready(judged) = poll_fn(|cx| Poll::Ready(judging.as_mut().poll(cx))).await {
        return Ok(judged);
    }
    // A body that is still to come says that the client is there, and is nothing to be read yet.
    if !client.reader.is_done() {
        return Ok(judging.await);
    }
    Box::pin(watched(judging, &mut client.reader)).await
}

/// Waits for something while the client is there.
///
/// # Errors
/// The client went away.
pub(super) async fn watched<T>(
    mut judging: Pin<&mut impl Future<Output = T>>,
    reader: &mut ClientReader,
) -> Result<T, Fault> {
    let mut watch = pin!(reader.watch());
    poll_fn(|cx| match judging.as_mut().poll(cx) {
        Poll::Ready(judged) => Poll::Ready(Ok(judged)),
        Poll::Pending => watch.as_mut().poll(cx).map(Err),
    })
    .await
}
