//! Exchanges under TLS are those in clear: bodies of every size, pipelining, closes that are told.

use testkit::client::Raw;
use testkit::origin::{Origin, Reply};

use super::setup::Secured;

#[test]
fn a_request_goes_through_and_the_service_is_told_how_it_came() {
    let origin = Origin::start();
    let secured = Secured::in_front_of(&origin);
    let mut client = secured.connect();
    for path in ["/a", "/b"] {
        assert_eq!(client.get(path).read_response().status, 200);
    }
    let requests = origin.requests();
    assert_eq!(requests.len(), 2);
    assert_eq!(requests[0].headers_named("x-forwarded-proto"), ["https"]);
    assert!(requests[0].headers_named("forwarded")[0].ends_with(";proto=https"));
    secured.gateway.wait_metric(
        "tidegate_tls_handshakes_total{listener=\"web\",result=\"full\",version=\"1.3\"}",
        |count| count == 1.0,
    );
    origin.assert_clean();
}

#[test]
fn bodies_of_every_size_come_whole_both_ways() {
    let origin = Origin::answering(|request| Reply::ok(request.body.clone()));
    let secured = Secured::in_front_of(&origin);
    let mut client = secured.connect();
    for size in [1, 100, 8191, 8193, 16383, 16384, 16385, 32768, 40000, 100_000, 3_000_000] {
        let body: Vec<u8> = (0..size).map(|n: u32| (n % 251) as u8).collect();
        client.request("POST", "/", &[], &body);
        let answer = client.read_response();
        assert_eq!(answer.status, 200, "{size}: {}", answer.text());
        assert!(answer.body == body, "{size} bytes came back as {}", answer.body.len());
    }
    origin.assert_clean();
}

#[test]
fn requests_sent_ahead_are_answered_in_order() {
    let origin = Origin::answering(|request| Reply::ok(request.target.clone()));
    let secured = Secured::in_front_of(&origin);
    let mut client = secured.connect();
    let all: String = (0..50).map(|n| format!("GET /{n} HTTP/1.1\r\nHost: shop.test\r\n\r\n")).collect();
    client.send(all);
    for n in 0..50 {
        assert_eq!(client.read_response().text(), format!("/{n}"));
    }
}

#[test]
fn the_last_answer_ends_with_a_word_and_so_does_a_connection_that_rested_too_long() {
    let origin = Origin::start();
    let secured = Secured::with(&origin, "", "timeouts: { keep_alive: 300ms }");
    let mut client = secured.connect();
    client.send("GET / HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n");
    assert_eq!(client.read_response().status, 200);
    // The kit takes an end without close_notify for a cut.
    client.expect_closed();
    let mut client = secured.connect();
    assert_eq!(client.get("/").read_response().status, 200);
    client.expect_closed();
    let mut client = secured.connect();
    client.send("NONSENSE\r\n\r\n");
    assert_eq!(client.read_response().status, 400);
    client.expect_closed();
}

#[test]
fn clear_http_on_the_port_gets_a_clear_answer() {
    let origin = Origin::start();
    let secured = Secured::in_front_of(&origin);
    let mut client = Raw::connect(secured.gateway.addr());
    client.send("GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n");
    let answer = client.read_response();
    assert_eq!(answer.status, 400);
    assert_eq!(answer.json()["type"], "urn:tidegate:problem:plain_http");
    assert!(answer.text().contains("this port speaks TLS: use https"), "{}", answer.text());
    client.expect_closed();
    assert_eq!(origin.received(), "");
    secured.gateway.wait_metric("tidegate_tls_handshakes_total{result=\"plain_http\"}", |count| count == 1.0);
}
