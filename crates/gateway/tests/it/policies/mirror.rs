//! `mirror` on the wire: what is copied, what is told of it, and that no client ever waits for it.

use testkit::client::{self, Raw};
use testkit::event::{Gate, eventually};
use testkit::gateway::Gateway;
use testkit::origin::{Origin, Recorded, Reply};

fn mirrored(app: &Origin, shadow: &Origin, mirror: &str) -> Gateway {
    testkit::gateway!(
        "listen: 127.0.0.1:0\nadmin: {{ listen: 127.0.0.1:0 }}\nworkers: 1\nservices:\n  app: \"{}\"\n  \
         shadow: \"{}\"\nroutes:\n  /*:\n    to: app\n    headers: {{ request: {{ set: {{ X-Shaped: yes }} }} }}\n    \
         mirror: {mirror}\n",
        app.url(),
        shadow.url()
    )
}

fn result(gateway: &Gateway, result: &str, count: f64) {
    let series =
        format!("tidegate_mirror_requests_total{{route=\"/*\",service=\"shadow\",result=\"{result}\"}}");
    gateway.wait_metric(&series, |told| told == count);
}

#[test]
fn a_copy_says_what_the_original_said_and_nobody_gets_its_answer() {
    let app = Origin::answering(|_: &Recorded| Reply::ok(r#"{"user":1}"#));
    let shadow =
        Origin::answering(|_: &Recorded| Reply::ok(r#"{"user":2}"#).header("Set-Cookie", "shadow=1"));
    let gateway = mirrored(&app, &shadow, "{ to: shadow, unsafe_methods: true }");
    let headers = [("Tidegate-Mirror", "forged"), ("Authorization", "Bearer x"), ("Accept-Encoding", "gzip")];
    let answer = client::request(gateway.addr(), "POST", "/users/1?a=b", &headers, b"{\"name\":\"ann\"}");
    assert_eq!((answer.text().as_str(), answer.header("set-cookie")), (r#"{"user":1}"#, None));
    let copy = shadow.wait_for_requests(1).remove(0);
    let original = app.only_request();
    assert_eq!((copy.method.as_str(), copy.target.as_str()), ("POST", "/users/1?a=b"));
    assert_eq!((copy.text(), copy.text()), (original.text(), "{\"name\":\"ann\"}".to_owned()));
    assert_eq!(copy.header("X-Request-Id"), original.header("X-Request-Id"));
    assert_eq!(copy.header("X-Shaped"), Some("yes"));
    assert_eq!(copy.header("Authorization"), Some("Bearer x"));
    assert_eq!((copy.header("Tidegate-Mirror"), copy.header("Accept-Encoding")), (Some("1"), None));
    assert_eq!(original.header("Tidegate-Mirror"), None, "no client says so");
    result(&gateway, "taken", 1.0);
    shadow.assert_clean();
}

#[test]
fn differences_are_counted_and_kept_by_their_places() {
    let app = Origin::answering(|request: &Recorded| match request.target.as_str() {
        "/status" => Reply::ok("{}"),
        _ => Reply::ok(r#"{"id":1,"time":1,"card":"4111111111111111"}"#),
    });
    let shadow = Origin::answering(|request: &Recorded| match request.target.as_str() {
        "/same" => Reply::ok(r#"{ "card": "4111111111111111", "id": 1, "time": 2 }"#),
        "/status" => Reply::status(500).body("{}"),
        _ => Reply::ok(r#"{"id":"1","time":3,"card":"4222222222222222","new":true}"#),
    });
    let gateway = mirrored(&app, &shadow, "{ to: shadow, compare: json, ignore: /time }");
    for path in ["/same", "/status", "/other?secret=1"] {
        assert_eq!(gateway.get(path).status, 200);
    }
    result(&gateway, "same", 1.0);
    result(&gateway, "different", 2.0);
    let told = gateway.admin("/api/v1/mirrors");
    let mirror = &told.json()["mirrors"][0];
    let newest = &mirror["differences"][0];
    assert_eq!((newest["path"].as_str(), newest["status"].as_u64()), (Some("/other"), Some(200)));
    let places: Vec<String> = newest["differences"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| format!("{} {}", one["what"].as_str().unwrap(), one["at"].as_str().unwrap()))
        .collect();
    assert_eq!(places, ["added /new", "type /id", "value /card"]);
    assert_eq!(mirror["differences"][1]["shadow_status"], 500);
    assert!(!told.text().contains("4111") && !told.text().contains("secret"), "{}", told.text());
    let explained = gateway.admin_request("POST", "/api/v1/explain", &[], r#"{"method":"GET","url":"/a"}"#);
    assert!(explained.text().contains("100% of its requests copied to `shadow`"), "{}", explained.text());
}

#[test]
fn nobody_waits_for_a_shadow_that_hangs_and_copies_are_bounded() {
    let (app, gate) = (Origin::start(), Gate::new());
    let held = gate.clone();
    let shadow = Origin::answering(move |_: &Recorded| Reply::ok("late").slow(&held));
    let gateway = mirrored(&app, &shadow, "{ to: shadow, max_in_flight: 2, timeout: 60s }");
    let mut raw = Raw::connect(gateway.addr());
    for _ in 0..10 {
        assert_eq!(raw.get("/").read_response().status, 200);
    }
    result(&gateway, "dropped_full", 8.0);
    assert_eq!(gateway.metric("tidegate_mirror_in_flight{route=\"/*\",service=\"shadow\"}"), 2.0);
    gate.open();
    result(&gateway, "taken", 2.0);
    eventually("the places are free", || {
        let series = "tidegate_mirror_in_flight{route=\"/*\",service=\"shadow\"}";
        (gateway.metric(series) == 0.0).then_some(())
    });
}

#[test]
fn what_changes_something_is_large_or_is_refused_is_not_copied() {
    let (app, shadow) = (Origin::start(), Origin::start());
    let gateway = mirrored(&app, &shadow, "{ to: shadow }");
    client::request(gateway.addr(), "POST", "/a", &[], b"x");
    assert_eq!(gateway.get("/b").status, 200);
    assert_eq!(shadow.wait_for_requests(1).remove(0).target, "/b");
    let gateway = mirrored(&app, &shadow, "{ to: shadow, unsafe_methods: true, max_body: 8B }");
    client::request(gateway.addr(), "POST", "/large", &[], b"123456789");
    result(&gateway, "dropped_body", 1.0);
    client::request(gateway.addr(), "POST", "/small", &[], b"12345678");
    result(&gateway, "taken", 1.0);
    let targets: Vec<String> = shadow.requests().into_iter().map(|copy| copy.target).collect();
    assert_eq!(targets, ["/b", "/small"]);
    // A shadow that is not there costs nobody anything.
    let gateway = testkit::gateway!(
        "listen: 127.0.0.1:0\nadmin: {{ listen: 127.0.0.1:0 }}\nworkers: 1\nservices:\n  app: \"{}\"\n  \
         shadow: http://127.0.0.1:1\nroutes:\n  /*: {{ to: app, mirror: {{ to: shadow }} }}\n",
        app.url()
    );
    assert_eq!(gateway.get("/").status, 200);
    result(&gateway, "failed", 1.0);
}
