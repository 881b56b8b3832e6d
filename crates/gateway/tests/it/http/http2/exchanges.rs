//! Requests and answers over HTTP/2: what crosses, what is refused, and that one stream does not stop another.

use std::process::Command;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use testkit::client::Raw;
use testkit::event::Gate;
use testkit::gateway::Gateway;
use testkit::origin::{Origin, Reply};
use testkit::tls::Authority;
use tokio::net::TcpStream;

use super::{ask, converse, in_front_of, open, request};
use crate::setup;

#[test]
fn a_request_goes_over_to_the_service_and_its_answer_back() {
    let origin =
        Origin::answering(|_| Reply::ok("hello").header("X-A", "b").header("Connection", "keep-alive"));
    let gateway = in_front_of(&origin, "");
    let answer = converse(async {
        let (client, _) = open(gateway.addr()).await;
        let get =
            request("GET", "/a?b=c").header("cookie", "x=1").header("cookie", "y=2").header("te", "trailers");
        ask(&client, get, b"").await.unwrap()
    });
    assert_eq!((answer.status, answer.text().as_str()), (200, "hello"));
    assert_eq!(answer.headers["x-a"], "b");
    assert_eq!(answer.headers["content-length"], "5");
    assert!(!answer.headers.contains_key("connection"), "{:?}", answer.headers);
    let seen = origin.only_request();
    assert_eq!((seen.method.as_str(), seen.target.as_str()), ("GET", "/a?b=c"));
    assert_eq!(seen.header("host"), Some("a.example"));
    assert_eq!(seen.headers_named("cookie"), ["x=1; y=2"]);
    assert_eq!(seen.header("via"), Some("2.0 tidegate"));
    assert_eq!(seen.header("te"), None);
    origin.assert_clean();
    gateway.wait_for_log(|line| line["http"] == "2" && line["path"] == "/a" && line["bytes_out"] == 5);
}

#[test]
fn large_bodies_cross_both_ways_within_the_windows() {
    let origin = Origin::answering(Reply::echo);
    let gateway = in_front_of(&origin, "");
    let body: Vec<u8> = (0..3_000_000_u32).map(|nth| (nth % 251) as u8).collect();
    converse(async {
        let (client, _) = open(gateway.addr()).await;
        for length in [1, 65_535, 65_536, body.len()] {
            let answer = ask(&client, request("POST", "/echo"), &body[..length]).await.unwrap();
            assert_eq!(answer.status, 200);
            let told: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_default();
            assert!(told.is_object() || answer.body == body[..length], "{length}");
        }
    });
    let lengths: Vec<_> = origin.requests().iter().map(|request| request.body.len()).collect();
    assert_eq!(lengths, [1, 65_535, 65_536, body.len()]);
    assert!(origin.requests().last().unwrap().body == body);
    origin.assert_clean();
}

#[test]
fn a_large_answer_crosses_within_the_windows() {
    let body: Vec<u8> = (0..2_000_000_u32).map(|nth| (nth % 241) as u8).collect();
    let whole = body.clone();
    let origin = Origin::answering(move |_| Reply::ok(&whole));
    let gateway = in_front_of(&origin, "");
    converse(async {
        let (client, _) = open(gateway.addr()).await;
        let (a, b) =
            tokio::join!(ask(&client, request("GET", "/a"), b""), ask(&client, request("GET", "/b"), b""),);
        assert!(a.unwrap().body == body && b.unwrap().body == body);
        let head = ask(&client, request("HEAD", "/c"), b"").await.unwrap();
        assert_eq!((head.status, head.body.len()), (200, 0));
    });
}

#[test]
fn trailers_of_an_answer_cross() {
    let origin = Origin::answering(|_| Reply::chunked(&["a", "b"], &[("Digest-Of", "it")]));
    let gateway = in_front_of(&origin, "");
    let answer = converse(async {
        let (client, _) = open(gateway.addr()).await;
        ask(&client, request("GET", "/"), b"").await.unwrap()
    });
    assert_eq!(
        (answer.text().as_str(), answer.trailers.get("digest-of").unwrap().as_bytes()),
        ("ab", &b"it"[..])
    );
    assert!(!answer.headers.contains_key("transfer-encoding"));
}

#[test]
fn trailers_of_a_request_without_length_cross() {
    let origin = Origin::start();
    let gateway = in_front_of(&origin, "");
    converse(async {
        let (client, _connection) = open(gateway.addr()).await;
        let mut ready = client.clone().ready().await.unwrap();
        let post = request("POST", "/").body(()).unwrap();
        let (answer, mut sending) = ready.send_request(post, false).unwrap();
        sending.send_data("abc".into(), false).unwrap();
        let mut trailers = http::HeaderMap::new();
        trailers.insert("digest-of", "it".parse().unwrap());
        trailers.insert("x-user-id", "me".parse().unwrap());
        trailers.insert("content-length", "9".parse().unwrap());
        sending.send_trailers(trailers).unwrap();
        assert_eq!(answer.await.unwrap().status(), 200);
    });
    let seen = origin.only_request();
    assert_eq!(seen.text(), "abc");
    assert!(seen.trailers.iter().any(|(name, value)| name == "digest-of" && value == "it"), "{seen:?}");
    assert!(!seen.trailers.iter().any(|(name, _)| name == "content-length"), "{seen:?}");
    origin.assert_clean();
}

