//! Whose word counts: forwarding fields, identity fields, and what a client may ask to be removed (P3 to P5).

use testkit::client;
use testkit::gateway::Gateway;
use testkit::origin::{Origin, Recorded, Reply};

use crate::setup::{chunked_post, in_front_of, post_with, refuse};

/// A gateway whose `/inner` is for 10.0.0.0/8 only.
fn with_an_inner_circle(origin: &Origin, trusted: &str) -> Gateway {
    testkit::gateway!(
        r#"
listen: 127.0.0.1:0
admin: {{ listen: 127.0.0.1:0 }}
trusted_proxies: [{trusted}]
services: {{ app: "{app}" }}
routes:
  /*: {{ to: app }}
  /inner: {{ to: app, ip: {{ allow: [10.0.0.0/8] }} }}
"#,
        app = origin.url()
    )
}

/// P3: nobody becomes somebody else by saying so.
#[test]
fn a_stranger_cannot_choose_its_address() {
    let origin = Origin::start();
    let gateway = with_an_inner_circle(&origin, "192.0.2.0/24");
    let long = vec!["10.0.0.1"; 1000].join(", ");
    let spoofs: [&[(&str, &str)]; 8] = [
        &[("X-Forwarded-For", "10.0.0.1")],
        &[("X-Real-IP", "10.0.0.1")],
        &[("Forwarded", "for=10.0.0.1")],
        &[("True-Client-IP", "10.0.0.1")],
        &[("X-Forwarded-For", "10.0.0.1"), ("X-Forwarded-For", "10.0.0.1")],
        &[("X-Forwarded-For", &long)],
        &[("X-Forwarded-For", "10.0.0.1:80")],
        &[("X-Forwarded-For", "::ffff:10.0.0.1")],
    ];
    for spoof in spoofs {
        let status = client::request(gateway.addr(), "GET", "/inner", spoof, b"").status;
        assert_eq!(status, 403, "{spoof:?}");
    }
    assert_eq!(origin.requests(), []);
}

/// P3: what a stranger says of its way is replaced by what the gateway has seen.
#[test]
fn forwarding_fields_of_a_stranger_are_rebuilt() {
    let origin = Origin::start();
    let gateway = in_front_of(&origin);
    let lies = [
        ("Host", "shop.example"),
        ("X-Forwarded-For", "6.6.6.6"),
        ("X-Forwarded-Host", "6.6.6.6"),
        ("X-Forwarded-Proto", "6.6.6.6"),
        ("X-Forwarded-Port", "6666"),
        ("X-Real-IP", "6.6.6.6"),
        ("Forwarded", "for=6.6.6.6;proto=https"),
    ];
    assert_eq!(client::request(gateway.addr(), "GET", "/", &lies, b"").status, 200);
    let request = origin.only_request();
    assert!(request.headers.iter().all(|(_, value)| !value.contains("6.6.6.6")), "{:?}", request.headers);
    assert_eq!(request.headers_named("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(request.headers_named("x-forwarded-proto"), ["http"]);
    assert_eq!(request.headers_named("x-forwarded-host"), ["shop.example"]);
    assert_ne!(request.headers_named("x-forwarded-port"), ["6666"]);
    let forwarded = request.header("forwarded").unwrap().to_ascii_lowercase();
    assert!(forwarded.contains("for=127.0.0.1") && forwarded.contains("proto=http"), "{forwarded}");
    assert!(request.header("via").unwrap().starts_with("1.1 "), "{:?}", request.headers);
}

/// P3: behind a trusted proxy the first address from the right that is not trusted counts.
#[test]
fn behind_a_trusted_proxy_the_last_untrusted_address_counts() {
    let origin = Origin::start();
    let gateway = with_an_inner_circle(&origin, "127.0.0.0/8");
    let cases: [(&[(&str, &str)], u16); 9] = [
        (&[("X-Forwarded-For", "10.0.0.1")], 200),
        (&[("X-Forwarded-For", "6.6.6.6, 10.0.0.1")], 200),
        (&[("X-Forwarded-For", "10.0.0.1, 127.0.0.9")], 200),
        (&[("X-Forwarded-For", "10.0.0.1, 6.6.6.6")], 403),
        (&[("X-Forwarded-For", "10.0.0.1"), ("X-Forwarded-For", "6.6.6.6")], 403),
        (&[("X-Forwarded-For", "10.0.0.1:80")], 200),
        (&[("X-Forwarded-For", "::ffff:10.0.0.1")], 200),
        (&[("Forwarded", "for=10.0.0.1")], 200),
        (&[], 403),
    ];
    for (fields, status) in cases {
        assert_eq!(
            client::request(gateway.addr(), "GET", "/inner", fields, b"").status,
            status,
            "{fields:?}"
        );
    }
}

/// P3: a trusted proxy's account is kept and continued.
#[test]
fn the_account_of_a_trusted_proxy_is_continued() {
    let origin = Origin::start();
    let gateway = with_an_inner_circle(&origin, "127.0.0.0/8");
    let account = [("X-Forwarded-For", "203.0.113.7"), ("X-Forwarded-Proto", "https")];
    assert_eq!(client::request(gateway.addr(), "GET", "/", &account, b"").status, 200);
    let request = origin.only_request();
    assert_eq!(request.headers_named("x-forwarded-for"), ["203.0.113.7, 127.0.0.1"]);
    assert_eq!(request.headers_named("x-forwarded-proto"), ["https"]);
}

/// P4: no spelling of an identity field gets through; what is no identity does.
#[test]
fn identity_fields_of_clients_are_taken_off_in_every_spelling() {
    let origin = Origin::start();
    let gateway = in_front_of(&origin);
    let plain = [
        "X-User-Id",
        "x-user-id",
        "X-Consumer-Name",
        "X-Credential-Id",
        "X-JWT-Sub",
        "X-Authenticated-User",
        "X-Forwarded-Client-Cert",
        "Client-Cert",
    ];
    for name in plain {
        let fields = [(name, "spoof"), (name, "spoof"), ("X-Harmless", name)];
        assert_eq!(client::request(gateway.addr(), "GET", "/", &fields, b"").status, 200, "{name}");
    }
    assert_eq!(origin.requests().iter().filter(|request| request.header("x-harmless").is_some()).count(), 8);
    for name in ["X_User_Id", "X.User.Id", "x_user-id", "X-User_Id", "X!User!Id", "X_Consumer_Name"] {
        let status = client::request(gateway.addr(), "GET", "/", &[(name, "spoof")], b"").status;
        assert!([200, 400].contains(&status), "{name}: {status}");
    }
    let trailer = chunked_post("0\r\nX-User-Id: spoof\r\nX_User_Id: spoof\r\n\r\n");
    client::Raw::connect(gateway.addr()).send(trailer).read_response();
    assert!(!origin.received().contains("spoof"), "{}", origin.received());
}

/// P5: `Connection` removes what the client sent, never what the gateway adds.
#[test]
fn connection_removes_fields_of_the_client_only() {
    let origin = Origin::start();
    let gateway = in_front_of(&origin);
    let fields = [
        (
            "Connection",
            "close, X-User-Id, X-Forwarded-For, Forwarded, Via, X-Request-Id, Traceparent, X-Mine, Cookie",
        ),
        ("X-Mine", "1"),
        ("X-Yours", "1"),
        ("Cookie", "a=b"),
        ("Keep-Alive", "timeout=9"),
        ("Proxy-Connection", "keep-alive"),
        ("Proxy-Authorization", "Basic YTpi"),
        ("TE", "gzip"),
    ];
    let answer = client::request(gateway.addr(), "GET", "/", &fields, b"");
    assert_eq!((answer.status, answer.says_close()), (200, true));
    let request: Recorded = origin.only_request();
    for gone in ["x-mine", "cookie", "keep-alive", "proxy-connection", "proxy-authorization", "te"] {
        assert_eq!(request.header(gone), None, "{gone}");
    }
    for kept in ["x-yours", "x-forwarded-for", "forwarded", "via", "x-request-id", "traceparent", "host"] {
        assert!(request.header(kept).is_some(), "{kept} is missing: {:?}", request.headers);
    }
    origin.assert_clean();
}

/// P5: a request that asks for its own framing or host to be removed is refused.
#[test]
fn connection_may_not_name_framing_or_host() {
    let origin = Origin::start();
    let gateway = in_front_of(&origin);
    for name in ["Host", "host", "Content-Length", "Transfer-Encoding", "close, Content-Length"] {
        let bytes = post_with(&format!("Connection: {name}\r\nContent-Length: 5")) + "hello";
        refuse(&gateway, &origin, bytes, 400);
    }
}

/// P5 the other way: what a service names in `Connection` stays between it and the gateway.
#[test]
fn connection_fields_of_the_service_stay_behind() {
    let origin = Origin::answering(|_| {
        Reply::ok("ok")
            .header("Connection", "X-Secret, keep-alive")
            .header("X-Secret", "1")
            .header("Keep-Alive", "timeout=5")
            .header("X-Open", "1")
    });
    let gateway = in_front_of(&origin);
    let answer = gateway.get("/");
    assert_eq!((answer.header("x-secret"), answer.header("keep-alive")), (None, None));
    assert_eq!((answer.header("x-open"), answer.text().as_str()), (Some("1"), "ok"));
}
