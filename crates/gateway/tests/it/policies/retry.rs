//! `retry` on the wire: what is sent again, what never is, and within which budget.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use testkit::client::{self, Raw};
use testkit::gateway::Gateway;
use testkit::origin::{After, Origin, Recorded, Reply};

use crate::setup::with_routes;

/// An origin that does so with the first requests, and then echoes.
fn failing(first: usize, fail: impl Fn() -> Reply + Send + Sync + 'static) -> Origin {
    let seen = AtomicUsize::new(0);
    Origin::answering(move |request: &Recorded| match seen.fetch_add(1, Ordering::SeqCst) < first {
        true => fail(),
        false => Reply::echo(request),
    })
}

fn retrying(origin: &Origin, settings: &str) -> Gateway {
    with_routes(origin, &format!("  /*: {{ to: app, retry: {{ backoff: 1ms, {settings} }} }}"))
}

#[test]
fn a_request_is_sent_again_and_everybody_can_see_it() {
    let origin = failing(1, || Reply::status(503).body("not now"));
    let gateway = retrying(&origin, "attempts: 3");
    let answer = gateway.get("/a?b=c");
    assert_eq!((answer.status, answer.json()["target"].as_str()), (200, Some("/a?b=c")));
    let marks: Vec<_> = origin
        .requests()
        .iter()
        .map(|request| request.header("Tidegate-Attempt").map(str::to_owned))
        .collect();
    assert_eq!(marks, [Some("1".to_owned()), Some("2".to_owned())]);
    assert_eq!(origin.connections().len(), 1, "the answer that was passed over left its connection clean");
    origin.assert_clean();
    let line = gateway.wait_for_log(|line| line["path"] == "/a");
    assert_eq!((line["tries"].as_u64(), line["status"].as_u64()), (Some(2), Some(200)));
    let failed = &line["failed_tries"][0];
    assert_eq!((failed["outcome"].as_str(), failed["status"].as_u64()), (Some("service_failed"), Some(503)));
    assert_eq!(failed["endpoint"], origin.addr().to_string());
    gateway.wait_metric("tidegate_retries_total{service=\"app\"}", |count| count == 1.0);
    let told = gateway.admin_request("POST", "/api/v1/explain", &[], r#"{"method":"GET","url":"/"}"#);
    assert!(
        told.text().contains("sent again: up to 3 attempts on connect, reset, timeout"),
        "{}",
        told.text()
    );
}

#[test]
fn those_that_fail_again_are_counted() {
    // Of the two that are sent again the first fails too; then both do, and where no answer comes at all too.
    let (lost, all) =
        ("tidegate_retries_lost_total{service=\"app\"}", "tidegate_retries_total{service=\"app\"}");
    type Fails = fn() -> Reply;
    let answers: [(usize, Fails, u16, f64); 3] = [
        (2, || Reply::status(503), 200, 1.0),
        (usize::MAX, || Reply::status(503), 503, 2.0),
        (usize::MAX, Reply::reset_without_answer, 502, 2.0),
    ];
    for (first, reply, status, failed_again) in answers {
        let origin = failing(first, reply);
        let gateway = retrying(&origin, "attempts: 3");
        assert_eq!(gateway.get("/").status, status);
        assert_eq!((gateway.metric(all), gateway.metric(lost)), (2.0, failed_again), "{status}");
    }
}

#[test]
fn another_target_is_asked() {
    let ill = Origin::answering(|_| Reply::status(502));
    let well = Origin::start();
    let gateway = testkit::gateway!(
        "listen: 127.0.0.1:0\nworkers: 1\nservices:\n  app: {{ targets: [\"{}\", \"{}\"], retry: {{ backoff: 1ms, budget: 100% }} }}\n\
         routes:\n  /*: {{ to: app }}\n  /once: {{ to: app, retry: false }}\n",
        ill.url(),
        well.url()
    );
    for _ in 0..10 {
        assert_eq!(gateway.get("/").status, 200);
    }
    let statuses: Vec<u16> = (0..4).map(|_| gateway.get("/once").status).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 502).count(), 2, "{statuses:?}");
}

