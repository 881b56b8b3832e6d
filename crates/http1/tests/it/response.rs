//! Response heads: what is read from them, and every rule that refuses one.

use http1::HeadError::{self, *};
use http1::{Framing, HeadLimits, Method, ResponseHead, ResponseParser, Upgrade, Version, canonical_reason};

use crate::wire::response;

fn accepted(bytes: &str, method: Method) -> ResponseHead {
    match response(bytes.as_bytes(), method) {
        Ok(Some((head, length))) if length == bytes.len() => head,
        other => panic!("{bytes:?} gave {other:?}"),
    }
}

fn refused(bytes: &[u8]) -> HeadError {
    match response(bytes, Method::Get) {
        Err(error) => error,
        other => panic!("{:?} gave {other:?}", String::from_utf8_lossy(bytes)),
    }
}

#[test]
fn a_plain_response_is_read() {
    let head =
        accepted("HTTP/1.1 404 Nothing here \u{e4}\r\nServer: x\r\nContent-Length: 12\r\n\r\n", Method::Get);
    assert_eq!((head.status, head.version), (404, Version::Http11));
    assert_eq!(head.reason(), "Nothing here \u{e4}".as_bytes());
    assert_eq!(head.framing, Framing::Length(12));
    assert!(head.keep_alive && !head.is_interim());
    assert_eq!(accepted("HTTP/1.1 200 \r\n\r\n", Method::Get).reason(), b"");
    assert_eq!(accepted("HTTP/1.1 200\r\n\r\n", Method::Get).reason(), b"");
}

#[test]
fn the_framing_follows_the_section_6_3_list() {
    use Framing::{Chunked, Length, None as Nothing, UntilClose};
    let length = "Content-Length: 5\r\n";
    let chunked = "Transfer-Encoding: chunked\r\n";
    for (method, status, line, framing, declared) in [
        (Method::Get, 200, length, Length(5), None),
        (Method::Get, 200, "Content-Length: 0\r\n", Length(0), None),
        (Method::Get, 200, chunked, Chunked, None),
        (Method::Get, 200, "", UntilClose, None),
        (Method::Post, 404, "", UntilClose, None),
        (Method::Head, 200, length, Nothing, Some(5)),
        (Method::Head, 200, chunked, Nothing, None),
        (Method::Head, 200, "", Nothing, None),
        (Method::Get, 304, length, Nothing, Some(5)),
        (Method::Get, 304, chunked, Nothing, None),
        (Method::Get, 204, "", Nothing, None),
        (Method::Get, 204, length, Nothing, None),
        (Method::Head, 204, length, Nothing, None),
        (Method::Get, 103, length, Nothing, None),
        (Method::Get, 101, "", Nothing, None),
    ] {
        let head = accepted(&format!("HTTP/1.1 {status} x\r\n{line}\r\n"), method);
        assert_eq!((head.framing, head.declared_length), (framing, declared), "{method:?} {status} {line:?}");
    }
}

#[test]
fn a_connection_lives_on_only_after_a_certain_end() {
    for (bytes, keep_alive) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", true),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\n", false),
        ("HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n\r\n", false),
        ("HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n", false),
        ("HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: Keep-Alive\r\n\r\n", true),
        ("HTTP/1.1 204 x\r\n\r\n", true),
        ("HTTP/1.1 204 x\r\nContent-Length: 0\r\n\r\n", true),
        ("HTTP/1.1 204 x\r\nContent-Length: 5\r\n\r\n", false),
        ("HTTP/1.1 204 x\r\nTransfer-Encoding: chunked\r\n\r\n", false),
        ("HTTP/1.1 304 x\r\nContent-Length: 5\r\n\r\n", true),
    ] {
        assert_eq!(accepted(bytes, Method::Get).keep_alive, keep_alive, "{bytes:?}");
    }
}

#[test]
fn the_keep_alive_hint_is_read() {
    for (value, seconds) in [
        ("timeout=5", Some(5)),
        ("max=100, Timeout=60", Some(60)),
        ("timeout=5, max=1", Some(5)),
        ("timeout=-1", None),
        ("timeout=99999999999", None),
        ("timeout", None),
        ("", None),
    ] {
        let head = accepted(&format!("HTTP/1.1 200 OK\r\nKeep-Alive: {value}\r\n\r\n"), Method::Get);
        assert_eq!(head.keep_alive_timeout, seconds, "{value:?}");
    }
}

#[test]
fn interim_responses_are_told_from_the_switch_of_protocols() {
    for status in [100, 102, 103, 199] {
        assert!(accepted(&format!("HTTP/1.1 {status} x\r\n\r\n"), Method::Get).is_interim());
    }
    let switch = |lines: &str| accepted(&format!("HTTP/1.1 101 x\r\n{lines}\r\n"), Method::Get);
    let head = switch("Connection: Upgrade\r\nUpgrade: websocket\r\n");
    assert!(!head.is_interim());
    assert_eq!(head.upgrade, Upgrade::WebSocket);
    assert_eq!(switch("Connection: Upgrade\r\nUpgrade: foo\r\n").upgrade, Upgrade::Other);
    assert_eq!(switch("Upgrade: websocket\r\n").upgrade, Upgrade::None);
    let plain = accepted("HTTP/1.1 426 x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", Method::Get);
    assert_eq!(plain.upgrade, Upgrade::None);
}

