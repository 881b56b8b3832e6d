//! What services answer (F19): what breaks a rule is a 502 and its connection is never used again; what is cut
//! off never looks whole.

use testkit::client::Raw;
use testkit::origin::{Origin, Recorded, Reply};
use testkit::wire::Trouble;

use crate::setup::in_front_of;

/// An origin that answers `/bad` with these bytes, leaves the connection open, and everything else well.
fn origin_with(bad: Vec<u8>) -> Origin {
    Origin::answering(move |request| match request.target.as_str() {
        "/bad" => Reply::raw(&bad),
        _ => Reply::ok("good"),
    })
}

fn connection_of(requests: &[Recorded], target: &str) -> usize {
    requests.iter().find(|request| request.target == target).unwrap().connection
}

/// F19: heads that leave a doubt.
#[test]
fn an_answer_out_of_grammar_is_a_502() {
    let huge = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(1 << 20));
    let flood =
        "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(1000) + "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    for bad in [
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nX: a\nY: b\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX : a\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n",
        "HTTP/1.1 99 Odd\r\n\r\n",
        "HTTP/1.1 1000 Odd\r\n\r\n",
        "HTTP/1.1 600 Odd\r\n\r\n",
        "HTTP/2.0 200 OK\r\n\r\n",
        "SSH-2.0-OpenSSH_9.6\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        huge.as_str(),
        flood.as_str(),
    ] {
        let shown = &bad[..bad.len().min(90)];
        let origin = origin_with(bad.into());
        let gateway = in_front_of(&origin);
        let mut client = Raw::connect(gateway.addr());
        let answer = client.get("/bad").read_response();
        assert_eq!(answer.status, 502, "{shown:?}");
        assert!(answer.header("proxy-status").is_some(), "{shown:?}: {:?}", answer.headers);
        assert_eq!(gateway.get("/good").text(), "good", "{shown:?}");
        let requests = origin.requests();
        assert_ne!(connection_of(&requests, "/bad"), connection_of(&requests, "/good"), "{shown:?}");
    }
}

/// F19: bytes behind the end of an answer belong to nobody.
#[test]
fn bytes_behind_an_answer_are_given_to_nobody() {
    let extra =
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nstale";
    let origin = origin_with(extra.into());
    let gateway = in_front_of(&origin);
    for _ in 0..10 {
        assert_eq!(gateway.get("/bad").text(), "ok");
        assert_eq!(gateway.get("/good").text(), "good");
    }
}

/// A body that ends too early ends the client's connection: it must not look whole.
#[test]
fn a_body_cut_short_does_not_look_whole() {
    for short in [
        "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhalf",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nxx\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n0\r\nX-Trailer: 1\r\n",
    ] {
        let origin = Origin::answering(move |_| Reply::raw_then_close(short));
        let gateway = in_front_of(&origin);
        let trouble = Raw::connect(gateway.addr()).get("/").try_read_response().unwrap_err();
        let cut = matches!(trouble, Trouble::Truncated(_) | Trouble::Closed | Trouble::Reset);
        assert!(cut, "{short:?}: {trouble}");
    }
}

/// The end of the connection is a frame as well, and the last one (RFC 9112 section 6.3).
#[test]
fn a_body_up_to_the_end_of_the_connection_is_whole() {
    for head in ["HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.0 200 OK\r\n\r\n"] {
        let origin = Origin::answering(move |_| Reply::raw_then_close(format!("{head}the rest is body")));
        let gateway = in_front_of(&origin);
        assert_eq!(gateway.get("/").text(), "the rest is body", "{head:?}");
    }
}

#[test]
fn no_answer_at_all_is_a_502_that_names_its_kind() {
    for reset in [true, false] {
        let origin = Origin::answering(move |_| match reset {
            true => Reply::reset_without_answer(),
            false => Reply::close_without_answer(),
        });
        let gateway = in_front_of(&origin);
        let answer = gateway.get("/");
        assert_eq!(answer.status, 502);
        let problem = answer.json();
        assert!(problem["type"].is_string() && problem["title"].is_string(), "{problem}");
        assert_eq!(
            (&problem["status"], answer.header("x-request-id")),
            (&502.into(), problem["instance"].as_str())
        );
    }
}

#[test]
fn a_fault_is_told_in_the_form_that_the_client_accepts() {
    let origin = Origin::start();
    let gateway = testkit::gateway!(
        r#"
listen: 127.0.0.1:0
admin: {{ listen: 127.0.0.1:0 }}
services: {{ app: "{app}" }}
routes:
  /app: {{ to: app }}
"#,
        app = origin.url()
    );
    for (accept, kind) in [
        ("*/*", "application/problem+json"),
        ("application/json", "application/problem+json"),
        ("text/html,application/xhtml+xml,*/*;q=0.8", "text/html"),
        ("text/plain", "text/plain"),
    ] {
        let answer = testkit::client::request(gateway.addr(), "GET", "/none", &[("Accept", accept)], b"");
        assert_eq!(answer.status, 404);
        assert!(answer.header("content-type").unwrap().starts_with(kind), "{accept}: {:?}", answer.headers);
    }
}

/// The id that the log names is the one that the service and the client get, whatever the service says it is.
#[test]
fn service_and_client_get_the_id_of_the_request() {
    let origin = Origin::answering(|_| Reply::ok("").header("X-Request-Id", "another"));
    let gateway = in_front_of(&origin);
    let answer = gateway.get("/");
    let sent = origin.only_request().header("x-request-id").map(str::to_owned).unwrap();
    assert_eq!(answer.headers_named("x-request-id"), [sent.as_str()]);
    gateway.wait_for_log(|line| line["request_id"] == sent.as_str());
}
