//! What the framing and connection fields of a request decide, and every spelling of them that is refused.

use http1::HeadError::*;
use http1::{Framing, names};

use crate::wire::{accepted, all_refused_with, refused, with};

// F1, F2.
#[test]
fn both_framing_fields_in_one_request_are_refused() {
    let bytes =
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG";
    assert_eq!(refused(bytes), LengthAndTransferEncoding);
    let bytes =
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n5c\r\nGPOST";
    assert_eq!(refused(bytes), LengthAndTransferEncoding);
    let bytes = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(refused(bytes), LengthAndTransferEncoding);
}

// F3.
#[test]
fn only_exactly_chunked_is_a_transfer_encoding() {
    for spelling in ["chunked", "Chunked", "CHUNKED"] {
        assert_eq!(accepted(&with(&format!("Transfer-Encoding: {spelling}"))).framing, Framing::Chunked);
    }
    all_refused_with(&[
        ("Transfer-Encoding: xchunked", UnsupportedTransferCoding),
        ("Transfer-Encoding: gzip", UnsupportedTransferCoding),
        ("Transfer-Encoding: identity", UnsupportedTransferCoding),
        ("Transfer-Encoding : chunked", SpaceBeforeColon),
        ("Transfer-Encoding\t: chunked", SpaceBeforeColon),
        ("Transfer-Encoding:\x0bchunked", BadValue),
        ("Transfer-Encoding:\x0cchunked", BadValue),
        ("Transfer-Encoding: chunked\0", BadValue),
        ("Transfer-Encoding: chunked\r", BareCr),
        ("Transfer-Encoding: chunked, chunked", BadTransferEncoding),
        ("Transfer-Encoding: identity, chunked", BadTransferEncoding),
        ("Transfer-Encoding: gzip, chunked", BadTransferEncoding),
        ("Transfer-Encoding: chunked, gzip", BadTransferEncoding),
        ("Transfer-Encoding: ,chunked", BadTransferEncoding),
        ("Transfer-Encoding: chunked,", BadTransferEncoding),
        ("Transfer-Encoding: chunked;q=1", BadTransferEncoding),
        ("Transfer-Encoding: \"chunked\"", BadTransferEncoding),
        ("Transfer-Encoding: chunk ed", BadTransferEncoding),
        ("Transfer-Encoding: chunked\u{a0}", BadTransferEncoding),
        ("Transfer-Encoding:", BadTransferEncoding),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", DuplicateTransferEncoding),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", DuplicateTransferEncoding),
        ("Transfer_Encoding: chunked", AmbiguousName),
        ("transfer.encoding: chunked", AmbiguousName),
        ("Transfer-Encoding:\r\n chunked", BadTransferEncoding),
        ("Transfer-Encoding: chunked\r\n , identity", ObsFold),
        ("X: y\r\n Transfer-Encoding: chunked", ObsFold),
        ("\u{0}Transfer-Encoding: chunked", BadName),
        ("Transfer\0Encoding: chunked", BadName),
        ("Transfer-Encoding", BadName),
    ]);
}

// F4.
#[test]
fn http_1_0_has_no_transfer_encoding() {
    let bytes = b"POST / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\nTransfer-Encoding: identity, chunked\r\nContent-Length: 29\r\n\r\n0\r\n\r\n";
    assert_eq!(refused(bytes), TransferEncodingInHttp10);
    assert_eq!(refused(b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), TransferEncodingInHttp10);
    assert_eq!(accepted("POST / HTTP/1.0\r\nHost: a\r\n\r\n").framing, Framing::None);
}

// F5.
#[test]
fn a_length_is_one_plain_decimal_number() {
    for (text, length) in [("0", 0), ("5", 5), ("18446744073709551615", u64::MAX)] {
        let head = accepted(&with(&format!("Content-Length: {text}")));
        assert_eq!(head.framing, Framing::Length(length));
    }
    for text in [
        "+5",
        "-0",
        "-1",
        "0x5",
        "5,5",
        "5,6",
        "5, 5",
        "1 0",
        "1_0",
        "",
        "05",
        "0200",
        "00",
        "5.0",
        "5e1",
        "5;",
        "\"5\"",
        "\u{661}",
        "18446744073709551616",
        "99999999999999999999",
        "184467440737095516150",
    ] {
        assert_eq!(
            refused(with(&format!("Content-Length: {text}")).as_bytes()),
            BadContentLength,
            "{text:?}"
        );
    }
    all_refused_with(&[
        ("Content-Length: 5\0", BadValue),
        ("Content-Length: 5\x0b", BadValue),
        ("Content-Length : 5", SpaceBeforeColon),
        ("Content_Length: 5", AmbiguousName),
        ("Content-Length: 5\r\n 0", ObsFold),
    ]);
}

