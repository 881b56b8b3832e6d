//! Workers, listeners, accepting, draining: the running gateway as the control side sees it.
//!
//! Takes snapshots; binds what they listen on, gives every worker a socket of its own for each address
//! (`SO_REUSEPORT`: the kernel spreads new connections over the workers), and lets go what is no longer wanted.

pub mod connection;
mod handshake;
pub mod listener;
pub mod thread;

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::sync::mpsc;

use crate::observe::Connections;
use crate::snapshot::Snapshot;
use crate::snapshot::live::Live;
use thread::Command;

/// Connections that may wait in the kernel for a worker.
const BACKLOG: i32 = 4096;

/// Why an address cannot be listened on.
#[derive(Debug)]
pub struct BindError {
    /// The listener.
    pub listener: String,
    /// Its address.
    pub address: SocketAddr,
    /// What the system says.
    pub error: io::Error,
}

impl std::fmt::Display for BindError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "listener `{}` cannot use {}: {}", self.listener, self.address, self.error)?;
        match self.error.kind() {
            io::ErrorKind::AddrInUse => write!(f, "; another program listens there (`ss -ltnp` shows which)"),
            io::ErrorKind::PermissionDenied => {
                write!(f, "; ports below 1024 need CAP_NET_BIND_SERVICE, or take a higher port")
            }
            _ => Ok(()),
        }
    }
}

impl std::error::Error for BindError {}

/// The workers and what they listen on.
pub struct Gateway {
    /// What the control side and the workers share.
    pub live: Arc<Live>,
    workers: Vec<WorkerThread>,
    bound: Mutex<HashMap<Arc<str>, Bound>>,
    leaving: Mutex<Vec<Arc<Connections>>>,
}

struct WorkerThread {
    commands: mpsc::UnboundedSender<Command>,
    thread: JoinHandle<io::Result<()>>,
}

struct Bound {
    wanted: SocketAddr,
    actual: SocketAddr,
    connections: Arc<Connections>,
}

impl Gateway {
    /// Starts the workers and listens. On failure nothing is left behind.
    pub fn start(live: Arc<Live>) -> Result<Gateway, BindError> {
        let mut fresh = bind_new(&live.snapshot(), &HashMap::new(), live.workers)?;
        let mut workers = Vec::new();
        for index in 0..live.workers {
            let (commands, received) = mpsc::unbounded_channel();
            let shared = live.clone();
            let run = move || thread::run(index, shared, received);
            let named = std::thread::Builder::new().name(format!("worker-{index}"));
            match named.spawn(run) {
                Ok(thread) => workers.push(WorkerThread { commands, thread }),
                Err(error) => tracing::error!(error = %error, "cannot start worker {index}"),
            }
        }
        let gateway = Gateway { live, workers, bound: Mutex::default(), leaving: Mutex::default() };
        gateway.listen(&mut fresh);
        Ok(gateway)
    }

    /// Lets another snapshot run: binds what is new, swaps, then lets go what is gone. Fails before the swap or not
    /// at all.
    pub fn apply(&self, next: Arc<Snapshot>) -> Result<(), BindError> {
        let mut fresh = {
            let bound = self.bound();
            bind_new(&next, &bound, self.live.workers)?
        };
        let gone: Vec<Arc<str>> =
            self.bound().keys().filter(|name| next.listener(name).is_none()).cloned().collect();
        self.live.swap(next);
        self.listen(&mut fresh);
        for name in gone {
            if let Some(bound) = self.bound().remove(&name) {
                self.leaving().push(bound.connections);
            }
            self.tell_all(|| Command::Unlisten(name.clone()));
        }
        Ok(())
    }

    /// Where a listener really listens.
    pub fn address(&self, listener: &str) -> Option<SocketAddr> {
        self.bound().get(listener).map(|bound| bound.actual)
    }

    /// The listeners with their addresses and counters, by name.
    pub fn listeners(&self) -> Vec<(Arc<str>, SocketAddr, Arc<Connections>)> {
        let bound = self.bound();
        let mut all: Vec<_> = bound
            .iter()
            .map(|(name, bound)| (name.clone(), bound.actual, bound.connections.clone()))
            .collect();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all
    }

