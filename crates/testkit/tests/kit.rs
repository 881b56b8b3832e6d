//! The kit judges itself: its clients against its origins, and both against bytes they must refuse.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failure here is a failure of the test"
)]

use std::sync::{Mutex, mpsc};

use testkit::client::{self, Frame, Raw, WebSocket};
use testkit::event::Gate;
use testkit::metrics::Metrics;
use testkit::origin::{After, Origin, Reply, WebSocketEcho};
use testkit::wire::Trouble;

#[test]
fn a_request_is_recorded_as_it_came() {
    let origin = Origin::start();
    let answer = client::request(origin.addr(), "POST", "/a?b=c", &[("X-One", "1")], b"hello");
    assert_eq!((answer.status, answer.header("x-req-seq")), (200, Some("1")));
    assert_eq!(answer.json()["body"], "hello");
    let request = origin.only_request();
    assert_eq!((request.method.as_str(), request.target.as_str()), ("POST", "/a?b=c"));
    assert_eq!(request.header("x-one"), Some("1"));
    assert!(origin.received().starts_with("POST /a?b=c HTTP/1.1\r\n"));
    origin.assert_clean();
}

#[test]
fn a_connection_carries_many_requests_and_counts_them() {
    let origin = Origin::builder().close_after(2).answering(|request| Reply::ok(&request.target));
    let mut client = Raw::connect(origin.addr());
    assert_eq!(client.get("/1").read_response().text(), "/1");
    assert_eq!(client.get("/2").read_response().header("x-req-seq"), Some("2"));
    client.expect_closed();
    let numbers: Vec<_> = origin.requests().iter().map(|r| (r.connection, r.number)).collect();
    assert_eq!(numbers, [(0, 1), (0, 2)]);
    origin.wait_for_open_connections(0);
}

#[test]
fn chunks_trailers_and_interim_answers_are_read() {
    let origin = Origin::answering(|_| {
        Reply::chunked(&["ab", "c"], &[("X-Sum", "3")]).interim(103, &[("Link", "</a.css>; rel=preload")])
    });
    let answer = client::get(origin.addr(), "/");
    assert_eq!((answer.text().as_str(), answer.interim[0].status), ("abc", 103));
    assert_eq!(answer.trailers, [("X-Sum".to_owned(), "3".to_owned())]);
}

#[test]
fn a_chunked_request_is_read_with_its_trailers() {
    let origin = Origin::start();
    let mut client = Raw::connect(origin.addr());
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n");
    client.send_slowly("3\r\nabc\r\n0\r\nX-T: 1\r\n\r\n", 1);
    assert_eq!(client.read_response().json()["body"], "abc");
    assert_eq!(origin.only_request().trailers, [("X-T".to_owned(), "1".to_owned())]);
}

