//! Clients of HTTP/2 for the soak: connections under TLS or in clear, several streams at a time, each answer compared.
//! Takes an address and a pace; counts answers and failures.
//! It must never send a request a second time that the server may have seen: one that was sent and not answered has failed.
//! What was never sent, and what a GOAWAY without an error leaves out, goes over another connection, as with any client
//! (RFC 9113 sections 6.8 and 8.7); the latter is counted.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use h2::client::SendRequest;
use rustls::ClientConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_rustls::TlsConnector;

use super::Counted;

/// An answer that has not come after this time does not come.
const PATIENCE: Duration = Duration::from_secs(10);
/// Requests under way at a time.
const MOST_STREAMS: usize = 64;

/// One client: a request each `pace`, over one connection as long as it lasts.
pub(super) fn keep_pace(
    address: SocketAddr,
    tls: &Arc<ClientConfig>,
    client: u32,
    pace: Duration,
    counted: &Counted,
) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(e) => return counted.complain(&counted.failed, format!("a client of HTTP/2: {e}")),
    };
    runtime.block_on(async {
        let (mut kept, begin) = (None, Instant::now());
        let mut running = FuturesUnordered::new();
        let mut left_out: Vec<String> = Vec::new();
        for number in 0_u32.. {
            let next = begin + pace * number;
            while Instant::now() < next || running.len() >= MOST_STREAMS {
                tokio::select! {
                    Some(unseen) = running.next() => left_out.extend(unseen),
                    () = sleep_until(next), if running.len() < MOST_STREAMS => {}
                }
            }
            if !counted.goes_on() {
                break;
            }
            let path = format!("/items/{client}/{number}");
            for path in left_out.drain(..).chain([path]) {
                match send(&mut kept, address, tls, &path).await {
                    Ok(answer) => running.push(take(answer, path, counted)),
                    Err(e) => {
                        kept = None;
                        counted.complain(&counted.failed, format!("HTTP/2 GET {path}: {e}"));
                    }
                }
            }
        }
        while let Some(unseen) = running.next().await {
            left_out.extend(unseen);
        }
        // The load is over, so that nobody asks them once more.
        for path in left_out {
            counted.complain(&counted.failed, format!("HTTP/2 GET {path}: left out at the end"));
        }
    });
}

/// Sends a request over the connection that is there, or a new one when that takes no more.
async fn send(
    kept: &mut Option<SendRequest<Bytes>>,
    address: SocketAddr,
    tls: &Arc<ClientConfig>,
    path: &str,
) -> io::Result<h2::client::ResponseFuture> {
    let mut last = io::Error::other("no connection");
    for _ in 0..2 {
        let client = match kept.take() {
            Some(client) => client,
            None => timeout(PATIENCE, open(address, tls)).await??,
        };
        let request = http::Request::get(format!("https://localhost{path}")).body(());
        let request = request.map_err(io::Error::other)?;
        let mut client = match timeout(PATIENCE, client.ready()).await? {
            Ok(client) => client,
            Err(e) => {
                last = io::Error::other(e);
                continue;
            }
        };
        match client.send_request(request, true) {
            Ok((answer, _)) => {
                *kept = Some(client);
                return Ok(answer);
            }
            Err(e) => last = io::Error::other(e),
        }
    }
    Err(last)
}

async fn open(address: SocketAddr, tls: &Arc<ClientConfig>) -> io::Result<SendRequest<Bytes>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let connector = TlsConnector::from(tls.clone());
    begin(connector.connect(address.ip().into(), stream).await?).await
}

async fn begin(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) -> io::Result<SendRequest<Bytes>> {
    let (client, connection) = h2::client::handshake(stream).await.map_err(io::Error::other)?;
    // How it ends is told to the requests on it.
    tokio::spawn(async move { drop(connection.await) });
    Ok(client)
}

/// Takes an answer and counts it; gives back the path of a request that the server never looked at.
async fn take(answer: h2::client::ResponseFuture, path: String, counted: &Counted) -> Option<String> {
    let read = timeout(PATIENCE, read(answer)).await;
    if let Ok(Err(e)) = &read
        && e.is_go_away()
        && e.is_remote()
        && e.reason() == Some(h2::Reason::NO_ERROR)
    {
        counted.left_out.fetch_add(1, Ordering::Relaxed);
        return Some(path);
    }
    match read.map_err(|_| "no answer in time".to_owned()) {
        Ok(Ok((200, body))) if body == path.as_bytes() => {
            counted.answered.fetch_add(1, Ordering::Relaxed);
            counted.http2.fetch_add(1, Ordering::Relaxed);
        }
        Ok(Ok((status, _))) => {
            counted.complain(&counted.failed, format!("HTTP/2 GET {path}: status {status}"));
        }
        Ok(Err(e)) => counted.complain(&counted.failed, format!("HTTP/2 GET {path}: {e}")),
        Err(e) => counted.complain(&counted.failed, format!("HTTP/2 GET {path}: {e}")),
    }
    None
}

async fn read(answer: h2::client::ResponseFuture) -> Result<(u16, Vec<u8>), h2::Error> {
    let (head, mut stream) = answer.await?.into_parts();
    let mut body = Vec::new();
    while let Some(piece) = stream.data().await {
        let piece = piece?;
        stream.flow_control().release_capacity(piece.len())?;
        body.extend_from_slice(&piece);
    }
    Ok((head.status.as_u16(), body))
}
