//! The sockets that listeners accept on: opened here, or taken over from whoever opened them before.
//!
//! Each worker gets sockets of its own for each address (`SO_REUSEPORT`: the kernel spreads new connections over them).
//! A connection waits at one socket of an address and is reset when that one is closed, so sockets that were taken
//! over are all accepted from and never replaced by others, whatever the number of workers.

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use socket2::{Domain, Protocol, Socket, Type};

use super::Bound;
use crate::snapshot::Snapshot;

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
            io::ErrorKind::AddrNotAvailable => {
                write!(
                    f,
                    "; this machine has no such address (`ip addr` shows those it has, 0.0.0.0 is all of them)"
                )
            }
            _ => Ok(()),
        }
    }
}

impl std::error::Error for BindError {}

/// A socket that somebody else opened.
pub struct Offered {
    /// What it is for: the name of a listener, or whatever the giver calls it.
    pub name: String,
    /// The address as the giver's configuration had it; `None` when it had none.
    pub wanted: Option<SocketAddr>,
    /// Whether the giver keeps it open for good, as systemd does: then nothing is lost when it is closed here.
    pub kept: bool,
    /// The socket, listening.
    pub socket: TcpListener,
}

/// A unix socket that somebody else opened.
pub struct OfferedFile {
    /// Where its file is.
    pub path: PathBuf,
    /// The socket, listening.
    pub socket: UnixListener,
}

/// Sockets that somebody else opened, until a listener claims them.
#[derive(Default)]
pub struct Inherited {
    offered: Vec<Offered>,
    files: Vec<OfferedFile>,
    claimed: Vec<String>,
}

impl Inherited {
    /// All of these.
    pub fn new(offered: Vec<Offered>) -> Inherited {
        Inherited { offered, ..Inherited::default() }
    }

    /// These unix sockets besides.
    pub fn with_files(self, files: Vec<OfferedFile>) -> Inherited {
        Inherited { files, ..self }
    }

    /// The unix socket of a path.
    pub fn claim_file(&mut self, name: &str, path: &Path) -> Option<UnixListener> {
        let place = self.files.iter().position(|offered| offered.path == path)?;
        self.claimed.push(name.to_owned());
        Some(self.files.swap_remove(place).socket)
    }

    /// The sockets for a name and an address. A giver without a configuration says by the name alone what a socket is
    /// for; otherwise the address must be the same, and with port 0 the name as well.
    pub fn claim(&mut self, name: &str, address: SocketAddr) -> Vec<Offered> {
        let fits = |offered: &Offered| match offered.wanted {
            Some(wanted) => wanted == address && (address.port() != 0 || offered.name == name),
            None => offered.name == name || offered.socket.local_addr().is_ok_and(|actual| actual == address),
        };
        let (mine, others) = std::mem::take(&mut self.offered).into_iter().partition(fits);
        self.offered = others;
        let mine: Vec<Offered> = mine;
        self.claimed.extend(mine.iter().map(|offered| offered.name.clone()));
        mine
    }

    /// Closes what nobody has claimed; gives the names under which the rest was offered.
    pub fn settle(self) -> Vec<String> {
        for offered in &self.offered {
            let address = offered.socket.local_addr().map(|address| address.to_string()).unwrap_or_default();
            tracing::warn!(name = offered.name, address, "nothing listens on a socket that was handed over");
        }
        for OfferedFile { path, .. } in &self.files {
            tracing::warn!(path = %path.display(), "nothing listens on a unix socket that was handed over");
        }
        self.claimed
    }
}

/// Sockets for one listener.
pub(super) struct Fresh {
    pub(super) name: Arc<str>,
    pub(super) wanted: SocketAddr,
    pub(super) actual: SocketAddr,
    /// Those of each worker.
    pub(super) sockets: Vec<Vec<TcpListener>>,
    /// Each of them once, to be handed over one day.
    pub(super) held: Vec<TcpListener>,
    pub(super) kept: bool,
}

