//! `validate` and `openapi` beside what makes bodies others: requests are judged as the service gets them, answers as it gave
//! them, whatever the client's side of both is, and over HTTP/2 on either side.

use http::Response;
use testkit::client;
use testkit::gateway::Gateway;
use testkit::origin::{Origin, Recorded, Reply};

use super::{JSON, faults, gzip};
use crate::http::http2::{ask, converse, open};
use crate::upstream::http2::origin::{Service, Stream, send};

const HEAD: &str = r#"
listeners: { web: { address: "127.0.0.1:0", http2: true } }
admin: { listen: 127.0.0.1:0 }
workers: 1
services: { app: { targets: "ORIGIN", protocol: PROTOCOL } }
"#;

const ORDER: &str = r#"{ type: object, required: [sku], properties: { sku: { type: string, maxLength: 8 } }, additionalProperties: false }"#;

/// Routes that judge bodies of which others are made.
fn start(url: &str, protocol: &str, mode: &str) -> Gateway {
    let text = format!(
        r#"{HEAD}routes:
  /xml/*:
    to: app
    validate: {{ request: {{ body: {ORDER} }}, answer: {{ body: {ORDER} }}{mode} }}
    request: {{ format: {{ to: json, xml: {{ root: order }} }} }}
    response: {{ format: {{ to: xml, xml: {{ root: order }} }} }}
  /renamed/*:
    to: app
    validate: {{ request: {{ body: {ORDER} }}, answer: {{ body: {ORDER} }}{mode} }}
    request: {{ body: [ {{ rename: {{ article: sku }} }} ] }}
    response: {{ body: [ {{ rename: {{ sku: article }} }} ] }}
  /programs/*:
    to: app
    validate: {{ request: {{ body: {ORDER} }}, answer: {{ body: {ORDER} }}{mode} }}
    request: {{ body: [ {{ jq: "{{sku: .article}}" }} ] }}
    response: {{ body: [ {{ jq: "{{article: .sku}}" }} ] }}
  /filtered/*:
    to: app
    compress: {{ min_size: 1B }}
    validate: {{ answer: {{ body: {ORDER} }}{mode} }}
    filter: {{ sensitive: hidden }}
  /types/*:
    to: app
    validate: {{ request: {{ content_types: application/json }}{mode} }}
    request: {{ format: {{ from: xml, to: json, xml: {{ root: order }} }} }}
"#
    );
    let text = text.replace("ORIGIN", url).replace("PROTOCOL", protocol);
    testkit::gateway!("{}", text)
}

/// A service that gives back what it gets; where it gets nothing, what its path asks for.
fn giving(request: &Recorded) -> Reply {
    let json = |body: &[u8]| Reply::ok(body).header("Content-Type", "application/json");
    match request.target.rsplit('/').next().unwrap_or_default() {
        "bad" => json(br#"{"sku":7}"#),
        "hidden" => json(br#"{"sku":"a","hidden":1}"#),
        "coded" => json(b"").body(gzip(br#"{"sku":"a"}"#)).header("Content-Encoding", "gzip"),
        _ if request.body.is_empty() => json(br#"{"sku":"a"}"#),
        _ => json(&request.body),
    }
}

const XML: (&str, &str) = ("Content-Type", "application/xml");

#[test]
fn a_request_is_judged_as_the_service_gets_it() {
    let origin = Origin::answering(giving);
    let gateway = start(&origin.url(), "http1", "");
    let post = |path: &str, kind, body: &str| {
        client::request(gateway.addr(), "POST", path, &[kind], body.as_bytes())
    };
    let answer = post("/xml/a", XML, "<order><sku>abc</sku></order>");
    assert_eq!(
        (answer.status, answer.header("Content-Type")),
        (200, Some("application/xml; charset=utf-8")),
        "{}",
        answer.text()
    );
    assert!(answer.text().contains("<order><sku>abc</sku></order>"), "{}", answer.text());
    assert_eq!(origin.only_request().body, br#"{"sku":"abc"}"#);
    assert_eq!(post("/renamed/a", JSON, r#"{"article":"abc"}"#).text(), r#"{"article":"abc"}"#);
    assert_eq!(post("/programs/a", JSON, r#"{"article":"abc","x":1}"#).text(), r#"{"article":"abc"}"#);
    assert_eq!(post("/types/a", XML, "<order>1</order>").status, 200);
    let before = origin.requests().len();
    for (path, kind, body, status, told) in [
        (
            "/xml/a",
            XML,
            "<order><sku>123456789</sku></order>",
            400,
            "body /sku: value is longer than 8 characters",
        ),
        (
            "/renamed/a",
            JSON,
            r#"{"sku":"abc","article":"x"}"#,
            400,
            "body : an object has the same key twice",
        ),
        ("/renamed/a", JSON, r#"{"item":"abc"}"#, 400, ""),
        ("/programs/a", JSON, r#"{"article":7}"#, 400, "body /sku: value is not of type \"string\""),
        (
            "/types/a",
            ("Content-Type", "text/plain"),
            "x",
            415,
            "header Content-Type: the body is to be one of application/json",
        ),
    ] {
        let answer = post(path, kind, body);
        assert_eq!(answer.status, status, "{path} {body} {}", answer.text());
        if answer.json()["errors"].is_array() && !told.is_empty() {
            assert_eq!(faults(&answer), vec![told.to_owned()], "{path} {body}");
        }
    }
    assert_eq!(origin.requests().len(), before, "the service has heard of none of them");
    origin.assert_clean();
}

#[test]
fn an_answer_is_judged_as_the_service_gave_it() {
    let origin = Origin::answering(giving);
    let gateway = start(&origin.url(), "http1", "");
    let get = |path: &str| client::request(gateway.addr(), "GET", path, &[], b"");
    for path in [
        "/xml/a",
        "/xml/coded",
        "/renamed/coded",
        "/programs/a",
        "/programs/coded",
        "/filtered/a",
        "/filtered/coded",
    ] {
        let answer = get(path);
        assert_eq!(answer.status, 200, "{path} {}", answer.text());
    }
    let coded =
        client::request(gateway.addr(), "GET", "/filtered/coded", &[("Accept-Encoding", "zstd")], b"");
    assert_eq!((coded.status, coded.header("Content-Encoding")), (200, Some("zstd")));
    for path in ["/xml/bad", "/renamed/bad", "/programs/bad", "/filtered/bad", "/filtered/hidden"] {
        let answer = get(path);
        let kind = answer.json()["type"].as_str().map(str::to_owned);
        assert_eq!(
            (answer.status, kind.as_deref()),
            (502, Some("urn:tidegate:problem:answer_invalid")),
            "{path}"
        );
    }
}

#[test]
fn who_only_watches_sees_what_the_service_gets_and_gives() {
    let origin = Origin::answering(giving);
    let gateway = start(&origin.url(), "http1", ", mode: shadow");
    let post = |path: &str, kind, body: &str| {
        client::request(gateway.addr(), "POST", path, &[kind], body.as_bytes())
    };
    for path in ["/xml/good", "/programs/good"] {
        let body =
            if path.starts_with("/xml") { "<order><sku>abc</sku></order>" } else { r#"{"article":"abc"}"# };
        let kind = if path.starts_with("/xml") { XML } else { JSON };
        assert_eq!(post(path, kind, body).status, 200);
        let line = gateway.wait_for_log(|line| line["path"] == path);
        assert!(line["shadowed"].as_array().is_none_or(Vec::is_empty), "{line}");
    }
    assert_eq!(post("/xml/long", XML, "<order><sku>123456789</sku></order>").status, 200);
    let line = gateway.wait_for_log(|line| line["path"] == "/xml/long");
    assert_eq!(line["shadowed"][0]["reason"], "request_invalid", "{line}");
    assert_eq!(client::request(gateway.addr(), "GET", "/programs/bad", &[], b"").status, 200);
    let line = gateway.wait_for_log(|line| line["path"] == "/programs/bad");
    assert_eq!(line["shadowed"][0]["reason"], "answer_invalid", "{line}");
}

/// Gives back what it gets as JSON, over HTTP/2.
async fn given_back(stream: Stream) {
    let Stream { request, mut respond } = stream;
    let path = request.uri().path().to_owned();
    let (mut body, mut coming) = (Vec::new(), request.into_body());
    while let Some(Ok(piece)) = coming.data().await {
        body.extend_from_slice(&piece);
        let _ = coming.flow_control().release_capacity(piece.len());
    }
    let body = match path.rsplit('/').next().unwrap_or_default() {
        "bad" => br#"{"sku":7}"#.to_vec(),
        "hidden" => br#"{"sku":"a","hidden":1}"#.to_vec(),
        _ if body.is_empty() => br#"{"sku":"a"}"#.to_vec(),
        _ => body,
    };
    let head = Response::builder().header("content-type", "application/json").body(()).unwrap();
    let Ok(mut sending) = respond.send_response(head, false) else { return };
    send(&mut sending, &body, true).await;
}

#[test]
fn the_same_holds_over_http2_on_both_sides() {
    let service = Service::start(given_back);
    let gateway = start(&service.url(), "http2", "");
    converse(async {
        let (client, _connection) = open(gateway.addr()).await;
        for (path, kind, body, status, told) in [
            ("/xml/a", "application/xml", "<order><sku>abc</sku></order>", 200, "<sku>abc</sku>"),
            ("/xml/a", "application/xml", "<order><sku>123456789</sku></order>", 400, "request_invalid"),
            ("/renamed/a", "application/json", r#"{"article":"abc"}"#, 200, r#"{"article":"abc"}"#),
            ("/programs/a", "application/json", r#"{"article":"abc"}"#, 200, r#"{"article":"abc"}"#),
            ("/programs/a", "application/json", r#"{"article":7}"#, 400, "request_invalid"),
            ("/xml/bad", "", "", 502, "answer_invalid"),
            ("/programs/bad", "", "", 502, "answer_invalid"),
            ("/filtered/a", "", "", 200, r#"{"sku":"a"}"#),
            ("/filtered/hidden", "", "", 502, "answer_invalid"),
        ] {
            let method = if body.is_empty() { "GET" } else { "POST" };
            let asked = crate::http::http2::request(method, path);
            let asked = if kind.is_empty() { asked } else { asked.header("content-type", kind) };
            let answer = ask(&client, asked, body.as_bytes()).await.unwrap();
            assert_eq!(answer.status, status, "{path} {}", answer.text());
            assert!(answer.text().contains(told), "{path} {}", answer.text());
        }
    });
}
