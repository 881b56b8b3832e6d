//! `request` on the wire: what the service gets, and what it never hears of.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use testkit::client::{Raw, Response, request};
use testkit::gateway::Gateway;
use testkit::origin::{Origin, Reply};

use crate::http::http2;
use crate::setup::with_routes;
use crate::upstream::http2::origin::Service;

const ROUTES: &str = r#"
  /shaped/*:
    to: app
    request:
      headers: { rename: { X-Old: X-New } }
      query: { rename: { q: search }, set: { by: "{header.x-tenant}" } }
      body:
        - rename: { user_name: username }
        - remove: "**.admin"
  /whole/*:
    to: app
    request: { max_size: 1KiB, body: [ { set: { tenant: "{header.x-tenant}" } } ] }
  /xml/*: { to: app, request: { format: { from: [xml, form, csv, cbor], to: json, xml: { root: order } } } }
  /few/*: { to: app, body_limit: 1KiB, request: { body: [ { remove: admin } ] } }
  /pass/*: { to: app, request: { other: pass, body: [ { remove: admin } ] } }
  /large/*: { to: app, body_limit: off, request: { body: [ { remove: "*.admin" } ] } }
"#;

fn post(gateway: &Gateway, path: &str, kind: &str, body: &[u8]) -> Response {
    request(gateway.addr(), "POST", path, &[("Content-Type", kind), ("X-Tenant", "t1")], body)
}

#[test]
fn the_service_gets_what_was_made_of_it() {
    let origin = Origin::start();
    let gateway = with_routes(&origin, ROUTES);
    let body = br#"{ "user_name": "ada", "\u0061dmin": true, "n": 1.0, "in": [ {"admin": {}} ] }"#;
    let fields = [
        ("Content-Type", "application/json"),
        ("X-Tenant", "t 1"),
        ("X-Old", "v"),
        ("Content-Digest", "sha-256=:x:"),
    ];
    let answer = request(gateway.addr(), "POST", "/shaped/a?q=x%20y&z=1", &fields, body);
    assert_eq!(answer.status, 200);
    let asked = origin.only_request();
    assert_eq!(asked.text(), r#"{"username":"ada","n":1.0,"in":[{}]}"#);
    assert_eq!(asked.header("Content-Length"), Some("36"));
    assert_eq!((asked.header("Content-Digest"), asked.header("X-Old")), (None, None));
    assert_eq!(asked.header("X-New"), Some("v"));
    assert_eq!(asked.target, "/shaped/a?search=x%20y&z=1&by=t%201");
    origin.assert_clean();
}

#[test]
fn requests_without_a_body_and_other_kinds_go_their_way() {
    let origin = Origin::start();
    let gateway = with_routes(&origin, ROUTES);
    assert_eq!(request(gateway.addr(), "GET", "/shaped/a", &[], b"").status, 200);
    assert_eq!(post(&gateway, "/pass/a", "text/plain", b"{admin").status, 200);
    assert_eq!(origin.requests().pop().unwrap().text(), "{admin");
    assert_eq!(
        post(&gateway, "/pass/a", "application/vnd.shop+json; charset=UTF-8", b"{\"admin\":1}").status,
        200
    );
    let asked = origin.requests().pop().unwrap();
    assert_eq!(asked.text(), "{}");
    assert_eq!(asked.header("Content-Type"), Some("application/vnd.shop+json; charset=UTF-8"));
}

#[test]
fn what_is_wrong_with_a_body_is_told_and_no_service_hears_of_it() {
    let origin = Origin::start();
    let gateway = with_routes(&origin, ROUTES);
    let deep = "[".repeat(100_000);
    let large = format!("{{\"a\":\"{}\"}}", "x".repeat(2000));
    for (path, kind, body, status, code) in [
        ("/shaped/a", "application/json", "{\"a\":1,}", 400, "body_syntax"),
        ("/shaped/a", "application/json", "{\"a\":", 400, "body_cut"),
        ("/shaped/a", "application/json", deep.as_str(), 400, "body_too_deep"),
        ("/shaped/a", "application/json", "{\"a\":1,\"\\u0061\":2}", 400, "body_duplicate_name"),
        ("/shaped/a", "application/json", "{\"user_name\":1,\"username\":2}", 400, "body_duplicate_name"),
        ("/shaped/a", "text/plain", "{}", 415, "body_kind"),
        ("/shaped/a", "application/json; charset=utf-16", "{}", 415, "body_kind"),
        ("/whole/a", "application/json", large.as_str(), 413, "body_too_large_to_shape"),
        ("/xml/a", "application/json", "{}", 415, "body_kind"),
        ("/xml/a", "application/xml", "<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>", 400, "body_syntax"),
        ("/xml/a", "application/xml", "<order><a></order>", 400, "body_syntax"),
    ] {
        let answer = post(&gateway, path, kind, body.as_bytes());
        assert_eq!(
            (answer.status, answer.json()["type"].as_str()),
            (status, Some(&*format!("urn:tidegate:problem:{code}")))
        );
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(6));
    encoder.write_all(&vec![b' '; 4 << 20]).unwrap();
    let bomb = encoder.finish().unwrap();
    for (coding, status) in [("gzip", 413), ("deflate", 415), ("gzip, gzip", 415)] {
        let fields = [("Content-Type", "application/json"), ("Content-Encoding", coding)];
        assert_eq!(request(gateway.addr(), "POST", "/shaped/a", &fields, &bomb).status, status, "{coding}");
    }
    // Not much of a bomb, and more than the route takes.
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(6));
    encoder.write_all(format!("{{\"a\":\"{}\"}}", "abcdefgh".repeat(1000)).as_bytes()).unwrap();
    let fields = [("Content-Type", "application/json"), ("Content-Encoding", "gzip")];
    let body = encoder.finish().unwrap();
    assert_eq!(request(gateway.addr(), "POST", "/few/a", &fields, &body).status, 413);
    assert_eq!(request(gateway.addr(), "POST", "/shaped/a", &fields, b"").status, 200, "no body at all");
    assert_eq!(origin.requests().len(), 1);
    // Small as it is, the connection takes the next request.
    let mut client = Raw::connect(gateway.addr());
    client.request("POST", "/shaped/a", &[("Content-Type", "application/json")], b"{");
    assert_eq!(client.read_response().status, 400);
    client.request("POST", "/shaped/a", &[("Content-Type", "application/json")], b"{}");
    assert_eq!(client.read_response().status, 200);
}

#[test]
fn partners_send_what_they_have() {
    let origin = Origin::start();
    let gateway = with_routes(&origin, ROUTES);
    for (kind, body, text) in [
        (
            "application/xml",
            &b"<order id=\"7\"><line>a</line><line>b &amp; c</line></order>"[..],
            r#"{"@id":"7","line":["a","b & c"]}"#,
        ),
        ("application/x-www-form-urlencoded", b"a=1&b=x+y", r#"{"a":"1","b":"x y"}"#),
        ("text/csv", b"id,name\r\n1,x\r\n", r#"[{"id":"1","name":"x"}]"#),
        ("application/cbor", b"\xa1\x61a\x19\x03\xe8", r#"{"a":1000}"#),
    ] {
        assert_eq!(post(&gateway, "/xml/a", kind, body).status, 200, "{kind}");
        let asked = origin.requests().pop().unwrap();
        assert_eq!(asked.text(), text);
        assert_eq!(asked.header("Content-Type"), Some("application/json"));
    }
}

#[test]
fn a_large_body_streams_and_one_that_turns_out_bad_never_ends() {
    let origin = Origin::start();
    let gateway = with_routes(&origin, ROUTES);
    let item = r#"{"admin":true,"id":12345},"#;
    let good = format!("[{}{{}}]", item.repeat(20_000));
    let answer = post(&gateway, "/large/a", "application/json", good.as_bytes());
    assert_eq!(answer.status, 200);
    let asked = origin.only_request();
    assert_eq!(asked.header("Transfer-Encoding"), Some("chunked"));
    assert_eq!(asked.text(), format!("[{}{{}}]", "{\"id\":12345},".repeat(20_000)));
    let bad = format!("[{}]", item.repeat(20_000));
    let answer = post(&gateway, "/large/a", "application/json", bad.as_bytes());
    assert_eq!(
        (answer.status, answer.json()["type"].as_str()),
        (400, Some("urn:tidegate:problem:body_syntax"))
    );
    assert!(origin.requests().iter().all(|asked| !asked.text().contains("admin")));
    assert_eq!(origin.requests().iter().filter(|asked| asked.whole).count(), 1);
}

#[test]
fn a_client_that_waits_for_its_leave_gets_it() {
    let origin = Origin::start();
    let gateway = with_routes(&origin, ROUTES);
    let mut client = Raw::connect(gateway.addr());
    client.send(
        "POST /shaped/a HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 17\r\nExpect: 100-continue\r\n\r\n",
    );
    assert_eq!(client.read_interim().status, 100);
    client.send("{\"user_name\":\"a\"}");
    assert_eq!(client.read_response().status, 200);
    assert_eq!(origin.only_request().text(), r#"{"username":"a"}"#);
}

#[test]
fn what_is_sent_again_is_what_was_made_of_it() {
    let origin = Origin::answering(|request| match request.seq {
        1 => Reply::status(503),
        _ => Reply::ok("good"),
    });
    let route =
        "  /*: { to: app, retry: { backoff: 1ms, on: 5xx }, request: { body: [ { remove: admin } ] } }";
    let gateway = with_routes(&origin, route);
    let fields = [("Content-Type", "application/json")];
    let answer = request(gateway.addr(), "PUT", "/a", &fields, br#"{"admin":true,"id":1}"#);
    assert_eq!((answer.status, answer.text().as_str()), (200, "good"));
    let texts: Vec<String> = origin.requests().iter().map(|asked| asked.text()).collect();
    assert_eq!(texts, [r#"{"id":1}"#, r#"{"id":1}"#]);
}

/// A gateway that speaks HTTP/2 on both sides.
fn over_http2(service: &Service) -> Gateway {
    testkit::gateway!(
        r#"
listeners: {{ web: {{ address: "127.0.0.1:0", http2: true }} }}
admin: {{ listen: 127.0.0.1:0 }}
workers: 1
services: {{ app: {{ targets: "{app}", protocol: http2 }} }}
routes:
  /*:
    to: app
    body_limit: off
    request: {{ body: [ {{ rename: {{ user_name: username }} }}, {{ remove: "*.admin" }} ] }}
    response: {{ body: [ {{ remove: "*.id" }} ], other: refuse }}
"#,
        app = service.url()
    )
}

#[test]
fn both_directions_are_shaped_over_http2_too() {
    let service = Service::start(|stream| stream.echo());
    let gateway = over_http2(&service);
    let large = format!("[{}{{}}]", r#"{"admin":true,"id":12345,"n":1},"#.repeat(10_000));
    let bad = format!("[{}]", r#"{"admin":true,"id":12345,"n":1},"#.repeat(10_000));
    http2::converse(async {
        let (client, _) = http2::open(gateway.addr()).await;
        let post = || http2::request("POST", "/a").header("content-type", "application/json");
        let small = http2::ask(&client, post(), br#"{"user_name":"ada","in":{"id":1}}"#).await.unwrap();
        assert_eq!((small.status, small.text().as_str()), (200, r#"{"username":"ada","in":{}}"#));
        assert_eq!(small.headers["content-length"], small.body.len().to_string());
        let streamed = http2::ask(&client, post(), large.as_bytes()).await.unwrap();
        assert_eq!(streamed.text(), format!("[{}{{}}]", r#"{"n":1},"#.repeat(10_000)));
        let refused = http2::ask(&client, post(), b"{").await.unwrap();
        assert_eq!(refused.status, 400);
        // The service has begun to answer by the time that the end is seen to be wrong, or has not.
        match http2::ask(&client, post(), bad.as_bytes()).await {
            Ok(answer) => assert_eq!(answer.status, 400, "{}", answer.text()),
            Err(cut) => assert!(cut.is_reset(), "{cut}"),
        }
    });
}