#[test]
fn a_body_is_sent_again_whole_where_the_service_knows_the_request() {
    let seen = Arc::new(AtomicUsize::new(0));
    let count = seen.clone();
    let origin = Origin::conversing(move |_, conversation| {
        let nth = count.fetch_add(1, Ordering::SeqCst);
        let Some(request) = conversation.read_request() else { return After::Close };
        // Every other time it takes all and goes away.
        if nth.is_multiple_of(2) {
            After::Close
        } else {
            conversation.answer(&request, Reply::echo(&request))
        }
    });
    let gateway = retrying(&origin, "methods: [PUT, POST], max_body: 40KiB, budget: 100%");
    let body = vec![b'x'; 40 * 1024];
    let key = [("Idempotency-Key", "order-1")];
    for (method, headers) in [("PUT", &[][..]), ("POST", &key[..])] {
        let answer = client::request(gateway.addr(), method, "/", headers, &body);
        assert_eq!(
            (answer.status, answer.json()["body"].as_str().unwrap().len()),
            (200, body.len()),
            "{method}"
        );
    }
    // A chunked one as well, with what follows the first piece.
    let mut raw = Raw::connect(gateway.addr());
    raw.send("PUT /chunked HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    raw.send("4\r\ndefg\r\n0\r\n\r\n");
    assert_eq!(raw.read_response().json()["body"], "abcdefg");
    let sent = seen.load(Ordering::SeqCst);
    assert_eq!(sent, 6);
    // Without the key, and with more than is kept, once is all.
    assert_eq!(client::request(gateway.addr(), "POST", "/", &[], b"pay").status, 502);
    assert_eq!(seen.load(Ordering::SeqCst), sent + 1);
    seen.store(0, Ordering::SeqCst);
    assert_eq!(client::request(gateway.addr(), "PUT", "/", &[], &vec![b'x'; 40 * 1024 + 1]).status, 502);
    assert_eq!(seen.load(Ordering::SeqCst), 1);
}

#[test]
fn what_is_never_sent_again() {
    let slow = || Reply::status(503).header("Retry-After", "7");
    let cut = || Reply::raw_then_close("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nbegun");
    let origin = failing(usize::MAX, slow);
    let gateway = retrying(&origin, "budget: 100%");
    let answer = gateway.get("/");
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("7")), "it says when to come again");
    assert_eq!(origin.requests().len(), 1);
    let origin = failing(usize::MAX, cut);
    let gateway = retrying(&origin, "budget: 100%");
    let mut raw = Raw::connect(gateway.addr());
    raw.get("/");
    assert!(raw.try_read_response().is_err(), "an answer that was begun is cut");
    assert_eq!(origin.requests().len(), 1);
    // Somebody before us sends again already.
    let origin = failing(usize::MAX, || Reply::status(503));
    let gateway = retrying(&origin, "budget: 100%");
    let mark = [("Tidegate-Attempt", "1")];
    assert_eq!(client::request(gateway.addr(), "GET", "/", &mark, b"").status, 503);
    assert_eq!(origin.requests().len(), 1);
    assert_eq!(origin.only_request().header("Tidegate-Attempt"), Some("1"), "and whoever follows knows too");
    // A status that is not named.
    let gateway = retrying(&origin, "on: [connect, 502]");
    assert_eq!(gateway.get("/").status, 503);
    assert_eq!(origin.requests().len(), 2);
}

#[test]
fn an_attempt_that_hangs_is_given_up() {
    let origin = failing(1, Reply::hang);
    let gateway = retrying(&origin, "per_try_timeout: 2s");
    assert_eq!(gateway.get("/").status, 200);
    let line = gateway.wait_for_log(|line| line["status"] == 200);
    assert_eq!(line["failed_tries"][0]["outcome"], "answer_timeout");
}

#[test]
fn a_service_that_fails_is_not_drowned() {
    let origin = failing(usize::MAX, || Reply::status(503));
    let gateway = retrying(&origin, "attempts: 10");
    let offered = 400;
    let mut raw = Raw::connect(gateway.addr());
    for _ in 0..offered {
        assert_eq!(raw.get("/").read_response().status, 503);
    }
    let sent = origin.requests().len();
    // However long it takes: in any two seconds a fifth of the requests, or three.
    let over = gateway.metric("tidegate_retries_over_budget_total{service=\"app\"}");
    let again = gateway.metric("tidegate_retries_total{service=\"app\"}");
    assert_eq!(sent as f64, f64::from(offered) + again);
    assert!(over >= 100.0 && again >= 3.0, "{over} {again}");
    assert!(sent < offered as usize * 2, "{sent} for {offered}");
}
