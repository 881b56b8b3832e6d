//! Accepting: one loop for each listener in each worker, which no error ends.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::admission::{self, Admitted};
use super::connection;
use crate::observe::Connections;
use crate::observe::connections::Refusal;
use crate::snapshot::Listener;
use crate::snapshot::worker::Worker;

/// Rest after the process ran out of descriptors or memory: long enough for some to come free.
const BACKOFF: Duration = Duration::from_millis(50);
/// Descriptors that clients do not get, as far as the process has that many.
const RESERVED: usize = 512;
/// Connections accepted in a row before others get a turn.
const BATCH: u32 = 32;

/// What a refused client gets.
const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/problem+json\r\nRetry-After: 1\r\n\
Content-Length: 102\r\nConnection: close\r\n\r\n\
{\"type\":\"urn:tidegate:problem:overloaded\",\"title\":\"Service Unavailable\",\"status\":503,\"detail\":\"busy\"}\n";

/// Whether a listener goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// It does.
    No,
    /// It ends when it has taken what the kernel has accepted already.
    AfterQueue,
    /// It ends: what the kernel has accepted is for somebody else who accepts from the same socket.
    AtOnce,
}

/// Accepts until told to stop, and lets the address go.
pub async fn run(
    worker: Rc<Worker>,
    name: Arc<str>,
    listener: TcpListener,
    connections: Arc<Connections>,
    mut stop: watch::Receiver<Stop>,
) {
    let mut row = 0u32;
    loop {
        let accepted = tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop != Stop::No) => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => begin(&worker, &name, stream, peer, &connections),
            Err(error) => backoff(&error, &name, &connections).await,
        }
        row = row.wrapping_add(1);
        if row.is_multiple_of(BATCH) {
            tokio::task::yield_now().await;
        }
    }
    if *stop.borrow() == Stop::AtOnce {
        return;
    }
    // Closing resets what waits in the kernel's queue (socket(7), SO_REUSEPORT): those clients have connected.
    while let Some(Ok((stream, peer))) = futures_util::FutureExt::now_or_never(listener.accept()) {
        begin(&worker, &name, stream, peer, &connections);
    }
}

fn begin(
    worker: &Rc<Worker>,
    name: &Arc<str>,
    stream: TcpStream,
    peer: SocketAddr,
    connections: &Arc<Connections>,
) {
    let Some(settings) = worker.view().snapshot.listener(name).cloned() else { return };
    let counted = match connections.enter(settings.max_connections, descriptors_allow()) {
        Ok(counted) => counted,
        Err(refusal) => return turn_away(connections, &settings, &stream, refusal),
    };
    let (worker, name, connections) = (worker.clone(), name.clone(), connections.clone());
    tokio::task::spawn_local(async move {
        match admission::admit(&stream, &settings, peer, &connections).await {
            Ok(Admitted { client, counted: of_client }) => {
                drop((settings, connections));
                connection::run(worker, name, stream, client, &counted).await;
                drop(of_client);
            }
            Err(refusal) => turn_away(&connections, &settings, &stream, refusal),
        }
        drop(counted);
    });
}

/// Ends a connection that is not served. One that finds no room is told so; one that begins wrongly is not.
fn turn_away(connections: &Connections, listener: &Listener, stream: &TcpStream, refusal: Refusal) {
    connections.refuse(refusal);
    match refusal {
        // Under TLS there are no keys yet to say it with.
        _ if listener.tls.is_some() => {}
        Refusal::ListenerFull | Refusal::Descriptors | Refusal::ClientFull => {
            // Straight to the kernel: the runtime does not know yet that a new stream can be written to. A client
            // that cannot take it at once gets a closed connection.
            let _ = SockRef::from(stream).send(FULL);
        }
        Refusal::ProxyUntrusted | Refusal::ProxyMissing | Refusal::ProxyMalformed | Refusal::ProxyTimeout => {
        }
    }
    if connections.may_warn() {
        let from = stream.peer_addr().map(|peer| peer.to_string()).unwrap_or_default();
        tracing::warn!(
            listener = &*listener.name,
            reason = refusal.label(),
            from,
            "connections are turned away"
        );
    }
}

/// The connections that the limit of open files allows: each may need a second one to a service, and some are kept
/// for everything else.
fn descriptors_allow() -> usize {
    static ALLOWED: OnceLock<usize> = OnceLock::new();
    *ALLOWED.get_or_init(|| {
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        let limit = limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
        (limit.saturating_sub(RESERVED.min(limit / 4)) / 2).max(1)
    })
}

async fn backoff(error: &std::io::Error, name: &str, connections: &Connections) {
    match error.kind() {
        // The client went away before it was accepted.
        ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::Interrupted => {}
        _ => {
            connections.failures.fetch_add(1, Ordering::Relaxed);
            if connections.may_warn() {
                tracing::warn!(error = %error, listener = name, "cannot accept connections for a moment");
            }
            tokio::time::sleep(BACKOFF).await;
        }
    }
}
