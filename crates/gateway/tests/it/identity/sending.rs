//! What the gateway proves itself to services with: in the place of what clients sent, and never without.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use testkit::client::request;
use testkit::gateway::Gateway;
use testkit::origin::{Origin, Reply};

fn gateway(origin: &Origin, credentials: &str) -> Gateway {
    Gateway::with_binary(env!("CARGO_BIN_EXE_tidegate")).file("token", "FROM-A-FILE\n").start(&format!(
        r#"
listen: 127.0.0.1:0
admin: {{ listen: 127.0.0.1:0 }}
workers: 2
services: {{ app: {{ targets: "{app}", credentials: {{ {credentials} }} }} }}
routes:
  /*: {{ to: app }}
"#,
        app = origin.url()
    ))
}

const SENT: [(&str, &str); 3] =
    [("Authorization", "Bearer CLIENT"), ("X-API-Key", "CLIENT"), ("x_api_key", "CLIENT")];

#[test]
fn a_service_gets_the_credential_of_the_gateway_and_no_other() {
    for (credentials, name, value) in [
        ("bearer: \"${file:token}\"", "authorization", "Bearer FROM-A-FILE"),
        (
            "basic: { user: Aladdin, password: open sesame }",
            "authorization",
            "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==",
        ),
        ("header: { name: X-API-Key, value: GATEWAY }", "x-api-key", "GATEWAY"),
    ] {
        let origin = Origin::start();
        let gateway = gateway(&origin, credentials);
        assert_eq!(request(gateway.addr(), "GET", "/x", &SENT, b"").status, 200);
        let seen = origin.only_request();
        assert_eq!(seen.headers_named(name), [value], "{credentials}");
        assert!(name == "authorization" || seen.headers_named("x_api_key").is_empty(), "{:?}", seen.headers);
        let folder = gateway.folder().to_owned();
        let words = ["explain", "GET", "http://a/x", "--config", "gateway.yaml"];
        let told = crate::setup::tidegate(&folder, &words);
        let shown = crate::setup::tidegate(&folder, &["config", "show", "--effective", "gateway.yaml"]);
        let all = format!(
            "{} {} {} {:?} {:?}",
            told.stdout,
            shown.stdout,
            shown.stderr,
            gateway.logs(),
            gateway.stderr()
        );
        for secret in ["FROM-A-FILE", "QWxhZGRpb", "GATEWAY", "open sesame"] {
            assert!(!all.contains(secret), "{secret} in {all}");
        }
    }
    let origin = Origin::start();
    let gateway = gateway(&origin, "query: { name: api_key, value: a/b }");
    assert_eq!(request(gateway.addr(), "GET", "/x?a=1&api_key=CLIENT", &[], b"").status, 200);
    assert_eq!(origin.only_request().target, "/x?a=1&api_key=a%2Fb");
}

#[test]
fn a_token_is_got_once_for_all_and_in_the_place_of_the_clients() {
    let (origin, asked) = (Origin::start(), Arc::new(AtomicUsize::new(0)));
    let counted = asked.clone();
    let server = Origin::answering(move |request| {
        assert_eq!(request.header("authorization"), Some("Basic bWUlM0E6cyUyRmU=")); // me%3A:s%2Fe
        assert_eq!(request.text(), "grant_type=client_credentials&scope=a%20b");
        let number = counted.fetch_add(1, Ordering::Relaxed);
        Reply::ok(
            json!({ "access_token": format!("T{number}"), "token_type": "bearer", "expires_in": 3600 })
                .to_string(),
        )
    });
    let oauth = format!(
        "oauth2: {{ token_url: \"{}/token\", client_id: \"me:\", client_secret: s/e, scope: a b }}",
        server.url()
    );
    let gateway = gateway(&origin, &oauth);
    for _ in 0..20 {
        assert_eq!(request(gateway.addr(), "GET", "/x", &SENT, b"").status, 200);
    }
    assert!(origin.requests().iter().all(|seen| seen.headers_named("authorization") == ["Bearer T0"]));
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    // A reload that leaves the service as it is leaves its token, too.
    let text = std::fs::read_to_string(gateway.folder().join("gateway.yaml")).unwrap();
    gateway.rewrite_config(&format!("{text}  /more: {{ to: app }}\n"));
    gateway.reload();
    gateway.wait_metric("tidegate_config_revision_info{revision=\"2\"}", |shown| shown == 1.0);
    assert_eq!(request(gateway.addr(), "GET", "/more", &[], b"").status, 200);
    assert_eq!(asked.load(Ordering::Relaxed), 1);
}

#[test]
fn without_a_token_nothing_is_sent() {
    let origin = Origin::start();
    let moods: Vec<fn() -> Reply> = vec![
        Reply::hang,
        Reply::close_without_answer,
        || Reply::status(500),
        || Reply::ok("garbage"),
        || Reply::ok("x".repeat(10 << 20)),
        || Reply::ok("{\"access_token\":\"a\\r\\nX: b\",\"token_type\":\"bearer\"}"),
        || Reply::ok("{\"access_token\":\"T\",\"token_type\":\"mac\"}"),
        || Reply::ok("{\"token_type\":\"bearer\"}"),
    ];
    for mood in moods {
        let server = Origin::answering(move |_| mood());
        let oauth = format!("oauth2: {{ token_url: \"{}\", client_id: me, client_secret: s }}", server.url());
        let gateway = gateway(&origin, &oauth);
        assert_eq!(request(gateway.addr(), "GET", "/x", &SENT, b"").status, 503);
        let line = gateway.wait_for_log(|line| line["status"] == 503);
        assert_eq!(line["why"], "there is no token for the service");
    }
    assert_eq!(origin.requests(), []);
}
