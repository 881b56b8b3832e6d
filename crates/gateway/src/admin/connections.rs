//! The connections of the admin address: few, and none for ever.
//!
//! Takes a listener of TCP or of a unix socket; gives the server library streams that end when nothing moves on them, and
//! in any case after a while, so that nobody can hold all of them or all descriptors. Knows who is at the other end: of a
//! unix socket the kernel says which user that is.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, Sleep, sleep};

use super::address::Listening;

/// What bounds the connections.
#[derive(Clone, Copy)]
pub struct Bounds {
    /// Open at a time; the next ones wait in the kernel.
    pub most: usize,
    /// Time in which nothing moves.
    pub idle: Duration,
    /// Time of a connection in all.
    pub age: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Bounds { most: 128, idle: Duration::from_secs(30), age: Duration::from_secs(300) }
    }
}

/// What is listened on.
pub enum Socket {
    /// TCP.
    Tcp(TcpListener),
    /// A unix socket.
    Unix(UnixListener),
}

impl Socket {
    /// Listens on the runtime that this is called on.
    ///
    /// # Errors
    /// What the system says.
    pub fn new(listening: Listening) -> io::Result<Socket> {
        match listening {
            Listening::Tcp(listener) => TcpListener::from_std(listener).map(Socket::Tcp),
            Listening::Unix(listener) => UnixListener::from_std(listener).map(Socket::Unix),
        }
    }

    async fn accept(&mut self) -> (Wire, Peer) {
        match self {
            Socket::Tcp(listener) => {
                let (stream, peer) = Listener::accept(listener).await;
                (Wire::Tcp(stream), Peer::Address(peer))
            }
            Socket::Unix(listener) => {
                let (stream, _) = Listener::accept(listener).await;
                let user = stream.peer_cred().ok().map(|peer| peer.uid());
                (Wire::Unix(stream), Peer::User(user))
            }
        }
    }
}

/// A listener whose connections are bounded.
pub struct Bounded {
    listener: Socket,
    bounds: Bounds,
    free: Arc<Semaphore>,
    stopped: Option<watch::Receiver<bool>>,
}

impl Bounded {
    /// Bounds the connections of a listener.
    pub fn new(listener: Socket, bounds: Bounds) -> Bounded {
        Bounded { listener, bounds, free: Arc::new(Semaphore::new(bounds.most)), stopped: None }
    }

    /// Accepts nobody once this is true: who comes then waits in the kernel for whoever has the same socket.
    pub fn until(self, stopped: watch::Receiver<bool>) -> Bounded {
        Bounded { stopped: Some(stopped), ..self }
    }

    /// Ends once nobody is to be accepted.
    async fn stopped(stopped: &mut Option<watch::Receiver<bool>>) {
        if let Some(stopped) = stopped
            && stopped.wait_for(|stopped| *stopped).await.is_ok()
        {
            return;
        }
        std::future::pending().await
    }
}

impl Listener for Bounded {
    type Io = Stream;
    type Addr = Peer;

    async fn accept(&mut self) -> (Stream, Peer) {
        // Never closed, so there is always a permit to come.
        let permit = self.free.clone().acquire_owned().await.ok();
        let (wire, peer) = tokio::select! {
            biased;
            () = Bounded::stopped(&mut self.stopped) => std::future::pending().await,
            accepted = self.listener.accept() => accepted,
        };
        let Bounds { idle, age, .. } = self.bounds;
        let end = Instant::now() + age;
        (Stream { wire, idle, end, due: Box::pin(sleep(idle.min(age))), _permit: permit }, peer)
    }

    fn local_addr(&self) -> io::Result<Peer> {
        match &self.listener {
            Socket::Tcp(listener) => listener.local_addr().map(Peer::Address),
            Socket::Unix(_) => Ok(Peer::User(Some(own_user()))),
        }
    }
}

/// The other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// A TCP address.
    Address(SocketAddr),
    /// A user of this machine, as the kernel says; `None` where it does not.
    User(Option<u32>),
}

impl Peer {
    /// Whether it may ask the admin API, if it has a token: over a unix socket only the gateway's own user and root may,
    /// whatever the permissions of the file.
    pub fn may_ask(self) -> bool {
        match self {
            Peer::Address(_) => true,
            Peer::User(user) => user.is_some_and(|user| user == 0 || user == own_user()),
        }
    }
}

fn own_user() -> u32 {
    rustix::process::geteuid().as_raw()
}

impl Connected<IncomingStream<'_, Bounded>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Bounded>) -> Peer {
        *stream.remote_addr()
    }
}

/// A connection that ends by itself.
pub struct Stream {
    wire: Wire,
    idle: Duration,
    end: Instant,
    due: Pin<Box<Sleep>>,
    _permit: Option<OwnedSemaphorePermit>,
}

enum Wire {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    /// What a poll gave, or that the time is over.
    fn in_time<T>(&mut self, cx: &mut Context<'_>, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.due.as_mut().reset((Instant::now() + self.idle).min(self.end));
            return polled;
        }
        self.due.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let polled = match &mut self.wire {
            Wire::Tcp(stream) => Pin::new(stream).poll_read(cx, buffer),
            Wire::Unix(stream) => Pin::new(stream).poll_read(cx, buffer),
        };
        self.in_time(cx, polled)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = match &mut self.wire {
            Wire::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Wire::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
        };
        self.in_time(cx, polled)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.wire {
            Wire::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Wire::Unix(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.wire {
            Wire::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Wire::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    /// An admin address with one connection at a time, on a thread of its own.
    fn address(idle: Duration, age: Duration) -> SocketAddr {
        let (told, address) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                told.send(listener.local_addr().unwrap()).unwrap();
                let bounded = Bounded::new(Socket::Tcp(listener), Bounds { most: 1, idle, age });
                let router = axum::Router::new().route("/", axum::routing::get(|| async { "here" }));
                axum::serve(bounded, router).await.unwrap();
            });
        });
        address.recv().unwrap()
    }

    fn connect(address: SocketAddr) -> std::net::TcpStream {
        let stream = std::net::TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream
    }

    #[test]
    fn who_says_nothing_makes_room_for_the_next() {
        let address = address(Duration::from_millis(100), Duration::from_secs(60));
        let mut silent = connect(address);
        silent.write_all(b"GET / HTTP/1.1\r\n").unwrap();
        let mut next = connect(address);
        next.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        next.read_to_string(&mut answer).unwrap();
        assert!(answer.ends_with("here"), "{answer}");
        assert!(silent.read(&mut [0; 64]).is_ok_and(|count| count == 0));
    }

    #[test]
    fn over_a_unix_socket_only_the_own_user_and_root_may_ask() {
        let own = own_user();
        assert!(Peer::User(Some(own)).may_ask() && Peer::User(Some(0)).may_ask());
        assert!(!Peer::User(Some(own.wrapping_add(4_711).max(1))).may_ask());
        assert!(!Peer::User(None).may_ask(), "whom the kernel does not know nobody knows");
        assert!(Peer::Address(SocketAddr::from(([127, 0, 0, 1], 1))).may_ask());
    }

    #[test]
    fn bytes_that_drip_do_not_buy_a_life() {
        let address = address(Duration::from_secs(60), Duration::from_millis(200));
        let mut dripping = connect(address);
        dripping.write_all(b"GET / HTTP/1.1\r\nX: ").unwrap();
        dripping.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let ended = (0..500).any(|_| {
            let gone = dripping.write_all(b"x").is_err();
            gone || dripping.read(&mut [0; 64]).is_ok_and(|count| count == 0)
        });
        assert!(ended);
    }
}
