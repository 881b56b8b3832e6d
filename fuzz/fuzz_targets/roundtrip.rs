//! What is accepted can be written, what was written reads back as the same message, and is written the same.
//!
//! The first byte says whether the rest is a request or a response, and whether it is stripped on the way.
#![no_main]

use http1::{
    FieldId, Fields, HeadLimits, Method, RequestHead, RequestParser, ResponseHead, ResponseParser, Upgrade,
    Version, encode_request, encode_response, names,
};
use libfuzzer_sys::fuzz_target;

/// The fields that are not written anew from framing and connection.
fn lasting(fields: &Fields) -> Vec<(&[u8], &[u8])> {
    use FieldId::{Connection, ContentLength, KeepAlive, ProxyConnection, TransferEncoding, Upgrade};
    let rewritten = [Connection, ContentLength, KeepAlive, ProxyConnection, TransferEncoding, Upgrade];
    fields
        .iter()
        .filter(|field| !rewritten.contains(&field.id))
        .map(|field| (field.name, field.value))
        .collect()
}

fn request(bytes: &[u8], strip: bool) {
    let limits = HeadLimits { head: 1 << 20, field: 1 << 20, start_line: 1 << 20, fields: 1000 };
    let (mut parser, mut head, mut again) =
        (RequestParser::new(), RequestHead::default(), RequestHead::default());
    let Ok(Some(_)) = parser.parse(bytes, &limits, &mut head) else { return };
    if strip {
        head.remove_hop_by_hop();
    }
    if !head.fields.contains(names::HOST) {
        // HTTP/1.0 may leave it out, HTTP/1.1 may not, and a target that names another host would not fit it.
        if !head.target().starts_with(b"/") {
            return;
        }
        head.fields.push(names::HOST, b"a");
    }
    let (mut wire, mut twice) = (Vec::new(), Vec::new());
    encode_request(&mut wire, &head, head.keep_alive);
    assert_eq!(parser.parse(&wire, &limits, &mut again), Ok(Some(wire.len())));
    assert_eq!((again.method_text(), again.target()), (head.method_text(), head.target()));
    assert_eq!(lasting(&again.fields), lasting(&head.fields));
    assert_eq!(again.upgrade == Upgrade::WebSocket, head.upgrade == Upgrade::WebSocket);
    encode_request(&mut twice, &again, again.keep_alive);
    assert_eq!(twice, wire);
}

fn response(bytes: &[u8], strip: bool) {
    let limits = HeadLimits { head: 1 << 20, field: 1 << 20, start_line: 1 << 20, fields: 1000 };
    let (mut parser, mut head, mut again) =
        (ResponseParser::new(), ResponseHead::default(), ResponseHead::default());
    let Ok(Some(_)) = parser.parse(bytes, &limits, Method::Get, &mut head) else { return };
    if strip {
        head.remove_hop_by_hop();
    }
    let (mut wire, mut twice) = (Vec::new(), Vec::new());
    encode_response(&mut wire, &head, Version::Http11, head.keep_alive);
    assert_eq!(parser.parse(&wire, &limits, Method::Get, &mut again), Ok(Some(wire.len())));
    assert_eq!((again.status, again.reason()), (head.status, head.reason()));
    assert_eq!((again.framing, again.declared_length), (head.framing, head.declared_length));
    assert_eq!(lasting(&again.fields), lasting(&head.fields));
    encode_response(&mut twice, &again, Version::Http11, again.keep_alive);
    assert_eq!(twice, wire);
}

fuzz_target!(|input: &[u8]| {
    let Some((kind, bytes)) = input.split_first() else { return };
    if kind & 1 == 0 { request(bytes, kind & 2 != 0) } else { response(bytes, kind & 2 != 0) }
});
