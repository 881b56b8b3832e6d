//! `hedge` on the wire: who is asked besides, whose answer goes out, what becomes of the other, and what is never hedged.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use testkit::client::{self, Raw};
use testkit::event::{Gate, eventually};
use testkit::gateway::Gateway;
use testkit::origin::{After, Origin, Recorded, Reply};

/// Counts the requests for each target over all origins.
#[derive(Clone, Default)]
struct Arrivals(Arc<Mutex<HashMap<String, usize>>>);

impl Arrivals {
    /// Which request for this target it is, from 1.
    fn arrive(&self, request: &Recorded) -> usize {
        let mut seen = self.0.lock().unwrap();
        let count = seen.entry(request.target.clone()).or_default();
        *count += 1;
        *count
    }
}

/// Two origins that answer the nth request for a target, whichever of them gets it, as they are told.
fn two(answer: impl Fn(usize, &Recorded) -> Reply + Clone + Send + Sync + 'static) -> [Origin; 2] {
    let arrivals = Arrivals::default();
    [(); 2].map(|()| {
        let (arrivals, answer) = (arrivals.clone(), answer.clone());
        Origin::answering(move |request| answer(arrivals.arrive(request), request))
    })
}

/// The first request for a target is never answered, each further one at once.
fn first_hangs() -> [Origin; 2] {
    two(|nth, request| if nth == 1 { Reply::hang() } else { Reply::echo(request) })
}

fn yaml(origins: &[Origin], service: &str, hedge: &str) -> String {
    let targets: Vec<_> = origins.iter().map(|origin| format!("\"{}\"", origin.url())).collect();
    format!(
        "listen: 127.0.0.1:0\nadmin: {{ listen: 127.0.0.1:0 }}\nworkers: 1\nservices:\n  app: {{ targets: [{}]{service} }}\n\
         routes:\n  /*: {{ to: app, hedge: {hedge} }}\n",
        targets.join(", ")
    )
}

fn hedging(origins: &[Origin], service: &str, hedge: &str) -> Gateway {
    testkit::gateway!("{}", yaml(origins, service, hedge))
}

/// The origin that got the first request for this target, and the one that got the second.
fn in_order<'o>(origins: &'o [Origin; 2], target: &str) -> [&'o Origin; 2] {
    let marked = |origin: &Origin, mark: &str| {
        let is_it =
            |request: &Recorded| request.target == target && request.header("Tidegate-Attempt") == Some(mark);
        origin.requests().iter().any(is_it)
    };
    ["1", "2"].map(|mark| origins.iter().find(|origin| marked(origin, mark)).unwrap())
}

fn count(origins: &[Origin], target: &str) -> usize {
    origins.iter().map(|origin| origin.targets().get(target).copied().unwrap_or(0)).sum()
}

