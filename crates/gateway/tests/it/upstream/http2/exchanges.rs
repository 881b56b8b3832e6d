//! What crosses to a service over HTTP/2 and back, from clients of both versions.

use std::sync::Arc;

use http::{HeaderMap, Response};
use testkit::client::{self, Raw};
use testkit::gateway::Gateway;
use testkit::origin::Origin;
use testkit::tls::Authority;

use super::in_front_of;
use super::origin::{Service, Stream, send};
use crate::http::http2::{ask, converse, open, request};

#[test]
fn a_request_of_http1_goes_over_and_the_answer_comes_back() {
    let service = Service::start(Stream::echo);
    let gateway = in_front_of(&service, "");
    for length in [0, 1, 65_535, 65_536, 1_000_000] {
        let body: Vec<u8> = (0..length).map(|nth| (nth % 251) as u8).collect();
        let headers = [("X-A", "b"), ("Connection", "close, x-hop"), ("X-Hop", "1"), ("TE", "trailers")];
        let answer = client::request(gateway.addr(), "POST", "/a%2Fb?c=d", &headers, &body);
        assert_eq!((answer.status, answer.header("x-length")), (200, Some(&*length.to_string())));
        assert!(answer.body == body, "{length}");
        assert_eq!(answer.header("via"), Some("2.0 tidegate"));
    }
    let seen = &service.requests()[1];
    assert_eq!(seen.method(), "POST");
    assert_eq!(seen.uri().path_and_query().unwrap(), "/a%2Fb?c=d");
    assert_eq!(seen.uri().scheme_str(), Some("http"));
    assert_eq!(seen.uri().authority().unwrap().as_str(), gateway.addr().to_string());
    assert_eq!(seen.headers()["x-a"], "b");
    assert_eq!(seen.headers()["content-length"], "1");
    assert_eq!(seen.headers()["via"], "1.1 tidegate");
    for name in ["connection", "x-hop", "te", "host", "transfer-encoding"] {
        assert!(!seen.headers().contains_key(name), "{name}");
    }
    assert_eq!(service.connections(), 1);
    gateway.wait_for_log(|line| line["path"] == "/a%2Fb" && line["bytes_in"] == 1_000_000);
}

#[test]
fn trailers_cross_both_ways_in_every_pairing() {
    let service = Service::start(Stream::echo);
    let gateway = in_front_of(&service, "");
    let mut raw = Raw::connect(gateway.addr());
    raw.send(
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
         3\r\nabc\r\n0\r\nDigest-Of: it\r\nX-User-Id: me\r\nContent-Length: 9\r\n\r\n",
    );
    let answer = raw.read_response();
    assert_eq!(answer.text(), "abc");
    assert!(answer.trailers.iter().any(|(name, value)| name == "digest-of" && value == "it"), "{answer:?}");
    assert!(!answer.trailers.iter().any(|(name, _)| name == "content-length"), "{answer:?}");
    converse(async {
        let (client, _connection) = open(gateway.addr()).await;
        let mut ready = client.clone().ready().await.unwrap();
        let (answer, mut sending) =
            ready.send_request(request("POST", "/").body(()).unwrap(), false).unwrap();
        send(&mut sending, &[b'x'; 200_000], false).await;
        let mut trailers = HeaderMap::new();
        trailers.insert("digest-of", "it".parse().unwrap());
        sending.send_trailers(trailers).unwrap();
        let answer = crate::http::http2::read(answer.await.unwrap()).await.unwrap();
        assert_eq!((answer.status, answer.body.len()), (200, 200_000));
        assert_eq!(answer.trailers["digest-of"], "it");
    });
}

