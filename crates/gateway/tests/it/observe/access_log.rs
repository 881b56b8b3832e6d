//! The access log as a reader of `docs/access-log.md` expects it, what must never stand in it, and a sink that fails.

use serde_json::Value;
use testkit::client::{self, Raw, WebSocket};
use testkit::origin::{Origin, Reply, WebSocketEcho};

use crate::setup::{in_front_of, with_routes};

const ROUTES: &str = r#"
  /*: { to: app }
  /private: { to: app, ip: { deny: [127.0.0.0/8] } }
"#;

/// The line of the request with this path.
fn line_of(gateway: &testkit::gateway::Gateway, path: &str) -> Value {
    gateway.wait_for_log(|line| line["path"] == path)
}

#[test]
fn a_line_tells_of_an_exchange_that_went_well() {
    let origin = Origin::answering(|_| Reply::ok("four"));
    let gateway = with_routes(&origin, ROUTES);
    let fields = [("Host", "Shop.Example:80"), ("User-Agent", "kit"), ("Referer", "http://a/b?secret#x")];
    client::request(gateway.addr(), "POST", "/a/../orders?x=1", &fields, b"body!");
    let line = line_of(&gateway, "/orders");
    for (field, value) in [
        ("client", Value::from("127.0.0.1")),
        ("method", "POST".into()),
        ("host", "shop.example".into()),
        ("query", "x=1".into()),
        ("status", 200.into()),
        ("route", "/*".into()),
        ("service", "app".into()),
        ("tries", 1.into()),
        ("bytes_in", 5.into()),
        ("bytes_out", 4.into()),
        ("user_agent", "kit".into()),
        ("referer", "http://a/b".into()),
        ("listener", "main".into()),
        ("revision", 1.into()),
    ] {
        assert_eq!(line[field], value, "{field} of {line}");
    }
    let request = origin.only_request();
    assert_eq!(Some(line["request_id"].as_str().unwrap()), request.header("x-request-id"));
    assert!(request.header("traceparent").unwrap().contains(line["trace_id"].as_str().unwrap()));
    assert_eq!(format!("http://{}", line["endpoint"].as_str().unwrap()), origin.url());
    assert!(line["duration_ms"].as_f64().unwrap() >= line["upstream_ms"].as_f64().unwrap(), "{line}");
    for absent in ["reason", "fault", "blame", "refused_by", "upgraded", "peer"] {
        assert_eq!(line.get(absent), None, "{absent} of {line}");
    }
}

#[test]
fn a_line_tells_who_refused_and_who_is_to_blame() {
    let origin = Origin::answering(|_| Reply::close_without_answer());
    let gateway = with_routes(&origin, ROUTES);
    assert_eq!(gateway.get("/private").status, 403);
    let refused = line_of(&gateway, "/private");
    assert_eq!((&refused["reason"], &refused["refused_by"]), (&"ip_denied".into(), &"ip".into()));
    assert_eq!((refused["status"].as_u64(), refused.get("endpoint")), (Some(403), None));
    assert_eq!(client::request(gateway.addr(), "POST", "/lost", &[], b"x").status, 502);
    let lost = line_of(&gateway, "/lost");
    assert_eq!((&lost["fault"], &lost["blame"]), (&"no_answer".into(), &"service".into()));
    assert!(lost["detail"].is_string(), "{lost}");
    Raw::connect(gateway.addr()).send("GET /a%00b HTTP/1.1\r\nHost: a\r\n\r\n").read_response();
    let wrong = gateway.wait_for_log(|line| line["status"] == 400);
    assert_eq!((&wrong["blame"], &wrong["route"]), (&"client".into(), &"none".into()));
}

/// The bytes of one request never count for the next.
#[test]
fn a_request_that_breaks_off_tells_only_of_itself() {
    let origin = Origin::start();
    let gateway = in_front_of(&origin);
    let mut client = Raw::connect(gateway.addr());
    assert_eq!(client.request("POST", "/", &[], b"five!").read_response().status, 200);
    assert_eq!(client.send("broken\r\n\r\n").read_response().status, 400);
    let line = gateway.wait_for_log(|line| line["status"] == 400);
    assert_eq!((line["bytes_in"].as_u64(), &line["route"]), (Some(0), &"none".into()));
}

#[test]
fn a_tunnel_is_told_of_when_it_is_over() {
    let origin = WebSocketEcho::start();
    let gateway = in_front_of(&origin);
    let mut socket = WebSocket::connect(gateway.addr(), "/ws");
    socket.expect_echo("hello");
    assert!(gateway.logs().iter().all(|line| line["path"] != "/ws"));
    socket.close();
    let line = line_of(&gateway, "/ws");
    assert_eq!((line["status"].as_u64(), line["upgraded"].as_bool()), (Some(101), Some(true)));
}

/// Nothing that opens a door stands in the log or on the page of metrics.
#[test]
fn secrets_are_told_to_nobody() {
    let origin = Origin::answering(|_| Reply::ok("").header("Set-Cookie", "sid=CANARY"));
    let gateway = in_front_of(&origin);
    let fields = [
        ("Authorization", "Bearer CANARY"),
        ("Cookie", "sid=CANARY"),
        ("X-Api-Key", "CANARY"),
        ("Referer", "http://u:CANARY@a/?token=CANARY"),
    ];
    client::request(gateway.addr(), "GET", "/secret?api_key=CANARY&a=1&%61ccess_token=CANARY", &fields, b"");
    client::request(gateway.addr(), "GET", "/a%00?password=CANARY", &fields, b"");
    let line = line_of(&gateway, "/secret");
    assert_eq!(line["query"], "api_key=***&a=1&%61ccess_token=***");
    gateway.wait_for_log(|line| line["status"] == 400);
    let told = format!("{:?}{}{:?}", gateway.logs(), gateway.admin("/metrics").text(), gateway.stderr());
    assert!(!told.contains("CANARY"), "{told}");
}

/// C14: whatever a client sends, its line is one line.
#[test]
fn no_request_writes_a_line_of_its_own() {
    let origin = Origin::start();
    let gateway = in_front_of(&origin);
    let long = "x".repeat(7000);
    for (target, agent) in [
        ("/%0d%0a{\"status\":200}".to_owned(), "a\t\u{1b}[2J\"}{\u{202e}"),
        ("/\"quoted\\\"".to_owned(), "\\\"},{\""),
        (format!("/{long}?{long}"), &long[..]),
        ("/raw".to_owned(), "bytes \u{ff}\u{80}"),
    ] {
        let head =
            format!("GET {target} HTTP/1.1\r\nHost: a\r\nUser-Agent: {agent}\r\nX-Request-Id: \"\r\n\r\n");
        let latin: Vec<u8> = head
            .chars()
            .flat_map(|letter| {
                u8::try_from(letter).map_or_else(|_| letter.to_string().into_bytes(), |byte| vec![byte])
            })
            .collect();
        Raw::connect(gateway.addr()).send(latin).read_response();
    }
    gateway.get("/last");
    line_of(&gateway, "/last");
    let lines = gateway.logs();
    assert_eq!(lines.len(), 5, "{lines:?}");
    for line in &lines {
        let text = line.to_string();
        assert!(text.len() <= 8 * 1024 && !text.contains('\u{1b}'), "{text}");
        assert_eq!(line["request_id"].as_str().unwrap().len(), 32);
    }
}

/// O15: a full disk costs lines, which are counted, and no request.
#[test]
fn a_log_that_cannot_be_written_costs_no_request() {
    let origin = Origin::start();
    let gateway = testkit::gateway!(
        "listen: 127.0.0.1:0\nadmin: {{ listen: 127.0.0.1:0 }}\nlog: {{ access: /dev/full }}\n\
         routes:\n  /*: {{ to: \"{}\" }}\n",
        origin.url()
    );
    for _ in 0..50 {
        assert_eq!(gateway.get("/").status, 200);
    }
    gateway.wait_metric("tidegate_log_failures_total", |failures| failures > 0.0);
    assert_eq!(gateway.get("/").status, 200);
}
