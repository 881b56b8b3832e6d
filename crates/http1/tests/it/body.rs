//! Bodies: chunks, extensions, trailers, lengths, and every rule that refuses one.

use http1::BodyError::{self, *};
use http1::{BodyDecoder, BodyLimits, Framing, names};

use crate::wire::{body, chunked};

fn all_refused(rows: &[(&[u8], BodyError)]) {
    for (bytes, error) in rows {
        let body = chunked(bytes);
        assert_eq!(body.error, Some(*error), "{:?}", String::from_utf8_lossy(bytes));
        assert!(!body.done);
    }
}

#[test]
fn a_chunked_body_is_read_to_its_end_and_no_further() {
    let body = chunked(b"5\r\nhello\r\n1;a=b\r\n!\r\n0\r\nX-Sum: 1\r\n\r\nGET / HTTP/1.1\r\n");
    assert_eq!(body.data, b"hello!");
    assert_eq!(body.length, 35);
    assert!(body.done);
    assert_eq!(body.error, None);
    assert_eq!(body.trailers.len(), 1);
    assert_eq!(chunked(b"0\r\n\r\n").length, 5);
    assert_eq!(chunked(b"000000000000000A\r\n0123456789\r\n00\r\n\r\n").data, b"0123456789");
    assert_eq!(chunked(b"fFfFfFfFfFfFfFfF\r\nx").data, b"x");
}

// F7.
#[test]
fn a_chunk_size_is_a_plain_hexadecimal_number() {
    all_refused(&[
        (b"fffffffffffffffff\r\n", ChunkSizeTooLong),
        (b"10000000000000000\r\n", ChunkSizeTooLong),
        (b"00000000000000005\r\nhello\r\n", ChunkSizeTooLong),
        (b"-1\r\n", BadChunkSize),
        (b"+0\r\n\r\n", BadChunkSize),
        (b"0x5\r\nhello\r\n", BadChunkSize),
        (b"5 \r\nhello\r\n", BadChunkSize),
        (b" 5\r\nhello\r\n", BadChunkSize),
        (b"5\t\r\nhello\r\n", BadChunkSize),
        (b"1_0\r\n", BadChunkSize),
        (b"\r\n", BadChunkSize),
        (b";a\r\n", BadChunkSize),
        (b"g\r\n", BadChunkSize),
        (b"5,5\r\n", BadChunkSize),
        (b"\x005\r\n", BadChunkSize),
    ]);
}

// F8.
#[test]
fn a_chunk_extension_is_well_formed_and_bounded() {
    for line in
        [";a", ";a=b", ";a=\"b;\\\"\r c\"".trim_matches('\r'), ";a;b=c;d=\"\"", ";chunk-signature=ab12"]
    {
        let line = line.replace('\r', "");
        assert_eq!(chunked(format!("1{line}\r\nx\r\n0{line}\r\n\r\n").as_bytes()).error, None, "{line:?}");
    }
    all_refused(&[
        (b"5;\nhello\r\n", BareLf),
        (b"5;a\nhello\r\n", BareLf),
        (b"5;a=\"\nhello\"\r\n", BareLf),
        (b"5;\r\nhello\r\n", BadChunkExtension),
        (b"5;a\rhello\r\n", BareCr),
        (b"5;\0x\r\nhello\r\n", BadChunkExtension),
        (b"5;a\0\r\nhello\r\n", BadChunkExtension),
        (b"5;a=\r\n", BadChunkExtension),
        (b"5;=b\r\n", BadChunkExtension),
        (b"5; a\r\n", BadChunkExtension),
        (b"5;a =b\r\n", BadChunkExtension),
        (b"5;a=\"b\"c\r\n", BadChunkExtension),
        (b"5;a=\"b\r\n\"\r\n", BadChunkExtension),
        (b"5;a=\"\x7f\"\r\n", BadChunkExtension),
        (b"5;a=\"\\\r\n", BadChunkExtension),
        (b"5;;a\r\n", BadChunkExtension),
    ]);
    let long = |length: usize| format!("5;{}\r\nhello\r\n", "x".repeat(length));
    assert_eq!(chunked(long(4094).as_bytes()).error, None);
    assert_eq!(chunked(long(4095).as_bytes()).error, Some(ChunkLineTooLong));
    assert_eq!(chunked(long(64 << 10).as_bytes()).error, Some(ChunkLineTooLong));
}