#[test]
fn one_stream_does_not_stop_another() {
    let gate = Gate::new();
    let held = gate.clone();
    let origin = Origin::answering(move |request| match request.target.as_str() {
        "/slow" => Reply::ok("at last").slow(&held),
        _ => Reply::ok("at once"),
    });
    let gateway = in_front_of(&origin, "");
    converse(async {
        let (client, _) = open(gateway.addr()).await;
        let slow = tokio::spawn({
            let client = client.clone();
            async move { ask(&client, request("GET", "/slow"), b"").await.unwrap().text() }
        });
        for _ in 0..50 {
            assert_eq!(ask(&client, request("GET", "/"), b"").await.unwrap().text(), "at once");
        }
        assert!(!slow.is_finished());
        gate.open();
        assert_eq!(slow.await.unwrap(), "at last");
    });
}

#[test]
fn what_could_be_read_in_two_ways_is_refused_and_the_connection_goes_on() {
    let origin = Origin::start();
    let gateway = in_front_of(&origin, "");
    converse(async {
        let (client, _) = open(gateway.addr()).await;
        for (name, value) in [
            ("host", "b.example"),
            ("content-length", "+5"),
            ("content-length", "5"),
            ("expect", "wonders"),
            ("transfer_encoding", "chunked"),
        ] {
            let asked = ask(&client, request("GET", "/").header(name, value), b"").await;
            let refused = match &asked {
                Ok(answer) => answer.status >= 400 && answer.status < 500,
                Err(error) => error.is_reset() && !error.is_go_away(),
            };
            assert!(refused, "{name}: {value}: {asked:?}");
        }
        let mut many = request("GET", "/");
        for _ in 0..101 {
            many = many.header("cookie", "a=b");
        }
        assert_eq!(ask(&client, many, b"").await.unwrap().status, 431);
        assert_eq!(origin.received(), "");
        assert_eq!(ask(&client, request("GET", "/"), b"").await.unwrap().status, 200);
    });
    origin.assert_clean();
}

#[test]
fn under_tls_the_client_chooses() {
    let origin = Origin::start();
    for (http2, agreed) in [("", &b"h2"[..]), (", http2: false", b"http/1.1")] {
        let authority = Authority::new("the tests");
        let issued = authority.issue(&["shop.test"]);
        let gateway = Gateway::with_binary(env!("CARGO_BIN_EXE_tidegate"))
            .file("shop.crt", &issued.cert)
            .file("shop.key", &issued.key)
            .start(&format!(
                r#"
listeners: {{ web: {{ address: "127.0.0.1:0", tls: {{ certificates: {{ cert: shop.crt, key: shop.key }} }}{http2} }} }}
admin: {{ listen: 127.0.0.1:0 }}
services: {{ app: "{app}" }}
routes: {{ /*: {{ to: app }} }}
"#,
                app = origin.url()
            ));
        let mut config = authority.client(None);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        converse(async {
            let stream = TcpStream::connect(gateway.addr()).await.unwrap();
            let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
            let name = ServerName::try_from("shop.test").unwrap();
            let stream = connector.connect(name, stream).await.unwrap();
            assert_eq!(stream.get_ref().1.alpn_protocol(), Some(agreed));
            if agreed != b"h2" {
                return;
            }
            let (client, connection) = h2::client::handshake(stream).await.unwrap();
            tokio::spawn(connection);
            let get = http::Request::builder().uri("https://shop.test/over-tls");
            assert_eq!(ask(&client, get, b"").await.unwrap().status, 200);
            let body = vec![b'x'; 300_000];
            let post = http::Request::builder().method("POST").uri("https://shop.test/");
            assert_eq!(ask(&client, post, &body).await.unwrap().status, 200);
            let other = http::Request::builder().uri("https://other.test/");
            assert!(matches!(ask(&client, other, b"").await.unwrap().status, 200 | 421));
        });
    }
    assert_eq!(origin.requests()[0].header("x-forwarded-proto"), Some("https"));
}

#[test]
fn in_clear_it_is_for_those_who_begin_with_it_where_it_is_wanted() {
    let origin = Origin::start();
    let gateway = in_front_of(&origin, "");
    assert_eq!(gateway.get("/").status, 200, "HTTP/1.1 is served as before");
    let mut upgrading = Raw::connect(gateway.addr());
    upgrading.send(
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\
         HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n",
    );
    assert_eq!(upgrading.read_response().status, 200, "an upgrade to h2c is never followed");
    assert!(!origin.received().to_lowercase().contains("h2c"));
    let without = setup::in_front_of(&origin);
    let mut begun = Raw::connect(without.addr());
    begun.send(super::wire::PREFACE);
    let answer = begun.read_response();
    assert!(answer.status >= 400, "{}", answer.status);
}

#[test]
fn curl_is_served() {
    let origin = Origin::answering(|_| Reply::ok("hello"));
    let gateway = in_front_of(&origin, "");
    let url = format!("http://{}/a", gateway.addr());
    let words = ["-sS", "--max-time", "9", "--http2-prior-knowledge", "-w", " %{http_version} %{http_code}"];
    for more in [&[][..], &["-d", "body"]] {
        let output = Command::new("curl").args(words).args(more).arg(&url).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert_eq!(said, "hello 2 200", "{}", String::from_utf8_lossy(&output.stderr));
    }
    assert_eq!(origin.requests()[1].text(), "body");
}

#[test]
fn an_answer_before_the_end_of_the_body_is_read_by_curl_too() {
    let config = r#"
listeners: { web: { address: "127.0.0.1:0", http2: true } }
admin: { listen: 127.0.0.1:0 }
routes: { /*: { respond: { status: 200, body: hello } } }
"#;
    let gateway = Gateway::with_binary(env!("CARGO_BIN_EXE_tidegate")).start(config);
    let url = format!("http://{}/a", gateway.addr());
    let words = ["-sS", "--max-time", "9", "--http2-prior-knowledge", "-d", "body", &url];
    let output = Command::new("curl").args(words).output().unwrap();
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        "hello",
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
