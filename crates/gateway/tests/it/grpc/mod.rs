//! gRPC through the gateway, with a client and a server of `tonic` whose messages are bytes.

mod calls;
mod faults;
pub(crate) mod service;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use testkit::event::Journal;
use testkit::gateway::Gateway;
use tonic::body::Body;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::codegen::tokio_stream::{self, StreamExt};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Response, Status, Streaming};

use self::service::{Answering, Answers, Method, Plain, Running};

/// What the service has seen.
#[derive(Default)]
pub(crate) struct Seen {
    /// Paths and metadata of calls.
    pub(crate) calls: Journal<(String, http::HeaderMap)>,
    /// Calls that were given up before their end.
    pub(crate) given_up: AtomicUsize,
}

/// Notes a call that ends before its time.
struct Guard(Arc<Seen>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.given_up.fetch_add(1, Ordering::SeqCst);
    }
}

fn unary(request: Request<Bytes>) -> Answering<Bytes> {
    Box::pin(async move {
        if request.metadata().contains_key("x-fail") {
            let mut status = Status::failed_precondition("the door is closed: ä");
            status.metadata_mut().insert("x-why", "locked".parse().unwrap());
            return Err(status);
        }
        let mut answer = Response::new(request.into_inner());
        answer.metadata_mut().insert("x-seen", "yes".parse().unwrap());
        Ok(answer)
    })
}

/// Counts messages and their bytes.
fn collect(request: Request<Streaming<Bytes>>) -> Answering<Bytes> {
    Box::pin(async move {
        let (mut count, mut bytes, mut messages) = (0, 0, request.into_inner());
        while let Some(message) = messages.next().await {
            (count, bytes) = (count + 1, bytes + message?.len());
        }
        Ok(Response::new(format!("{count} {bytes}").into()))
    })
}

/// As many messages as the first says.
fn repeat(request: Request<Bytes>) -> Answering<Answers> {
    Box::pin(async move {
        let count: usize = String::from_utf8(request.into_inner().to_vec()).unwrap().parse().unwrap();
        let messages = (0..count).map(|nth| Ok(Bytes::from(format!("message {nth}"))));
        Ok(Response::new(Box::pin(tokio_stream::iter(messages)) as Answers))
    })
}

/// Each message back, at once; after the last one more.
fn chat(request: Request<Streaming<Bytes>>) -> Answering<Answers> {
    Box::pin(async move {
        let last = tokio_stream::once(Ok(Bytes::from_static(b"farewell")));
        Ok(Response::new(Box::pin(request.into_inner().chain(last)) as Answers))
    })
}

/// The service `echo.Echo`.
async fn echo(request: http::Request<Body>, seen: Arc<Seen>) -> http::Response<Body> {
    let path = request.uri().path().to_owned();
    seen.calls.push((path.clone(), request.headers().clone()));
    let mut grpc = tonic::server::Grpc::new(Plain);
    match path.as_str() {
        "/echo.Echo/Unary" => grpc.unary(Method(unary), request).await,
        "/echo.Echo/Collect" => grpc.client_streaming(Method(collect), request).await,
        "/echo.Echo/Repeat" => grpc.server_streaming(Method(repeat), request).await,
        "/echo.Echo/Chat" => grpc.streaming(Method(chat), request).await,
        "/echo.Echo/Never" => {
            let _guard = Guard(seen);
            std::future::pending().await
        }
        "/grpc.health.v1.Health/Check" => grpc.unary(Method(health), request).await,
        _ => Status::unimplemented("no such method").into_http(),
    }
}

/// Well for `echo.Echo` and for the whole, not for others (grpc.health.v1).
fn health(request: Request<Bytes>) -> Answering<Bytes> {
    Box::pin(async move {
        let serving = [&b""[..], b"\x0a\x09echo.Echo"].contains(&&request.into_inner()[..]);
        Ok(Response::new(Bytes::from_static(if serving { b"\x08\x01" } else { b"\x08\x02" })))
    })
}

/// Starts the service.
pub(crate) fn start() -> Running<Seen> {
    Running::serve(echo)
}

/// A gateway in front of the service; `more` stands among the settings of the route.
pub(crate) fn in_front_of(service: &Running<Seen>, more: &str) -> Gateway {
    testkit::gateway!(
        r#"
listeners: {{ web: {{ address: "127.0.0.1:0", http2: true }} }}
admin: {{ listen: 127.0.0.1:0 }}
workers: 1
services:
  echo: {{ targets: "{url}", protocol: http2 }}
  nowhere: {{ targets: "http://127.0.0.1:1", protocol: http2 }}
consumers:
  mobile:
    api_keys: [{{ hash: "tgk_7Hc2LmZx:0908070605040302010f0e0d0c0b0a09080706050403020100ffeeddccbbaa99" }}]
routes:
  /echo.Echo/*: {{ to: echo{more} }}
  /lost.Lost/*: {{ to: nowhere }}
  /shut.Shut/*: {{ to: echo, ip: {{ deny: [127.0.0.0/8] }} }}
  /keyed.Keyed/*: {{ to: echo, api_key: {{}} }}
"#,
        url = service.url
    )
}

pub(crate) async fn client(gateway: &Gateway) -> Grpc<Channel> {
    let endpoint = Endpoint::from_shared(format!("http://{}", gateway.addr())).unwrap();
    let mut grpc = Grpc::new(endpoint.connect().await.unwrap());
    grpc.ready().await.unwrap();
    grpc
}

pub(crate) fn method(name: &'static str) -> PathAndQuery {
    PathAndQuery::from_static(name)
}
