//! `explain`: from a file and against a running gateway, with the exit code that scripts ask for.

use std::net::TcpListener;
use std::path::Path;

use testkit::origin::Origin;
use testkit::tls::Authority;

use crate::setup::{folder_with, tidegate, with_routes};

const TEXT: &str = r#"
listen: 127.0.0.1:0
services: { app: "http://127.0.0.1:1" }
routes:
  GET /a/{id}: { to: app, rewrite: "/r/{path.id}", headers: { request: { set: { X-A: b } } } }
  /closed: { to: app, ip: { allow: [10.0.0.0/8] }, timeout: 5s }
  /watched: { respond: here, ip: { deny: [127.0.0.1], mode: shadow } }
  /go: { redirect: /a/1 }
"#;

#[test]
fn the_exit_code_is_the_answer() {
    let folder = folder_with(TEXT);
    for (words, code, verdict) in [
        (&["GET", "/a/1"][..], 0, "forwarded to `app`"),
        (&["GET", "/closed"], 1, "answered 403 ip_denied by the policy `ip`"),
        (&["GET", "/closed", "--from", "10.1.1.1"], 0, "forwarded to `app`"),
        (&["GET", "/watched"], 0, "answered 200 by the route itself"),
        (&["GET", "https://shop.example/go"], 0, "redirected with 308 by the route itself"),
        (&["GET", "/nowhere"], 1, "refused with 404 no_route: no route matches this host and path"),
        (
            &["POST", "/closed", "--from", "10.1.1.1", "--body-size", "99999999"],
            1,
            "refused with 413 body_too_large",
        ),
        (&["GET", "/a\\b"], 1, "refused with 400 bad_target"),
    ] {
        let told = tidegate(folder.path(), &[&["explain"], words].concat());
        assert_eq!((told.code, told.stderr.as_str()), (Some(code), ""), "{words:?}");
        let first = told.stdout.lines().next().unwrap();
        assert!(first.starts_with(&format!("verdict   {verdict}")), "{words:?}: {first}");
    }
}

