//! Requests of JSON that become calls of gRPC: their bodies are read whole and made the one message of the call.
//!
//! Takes what the policies found that a request calls; a service hears of it only when its message is whole and right.

use http1::{Framing, names};
use shape::coding::decoded;

use crate::exchange::{Answer, Exchange};
use crate::fault::Fault;
use crate::http::client::ClientConnection;
use crate::snapshot::Listener;

/// Makes the body that of a call, if the request is one; gives the refusal of one that does not fit.
///
/// # Errors
/// A fault of the client, or a body beyond its bounds.
pub(super) async fn begin(
    listener: &Listener,
    exchange: &mut Exchange,
    client: &mut ClientConnection,
) -> Result<Option<Answer>, Fault> {
    let Some(asked) = exchange.shaping.as_mut().and_then(|shaping| shaping.call.take()) else {
        return Ok(None);
    };
    client.reader.body_limit = super::body_limit(exchange, listener)?;
    super::judging::await_continue(exchange, client).await?;
    let most = asked.call().most();
    let Some(body) = client.reader.hold(&client.limits, most).await? else {
        return Err(Fault::BodyTooLarge(most as u64));
    };
    let coding = exchange.request.fields.get(names::CONTENT_ENCODING).unwrap_or_default();
    let framed = match decoded(body, coding, most) {
        Ok(plain) => asked.frame(&plain),
        Err(why) => return Err(Fault::BodyUnfit(why)),
    };
    match framed {
        Ok(frame) => {
            exchange.request.framing = Framing::Length(frame.len() as u64);
            exchange.request.fields.remove(names::CONTENT_ENCODING);
            client.reader.stand_in(frame);
            Ok(None)
        }
        Err(wrong) => {
            exchange.record.refused_by = Some("transcode");
            exchange.record.why = wrong.to_string().into();
            Ok(Some(Answer::problem(400, "call_invalid", wrong.to_string())))
        }
    }
}
