//! HTTP/2 at the door: a client of its own (the crate `h2`), one that sends frames by hand, and curl.

mod bombs;
mod exchanges;
mod floods;
mod frames;
mod lives;
mod slow;
mod websocket;
pub(crate) mod wire;

use std::future::Future;
use std::net::SocketAddr;

use bytes::Bytes;
use h2::client::SendRequest;
use http::HeaderMap;
use testkit::PATIENCE;
use testkit::gateway::Gateway;
use testkit::origin::Origin;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// A gateway that speaks HTTP/2 in clear to whoever begins with it; `more` stands in its configuration.
pub(crate) fn in_front_of(origin: &Origin, more: &str) -> Gateway {
    testkit::gateway!(
        r#"
listeners: {{ web: {{ address: "127.0.0.1:0", http2: true }} }}
admin: {{ listen: 127.0.0.1:0 }}
workers: 1
services: {{ app: "{app}" }}
{more}
routes:
  /*: {{ to: app }}
"#,
        app = origin.url()
    )
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: HeaderMap,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Runs a conversation; one that does not end fails.
#[track_caller]
pub(crate) fn converse<T>(conversation: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(PATIENCE, conversation).await.expect("an end of it") })
}

/// A connection, and how it will have ended.
pub(crate) type Open = (SendRequest<Bytes>, JoinHandle<Result<(), h2::Error>>);

pub(crate) async fn open(addr: SocketAddr) -> Open {
    let stream = TcpStream::connect(addr).await.unwrap();
    let (client, connection) = h2::client::handshake(stream).await.unwrap();
    (client, tokio::spawn(connection))
}

/// A GET, or whatever the method is, to `http://a.example`.
pub(crate) fn request(method: &str, path: &str) -> http::request::Builder {
    http::Request::builder().method(method).uri(format!("http://a.example{path}"))
}

/// Asks and reads the whole answer. A body is sent as the gateway takes it.
pub(crate) async fn ask(
    client: &SendRequest<Bytes>,
    request: http::request::Builder,
    body: &[u8],
) -> Result<Answer, h2::Error> {
    let mut client = client.clone().ready().await?;
    let (answer, mut sending) = client.send_request(request.body(()).unwrap(), body.is_empty())?;
    let body = body.to_vec();
    let sent = tokio::spawn(async move {
        let mut rest = &body[..];
        while !rest.is_empty() {
            sending.reserve_capacity(rest.len());
            let room = std::future::poll_fn(|cx| sending.poll_capacity(cx)).await;
            let Some(Ok(room)) = room else { return };
            let (now, later) = rest.split_at(room.min(rest.len()));
            if sending.send_data(Bytes::copy_from_slice(now), later.is_empty()).is_err() {
                return;
            }
            rest = later;
        }
    });
    let read = read(answer.await?).await;
    sent.abort();
    read
}

/// Reads what follows the head of an answer.
pub(crate) async fn read(answer: http::Response<h2::RecvStream>) -> Result<Answer, h2::Error> {
    let (parts, mut stream) = answer.into_parts();
    let mut body = Vec::new();
    while let Some(piece) = stream.data().await {
        let piece = piece?;
        body.extend_from_slice(&piece);
        stream.flow_control().release_capacity(piece.len())?;
    }
    let trailers = stream.trailers().await?.unwrap_or_default();
    Ok(Answer { status: parts.status.as_u16(), headers: parts.headers, body, trailers })
}
