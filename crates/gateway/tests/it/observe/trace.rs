//! Spans: told to a collector, under the trace that the service sees, and never waited for.

use serde_json::Value;
use testkit::client;
use testkit::gateway::Gateway;
use testkit::origin::{Origin, Reply};

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn traced(origin: &Origin, collector: &Origin) -> Gateway {
    Gateway::with_binary(env!("CARGO_BIN_EXE_tidegate"))
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url())
        .env("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json")
        .start(&format!(
            "listen: 127.0.0.1:0\nadmin: {{ listen: 127.0.0.1:0 }}\nroutes:\n  /*: {{ to: \"{}\" }}\n",
            origin.url()
        ))
}

fn spans(collector: &Origin) -> Vec<Value> {
    let sent = collector.wait_for_requests(1);
    let bodies = sent.iter().map(|request| serde_json::from_slice::<Value>(&request.body).unwrap());
    bodies
        .flat_map(|body| body["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap().clone())
        .collect()
}

#[test]
fn a_span_belongs_to_the_trace_that_the_service_sees() {
    let (origin, collector) = (Origin::start(), Origin::answering(|_| Reply::ok("{}")));
    let gateway = traced(&origin, &collector);
    client::request(gateway.addr(), "GET", "/orders", &[("traceparent", PARENT)], b"");
    let spans = spans(&collector);
    let seen = origin.only_request();
    let seen: Vec<&str> = seen.header("traceparent").unwrap().split('-').collect();
    assert_eq!((seen[1], seen[3]), (&PARENT[3..35], "01"));
    assert!(spans.iter().all(|span| span["traceId"] == seen[1]), "{spans:?}");
    assert!(spans.iter().any(|span| span["spanId"] == seen[2]), "{spans:?}");
    assert!(spans.iter().any(|span| span["parentSpanId"] == PARENT[36..52]), "{spans:?}");
    assert!(collector.requests().iter().all(|request| request.target == "/v1/traces"));
    assert!(!collector.received().contains("CANARY"));
}

#[test]
fn a_trace_that_is_not_sampled_is_passed_on_and_not_told() {
    let (origin, collector) = (Origin::start(), Origin::answering(|_| Reply::ok("{}")));
    let gateway = traced(&origin, &collector);
    let unsampled = PARENT.replace("-01", "-00").replace("4bf9", "aaaa");
    client::request(gateway.addr(), "GET", "/", &[("traceparent", &unsampled)], b"");
    client::request(gateway.addr(), "GET", "/", &[("traceparent", PARENT)], b"");
    assert!(spans(&collector).iter().all(|span| span["traceId"] == PARENT[3..35]));
    assert!(origin.requests()[0].header("traceparent").unwrap().starts_with(&unsampled[..36]));
}

/// A collector that takes connections and says nothing holds up no request and not the end.
#[test]
fn a_collector_that_hangs_costs_no_request() {
    let (origin, collector) = (Origin::start(), Origin::hanging());
    let gateway = traced(&origin, &collector);
    gateway.get("/first");
    collector.wait_for_requests(1);
    for _ in 0..100 {
        assert_eq!(gateway.get("/").status, 200);
    }
    assert!(gateway.stop().success());
}
