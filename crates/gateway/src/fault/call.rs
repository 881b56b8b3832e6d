//! What a call of gRPC is answered where the gateway answers: a status of gRPC under a 200, and never a page.

use std::sync::Arc;

use http1::{Framing, Name, Version, names};

use crate::exchange::{Answer, Body, Exchange};
use crate::http::grpc::{self, Form};

/// The least status of HTTP that is no success.
const REFUSED: u16 = 300;

/// Makes an answer the end of a call, if the request is one and the answer no success. There is no body.
pub(super) fn respond(exchange: &mut Exchange, answer: &Answer) -> Option<Arc<[u8]>> {
    // Who speaks JSON is answered in JSON.
    if answer.status < REFUSED || exchange.plan.transcode.is_some() {
        return None;
    }
    let form = exchange.plan.grpc_web.or_else(|| Form::of_fields(&exchange.request.fields))?;
    let late = answer.reason == "timeout" && exchange.plan.is_client_deadline;
    let status = if late { grpc::DEADLINE_EXCEEDED } else { grpc::status_of(answer.status) };
    let sentence = match &answer.body {
        Body::Problem(detail) => detail.as_str(),
        Body::Typed(typed) => typed.detail.as_str(),
        Body::Empty | Body::Bytes { .. } => http1::canonical_reason(answer.status),
    };
    exchange.record.reason = answer.reason;
    exchange.record.grpc_status = Some(u16::from(status));
    let head = &mut exchange.response;
    head.clear();
    head.set_status(200);
    head.fields.push(names::CONTENT_TYPE, &form.content_type(b""));
    let mut push = |name: &[u8], value: &[u8]| {
        if let Ok(name) = Name::new(name) {
            head.fields.push(name, value);
        }
    };
    push(grpc::STATUS, status.to_string().as_bytes());
    push(grpc::MESSAGE, &grpc::message(sentence));
    for (name, value) in &answer.fields {
        head.fields.push(name.as_name(), value);
    }
    head.fields.set(names::X_REQUEST_ID, exchange.id.as_bytes());
    // A stream that ends with its head; what that is on a connection is for whoever writes it.
    (head.framing, head.version) = (Framing::None, Version::Http2);
    Some(Arc::from([]))
}
