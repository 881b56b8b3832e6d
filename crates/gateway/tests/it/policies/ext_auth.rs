//! `ext_auth` on the wire: the status of the service that is asked decides, and without its word nobody passes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::process::Signal;
use testkit::client::{Response, request};
use testkit::event::eventually;
use testkit::gateway::Gateway;
use testkit::origin::{Origin, Recorded, Reply};

fn gateway(app: &str, auth: &str, more: &str) -> Gateway {
    testkit::gateway!(
        r#"
listen: 127.0.0.1:0
admin: {{ listen: 127.0.0.1:0 }}
workers: 1
services: {{ app: "{app}", auth: {{ targets: "{auth}", connect_timeout: 1s }} }}
routes:
  /*: {{ to: app, ext_auth: {{ service: auth{more} }} }}
  /open/*: {{ to: app }}
"#
    )
}

fn problem(answer: &Response) -> String {
    answer.json()["type"].as_str().unwrap().to_owned()
}

/// How a service fails, and its name.
type Mood = (&'static str, fn() -> Reply);

/// A service that does what the credential says.
fn obedient(request: &Recorded) -> Reply {
    let wish = request.header("authorization").unwrap_or("401");
    let status: u16 = wish.split(' ').next().unwrap().parse().unwrap();
    let mut reply = Reply::status(status).body("CANARY-BODY");
    for line in wish.split(' ').skip(1) {
        let (name, value) = line.split_once('=').unwrap();
        reply = reply.header(name, value);
    }
    reply
}

#[test]
fn the_status_decides_and_chosen_lines_are_copied() {
    let (app, auth) = (Origin::start(), Origin::answering(obedient));
    let gateway = gateway(
        &app.url(),
        &auth.url(),
        ", path: /check?a=b, upstream_headers: [X-Auth-User, X-Auth-Roles], client_headers: [Set-Cookie, X-Told], \
         refuse: [401, 403, 302]",
    );
    let ask = |wish: &str| request(gateway.addr(), "GET", "/x?y=z", &[("Authorization", wish)], b"");
    for status in [200, 201, 204, 206, 299] {
        assert_eq!(ask(&status.to_string()).status, 200, "{status}");
    }
    let answer =
        ask("200 X-Auth-User=u1 X-Auth-User=u2 X-Auth-Roles=clerk X-Secret=no Set-Cookie=a=b X-Told=yes");
    assert_eq!(
        (answer.headers_named("set-cookie"), answer.headers_named("x-told")),
        (vec!["a=b"], vec!["yes"])
    );
    let seen = app.requests().pop().unwrap();
    assert_eq!(seen.headers_named("x-auth-user"), ["u1", "u2"]);
    assert_eq!(seen.headers_named("x-auth-roles"), ["clerk"]);
    for name in ["x-secret", "x-told", "set-cookie", "authorization", "x-forwarded-uri"] {
        assert!(seen.headers_named(name).is_empty(), "{name}");
    }
    for (wish, status, name, value) in [
        ("401 WWW-Authenticate=Shop", 401, "www-authenticate", Some("Shop")),
        ("401", 401, "www-authenticate", Some("Bearer realm=\"tidegate\"")),
        ("403 X-Told=why", 403, "x-told", Some("why")),
        ("403 X-Secret=no", 403, "x-secret", None),
        ("302 Location=/login", 302, "location", Some("/login")),
    ] {
        let answer = ask(wish);
        assert_eq!((answer.status, answer.header(name)), (status, value), "{wish}");
        assert!(!answer.text().contains("CANARY"), "{wish}");
        assert_eq!(problem(&answer), "urn:tidegate:problem:ext_auth_refused");
    }
    for status in [300, 304, 400, 404, 407, 429, 500, 503] {
        let answer = ask(&status.to_string());
        assert_eq!(answer.status, 503, "{status}");
        assert_eq!(problem(&answer), "urn:tidegate:problem:authorization_unavailable");
        let why = format!("the authorisation service answers {status}");
        gateway.wait_for_log(|line| line["why"] == why && line["refused_by"] == "ext_auth");
    }
    assert_eq!(app.requests().len(), 6);
    auth.assert_clean();
    let used: Vec<_> = auth.connections();
    assert_eq!(used.len(), 1, "questions go over one connection");
    assert!(!format!("{:?} {:?}", gateway.logs(), gateway.stderr()).contains("CANARY"));
}

#[test]
fn the_service_is_asked_about_the_request_and_never_gets_its_body() {
    let (app, auth) = (Origin::start(), Origin::start());
    let gateway = gateway(&app.url(), &auth.url(), ", timeout: 30s, path: /check, request_headers: [X-Key]");
    let headers = [("X-Key", "k"), ("Cookie", "c"), ("Authorization", "a"), ("X-Forwarded-Uri", "/evil")];
    assert_eq!(request(gateway.addr(), "POST", "/a/./b?c=%41", &headers, b"SECRET BODY").status, 200);
    let asked = auth.only_request();
    assert_eq!((asked.method.as_str(), asked.target.as_str(), asked.text().as_str()), ("GET", "/check", ""));
    for (name, value) in [
        ("x-key", vec!["k"]),
        ("cookie", vec![]),
        ("authorization", vec![]),
        ("content-length", vec![]),
        ("x-forwarded-method", vec!["POST"]),
        ("x-forwarded-uri", vec!["/a/b?c=%41"]),
        ("x-forwarded-proto", vec!["http"]),
        ("x-forwarded-for", vec!["127.0.0.1"]),
        ("x-forwarded-host", vec![&*gateway.addr().to_string()]),
        ("host", vec![&*auth.addr().to_string()]),
    ] {
        assert_eq!(asked.headers_named(name), value, "{name}");
    }
    let behind = app.only_request();
    assert_eq!((behind.text().as_str(), behind.header("cookie")), ("SECRET BODY", Some("c")));
    auth.assert_clean();
}

#[test]
fn what_the_service_would_say_cannot_be_said_by_clients() {
    let app = Origin::start();
    let auth = Origin::answering(|_| Reply::ok(""));
    let gateway = gateway(
        &app.url(),
        &auth.url(),
        ", timeout: 30s, upstream_headers: X-Auth-User, forward_credentials: true",
    );
    let spellings = [
        "X-Auth-User",
        "x-auth-user",
        "X_Auth_User",
        "X.Auth.User",
        "X-AUTH-USER",
        "x-Auth_user",
        "X!Auth!User",
    ];
    for path in ["/x", "/open/x"] {
        for name in spellings {
            let head = format!(
                "POST {path} HTTP/1.1\r\nHost: a\r\n{name}: root\r\nTransfer-Encoding: chunked\r\n\r\n\
                 1\r\nx\r\n0\r\n{name}: root\r\n\r\n"
            );
            let mut client = testkit::client::Raw::connect(gateway.addr());
            client.send(head);
            assert_eq!(client.read_response().status, 200, "{name}");
        }
    }
    assert_eq!(app.requests().len(), 2 * spellings.len());
    assert!(!app.received().contains("root"), "{}", app.received());
    assert!(!auth.received().contains("root"));
}

#[test]
fn without_an_answer_that_decides_nobody_passes_unless_all_may() {
    let long = || Reply::raw([b"HTTP/1.1 200 OK\r\nX-Long: ".as_slice(), &[b'x'; 10 << 20]].concat());
    let moods: [Mood; 6] = [
        ("hangs", Reply::hang),
        ("closes", Reply::close_without_answer),
        ("resets", Reply::reset_without_answer),
        ("500", || Reply::status(500)),
        ("garbage", || Reply::raw_then_close("garbage\r\n\r\n")),
        ("two lengths", || Reply::raw("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Length: 1\r\n\r\n")),
    ];
    let mut servers: Vec<(&str, Origin)> =
        moods.into_iter().map(|(name, mood)| (name, Origin::answering(move |_| mood()))).collect();
    servers.push(("10 MiB of head", Origin::answering(move |_| long())));
    let down = Origin::start();
    let nobody = down.url();
    drop(down);
    let mut places: Vec<(&str, String)> =
        servers.iter().map(|(name, server)| (*name, server.url())).collect();
    places.push(("down", nobody));
    for (name, url) in places {
        let app = Origin::start();
        let denying = gateway(&app.url(), &url, ", upstream_headers: X-Auth-User, cache: 1m");
        for _ in 0..2 {
            let answer = request(denying.addr(), "GET", "/x", &[("X-Auth-User", "root")], b"");
            assert_eq!(answer.status, 503, "{name}");
            assert_eq!(problem(&answer), "urn:tidegate:problem:authorization_unavailable", "{name}");
        }
        assert_eq!(app.requests(), []);
        assert_eq!(denying.metric("tidegate_ext_auth_faults_total"), 2.0, "{name}");
        let allowing =
            gateway(&app.url(), &url, ", upstream_headers: X-Auth-User, cache: 1m, on_fault: allow");
        let headers = [("X-Auth-User", "root"), ("Authorization", "a")];
        assert_eq!(request(allowing.addr(), "GET", "/x", &headers, b"").status, 200, "{name}");
        let seen = app.only_request();
        assert_eq!((seen.header("x-auth-user"), seen.header("authorization")), (None, None), "{name}");
        allowing.wait_for_log(|line| line["status"] == 200 && line["why"] != "");
    }
}

#[test]
fn a_body_without_end_delays_nobody() {
    let app = Origin::start();
    let auth = Origin::answering(|_| Reply::ok("x".repeat(10 << 20)));
    let gateway = gateway(&app.url(), &auth.url(), ", timeout: 30s");
    for _ in 0..3 {
        assert_eq!(gateway.get("/x").status, 200);
    }
}

#[test]
fn a_service_that_is_stopped_lets_nobody_pass_until_it_goes_on() {
    let app = Origin::start();
    let auth = testkit::gateway!("listen: 127.0.0.1:0\nroutes: {{ /*: {{ respond: ok }} }}\n");
    let gateway = gateway(&app.url(), &format!("http://{}", auth.addr()), ", timeout: 3s");
    assert_eq!(gateway.get("/x").status, 200);
    auth.signal(Signal::STOP);
    // The last of its threads may stop a moment later.
    eventually("the service to be stopped", || (gateway.get("/x").status == 503).then_some(()));
    assert_eq!(gateway.get("/x").status, 503);
    assert_eq!(gateway.get("/open/x").status, 200, "others do not wait");
    auth.signal(Signal::CONT);
    eventually("the service to be asked again", || (gateway.get("/x").status == 200).then_some(()));
}

#[test]
fn a_yes_is_remembered_for_what_it_was_asked_with_and_a_no_never() {
    let (app, count) = (Origin::start(), Arc::new(AtomicUsize::new(0)));
    let counted = count.clone();
    let auth = Origin::answering(move |request| {
        counted.fetch_add(1, Ordering::Relaxed);
        obedient(request)
    });
    let gateway = gateway(
        &app.url(),
        &auth.url(),
        ", cache: 1h, upstream_headers: X-Auth-User, client_headers: Set-Cookie",
    );
    let ask = |method: &str, path: &str, wish: &str| {
        let before = count.load(Ordering::Relaxed);
        let status = request(gateway.addr(), method, path, &[("Authorization", wish)], b"").status;
        (status, count.load(Ordering::Relaxed) - before)
    };
    let yes = "200 X-Auth-User=u1";
    assert_eq!(ask("GET", "/x", yes), (200, 1));
    assert_eq!(ask("GET", "/x", yes), (200, 0));
    assert!(app.requests().iter().all(|seen| seen.headers_named("x-auth-user") == ["u1"]));
    assert_eq!(ask("POST", "/x", yes), (200, 1));
    assert_eq!(ask("GET", "/y", yes), (200, 1));
    assert_eq!(ask("GET", "/x?a", yes), (200, 1));
    assert_eq!(ask("GET", "/x", "200 X-Auth-User=u2"), (200, 1));
    for never in ["403", "500", "200 Set-Cookie=a"] {
        assert_eq!(ask("GET", "/x", never).1, 1, "{never}");
        assert_eq!(ask("GET", "/x", never).1, 1, "{never}");
    }
    assert_eq!(gateway.metric("tidegate_ext_auth_remembered_total"), 1.0);
}

#[test]
fn identity_that_is_known_is_told_and_explain_asks_nobody() {
    let (app, auth) = (Origin::start(), Origin::start());
    let hash = crate::setup::tidegate(&std::env::temp_dir(), &["key", "new", "--json"]);
    let key = hash.json();
    let gateway = testkit::gateway!(
        r#"
listen: 127.0.0.1:0
admin: {{ listen: 127.0.0.1:0 }}
workers: 1
services: {{ app: "{app}", auth: "{auth}" }}
consumers: {{ mobile: {{ api_keys: ["{hash}"] }} }}
routes:
  /*: {{ to: app, api_key: {{}}, ext_auth: {{ service: auth, timeout: 30s, request_headers: [X-API-Key, X-Consumer] }} }}
"#,
        app = app.url(),
        auth = auth.url(),
        hash = key["hash"].as_str().unwrap()
    );
    let headers = [("X-API-Key", key["key"].as_str().unwrap()), ("X-Consumer", "root")];
    assert_eq!(request(gateway.addr(), "GET", "/x", &headers, b"").status, 200);
    let asked = auth.only_request();
    assert_eq!((asked.headers_named("x-consumer"), asked.header("x-api-key")), (vec!["mobile"], None));
    assert_eq!(request(gateway.addr(), "GET", "/x", &[], b"").status, 401);
    let words = ["explain", "GET", "http://a/x", "--config", "gateway.yaml"];
    let told = crate::setup::tidegate(gateway.folder(), &words);
    assert!(told.stdout.contains("ext_auth"), "{}", told.stdout);
    assert_eq!(auth.requests().len(), 1);
}
