//! Bodies that are judged: read whole before a service gets any of them, or looked at when all is over.
//!
//! What does not fit its bound goes nowhere. On routes where nobody judges, nothing of this runs.

use http1::names;

use crate::exchange::{Answer, Exchange};
use crate::fault::Fault;
use crate::http::client::{ClientConnection, ClientReader};
use crate::snapshot::Listener;

/// Reads the body for those who judge it; gives the first refusal.
///
/// # Errors
/// A fault of the client, or a body beyond its bounds.
pub(super) async fn refusal(
    listener: &Listener,
    exchange: &mut Exchange,
    client: &mut ClientConnection,
) -> Result<Option<Box<Answer>>, Fault> {
    keep(exchange, client);
    let judges = exchange.judges.as_ref().map(|judges| judges.body.clone()).unwrap_or_default();
    for judge in &judges {
        if let Err(refusal) = judge.head(exchange) {
            return Ok(Some(refusal));
        }
    }
    let Some(most) = judges.iter().filter_map(|judge| judge.most(exchange)).min() else { return Ok(None) };
    exchange.plan.body_limit = Some(exchange.plan.body_limit.unwrap_or(listener.body_limit).min(most));
    let limit = super::body_limit(exchange, listener)?;
    // What is judged is what the service would get.
    if (exchange.plan.digest.is_some() || exchange.shaping.is_some())
        && let Some(refusal) = super::signed_body::refusal(listener, exchange, client).await?
    {
        return Ok(Some(Box::new(refusal)));
    }
    client.reader.body_limit = limit;
    await_continue(exchange, client).await?;
    let held = usize::try_from(limit).unwrap_or(usize::MAX);
    let Some(body) = client.reader.hold(&client.limits, held).await? else {
        return Err(Fault::BodyTooLarge(limit));
    };
    for judge in judges {
        if let Err(refusal) = judge.judge(exchange, body) {
            return Ok(Some(refusal));
        }
    }
    Ok(None)
}

/// Keeps what is read of the body for those who only watch.
pub(super) fn keep(exchange: &Exchange, client: &mut ClientConnection) {
    let late = exchange.judges.iter().flat_map(|judges| &judges.late);
    if let Some(most) = late.map(|judge| judge.keeps()).max().filter(|most| *most > 0) {
        client.reader.keep(most);
    }
}

/// Lets those tell who only watched.
pub(super) fn tell(exchange: &mut Exchange, reader: &ClientReader) {
    let Some(judges) = exchange.judges.take() else { return };
    for judge in &judges.late {
        judge.tell(exchange, reader.kept());
    }
}

/// Tells a client to send its body: the service is asked when all is there, so there is nobody else to wait for.
pub(super) async fn await_continue(
    exchange: &mut Exchange,
    client: &mut ClientConnection,
) -> Result<(), Fault> {
    if exchange.request.expect_continue {
        exchange.response.clear();
        exchange.response.status = 100;
        client.responder.interim(&exchange.response).await.map_err(|_| Fault::ClientGone)?;
        exchange.request.expect_continue = false;
        exchange.request.fields.remove(names::EXPECT);
    }
    Ok(())
}
