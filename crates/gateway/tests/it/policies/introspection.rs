//! `introspection` on the wire: what the server says of a token decides, and without a word of it nobody passes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use testkit::client::{Response, request};
use testkit::gateway::Gateway;
use testkit::origin::{Origin, Reply};

use crate::issuer::{bearer, now};

fn gateway(origin: &Origin, server: &Origin, more: &str) -> Gateway {
    testkit::gateway!(
        r#"
listen: 127.0.0.1:0
admin: {{ listen: 127.0.0.1:0 }}
workers: 1
services: {{ app: "{app}" }}
consumers: {{ mobile: {{ jwt: {{ client_id: app-7 }} }} }}
routes:
  /*: {{ to: app, introspection: {{ url: "{server}/introspect", client_id: gw, client_secret: CANARY-SECRET{more} }} }}
"#,
        app = origin.url(),
        server = server.url()
    )
}

fn ask(gateway: &Gateway, token: &str) -> Response {
    request(gateway.addr(), "GET", "/x", &[("Authorization", &bearer(token))], b"")
}

#[test]
fn the_word_of_the_server_decides_and_is_remembered() {
    let (origin, asked) = (Origin::start(), Arc::new(AtomicUsize::new(0)));
    let counted = asked.clone();
    let server = Origin::answering(move |request| {
        counted.fetch_add(1, Ordering::Relaxed);
        assert_eq!(request.header("authorization"), Some("Basic Z3c6Q0FOQVJZLVNFQ1JFVA==")); // gw:CANARY-SECRET
        let form = request.text();
        let token = form.strip_prefix("token=").unwrap().split('&').next().unwrap();
        let answer = match token {
            "good" => {
                json!({ "active": true, "scope": "read write", "client_id": "app-7", "username": "alice", "aud": "shop" })
            }
            "narrow" => json!({ "active": true, "scope": "write", "aud": "shop" }),
            "ended" => json!({ "active": true, "scope": "read", "aud": "shop", "exp": now() - 1 }),
            "elsewhere" => json!({ "active": true, "scope": "read", "aud": "other" }),
            "text" => json!({ "active": "true", "scope": "read", "aud": "shop" }),
            _ => json!({ "active": false }),
        };
        Reply::ok(answer.to_string())
    });
    let gateway = gateway(&origin, &server, ", scopes: read, audience: shop");
    for _ in 0..5 {
        assert_eq!(ask(&gateway, "good").status, 200);
    }
    assert_eq!(asked.load(Ordering::Relaxed), 1, "it is remembered");
    for seen in origin.requests() {
        assert_eq!(
            (seen.headers_named("x-consumer"), seen.headers_named("x-user-id")),
            (vec!["mobile"], vec!["alice"])
        );
        assert!(seen.header("authorization").is_none());
    }
    for (token, status) in
        [("narrow", 403), ("ended", 401), ("elsewhere", 401), ("text", 401), ("nothing", 401)]
    {
        assert_eq!(ask(&gateway, token).status, status, "{token}");
    }
    let before = asked.load(Ordering::Relaxed);
    for wrong in ["", "a&b", "a b", &"x".repeat(5000)] {
        assert_eq!(ask(&gateway, wrong).status, 401, "{wrong}");
    }
    assert_eq!(asked.load(Ordering::Relaxed), before, "nobody is asked about what is no token");
    assert_eq!(origin.requests().len(), 5);
    let told = format!("{:?} {:?} {}", gateway.logs(), gateway.stderr(), gateway.admin("/metrics").text());
    assert!(!told.contains("CANARY"), "{told}");
}

#[test]
fn without_a_word_of_the_server_nobody_passes_who_is_not_remembered() {
    let moods: [fn() -> Reply; 6] = [
        Reply::hang,
        Reply::close_without_answer,
        || Reply::status(500),
        || Reply::ok("garbage"),
        || Reply::ok("x".repeat(10 << 20)),
        || Reply::ok("{\"active\":true,\"active\":true}"),
    ];
    for mood in moods {
        let (origin, calls) = (Origin::start(), AtomicUsize::new(0));
        let server = Origin::answering(move |_| match calls.fetch_add(1, Ordering::Relaxed) {
            0 => Reply::ok("{\"active\":true,\"sub\":\"u1\"}"),
            _ => mood(),
        });
        let gateway = gateway(&origin, &server, ", timeout: 3s");
        assert_eq!(ask(&gateway, "known").status, 200);
        let answer = ask(&gateway, "new");
        assert_eq!(
            (answer.status, &answer.json()["type"]),
            (503, &json!("urn:tidegate:problem:identity_unavailable"))
        );
        assert_eq!(ask(&gateway, "known").status, 200);
        assert_eq!(origin.requests().len(), 2);
    }
}