/// What the door answers: TLS, redirections, connections made for another host.
#[test]
fn the_door_is_explained_too() {
    let authority = Authority::new("the tests");
    let issued = authority.issue(&["shop.test"]);
    let folder = folder_with(
        r#"
listeners:
  clear: { address: 127.0.0.1:0, redirect_http: true }
  inside: 127.0.0.1:0
  web:
    address: 127.0.0.1:8443
    tls: { certificates: { cert: shop.crt, key: shop.key }, client_ca: ca.pem, hsts: 1d }
routes:
  /*: { respond: here }
"#,
    );
    issued.write(folder.path(), "shop");
    std::fs::write(folder.path().join("ca.pem"), authority.pem()).unwrap();
    for (words, code, parts) in [
        (
            &["http://shop.test/a?b"][..],
            0,
            &[
                "answered 308 at the door",
                "the listener sends requests to https with 308",
                "https://shop.test:8443/a?b",
            ][..],
        ),
        (&["/a", "--listener", "inside"], 0, &["answered 200 by the route itself"]),
        (
            &["https://shop.test/a"],
            0,
            &[
                "answered 200 by the route itself",
                "asks for client certificates",
                "Strict-Transport-Security",
            ],
        ),
        (&["/a", "--listener", "web"], 0, &["answered 200 by the route itself", "the listener speaks TLS"]),
        (&["https://shop.test/a", "-H", "Host: other.test"], 1, &["refused with 421 misdirected"]),
        (&["http://shop.test/a", "--listener", "web"], 1, &["refused with 400 plain_http"]),
        (&["https://shop..test/a"], 1, &["refused with 400"]),
    ] {
        let told = tidegate(folder.path(), &[&["explain", "GET"], words].concat());
        assert_eq!((told.code, told.stderr.as_str()), (Some(code), ""), "{words:?}\n{}", told.stdout);
        for part in parts {
            assert!(told.stdout.contains(part), "{words:?}: {part}\n{}", told.stdout);
        }
    }
}

#[test]
fn the_page_tells_route_rivals_policies_and_the_request_sent() {
    let folder = folder_with(TEXT);
    let words = [
        "explain",
        "GET",
        "/a/7?x=1&token=t0p",
        "-H",
        "Authorization: Bearer s3cret",
        "-H",
        "Cookie: sid=c00kie",
    ];
    let told =
        tidegate(folder.path(), &[&words[..], &["-H", "X-User-Id: 9", "-H", "X-Request-Id: me"]].concat());
    for part in [
        "route     GET /a/{id}\n",
        "{id} is 7\n",
        "removed on receipt: X-User-Id\n",
        "not       /closed   the path differs at segment 1: `a` is not `closed`\n",
        "~ path: /a/7 -> /r/7\n",
        "+ header X-A: b\n",
        "  GET /r/7?x=1&token=*** HTTP/1.1\n",
        "  Authorization: Bearer ***\n",
        "  Cookie: sid=***\n",
        "+ X-A: b\n",
        "+ Via: 1.1 tidegate\n",
        "- X-User-Id\n",
    ] {
        assert!(told.stdout.contains(part), "no {part:?} in\n{}", told.stdout);
    }
    for secret in ["s3cret", "c00kie", "t0p"] {
        assert!(!told.stdout.contains(secret), "{}", told.stdout);
    }
    let told = tidegate(folder.path(), &["explain", "GET", "/closed"]);
    assert!(told.stdout.contains("ip       answered 403 ip_denied\n"), "{}", told.stdout);
    assert!(told.stdout.contains("timeout  not reached\n"), "{}", told.stdout);
    let told = tidegate(folder.path(), &["explain", "GET", "/watched"]);
    assert!(told.stdout.contains("ip  would refuse with ip_denied, but only watches\n"), "{}", told.stdout);
}

#[test]
fn a_running_gateway_says_the_same_and_more() {
    let origin = Origin::start();
    let gateway = with_routes(&origin, "  /a/*: { to: app, timeout: 5s }");
    let admin = format!("http://{}", gateway.admin_addr());
    let words = ["explain", "GET", "http://h.example/a/b", "--json", "-H", "X-Request-Id: me"];
    let live = tidegate(gateway.folder(), &[&words[..], &["--admin", &admin]].concat());
    assert_eq!((live.code, live.stderr.as_str()), (Some(0), ""));
    let mut live = live.json();
    let mut file = tidegate(gateway.folder(), &words).json();
    assert_eq!(live["upstream"]["endpoints"][0], origin.addr().to_string());
    // The file alone cannot know who is there; and each question starts a trace of its own.
    for told in [&mut live, &mut file] {
        told["upstream"]["endpoints"].take();
        told["upstream"]["headers"].as_array_mut().unwrap().retain(|line| line[0] != "traceparent");
        told["upstream"]["changes"].as_array_mut().unwrap().retain(|one| one["what"] != "header traceparent");
    }
    assert_eq!(live, file);
    assert!(origin.requests().is_empty(), "explain sent a request");
}

#[test]
fn wrong_questions_are_usage_and_nobody_there_is_unreachable() {
    let folder = folder_with(TEXT);
    for words in [
        &["GET"][..],
        &["GET", "shop.example/a"],
        &["GET", "/", "-H", "no colon"],
        &["GET", "/", "--listener", "nope"],
        &["GET", "/", "--from", "nope"],
        &["GET", "/", "-c", "gateway.yaml", "--admin", "http://127.0.0.1:1"],
    ] {
        let told = tidegate(folder.path(), &[&["explain"], words].concat());
        assert_eq!((told.code, told.stdout.as_str()), (Some(2), ""), "{words:?}");
        assert!(told.stderr.starts_with("error: "), "{words:?}: {}", told.stderr);
    }
    assert_eq!(tidegate(folder.path(), &["explain", "GET", "/", "-c", "nope.yaml"]).code, Some(1));
    // A port that nobody listens on any more.
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let told = tidegate(Path::new("."), &["explain", "GET", "/", "--admin", &format!("http://{free}")]);
    assert_eq!(told.code, Some(3));
    assert!(told.stderr.contains("cannot reach the admin address"), "{}", told.stderr);
}
