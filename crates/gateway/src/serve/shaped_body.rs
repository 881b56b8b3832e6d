//! Bodies of requests that are made others: read ahead as far as they are small, so that what is wrong with them is known
//! before a service hears of it.
//!
//! What is larger goes on as a stream; what is wrong with it breaks the request off, and never passes for whole.

use http1::{Framing, names};
use shape::{Body, Misfit, Plan};

use crate::exchange::{Exchange, programs};
use crate::fault::Fault;
use crate::http::client::ClientConnection;
use crate::http::reshaped::HELD;
use crate::snapshot::Listener;

/// Lets the body be made another one, if that is what the policies want.
///
/// # Errors
/// A fault of the client, or a body that does not fit.
pub(super) async fn begin(
    listener: &Listener,
    exchange: &mut Exchange,
    client: &mut ClientConnection,
) -> Result<(), Fault> {
    let Some(plan) = exchange.shaping.as_mut().and_then(|shaping| shaping.request.take()) else {
        return Ok(());
    };
    let mut plan = plan.map_err(Fault::BodyUnfit)?;
    client.reader.body_limit = super::body_limit(exchange, listener)?;
    // What a coded body unfolds to is a body too.
    plan.limits.decoded = client.reader.body_limit;
    if exchange.request.expect_continue {
        // The service is asked when it is known that the body fits, so the client has nobody else to wait for.
        exchange.response.clear();
        exchange.response.status = 100;
        client.responder.interim(&exchange.response).await.map_err(|_| Fault::ClientGone)?;
        exchange.request.expect_continue = false;
        exchange.request.fields.remove(names::EXPECT);
    }
    if plan.time().is_some() {
        return by_program(*plan, exchange, client).await;
    }
    let body = Body::new(&plan).map_err(Fault::BodyUnfit)?;
    let length = client.reader.reshape(&client.limits, body, HELD).await?;
    exchange.request.framing = length.map_or(Framing::Chunked, |length| Framing::Length(length as u64));
    // Who only watches sees what the service gets.
    super::judging::keep(exchange, client);
    Ok(())
}

/// Reads the body whole and lets programs make another one of it, before the service hears of it.
async fn by_program(plan: Plan, exchange: &mut Exchange, client: &mut ClientConnection) -> Result<(), Fault> {
    let most = plan.limits.size;
    let Some(body) = client.reader.hold(&client.limits, most).await? else {
        return Err(Fault::BodyUnfit(Misfit::Large(most as u64)));
    };
    let body = body.to_vec();
    let made = programs::made(plan, body).await.map_err(Fault::BodyUnfit)?;
    exchange.request.framing = Framing::Length(made.len() as u64);
    client.reader.replace(made);
    Ok(())
}
