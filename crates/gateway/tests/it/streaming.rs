//! Bodies in motion: streamed both ways, in order, with backpressure, and stopped when nobody wants them.

use std::io::Write;
use std::sync::{Mutex, mpsc};
use std::time::Duration;

use testkit::client::{self, Raw};
use testkit::event::Gate;
use testkit::origin::{After, Conversation, Origin, Reply};

use crate::setup::{in_front_of, post_with};

/// What neither kernel buffers nor a gateway with bounds can swallow.
const ENDLESS: usize = 64 << 20;

#[test]
fn events_are_passed_on_one_by_one() {
    let (events, receiver) = mpsc::channel();
    let receiver = Mutex::new(Some(receiver));
    let origin = Origin::answering(move |_| Reply::sse(receiver.lock().unwrap().take().unwrap()));
    let gateway = in_front_of(&origin);
    let mut client = Raw::connect(gateway.addr());
    assert_eq!(client.get("/events").read_head().header("content-type"), Some("text/event-stream"));
    for event in ["one", "two", "three"] {
        events.send(event.to_owned()).unwrap();
        assert_eq!(client.read_chunk(), Some(format!("data: {event}\n\n")));
    }
    drop(events);
    assert_eq!(client.read_chunk(), None);
}

#[test]
fn a_body_is_passed_on_while_it_comes() {
    let origin = Origin::conversing(|_, conversation| {
        conversation.write_head(200, &[("Transfer-Encoding", "chunked")]);
        while let Some(piece) = conversation.read_piece() {
            conversation.write_chunk(&piece);
        }
        conversation.write(b"0\r\n\r\n");
        After::KeepAlive
    });
    let gateway = in_front_of(&origin);
    let mut client = Raw::connect(gateway.addr());
    client.send(post_with("Content-Length: 4")).read_head();
    for piece in ["ab", "cd"] {
        assert_eq!(client.send(piece).read_chunk().as_deref(), Some(piece));
    }
    assert_eq!(client.read_chunk(), None);
}

#[test]
fn trailers_are_passed_on_both_ways() {
    let origin = Origin::answering(|_| Reply::chunked(&["abc"], &[("X-Sum", "3")]));
    let gateway = in_front_of(&origin);
    let mut client = Raw::connect(gateway.addr());
    client.send(
        "POST / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\nTrailer: X-Count\r\n\r\n\
         2\r\nok\r\n0\r\nX-Count: 2\r\n\r\n",
    );
    let answer = client.read_response();
    assert_eq!(
        (answer.text().as_str(), answer.trailers.as_slice()),
        ("abc", &[("X-Sum".into(), "3".into())][..])
    );
    assert_eq!(origin.only_request().trailers, [("X-Count".to_owned(), "2".to_owned())]);
}

/// Large bodies arrive unchanged, whatever frames them.
#[test]
fn large_bodies_arrive_unchanged() {
    let origin = Origin::answering(|request| Reply::ok(&request.body));
    let gateway = in_front_of(&origin);
    let body: Vec<u8> = (0..5_u32 << 20).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    assert!(client::request(gateway.addr(), "POST", "/", &[], &body).body == body);
    let mut chunked = post_with("Transfer-Encoding: chunked").into_bytes();
    for piece in body.chunks(70_000) {
        chunked.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
        chunked.extend_from_slice(piece);
        chunked.extend_from_slice(b"\r\n");
    }
    chunked.extend_from_slice(b"0\r\n\r\n");
    assert!(Raw::connect(gateway.addr()).send(chunked).read_response().body == body);
    origin.assert_clean();
}

/// Answers without a body keep the connection in step, whatever length they speak of.
#[test]
fn answers_without_body_keep_the_connection_in_step() {
    let origin = Origin::answering(|request| match request.target.as_str() {
        "/204" => Reply::status(204),
        "/304" => Reply::status(304).header("ETag", "\"1\"").header("Content-Length", "1000"),
        _ => Reply::ok("hello"),
    });
    let gateway = in_front_of(&origin);
    let mut client = Raw::connect(gateway.addr());
    let head = client.request("HEAD", "/", &[], b"").read_response_to("HEAD");
    assert_eq!((head.status, head.header("content-length")), (200, Some("5")));
    assert_eq!(client.get("/204").read_response().status, 204);
    assert_eq!(client.get("/304").read_response().header("etag"), Some("\"1\""));
    assert_eq!(client.get("/").read_response().text(), "hello");
    assert_eq!(origin.connections().len(), 1);
}

