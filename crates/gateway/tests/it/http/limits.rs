//! Bounds of size (R5) and of time, each with its status.

use std::time::Duration;

use testkit::client::{self, Raw};
use testkit::gateway::Gateway;
use testkit::origin::{After, Origin};

use crate::setup::{FullQueue, in_front_of, refuse};

/// R5: more head than a gateway takes.
#[test]
fn a_head_beyond_its_bounds_is_refused() {
    let origin = Origin::start();
    let gateway = in_front_of(&origin);
    let get = |fields: &str| format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
    let line = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(100 * 1024));
    let value = get(&format!("X: {}\r\n", "x".repeat(100 * 1024)));
    let name = get(&format!("{}: x\r\n", "x".repeat(17 * 1024)));
    let total = get(&format!("X: {}\r\n", "x".repeat(15 * 1024)).repeat(3));
    let just_too_many = get(&"X: y\r\n".repeat(100));
    let far_too_many = get(&"X: y\r\n".repeat(10_000));
    let endless_line = "G".repeat(100 * 1024);
    refuse(&gateway, &origin, line, 414);
    for head in [value, name, total, just_too_many, far_too_many] {
        refuse(&gateway, &origin, head, 431);
    }
    let answer = Raw::connect(gateway.addr()).send(endless_line).read_response();
    assert!([400, 414].contains(&answer.status), "{}", answer.status);
}

/// R5: a head within its bounds gets through, however it is cut.
#[test]
fn a_head_within_its_bounds_passes() {
    let origin = Origin::start();
    let gateway = in_front_of(&origin);
    let long = "x".repeat(15 * 1024);
    assert_eq!(client::request(gateway.addr(), "GET", "/", &[("X-Long", &long)], b"").status, 200);
    let path = format!("/{}", "x".repeat(8 * 1024 - 100));
    assert_eq!(gateway.get(&path).status, 200);
    let many: Vec<(&str, &str)> = (0..99).map(|_| ("X", "y")).collect();
    assert_eq!(client::request(gateway.addr(), "GET", "/", &many, b"").status, 200);
    let request = "\r\nGET /slow HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n";
    let answer = Raw::connect(gateway.addr()).send_slowly(request, 1).read_response();
    assert_eq!(answer.json()["target"], "/slow");
}

