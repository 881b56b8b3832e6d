//! What services of gRPC are made of in tests: messages that are bytes, methods that are functions, and a server of
//! `tonic` on a thread of its own.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Buf, BufMut, Bytes};
use tonic::body::Body;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::Service;
use tonic::codegen::tokio_stream::Stream;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

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

/// A stream of messages.
pub(crate) type Answers = Pin<Box<dyn Stream<Item = Result<Bytes, Status>> + Send>>;

/// An answer on its way.
pub(crate) type Answering<T> = Pin<Box<dyn Future<Output = Result<Response<T>, Status>> + Send>>;

/// One method of a service, as `tonic` wants it.
pub(crate) struct Method<F>(pub(crate) F);

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

/// A service, told as the function from a request to its answer.
#[derive(Clone)]
struct Answerer<F>(F);

type Served = Pin<Box<dyn Future<Output = Result<http::Response<Body>, Infallible>> + Send>>;

impl<F: FnMut(http::Request<Body>) -> A, A> Service<http::Request<Body>> for Answerer<F>
where
    A: Future<Output = http::Response<Body>> + Send + 'static,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Served;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Served {
        let answer = (self.0)(request);
        Box::pin(async move { Ok(answer.await) })
    }
}

/// A running service; it ends when dropped.
pub(crate) struct Running<S> {
    pub(crate) url: String,
    /// What its methods share with the test.
    pub(crate) state: Arc<S>,
    end: Option<tokio::sync::oneshot::Sender<()>>,
}

impl<S: Default + Send + Sync + 'static> Running<S> {
    /// Starts a service that answers by `answer`.
    pub(crate) fn serve<A>(answer: fn(http::Request<Body>, Arc<S>) -> A) -> Running<S>
    where
        A: Future<Output = http::Response<Body>> + Send + 'static,
    {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state: Arc<S> = Arc::default();
        let shared = state.clone();
        let service = Answerer(move |request| answer(request, shared.clone()));
        let (end, ended) = tokio::sync::oneshot::channel::<()>();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                let served = Server::builder().serve_with_incoming(service, TcpIncoming::from(listener));
                // Streams that wait for ever are not waited for.
                tokio::select! { _ = served => {}, _ = ended => {} }
            });
        });
        Running { url, state, end: Some(end) }
    }
}

impl<S> Drop for Running<S> {
    fn drop(&mut self) {
        let _ = self.end.take().map(|end| end.send(()));
    }
}
