//! `headers` on the wire: what the service and the client get, on answers of our own too.

use testkit::client::request;
use testkit::origin::{Origin, Reply};

use crate::setup::with_routes;

const ROUTES: &str = r#"
  /u/{id}:
    to: app
    headers:
      request:
        set: { X-Id: "{path.id}", X-Real-IP: "{ip}", X-Trace: "{request_id}" }
        default: { Accept: application/json }
        add: { X-Tag: [one, two] }
        remove: [Cookie, X-Internal-*]
      response: { set: { X-Frame-Options: DENY }, add: { X-Tag: three }, remove: [Server, X-Debug-*] }
  /closed:
    to: app
    ip: { deny: [127.0.0.1] }
    headers: { response: { set: { X-Frame-Options: DENY }, default: { Cache-Control: private } } }
  /old: { redirect: /new, headers: { response: { set: { X-Frame-Options: DENY } } } }
"#;

#[test]
fn the_service_gets_what_the_route_says() {
    let origin = Origin::start();
    let gateway = with_routes(&origin, ROUTES);
    let sent = [
        ("Cookie", "a=b"),
        ("x_internal_role", "admin"),
        ("X-Id", "99"),
        ("X_Id", "99"),
        ("X-Tag", "zero"),
        ("X-Request-Id", "abc"),
    ];
    assert_eq!(request(gateway.addr(), "GET", "/u/17", &sent, b"").status, 200);
    let got = origin.only_request();
    for (name, values) in [
        ("X-Id", &["17"][..]),
        ("X_Id", &[]),
        ("X-Real-IP", &["127.0.0.1"]),
        ("X-Trace", &["abc"]),
        ("Accept", &["application/json"]),
        ("X-Tag", &["zero", "one", "two"]),
        ("Cookie", &[]),
        ("x_internal_role", &[]),
    ] {
        assert_eq!(got.headers_named(name), values, "{name}");
    }
    origin.assert_clean();
}

#[test]
fn the_client_gets_what_the_route_says() {
    let reply =
        |_: &_| Reply::ok("").header("Server", "x").header("X-Debug-Sql", "y").header("X-Tag", "zero");
    let origin = Origin::answering(reply);
    let answer = with_routes(&origin, ROUTES).get("/u/17");
    assert_eq!(answer.header("X-Frame-Options"), Some("DENY"));
    assert_eq!(answer.headers_named("X-Tag"), ["zero", "three"]);
    assert_eq!((answer.header("Server"), answer.header("X-Debug-Sql")), (None, None));
}

#[test]
fn answers_of_our_own_are_changed_too() {
    let origin = Origin::start();
    let gateway = with_routes(&origin, ROUTES);
    for (path, status) in [("/closed", 403), ("/old", 308)] {
        let answer = gateway.get(path);
        assert_eq!((answer.status, answer.header("X-Frame-Options")), (status, Some("DENY")), "{path}");
    }
    assert_eq!(gateway.get("/closed").headers_named("Cache-Control"), ["no-store"]);
    assert_eq!(origin.requests(), []);
}
