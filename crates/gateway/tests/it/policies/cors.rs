//! `cors` on the wire: preflights reach the route that they ask about, and answers name who may read them (C16).

use testkit::client::{Response, request};
use testkit::gateway::Gateway;
use testkit::origin::{Origin, Reply};

use crate::setup::with_routes;

const ROUTES: &str = r#"
  GET /x: { to: app, cors: { origins: [https://a.example, "https://*.b.example"], credentials: true } }
  POST /x: { to: app, cors: { origins: "*" } }
  DELETE /x: { to: app }
  GET /closed: { to: app, ip: { deny: [127.0.0.1] }, cors: { origins: https://a.example } }
"#;

fn preflight(gateway: &Gateway, path: &str, origin: &str, method: &str) -> Response {
    let fields = [
        ("Origin", origin),
        ("Access-Control-Request-Method", method),
        ("Access-Control-Request-Headers", "authorization,content-type"),
    ];
    request(gateway.addr(), "OPTIONS", path, &fields, b"")
}

#[test]
fn a_preflight_is_answered_by_the_route_of_the_method_it_asks_for() {
    let origin = Origin::start();
    let gateway = with_routes(&origin, ROUTES);
    for (path, from, method, status, allowed) in [
        ("/x", "https://a.example", "GET", 204, Some("https://a.example")),
        ("/x", "https://deep.er.b.example", "GET", 204, Some("https://deep.er.b.example")),
        ("/x", "https://evil.example", "GET", 403, None),
        ("/x", "null", "GET", 403, None),
        ("/x", "https://a.example.evil.example", "GET", 403, None),
        ("/x", "https://evil.example", "POST", 204, Some("*")),
        ("/x", "https://a.example", "DELETE", 405, None),
        ("/x", "https://a.example", "PUT", 405, None),
        ("/nowhere", "https://a.example", "GET", 404, None),
        ("/closed", "https://a.example", "GET", 204, Some("https://a.example")),
    ] {
        let answer = preflight(&gateway, path, from, method);
        assert_eq!(answer.status, status, "{path} {from} {method}");
        assert_eq!(answer.header("Access-Control-Allow-Origin"), allowed, "{path} {from} {method}");
        if status == 204 {
            assert_eq!(answer.header("Access-Control-Allow-Methods"), Some(method));
            assert_eq!(answer.header("Access-Control-Allow-Headers"), Some("authorization,content-type"));
            assert_eq!(
                answer.headers_named("Vary"),
                ["Origin, Access-Control-Request-Method, Access-Control-Request-Headers"]
            );
        }
    }
    let plain = request(gateway.addr(), "OPTIONS", "/x", &[("Origin", "https://a.example")], b"");
    assert_eq!(plain.status, 405);
    assert_eq!(origin.requests(), []);
}

#[test]
fn answers_name_who_may_read_them() {
    let answer = |_: &_| Reply::ok("").header("Access-Control-Allow-Origin", "*").header("Vary", "Accept");
    let origin = Origin::answering(answer);
    let gateway = with_routes(&origin, ROUTES);
    for (method, path, from, status, allowed, vary) in [
        ("GET", "/x", "https://a.example", 200, Some("https://a.example"), "Accept, Origin"),
        ("GET", "/x", "https://evil.example", 200, None, "Accept, Origin"),
        ("GET", "/x", "null", 200, None, "Accept, Origin"),
        ("POST", "/x", "https://evil.example", 200, Some("*"), "Accept"),
        ("GET", "/closed", "https://a.example", 403, Some("https://a.example"), "Origin"),
    ] {
        let answer = request(gateway.addr(), method, path, &[("Origin", from)], b"");
        assert_eq!(answer.status, status, "{method} {path} {from}");
        let named = answer.headers_named("Access-Control-Allow-Origin");
        assert_eq!(named, allowed.into_iter().collect::<Vec<_>>(), "{method} {path} {from}");
        assert_eq!(answer.headers_named("Vary"), [vary], "{method} {path} {from}");
    }
}
