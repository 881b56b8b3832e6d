//! Request heads: what is read from them, and every rule that refuses one.

use http1::HeadError::{self, *};
use http1::{Framing, HeadLimits, Method, RequestHead, RequestParser, Upgrade, Version, names};

use crate::wire::{accepted, all_refused, all_refused_with, refused, request, with};

#[test]
fn a_plain_request_is_read() {
    let head =
        accepted("GET /v2/users/1?full=1 HTTP/1.1\r\nHost: shop.test\r\nAccept:  */*\t \r\nX-Empty:\r\n\r\n");
    assert_eq!((head.method, head.method_text()), (Method::Get, &b"GET"[..]));
    assert_eq!(head.version, Version::Http11);
    assert_eq!(head.target(), b"/v2/users/1?full=1");
    assert_eq!(head.fields.get(names::ACCEPT), Some(&b"*/*"[..]));
    assert_eq!(
        head.fields.iter().nth(2).map(|field| (field.name, field.value)),
        Some((&b"X-Empty"[..], &b""[..]))
    );
    assert_eq!(head.framing, Framing::None);
    assert_eq!(head.upgrade, Upgrade::None);
    assert!(head.keep_alive);
    assert!(!head.expect_continue);
}

#[test]
fn a_head_is_reused_without_a_trace_of_the_last_one() {
    let mut parser = RequestParser::new();
    let mut head = RequestHead::default();
    let limits = HeadLimits::default();
    let first = b"PURGE /x HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\nContent-Length: 3\r\n\r\n";
    assert_eq!(parser.parse(first, &limits, &mut head), Ok(Some(first.len())));
    assert_eq!((head.method, head.method_text()), (Method::Other, &b"PURGE"[..]));
    let second = b"GET / HTTP/1.1\r\nHost: b\r\n\r\n";
    assert_eq!(parser.parse(second, &limits, &mut head), Ok(Some(second.len())));
    assert_eq!(head, accepted("GET / HTTP/1.1\r\nHost: b\r\n\r\n"));
}

/// Every length that is looked at in another way, every place in it, every byte that could be taken for another class.
#[test]
fn a_byte_that_may_not_be_there_is_found_at_every_place() {
    let (limits, mut head) = (HeadLimits::default(), RequestHead::default());
    let mut read = |target: &[u8], value: &[u8]| {
        let parts: [&[u8]; 5] = [b"GET /", target, b" HTTP/1.1\r\nHost: a\r\nX: |", value, b"|\r\n\r\n"];
        RequestParser::new().parse(&parts.concat(), &limits, &mut head).map(drop)
    };
    for length in 1..=140 {
        for place in 0..length {
            for byte in [0, 1, 8, b'\t', b'\n', b'\r', 0x1f, b' ', b'!', b'#', b'\\', b'~', 0x7f, 0x80, 0xff]
            {
                let mut text = vec![b'a'; length];
                text[place] = byte;
                let may_be_value = byte == b'\t' || (byte >= 0x20 && byte != 0x7f);
                assert_eq!(
                    read(b"", &text).is_ok(),
                    may_be_value,
                    "{byte:#x} at {place} of {length} in a value"
                );
                let may_be_target = matches!(byte, b'!' | b'~');
                assert_eq!(
                    read(&text, b"").is_ok(),
                    may_be_target,
                    "{byte:#x} at {place} of {length} in a target"
                );
            }
        }
    }
}

#[test]
fn an_error_stays_until_reset() {
    let mut parser = RequestParser::new();
    let mut head = RequestHead::default();
    let limits = HeadLimits::default();
    assert_eq!(parser.parse(b" GET", &limits, &mut head), Err(BadMethod));
    let good = b"GET / HTTP/1.1\r\nHost: b\r\n\r\n";
    assert_eq!(parser.parse(good, &limits, &mut head), Err(BadMethod));
    parser.reset();
    assert_eq!(parser.parse(good, &limits, &mut head), Ok(Some(good.len())));
}

