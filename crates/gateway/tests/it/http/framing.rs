//! Where a request ends, by the letter of RFC 9112 section 6: whoever leaves a doubt is refused (F1 to F14).

use std::thread;

use testkit::client::{self, Raw};
use testkit::origin::{Origin, Reply};

use crate::setup::{chunked_post, in_front_of, post_with, refuse, refuse_midway};

/// F1, F2, F4: a length besides a transfer coding, in any order and version.
#[test]
fn a_length_besides_a_transfer_coding_is_refused() {
    let origin = Origin::start();
    let gateway = in_front_of(&origin);
    for bytes in [
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n\
         5c\r\nGPOST / HTTP/1.1\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\nTransfer-Encoding: identity, chunked\r\n\
         Content-Length: 29\r\n\r\n0\r\n\r\nGET /admin HTTP/1.1\r\nX:",
        "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ] {
        refuse(&gateway, &origin, bytes, 400);
    }
}

/// F3: everything that looks like `Transfer-Encoding: chunked` to somebody and is not.
#[test]
fn a_disguised_transfer_coding_is_refused() {
    let origin = Origin::start();
    let gateway = in_front_of(&origin);
    for line in [
        "Transfer-Encoding : chunked",
        "Transfer-Encoding:\x0bchunked",
        "Transfer-Encoding: chunked\0",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: ,chunked",
        "Transfer-Encoding: chunked;q=1",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "Transfer_Encoding: chunked",
        "Transfer-Encoding:\r\n chunked",
        "Transfer-Encoding: \"chunked\"",
        "Transfer-Encoding:",
    ] {
        refuse(&gateway, &origin, post_with(line) + "0\r\n\r\n", 400);
    }
}

/// F3: codings that are well-formed and unknown are refused too, as not implemented or as bad.
#[test]
fn an_unknown_transfer_coding_is_refused() {
    let origin = Origin::start();
    let gateway = in_front_of(&origin);
    for coding in ["xchunked", "identity", "identity, chunked", "gzip, chunked", "chunked, gzip"] {
        let mut client = Raw::connect(gateway.addr());
        client.send(post_with(&format!("Transfer-Encoding: {coding}")) + "0\r\n\r\n");
        let answer = client.read_response();
        assert!([400, 501].contains(&answer.status), "{coding}: {}", answer.status);
        assert!(answer.says_close(), "{coding}: {:?}", answer.headers);
        client.expect_closed();
    }
    assert_eq!(origin.received(), "");
}

/// F5, F6: lengths that two readers could read in two ways.
#[test]
fn a_doubtful_length_is_refused() {
    let origin = Origin::start();
    let gateway = in_front_of(&origin);
    let values = [
        "+5",
        "-0",
        "-1",
        "0x5",
        "5,5",
        "5, 5",
        "5,6",
        "1 0",
        "1_0",
        "",
        "99999999999999999999",
        "0200",
        "05",
        "00",
        "5.0",
        "5\t5",
        "\u{665}",
    ];
    for value in values {
        refuse(&gateway, &origin, post_with(&format!("Content-Length: {value}")) + "hello", 400);
    }
    for lines in [
        "Content-Length: 5\r\nContent-Length: 5",
        "Content-Length: 5\r\nContent-Length: 6",
        "Content_Length: 5",
        "Content-Length : 5",
    ] {
        refuse(&gateway, &origin, post_with(lines) + "hello", 400);
    }
}

/// F7: sizes of chunks.
#[test]
fn a_doubtful_chunk_size_is_refused() {
    let origin = Origin::start();
    let gateway = in_front_of(&origin);
    for size in ["fffffffffffffffff", "10000000000000000", "-1", "+0", "0x5", "5 ", " 5", "1_0", "", ";", "g"]
    {
        refuse_midway(&gateway, &origin, chunked_post(&format!("{size}\r\nhello\r\n0\r\n\r\n")), 400);
    }
}

/// F8: chunk extensions hide no line end and have a bound, one by one and together.
#[test]
fn a_bad_or_endless_chunk_extension_is_refused() {
    let origin = Origin::start();
    let gateway = in_front_of(&origin);
    let long = format!("5;{}\r\nhello\r\n0\r\n\r\n", "x".repeat(64 * 1024));
    let many = format!("1;{}\r\na\r\n", "x".repeat(1024)).repeat(64) + "0\r\n\r\n";
    for body in
        ["5;\nhello\r\n0\r\n\r\n", "5;\rhello\r\n0\r\n\r\n", "5;\0x\r\nhello\r\n0\r\n\r\n", &long, &many]
    {
        refuse_midway(&gateway, &origin, chunked_post(body), 400);
    }
}

