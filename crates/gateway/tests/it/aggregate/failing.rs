//! Parts that fail: what the client is told, who is given up, and what nobody has to wait for.

use std::sync::atomic::Ordering;

use testkit::client::{self, Raw};
use testkit::origin::{Origin, Recorded, Reply};

use super::{json, moody, with};

#[test]
fn a_required_part_decides_and_an_optional_one_is_named() {
    let ((users, user_mood), (orders, _)) = (moody("{\"id\":1}"), moody("[]"));
    let (payments, mood) = moody("{\"cents\":5}");
    let gateway = with(&users, &orders, &payments, super::DASHBOARD);
    mood.store(503, Ordering::SeqCst);
    let answer = gateway.get("/dashboard?user=1");
    assert_eq!((answer.status, answer.text().as_str()), (200, "{\"user\":{\"id\":1},\"orders\":[]}"));
    assert_eq!(answer.header("tidegate-partial"), Some("payments"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert!(answer.header("server-timing").unwrap().ends_with(";desc=\"status\""));
    let line = gateway.wait_for_log(|line| line["parts"][2]["outcome"] == "status");
    assert_eq!((line["status"].as_u64(), line["parts"][2]["status"].as_u64()), (Some(200), Some(503)));
    // The client's own mistake is its own to know; a service's trouble is one behind the gateway.
    for (answered, status, outcome) in [
        (404, 404, "status"),
        (429, 429, "status"),
        (500, 502, "status"),
        (503, 503, "status"),
        (302, 502, "status"),
        (0, 502, "no_answer"),
    ] {
        user_mood.store(answered, Ordering::SeqCst);
        let answer = gateway.get("/dashboard?user=1");
        let told = answer.json();
        assert_eq!((answer.status, told["status"].as_u64()), (status, Some(u64::from(status))), "{answered}");
        assert_eq!(
            (told["type"].as_str(), told["part"].as_str()),
            (Some("urn:tidegate:problem:part_failed"), Some("user"))
        );
        assert_eq!(told["parts"][0]["outcome"], outcome);
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let retry = (answered != 0).then_some("7");
        assert_eq!(answer.header("retry-after"), retry, "{answered}");
        assert!(
            !answer.text().contains("own words") && !answer.text().contains("127.0.0.1"),
            "{}",
            answer.text()
        );
    }
    user_mood.store(200, Ordering::SeqCst);
    let asked = users.requests().len();
    let answer = gateway.get("/dashboard");
    assert_eq!((answer.status, answer.json()["part"].as_str()), (400, Some("user")), "{}", answer.text());
    assert_eq!(users.requests().len(), asked);
    let line = gateway.wait_for_log(|line| line["status"] == 400);
    assert_eq!(
        (line["reason"].as_str(), line["why"].as_str()),
        (Some("part_failed"), Some("user: missing_value"))
    );
}

#[test]
fn the_first_failure_gives_up_the_others() {
    let hanging = Origin::hanging();
    let users = Origin::answering(|_: &Recorded| Reply::status(404));
    let slow = with(
        &users,
        &hanging,
        &hanging,
        "  /d: { aggregate: { orders: orders /, payments: payments /, user: { from: users /, after: [] } } }",
    );
    let answer = slow.get("/d");
    assert_eq!((answer.status, answer.json()["part"].as_str()), (404, Some("user")));
    let outcomes: Vec<_> =
        (0..3).map(|nth| answer.json()["parts"][nth]["outcome"].as_str().unwrap().to_owned()).collect();
    assert_eq!(outcomes, ["canceled", "canceled", "status"]);
    hanging.wait_for_open_connections(0);
}

#[test]
fn a_client_that_goes_away_ends_all_of_it() {
    let hanging = Origin::hanging();
    let gateway = with(&hanging, &hanging, &hanging, super::DASHBOARD);
    let mut raw = Raw::connect(gateway.addr());
    raw.get("/dashboard?user=1");
    hanging.wait_for_open_connections(3);
    raw.reset();
    hanging.wait_for_open_connections(0);
    let line = gateway.wait_for_log(|line| line["fault"] == "client_gone");
    assert_eq!(line["parts"][0]["outcome"], "canceled");
}

#[test]
fn time_runs_out_for_one_part_or_for_all() {
    let (hanging, (users, _)) = (Origin::hanging(), moody("{}"));
    let gateway = with(
        &users,
        &hanging,
        &hanging,
        "
  /own: { aggregate: { user: users /, orders: { from: orders /, timeout: 50ms, default: { items: [] } } } }
  /whole: { timeout: 2s, aggregate: { user: users /, orders: { from: orders /, optional: true } } }
  /lost: { timeout: 50ms, aggregate: { user: users /, orders: orders / } }
  /after: { timeout: 50ms, aggregate: { orders: { from: orders /, optional: true }, user: { from: users /, after: orders, optional: true } } }
",
    );
    let answer = gateway.get("/own");
    assert_eq!(
        (answer.text().as_str(), answer.header("tidegate-partial")),
        ("{\"user\":{},\"orders\":{\"items\":[]}}", Some("orders"))
    );
    let answer = gateway.get("/whole");
    assert_eq!(
        (answer.text().as_str(), answer.header("tidegate-partial")),
        ("{\"user\":{}}", Some("orders"))
    );
    let answer = gateway.get("/lost");
    assert_eq!((answer.status, answer.json()["parts"][1]["outcome"].as_str()), (504, Some("timeout")));
    // What comes after has no time left, and nobody is asked in vain.
    let asked = users.requests().len();
    let answer = gateway.get("/after");
    assert_eq!((answer.text().as_str(), answer.header("tidegate-partial")), ("{}", Some("orders, user")));
    assert_eq!(users.requests().len(), asked);
    hanging.wait_for_open_connections(0);
}

#[test]
fn what_cannot_be_merged_is_a_failure_and_stays_small() {
    let users = Origin::answering(|request: &Recorded| match request.target.as_str() {
        "/text" => Reply::ok("hello"),
        "/deep" => json("[".repeat(100_000)),
        "/wide" => json(format!("[{}1]", "1,".repeat(100_001))),
        "/number" => json("{\"n\": 1e1000000000}"),
        "/utf8" => json(b"\"\xff\""),
        "/large" => json(format!("\"{}\"", "x".repeat(1024 * 1024))),
        "/cut" => Reply::raw_then_close("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"),
        "/coded" => json("{}").header("Content-Encoding", "gzip"),
        "/part" => Reply::status(206).header("Content-Range", "bytes 0-1/9").body("{}"),
        "/twice" => json("{\"id\": 1, \"id\": 2}"),
        _ => json("{}"),
    });
    let routes = "
  /a/{kind}: { aggregate: { user: 'users /{path.kind}' } }
  /b/{kind}: { aggregate: { user: 'users /{path.kind}', orders: { from: 'orders /{user.body.id}', optional: true } } }
";
    let gateway = with(&users, &users, &users, routes);
    for (kind, outcome) in [
        ("text", "not_json"),
        ("deep", "too_deep"),
        ("wide", "too_wide"),
        ("number", "number_too_long"),
        ("utf8", "not_json"),
        ("large", "too_large"),
        ("cut", "answer_cut"),
        ("coded", "coded"),
        ("part", "status"),
    ] {
        let answer = gateway.get(&format!("/a/{kind}"));
        assert_eq!(
            (answer.status, answer.json()["parts"][0]["outcome"].as_str()),
            (502, Some(outcome)),
            "{kind}"
        );
    }
    let answer = gateway.get("/b/twice");
    assert_eq!((answer.status, answer.header("tidegate-partial")), (200, Some("orders")));
    let line = gateway.wait_for_log(|line| line["parts"][1]["outcome"] == "ambiguous_key");
    assert_eq!(line["parts"][1]["status"].as_u64(), None);
}

#[test]
fn an_answer_that_cannot_be_made_is_no_client_that_went_away() {
    let (users, _) = moody(r#"{"id": 1, "id": 2}"#);
    let gateway = with(
        &users,
        &users,
        &users,
        "
  /shaped: { response: { body: [ { remove: user.secret } ] }, aggregate: { user: users / } }
  /filled: { aggregate: { parts: { user: users / }, template: { id: '{user.body.id}' } } }
",
    );
    for path in ["/shaped", "/filled"] {
        let answer = gateway.get(path);
        assert_eq!(
            (answer.status, answer.json()["type"].as_str()),
            (502, Some("urn:tidegate:problem:answer_unfit")),
            "{path}"
        );
        let line = gateway.wait_for_log(|line| line["path"] == path);
        assert_eq!((line["status"].as_u64(), line["fault"].as_str()), (Some(502), Some("answer_unfit")));
        // The part itself has answered well.
        assert_eq!(line["parts"][0]["outcome"], "ok");
    }
}

#[test]
fn the_parts_have_the_care_of_every_request() {
    let (users, mood) = moody("{\"id\":1}");
    let (standby, _) = moody("{\"id\":2}");
    let gateway = testkit::gateway!(
        "listen: 127.0.0.1:0\nadmin: {{ listen: 127.0.0.1:0 }}\nworkers: 1\nservices:\n  \
         users: {{ targets: \"{}\", circuit_breaker: {{ min_requests: 4, open_for: 1h }} }}\n  standby: \"{}\"\n\
         routes:\n  /d:\n    aggregate:\n      user: {{ from: users /, fallback: [standby] }}\n  \
         /twice: {{ aggregate: {{ user: {{ from: users /, retry: {{ attempts: 3, backoff: 1ms }} }} }} }}\n  \
         /rare: {{ aggregate: {{ user: {{ from: standby /, rate_limit: 1/hour }} }} }}\n",
        users.url(),
        standby.url()
    );
    mood.store(503, Ordering::SeqCst);
    let answer = gateway.get("/d");
    assert_eq!(
        (answer.text().as_str(), answer.header("tidegate-degraded")),
        ("{\"user\":{\"id\":2}}", Some("standby"))
    );
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let asked = users.requests().len();
    assert_eq!(gateway.get("/twice").status, 503);
    // A service that says when to come again is not asked before.
    assert_eq!(users.requests().len(), asked + 1);
    mood.store(0, Ordering::SeqCst);
    assert_eq!(gateway.get("/twice").status, 502);
    // Three attempts, and one over a fresh connection that costs none where the rested one turned out dead.
    assert!((asked + 4..=asked + 5).contains(&users.requests().len()), "{}", users.requests().len());
    for _ in 0..4 {
        client::get(gateway.addr(), "/d");
    }
    gateway.wait_metric("tidegate_circuit_state{service=\"users\"}", |state| state == 2.0);
    let answer = gateway.get("/twice");
    assert_eq!((answer.status, answer.json()["parts"][0]["outcome"].as_str()), (503, Some("circuit_open")));
    assert_eq!(gateway.get("/rare").status, 200);
    let answer = gateway.get("/rare");
    assert_eq!((answer.status, answer.json()["parts"][0]["outcome"].as_str()), (429, Some("rate_limited")));
    assert!(answer.header("retry-after").is_some());
}