#[test]
fn one_empty_line_before_the_request_is_skipped() {
    let head = accepted("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(head.fields.get(names::HOST), Some(&b"a"[..]));
    all_refused(&[
        ("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", BadMethod),
        ("\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", BareLf),
        ("\r\n\n", BareLf),
        ("\rGET / HTTP/1.1\r\nHost: a\r\n\r\n", BareCr),
    ]);
}

#[test]
fn what_cannot_become_a_request_is_refused_at_its_first_byte() {
    assert_eq!(refused(b"\x16\x03\x01"), BadMethod);
    assert_eq!(refused(b" "), BadMethod);
    assert_eq!(refused(b"\0"), BadMethod);
    assert_eq!(refused(b"\n"), BareLf);
    assert_eq!(request(b"\r"), Ok(None));
    assert_eq!(request(b"G"), Ok(None));
}

// F11.
#[test]
fn bare_line_ends_control_bytes_and_folds_are_refused() {
    all_refused(&[
        ("GET / HTTP/1.1\nHost: a\n\n", BareLf),
        ("GET / HTTP/1.1\r\nHost: a\n\n", BareLf),
        ("GET / HTTP/1.1\r\nHost: a\r\n\n", BareLf),
        ("GET / HTTP/1.1\r\nHost: a\n", BareLf),
        ("GET / HTTP/1.1\n", BareLf),
        ("GET / HTTP/1.1\r\r\nHost: a\r\n\r\n", BareCr),
        ("GET /\r HTTP/1.1\r\nHost: a\r\n\r\n", BareCr),
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\r\n", BareCr),
        ("GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n", BadTarget),
        ("G\0T / HTTP/1.1\r\nHost: a\r\n\r\n", BadMethod),
    ]);
    all_refused_with(&[
        ("X: a\rb", BareCr),
        ("X\r: a", BareCr),
        ("X: a\r", BareCr),
        ("X: a\0b", BadValue),
        ("X: \x7f", BadValue),
        ("X: a\x08", BadValue),
        ("X: a long value that ends with a control byte\x1f", BadValue),
        ("X: a long value with a \x01 control byte in its middle, far from its end", BadValue),
        ("X: a\r\n b", ObsFold),
        ("X: a\r\n\tb", ObsFold),
        ("X: a\r\n ", ObsFold),
    ]);
    let head = accepted(&with("X: tab\tinside and \u{e4}\u{20ac}"));
    assert_eq!(head.fields.iter().last().unwrap().value, "tab\tinside and \u{e4}\u{20ac}".as_bytes());
}

// F12.
#[test]
fn white_space_stands_only_where_the_grammar_has_it() {
    all_refused(&[
        ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", SpaceBeforeColon),
        ("GET / HTTP/1.1\r\n Host: a\r\n\r\n", ObsFold),
        ("GET / HTTP/1.1\r\n\tHost: a\r\n\r\n", ObsFold),
        ("GET / HTTP/1.1\r\n: a\r\n\r\n", BadName),
        ("GET / HTTP/1.1\r\nHo st: a\r\n\r\n", BadName),
        ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", BadTarget),
        ("GET /  HTTP/1.1\r\nHost: a\r\n\r\n", BadTarget),
        ("GET / HTTP/1.1 \r\nHost: a\r\n\r\n", BadTarget),
        ("GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", BadTarget),
        ("GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", BadMethod),
        ("GET /\tHTTP/1.1\r\nHost: a\r\n\r\n", BadVersion),
        ("GET / HTTP/ 1.1\r\nHost: a\r\n\r\n", BadTarget),
        ("GET / http/1.1\r\nHost: a\r\n\r\n", BadVersion),
        ("GET / HTTP/01.1\r\nHost: a\r\n\r\n", BadVersion),
        ("GET / HTTP/1.01\r\nHost: a\r\n\r\n", BadVersion),
        ("GET / HTTP/1,1\r\nHost: a\r\n\r\n", BadVersion),
        ("GET / HTTP/1\r\nHost: a\r\n\r\n", BadVersion),
        ("GET / HTTP/1.\r\nHost: a\r\n\r\n", BadVersion),
        ("GET / HTTP/1.x\r\nHost: a\r\n\r\n", BadVersion),
        ("GET / HTTPS/1.1\r\nHost: a\r\n\r\n", BadVersion),
        ("GET / \r\nHost: a\r\n\r\n", BadVersion),
        ("GET /\r\n\r\n", BadVersion),
        ("GET\r\n\r\n", BadTarget),
        ("GET / HTTP/1.2\r\nHost: a\r\n\r\n", UnsupportedVersion),
        ("GET / HTTP/0.9\r\nHost: a\r\n\r\n", UnsupportedVersion),
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", UnsupportedVersion),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", UnsupportedVersion),
        ("G(T / HTTP/1.1\r\nHost: a\r\n\r\n", BadMethod),
    ]);
    assert_eq!(accepted("get / HTTP/1.1\r\nHost: a\r\n\r\n").method, Method::Other);
}