/// F8: an extension within bounds is read over and not passed on.
#[test]
fn a_small_chunk_extension_is_ignored() {
    let origin = Origin::start();
    let gateway = in_front_of(&origin);
    let mut client = Raw::connect(gateway.addr());
    client.send(chunked_post("5;name=\"value\"\r\nhello\r\n0;last\r\n\r\n"));
    assert_eq!(client.read_response().json()["body"], "hello");
    assert!(!origin.received().contains("name="), "{}", origin.received());
}

/// F9: the ends of chunks.
#[test]
fn a_chunk_that_does_not_end_where_it_says_is_refused() {
    let origin = Origin::start();
    let gateway = in_front_of(&origin);
    for body in [
        "5\nhello\r\n0\r\n\r\n",
        "5\r\nhello!!\r\n0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhello\r0\r\n\r\n",
        "0\n\n",
        "0\r\n\n",
    ] {
        refuse_midway(&gateway, &origin, chunked_post(body), 400);
    }
}

/// F10: a trailer never becomes a header, and what may not stand in one is dropped.
#[test]
fn trailers_that_may_not_be_are_dropped() {
    let origin = Origin::start();
    let gateway = in_front_of(&origin);
    let mut client = Raw::connect(gateway.addr());
    client.send(chunked_post(
        "2\r\nok\r\n0\r\nContent-Length: 9\r\nHost: evil\r\nAuthorization: evil\r\nX-User-Id: evil\r\n\
         Transfer-Encoding: evil\r\nX-Forwarded-For: evil\r\nCookie: evil\r\nX-Sum: 2\r\n\r\n",
    ));
    assert_eq!(client.read_response().status, 200);
    let request = origin.only_request();
    assert_eq!(request.text(), "ok");
    assert!(request.headers.iter().all(|(_, value)| value != "evil"), "{:?}", request.headers);
    assert!(request.trailers.iter().all(|(_, value)| value != "evil"), "{:?}", request.trailers);
    origin.assert_clean();
}

/// F10: trailers are bounded.
#[test]
fn too_many_or_too_long_trailers_are_refused() {
    let origin = Origin::start();
    let gateway = in_front_of(&origin);
    let many: String = (0..40).map(|n| format!("X-{n}: 1\r\n")).collect();
    let long = format!("X-Long: {}\r\n", "x".repeat(9 * 1024));
    for trailers in [many, long] {
        refuse_midway(&gateway, &origin, chunked_post(&format!("0\r\n{trailers}\r\n")), 400);
    }
}

