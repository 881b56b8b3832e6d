//! `transcode`: JSON over HTTP in front of a service of gRPC, which is one of `tonic`.

use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use testkit::client::{self, Raw, Response};
use testkit::event::{Journal, eventually};
use testkit::gateway::Gateway;
use tonic::body::Body;
use tonic::codegen::Service;
use tonic::codegen::tokio_stream::{self, StreamExt};
use tonic::metadata::MetadataValue;
use tonic::{Code, Request, Response as Answer, Status};

use crate::grpc::service::{Answering, Answers, Method, Plain, Running};

/// A call as the service saw it.
#[derive(Clone)]
struct Seen {
    path: String,
    method: String,
    fields: http::HeaderMap,
}

/// What the service does, and what it has seen.
#[derive(Default)]
struct Shared {
    seen: Journal<Seen>,
    /// Lets the stream of `Watch` go on.
    gate: tokio::sync::Notify,
}

/// A book of this name: field 1.
fn book(name: &str) -> Bytes {
    [&[0x0a, u8::try_from(name.len()).unwrap()], name.as_bytes()].concat().into()
}

/// The first text of a message: field 1.
fn name_of(message: &[u8]) -> String {
    match message {
        [0x0a, length, rest @ ..] => String::from_utf8_lossy(&rest[..usize::from(*length)]).into_owned(),
        _ => String::new(),
    }
}

/// The book that was asked for, or what its name says is to go wrong.
fn get(request: Request<Bytes>) -> Answering<Bytes> {
    Box::pin(async move {
        let name = name_of(request.get_ref());
        match name.strip_prefix("shelves/status/books/") {
            Some(code) => {
                let code = Code::from_i32(code.parse().unwrap());
                // google.rpc.Status with one detail, a library.Author.
                let any =
                    [&b"\x0a\x22type.googleapis.com/library.Author"[..], b"\x12\x05\x0a\x03Ada"].concat();
                let details = [&[0x08, 5, 0x1a, u8::try_from(any.len()).unwrap()], &any[..]].concat();
                let mut status = Status::with_details(code, "no such book: ä", details.into());
                status.metadata_mut().insert("x-why", MetadataValue::from_static("gone"));
                Err(status)
            }
            None if name.ends_with("broken") => Ok(Answer::new(Bytes::from_static(b"\x0a\x7f"))),
            None => {
                let mut answer = Answer::new(book(&name));
                answer.metadata_mut().insert("x-seen", MetadataValue::from_static("yes"));
                Ok(answer)
            }
        }
    })
}

/// The same message again.
fn echo(request: Request<Bytes>) -> Answering<Bytes> {
    Box::pin(async move { Ok(Answer::new(request.into_inner())) })
}

/// Books, one after the other; the last thing of the stream waits for the gate.
struct Watch(Arc<Shared>);

impl Service<Request<Bytes>> for Watch {
    type Response = Answer<Answers>;
    type Error = Status;
    type Future = Answering<Answers>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Bytes>) -> Answering<Answers> {
        let asked = request.into_inner();
        let field = |key| asked.chunks(2).find(|pair| pair[0] == key).map_or(0, |pair| pair[1]);
        // Field 1: how many; field 2: the status at the end.
        let (count, status) = (field(0x08), field(0x10));
        let books: Vec<Result<Bytes, Status>> = (0..count).map(|nth| Ok(book(&format!("b{nth}")))).collect();
        let shared = self.0.clone();
        let last = tokio_stream::once(()).then(move |()| end(shared.clone(), status));
        let answers: Answers = Box::pin(tokio_stream::iter(books).chain(last));
        Box::pin(async move { Ok(Answer::new(answers)) })
    }
}

/// How a stream ends, once it may.
async fn end(shared: Arc<Shared>, status: u8) -> Result<Bytes, Status> {
    shared.gate.notified().await;
    match status {
        0 => Ok(book("last")),
        status => Err(Status::new(Code::from_i32(status.into()), "it is over")),
    }
}