// F8.
#[test]
fn extensions_are_bounded_over_the_whole_body() {
    let chunk = format!("1;{}\r\nx\r\n", "e".repeat(1023));
    let body = chunked(chunk.repeat(16).as_bytes());
    assert_eq!((body.error, body.data.len()), (None, 16));
    let body = chunked(chunk.repeat(1000).as_bytes());
    assert_eq!((body.error, body.data.len()), (Some(ExtensionsTooLong), 16));
    assert_eq!(chunked("1\r\nx\r\n".repeat(100_000).as_bytes()).data.len(), 100_000);
}

// F9.
#[test]
fn a_chunk_ends_with_crlf_and_where_it_said() {
    all_refused(&[
        (b"5\nhello\r\n0\r\n\r\n", BareLf),
        (b"5\rhello\r\n", BareCr),
        (b"5\r\nhelloxx\r\n0\r\n\r\n", BadChunkEnd),
        (b"5\r\nhello0\r\n\r\n", BadChunkEnd),
        (b"5\r\nhello\n0\r\n\r\n", BadChunkEnd),
        (b"5\r\nhello\rx", BadChunkEnd),
        (b"0\n\n", BareLf),
        (b"0\r\n\n", BareLf),
        (b"0\r\n\rx\n", BareLf),
    ]);
}

// F10.
#[test]
fn trailers_that_would_be_control_fields_are_dropped() {
    let dropped = [
        "Content-Length: 9",
        "Host: b",
        "Authorization: x",
        "Transfer-Encoding: chunked",
        "Connection: close",
        "Trailer: x",
        "Content-Type: a/b",
        "Content-Encoding: gzip",
        "Content-MD5: x",
        "content_length: 9",
        "Cookie: a",
        "Set-Cookie: a",
        "X-Forwarded-For: 1.1.1.1",
        "X_Forwarded_For: 1.1.1.1",
        "Forwarded: for=x",
        "Cache-Control: no-store",
        "Location: /",
        "Proxy-Authorization: x",
        "Proxy-X: x",
        "Sec-Foo: x",
        "Upgrade: h2c",
        "Expect: 100-continue",
        "Te: x",
        "If-Match: x",
        "Access-Control-Allow-Origin: *",
        "X-Original-URL: /admin",
        "Keep-Alive: x",
        "Vary: *",
        "HOST: b",
    ];
    let wire = format!("0\r\n{}\r\n\r\n", dropped.join("\r\n"));
    let body = chunked(wire.as_bytes());
    assert_eq!((body.done, body.trailers.len(), body.length), (true, 0, wire.len()), "{:?}", body.trailers);
    let body = chunked(b"0\r\ngrpc-status: 0\r\nETag: \"x\"\r\nX-Sum:\r\nServer-Timing: a;dur=1\r\n\r\n");
    assert_eq!(body.trailers.len(), 4);
    assert_eq!(body.trailers.get(names::ETAG), Some(&b"\"x\""[..]));
}

