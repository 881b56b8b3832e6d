//! A service that speaks HTTP/2 (the crate `h2`), under TLS or in clear, and does with each stream what a test says.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use h2::server::{Builder, SendResponse};
use h2::{Reason, RecvStream};
use http::{Request, Response};
use testkit::event::eventually;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};

type Served = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A stream that a client has opened.
pub(crate) struct Stream {
    pub(crate) request: Request<RecvStream>,
    pub(crate) respond: SendResponse<Bytes>,
}

struct Shared {
    serve: Box<dyn Fn(Stream) -> Served + Send + Sync>,
    builder: Builder,
    tls: Option<Arc<rustls::ServerConfig>>,
    opened: AtomicUsize,
    open: AtomicUsize,
    requests: Mutex<Vec<Request<()>>>,
}

/// A running service; it ends when dropped.
pub(crate) struct Service {
    addr: SocketAddr,
    shared: Arc<Shared>,
    end: Option<tokio::sync::oneshot::Sender<()>>,
}

impl Service {
    /// A service that treats its streams so.
    pub(crate) fn start<F>(serve: impl Fn(Stream) -> F + Send + Sync + 'static) -> Service
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Service::with(Builder::new(), None, serve)
    }

    /// The same with settings of its own, under TLS or not.
    pub(crate) fn with<F>(
        builder: Builder,
        tls: Option<Arc<rustls::ServerConfig>>,
        serve: impl Fn(Stream) -> F + Send + Sync + 'static,
    ) -> Service
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let addr = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            serve: Box::new(move |stream| Box::pin(serve(stream))),
            builder,
            tls,
            opened: AtomicUsize::new(0),
            open: AtomicUsize::new(0),
            requests: Mutex::default(),
        });
        let (end, ended) = tokio::sync::oneshot::channel();
        let accepting = shared.clone();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = TcpListener::from_std(listener).unwrap();
                tokio::select! {
                    () = accept(listener, accepting) => {}
                    _ = ended => {}
                }
            });
        });
        Service { addr, shared, end: Some(end) }
    }

    pub(crate) fn port(&self) -> u16 {
        self.addr.port()
    }

    pub(crate) fn url(&self) -> String {
        let scheme = if self.shared.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.addr)
    }

    /// Connections opened so far.
    pub(crate) fn connections(&self) -> usize {
        self.shared.opened.load(Ordering::SeqCst)
    }

    /// Waits until so many connections are open.
    #[track_caller]
    pub(crate) fn wait_for_open(&self, count: usize) {
        eventually("connections to be open or closed", || {
            (self.shared.open.load(Ordering::SeqCst) == count).then_some(())
        });
    }

    /// The heads of all requests so far.
    pub(crate) fn requests(&self) -> Vec<Request<()>> {
        self.shared.requests.lock().unwrap().clone()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.end.take().map(|end| end.send(()));
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept().await {
        shared.opened.fetch_add(1, Ordering::SeqCst);
        tokio::spawn(secure(stream, shared.clone()));
    }
}

async fn secure(stream: TcpStream, shared: Arc<Shared>) {
    match shared.tls.clone() {
        None => drive(stream, shared).await,
        Some(tls) => {
            if let Ok(stream) = tokio_rustls::TlsAcceptor::from(tls).accept(stream).await {
                drive(stream, shared).await;
            }
        }
    }
}

async fn drive(stream: impl AsyncRead + AsyncWrite + Unpin, shared: Arc<Shared>) {
    let Ok(mut connection) = shared.builder.handshake::<_, Bytes>(stream).await else { return };
    shared.open.fetch_add(1, Ordering::SeqCst);
    while let Some(Ok((request, respond))) = connection.accept().await {
        let (parts, body) = request.into_parts();
        shared.requests.lock().unwrap().push(Request::from_parts(parts.clone(), ()));
        let request = Request::from_parts(parts, body);
        if request.uri().path() == "/farewell" {
            connection.graceful_shutdown();
        }
        tokio::spawn((shared.serve)(Stream { request, respond }));
    }
    shared.open.fetch_sub(1, Ordering::SeqCst);
}

impl Stream {
    /// Answers with this status and body at once.
    pub(crate) async fn answer(mut self, status: u16, body: &[u8]) {
        let head = Response::builder().status(status).body(()).unwrap();
        let Ok(mut sending) = self.respond.send_response(head, body.is_empty()) else { return };
        send(&mut sending, body, true).await;
    }

    /// Gives back the body and the trailers that came.
    pub(crate) async fn echo(mut self) {
        let (mut body, mut stream) = (Vec::new(), self.request.into_body());
        while let Some(Ok(piece)) = stream.data().await {
            body.extend_from_slice(&piece);
            let _ = stream.flow_control().release_capacity(piece.len());
        }
        let trailers = stream.trailers().await.unwrap_or_default();
        let head = Response::builder().header("x-length", body.len()).body(()).unwrap();
        let Ok(mut sending) = self.respond.send_response(head, false) else { return };
        match trailers {
            None => send(&mut sending, &body, true).await,
            Some(trailers) => {
                send(&mut sending, &body, false).await;
                let _ = sending.send_trailers(trailers);
                0
            }
        };
    }

    /// Says that it has not looked at the request.
    pub(crate) fn refuse(mut self) {
        self.respond.send_reset(Reason::REFUSED_STREAM);
    }

    /// Waits until the client gives the stream up; its reason.
    pub(crate) async fn given_up(mut self) -> Option<Reason> {
        std::future::poll_fn(|cx| self.respond.poll_reset(cx)).await.ok()
    }
}

/// Sends as the windows allow; how much went.
pub(crate) async fn send(sending: &mut h2::SendStream<Bytes>, mut body: &[u8], last: bool) -> usize {
    let mut sent = 0;
    if body.is_empty() && last {
        let _ = sending.send_data(Bytes::new(), true);
    }
    while !body.is_empty() {
        sending.reserve_capacity(body.len().min(64 * 1024));
        let Some(Ok(room)) = std::future::poll_fn(|cx| sending.poll_capacity(cx)).await else { return sent };
        let (now, later) = body.split_at(room.min(body.len()));
        if sending.send_data(Bytes::copy_from_slice(now), last && later.is_empty()).is_err() {
            return sent;
        }
        sent += now.len();
        body = later;
    }
    sent
}
