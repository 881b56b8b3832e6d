//! What is written: heads from their parsed form, framing from the one decision, chunk marks.

use http1::{
    Framing, Method, RequestHead, ResponseHead, Upgrade, Version, encode_chunk_line, encode_last_chunk,
    encode_request, encode_response, names,
};

use crate::wire::{accepted, response};

fn written(head: &RequestHead, keep_alive: bool) -> String {
    let mut out = Vec::new();
    encode_request(&mut out, head, keep_alive);
    String::from_utf8(out).unwrap()
}

fn answered(head: &ResponseHead, version: Version, keep_alive: bool) -> String {
    let mut out = Vec::new();
    encode_response(&mut out, head, version, keep_alive);
    String::from_utf8(out).unwrap()
}

#[test]
fn a_request_is_written_anew() {
    let head = accepted("\r\nGET /a HTTP/1.0\r\nhost:a\r\nConnection: keep-alive\r\nX-Empty: \t\r\n\r\n");
    assert_eq!(written(&head, true), "GET /a HTTP/1.1\r\nhost: a\r\nX-Empty: \r\n\r\n");
    assert_eq!(written(&head, false), "GET /a HTTP/1.1\r\nhost: a\r\nX-Empty: \r\nConnection: close\r\n\r\n");
}

#[test]
fn the_framing_of_a_request_is_written_once_and_from_the_decision_alone() {
    let mut head = accepted("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n");
    head.fields.push(names::CONTENT_LENGTH, b"6");
    head.fields.push(names::TRANSFER_ENCODING, b"chunked");
    head.fields.push(names::CONNECTION, b"x");
    head.fields.push(names::UPGRADE, b"h2c");
    head.fields.push(names::KEEP_ALIVE, b"x");
    head.fields.push(names::PROXY_CONNECTION, b"x");
    for (method, framing, tail) in [
        (Method::Post, Framing::Length(5), "Content-Length: 5\r\n"),
        (Method::Post, Framing::Length(u64::MAX), "Content-Length: 18446744073709551615\r\n"),
        (Method::Post, Framing::Chunked, "Transfer-Encoding: chunked\r\n"),
        (Method::Post, Framing::None, "Content-Length: 0\r\n"),
        (Method::Put, Framing::None, "Content-Length: 0\r\n"),
        (Method::Patch, Framing::UntilClose, "Content-Length: 0\r\n"),
        (Method::Get, Framing::None, ""),
        (Method::Get, Framing::Length(0), "Content-Length: 0\r\n"),
        (Method::Delete, Framing::None, ""),
    ] {
        (head.method, head.framing) = (method, framing);
        let expected = format!("{} / HTTP/1.1\r\nHost: a\r\n{tail}\r\n", method.as_str());
        assert_eq!(written(&head, true), expected);
    }
}

#[test]
fn only_a_websocket_upgrade_is_asked_for() {
    let mut head =
        accepted("GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    head.remove_hop_by_hop();
    let expected = "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    assert_eq!(written(&head, true), expected);
    assert_eq!(written(&head, false), expected);
    head.upgrade = Upgrade::Other;
    assert_eq!(written(&head, true), "GET /ws HTTP/1.1\r\nHost: a\r\n\r\n");
}

#[test]
fn an_empty_head_is_still_a_request_line() {
    assert_eq!(written(&RequestHead::default(), true), "GET / HTTP/1.1\r\n\r\n");
    let mut other = RequestHead::default();
    other.method = Method::Other;
    assert_eq!(written(&other, true), "_OTHER / HTTP/1.1\r\n\r\n");
}

#[test]
fn the_framing_of_a_response_is_written_once_and_fits_the_client() {
    use Version::{Http10, Http11};
    let chunked = "Transfer-Encoding: chunked\r\n";
    let rows = [
        (200, Framing::Length(5), None, Http11, true, "Content-Length: 5\r\n"),
        (200, Framing::Length(5), None, Http11, false, "Content-Length: 5\r\nConnection: close\r\n"),
        (200, Framing::Length(5), None, Http10, true, "Content-Length: 5\r\nConnection: keep-alive\r\n"),
        (200, Framing::Length(5), None, Http10, false, "Content-Length: 5\r\nConnection: close\r\n"),
        (200, Framing::Chunked, None, Http11, true, chunked),
        (200, Framing::Chunked, None, Http10, true, "Connection: close\r\n"),
        (200, Framing::UntilClose, None, Http11, true, "Connection: close\r\n"),
        (200, Framing::UntilClose, None, Http10, true, "Connection: close\r\n"),
        (200, Framing::None, Some(7), Http11, true, "Content-Length: 7\r\n"),
        (304, Framing::None, Some(7), Http11, true, "Content-Length: 7\r\n"),
        (304, Framing::None, None, Http11, true, ""),
        (204, Framing::None, Some(7), Http11, true, ""),
        (204, Framing::Length(0), None, Http11, true, ""),
        (204, Framing::Chunked, None, Http11, false, "Connection: close\r\n"),
        (103, Framing::Length(5), None, Http11, false, ""),
        (100, Framing::None, None, Http10, true, ""),
    ];
    for (status, framing, declared, version, keep_alive, tail) in rows {
        let mut head = ResponseHead::default();
        (head.framing, head.declared_length) = (framing, declared);
        head.set_status(status);
        head.fields.push(names::SERVER, b"x");
        head.fields.push(names::CONTENT_LENGTH, b"99");
        head.fields.push(names::TRANSFER_ENCODING, b"gzip");
        head.fields.push(names::CONNECTION, b"y");
        let reason = http1::canonical_reason(status);
        let expected = format!("HTTP/1.1 {status} {reason}\r\nServer: x\r\n{tail}\r\n");
        assert_eq!(answered(&head, version, keep_alive), expected);
    }
}

#[test]
fn a_switch_of_protocols_is_passed_on() {
    let bytes = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n";
    let (mut head, _) = response(bytes, Method::Get).unwrap().unwrap();
    head.remove_hop_by_hop();
    assert_eq!(
        answered(&head, Version::Http11, true),
        "HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    );
}

#[test]
fn a_status_out_of_range_still_writes_three_digits() {
    for (status, text) in [(7, "100"), (1000, "999")] {
        let mut head = ResponseHead::default();
        head.status = status;
        assert!(answered(&head, Version::Http11, true).starts_with(&format!("HTTP/1.1 {text} \r\n")));
    }
}

#[test]
fn chunk_marks_are_written() {
    for (length, line) in [
        (1, "1\r\n"),
        (9, "9\r\n"),
        (10, "a\r\n"),
        (0x1f, "1f\r\n"),
        (0x100, "100\r\n"),
        (65_536, "10000\r\n"),
        (usize::MAX, "ffffffffffffffff\r\n"),
        (0, ""),
    ] {
        let mut out = Vec::new();
        encode_chunk_line(&mut out, length);
        assert_eq!(String::from_utf8(out).unwrap(), line);
    }
    let mut trailers = http1::Fields::new();
    trailers.push(names::ETAG, b"x");
    trailers.push(names::CONTENT_LENGTH, b"5");
    let mut out = Vec::new();
    encode_last_chunk(&mut out, &trailers);
    assert_eq!(out, b"0\r\nETag: x\r\n\r\n");
}