// F10.
#[test]
fn trailers_are_bounded_and_as_strict_as_heads() {
    let trailers = |count: usize| format!("0\r\n{}\r\n", "X: y\r\n".repeat(count));
    assert_eq!(chunked(trailers(32).as_bytes()).trailers.len(), 32);
    assert_eq!(chunked(trailers(33).as_bytes()).error, Some(TooManyTrailers));
    let long = |length: usize| format!("0\r\nX: {}\r\n\r\n", "y".repeat(length - 5));
    assert!(chunked(long(8 << 10).as_bytes()).done);
    assert_eq!(chunked(long((8 << 10) + 1).as_bytes()).error, Some(TrailersTooLong));
    assert_eq!(chunked(format!("0\r\nX: {}", "y".repeat(9 << 10)).as_bytes()).error, Some(TrailersTooLong));
    all_refused(&[
        (b"0\r\nX: y\n\r\n", BareLf),
        (b"0\r\nX: a\rb\r\n\r\n", BareCr),
        (b"0\r\nX: a\0b\r\n\r\n", BadTrailer),
        (b"0\r\nX : a\r\n\r\n", BadTrailer),
        (b"0\r\n X: a\r\n\r\n", BadTrailer),
        (b"0\r\nGET / HTTP/1.1\r\n\r\n", BadTrailer),
    ]);
}

#[test]
fn a_length_is_met_exactly() {
    let mut decoder = BodyDecoder::new(Framing::Length(5));
    assert_eq!(decoder.remaining(), Some(5));
    let step = decoder.decode(b"he").unwrap();
    assert_eq!((step.consumed, step.data), (2, 0..2));
    assert_eq!((decoder.remaining(), decoder.is_done()), (Some(3), false));
    let step = decoder.decode(b"lloGET /").unwrap();
    assert_eq!((step.consumed, step.data), (3, 0..3));
    assert!(decoder.is_done());
    assert_eq!(decoder.decode(b"GET /").unwrap().consumed, 0);
    assert_eq!(decoder.on_eof(), Ok(()));
}

#[test]
fn no_body_is_done_before_it_starts() {
    for framing in [Framing::None, Framing::Length(0)] {
        let mut decoder = BodyDecoder::new(framing);
        assert!(decoder.is_done());
        assert_eq!(decoder.remaining(), Some(0));
        assert_eq!(decoder.decode(b"x").unwrap().consumed, 0);
    }
}

#[test]
fn only_a_body_until_close_may_end_by_closing() {
    let mut decoder = BodyDecoder::new(Framing::UntilClose);
    assert_eq!(decoder.decode(b"abc").unwrap().data, 0..3);
    assert!(!decoder.is_done() && decoder.remaining().is_none());
    assert_eq!(decoder.on_eof(), Ok(()));
    assert!(decoder.is_done());
    for (framing, part) in [
        (Framing::Length(5), &b"abc"[..]),
        (Framing::Chunked, b""),
        (Framing::Chunked, b"3\r\nabc\r\n"),
        (Framing::Chunked, b"0\r\n"),
        (Framing::Chunked, b"0\r\nX: y\r\n"),
    ] {
        let mut decoder = BodyDecoder::new(framing);
        let mut at = 0;
        while at < part.len() {
            at += decoder.decode(&part[at..]).unwrap().consumed;
        }
        assert_eq!(decoder.on_eof(), Err(Truncated), "{part:?}");
        assert_eq!(decoder.decode(b"0\r\n\r\n"), Err(Truncated), "an error stays");
    }
}

#[test]
fn own_limits_are_kept() {
    let limits = BodyLimits { extensions: 2, trailer_fields: 1, trailer_bytes: 8, chunk_line: 5 };
    let read = |bytes: &[u8]| body(BodyDecoder::with_limits(Framing::Chunked, limits), &[bytes]).error;
    assert_eq!(read(b"1;a\r\nx\r\n0\r\nX: y\r\n\r\n"), None);
    assert_eq!(read(b"1;a\r\nx\r\n1;a\r\n"), Some(ExtensionsTooLong));
    assert_eq!(read(b"000001\r\n"), Some(ChunkLineTooLong));
    assert_eq!(read(b"0\r\nX: y\r\nY: z\r\n\r\n"), Some(TrailersTooLong));
    assert_eq!(read(b"0\r\nX:\r\nY\r\n"), Some(TooManyTrailers));
}
