//! The page of metrics: what is counted, and that no client can make it grow.

use testkit::client::{self, Raw};
use testkit::origin::{Origin, Reply};

use crate::setup::with_routes;

#[test]
fn requests_are_counted_by_route_status_and_service() {
    let origin = Origin::answering(|_| Reply::status(201).body("1234567"));
    let gateway =
        with_routes(&origin, "  /orders/{id}: { to: app }\n  /closed: { respond: { status: 403 } }");
    for id in 0..3 {
        client::request(gateway.addr(), "POST", &format!("/orders/{id}"), &[], b"abc");
    }
    gateway.get("/closed");
    gateway.get("/nowhere");
    gateway.wait_metric("tidegate_requests_total", |all| all == 5.0);
    let page = gateway.metrics();
    for (selector, value) in [
        ("tidegate_requests_total{route=\"/orders/{id}\",service=\"app\"}", 3.0),
        ("tidegate_requests_total{route=\"/closed\"}", 1.0),
        ("tidegate_requests_total{route=\"none\"}", 1.0),
        ("tidegate_request_body_bytes_total{route=\"/orders/{id}\"}", 9.0),
        ("tidegate_response_body_bytes_total{route=\"/orders/{id}\"}", 21.0),
        ("tidegate_request_duration_seconds_count{route=\"/orders/{id}\"}", 3.0),
        ("tidegate_upstream_connections_opened_total", 1.0),
        ("tidegate_upstream_inflight_requests", 0.0),
        ("tidegate_inflight_requests", 0.0),
        ("tidegate_panics_total", 0.0),
    ] {
        assert_eq!(page.sum(selector), value, "{selector}");
    }
}

/// O16: paths, hosts and methods are the client's words, and no label.
#[test]
fn ten_thousand_clients_words_make_no_series() {
    let origin = Origin::start();
    let gateway = with_routes(&origin, "  /known/*: { respond: { status: 200 } }");
    gateway.get("/known/first");
    gateway.wait_metric("tidegate_requests_total", |all| all == 1.0);
    for hundreds in 0..100 {
        let mut client = Raw::connect(gateway.addr());
        let requests: String = (0..100)
            .map(|nth| {
                let number = hundreds * 100 + nth;
                let place = if number % 2 == 0 { "known" } else { "unknown" };
                format!("FOO{number} /{place}/{number} HTTP/1.1\r\nHost: h{number}.example\r\n\r\n")
            })
            .collect();
        client.send(requests);
        for nth in 0..100 {
            assert_eq!(client.read_response().status, if nth % 2 == 0 { 200 } else { 404 });
        }
    }
    gateway.wait_metric("tidegate_requests_total", |all| all == 10_001.0);
    let page = gateway.admin("/metrics").text();
    assert!(page.len() < 200_000 && gateway.metrics().len() < 1_000, "{} bytes", page.len());
    assert!(!page.contains("FOO") && !page.contains("h42") && !page.contains("/known/4"), "{page}");
}