// F6.
#[test]
fn two_lengths_are_refused_also_if_they_are_equal() {
    all_refused_with(&[
        ("Content-Length: 5\r\nContent-Length: 6", DuplicateContentLength),
        ("Content-Length: 5\r\nContent-Length: 5", DuplicateContentLength),
        ("Content-Length: 0\r\ncontent-length: 0", DuplicateContentLength),
    ]);
}

// P5.
#[test]
fn connection_is_a_short_list_of_tokens_that_names_no_framing() {
    all_refused_with(&[
        ("Connection: Host", ConnectionNamesFraming),
        ("Connection: close, content-length", ConnectionNamesFraming),
        ("Connection: Transfer-Encoding", ConnectionNamesFraming),
        ("Connection: close\r\nConnection: x, HOST", ConnectionNamesFraming),
        (
            "Connection: close, X-User-Id, X-Forwarded-For, Authorization, Host, Content-Length, Cookie",
            ConnectionNamesFraming,
        ),
        ("Connection: close;x", BadConnection),
        ("Connection: a b", BadConnection),
        ("Connection: \"close\"", BadConnection),
    ]);
    let many = |count| with(&format!("Connection: {}", vec!["x"; count].join(",")));
    accepted(&many(64));
    assert_eq!(refused(many(65).as_bytes()), BadConnection);

    let head =
        |version: &str, lines: &str| accepted(&format!("GET / {version}\r\nHost: a\r\n{lines}X: y\r\n\r\n"));
    for (version, lines, keep_alive) in [
        ("HTTP/1.1", "", true),
        ("HTTP/1.1", "Connection: keep-alive\r\n", true),
        ("HTTP/1.1", "Connection: close\r\n", false),
        ("HTTP/1.1", "Connection: , Close ,\r\n", false),
        ("HTTP/1.1", "Connection: keep-alive, close\r\n", false),
        ("HTTP/1.1", "Connection: closed\r\n", true),
        ("HTTP/1.1", "Connection:\r\n", true),
        ("HTTP/1.0", "", false),
        ("HTTP/1.0", "Connection: Keep-Alive\r\n", true),
        ("HTTP/1.0", "Connection: keep-alive\r\nConnection: close\r\n", false),
        ("HTTP/1.0", "Proxy-Connection: keep-alive\r\n", false),
    ] {
        assert_eq!(head(version, lines).keep_alive, keep_alive, "{version} {lines:?}");
    }
}

// P5.
#[test]
fn nominated_fields_are_removed_before_own_ones_are_added() {
    let mut head = accepted(&with(
        "Connection: close, X-User-Id, Cookie\r\nConnection: authorization,X-Forwarded-For,x-own\r\n\
         X-User-Id: 1\r\nx-user-id: 2\r\nCookie: c\r\nAuthorization: b\r\nX-Forwarded-For: 1.1.1.1\r\nX-Own: 1\r\n\
         Keep-Alive: timeout=5\r\nProxy-Connection: x\r\nProxy-Authorization: x\r\nProxy-Authenticate: x\r\nTE: trailers\r\n\
         Trailer: x\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\nContent-Length: 5\r\nX-User-Idx: stays\r\nAccept: stays",
    ));
    head.remove_hop_by_hop();
    head.fields.push(names::X_FORWARDED_FOR, b"10.0.0.1");
    let left: Vec<_> =
        head.fields.iter().map(|field| String::from_utf8_lossy(field.name).into_owned()).collect();
    assert_eq!(left, ["Host", "X-User-Idx", "Accept", "X-Forwarded-For"]);
    assert_eq!(head.framing, Framing::Length(5), "the decision stays, its field is written anew");
    let mut head = accepted("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    head.remove_hop_by_hop();
    assert_eq!((head.fields.len(), head.framing), (1, Framing::Chunked));
}