/// The service `library.Library` of `library.proto`. Its messages are bytes here, written by hand.
async fn library(request: http::Request<Body>, shared: Arc<Shared>) -> http::Response<Body> {
    let path = request.uri().path().to_owned();
    let (method, fields) = (request.method().to_string(), request.headers().clone());
    shared.seen.push(Seen { path: path.clone(), method, fields });
    let mut grpc = tonic::server::Grpc::new(Plain);
    match path.as_str() {
        "/library.Library/GetBook" => grpc.unary(Method(get), request).await,
        "/library.Library/Echo" | "/library.Library/UpdateBook" => grpc.unary(Method(echo), request).await,
        "/library.Library/Count" => std::future::pending().await,
        "/library.Library/Watch" => grpc.server_streaming(Watch(shared), request).await,
        _ => Status::unimplemented("no such method").into_http(),
    }
}

/// The descriptor set of `library.proto` beside it.
const LIBRARY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../transcode/tests/protos/library.pb");

/// A gateway in front of the service; `settings` stand among those of the policy, `more` among those of the route.
fn in_front_of(service: &Running<Shared>, settings: &str, more: &str) -> Gateway {
    testkit::gateway!(
        r#"
listen: 127.0.0.1:0
admin: {{ listen: 127.0.0.1:0 }}
workers: 1
services:
  library: {{ targets: "{url}", protocol: http2 }}
  nowhere: {{ targets: "http://127.0.0.1:1", protocol: http2 }}
routes:
  /lost/*: {{ to: nowhere, rewrite: "/v1/books/{{path.*}}", transcode: {{ descriptor: "{path}" }} }}
  /*:
    to: library
    transcode: {{ descriptor: "{path}"{settings} }}
{more}
"#,
        url = service.url,
        path = LIBRARY,
    )
}

const JSON: [(&str, &str); 1] = [("Content-Type", "application/json")];

fn post(gateway: &Gateway, path: &str, body: &str) -> Response {
    client::request(gateway.addr(), "POST", path, &JSON, body.as_bytes())
}

#[test]
fn json_becomes_a_call_and_its_answer_json() {
    let service = Running::serve(library);
    let gateway = in_front_of(&service, "", "    timeout: 20s");
    let answer = gateway.get("/v1/shelves/1/books/2");
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    assert_eq!(answer.text(), r#"{"name":"shelves/1/books/2"}"#);
    assert_eq!(answer.header("content-length"), Some("28"));
    assert_eq!((answer.header("x-seen"), answer.header("grpc-status")), (Some("yes"), None));
    let head = client::request(gateway.addr(), "HEAD", "/v1/shelves/1/books/2", &[], b"");
    assert_eq!((head.status, head.header("content-length")), (200, Some("28")));
    let echoed = post(
        &gateway,
        "/library.Library/Echo",
        r#"{"aInt64":"7","numbers":[1,2],"time":"2026-01-02T03:04:05Z"}"#,
    );
    assert_eq!(echoed.text(), r#"{"aInt64":"7","numbers":[1,2],"time":"2026-01-02T03:04:05Z"}"#);
    let patched =
        client::request(gateway.addr(), "PATCH", "/v1/shelves/1/books/2", &JSON, br#"{"title":"T"}"#);
    assert_eq!(patched.text(), r#"{"name":"shelves/1/books/2","title":"T"}"#);
    let seen = service.state.seen.all();
    let paths: Vec<_> = seen.iter().map(|seen| seen.path.as_str()).collect();
    assert_eq!(
        paths,
        ["GetBook", "GetBook", "Echo", "UpdateBook"].map(|name| format!("/library.Library/{name}"))
    );
    for seen in seen {
        assert_eq!((seen.method.as_str(), &seen.fields["te"]), ("POST", &"trailers".parse().unwrap()));
        assert_eq!(seen.fields["content-type"], "application/grpc+proto");
        // What is left of the route's time.
        let left = seen.fields["grpc-timeout"].to_str().unwrap();
        let (digits, unit) = left.split_at(left.len() - 1);
        assert!(unit == "u" && digits.parse::<u64>().unwrap() <= 20_000_000, "{left}");
    }
    gateway.wait_for_log(|line| line["grpc_status"] == 0 && line["status"] == 200);
}

#[test]
fn errors_of_the_service_are_problems() {
    let service = Running::serve(library);
    let gateway = in_front_of(&service, "", "    filter: { sensitive: [givenName] }");
    for (code, status, name) in [
        (1, 499, "CANCELLED"),
        (2, 500, "UNKNOWN"),
        (3, 400, "INVALID_ARGUMENT"),
        (4, 504, "DEADLINE_EXCEEDED"),
        (5, 404, "NOT_FOUND"),
        (6, 409, "ALREADY_EXISTS"),
        (7, 403, "PERMISSION_DENIED"),
        (8, 429, "RESOURCE_EXHAUSTED"),
        (9, 400, "FAILED_PRECONDITION"),
        (10, 409, "ABORTED"),
        (11, 400, "OUT_OF_RANGE"),
        (12, 501, "UNIMPLEMENTED"),
        (13, 500, "INTERNAL"),
        (14, 503, "UNAVAILABLE"),
        (15, 500, "DATA_LOSS"),
        (16, 401, "UNAUTHENTICATED"),
    ] {
        let answer = gateway.get(&format!("/v1/shelves/status/books/{code}"));
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (status, Some("application/problem+json"))
        );
        let problem = answer.json();
        assert_eq!(problem["type"], format!("urn:tidegate:problem:grpc_{}", name.to_lowercase()));
        assert_eq!((&problem["code"], &problem["grpc_status"]), (&name.into(), &code.into()));
        assert_eq!(problem["detail"], "no such book: ä");
        // What the service says passes through the filter as all its answers do.
        assert_eq!(
            problem["details"],
            serde_json::json!([{ "@type": "type.googleapis.com/library.Author" }])
        );
        assert_eq!(answer.header("x-why"), Some("gone"));
        assert!(answer.header("grpc-status").is_none() && answer.header("grpc-status-details-bin").is_none());
    }
    gateway.wait_for_log(|line| line["grpc_status"] == 5 && line["status"] == 404);
    let unknown = post(&gateway, "/v1/shelves/1/books", "{}");
    assert_eq!((unknown.status, unknown.json()["code"].as_str()), (501, Some("UNIMPLEMENTED")));
    let broken = gateway.get("/v1/books/broken");
    assert_eq!(
        (broken.status, broken.json()["type"].as_str()),
        (502, Some("urn:tidegate:problem:answer_invalid"))
    );
    gateway.wait_for_log(|line| line["why"].as_str().is_some_and(|why| why.contains("no library.Book")));
    // The gateway's own faults are problems too, and no statuses of gRPC.
    let lost = gateway.get("/lost/1");
    assert_eq!(
        (lost.status, lost.json()["type"].as_str()),
        (502, Some("urn:tidegate:problem:connect_refused"))
    );
}

#[test]
fn what_does_not_fit_reaches_no_service() {
    let service = Running::serve(library);
    let gateway = in_front_of(&service, ", max_size: 100B", "");
    for (method, path, body, status, told) in [
        (
            "POST",
            "/library.Library/Echo",
            &br#"{"inner":{"aBool":1}}"#[..],
            400,
            "inner.aBool: a boolean was expected",
        ),
        ("POST", "/library.Library/Echo", br#"{"nobody":1}"#, 400, "nobody: there is no such field"),
        ("POST", "/library.Library/Echo", b"{\"aString\":\"\xff\"}", 400, "aString: "),
        ("POST", "/library.Library/Echo", b"{", 400, "the body ends before it is whole"),
        ("POST", "/library.Library/Echo", &[b' '; 101], 413, "larger than 100 bytes"),
        ("GET", "/v1/books/1?page=2", b"", 400, "page: there is no such field"),
        ("GET", "/v1/other", b"", 404, "no method of the service"),
        ("PUT", "/v1/books/1", b"", 405, "Allow"),
    ] {
        let answer = client::request(gateway.addr(), method, path, &JSON, body);
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        assert_eq!(answer.status, status, "{path}: {detail}");
        assert!(detail.contains(told), "{path}: {detail}");
    }
    let text = client::request(
        gateway.addr(),
        "POST",
        "/library.Library/Echo",
        &[("Content-Type", "text/plain")],
        b"{}",
    );
    assert_eq!((text.status, text.header("accept")), (415, Some("application/json")));
    assert!(service.state.seen.all().is_empty());
    gateway.wait_for_log(|line| line["refused_by"] == "transcode" && line["reason"] == "call_invalid");
}

#[test]
fn a_stream_goes_out_line_by_line_as_it_comes() {
    let service = Running::serve(library);
    let gateway = in_front_of(&service, "", "    filter: { sensitive: [secret] }");
    let mut raw = Raw::connect(gateway.addr());
    let body = r#"{"count":2}"#;
    raw.send(format!(
        "POST /library.Library/Watch HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    let head = raw.read_head();
    assert_eq!(head.header("content-type"), Some("application/x-ndjson"));
    let mut lines = String::new();
    // The service waits until these two are here.
    while lines.lines().count() < 2 {
        lines += &raw.read_chunk().unwrap();
    }
    assert_eq!(lines, "{\"name\":\"b0\"}\n{\"name\":\"b1\"}\n");
    service.state.gate.notify_one();
    let mut last = String::new();
    while let Some(chunk) = raw.read_chunk() {
        last += &chunk;
    }
    assert_eq!(last, "{\"name\":\"last\"}\n");
}

#[test]
fn a_stream_that_ends_badly_is_told_and_cut() {
    let service = Running::serve(library);
    let gateway = in_front_of(&service, "", "");
    // Before anything was sent it is a problem like any other.
    service.state.gate.notify_one();
    let none = post(&gateway, "/library.Library/Watch", r#"{"count":0,"status":5}"#);
    assert_eq!(none.status, 404, "{none:?}");
    let mut raw = Raw::connect(gateway.addr());
    let body = r#"{"count":1,"status":14}"#;
    raw.send(format!(
        "POST /library.Library/Watch HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    assert_eq!(raw.read_head().status, 200);
    assert_eq!(raw.read_chunk().unwrap(), "{\"name\":\"b0\"}\n");
    service.state.gate.notify_one();
    let line = raw.read_chunk().unwrap();
    let told: serde_json::Value = serde_json::from_str(&line).unwrap();
    let wanted =
        serde_json::json!({ "code": 14, "status": "UNAVAILABLE", "message": "it is over", "details": [] });
    assert_eq!(told, serde_json::json!({ "error": wanted }));
    gateway.wait_for_log(|line| line["grpc_status"] == 14 && line["reason"] == "answer_cut");
}

#[test]
fn a_call_that_takes_too_long_and_one_that_is_tried_again() {
    let service = Running::serve(library);
    let gateway =
        in_front_of(&service, "", "    timeout: 5s\n    retry: { on: [503], attempts: 3, backoff: 1ms }");
    // The service was told the deadline and may be the first to give up, by what `tonic` calls CANCELLED: that is no other end.
    let late = gateway.get("/v1/shelves/1/count");
    assert_eq!(
        (late.status, late.json()["type"].as_str()),
        (504, Some("urn:tidegate:problem:timeout")),
        "{late:?}"
    );
    let before = service.state.seen.all().len();
    // UNAVAILABLE is 503, and a call of GET may be made again.
    assert_eq!(gateway.get("/v1/shelves/status/books/14").status, 503);
    eventually("three calls", || (service.state.seen.all().len() == before + 3).then_some(()));
}

#[test]
fn calls_of_grpc_pass_on_the_same_route() {
    let service = Running::serve(library);
    let gateway = in_front_of(&service, "", "    grpc_web: true");
    let frame = [&b"\0\0\0\0\x03"[..], b"\x0a\x01x"].concat();
    let kind = [("Content-Type", "application/grpc-web+proto")];
    let answer = client::request(gateway.addr(), "POST", "/library.Library/GetBook", &kind, &frame);
    assert_eq!(answer.header("content-type"), Some("application/grpc-web"));
    assert!(answer.body.starts_with(&frame), "{answer:?}");
}

#[test]
fn what_cannot_work_is_told_when_it_is_loaded() {
    for (service, settings, told) in [
        (
            "http://127.0.0.1:1",
            format!("{{ descriptor: \"{LIBRARY}\" }}"),
            "`transcode` needs a service that speaks HTTP/2",
        ),
        (
            "{ targets: \"http://127.0.0.1:1\", protocol: http2 }",
            "missing.pb".into(),
            "cannot read the descriptor set",
        ),
        (
            "{ targets: \"http://127.0.0.1:1\", protocol: http2 }",
            format!("{{ descriptor: \"{LIBRARY}\", services: library.Libary }}"),
            "the descriptor set has no service `library.Libary`",
        ),
    ] {
        let refused = Gateway::with_binary(env!("CARGO_BIN_EXE_tidegate")).output(&format!(
            "listen: 127.0.0.1:0\nservices: {{ app: {service} }}\nroutes: {{ /*: {{ to: app, transcode: {settings} }} }}\n"
        ));
        let words = String::from_utf8_lossy(&refused.stderr);
        assert!(!refused.status.success());
        assert!(words.contains(told), "{words}");
    }
}