/// F11, F12: line ends, control bytes, folding and blanks where none belong.
#[test]
fn loose_line_ends_and_blanks_are_refused() {
    let origin = Origin::start();
    let gateway = in_front_of(&origin);
    for bytes in [
        "GET / HTTP/1.1\nHost: a\n\n",
        "GET / HTTP/1.1\r\nHost: a\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: a\x07b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n\tb\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        "GET / HTTP/1.1\r\n Host: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n: x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX(: a\r\n\r\n",
        "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /  HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/ 1.1\r\nHost: a\r\n\r\n",
        "GET / http/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/01.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1 \r\nHost: a\r\n\r\n",
        "GET /\r\nHost: a\r\n\r\n",
        "G@T / HTTP/1.1\r\nHost: a\r\n\r\n",
        " GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        refuse(&gateway, &origin, bytes, 400);
    }
}

/// F13: what the gateway answers itself leaves no body behind that could be taken for a request.
#[test]
fn the_unread_body_of_a_local_answer_is_no_request() {
    let origin = Origin::start();
    let gateway = testkit::gateway!(
        r#"
listen: 127.0.0.1:0
admin: {{ listen: 127.0.0.1:0 }}
services: {{ app: "{app}" }}
routes:
  /said: {{ respond: {{ status: 200, body: said }} }}
  /moved: {{ redirect: /elsewhere }}
  /inner: {{ to: app, ip: {{ deny: [127.0.0.0/8, "::1"] }} }}
  /small: {{ to: app, body_limit: 16 }}
  /shared: {{ to: app, cors: {{ origins: ["https://a.example"] }} }}
  GET /read: {{ to: app }}
  /two: {{ to: app }}
"#,
        app = origin.url()
    );
    let evil = "GET /evil HTTP/1.1\r\nHost: a\r\nX: 123456789";
    for (line, status) in [
        ("POST /said", 200),
        ("POST /moved", 308),
        ("POST /inner", 403),
        ("POST /small", 413),
        ("POST /read", 405),
        ("POST /none", 404),
        ("OPTIONS /shared", 204),
        ("TRACE /two", 405),
    ] {
        let mut client = Raw::connect(gateway.addr());
        client.send(format!(
            "{line} HTTP/1.1\r\nHost: a\r\nOrigin: https://a.example\r\n\
             Access-Control-Request-Method: GET\r\nContent-Length: {}\r\n\r\n{evil}",
            evil.len()
        ));
        let first = client.read_response();
        assert_eq!(first.status, status, "{line}: {}", first.text());
        if !first.says_close() {
            assert_eq!(client.get("/two").read_response().json()["target"], "/two", "{line}");
        }
    }
    assert!(!origin.received().contains("evil"), "{}", origin.received());
    origin.assert_clean();
}

/// F14: an expectation is met, refused or passed on, and answered once.
#[test]
fn an_expectation_gets_one_final_answer() {
    let origin = Origin::start();
    let gateway = in_front_of(&origin);
    let mut client = Raw::connect(gateway.addr());
    client.send(post_with("Expect: 100-continue\r\nContent-Length: 5") + "hello");
    assert_eq!(client.read_response().json()["body"], "hello");
    assert_eq!(client.get("/next").read_response().json()["target"], "/next");
    origin.assert_clean();
}

/// F14: an expectation that is unknown or out of form.
#[test]
fn an_unknown_expectation_is_refused() {
    let origin = Origin::start();
    let gateway = in_front_of(&origin);
    refuse(&gateway, &origin, post_with("Expect: x\r\nContent-Length: 5") + "hello", 417);
    refuse(&gateway, &origin, "GET / HTTP/1.1\r\nHost: a\r\nExpect: x\r\nContent-Length: 2\r\n\r\nab", 417);
    refuse(&gateway, &origin, post_with(" Expect: y 100-continue\r\nContent-Length: 5") + "hello", 400);
}

/// F18: who is asked must be certain.
#[test]
fn a_doubtful_host_or_target_is_refused() {
    let origin = Origin::start();
    let gateway = in_front_of(&origin);
    for bytes in [
        "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET http://a:81/ HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a,b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost:\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a:99999\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a:b\r\n\r\n",
        "GET admin HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET * HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /#x HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET a:80 HTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        refuse(&gateway, &origin, bytes, 400);
    }
}

/// F18: the absolute form names the same thing and is rewritten.
#[test]
fn an_absolute_target_is_rewritten() {
    let origin = Origin::start();
    let gateway = in_front_of(&origin);
    for (bytes, target) in [
        ("GET http://a/x?y=1 HTTP/1.1\r\nHost: a\r\n\r\n", "/x?y=1"),
        ("GET http://A:80/x HTTP/1.1\r\nHost: a\r\n\r\n", "/x"),
        ("GET http://a HTTP/1.1\r\nHost: a\r\n\r\n", "/"),
    ] {
        let answer = Raw::connect(gateway.addr()).send(bytes).read_response();
        assert_eq!(answer.json()["target"], target, "{bytes:?}");
    }
    assert!(origin.requests().iter().all(|request| request.headers_named("host").len() == 1));
    origin.assert_clean();
}

/// The whole class: while some attack, each of the others gets the answer to its own question and no other.
#[test]
fn victims_get_their_own_answers() {
    let origin = Origin::answering(|request| Reply::ok(&request.target));
    let gateway = in_front_of(&origin);
    let addr = gateway.addr();
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    let attacks = [
        format!("Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{smuggled}"),
        format!("Transfer-Encoding: chunked\r\n\r\n0\n\n{smuggled}"),
        format!("Content-Length: 0\r\nContent-Length: {}\r\n\r\n{smuggled}", smuggled.len()),
        format!("Transfer-Encoding: xchunked\r\nContent-Length: 0\r\n\r\n{smuggled}"),
        format!("Content-Length: {}\r\n\r\n{smuggled}", smuggled.len()),
    ];
    thread::scope(|scope| {
        for attack in &attacks {
            scope.spawn(move || {
                for _ in 0..20 {
                    let bytes = format!("POST /attack HTTP/1.1\r\nHost: a\r\n{attack}");
                    let first = Raw::connect(addr).send(bytes).half_close().read_response();
                    assert!(
                        [400, 501].contains(&first.status) || first.text() == "/attack",
                        "{attack:?}: {}",
                        first.text()
                    );
                }
            });
        }
        for victim in 0..4 {
            scope.spawn(move || {
                for nth in 0..50 {
                    let path = format!("/victim/{victim}/{nth}");
                    assert_eq!(client::get(addr, &path).text(), path);
                }
            });
        }
    });
    assert_eq!(origin.targets().get("/smuggled"), None);
    assert_eq!(origin.targets().keys().filter(|target| target.starts_with("/victim/")).count(), 200);
    origin.assert_clean();
}