#[test]
fn another_target_answers_while_the_first_is_waited_for() {
    let origins = first_hangs();
    let gateway = hedging(&origins, ", eject: { errors: 1 }", "{ after: 20ms }");
    let answer = gateway.get("/a?b=c");
    assert_eq!((answer.status, answer.json()["target"].as_str()), (200, Some("/a?b=c")));
    let [slow, fast] = in_order(&origins, "/a?b=c");
    assert_ne!(slow.addr(), fast.addr());
    slow.wait_for_open_connections(0);
    assert_eq!(fast.open_connections(), 1, "the winner's connection rests");
    let line = gateway.wait_for_log(|line| line["path"] == "/a");
    assert_eq!((line["tries"].as_u64(), line["status"].as_u64()), (Some(2), Some(200)));
    assert_eq!(line["endpoint"], fast.addr().to_string());
    let lost = &line["failed_tries"][0];
    assert_eq!(
        (lost["outcome"].as_str(), lost["endpoint"].as_str()),
        (Some("outpaced"), Some(&*slow.addr().to_string()))
    );
    gateway.wait_metric("tidegate_hedges_total{service=\"app\"}", |count| count == 1.0);
    let metrics = gateway.metrics();
    for (name, value) in [
        ("tidegate_hedges_won_total{service=\"app\"}", 1.0),
        ("tidegate_retries_total", 0.0),
        // It speaks against nobody.
        ("tidegate_upstream_faults_total", 0.0),
        ("tidegate_endpoint_ejections_total", 0.0),
        ("tidegate_endpoint_healthy", 2.0),
        ("tidegate_upstream_inflight_requests", 0.0),
    ] {
        assert_eq!(metrics.sum(name), value, "{name}");
    }
    let told = gateway.admin_request("POST", "/api/v1/explain", &[], r#"{"method":"GET","url":"/"}"#);
    assert!(
        told.text().contains("another target is asked as well when no answer has begun after 20 ms"),
        "{}",
        told.text()
    );
    origins.iter().for_each(Origin::assert_clean);
}

#[test]
fn the_first_may_still_win() {
    let gate = Gate::new();
    let wait = gate.clone();
    let origins = two(move |nth, request| match nth {
        1 => Reply::echo(request).slow(&wait),
        2 => Reply::hang(),
        _ => Reply::echo(request),
    });
    let gateway = hedging(&origins, "", "{ after: 20ms }");
    let mut raw = Raw::connect(gateway.addr());
    raw.get("/a");
    eventually("both to be asked", || (count(&origins, "/a") == 2).then_some(()));
    gate.open();
    assert_eq!(raw.read_response().status, 200);
    let [first, second] = in_order(&origins, "/a");
    second.wait_for_open_connections(0);
    let line = gateway.wait_for_log(|line| line["path"] == "/a");
    assert_eq!(line["endpoint"], first.addr().to_string());
    assert_eq!(line["failed_tries"][0]["endpoint"], second.addr().to_string());
    assert_eq!(gateway.metric("tidegate_hedges_won_total"), 0.0);
    // The client's connection goes on, and so does that of the winner.
    assert_eq!(raw.request("HEAD", "/a", &[], b"").read_response_to("HEAD").status, 200);
}

#[test]
fn who_answers_in_time_is_asked_alone() {
    let origins = two(|_, request| Reply::echo(request).interim(103, &[("Link", "</a>; rel=preload")]));
    let gateway = hedging(&origins, "", "{ after: 1h }");
    let mut raw = Raw::connect(gateway.addr());
    for nth in 1..=4 {
        let answer = raw.get("/a").read_response();
        assert_eq!((answer.status, answer.interim.len()), (200, 1));
        assert_eq!(count(&origins, "/a"), nth);
    }
    // As over a connection at rest, so over one that was closed meanwhile.
    origins.iter().for_each(|origin| _ = origin.close_idle());
    assert_eq!(raw.get("/a").read_response().status, 200);
    let line = gateway.wait_for_log(|line| line["path"] == "/a");
    assert!(line["tries"].as_u64() == Some(1) && line["failed_tries"].is_null(), "{line}");
    let metrics = gateway.metrics();
    assert_eq!(metrics.sum("tidegate_hedges_total"), 0.0);
    assert_eq!(metrics.matching("tidegate_hedges_total").len(), 1, "and it is told so");
}

/// An answer of 500 or above waits for the other one.
#[test]
fn a_failure_does_not_win_while_another_is_under_way() {
    for (second, status) in [(200, 200), (502, 503)] {
        let (both, answered) = (Gate::new(), Gate::new());
        let origins = [(); 2].map(|()| {
            let (both, answered) = (both.clone(), answered.clone());
            Origin::conversing(move |_, conversation| {
                let Some(request) = conversation.read_request() else { return After::Close };
                // By its mark: on a busy machine the second may arrive first.
                if request.header("Tidegate-Attempt") == Some("1") {
                    assert!(both.wait());
                    let after = conversation.answer(&request, Reply::status(503));
                    answered.open();
                    after
                } else {
                    both.open();
                    assert!(answered.wait());
                    conversation.answer(&request, Reply::status(second))
                }
            })
        });
        let gateway = hedging(&origins, "", "{ after: 20ms }");
        assert_eq!(gateway.get("/a").status, status, "{second}");
        let line = gateway.wait_for_log(|line| line["path"] == "/a");
        let other = &line["failed_tries"][0];
        assert_eq!(other["outcome"], "service_failed", "{line}");
        assert_eq!(other["status"].as_u64(), Some(if second == 200 { 503 } else { 502 }), "{line}");
    }
}

#[test]
fn a_target_that_cannot_be_reached_or_hangs_up_is_made_good() {
    let [gone, well] = [Origin::start(), Origin::start()];
    let gone_at = gone.addr().to_string();
    let origins = [gone, well];
    let text = yaml(&origins, "", "{ after: 1h }");
    let [gone, well] = origins;
    drop(gone);
    let gateway = testkit::gateway!("{text}");
    assert!((0..4).all(|_| gateway.get("/").status == 200));
    let line = gateway.wait_for_log(|line| line["tries"] == 2);
    let refused = &line["failed_tries"][0];
    assert_eq!(
        (refused["outcome"].as_str(), refused["endpoint"].as_str()),
        (Some("connect_refused"), Some(&*gone_at))
    );
    assert_eq!(well.requests().len(), 4);
    // One hangs up after the other was asked: the other's answer counts.
    let gate = Gate::new();
    let (wait, open) = (gate.clone(), gate.clone());
    let origins = two(move |nth, request| match nth {
        1 => Reply::close_without_answer().slow(&wait),
        _ => {
            open.open();
            Reply::echo(request)
        }
    });
    let gateway = hedging(&origins, "", "{ after: 20ms }");
    assert_eq!(gateway.get("/a").status, 200);
    assert_eq!(count(&origins, "/a"), 2);
}

#[test]
fn what_fails_is_sent_again_where_that_is_asked_for() {
    let origins = two(|nth, request| if nth == 1 { Reply::status(503) } else { Reply::echo(request) });
    let gateway = hedging(&origins, ", retry: { backoff: 1ms }", "{ after: 1h }");
    assert_eq!(gateway.get("/a").status, 200);
    assert_eq!(
        (gateway.metric("tidegate_retries_total"), gateway.metric("tidegate_hedges_total")),
        (1.0, 0.0)
    );
    let line = gateway.wait_for_log(|line| line["path"] == "/a");
    assert_eq!(line["failed_tries"][0]["outcome"], "service_failed");
    let origins = two(|_, _| Reply::status(503));
    let gateway = hedging(&origins, "", "{ after: 1h }");
    assert_eq!(
        (gateway.get("/a").status, count(&origins, "/a")),
        (503, 1),
        "without `retry` a failure is one"
    );
}

/// What may do something, has a body, or is repeated by somebody else already is sent once; and so is what has no other target.
#[test]
fn what_is_never_hedged() {
    let gate = Gate::new();
    let wait = gate.clone();
    let origins = two(move |_, request| Reply::echo(request).slow(&wait));
    let gateway = hedging(&origins, "", "{ after: 1ms, budget: 100% }");
    let mark = [("Tidegate-Attempt", "1")];
    let mut sent: Vec<(Raw, &str)> = Vec::new();
    for (method, path, headers, body) in [
        ("POST", "/post", &[][..], ""),
        ("PUT", "/put", &[][..], "body"),
        ("DELETE", "/delete", &[][..], ""),
        ("GET", "/body", &[][..], "body"),
        ("GET", "/mark", &mark[..], ""),
        ("GET", "/control", &[][..], ""),
    ] {
        let mut raw = Raw::connect(gateway.addr());
        raw.request(method, path, headers, body.as_bytes());
        eventually("it to arrive", || (count(&origins, path) > 0).then_some(()));
        sent.push((raw, path));
    }
    // The time of the last was over later than that of the others would have been.
    eventually("the control to be hedged", || (count(&origins, "/control") == 2).then_some(()));
    for (_, path) in &sent[..5] {
        assert_eq!(count(&origins, path), 1, "{path}");
    }
    gate.open();
    assert!(sent.iter_mut().all(|(raw, _)| raw.read_response().status == 200));
    let alone = [Origin::start()];
    let gateway = hedging(&alone, "", "{ after: 1ms }");
    assert_eq!(gateway.get("/").status, 200);
    assert_eq!(alone[0].requests().len(), 1);
}

#[test]
fn the_budget_is_shared_and_bounds_hedges() {
    let gate = Gate::new();
    let wait = gate.clone();
    let origins = two(move |_, request| Reply::echo(request).slow(&wait));
    let gateway = hedging(&origins, "", "{ after: 1ms, budget: 1% }");
    let mut clients: Vec<Raw> = (0..8).map(|_| Raw::connect(gateway.addr())).collect();
    for client in &mut clients {
        client.get("/a");
    }
    // Each asks once. Three are always free, and more only for a machine that takes two seconds for this.
    let [sent, refused] = eventually("all to be late", || {
        let metrics = gateway.metrics();
        let told =
            ["tidegate_hedges_total", "tidegate_hedges_over_budget_total"].map(|name| metrics.sum(name));
        (told.iter().sum::<f64>() == 8.0).then_some(told)
    });
    assert!(sent >= 3.0 && sent + refused == 8.0, "{sent} {refused}");
    eventually("all to arrive", || (count(&origins, "/a") as f64 == 8.0 + sent).then_some(()));
    gate.open();
    assert!(clients.iter_mut().all(|client| client.read_response().status == 200));
    gateway.wait_metric("tidegate_upstream_inflight_requests", |count| count == 0.0);
}

#[test]
fn a_client_that_goes_away_takes_all_tries_along() {
    let origins = two(|_, _| Reply::hang());
    let gateway = hedging(&origins, ", circuit_breaker: { per: target, min_requests: 1 }", "{ after: 20ms }");
    let mut raw = Raw::connect(gateway.addr());
    raw.get("/a");
    eventually("both to be asked", || (count(&origins, "/a") == 2).then_some(()));
    raw.reset();
    origins.iter().for_each(|origin| origin.wait_for_open_connections(0));
    gateway.wait_metric("tidegate_upstream_inflight_requests", |count| count == 0.0);
    let line = gateway.wait_for_log(|line| line["path"] == "/a");
    assert_eq!(line["fault"], "client_gone");
    assert_eq!(gateway.metric("tidegate_target_circuit_opened_total"), 0.0);
}

/// The route's time ends all tries.
#[test]
fn all_tries_end_with_the_time_of_the_route() {
    let origins = two(|_, _| Reply::hang());
    let text = yaml(&origins, "", "{ after: 20ms }").replace("hedge:", "timeout: 5s, hedge:");
    let gateway = testkit::gateway!("{text}");
    assert_eq!(gateway.get("/a").status, 504);
    origins.iter().for_each(|origin| origin.wait_for_open_connections(0));
    let line = gateway.wait_for_log(|line| line["path"] == "/a");
    assert_eq!((line["tries"].as_u64(), line["reason"].as_str()), (Some(2), Some("timeout")));
}

/// The time may be the service's own: what nineteen of twenty of its answers took of late.
#[test]
fn the_time_follows_the_service() {
    let origins = two(|nth, request| match (request.target.as_str(), nth) {
        ("/slow", 1) => Reply::hang(),
        _ => Reply::echo(request),
    });
    // What the machine is slow at by itself shall not use the budget up.
    let gateway = hedging(&origins, "", "{ budget: 100% }");
    let mut raw = Raw::connect(gateway.addr());
    let p95 = eventually("the pace of the service to be known", || {
        assert_eq!(raw.get("/fast").read_response().status, 200);
        let status = gateway.admin("/api/v1/status").json();
        status["services"]["app"]["pace_ms"]["p95"].as_f64()
    });
    assert!(p95 > 0.0, "{p95}");
    assert_eq!(raw.get("/slow").read_response().status, 200);
    assert_eq!(count(&origins, "/slow"), 2);
}

/// A place at the door of the service is needed for each, and a hedge does not wait for one.
#[test]
fn a_hedge_needs_a_place() {
    let gate = Gate::new();
    let wait = gate.clone();
    let origins = two(move |_, request| Reply::echo(request).slow(&wait));
    let gateway = hedging(&origins, ", max_in_flight: 3", "{ after: 1ms, budget: 100% }");
    let mut clients: Vec<Raw> = (0..2).map(|_| Raw::connect(gateway.addr())).collect();
    for client in &mut clients {
        client.get("/a");
    }
    eventually("three to arrive", || (count(&origins, "/a") == 3).then_some(()));
    gateway.wait_metric("tidegate_service_in_flight", |inside| inside == 3.0);
    let mut third = Raw::connect(gateway.addr());
    third.get("/third");
    gateway.wait_metric("tidegate_service_waiting", |waiting| waiting == 1.0);
    assert_eq!(count(&origins, "/a"), 3);
    gate.open();
    assert!(clients.iter_mut().all(|client| client.read_response().status == 200));
    assert_eq!(third.read_response().status, 200);
    gateway.wait_metric("tidegate_service_in_flight", |inside| inside == 0.0);
}

#[test]
fn a_hedged_request_is_whole_for_clients_and_origins() {
    let body = "x".repeat(300_000);
    let text = body.clone();
    let origins = two(move |nth, _| if nth == 1 { Reply::hang() } else { Reply::ok(&text) });
    let gateway = hedging(&origins, ", host: target", "{ after: 20ms }");
    let answer = client::get(gateway.addr(), "/big");
    assert_eq!(answer.text(), body);
    for origin in &origins {
        assert_eq!(origin.only_request().header("host"), Some(&*origin.addr().to_string()));
        origin.assert_clean();
    }
}
