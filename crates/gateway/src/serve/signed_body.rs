//! Bodies that were signed: read whole and compared with what was signed, before a service gets any of it.
//!
//! What does not fit its bound, or is another body, goes nowhere. What was signed is then made another body, where policies
//! want that: it was signed as the client sent it.

use crate::exchange::{Answer, Exchange};
use crate::fault::Fault;
use crate::http::client::ClientConnection;
use crate::snapshot::Listener;

/// Reads the body and compares it; gives the refusal of one that is not what it must be.
///
/// # Errors
/// A fault of the client, or a body beyond its bounds.
pub(super) async fn refusal(
    listener: &Listener,
    exchange: &mut Exchange,
    client: &mut ClientConnection,
) -> Result<Option<Answer>, Fault> {
    let Some(wanted) = exchange.plan.digest.take() else {
        return reshaped(listener, exchange, client).await;
    };
    client.reader.body_limit = super::body_limit(exchange, listener)?;
    super::judging::await_continue(exchange, client).await?;
    let Some(body) =
        client.reader.hold(&client.limits, usize::try_from(wanted.most).unwrap_or(usize::MAX)).await?
    else {
        return Err(Fault::BodyTooLarge(wanted.most));
    };
    if wanted.is_of(body) {
        return reshaped(listener, exchange, client).await;
    }
    exchange.record.refused_by = Some(wanted.wanted_by);
    let text = "the body is not the one that its Content-Digest is of";
    Ok(Some(Answer::problem(400, "other_body", text)))
}

/// Lets the body be made another one, and then a call.
async fn reshaped(
    listener: &Listener,
    exchange: &mut Exchange,
    client: &mut ClientConnection,
) -> Result<Option<Answer>, Fault> {
    super::shaped_body::begin(listener, exchange, client).await?;
    super::transcoded::begin(listener, exchange, client).await
}
