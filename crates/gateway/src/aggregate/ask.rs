//! What a part asks for: a request of its own, made of the client's and of what is known by then.
//!
//! Takes the client's request and the answers so far; fills an exchange that the road can take to a service. Identity, trace
//! and what the client says of languages and the like go along; what is about the client's own body, and what would bring
//! half an answer or none, does not.

use http1::{Field, FieldId, Framing, Name, Upgrade, names};

use super::Part;
use super::text::{Known, Unfilled};
use crate::exchange::{Exchange, Trace};
use crate::values::random::Random;

/// Whether a part does not send a field of the client: what is about its body, and what would bring half an answer or none.
fn is_left_out(field: Field<'_>) -> bool {
    use FieldId::{
        Accept, AcceptEncoding, Expect, IfMatch, IfModifiedSince, IfNoneMatch, IfRange, IfUnmodifiedSince,
        Range,
    };
    let is_content = || field.name.get(..8).is_some_and(|start| start.eq_ignore_ascii_case(b"content-"));
    matches!(
        field.id,
        Accept
            | AcceptEncoding
            | Expect
            | IfMatch
            | IfModifiedSince
            | IfNoneMatch
            | IfRange
            | IfUnmodifiedSince
            | Range
    ) || is_content()
}

/// Fills an empty exchange with the request of a part; gives the body that it sends.
///
/// # Errors
/// Something that the request needs is missing, or may not stand where it would.
pub fn fill(
    part: &Part,
    known: &Known<'_>,
    random: &Random,
    exchange: &mut Exchange,
) -> Result<Vec<u8>, Unfilled> {
    let parent = known.exchange;
    exchange.take_request(parent);
    part.path.write(known, &mut exchange.path)?;
    exchange.query.clear();
    exchange.has_query = part.query.is_some();
    if let Some(query) = &part.query {
        exchange.query = query.query(known)?;
    }
    exchange.trace = Trace { parent_id: parent.trace.span_id, span_id: random.next() | 1, ..parent.trace };
    exchange.rehearsal = parent.rehearsal;
    let request = &mut exchange.request;
    request.remove_hop_by_hop();
    request.fields.retain(|field| !is_left_out(field));
    (request.expect_continue, request.upgrade, request.keep_alive) = (false, Upgrade::None, true);
    request.framing = Framing::None;
    request.fields.push(names::ACCEPT, b"application/json");
    // What is merged must be read, and what is read is not coded.
    request.fields.push(names::ACCEPT_ENCODING, b"identity");
    if request.set_method(&part.method).is_err() {
        return Err(Unfilled::answer("method"));
    }
    exchange.record.method = exchange.request.method;
    let mut body = Vec::new();
    if let Some(written) = &part.body {
        written.write(known, &mut body)?;
        exchange.request.framing = Framing::Length(body.len() as u64);
        exchange.request.fields.push(names::CONTENT_TYPE, b"application/json");
    }
    for (name, text) in &part.headers {
        match text.header(known)? {
            Some(value) => exchange.request.fields.set(name.as_name(), &value),
            None => _ = exchange.request.fields.remove(name.as_name()),
        }
    }
    exchange.record.route = Some(part.route);
    Ok(body)
}

/// The value of a field of an answer, by its name.
pub fn field<'e>(exchange: &'e Exchange, name: &str) -> Option<&'e [u8]> {
    Name::new(name.as_bytes()).ok().and_then(|name| exchange.response.fields.get(name))
}
