//! Whatever the codec accepts it can write, and what it wrote reads back as the same message.

use http1::{
    BodyDecoder, CHUNK_END, FieldId, Fields, Framing, Method, Name, RequestHead, ResponseHead, Upgrade,
    Version, encode_chunk_line, encode_last_chunk, encode_request, encode_response, names,
};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::messages;
use crate::wire::{body, request, response};

/// The fields that are not written anew from framing and connection.
fn lasting(fields: &Fields) -> Vec<(Vec<u8>, Vec<u8>)> {
    use FieldId::{Connection, ContentLength, KeepAlive, ProxyConnection, TransferEncoding, Upgrade};
    let rewritten = [Connection, ContentLength, KeepAlive, ProxyConnection, TransferEncoding, Upgrade];
    let kept = fields.iter().filter(|field| !rewritten.contains(&field.id));
    kept.map(|field| (field.name.to_vec(), field.value.to_vec())).collect()
}

fn written(head: &RequestHead) -> Vec<u8> {
    let mut out = Vec::new();
    encode_request(&mut out, head, head.keep_alive);
    out
}

fn answered(head: &ResponseHead) -> Vec<u8> {
    let mut out = Vec::new();
    encode_response(&mut out, head, Version::Http11, head.keep_alive);
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn an_accepted_request(bytes in messages::request(), strip: bool) {
        let Ok(Some((mut head, _))) = request(&bytes) else { return Ok(()) };
        if strip {
            head.remove_hop_by_hop();
        }
        if !head.fields.contains(names::HOST) {
            head.fields.push(names::HOST, b"a");
        }
        let wire = written(&head);
        let (again, length) = request(&wire).unwrap().unwrap();
        prop_assert_eq!(length, wire.len());
        prop_assert_eq!((again.method, again.method_text(), again.target()), (head.method, head.method_text(), head.target()));
        prop_assert_eq!(lasting(&again.fields), lasting(&head.fields));
        let says_empty = head.framing == Framing::None && matches!(head.method, Method::Post | Method::Put | Method::Patch);
        prop_assert_eq!(again.framing, if says_empty { Framing::Length(0) } else { head.framing });
        let tunnel = head.upgrade == Upgrade::WebSocket;
        prop_assert_eq!(again.upgrade, if tunnel { Upgrade::WebSocket } else { Upgrade::None });
        prop_assert_eq!(again.keep_alive, head.keep_alive || tunnel);
        prop_assert_eq!(written(&again), wire);
    }

    #[test]
    fn an_accepted_response(bytes in messages::response(), method in messages::method(), strip: bool) {
        let Ok(Some((mut head, _))) = response(&bytes, method) else { return Ok(()) };
        if strip {
            head.remove_hop_by_hop();
        }
        let wire = answered(&head);
        let (again, length) = response(&wire, method).unwrap().unwrap();
        prop_assert_eq!(length, wire.len());
        prop_assert_eq!((again.status, again.reason()), (head.status, head.reason()));
        prop_assert_eq!(lasting(&again.fields), lasting(&head.fields));
        prop_assert_eq!((again.framing, again.declared_length), (head.framing, head.declared_length));
        prop_assert_eq!(again.upgrade == Upgrade::WebSocket, head.upgrade == Upgrade::WebSocket);
        prop_assert_eq!(again.keep_alive, head.keep_alive || head.status < 200);
        prop_assert_eq!(answered(&again), wire);
    }

    #[test]
    fn a_chunked_body(pieces in vec(vec(any::<u8>(), 0..50), 0..8), value in vec(any::<u8>(), 0..20)) {
        let mut trailers = Fields::new();
        trailers.push(Name::new(b"X-Sum").unwrap(), &value);
        let mut wire = Vec::new();
        for piece in pieces.iter().filter(|piece| !piece.is_empty()) {
            encode_chunk_line(&mut wire, piece.len());
            wire.extend_from_slice(piece);
            wire.extend_from_slice(CHUNK_END);
        }
        encode_last_chunk(&mut wire, &trailers);
        let read = body(BodyDecoder::new(Framing::Chunked), &[&wire]);
        prop_assert_eq!((read.error, read.done, read.length), (None, true, wire.len()));
        prop_assert_eq!(read.data, pieces.concat());
        prop_assert_eq!(read.trailers, trailers);
    }
}
