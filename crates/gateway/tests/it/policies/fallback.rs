//! `fallback` on the wire: each step in turn, what is kept for whom, and who never gets what.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use testkit::client::{self, Raw, Response};
use testkit::gateway::Gateway;
use testkit::origin::{Origin, Recorded, Reply};

mod disk;

/// An origin whose health is a number: 200 answers, 0 goes away, another is its status.
fn moody(name: &'static str) -> (Origin, Arc<AtomicU16>) {
    let mood = Arc::new(AtomicU16::new(200));
    let own = mood.clone();
    let origin = Origin::answering(move |request: &Recorded| match own.load(Ordering::SeqCst) {
        200 => Reply::ok(format!("{name} {}", request.target))
            .header("Set-Cookie", "s=1")
            .header("ETag", "\"1\""),
        0 => Reply::close_without_answer(),
        status => Reply::status(status).body("own words"),
    });
    (origin, mood)
}

fn with_fallback(app: &Origin, standby: &Origin, more: &str) -> Gateway {
    testkit::gateway!(
        "listen: 127.0.0.1:0\nadmin: {{ listen: 127.0.0.1:0 }}\nworkers: 1\nservices:\n  app: \"{}\"\n  \
         standby: \"{}\"\n{more}",
        app.url(),
        standby.url()
    )
}

fn degraded(answer: &Response) -> &str {
    answer.header("tidegate-degraded").unwrap_or("no")
}