// F14.
#[test]
fn only_100_continue_can_be_expected() {
    assert!(accepted(&with("Expect: 100-continue\r\nContent-Length: 5")).expect_continue);
    assert!(accepted(&with("Expect: 100-Continue\r\nTransfer-Encoding: chunked")).expect_continue);
    assert!(!accepted(&with("Expect: 100-continue")).expect_continue, "no body to wait with");
    assert!(!accepted(&with("Expect: 100-continue\r\nContent-Length: 0")).expect_continue);
    let old = accepted("POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    assert!(!old.expect_continue, "HTTP/1.0 knows no interim responses");
    all_refused_with(&[
        ("Expect: y 100-continue", BadExpect),
        ("Expect: x\r\nContent-Length: 5", BadExpect),
        ("Expect: 100-continue, 100-continue", BadExpect),
        ("Expect: 100-continue\r\nExpect: 100-continue", BadExpect),
        ("Expect: 100-continue;x", BadExpect),
        ("Expect:", BadExpect),
        (" Expect: y 100-continue", ObsFold),
    ]);
    assert_eq!(BadExpect.status(), 417);
}

// F15.
#[test]
fn an_upgrade_is_read_but_takes_no_byte_after_the_head() {
    let bytes = "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: foo\r\n\r\nGET /admin HTTP/1.1\r\nHost: a\r\n\r\n";
    let (head, length) = request(bytes.as_bytes()).unwrap().unwrap();
    assert_eq!((head.upgrade, head.framing), (Upgrade::Other, Framing::None));
    let (second, _) = request(&bytes.as_bytes()[length..]).unwrap().unwrap();
    assert_eq!(second.target(), b"/admin");

    let upgrade =
        |start: &str, lines: &str| accepted(&format!("{start}\r\nHost: a\r\n{lines}\r\n\r\n")).upgrade;
    let get = "GET /ws HTTP/1.1";
    let rows = [
        (get, "Connection: Upgrade\r\nUpgrade: websocket", Upgrade::WebSocket),
        (get, "Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket", Upgrade::WebSocket),
        (get, "Upgrade: websocket", Upgrade::None),
        (get, "Connection: upgrade", Upgrade::None),
        (get, "Connection: Upgrade\r\nUpgrade: websocket, h2c", Upgrade::Other),
        (get, "Connection: Upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c", Upgrade::Other),
        (get, "Connection: Upgrade\r\nUpgrade: h2c", Upgrade::Other),
        (get, "Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 5", Upgrade::Other),
        ("POST /ws HTTP/1.1", "Connection: Upgrade\r\nUpgrade: websocket", Upgrade::Other),
        ("GET /ws HTTP/1.0", "Connection: Upgrade\r\nUpgrade: websocket", Upgrade::None),
    ];
    for (start, lines, expected) in rows {
        assert_eq!(upgrade(start, lines), expected, "{start} {lines:?}");
    }
}

// F16.
#[test]
fn connect_names_a_host_and_a_port() {
    let head = accepted("CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n");
    assert_eq!((head.method, head.target()), (Method::Connect, &b"a:80"[..]));
    let body = accepted("CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\nContent-Length: 5\r\n\r\n");
    assert_eq!(body.framing, Framing::Length(5));
    all_refused(&[
        ("CONNECT a HTTP/1.1\r\nHost: a\r\n\r\n", BadTarget),
        ("CONNECT a: HTTP/1.1\r\nHost: a\r\n\r\n", BadTarget),
        ("CONNECT / HTTP/1.1\r\nHost: a\r\n\r\n", BadTarget),
        ("CONNECT * HTTP/1.1\r\nHost: a\r\n\r\n", BadTarget),
        ("CONNECT http://a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", BadTarget),
        ("CONNECT u@a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", BadTarget),
        ("CONNECT a:80 HTTP/1.1\r\nHost: b:80\r\n\r\n", HostMismatch),
        ("CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", HostMismatch),
        ("GET a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", BadTarget),
    ]);
}

// F18.
#[test]
fn there_is_one_host_and_the_target_agrees() {
    for bytes in [
        "GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET http://a:80/ HTTP/1.1\r\nHost: A\r\n\r\n",
        "GET HTTP://a HTTP/1.1\r\nHost: a:80\r\n\r\n",
        "GET https://a?q HTTP/1.1\r\nHost: a:443\r\n\r\n",
        "GET http://a:8080/ HTTP/1.1\r\nHost: a:8080\r\n\r\n",
        "GET http://a/ HTTP/1.0\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
        "OPTIONS http://a HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET //b/x HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /x?http://b/ HTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        accepted(bytes);
    }
    all_refused(&[
        ("GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", HostMismatch),
        ("GET http://a:81/ HTTP/1.1\r\nHost: a\r\n\r\n", HostMismatch),
        ("GET https://a/ HTTP/1.1\r\nHost: a:80\r\n\r\n", HostMismatch),
        ("GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n", BadTarget),
        ("GET http://a,b/ HTTP/1.1\r\nHost: a\r\n\r\n", BadTarget),
        ("GET http:/// HTTP/1.1\r\nHost: a\r\n\r\n", BadTarget),
        ("GET http:///a HTTP/1.1\r\nHost: a\r\n\r\n", BadTarget),
        ("GET http:a HTTP/1.1\r\nHost: a\r\n\r\n", BadTarget),
        ("GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", BadTarget),
        ("GET admin HTTP/1.1\r\nHost: a\r\n\r\n", BadTarget),
        ("GET * HTTP/1.1\r\nHost: a\r\n\r\n", BadTarget),
        ("OPTIONS ** HTTP/1.1\r\nHost: a\r\n\r\n", BadTarget),
        ("GET /#x HTTP/1.1\r\nHost: a\r\n\r\n", BadTarget),
        ("GET /a\\b HTTP/1.1\r\nHost: a\r\n\r\n", BadTarget),
        ("GET /\u{e4} HTTP/1.1\r\nHost: a\r\n\r\n", BadTarget),
        ("GET /\x7f HTTP/1.1\r\nHost: a\r\n\r\n", BadTarget),
        ("GET / HTTP/1.1\r\n\r\n", MissingHost),
        ("GET http://a/ HTTP/1.1\r\n\r\n", MissingHost),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", DuplicateHost),
        ("GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n", DuplicateHost),
        ("GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", DuplicateHost),
    ]);
}

#[test]
fn a_host_has_one_reading() {
    for host in [
        "a",
        "A.b-c_d~e",
        "a.",
        "127.0.0.1",
        "127.0.0.1:1",
        "a:65535",
        "[::1]",
        "[2001:db8::1]:8443",
        "x.test:80",
    ] {
        accepted(&format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        accepted(&format!("GET / HTTP/1.0\r\nHost: {host}\r\n\r\n"));
    }
    for host in [
        "",
        "a,b",
        "a, b",
        "a b",
        "a@b",
        "u:p@b",
        "a/b",
        "a?b",
        "a#b",
        "a\\b",
        "a%2eb",
        "a;b",
        "a:",
        ":80",
        "a:0",
        "a:080",
        "a:99999",
        "a:65536",
        "a:-1",
        "a:+80",
        "a:80:80",
        "a:80x",
        "::1",
        "[::1",
        "[::1]x",
        "[::1]:",
        "[]",
        "[a]",
        "[::1%eth0]",
        "[v1.x]",
        "[127.0.0.1]",
        "http://a",
        "\u{e4}",
    ] {
        assert_eq!(
            refused(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes()),
            BadHost,
            "{host:?}"
        );
    }
}

// R5.
#[test]
fn large_heads_are_refused_at_their_limit_and_not_before() {
    let target = |length: usize| format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(length - 14));
    accepted(&target(8 << 10));
    assert_eq!(refused(target((8 << 10) + 1).as_bytes()), StartLineTooLong);
    assert_eq!(refused(target(100 << 10).as_bytes()), StartLineTooLong);
    assert_eq!(StartLineTooLong.status(), 414);

    let field = |length: usize| with(&format!("X: {}", "y".repeat(length - 3)));
    accepted(&field(16 << 10));
    assert_eq!(refused(field((16 << 10) + 1).as_bytes()), FieldTooLong);
    assert_eq!(refused(field(100 << 10).as_bytes()), FieldTooLong);
    assert_eq!(FieldTooLong.status(), 431);

    let fields = |count: usize| format!("GET / HTTP/1.1\r\n{}Host: a\r\n\r\n", "X: y\r\n".repeat(count - 1));
    accepted(&fields(100));
    assert_eq!(refused(fields(101).as_bytes()), TooManyFields);
    assert_eq!(refused(fields(10_000).as_bytes()), TooManyFields);
    assert_eq!(TooManyFields.status(), 431);

    let head = |length: usize| {
        let start = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n", "x".repeat(16_000));
        let fill = length - start.len() - "Y: \r\n\r\n".len();
        format!("{start}Y: {}\r\n\r\n", "y".repeat(fill))
    };
    let limits = HeadLimits { head: 30_000, ..HeadLimits::default() };
    let parse =
        |bytes: &str| RequestParser::new().parse(bytes.as_bytes(), &limits, &mut RequestHead::default());
    assert_eq!(parse(&head(30_000)), Ok(Some(30_000)));
    assert_eq!(parse(&head(30_001)), Err(HeadTooLong));
    assert_eq!(HeadTooLong.status(), 431);
}

#[test]
fn a_line_that_breaks_both_limits_at_once_is_told_by_its_own() {
    let limits = HeadLimits { start_line: 20, head: 22, ..HeadLimits::default() };
    let bytes = b"GET /0123456789 HTTP/1.1\r\n";
    let mut head = RequestHead::default();
    assert_eq!(RequestParser::new().parse(bytes, &limits, &mut head), Err(StartLineTooLong));
    let limits = HeadLimits { head: 21, ..limits };
    assert_eq!(RequestParser::new().parse(bytes, &limits, &mut head), Err(HeadTooLong));
}

#[test]
fn a_line_without_an_end_is_refused_when_it_outgrew_its_limit() {
    let mut bytes = b"GET /".to_vec();
    bytes.resize((8 << 10) + 1, b'x');
    assert_eq!(request(&bytes), Ok(None));
    bytes.push(b'x');
    assert_eq!(request(&bytes), Err(StartLineTooLong));
}

#[test]
fn setting_a_target_or_method_cannot_split_the_request_line() {
    let mut head = RequestHead::default();
    for (given, kept) in [
        (&b"/a%20b?c=d"[..], &b"/a%20b?c=d"[..]),
        (b"", b"/"),
        (b"/a b\r\nX: y\0#\\\x7f\xe4", b"/a%20b%0D%0AX:%20y%00%23%5C%7F%E4"),
    ] {
        head.set_target(given);
        assert_eq!(head.target(), kept);
    }
    head.set_method(b"PURGE").unwrap();
    assert_eq!((head.method, head.method_text()), (Method::Other, &b"PURGE"[..]));
    assert!(head.set_method(b"GET / HTTP/1.1\r\nX:").is_err());
    assert!(head.set_method(b"").is_err());
    assert_eq!(head.method_text(), b"PURGE");
    head.method = Method::Put;
    assert_eq!(head.method_text(), b"PUT");
    head.set_method(b"DELETE").unwrap();
    assert_eq!((head.method, head.method_text()), (Method::Delete, &b"DELETE"[..]));
}

#[test]
fn every_refusal_has_its_own_code_and_a_status() {
    let mut codes: Vec<_> = HeadError::ALL.iter().map(|error| error.code()).collect();
    codes.extend(http1::BodyError::ALL.iter().map(|error| error.code()));
    let all = codes.len();
    codes.sort_unstable();
    codes.dedup();
    assert_eq!(codes.len(), all);
    for error in HeadError::ALL {
        assert!([400, 414, 417, 431, 501, 505].contains(&error.status()), "{error:?}");
        assert!(!error.reason().is_empty() && error.reason() == error.to_string());
    }
}
