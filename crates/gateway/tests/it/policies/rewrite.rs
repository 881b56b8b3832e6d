//! `rewrite` on the wire: what the service is asked for, and that no request leads beside it (P2).

use testkit::client::request;
use testkit::origin::Origin;

use crate::setup::with_routes;

const ROUTES: &str = r#"
  /api/*: { to: app, rewrite: { strip_prefix: /api, add_prefix: /v2 } }
  /users/{id}: { to: app, rewrite: "/people/{path.id}" }
  /by: { to: app, rewrite: { path: "/by/{query.id}/x", query: { remove: id } } }
  /tenant: { to: app, rewrite: { host: "{header.x-tenant}.internal:81" } }
  /query: { to: app, rewrite: { query: { set: { by: "{header.x-tenant}" }, remove: [utm_*] } } }
  /loose/*: { to: app, rewrite: { regex: { match: "^/loose", replace: /v1/ } } }
"#;

#[test]
fn the_service_is_asked_for_another_target() {
    let origin = Origin::start();
    let gateway = with_routes(&origin, ROUTES);
    for (target, sent) in [
        ("/api", "/v2/"),
        ("/api/x?q=1", "/v2/x?q=1"),
        ("/api/%2fadmin", "/v2/%2fadmin"),
        ("/api/x/../y", "/v2/y"),
        ("/users/ada%20l", "/people/ada%20l"),
        ("/by?id=a/b%3Fc&d=e", "/by/a%2Fb%3Fc/x?d=e"),
        ("/query?by=me&utm_source=x&z=1", "/query?z=1&by=a%26b"),
        ("/loose/x", "/v1/x"),
    ] {
        let answer = request(gateway.addr(), "GET", target, &[("X-Tenant", "a&b")], b"");
        assert_eq!((answer.status, answer.json()["target"].as_str()), (200, Some(sent)), "{target}");
    }
    origin.assert_clean();
}

#[test]
fn no_request_leads_beside_the_target() {
    let origin = Origin::start();
    let gateway = with_routes(&origin, ROUTES);
    for target in
        ["/by", "/by?id=..", "/by?id=../../admin", "/by?id=%2e%2e%2fadmin", "/by?id=a%00", "/tenant"]
    {
        let answer = gateway.get(target);
        assert_eq!(answer.status, 400, "{target}");
        assert_eq!(answer.json()["type"], "urn:tidegate:problem:rewrite_refused", "{target}");
    }
    let host = request(gateway.addr(), "GET", "/tenant", &[("X-Tenant", "evil.example/")], b"");
    assert_eq!(host.status, 400);
    assert_eq!(origin.requests(), []);
}

#[test]
fn the_service_gets_the_host_of_the_route() {
    let origin = Origin::start();
    let gateway = with_routes(&origin, ROUTES);
    assert_eq!(request(gateway.addr(), "GET", "/tenant", &[("X-Tenant", "Shop")], b"").status, 200);
    let got = origin.only_request();
    assert_eq!(got.headers_named("Host"), ["shop.internal:81"]);
    assert_ne!(got.header("X-Forwarded-Host"), Some("shop.internal:81"));
}