#[test]
fn each_step_in_turn_and_back() {
    let ((app, mood), (standby, standby_mood)) = (moody("app"), moody("standby"));
    let gateway = with_fallback(
        &app,
        &standby,
        "routes:\n  /orders/{id}:\n    to: app\n    fallback:\n      - standby\n      - last_good: 1h\n      \
         - { status: 503, template: '{{\"order\": \"{path.id}\"}}', content_type: application/json, headers: { Retry-After: 5 } }\n",
    );
    let answer = gateway.get("/orders/1");
    assert_eq!((answer.text().as_str(), degraded(&answer)), ("app /orders/1", "no"));
    mood.store(503, Ordering::SeqCst);
    let answer = gateway.get("/orders/1");
    assert_eq!((answer.text().as_str(), degraded(&answer)), ("standby /orders/1", "standby"));
    standby_mood.store(0, Ordering::SeqCst);
    let answer = gateway.get("/orders/1");
    assert_eq!(
        (answer.status, answer.text().as_str(), degraded(&answer)),
        (200, "app /orders/1", "last-good")
    );
    assert_eq!(answer.header("cache-status"), Some("tidegate; fwd=stale; detail=last-good"));
    assert!(answer.header("age").is_some() && answer.header("etag") == Some("\"1\""));
    assert_eq!((answer.header("cache-control"), answer.header("set-cookie")), (Some("no-store"), None));
    let line = gateway.wait_for_log(|line| line["degraded"] == "last-good");
    assert_eq!(line["fallback"][0]["step"], "standby");
    assert_eq!(line["fallback"][0]["outcome"], "no_answer");
    assert_eq!(line["fallback"][1]["outcome"], "answered");
    assert_eq!(line["why"], "no_answer");
    // Nothing is kept of this one: the last step is written in the configuration.
    let answer = gateway.get("/orders/%22x");
    assert_eq!((answer.status, degraded(&answer), answer.header("retry-after")), (503, "answer", Some("5")));
    assert_eq!(answer.json()["order"], "%22x");
    // A HEAD gets the head of what is kept, and only that.
    let mut raw = Raw::connect(gateway.addr());
    raw.request("HEAD", "/orders/1", &[], b"");
    let head = raw.read_response_to("HEAD");
    assert_eq!((head.status, degraded(&head), head.body.len()), (200, "last-good", 0));
    mood.store(200, Ordering::SeqCst);
    let answer = gateway.get("/orders/1");
    assert_eq!((answer.text().as_str(), degraded(&answer)), ("app /orders/1", "no"));
    for (step, count) in [("standby", 1.0), ("last_good", 2.0), ("answer", 1.0), ("none", 0.0)] {
        let series = format!("tidegate_fallback_total{{route=\"/orders/{{id}}\",step=\"{step}\"}}");
        gateway.wait_metric(&series, |told| told == count);
    }
    let told = gateway.admin_request("POST", "/api/v1/explain", &[], r#"{"method":"GET","url":"/orders/1"}"#);
    assert!(told.text().contains("when it fails: standby, then last_good, then answer"), "{}", told.text());
}

#[test]
fn each_caller_gets_its_own_last_good_answer() {
    let origin = Origin::answering(|request: &Recorded| {
        match (request.header("Authorization"), request.header("X-Down")) {
            (_, Some(_)) => Reply::status(503),
            (who, None) => Reply::ok(format!("for {who:?}")).header("Cache-Control", "private, no-store"),
        }
    });
    let routes = "routes:\n  /me: { to: app, fallback: [{ last_good: 1h }] }\n  \
                  /all: { to: app, fallback: [{ last_good: 1h, shared: true }] }\n";
    let gateway = with_fallback(&origin, &origin, routes);
    let ask =
        |path: &str, headers: &[(&str, &str)]| client::request(gateway.addr(), "GET", path, headers, b"");
    let (ann, bob, down) =
        (("Authorization", "Bearer ann"), ("Authorization", "Bearer bob"), ("X-Down", "1"));
    assert_eq!(ask("/me", &[ann]).status, 200);
    let kept = ask("/me", &[ann, down]);
    assert_eq!((kept.text().as_str(), degraded(&kept)), ("for Some(\"Bearer ann\")", "last-good"));
    for others in [&[bob, down][..], &[down], &[("Cookie", "sid=1"), down], &[("X-Api-Key", "k"), down]] {
        let answer = ask("/me", others);
        assert_eq!((answer.status, degraded(&answer)), (503, "no"), "{others:?}");
    }
    assert_eq!(ask("/me?x", &[ann, down]).status, 503, "another query is another request");
    assert_eq!(ask("/all", &[ann]).status, 200);
    assert_eq!(ask("/all", &[bob, down]).text(), "for Some(\"Bearer ann\")");
    // It is kept through a reload.
    gateway.rewrite_config(&format!(
        "listen: 127.0.0.1:0\nadmin: {{ listen: 127.0.0.1:0 }}\nworkers: 1\nservices: {{ app: {}, standby: \"http://127.0.0.1:1\" }}\n{routes}",
        origin.url()
    ));
    gateway.reload();
    gateway.wait_metric("tidegate_config_reloads_total{result=\"success\"}", |count| count == 1.0);
    assert_eq!(degraded(&ask("/me", &[ann, down])), "last-good");
}

#[test]
fn what_is_not_kept() {
    let large = "x".repeat(1024 * 1024 + 1);
    let origin =
        Origin::answering(move |request: &Recorded| match (request.header("X-Down"), &*request.target) {
            (Some(_), _) => Reply::status(502).body("own words"),
            (None, "/cut") => Reply::raw_then_close("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"),
            (None, "/large") => Reply::ok(&large),
            (None, "/moved") => Reply::status(404),
            (None, "/any") => Reply::ok("x").header("Vary", "Accept, *"),
            (None, _) => Reply::ok("hello").header("Vary", "Accept-Language"),
        });
    let gateway =
        with_fallback(&origin, &origin, "routes: { '/*': { to: app, fallback: [{ last_good: 1h }] } }\n");
    let (down, german) = (("X-Down", "1"), ("Accept-Language", "de"));
    for path in ["/cut", "/large", "/moved", "/any"] {
        let mut raw = Raw::connect(gateway.addr());
        raw.get(path);
        let _ = raw.try_read_response();
        let answer = client::request(gateway.addr(), "GET", path, &[down], b"");
        // An answer that nothing can replace is passed on as it is.
        assert_eq!((answer.status, answer.text().as_str()), (502, "own words"), "{path}");
    }
    assert_eq!(client::request(gateway.addr(), "GET", "/", &[german], b"").status, 200);
    let other = client::request(gateway.addr(), "GET", "/", &[down], b"");
    assert_eq!((other.status, degraded(&other)), (502, "no"), "the answer depends on the language");
    let same = client::request(gateway.addr(), "GET", "/", &[german, down], b"");
    assert_eq!((same.text().as_str(), degraded(&same)), ("hello", "last-good"));
}

#[test]
fn another_service_gets_only_what_does_no_harm_and_nothing_that_is_not_its_own() {
    let (app, mood) = moody("app");
    let standby = Origin::start();
    let gateway = testkit::gateway!(
        "listen: 127.0.0.1:0\nworkers: 1\nservices:\n  \
         app: {{ targets: \"{}\", host: app.internal, credentials: {{ bearer: top-secret }} }}\n  \
         gone: {{ targets: \"http://127.0.0.1:1\" }}\n  standby: \"{}\"\n\
         routes:\n  /*: {{ to: app, fallback: [standby] }}\n  /gone: {{ to: gone, fallback: {{ on: [connect], steps: [standby] }} }}\n",
        app.url(),
        standby.url()
    );
    mood.store(503, Ordering::SeqCst);
    let answer = client::request(gateway.addr(), "PUT", "/a", &[("Authorization", "Basic bWU=")], b"whole");
    let told = answer.json();
    assert_eq!((told["method"].as_str(), told["body"].as_str()), (Some("PUT"), Some("whole")));
    let request = standby.only_request();
    assert_eq!(request.headers_named("Authorization"), ["Basic bWU="]);
    assert_eq!(request.header("Host"), Some(gateway.addr().to_string().as_str()));
    assert_eq!(request.headers_named("Via").len(), 1);
    assert_eq!(app.requests()[0].header("Authorization"), Some("Bearer top-secret"));
    // The service may have done what it failed to answer.
    for _ in 0..2 {
        let answer = client::request(gateway.addr(), "POST", "/a", &[], b"pay");
        assert_eq!((answer.status, answer.text().as_str()), (503, "own words"));
        mood.store(0, Ordering::SeqCst);
        assert_eq!(client::request(gateway.addr(), "POST", "/a", &[], b"pay").status, 502);
        mood.store(503, Ordering::SeqCst);
    }
    assert_eq!(standby.requests().len(), 1);
    // Of this one nobody has got anything.
    let answer = client::request(gateway.addr(), "POST", "/gone", &[], b"pay");
    assert_eq!((answer.json()["body"].as_str(), degraded(&answer)), (Some("pay"), "standby"));
    // The ladder of that route is not for this.
    mood.store(500, Ordering::SeqCst);
    assert_eq!(gateway.get("/a").status, 500);
    // Four failures had nothing in their place, those that were passed on as they were among them.
    for (step, count) in [("standby", 1.0), ("none", 4.0)] {
        let series = format!("tidegate_fallback_total{{route=\"/*\",step=\"{step}\"}}");
        gateway.wait_metric(&series, |told| told == count);
    }
}

/// What a cache may give goes before what stands here, and says what the service said.
#[test]
fn a_stale_answer_of_a_cache_goes_before_what_stands_here() {
    let origin = Origin::answering(|request| match request.header("If-None-Match") {
        None => Reply::ok("good")
            .header("Cache-Control", "max-age=60, stale-if-error=600")
            .header("Age", "70")
            .header("ETag", "\"e\""),
        Some(_) if request.target == "/503" => Reply::status(503).body("no"),
        Some(_) => Reply::close_without_answer(),
    });
    let gateway = testkit::gateway!(
        "listen: 127.0.0.1:0\nadmin: {{ listen: 127.0.0.1:0 }}\nworkers: 1\nservices: {{ app: \"{}\" }}\n\
         routes:\n  /*: {{ to: app, cache: {{}}, fallback: [ {{ last_good: 1h }}, {{ status: 503, body: busy }} ] }}\n",
        origin.url()
    );
    for (path, said) in [("/503", "; fwd-status=503; ttl=-"), ("/gone", "; ttl=-")] {
        assert_eq!(gateway.get(path).text(), "good");
        let answer = gateway.get(path);
        assert_eq!((answer.status, answer.text().as_str(), degraded(&answer)), (200, "good", "no"));
        let status = answer.header("cache-status").unwrap_or_default();
        assert!(status.starts_with(&format!("tidegate; fwd=stale{said}")), "{status}");
    }
    for step in ["last_good", "answer", "none"] {
        assert_eq!(gateway.metric(&format!("tidegate_fallback_total{{step=\"{step}\"}}")), 0.0, "{step}");
    }
}

#[test]
fn an_open_circuit_leads_down_too() {
    let (app, mood) = moody("app");
    let (standby, _) = moody("standby");
    let gateway = testkit::gateway!(
        "listen: 127.0.0.1:0\nadmin: {{ listen: 127.0.0.1:0 }}\nworkers: 1\nservices:\n  \
         app: {{ targets: \"{}\", circuit_breaker: {{ min_requests: 3, open_for: 1h }} }}\n  standby: \"{}\"\n\
         routes:\n  /*: {{ to: app, fallback: [standby] }}\n",
        app.url(),
        standby.url()
    );
    mood.store(503, Ordering::SeqCst);
    for _ in 0..3 {
        assert_eq!(gateway.get("/").status, 200);
    }
    gateway.wait_metric("tidegate_circuit_state{service=\"app\"}", |state| state == 2.0);
    let asked = app.requests().len();
    for method in ["GET", "POST"] {
        let answer = client::request(gateway.addr(), method, "/", &[], b"");
        assert_eq!((answer.status, degraded(&answer)), (200, "standby"), "{method}: the service got nothing");
    }
    assert_eq!(app.requests().len(), asked);
}