#[test]
fn answers_without_a_body_have_none_in_either_version() {
    let service = Service::start(|stream| async move {
        let mut stream = stream;
        let status = match stream.request.uri().path() {
            "/empty" => 200,
            "/unchanged" => 304,
            _ => 204,
        };
        let head = Response::builder().status(status).body(()).unwrap();
        let _ = stream.respond.send_response(head, true);
    });
    let gateway = in_front_of(&service, "");
    let mut raw = Raw::connect(gateway.addr());
    for (path, status, length) in [
        ("/empty", 200, Some("0")),
        ("/unchanged", 304, None),
        ("/none", 204, None),
        ("/empty", 200, Some("0")),
    ] {
        let answer = raw.get(path).read_response();
        assert_eq!((answer.status, answer.header("content-length")), (status, length), "{path}");
    }
    let head = client::request(gateway.addr(), "HEAD", "/empty", &[], b"");
    assert_eq!((head.status, head.header("content-length")), (200, None));
    converse(async {
        let (client, _connection) = open(gateway.addr()).await;
        let answer = ask(&client, request("GET", "/empty"), b"").await.unwrap();
        assert_eq!((answer.status, answer.headers.contains_key("content-length")), (200, false));
    });
}

#[test]
fn interim_answers_and_early_ones_cross() {
    let service = Service::start(|mut stream| async move {
        if stream.request.uri().path() == "/hints" {
            let hints = Response::builder().status(103).header("link", "</a.css>").body(()).unwrap();
            stream.respond.send_informational(hints).unwrap();
            return stream.answer(200, b"after").await;
        }
        // Nothing of the body is read.
        stream.answer(413, b"too much").await;
    });
    let gateway = in_front_of(&service, "");
    let mut raw = Raw::connect(gateway.addr());
    let answer = raw.get("/hints").read_response();
    assert_eq!((answer.status, answer.text().as_str()), (200, "after"));
    let early = client::request(gateway.addr(), "POST", "/", &[], &vec![b'x'; 3_000_000]);
    assert_eq!((early.status, early.text().as_str()), (413, "too much"));
}

#[test]
fn under_tls_the_target_chooses() {
    let authority = Authority::new("inside");
    let issued = authority.issue(&["127.0.0.1"]);
    for (protocol, offered, agreed) in [
        ("auto", &[&b"h2"[..], b"http/1.1"][..], 2),
        ("http2", &[&b"h2"[..]], 2),
        ("http2", &[b"http/1.1"], 0),
    ] {
        let mut tls = Arc::unwrap_or_clone(Authority::server(&issued, None));
        tls.alpn_protocols = offered.iter().map(|name| name.to_vec()).collect();
        let service = Service::with(h2::server::Builder::new(), Some(Arc::new(tls)), Stream::echo);
        let gateway = secured(&authority, &format!("https://127.0.0.1:{}", service.port()), protocol);
        let answer = gateway.get("/");
        if agreed == 0 {
            assert_eq!(
                (answer.status, &answer.json()["type"]),
                (502, &"urn:tidegate:problem:target_tls".into())
            );
            continue;
        }
        assert_eq!((answer.status, gateway.get("/").status), (200, 200));
        assert_eq!(service.requests()[0].uri().scheme_str(), Some("https"));
        assert_eq!(service.connections(), 1);
    }
    // A target that knows nothing of it is asked over HTTP/1.1.
    let origin =
        Origin::builder().tls(Authority::server(&issued, None)).answering(testkit::origin::Reply::echo);
    let gateway = secured(&authority, &origin.url(), "auto");
    for _ in 0..3 {
        assert_eq!(gateway.get("/x").status, 200);
    }
    assert_eq!(origin.connections().len(), 1);
    origin.assert_clean();
}

fn secured(authority: &Authority, url: &str, protocol: &str) -> Gateway {
    Gateway::with_binary(env!("CARGO_BIN_EXE_tidegate")).file("ca.pem", &authority.pem()).start(&format!(
        r#"
listen: 127.0.0.1:0
admin: {{ listen: 127.0.0.1:0 }}
workers: 1
services:
  app: {{ targets: "{url}", protocol: {protocol}, connect_timeout: 5s, tls: {{ ca: ca.pem }} }}
routes:
  /*: {{ to: app }}
"#
    ))
}