/// Binds the listeners that are new or have moved.
pub(super) fn bind_new(
    snapshot: &Snapshot,
    bound: &HashMap<Arc<str>, Bound>,
    workers: usize,
    inherited: &mut Inherited,
) -> Result<Vec<Fresh>, BindError> {
    let mut fresh = Vec::new();
    for listener in &snapshot.listeners {
        if bound.get(&listener.name).is_some_and(|bound| bound.wanted == listener.address) {
            continue;
        }
        let ours = bound.values().any(|bound| bound.actual == listener.address);
        let offered = inherited.claim(&listener.name, listener.address);
        let kept = offered.iter().any(|offered| offered.kept);
        let sockets = if offered.is_empty() {
            bind(listener.address, workers, ours)
        } else {
            Ok(offered.into_iter().map(|offered| offered.socket).collect())
        };
        let shared = sockets.and_then(|held| Ok((share(&held, workers)?, held)));
        let (sockets, held) = shared.map_err(|error| BindError {
            listener: listener.name.to_string(),
            address: listener.address,
            error,
        })?;
        let actual = held.first().and_then(|socket| socket.local_addr().ok()).unwrap_or(listener.address);
        let (name, wanted) = (listener.name.clone(), listener.address);
        fresh.push(Fresh { name, wanted, actual, sockets, held, kept });
    }
    Ok(fresh)
}

/// Gives every socket to a worker and every worker a socket, the same to several where there are fewer.
fn share(held: &[TcpListener], workers: usize) -> io::Result<Vec<Vec<TcpListener>>> {
    let mut shares: Vec<Vec<TcpListener>> = (0..workers).map(|_| Vec::new()).collect();
    let rounds = held.len().max(workers);
    for round in 0..rounds {
        let socket = held.get(round.checked_rem(held.len()).unwrap_or(0));
        let share = shares.get_mut(round.checked_rem(workers).unwrap_or(0));
        if let (Some(socket), Some(share)) = (socket, share) {
            socket.set_nonblocking(true)?;
            share.push(socket.try_clone()?);
        }
    }
    Ok(shares)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn offered(name: &str, wanted: Option<&str>) -> Offered {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let wanted = wanted.map(|wanted| wanted.parse().unwrap());
        Offered { name: name.to_owned(), wanted, kept: false, socket }
    }

    #[test]
    fn sockets_go_to_the_listener_of_their_address() {
        let any = "127.0.0.1:0".parse().unwrap();
        let fixed = "127.0.0.1:80".parse().unwrap();
        let systemd = offered("unit.socket", None);
        let its_address = systemd.socket.local_addr().unwrap();
        let mut inherited = Inherited::new(vec![
            offered("a", Some("127.0.0.1:0")),
            offered("b", Some("127.0.0.1:0")),
            offered("old", Some("127.0.0.1:80")),
            offered("old", Some("127.0.0.1:80")),
            offered("web", None),
            systemd,
            offered("gone", Some("127.0.0.1:81")),
        ]);
        assert_eq!(inherited.claim("b", any).len(), 1, "port 0 is another one for each name");
        assert_eq!(inherited.claim("new", fixed).len(), 2, "a listener may get another name");
        assert_eq!(inherited.claim("web", fixed).len(), 1);
        assert_eq!(inherited.claim("other", its_address).len(), 1);
        assert_eq!(inherited.claim("c", any).len(), 0);
        assert_eq!(inherited.settle(), ["b", "old", "old", "web", "unit.socket"]);
    }

    #[test]
    fn every_socket_has_a_worker_and_every_worker_a_socket() {
        for (sockets, workers, shares) in
            [(2, 2, &[1, 1][..]), (1, 3, &[1, 1, 1]), (4, 2, &[2, 2]), (3, 2, &[2, 1]), (2, 3, &[1, 1, 1])]
        {
            let held: Vec<_> = (0..sockets).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
            let shared = share(&held, workers).unwrap();
            let lengths: Vec<usize> = shared.iter().map(Vec::len).collect();
            assert_eq!(lengths, shares, "{sockets} sockets, {workers} workers");
            for socket in &held {
                let address = socket.local_addr().unwrap();
                assert!(shared.iter().flatten().any(|own| own.local_addr().unwrap() == address));
            }
        }
    }
}