#[test]
fn expect_is_answered_before_the_body() {
    let origin = Origin::start();
    let mut client = Raw::connect(origin.addr());
    client.send("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    assert_eq!(client.read_interim().status, 100);
    assert_eq!(client.send("ok").read_response().json()["body"], "ok");
}

#[test]
fn what_no_gateway_may_send_is_flagged() {
    let cases = [
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "GET / HTTP/1.1\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX : a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nProxy-Connection: close\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n",
    ];
    for case in cases {
        let origin = Origin::start();
        Raw::connect(origin.addr()).send(case).half_close().read_to_end();
        origin.wait_for_open_connections(0);
        assert_eq!(origin.oddities().len(), 1, "{case:?}: {:?}", origin.oddities());
    }
}

#[test]
fn a_request_cut_short_is_recorded_as_such() {
    let origin = Origin::start();
    let mut client = Raw::connect(origin.addr());
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nshort").half_close();
    client.expect_closed();
    let request = origin.only_request();
    assert_eq!((request.text().as_str(), request.whole), ("short", false));
    origin.assert_clean();
}

#[test]
fn the_client_refuses_what_is_ambiguous() {
    let cases = [
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\na",
        "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.0 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: a\n\r\n",
    ];
    for case in cases {
        let origin = Origin::answering(move |_| Reply::raw_then_close(case));
        let answer = Raw::connect(origin.addr()).get("/").try_read_response();
        assert!(matches!(answer, Err(Trouble::Malformed(_))), "{case:?}: {answer:?}");
    }
}

#[test]
fn a_short_body_is_not_taken_for_a_whole_one() {
    let origin =
        Origin::answering(|_| Reply::raw_then_close("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort"));
    let answer = Raw::connect(origin.addr()).get("/").try_read_response();
    assert!(matches!(answer, Err(Trouble::Truncated(_))), "{answer:?}");
}

#[test]
fn events_arrive_one_by_one() {
    let (events, receiver) = mpsc::channel();
    let receiver = Mutex::new(Some(receiver));
    let origin = Origin::answering(move |_| Reply::sse(receiver.lock().unwrap().take().unwrap()));
    let mut client = Raw::connect(origin.addr());
    assert_eq!(client.get("/").read_head().header("content-type"), Some("text/event-stream"));
    for event in ["one", "two"] {
        events.send(event.to_owned()).unwrap();
        assert_eq!(client.read_chunk(), Some(format!("data: {event}\n\n")));
    }
    drop(events);
    assert_eq!(client.read_chunk(), None);
}

#[test]
fn an_origin_can_be_slow_hang_close_and_reset() {
    let gate = Gate::new();
    let closed = gate.clone();
    let origin = Origin::answering(move |request| match request.target.as_str() {
        "/slow" => Reply::ok("at last").slow(&closed),
        "/hang" => Reply::hang(),
        "/reset" => Reply::reset_without_answer(),
        _ => Reply::close_without_answer(),
    });
    let mut slow = Raw::connect(origin.addr());
    slow.get("/slow");
    origin.wait_for_requests(1);
    gate.open();
    assert_eq!(slow.read_response().text(), "at last");
    assert_eq!(Raw::connect(origin.addr()).get("/close").try_read_response().unwrap_err(), Trouble::Closed);
    assert_eq!(Raw::connect(origin.addr()).get("/reset").try_read_response().unwrap_err(), Trouble::Reset);
    let mut hanging = Raw::connect(origin.addr());
    hanging.get("/hang");
    origin.wait_for_requests(4);
    drop((hanging, slow));
    origin.wait_for_open_connections(0);
}

#[test]
fn idle_connections_are_closed_on_demand() {
    let origin = Origin::start();
    let mut client = Raw::connect(origin.addr());
    client.get("/").read_response();
    assert_eq!(origin.close_idle(), 1);
    client.expect_closed();
}

#[test]
fn a_behaviour_may_answer_before_the_body_and_read_it_in_pieces() {
    let origin = Origin::conversing(|_, conversation| {
        conversation.write_head(200, &[("Transfer-Encoding", "chunked")]);
        while let Some(piece) = conversation.read_piece() {
            conversation.write_chunk(&piece);
        }
        conversation.write(b"0\r\n\r\n");
        After::KeepAlive
    });
    let mut client = Raw::connect(origin.addr());
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n").read_head();
    for piece in ["ab", "cd"] {
        assert_eq!(client.send(piece).read_chunk().as_deref(), Some(piece));
    }
    assert_eq!(client.read_chunk(), None);
}

#[test]
fn websockets_echo_every_size_and_close() {
    let origin = WebSocketEcho::start();
    let mut socket = WebSocket::connect(origin.addr(), "/ws");
    socket.expect_echo("hello");
    for size in [0, 125, 126, 65_535, 65_536] {
        let frame = Frame::Binary(vec![7; size]);
        socket.send(&frame);
        assert_eq!(socket.read(), frame);
    }
    socket.send(&Frame::Ping(b"p".to_vec()));
    assert_eq!(socket.read(), Frame::Pong(b"p".to_vec()));
    socket.close();
    origin.wait_for_open_connections(0);
}

#[test]
fn metrics_are_summed_by_labels() {
    let page = "# TYPE requests counter\n\
        requests_total{route=\"GET /a/{id}\",status=\"200\"} 3 # {trace_id=\"x\"} 1\n\
        requests_total{route=\"/b \\\"q\\\"\",status=\"200\"} 4\n\
        up 1\n# EOF\n";
    let metrics = Metrics::parse(page);
    assert_eq!(metrics.sum("requests_total"), 7.0);
    assert_eq!(metrics.sum("requests_total{route=\"GET /a/{id}\"}"), 3.0);
    assert_eq!(metrics.sum("requests_total{status=\"200\",route=\"/b \\\"q\\\"\"}"), 4.0);
    assert_eq!(metrics.sum("requests_total{status=\"500\"}"), 0.0);
    assert_eq!((metrics.sum("up"), metrics.len()), (1.0, 3));
}
