//! `grpc_web`: what a browser sends and gets, byte by byte, in front of a service of gRPC.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use testkit::client::{self, Raw, Response};
use testkit::gateway::Gateway;

use crate::grpc::{in_front_of, start};

/// A frame of gRPC.
fn frame(flag: u8, message: &[u8]) -> Vec<u8> {
    let mut bytes = vec![flag];
    bytes.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
    bytes.extend(message);
    bytes
}

/// The frames of a body: their flags and contents.
fn frames(mut body: &[u8]) -> Vec<(u8, String)> {
    let mut found = Vec::new();
    while !body.is_empty() {
        let length = u32::from_be_bytes(body[1..5].try_into().unwrap()) as usize;
        found.push((body[0], String::from_utf8(body[5..5 + length].to_vec()).unwrap()));
        body = &body[5 + length..];
    }
    found
}

/// Base64 whose pieces may each be padded.
fn decoded(text: &str) -> Vec<u8> {
    text.as_bytes().chunks(4).flat_map(|group| STANDARD.decode(group).unwrap()).collect()
}

fn call(gateway: &Gateway, path: &str, kind: &str, body: &[u8]) -> Response {
    let headers =
        [("Content-Type", kind), ("X-Grpc-Web", "1"), ("Origin", "https://app.example"), ("Accept", kind)];
    client::request(gateway.addr(), "POST", path, &headers, body)
}

const CORS: &str =
    ", grpc_web: true, cors: { origins: \"https://app.example\", expose: [grpc-status, grpc-message] }";

#[test]
fn a_page_calls_in_binary_and_in_text() {
    let service = start();
    let gateway = in_front_of(&service, CORS);
    let asked = frame(0, b"hello");
    let binary = call(&gateway, "/echo.Echo/Unary", "application/grpc-web+proto", &asked);
    assert_eq!(binary.header("content-type"), Some("application/grpc-web"));
    assert_eq!(binary.header("access-control-allow-origin"), Some("https://app.example"));
    assert_eq!(binary.header("x-seen"), Some("yes"));
    let found = frames(&binary.body);
    assert_eq!(found[0], (0, "hello".to_owned()));
    assert_eq!(found[1].0, 0x80);
    assert!(found[1].1.contains("grpc-status: 0\r\n"), "{found:?}");
    assert_eq!(found.len(), 2);
    let text = STANDARD.encode(&asked);
    let answer = call(&gateway, "/echo.Echo/Unary", "application/grpc-web-text", text.as_bytes());
    assert_eq!(answer.header("content-type"), Some("application/grpc-web-text"));
    let found = frames(&decoded(&answer.text()));
    assert_eq!(found[0], (0, "hello".to_owned()));
    assert!(found[1].1.contains("grpc-status: 0\r\n"), "{found:?}");
    for (_, asked) in service.state.calls.all() {
        assert!(
            asked["content-type"].to_str().unwrap().starts_with("application/grpc+proto")
                || asked["content-type"] == "application/grpc"
        );
        assert_eq!(asked["te"], "trailers");
    }
    gateway.wait_for_log(|line| line["grpc_status"] == 0);
}

#[test]
fn many_messages_come_as_they_are_sent() {
    let service = start();
    let gateway = in_front_of(&service, CORS);
    for kind in ["application/grpc-web", "application/grpc-web-text"] {
        let asked = frame(0, b"1000");
        let body = if kind.ends_with("text") { STANDARD.encode(asked).into_bytes() } else { asked };
        let answer = call(&gateway, "/echo.Echo/Repeat", kind, &body);
        let body = if kind.ends_with("text") { decoded(&answer.text()) } else { answer.body };
        let found = frames(&body);
        assert_eq!(found.len(), 1001, "{kind}");
        assert_eq!((found[999].1.as_str(), found[1000].0), ("message 999", 0x80));
    }
}

#[test]
fn a_text_may_come_in_any_pieces() {
    let service = start();
    let gateway = in_front_of(&service, CORS);
    let text = STANDARD.encode(frame(0, b"in pieces"));
    let mut raw = Raw::connect(gateway.addr());
    raw.send(
        "POST /echo.Echo/Unary HTTP/1.1\r\nHost: a\r\nContent-Type: application/grpc-web-text\r\n\
         Transfer-Encoding: chunked\r\n\r\n",
    );
    for byte in text.bytes() {
        raw.send(format!("1\r\n{}\r\n", char::from(byte)));
    }
    raw.send("0\r\n\r\n");
    let answer = raw.read_response();
    assert_eq!(frames(&decoded(&answer.text()))[0].1, "in pieces");
    let broken = call(&gateway, "/echo.Echo/Unary", "application/grpc-web-text", b"no base64!");
    assert_eq!((broken.status, broken.header("grpc-status")), (200, Some("13")));
    gateway.wait_for_log(|line| line["reason"] == "not_base64");
}

#[test]
fn errors_reach_the_page() {
    let service = start();
    let gateway = in_front_of(&service, CORS);
    let asked = frame(0, b"");
    let unknown = call(&gateway, "/echo.Echo/Other", "application/grpc-web+proto", &asked);
    assert_eq!((unknown.status, unknown.header("grpc-status")), (200, Some("12")));
    assert_eq!(unknown.header("access-control-expose-headers"), Some("grpc-status, grpc-message"));
    // The gateway's own.
    for kind in ["application/grpc-web+proto", "application/grpc-web-text+proto"] {
        let lost = call(&gateway, "/none.None/Such", kind, &asked);
        assert_eq!((lost.status, lost.header("grpc-status")), (200, Some("12")));
        assert!(kind.starts_with(lost.header("content-type").unwrap()), "{lost:?}");
        assert!(lost.body.is_empty());
    }
}

#[test]
fn a_preflight_is_answered_and_calls_of_grpc_pass_as_they_are() {
    let service = start();
    let gateway = in_front_of(&service, CORS);
    let headers = [
        ("Origin", "https://app.example"),
        ("Access-Control-Request-Method", "POST"),
        ("Access-Control-Request-Headers", "content-type,x-grpc-web"),
    ];
    let answer = client::request(gateway.addr(), "OPTIONS", "/echo.Echo/Unary", &headers, b"");
    assert_eq!(
        (answer.status, answer.header("access-control-allow-origin")),
        (204, Some("https://app.example"))
    );
    let native = call(&gateway, "/echo.Echo/Unary", "application/grpc", &frame(0, b"x"));
    assert_eq!((native.header("content-type"), frames(&native.body).len()), (Some("application/grpc"), 1));
    assert!(native.trailers.iter().any(|(name, value)| name == "grpc-status" && value == "0"), "{native:?}");
}

#[test]
fn a_service_of_http1_cannot_be_called() {
    let refused = Gateway::with_binary(env!("CARGO_BIN_EXE_tidegate")).output(
        "listen: 127.0.0.1:0\nservices: { app: http://127.0.0.1:1 }\nroutes: { /*: { to: app, grpc_web: true } }\n",
    );
    let words = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success());
    assert!(words.contains("`grpc_web` needs a service that speaks HTTP/2"), "{words}");
}
