//! Who comes in clear is sent to TLS, and who came with TLS is told to stay.

use std::net::TcpListener;
use std::sync::Arc;

use testkit::client::{Raw, request};
use testkit::origin::Origin;
use testkit::tls::Authority;

use super::setup::{Secured, launch};

#[test]
fn requests_in_clear_are_sent_to_the_listener_with_tls() {
    let authority = Authority::new("redirects");
    let issued = authority.issue(&["shop.test"]);
    let free = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let port = free();
    let gateway = launch(&[("shop", &issued)]).start(&format!(
        r#"
listeners:
  clear: {{ address: 127.0.0.1:0, redirect_http: true }}
  web:
    address: 127.0.0.1:{port}
    redirect_http: true
    tls: {{ certificates: {{ cert: shop.crt, key: shop.key }}, hsts: {{ max_age: 365d, include_subdomains: true }} }}
admin: {{ listen: 127.0.0.1:0 }}
routes:
  /*: {{ respond: here }}
"#
    ));
    for listener in ["clear", "web"] {
        let answer =
            request(gateway.listener(listener), "GET", "/a%20b/../c?x=1&y", &[("Host", "Shop.test:80")], b"");
        assert_eq!(answer.status, 308, "{listener}");
        assert_eq!(answer.header("location"), Some(&*format!("https://shop.test:{port}/c?x=1&y")));
        assert_eq!(
            answer.header("strict-transport-security"),
            None,
            "only TLS may say that (RFC 6797 section 7.2)"
        );
    }
    let client = Arc::new(authority.client(None));
    for path in ["/", "/a\\b"] {
        let mut raw = Raw::connect_tls(gateway.listener("web"), &client, "shop.test");
        let answer = raw.get(path).read_response();
        assert_eq!(
            answer.header("strict-transport-security"),
            Some("max-age=31536000; includeSubDomains"),
            "{path}"
        );
    }
}

#[test]
fn answers_of_services_say_it_too() {
    let origin = Origin::start();
    let secured = Secured::with(&origin, ", hsts: 1h", "");
    let answer = secured.connect().get("/").read_response();
    assert_eq!(answer.headers_named("strict-transport-security"), ["max-age=3600"]);
}
