//! gRPC through the gateway, with a client and a server of `tonic` whose messages are bytes.

mod calls;
mod faults;

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use bytes::{Buf, BufMut, Bytes};
use testkit::event::Journal;
use testkit::gateway::Gateway;
use tonic::body::Body;
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::Service;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::codegen::tokio_stream::{self, Stream, StreamExt};
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Request, Response, Status, Streaming};

/// Messages as they are.
#[derive(Clone, Copy, Default)]
pub(crate) struct Plain;

impl Codec for Plain {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Plain;
    type Decoder = Plain;

    fn encoder(&mut self) -> Plain {
        Plain
    }

    fn decoder(&mut self) -> Plain {
        Plain
    }
}

impl Encoder for Plain {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        into.put(item);
        Ok(())
    }
}

impl Decoder for Plain {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}

type Answers = Pin<Box<dyn Stream<Item = Result<Bytes, Status>> + Send>>;
type Answering<T> = Pin<Box<dyn Future<Output = Result<Response<T>, Status>> + Send>>;

/// One method of the service, as `tonic` wants it.
struct Method<F>(F);

impl<M, T, F: FnMut(Request<M>) -> Answering<T>> Service<Request<M>> for Method<F> {
    type Response = Response<T>;
    type Error = Status;
    type Future = Answering<T>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<M>) -> Answering<T> {
        (self.0)(request)
    }
}

/// What the service has seen.
#[derive(Default)]
pub(crate) struct Seen {
    /// Paths and metadata of calls.
    pub(crate) calls: Journal<(String, http::HeaderMap)>,
    /// Calls that were given up before their end.
    pub(crate) given_up: AtomicUsize,
}

/// The service `echo.Echo`.
#[derive(Clone)]
struct Echo(Arc<Seen>);

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

impl Service<http::Request<Body>> for Echo {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let seen = self.0.clone();
        Box::pin(async move {
            let path = request.uri().path().to_owned();
            seen.calls.push((path.clone(), request.headers().clone()));
            let mut grpc = tonic::server::Grpc::new(Plain);
            Ok(match path.as_str() {
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
            })
        })
    }
}

/// Well for `echo.Echo` and for the whole, not for others (grpc.health.v1).
fn health(request: Request<Bytes>) -> Answering<Bytes> {
    Box::pin(async move {
        let serving = [&b""[..], b"\x0a\x09echo.Echo"].contains(&&request.into_inner()[..]);
        Ok(Response::new(Bytes::from_static(if serving { b"\x08\x01" } else { b"\x08\x02" })))
    })
}

/// A running service; it ends when dropped.
pub(crate) struct Running {
    pub(crate) url: String,
    pub(crate) seen: Arc<Seen>,
    end: Option<tokio::sync::oneshot::Sender<()>>,
}

impl Running {
    pub(crate) fn start() -> Running {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen: Arc<Seen> = Arc::default();
        let echo = Echo(seen.clone());
        let (end, ended) = tokio::sync::oneshot::channel::<()>();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                let incoming = tonic::transport::server::TcpIncoming::from(listener);
                let until = async { drop(ended.await) };
                let served = Server::builder().serve_with_incoming_shutdown(echo, incoming, until);
                // Streams that wait for ever are not waited for.
                tokio::select! { _ = served => {} }
            });
        });
        Running { url, seen, end: Some(end) }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.end.take().map(|end| end.send(()));
    }
}

/// A gateway in front of the service; `more` stands among the settings of the route.
pub(crate) fn in_front_of(service: &Running, more: &str) -> Gateway {
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
