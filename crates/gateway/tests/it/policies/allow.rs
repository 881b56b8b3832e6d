//! `allow` on the wire: who is known passes or not, and the answer does not say by which rule.

use serde_json::json;
use testkit::client::request;
use testkit::origin::Origin;
use tidegate::identity::jose::Signer;

use crate::issuer::{Issuer, bearer, token};

#[test]
fn what_is_asked_and_who_asks_decide() {
    let (origin, key) = (Origin::start(), Signer::generate().unwrap());
    let issuer = Issuer::start(&[&key]);
    let gateway = testkit::gateway!(
        r#"
listen: 127.0.0.1:0
admin: {{ listen: 127.0.0.1:0 }}
services: {{ app: "{app}" }}
policies:
  login: {{ jwt: {{ issuer: "{issuer}", audience: shop, optional: true }} }}
routes:
  /orders/*:
    to: app
    use: login
    allow:
      if: [{{ scopes: read, methods: [GET, HEAD] }}, {{ roles: admin }}]
      unless: {{ claims: {{ suspended: "true" }} }}
  /watched/*: {{ to: app, use: login, allow: {{ if: {{ roles: admin }}, mode: shadow }} }}
"#,
        app = origin.url(),
        issuer = issuer.url()
    );
    let who = |more| bearer(&token(&key, &issuer.url(), more));
    let reader = who(json!({ "scope": "read" }));
    let admin = who(json!({ "roles": ["admin"] }));
    let suspended = who(json!({ "roles": ["admin"], "suspended": true }));
    for (number, (method, who, status, why)) in [
        ("GET", Some(&reader), 200, ""),
        ("POST", Some(&reader), 403, "no rule of `if` fits"),
        ("POST", Some(&admin), 200, ""),
        ("GET", Some(&suspended), 403, "rule 1 of `unless` fits"),
        ("GET", None, 403, "no rule of `if` fits"),
    ]
    .into_iter()
    .enumerate()
    {
        let fields: Vec<_> = who.iter().map(|who| ("Authorization", who.as_str())).collect();
        let answer = request(gateway.addr(), method, &format!("/orders/{number}"), &fields, b"");
        assert_eq!(answer.status, status, "{number}");
        let line = gateway.wait_for_log(|line| line["path"] == format!("/orders/{number}"));
        assert_eq!(line["why"].as_str().unwrap_or_default(), why, "{number}");
        if status == 403 {
            assert!(!answer.text().contains("rule") && line["refused_by"] == "allow", "{}", answer.text());
        }
    }
    // Whoever operates the gateway is told.
    let folder = gateway.folder().to_owned();
    let told =
        crate::setup::tidegate(&folder, &["explain", "GET", "http://a/orders/1", "--config", "gateway.yaml"]);
    assert!(told.stdout.contains("answered 403 not_allowed: no rule of `if` fits"), "{}", told.stdout);
    assert_eq!(gateway.get("/watched/x").status, 200);
    let line = gateway.wait_for_log(|line| line["path"] == "/watched/x");
    assert_eq!(line["shadowed"], json!([{ "policy": "allow", "reason": "not_allowed" }]));
}

#[test]
fn an_expression_decides_and_the_client_is_not_told_by_what() {
    let origin = Origin::start();
    let gateway = crate::setup::with_routes(
        &origin,
        r#"
  /*:
    to: app
    allow:
      if: { expression: 'request.headers["x-tenant"] == "acme" && request.path.startsWith("/orders/")' }
      unless: { expression: '"x-off" in request.headers && request.headers["x-off"] == "yes"' }
"#,
    );
    let fits = "no rule of `if` fits";
    let twice = "no rule of `if` fits; rule 1: the expression reads a header that is there twice";
    for (path, headers, why) in [
        ("/orders/1", &[("X-Tenant", "acme")][..], ""),
        ("/orders/1", &[("x-tenant", "acme"), ("X-Off", "no")], ""),
        ("/a/../orders/1", &[("X-Tenant", "acme")], ""),
        ("/orders/../x", &[("X-Tenant", "acme")], fits),
        ("/orders/1", &[("X-Tenant", "other")], fits),
        ("/orders/1", &[], "no rule of `if` fits; rule 1: the expression reads something that is not there"),
        ("/orders/1", &[("X-Tenant", "acme"), ("X-Tenant", "acme")], twice),
        ("/orders/1", &[("X-Tenant", "acme"), ("X-Off", "yes")], "rule 1 of `unless` fits"),
        (
            "/orders/1",
            &[("X-Tenant", "acme"), ("X-Off", "no"), ("X-Off", "yes")],
            "rule 1 of `unless`: the expression reads a header that is there twice",
        ),
    ] {
        let before = gateway.logs().len();
        let answer = request(gateway.addr(), "GET", path, headers, b"");
        assert_eq!(answer.status, if why.is_empty() { 200 } else { 403 }, "{headers:?}");
        assert!(
            !answer.text().contains("rule") && !answer.text().contains("expression"),
            "{}",
            answer.text()
        );
        let line = testkit::event::eventually("its line", || gateway.logs().get(before).cloned());
        assert_eq!(line["why"].as_str().unwrap_or_default(), why, "{headers:?}");
    }
}