/// An answer to HEAD without any length, and one that says chunked, have no body either.
#[test]
fn a_head_request_never_waits_for_a_body() {
    for head in ["HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"] {
        let origin = Origin::answering(move |_| Reply::raw(head));
        let gateway = in_front_of(&origin);
        let mut client = Raw::connect(gateway.addr());
        for _ in 0..2 {
            assert_eq!(client.request("HEAD", "/", &[], b"").read_response_to("HEAD").status, 200);
        }
    }
}

#[test]
fn early_hints_are_passed_on_before_the_answer() {
    let gate = Gate::new();
    let closed = gate.clone();
    let origin = Origin::conversing(move |_, conversation| {
        conversation.write(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n");
        closed.wait();
        conversation.write_head(200, &[("Content-Length", "0")]);
        After::KeepAlive
    });
    let gateway = in_front_of(&origin);
    let mut client = Raw::connect(gateway.addr());
    let hints = client.get("/").read_interim();
    assert_eq!(hints.status, 103);
    assert!(hints.headers.iter().any(|(name, value)| name == "Link" && value == "</a.css>; rel=preload"));
    gate.open();
    assert_eq!(client.read_response().status, 200);
}

#[test]
fn a_client_that_waits_to_send_its_body_is_told_to() {
    let origin = Origin::start();
    let gateway = in_front_of(&origin);
    let mut client = Raw::connect(gateway.addr());
    client.send(post_with("Expect: 100-continue\r\nContent-Length: 5"));
    assert_eq!(client.read_interim().status, 100);
    assert_eq!(client.send("hello").read_response().json()["body"], "hello");
}

#[test]
fn a_client_that_waits_to_send_its_body_may_be_told_not_to() {
    let origin = Origin::conversing(|_, conversation| {
        conversation.write_head(403, &[("Content-Length", "2"), ("Connection", "close")]);
        conversation.write(b"no");
        After::Close
    });
    let gateway = in_front_of(&origin);
    let mut client = Raw::connect(gateway.addr());
    client.send(post_with("Expect: 100-continue\r\nContent-Length: 5"));
    let answer = client.read_response();
    assert_eq!((answer.status, answer.text().as_str(), answer.interim.len()), (403, "no", 0));
}

/// A client of 1.0 gets no chunks and no interim answers; the end of the connection is its frame.
#[test]
fn a_client_of_http_1_0_is_answered_in_its_terms() {
    let origin = Origin::answering(|request| match request.target.as_str() {
        "/chunked" => Reply::chunked(&["a", "b"], &[("X-Sum", "2")]).interim(103, &[("Link", "</a>")]),
        _ => Reply::ok("whole"),
    });
    let gateway = in_front_of(&origin);
    let mut client = Raw::connect(gateway.addr());
    let answer = client.send("GET /chunked HTTP/1.0\r\n\r\n").read_response();
    assert_eq!((answer.text().as_str(), answer.header("transfer-encoding")), ("ab", None));
    assert_eq!(answer.interim.len(), 0);
    let mut kept = Raw::connect(gateway.addr());
    let keep = "GET /whole HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n";
    for _ in 0..2 {
        let answer = kept.send(keep).read_response();
        assert_eq!(answer.text(), "whole");
        assert_eq!(answer.header("connection").map(str::to_ascii_lowercase).as_deref(), Some("keep-alive"));
    }
    let mut once = Raw::connect(gateway.addr());
    assert_eq!(once.send("GET / HTTP/1.0\r\n\r\n").read_response().text(), "whole");
    once.expect_closed();
    origin.assert_clean();
}

/// Pipelined requests are answered in their order, however long the first takes.
#[test]
fn pipelined_requests_are_answered_in_order() {
    let gate = Gate::new();
    let closed = gate.clone();
    let origin = Origin::answering(move |request| match request.target.as_str() {
        "/1" => Reply::ok("/1").slow(&closed),
        other => Reply::ok(other),
    });
    let gateway = in_front_of(&origin);
    let mut client = Raw::connect(gateway.addr());
    client.get("/1").request("POST", "/2", &[], b"body").get("/3").get("/4");
    origin.wait_for_requests(1);
    gate.open();
    for path in ["/1", "/2", "/3", "/4"] {
        assert_eq!(client.read_response().text(), path);
    }
    origin.assert_clean();
}

/// Writes until the peer has taken nothing for a while; gives what it took.
fn write_until_held_up(conversation: &mut Conversation) -> usize {
    conversation.wire().stream().set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    let piece = [b'x'; 64 * 1024];
    let mut taken = 0;
    while taken < ENDLESS && conversation.write(&piece) {
        taken += piece.len();
    }
    taken
}

#[test]
fn a_client_that_does_not_read_holds_up_the_service() {
    let (told, taken) = mpsc::channel();
    let told = Mutex::new(told);
    let origin = Origin::conversing(move |_, conversation| {
        conversation.write_head(200, &[("Content-Length", &ENDLESS.to_string())]);
        told.lock().unwrap().send(write_until_held_up(conversation)).unwrap();
        After::Close
    });
    let gateway = in_front_of(&origin);
    let mut client = Raw::connect(gateway.addr());
    client.get("/endless");
    let taken = taken.recv_timeout(testkit::PATIENCE).unwrap();
    assert!(taken < ENDLESS / 2, "{taken} bytes were taken for a client that reads none");
}

#[test]
fn a_service_that_does_not_read_holds_up_the_client() {
    let gate = Gate::new();
    let closed = gate.clone();
    let origin = Origin::conversing(move |_, conversation| {
        closed.wait();
        conversation.write_head(200, &[("Content-Length", "0"), ("Connection", "close")]);
        After::Close
    });
    let gateway = testkit::gateway!(
        r#"
listen: 127.0.0.1:0
admin: {{ listen: 127.0.0.1:0 }}
services: {{ app: "{app}" }}
routes:
  /*: {{ to: app, body_limit: 1GiB }}
"#,
        app = origin.url()
    );
    let mut client = Raw::connect(gateway.addr());
    client.send(post_with(&format!("Content-Length: {ENDLESS}")));
    let mut stream = client.wire().stream();
    stream.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    let piece = [b'x'; 64 * 1024];
    let taken =
        (0..ENDLESS / piece.len()).take_while(|_| stream.write_all(&piece).is_ok()).count() * piece.len();
    gate.open();
    assert!(taken < ENDLESS / 2, "{taken} bytes were taken for a service that reads none");
}

/// A client that goes away takes its request along: before the answer, in the middle of it, and in its own body.
#[test]
fn a_client_that_goes_away_stops_the_work_behind() {
    let origin = Origin::conversing(|request, conversation| {
        if request.method == "GET" {
            conversation.record();
        }
        if request.target == "/stream" {
            conversation.write_head(200, &[("Transfer-Encoding", "chunked")]);
            conversation.write_chunk(b"first");
        }
        conversation.read_request();
        conversation.wait_for_close();
        After::Close
    });
    let gateway = in_front_of(&origin);
    let mut waiting = Raw::connect(gateway.addr());
    waiting.get("/wait");
    origin.wait_for_requests(1);
    drop(waiting);
    origin.wait_for_open_connections(0);
    let mut streaming = Raw::connect(gateway.addr());
    streaming.get("/stream").read_head();
    assert_eq!(streaming.read_chunk().as_deref(), Some("first"));
    streaming.reset();
    origin.wait_for_open_connections(0);
    let mut sending = Raw::connect(gateway.addr());
    sending.send(post_with("Content-Length: 9") + "half");
    testkit::event::eventually("the half body behind", || origin.received().contains("half").then_some(()));
    drop(sending);
    origin.wait_for_open_connections(0);
    let last = origin.wait_for_requests(3).pop().unwrap();
    assert!(!last.whole);
}

/// A service that answers early and stops reading must not be waited for.
#[test]
fn an_early_answer_reaches_a_client_that_still_sends() {
    let origin = Origin::conversing(|_, conversation| {
        conversation.write_head(413, &[("Content-Length", "8"), ("Connection", "close")]);
        conversation.write(b"too much");
        conversation.wait_for_close();
        After::Close
    });
    let gateway = in_front_of(&origin);
    let mut client = Raw::connect(gateway.addr());
    client.send(post_with("Content-Length: 1000") + "the beginning");
    let answer = client.read_response();
    assert_eq!((answer.status, answer.text().as_str()), (413, "too much"));
    assert!(answer.says_close(), "{:?}", answer.headers);
    client.expect_closed();
}