// F19.
#[test]
fn responses_with_two_readings_are_refused() {
    let rows: &[(&[u8], HeadError)] = &[
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
            LengthAndTransferEncoding,
        ),
        (b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", TransferEncodingInHttp10),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", DuplicateContentLength),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n", DuplicateContentLength),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\n", BadContentLength),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n", BadTransferEncoding),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", UnsupportedTransferCoding),
        (b"HTTP/1.1 200 OK\r\nTransfer_Encoding: chunked\r\n\r\n", AmbiguousName),
        (
            b"HTTP/1.1 200 OK\r\nConnection: content-length\r\nContent-Length: 5\r\n\r\n",
            ConnectionNamesFraming,
        ),
        (b"HTTP/1.1 99 x\r\n\r\n", BadStatus),
        (b"HTTP/1.1 099 x\r\n\r\n", BadStatus),
        (b"HTTP/1.1 1000 x\r\n\r\n", BadStatus),
        (b"HTTP/1.1 600 x\r\n\r\n", BadStatus),
        (b"HTTP/1.1 +20 x\r\n\r\n", BadStatus),
        (b"HTTP/1.1 2x0 x\r\n\r\n", BadStatus),
        (b"HTTP/1.1 20\r\n\r\n", BadStatus),
        (b"HTTP/1.1\r\n\r\n", BadStatus),
        (b"HTTP/1.1  200 OK\r\n\r\n", BadStatus),
        (b"HTTP/1.1\t200 OK\r\n\r\n", BadVersion),
        (b"HTTP/1.1 200\tOK\r\n\r\n", BadStatus),
        (b"HTTP/1.1 200 O\0K\r\n\r\n", BadReason),
        (b"HTTP/1.1 200 O\rK\r\n\r\n", BareCr),
        (b"HTTP/1.1 200 OK\n\n", BareLf),
        (b"HTTP/1.1 200 OK\r\nX: y\n\r\n", BareLf),
        (b"HTTP/1.1 200 OK\r\nX: y\r\n z\r\n\r\n", ObsFold),
        (b"HTTP/1.1 200 OK\r\n X: y\r\n\r\n", ObsFold),
        (b"HTTP/1.1 200 OK\r\nX : y\r\n\r\n", SpaceBeforeColon),
        (b"HTTP/1.1 200 OK\r\nX: y\0\r\n\r\n", BadValue),
        (b"HTTP/2.0 200 OK\r\n\r\n", UnsupportedVersion),
        (b"HTTP/1.2 200 OK\r\n\r\n", UnsupportedVersion),
        (b"Http/1.1 200 OK\r\n\r\n", BadVersion),
        (b"ICY 200 OK\r\n\r\n", BadVersion),
        (b"\r\nHTTP/1.1 200 OK\r\n\r\n", BadVersion),
        (b"<", BadVersion),
        (b"\n", BareLf),
    ];
    for (bytes, error) in rows {
        assert_eq!(refused(bytes), *error, "{:?}", String::from_utf8_lossy(bytes));
    }
}

// F19.
#[test]
fn a_response_head_of_a_mebibyte_is_refused() {
    let line = format!("X: {}\r\n", "y".repeat(1000));
    assert_eq!(refused(format!("HTTP/1.1 200 OK\r\n{}", line.repeat(1049)).as_bytes()), HeadTooLong);
    assert_eq!(refused(format!("HTTP/1.1 200 OK\r\nX: {}", "y".repeat(1 << 20)).as_bytes()), FieldTooLong);
    assert_eq!(refused(format!("HTTP/1.1 200 {}", "y".repeat(1 << 20)).as_bytes()), StartLineTooLong);
}

// F19.
#[test]
fn a_flood_of_interim_responses_is_read_one_by_one() {
    let mut bytes = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n".repeat(1000);
    bytes.extend_from_slice(b"HTTP/1.1 204 No Content\r\n\r\n");
    let (mut parser, mut head) = (ResponseParser::new(), ResponseHead::default());
    let (mut at, mut interim) = (0, 0);
    while at < bytes.len() {
        let read = parser.parse(&bytes[at..], &HeadLimits::default(), Method::Get, &mut head);
        at += read.unwrap().unwrap();
        interim += usize::from(head.is_interim());
    }
    assert_eq!((interim, head.status), (1000, 204));
}

#[test]
fn a_status_set_by_hand_bears_its_registered_words() {
    let mut head = accepted("HTTP/1.1 200 Fine\r\nX: y\r\n\r\n", Method::Get);
    head.set_status(502);
    assert_eq!((head.status, head.reason()), (502, &b"Bad Gateway"[..]));
    assert_eq!(canonical_reason(299), "");
    head.clear();
    assert_eq!(head, ResponseHead::default());
}
