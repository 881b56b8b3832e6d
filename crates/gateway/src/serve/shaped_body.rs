//! Bodies of requests that are made others: read ahead as far as they are small, so that what is wrong with them is known
//! before a service hears of it.
//!
//! What is larger goes on as a stream; what is wrong with it breaks the request off, and never passes for whole.

use http1::{Framing, names};
use shape::Body;

use crate::exchange::Exchange;
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
    let body = Body::new(&plan).map_err(Fault::BodyUnfit)?;
    let length = client.reader.reshape(&client.limits, body, HELD).await?;
    exchange.request.framing = length.map_or(Framing::Chunked, |length| Framing::Length(length as u64));
    Ok(())
}
