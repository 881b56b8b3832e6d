//! Canaries: a change serves a share of the requests first, and is put in force or let go by how it does; no request fails
//! for it that would not fail with the change.

use serde_json::{Value, json};
use testkit::event::eventually;
use testkit::gateway::Gateway;
use testkit::origin::Origin;

use super::{etag, limit, on_disk, put, start, while_under_load};

/// Puts a change on trial for half of the requests.
fn begin(gateway: &Gateway, edits: &Value, seconds: u64) -> Value {
    let change =
        json!({ "edits": edits, "message": "tried", "canary": { "share": "50%", "seconds": seconds } });
    let answer = put(gateway, &etag(gateway), &change);
    assert_eq!(answer.status, 202, "{}", answer.text());
    answer.json()
}

fn state(gateway: &Gateway) -> Value {
    gateway.admin("/api/v1/config/canary").json()
}

fn end(gateway: &Gateway, promote: bool) -> u16 {
    let body = json!({ "promote": promote }).to_string();
    gateway.admin_request("POST", "/api/v1/config/canary", &[], &body).status
}

fn marked() -> Value {
    json!([{ "op": "set", "path": ["routes", "/*", "headers"], "value": { "response": { "set": { "X-New": "1" } } } }])
}

#[test]
fn a_change_that_does_well_is_put_in_force() {
    let origin = Origin::start();
    let (gateway, text) = start(&origin);
    let asked = while_under_load(&gateway, || {
        let told = begin(&gateway, &marked(), 5);
        assert_eq!(told["on_trial"]["share"], "50%", "{told}");
        let (mut new, mut old) = (false, false);
        eventually("both to answer", || {
            let is_new = gateway.get("/a").header("x-new").is_some();
            (new, old) = (new || is_new, old || !is_new);
            (new && old).then_some(())
        });
        assert_eq!(on_disk(&gateway), text, "a trial leaves the file alone");
        let last = eventually("the end of the trial", || {
            let state = state(&gateway);
            state["on_trial"].is_null().then(|| state["last"].clone())
        });
        assert_eq!(last["result"], "promoted", "{last}");
        assert!(last["canary"]["calls"].as_u64().unwrap() >= 30, "{last}");
        assert_eq!(last["canary"]["errors"], 0);
    });
    assert!(asked > 0);
    assert!(on_disk(&gateway).contains("X-New"), "{}", on_disk(&gateway));
    assert!((0..20).all(|_| gateway.get("/a").header("x-new").is_some()));
    let history = gateway.admin("/api/v1/config/history").json();
    assert_eq!(history["changes"][0]["message"], "tried (tried on 50% of requests)", "{history}");
    assert_eq!(gateway.admin("/api/v1/status").json()["revision"], 2);
}

#[test]
fn a_change_that_fails_is_let_go() {
    let origin = Origin::start();
    let (gateway, text) = start(&origin);
    while_under_load(&gateway, || {
        let broken = json!([{ "op": "set", "path": ["routes", "/gone", "respond"], "value": 500 }]);
        begin(&gateway, &broken, 3_600);
        let mut failed = 0;
        let last = eventually("the trial to be let go", || {
            failed += (0..50).filter(|_| gateway.get("/gone").status == 500).count();
            let state = state(&gateway);
            state["on_trial"].is_null().then(|| state["last"].clone())
        });
        assert!(failed > 0);
        assert_eq!(last["result"], "let go", "{last}");
        assert!(last["why"].as_str().unwrap().contains("5xx"), "{last}");
        assert_eq!(last["running"]["errors"], 0, "{last}");
    });
    assert!((0..50).all(|_| gateway.get("/gone").status == 410), "nobody is served by it any more");
    assert_eq!(on_disk(&gateway), text);
    assert_eq!(gateway.admin("/api/v1/status").json()["revision"], 1);
}

#[test]
fn a_trial_is_ended_by_hand_and_by_other_changes() {
    let origin = Origin::start();
    let (gateway, text) = start(&origin);
    begin(&gateway, &marked(), 3_600);
    let second = put(&gateway, &etag(&gateway), &limit("7/s"));
    assert_eq!((second.status, second.text().contains("on trial")), (409, true), "{}", second.text());
    assert_eq!(end(&gateway, false), 200);
    assert!((0..20).all(|_| gateway.get("/a").header("x-new").is_none()));
    assert_eq!(end(&gateway, false), 404, "it is over");
    begin(&gateway, &marked(), 3_600);
    assert_eq!(end(&gateway, true), 200);
    assert!((0..20).all(|_| gateway.get("/a").header("x-new").is_some()), "promoted before its time");
    // An editor takes the ground from under the next one.
    begin(&gateway, &json!([{ "op": "set", "path": ["routes", "/gone", "respond"], "value": 451 }]), 3_600);
    gateway.rewrite_config(&text.replace("410", "404"));
    assert_eq!(gateway.admin_request("POST", "/api/v1/reload", &[], "").status, 200);
    assert!((0..20).all(|_| gateway.get("/gone").status == 404));
    let last = eventually("the trial to notice", || {
        let state = state(&gateway);
        state["on_trial"].is_null().then(|| state["last"].clone())
    });
    assert!(last["why"].as_str().unwrap().contains("changed meanwhile"), "{last}");
}

#[test]
fn what_both_configurations_share_cannot_be_tried() {
    let origin = Origin::start();
    let (gateway, _) = start(&origin);
    let edits = |path: &[&str], value: &str| json!([{ "op": "set", "path": path, "value": value }]);
    for (edits, share, word) in [
        (edits(&["services", "more"], "http://127.0.0.1:9"), "10%", "services, listeners"),
        (edits(&["routes", "/gone", "to"], "http://127.0.0.1:9"), "10%", "two things to do"),
        (edits(&["routes", "/new", "to"], "http://127.0.0.1:9"), "10%", "services, listeners"),
        (edits(&["drain", "time"], "7s"), "10%", ""),
        (marked(), "0%", "above 0%"),
        (marked(), "100%", "below 100%"),
        (marked(), "a tenth", "percentage"),
        (edits(&["routes", "/*", "to"], "app"), "10%", "nothing would change"),
    ] {
        let change = json!({ "edits": edits, "canary": { "share": share } });
        let answer = put(&gateway, &etag(&gateway), &change);
        assert!(matches!(answer.status, 400 | 422), "{change}: {} {}", answer.status, answer.text());
        assert!(answer.text().contains(word), "{change}: {}", answer.text());
    }
    assert!(state(&gateway)["on_trial"].is_null());
}
