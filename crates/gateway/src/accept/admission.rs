//! Whether a connection that was accepted is served, and whose it is.
//!
//! Takes a stream before its first byte is read; gives who is at the other end, as a trusted proxy says by the PROXY
//! protocol or else as the system says, and counts it among the connections of that address. Takes no byte from the
//! stream but those of the header. Trusted proxies themselves are not bounded by address: they stand for many.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;

use rustix::net::RecvFlags;
use tokio::io::Interest;
use tokio::net::TcpStream;

use crate::config::ProxyProtocol;
use crate::exchange::Client;
use crate::http::proxy_protocol::{MOST, Seen, Told, parse};
use crate::observe::Connections;
use crate::observe::connections::{CountedClient, Refusal};
use crate::snapshot::Listener;

/// A connection that is served.
pub(super) struct Admitted {
    /// Who is at the other end.
    pub(super) client: Client,
    /// Counted until this is dropped; `None` for a trusted proxy.
    pub(super) counted: Option<CountedClient>,
}

/// Decides about a connection.
pub(super) async fn admit(
    stream: &TcpStream,
    listener: &Listener,
    peer: SocketAddr,
    connections: &Arc<Connections>,
) -> Result<Admitted, Refusal> {
    let local = stream.local_addr().unwrap_or(listener.address);
    let mut client = Client { peer, local, ip: peer.ip(), trusted: false, https: false };
    if let Some(told) = told(stream, listener, peer).await? {
        client.https = told.tls;
        if let Some((source, destination)) = told.ends {
            (client.peer, client.local, client.ip) = (source, destination, source.ip());
        }
    }
    let counted = if listener.trust.is_proxy(client.peer.ip()) {
        None
    } else {
        Some(connections.enter_client(client.peer.ip(), listener.max_client_connections)?)
    };
    Ok(Admitted { client, counted })
}

/// What the header at the beginning of the connection says, if there is to be one.
async fn told(stream: &TcpStream, listener: &Listener, peer: SocketAddr) -> Result<Option<Told>, Refusal> {
    let required = listener.proxy_protocol == ProxyProtocol::Required;
    match listener.proxy_protocol {
        ProxyProtocol::Off => return Ok(None),
        ProxyProtocol::Optional | ProxyProtocol::Required if listener.trust.is_proxy(peer.ip()) => {}
        ProxyProtocol::Optional => return Ok(None),
        ProxyProtocol::Required => return Err(Refusal::ProxyUntrusted),
    }
    match tokio::time::timeout(listener.limits.head_timeout, header(stream)).await {
        Ok(Ok(None)) if required => Err(Refusal::ProxyMissing),
        Ok(told) => told,
        Err(_) => Err(Refusal::ProxyTimeout),
    }
}

/// Reads the header; `None` when something else begins there, which is left in the stream.
async fn header(stream: &TcpStream) -> Result<Option<Told>, Refusal> {
    let mut bytes = vec![0; MOST];
    loop {
        let ready = stream.ready(Interest::READABLE).await.map_err(|_| Refusal::ProxyMissing)?;
        let mut seen = Ok(Seen::Partial(1));
        // Looked at, not taken: what follows belongs to whoever reads next. As long as more is to come tokio is told
        // that the stream is not ready, so that it waits for the next bytes instead of showing the same again.
        let looked = stream.try_io(Interest::READABLE, || {
            let (filled, _) = rustix::net::recv(stream, &mut bytes[..], RecvFlags::PEEK)?;
            seen = parse(bytes.get(..filled).unwrap_or_default());
            if matches!(seen, Ok(Seen::Partial(_))) { Err(ErrorKind::WouldBlock.into()) } else { Ok(()) }
        });
        match (seen.map_err(|_| Refusal::ProxyMalformed)?, looked) {
            (Seen::Header(length, told), _) => return take(stream, &mut bytes, length).map(|()| Some(told)),
            (Seen::Absent, _) => return Ok(None),
            (Seen::Partial(_), Err(error)) if error.kind() == ErrorKind::WouldBlock => {}
            (Seen::Partial(_), _) => return Err(Refusal::ProxyMissing),
        }
        if ready.is_read_closed() {
            return Err(Refusal::ProxyMissing);
        }
    }
}

/// Takes the bytes of the header, which are there, from the stream.
fn take(stream: &TcpStream, bytes: &mut [u8], length: usize) -> Result<(), Refusal> {
    let bytes = bytes.get_mut(..length).unwrap_or_default();
    match rustix::net::recv(stream, &mut *bytes, RecvFlags::empty()) {
        Ok((_, taken)) if taken == length => Ok(()),
        _ => Err(Refusal::ProxyMissing),
    }
}
