//! `POST /api/v1/explain`: a question as JSON, and what is no question.

use serde_json::{Value, json};
use testkit::client::Response;
use testkit::gateway::Gateway;
use testkit::origin::Origin;

use crate::setup::with_routes;

fn ask(gateway: &Gateway, question: &Value) -> Response {
    gateway.admin_request("POST", "/api/v1/explain", &[], &question.to_string())
}

#[test]
fn a_question_is_answered_from_what_runs() {
    let origin = Origin::start();
    let gateway = with_routes(
        &origin,
        "  /a: { to: app, cors: { origins: [\"https://p.example\"] } }\n  OPTIONS /a: { respond: own }",
    );
    let told = ask(&gateway, &json!({ "method": "GET", "url": "/a" })).json();
    assert_eq!((&told["outcome"], &told["route"]["key"]), (&json!("forwarded"), &json!("/a")));
    // A preflight is for the route that it asks about, not for the one of its own method.
    let headers = json!([["Origin", "https://p.example"], ["Access-Control-Request-Method", "PUT"]]);
    let told = ask(&gateway, &json!({ "method": "OPTIONS", "url": "/a", "headers": headers })).json();
    assert_eq!(
        (&told["route"]["key"], &told["by"], &told["status"]),
        (&json!("/a"), &json!("cors"), &json!(204))
    );
    assert_eq!(told["route"]["why"], "the preflight asks for PUT, which `/a` takes");
    assert_eq!(told["outcome"], "answered");
}

#[test]
fn what_is_no_question_is_refused_with_its_reason() {
    let gateway = with_routes(&Origin::start(), "  /a: { respond: a }");
    for (question, reason) in [
        (json!({ "method": "GET" }), "missing field `url`"),
        (json!({ "method": "GET", "url": "/", "heders": [] }), "unknown field `heders`"),
        (json!({ "method": "GET", "url": "/", "from": "nobody" }), "invalid IP address"),
        (json!({ "method": "GET", "url": "nowhere" }), "`nowhere` is no URL"),
        (json!({ "method": "GET", "url": "/", "headers": [["X", "a\r\nY: b"]] }), "is not one line"),
        (json!({ "method": "GET", "url": "/", "listener": "x" }), "there is no listener `x`; there is main"),
    ] {
        let answer = ask(&gateway, &question);
        assert_eq!(answer.status, 400, "{question}");
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains(reason), "{question}: {detail}");
    }
}