fn with_body_limit(origin: &Origin) -> Gateway {
    testkit::gateway!(
        r#"
listen: 127.0.0.1:0
admin: {{ listen: 127.0.0.1:0 }}
services: {{ app: "{app}" }}
routes:
  POST /small: {{ to: app, body_limit: 1KiB }}
  /*: {{ to: app }}
"#,
        app = origin.url()
    )
}

#[test]
fn a_body_beyond_its_limit_is_refused_declared_or_not() {
    let origin = Origin::start();
    let gateway = with_body_limit(&origin);
    let body = "x".repeat(1025);
    let declared = format!("POST /small HTTP/1.1\r\nHost: a\r\nContent-Length: 1025\r\n\r\n{body}");
    let chunked = format!(
        "POST /small HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n401\r\n{body}\r\n0\r\n\r\n"
    );
    for bytes in [declared, chunked] {
        assert_eq!(Raw::connect(gateway.addr()).send(bytes).read_response().status, 413);
    }
    assert!(origin.requests().iter().all(|request| !request.whole), "{:?}", origin.requests());
    let fits = client::request(gateway.addr(), "POST", "/small", &[], &body.as_bytes()[..1024]);
    assert_eq!(fits.json()["body"].as_str().unwrap().len(), 1024);
}

#[test]
fn a_declared_body_beyond_the_default_limit_is_refused_before_it_is_sent() {
    let origin = Origin::start();
    let gateway = in_front_of(&origin);
    let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", 10 * 1024 * 1024 + 1);
    refuse(&gateway, &origin, head, 413);
}

fn impatient(origin: &Origin) -> Gateway {
    testkit::gateway!(
        r#"
listeners:
  main: {{ address: 127.0.0.1:0, timeouts: {{ head: 500ms, keep_alive: 500ms, body_idle: 500ms }} }}
admin: {{ listen: 127.0.0.1:0 }}
services:
  app: {{ targets: ["{app}"], timeout: 1s, idle_timeout: 300ms }}
  patient: {{ targets: ["{app}"] }}
routes:
  /*: {{ to: app }}
  /hurried: {{ to: patient, timeout: 300ms }}
  /patient: {{ to: patient }}
"#,
        app = origin.url()
    )
}

/// The time of a head counts from its first byte, however it drips; before that byte the connection is idle.
#[test]
fn a_head_that_does_not_come_to_its_end_is_refused() {
    let origin = Origin::start();
    let gateway = impatient(&origin);
    let mut client = Raw::connect(gateway.addr());
    client.send("GET / HTTP/1.1\r\nHost: a\r\n");
    assert_eq!(client.read_response().status, 408);
    client.expect_closed();
    let mut idle = Raw::connect(gateway.addr());
    assert_eq!(idle.get("/patient").read_response().status, 200);
    idle.expect_closed();
    Raw::connect(gateway.addr()).expect_closed();
}

/// R1: bytes that keep coming do not buy time.
#[test]
fn a_head_that_drips_is_refused() {
    let origin = Origin::start();
    let gateway = impatient(&origin);
    let mut client = Raw::connect(gateway.addr());
    client.send("GET / HTTP/1.1\r\nHost: a\r\nX: ");
    while client.is_silent_for(Duration::from_millis(50)) {
        client.send("x");
    }
    assert_eq!(client.read_response().status, 408);
    assert_eq!(origin.received(), "");
}

fn with_timeouts(origin: &Origin, timeouts: &str) -> Gateway {
    testkit::gateway!(
        r#"
listeners:
  main: {{ address: 127.0.0.1:0, timeouts: {{ {timeouts} }} }}
admin: {{ listen: 127.0.0.1:0 }}
services: {{ app: "{app}" }}
routes:
  /*: {{ to: app }}
"#,
        app = origin.url()
    )
}

/// R2: a body that drips is refused for its rate, though it never rests for long.
#[test]
fn a_body_that_drips_is_refused() {
    let origin = Origin::start();
    let gateway = with_timeouts(&origin, "body_idle: 400ms, min_body_rate: 1KiB");
    for (framing, piece) in [("Content-Length: 100000", "x"), ("Transfer-Encoding: chunked", "1\r\nx\r\n")] {
        let mut client = Raw::connect(gateway.addr());
        client.send(format!("POST / HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n"));
        client.send(piece);
        while client.is_silent_for(Duration::from_millis(50)) {
            client.send(piece);
        }
        assert_eq!(client.read_response().status, 408, "{framing}");
    }
    origin.wait_for_open_connections(0);
}

/// R3: an answer that nobody reads is given up, and so is the work behind it.
#[test]
fn a_client_that_does_not_read_is_let_go() {
    let origin = Origin::conversing(|_, conversation| {
        conversation.write_head(200, &[("Content-Length", "100000000")]);
        while conversation.write(&[b'x'; 64 * 1024]) {}
        After::Close
    });
    let gateway = with_timeouts(&origin, "write_idle: 300ms");
    let mut client = Raw::connect(gateway.addr());
    client.get("/");
    let line = gateway.wait_for_log(|line| line["fault"] == "client_stalled");
    assert_eq!((line["blame"].as_str(), line["status"].as_u64()), (Some("client"), Some(200)));
    origin.wait_for_open_connections(0);
}

/// O13: with few descriptors some clients are told to come back, and those who are served do not feel it.
#[test]
fn a_gateway_with_few_descriptors_refuses_what_it_cannot_serve() {
    let origin = Origin::start();
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("tidegate-with-few-files");
    let text = format!("#!/bin/sh\nulimit -n 100\nexec '{}' \"$@\"\n", env!("CARGO_BIN_EXE_tidegate"));
    std::fs::write(&script, text).unwrap();
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let yaml = format!(
        "listen: 127.0.0.1:0\nadmin: {{ listen: 127.0.0.1:0 }}\nworkers: 1\nroutes:\n  /*: {{ to: \"{}\" }}\n",
        origin.url()
    );
    let gateway = Gateway::with_binary(script.to_str().unwrap()).start(&yaml);
    let mut first = Raw::connect(gateway.addr());
    assert_eq!(first.get("/").read_response().status, 200);
    let mut others: Vec<Raw> = (0..80).map(|_| Raw::connect(gateway.addr())).collect();
    let statuses: Vec<u16> = others.iter_mut().map(|client| client.get("/").read_response().status).collect();
    assert!(statuses.iter().all(|status| [200, 503].contains(status)), "{statuses:?}");
    assert!(statuses.contains(&200) && statuses.contains(&503), "{statuses:?}");
    assert_eq!(first.get("/").read_response().status, 200);
}

#[test]
fn a_body_that_stalls_is_refused() {
    let origin = Origin::start();
    let gateway = impatient(&origin);
    let mut client = Raw::connect(gateway.addr());
    client.send("POST /patient HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf");
    assert_eq!(client.read_response().status, 408);
    client.expect_closed();
    origin.wait_for_open_connections(0);
}

#[test]
fn an_answer_that_does_not_come_in_time_is_a_504() {
    let origin = Origin::hanging();
    let gateway = impatient(&origin);
    for path in ["/service", "/hurried"] {
        let answer = gateway.get(path);
        assert_eq!(answer.status, 504, "{path}");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        assert!(answer.header("proxy-status").unwrap().contains("timeout"), "{:?}", answer.headers);
    }
    origin.wait_for_open_connections(0);
}

/// An answer that stops in the middle must not look whole.
#[test]
fn an_answer_that_stalls_is_cut_off() {
    let origin = Origin::conversing(|_, conversation| {
        conversation.write_head(200, &[("Content-Length", "9")]);
        conversation.write(b"half");
        conversation.wait_for_close();
        After::Close
    });
    let gateway = impatient(&origin);
    let mut client = Raw::connect(gateway.addr());
    assert_eq!(client.get("/service").read_head().status, 200);
    assert_eq!(client.read_to_end(), b"half");
    origin.wait_for_open_connections(0);
}

/// A target whose queue is full drops what knocks: the connection never comes about.
#[test]
fn a_target_that_does_not_accept_is_a_504() {
    let full = FullQueue::new();
    let gateway = testkit::gateway!(
        r#"
listen: 127.0.0.1:0
admin: {{ listen: 127.0.0.1:0 }}
services: {{ app: {{ targets: ["{full}"], connect_timeout: 200ms }} }}
routes:
  /*: {{ to: app }}
"#,
        full = full.url()
    );
    assert_eq!(gateway.get("/").status, 504);
}