    /// Connections of all listeners, and of those that a reload took away.
    pub fn active(&self) -> usize {
        let open = |connections: &Arc<Connections>| connections.active.load(Ordering::Relaxed);
        let mut leaving = self.leaving();
        leaving.retain(|connections| open(connections) > 0);
        let left: usize = leaving.iter().map(open).sum();
        self.listeners().iter().map(|(.., connections)| open(connections)).sum::<usize>().saturating_add(left)
    }

    /// Accepts no more, closes resting connections spread over a time, and waits until all are gone or the deadline
    /// has passed. True when all were gone.
    pub fn drain(&self, spread: Duration, deadline: Instant, hurry: &dyn Fn() -> bool) -> bool {
        self.live.drain(spread);
        self.tell_all(|| Command::Drain);
        while self.active() > 0 && Instant::now() < deadline && !hurry() {
            std::thread::sleep(Duration::from_millis(20));
        }
        self.active() == 0
    }

    /// Ends the workers, and waits a moment for them.
    pub fn stop(&self) {
        self.tell_all(|| Command::Stop);
        let patience = Instant::now() + thread::LAST_MOMENT;
        while self.workers.iter().any(|worker| !worker.thread.is_finished()) && Instant::now() < patience {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn bound(&self) -> std::sync::MutexGuard<'_, HashMap<Arc<str>, Bound>> {
        self.bound.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn leaving(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Connections>>> {
        self.leaving.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell_all(&self, command: impl Fn() -> Command) {
        for worker in &self.workers {
            let _ = worker.commands.send(command());
        }
    }

    /// Hands fresh sockets to the workers, one each.
    fn listen(&self, fresh: &mut Vec<Fresh>) {
        let mut bound = self.bound();
        for Fresh { name, wanted, actual, sockets } in fresh.drain(..) {
            let connections = bound.get(&name).map(|old| old.connections.clone()).unwrap_or_default();
            for (worker, socket) in self.workers.iter().zip(sockets) {
                let command =
                    Command::Listen { name: name.clone(), socket, connections: connections.clone() };
                let _ = worker.commands.send(command);
            }
            bound.insert(name, Bound { wanted, actual, connections });
        }
    }
}

/// Sockets for one listener, one for each worker.
struct Fresh {
    name: Arc<str>,
    wanted: SocketAddr,
    actual: SocketAddr,
    sockets: Vec<TcpListener>,
}

/// Binds the listeners that are new or have moved.
fn bind_new(
    snapshot: &Snapshot,
    bound: &HashMap<Arc<str>, Bound>,
    workers: usize,
) -> Result<Vec<Fresh>, BindError> {
    let mut fresh = Vec::new();
    for listener in &snapshot.listeners {
        if bound.get(&listener.name).is_some_and(|bound| bound.wanted == listener.address) {
            continue;
        }
        let ours = bound.values().any(|bound| bound.actual == listener.address);
        let sockets = bind(listener.address, workers, ours).map_err(|error| BindError {
            listener: listener.name.to_string(),
            address: listener.address,
            error,
        })?;
        let actual = sockets.first().and_then(|socket| socket.local_addr().ok()).unwrap_or(listener.address);
        fresh.push(Fresh { name: listener.name.clone(), wanted: listener.address, actual, sockets });
    }
    Ok(fresh)
}

fn bind(address: SocketAddr, workers: usize, ours: bool) -> io::Result<Vec<TcpListener>> {
    // Without SO_REUSEPORT first: with it, two gateways on one address would quietly share its clients.
    let actual = if ours { address } else { socket(address, false)?.local_addr()? };
    (0..workers).map(|_| socket(actual, true)).collect()
}

fn socket(address: SocketAddr, shared: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    if address.is_ipv6() {
        // `[::]` takes IPv4 clients too, as people expect.
        socket.set_only_v6(false)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    if shared {
        socket.listen(BACKLOG)?;
    }
    Ok(socket.into())
}
