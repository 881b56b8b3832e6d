//! Redirections on the wire: to where the configuration leads, whatever the request says (P8).

use testkit::client::{self, Raw};
use testkit::origin::Origin;

use crate::setup::with_routes;

const ROUTES: &str = r#"
  /old/*: { redirect: "/{path.*}" }
  /by: { redirect: "/by/{header.x-to}" }
  /next: { redirect: { to: "{query.to}", status: 303 } }
  /away/*: { redirect: "https://shop.example{path.*}" }
"#;

#[test]
fn no_request_chooses_the_host_it_is_sent_to() {
    let origin = Origin::start();
    let gateway = with_routes(&origin, ROUTES);
    for (target, field, location) in [
        ("/old/a/b%20c", "", "/a/b%20c"),
        ("/old//evil.example", "", "/evil.example"),
        ("/old/%2Fevil.example", "", "/%2Fevil.example"),
        ("/old/https:evil.example", "", "/https:evil.example"),
        ("/by", "//evil.example", "/by/%2F%2Fevil.example"),
        ("/next?to=https://evil.example/", "", "/https%3A%2F%2Fevil.example%2F"),
        ("/next?to=%2F%2Fevil.example", "", "/%2F%2Fevil.example"),
        ("/next?to=a%0D%0ASet-Cookie:%20b=c", "", "/a%0D%0ASet-Cookie%3A%20b%3Dc"),
        ("/away/.evil.example", "", "https://shop.example/.evil.example"),
    ] {
        let answer = client::request(gateway.addr(), "GET", target, &[("X-To", field)], b"");
        assert_eq!(answer.header("location"), Some(location), "{target} {field}");
        assert_eq!(answer.header("set-cookie"), None, "{target}");
    }
}

/// F13: the body of a request that is answered here is read to its end, or the connection is closed.
#[test]
fn the_body_of_a_redirected_request_is_no_request() {
    let origin = Origin::start();
    let gateway = with_routes(&origin, ROUTES);
    let inner = "GET /old/evil HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut client = Raw::connect(gateway.addr());
    client.send(format!("POST /by HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{inner}", inner.len()));
    client.get("/old/good");
    let first = client.read_response();
    assert_eq!(first.header("location"), Some("/by/"));
    if !first.says_close() {
        assert_eq!(client.read_response().header("location"), Some("/good"));
    }
}
