//! The circuit breaker on the wire: a service that fails gets a rest, and is tried before it gets everything again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use testkit::client;
use testkit::event::eventually;
use testkit::gateway::Gateway;
use testkit::origin::{Origin, Reply};

fn changing() -> (Origin, Arc<AtomicU16>) {
    let status = Arc::new(AtomicU16::new(200));
    let own = status.clone();
    (Origin::answering(move |_| Reply::status(own.load(Ordering::SeqCst))), status)
}

fn yaml(origin: &Origin, settings: &str) -> String {
    format!(
        "listen: 127.0.0.1:0\nadmin: {{ listen: 127.0.0.1:0 }}\nservices:\n  app:\n    targets: \"{}\"\n{settings}\n\
         routes:\n  /*: {{ to: app }}\n",
        origin.url()
    )
}

fn opened(gateway: &Gateway) {
    gateway.wait_metric("tidegate_circuit_state{service=\"app\"}", |state| state == 2.0);
}

#[test]
fn a_service_that_fails_gets_a_rest_and_comes_back_by_trials() {
    let (origin, status) = changing();
    status.store(503, Ordering::SeqCst);
    let breaker = "    circuit_breaker: { min_requests: 4, open_for: 500ms, half_open: 2 }";
    let gateway = testkit::gateway!("{}", yaml(&origin, breaker));
    eventually("the circuit to open", || {
        (gateway.get("/").header("proxy-status").is_some_and(|told| told.contains("circuit_open"))
            || gateway.metric("tidegate_circuit_opened_total{service=\"app\"}") >= 1.0)
            .then_some(())
    });
    gateway.wait_for_line(|line| line.contains("circuit is open") && line.contains("requests failed"));
    // It heals; the next requests are trials, and then everything passes.
    status.store(200, Ordering::SeqCst);
    eventually("the circuit to close", || {
        gateway.get("/");
        (gateway.metric("tidegate_circuit_state{service=\"app\"}") == 0.0).then_some(())
    });
    gateway.wait_for_line(|line| line.contains("circuit is closed") && line.contains("all trials were good"));
    assert!((0..10).all(|_| gateway.get("/").status == 200));
}

#[test]
fn while_the_circuit_is_open_nothing_is_sent_and_everybody_says_so() {
    let (origin, status) = changing();
    status.store(500, Ordering::SeqCst);
    let breaker = "    circuit_breaker: { min_requests: 4, open_for: 1h }";
    let gateway = testkit::gateway!("{}", yaml(&origin, breaker));
    for _ in 0..4 {
        assert_eq!(gateway.get("/").status, 500);
    }
    opened(&gateway);
    let sent = origin.requests().len();
    let answer = gateway.get("/");
    assert_eq!(
        (answer.status, answer.json()["type"].as_str()),
        (503, Some("urn:tidegate:problem:circuit_open"))
    );
    assert_eq!(client::request(gateway.addr(), "POST", "/", &[], b"body").status, 503);
    assert_eq!(origin.requests().len(), sent);
    gateway.wait_for_log(|line| line["reason"] == "circuit_open");
    gateway.wait_metric("tidegate_circuit_refused_total{service=\"app\"}", |refused| refused == 2.0);
    assert!(gateway.admin("/api/v1/status").text().contains("\"circuit\":\"open\""));
    let told = gateway.admin_request("POST", "/api/v1/explain", &[], r#"{"method":"GET","url":"/"}"#);
    assert!(told.text().contains("circuit_open"), "{}", told.text());
    // A reload that leaves the breaker alone leaves it open.
    gateway.rewrite_config(&yaml(&origin, &format!("{breaker}\n    timeout: 7s")));
    gateway.reload();
    gateway.wait_metric("tidegate_config_reloads_total{result=\"success\"}", |count| count == 1.0);
    assert_eq!(gateway.get("/").status, 503);
    assert_eq!(origin.requests().len(), sent);
}

/// While checks say that nobody is well, no request of a client is spent on a trial.
#[test]
fn trials_wait_for_checks() {
    let (origin, status) = changing();
    let settings = "    circuit_breaker: { min_requests: 4, open_for: 1ms, half_open: 1 }\n    \
                    health_check: { path: /healthz, interval: 50ms, rise: 1, fall: 1 }";
    let gateway = testkit::gateway!("{}", yaml(&origin, settings));
    status.store(500, Ordering::SeqCst);
    gateway.wait_metric("tidegate_endpoint_healthy", |well| well == 0.0);
    for _ in 0..4 {
        gateway.get("/");
    }
    opened(&gateway);
    let asked = |origin: &Origin| origin.targets().get("/").copied().unwrap_or(0);
    let before = asked(&origin);
    let checks = gateway.metric("tidegate_health_checks_total{result=\"failed\"}");
    gateway.wait_metric("tidegate_health_checks_total{result=\"failed\"}", |count| count >= checks + 4.0);
    assert_eq!((gateway.get("/").status, asked(&origin)), (503, before));
    status.store(200, Ordering::SeqCst);
    eventually("the circuit to close", || (gateway.get("/").status == 200).then_some(()));
}

/// What clients do says nothing about the service.
#[test]
fn answers_below_500_and_clients_that_go_away_do_not_open() {
    let (origin, status) = changing();
    let gateway =
        testkit::gateway!("{}", yaml(&origin, "    circuit_breaker: { min_requests: 2, open_for: 1h }"));
    status.store(404, Ordering::SeqCst);
    for _ in 0..10 {
        assert_eq!(gateway.get("/").status, 404);
        let mut raw = client::Raw::connect(gateway.addr());
        raw.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf");
        raw.reset();
    }
    status.store(200, Ordering::SeqCst);
    assert!((0..10).all(|_| gateway.get("/").status == 200));
    assert_eq!(gateway.metric("tidegate_circuit_opened_total{service=\"app\"}"), 0.0);
}
