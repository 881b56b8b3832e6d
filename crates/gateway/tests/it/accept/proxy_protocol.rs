//! Connections that begin with a PROXY protocol header: whom it is believed of, and what becomes of bad ones (P10).

use testkit::client::Raw;
use testkit::gateway::Gateway;
use testkit::origin::Origin;

const V1: &str = "PROXY TCP4 203.0.113.7 198.51.100.2 4660 443\r\n";

/// A gateway with these settings of its listener, which shows only 203.0.113.0/24 the path `/inner`.
fn with_listener(origin: &Origin, settings: &str) -> Gateway {
    testkit::gateway!(
        r#"
listeners:
  main: {{ address: 127.0.0.1:0, {settings} }}
admin: {{ listen: 127.0.0.1:0 }}
workers: 1
services: {{ app: "{app}" }}
routes:
  /*: {{ to: app }}
  /inner: {{ to: app, ip: {{ allow: [203.0.113.0/24] }} }}
"#,
        app = origin.url()
    )
}

fn required(origin: &Origin) -> Gateway {
    with_listener(origin, "proxy_protocol: required, trusted_proxies: [127.0.0.1]")
}

/// A header of version 2 with these bytes after its length.
fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [b"\r\n\r\n\0\r\nQUIT\n".as_slice(), &[command, family], &length, rest].concat()
}

/// 203.0.113.7:4660 to 198.51.100.2:443.
const ENDS: [u8; 12] = [203, 0, 113, 7, 198, 51, 100, 2, 0x12, 0x34, 0x01, 0xbb];

#[test]
fn a_trusted_proxy_names_the_client_for_policies_services_and_the_log() {
    let origin = Origin::start();
    let gateway = required(&origin);
    let tls = [ENDS.as_slice(), &[0x20, 0, 5, 1, 0, 0, 0, 0]].concat();
    for (header, proto) in
        [(V1.into(), "http"), (v2(0x21, 0x11, &ENDS), "http"), (v2(0x21, 0x11, &tls), "https")]
    {
        let seen = origin.requests().len();
        let mut client = Raw::connect(gateway.addr());
        client.send(&header);
        for _ in 0..2 {
            assert_eq!(client.get("/inner").read_response().status, 200);
        }
        let request = origin.wait_for_requests(seen + 2).pop().unwrap();
        assert_eq!(request.headers_named("x-forwarded-for"), ["203.0.113.7"]);
        assert_eq!(request.headers_named("x-forwarded-proto"), [proto]);
    }
    let line = gateway.wait_for_log(|line| line["path"] == "/inner");
    assert_eq!(line["client"], "203.0.113.7", "{line}");
}

/// Whoever stands behind the proxy is a stranger, whatever it says in its request.
#[test]
fn the_client_named_is_not_believed_itself() {
    let origin = Origin::start();
    let gateway = required(&origin);
    let mut client = Raw::connect(gateway.addr());
    client.send(V1.replace("203.0.113.7", "192.0.2.1"));
    let answer = client.request("GET", "/inner", &[("X-Forwarded-For", "203.0.113.9")], b"").read_response();
    assert_eq!(answer.status, 403);
}

#[test]
fn a_header_and_the_request_may_come_in_any_pieces() {
    let origin = Origin::start();
    let gateway = required(&origin);
    for header in [V1.as_bytes().to_vec(), v2(0x21, 0x11, &ENDS)] {
        let request = b"GET /inner HTTP/1.1\r\nHost: a\r\n\r\n".as_slice();
        let bytes = [header.as_slice(), request].concat();
        for size in [1, 13, 1000] {
            let mut client = Raw::connect(gateway.addr());
            assert_eq!(client.send_slowly(&bytes, size).read_response().status, 200, "{size}");
        }
    }
}

/// A sender that speaks for itself (health checks) or does not know the client is taken for who it is.
#[test]
fn a_header_without_an_address_leaves_the_sender() {
    let origin = Origin::start();
    let gateway = required(&origin);
    for header in [b"PROXY UNKNOWN\r\n".to_vec(), v2(0x20, 0, b""), v2(0x21, 0, b"rest")] {
        let mut client = Raw::connect(gateway.addr());
        client.send(&header);
        assert_eq!(client.get("/inner").read_response().status, 403);
        assert_eq!(client.get("/").read_response().status, 200);
    }
    assert_eq!(origin.requests()[0].headers_named("x-forwarded-for"), ["127.0.0.1"]);
}

#[test]
fn a_bad_header_ends_the_connection_and_is_counted() {
    let origin = Origin::start();
    let gateway = required(&origin);
    let spill = [ENDS.as_slice(), &[0x04, 0xff, 0xff]].concat();
    let bad: [(Vec<u8>, &str); 7] = [
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".into(), "proxy_missing"),
        (b"\x16\x03\x01\x02\x00\x01".into(), "proxy_missing"),
        (b"PROXY TCP4 203.0.113.7\r\n".into(), "proxy_malformed"),
        (v2(0x21, 0x11, &ENDS[..8]), "proxy_malformed"),
        (v2(0x21, 0x11, &spill), "proxy_malformed"),
        (v2(0x21, 0x11, &[0; 5000]), "proxy_malformed"),
        ([b"PROXY UNKNOWN ".as_slice(), &[b'x'; 200]].concat(), "proxy_malformed"),
    ];
    for (bytes, reason) in bad {
        let counter = format!("tidegate_connections_rejected_total{{reason=\"{reason}\"}}");
        let before = gateway.metric(&counter);
        let mut client = Raw::connect(gateway.addr());
        client.send(&bytes);
        assert_eq!(client.read_to_end(), b"", "{bytes:?}");
        gateway.wait_metric(&counter, |now| now == before + 1.0);
    }
    assert_eq!(origin.received(), "");
}

#[test]
fn a_header_that_does_not_come_ends_the_connection() {
    let origin = Origin::start();
    let settings = "proxy_protocol: true, trusted_proxies: [127.0.0.1], timeouts: { head: 300ms }";
    let gateway = with_listener(&origin, settings);
    for beginning in ["", "PROXY TCP4 ", "\r\n\r\n"] {
        let mut client = Raw::connect(gateway.addr());
        client.send(beginning);
        client.expect_closed();
    }
    let late = "tidegate_connections_rejected_total{reason=\"proxy_timeout\"}";
    gateway.wait_metric(late, |count| count == 3.0);
    let mut gone = Raw::connect(gateway.addr());
    gone.send("PROXY TCP4 ").half_close();
    gone.expect_closed();
}

/// Strangers are closed where every connection has a header, and served as they come where some have.
#[test]
fn a_stranger_is_not_believed() {
    let origin = Origin::start();
    let gateway = with_listener(&origin, "proxy_protocol: required, trusted_proxies: [10.0.0.0/8]");
    let mut client = Raw::connect(gateway.addr());
    client.send(V1);
    assert_eq!(client.get("/inner").read_to_end(), b"");
    gateway
        .wait_metric("tidegate_connections_rejected_total{reason=\"proxy_untrusted\"}", |count| count == 1.0);
    let gateway = with_listener(&origin, "proxy_protocol: optional, trusted_proxies: [10.0.0.0/8]");
    let mut liar = Raw::connect(gateway.addr());
    liar.send(V1);
    assert_eq!(liar.get("/inner").read_response().status, 400);
    assert_eq!(gateway.get("/inner").status, 403);
    assert_eq!(gateway.get("/").status, 200);
}

#[test]
fn a_trusted_proxy_may_leave_an_optional_header_out() {
    let origin = Origin::start();
    let gateway = with_listener(&origin, "proxy_protocol: optional, trusted_proxies: [127.0.0.1]");
    assert_eq!(gateway.get("/inner").status, 403);
    let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi";
    for size in [1, 1000] {
        let mut client = Raw::connect(gateway.addr());
        assert_eq!(client.send_slowly(post, size).read_response().status, 200);
    }
    let mut client = Raw::connect(gateway.addr());
    client.send(V1);
    assert_eq!(client.get("/inner").read_response().status, 200);
}

/// Clients are bounded by the address that the proxy names, not by the proxy's.
#[test]
fn connections_are_bounded_for_each_client_named() {
    let origin = Origin::start();
    let settings =
        "proxy_protocol: required, trusted_proxies: [127.0.0.1], limits: { connections_per_client: 2 }";
    let gateway = with_listener(&origin, settings);
    let connect = |address: &str| {
        let mut client = Raw::connect(gateway.addr());
        client.send(V1.replace("203.0.113.7", address));
        let status = client.get("/").read_response().status;
        (client, status)
    };
    let held: Vec<_> = ["192.0.2.1", "192.0.2.1", "192.0.2.2"].map(connect).into();
    assert!(held.iter().all(|(_, status)| *status == 200));
    let (mut third, status) = connect("192.0.2.1");
    assert_eq!(status, 503);
    third.expect_closed();
    gateway.wait_metric("tidegate_connections_rejected_total{reason=\"client_full\"}", |count| count == 1.0);
}
