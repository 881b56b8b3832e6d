//! Origins: HTTP/1.1 servers of threads that do exactly what a test tells them and record every byte.
//!
//! Takes an answer for each request as a closure, gives the test what arrived: requests, raw bytes of each
//! connection, and oddities, which is anything a strict origin would not have accepted from a gateway.
//! An origin is the witness: it must never repair, merge or guess.

mod conversation;
mod reply;
mod request;
mod websocket;

use std::collections::HashMap;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

pub use conversation::{After, Conversation};
pub use reply::Reply;
pub use request::Recorded;
pub use websocket::WebSocketEcho;

use crate::event::Journal;
use crate::wire::Wire;

/// What an origin does with each request once its head has come.
type Behaviour = dyn Fn(&Recorded, &mut Conversation) -> After + Send + Sync;

/// What the threads of an origin share.
pub(crate) struct Shared {
    behaviour: Box<Behaviour>,
    requests: Journal<Recorded>,
    connections: Journal<Connection>,
    sequence: AtomicUsize,
    close_after: Option<usize>,
    idle: Option<Duration>,
    ended: AtomicBool,
}

#[derive(Clone)]
struct Connection {
    peer: SocketAddr,
    record: Arc<Mutex<Vec<u8>>>,
    /// Let go of when the connection ends, so that a reset is one.
    stream: Option<Arc<TcpStream>>,
    busy: bool,
    odd: Vec<String>,
}

/// How an origin is to behave, before it starts.
pub struct Builder {
    address: SocketAddr,
    tls: Option<Arc<rustls::ServerConfig>>,
    close_after: Option<usize>,
    idle: Option<Duration>,
}

impl Builder {
    /// The address to listen on instead of a free port of 127.0.0.1.
    pub fn address(mut self, address: SocketAddr) -> Builder {
        self.address = address;
        self
    }

    /// Speaks TLS with this configuration.
    pub fn tls(mut self, config: Arc<rustls::ServerConfig>) -> Builder {
        self.tls = Some(config);
        self
    }

    /// Closes each connection after that many requests, without a word in the answer.
    pub fn close_after(mut self, requests: usize) -> Builder {
        self.close_after = Some(requests);
        self
    }

    /// Closes a connection that has been idle for so long.
    pub fn idle(mut self, time: Duration) -> Builder {
        self.idle = Some(time);
        self
    }

    /// Starts with an answer for each whole request.
    pub fn answering(self, answer: impl Fn(&Recorded) -> Reply + Send + Sync + 'static) -> Origin {
        self.conversing(move |_, conversation| {
            let Some(request) = conversation.read_request() else { return After::Close };
            let reply = answer(&request);
            conversation.answer(&request, reply)
        })
    }

    /// Starts with full control from the head of each request on: body, answer, pace.
    pub fn conversing(
        self,
        behaviour: impl Fn(&Recorded, &mut Conversation) -> After + Send + Sync + 'static,
    ) -> Origin {
        let listener = TcpListener::bind(self.address)
            .unwrap_or_else(|error| panic!("an origin cannot listen on {}: {error}", self.address));
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            behaviour: Box::new(behaviour),
            requests: Journal::default(),
            connections: Journal::default(),
            sequence: AtomicUsize::new(0),
            close_after: self.close_after,
            idle: self.idle,
            ended: AtomicBool::new(false),
        });
        let accepting = Arc::clone(&shared);
        let (tls, secure) = (self.tls.clone(), self.tls.is_some());
        thread::spawn(move || accept(&listener, &accepting, tls.as_ref()));
        Origin { address, secure, shared }
    }
}

/// A running origin; it ends, and closes its connections, when dropped.
pub struct Origin {
    address: SocketAddr,
    secure: bool,
    shared: Arc<Shared>,
}

impl Origin {
    /// An origin to be told more about before it starts.
    pub fn builder() -> Builder {
        Builder { address: (Ipv4Addr::LOCALHOST, 0).into(), tls: None, close_after: None, idle: None }
    }

    /// An origin that answers every request with an account of it (see [`Reply::echo`]).
    pub fn start() -> Origin {
        Origin::answering(Reply::echo)
    }

    /// An origin with an answer for each whole request.
    pub fn answering(answer: impl Fn(&Recorded) -> Reply + Send + Sync + 'static) -> Origin {
        Origin::builder().answering(answer)
    }

    /// An origin with full control from the head of each request on.
    pub fn conversing(
        behaviour: impl Fn(&Recorded, &mut Conversation) -> After + Send + Sync + 'static,
    ) -> Origin {
        Origin::builder().conversing(behaviour)
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// Its URL, e.g. `http://127.0.0.1:1234`.
    pub fn url(&self) -> String {
        format!("{}://{}", if self.secure { "https" } else { "http" }, self.address)
    }

    /// Every request so far, in the order of arrival.
    pub fn requests(&self) -> Vec<Recorded> {
        self.shared.requests.all()
    }

    /// Waits until at least `count` requests have come.
    #[track_caller]
    pub fn wait_for_requests(&self, count: usize) -> Vec<Recorded> {
        match self.shared.requests.wait(|all| (all.len() >= count).then(|| all.to_vec())) {
            Some(requests) => requests,
            None => panic!("{} requests came of {count}", self.requests().len()),
        }
    }

    /// The one request that came; fails the test when there were more or none.
    #[track_caller]
    pub fn only_request(&self) -> Recorded {
        let requests = self.wait_for_requests(1);
        assert_eq!(requests.len(), 1, "more than one request: {requests:?}");
        requests[0].clone()
    }

    /// The raw bytes received on each connection, in the order of opening.
    pub fn connections(&self) -> Vec<Vec<u8>> {
        self.shared.connections.all().iter().map(|c| c.record.lock().unwrap().clone()).collect()
    }

    /// All raw bytes received, as text, for what must not have come.
    pub fn received(&self) -> String {
        self.connections().iter().map(|bytes| String::from_utf8_lossy(bytes).into_owned()).collect()
    }

    /// How many connections are open now.
    pub fn open_connections(&self) -> usize {
        self.shared.connections.all().iter().filter(|connection| connection.stream.is_some()).count()
    }

    /// Waits until exactly `count` connections are open.
    #[track_caller]
    pub fn wait_for_open_connections(&self, count: usize) {
        let open = |all: &[Connection]| all.iter().filter(|connection| connection.stream.is_some()).count();
        let found = self.shared.connections.wait(|all| (open(all) == count).then_some(()));
        assert!(found.is_some(), "{} connections are open, not {count}", self.open_connections());
    }

    /// Closes every connection on which no request is being answered; says how many.
    pub fn close_idle(&self) -> usize {
        let idle = |all: &[Connection]| {
            let busy = all.iter().any(|connection| connection.stream.is_some() && connection.busy);
            (!busy).then(|| all.iter().filter_map(|connection| connection.stream.clone()).collect::<Vec<_>>())
        };
        let streams = self.shared.connections.wait(idle).expect("a connection stays busy");
        for stream in &streams {
            let _ = stream.shutdown(Shutdown::Both);
        }
        self.wait_for_open_connections(0);
        streams.len()
    }

    /// What a strict origin would not have accepted, and bytes that no request of a client explains.
    pub fn oddities(&self) -> Vec<String> {
        self.shared.connections.all().iter().flat_map(|connection| connection.odd.clone()).collect()
    }

    /// Fails the test when anything odd has arrived.
    #[track_caller]
    pub fn assert_clean(&self) {
        assert!(self.oddities().is_empty(), "odd bytes reached the origin: {:?}", self.oddities());
    }

    /// How often each target was asked for.
    pub fn targets(&self) -> HashMap<String, usize> {
        let mut targets = HashMap::new();
        for request in self.requests() {
            *targets.entry(request.target).or_default() += 1;
        }
        targets
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        // The accepting thread is woken by a last connection and goes.
        let _ = TcpStream::connect(self.address);
        for stream in self.shared.connections.all().iter().filter_map(|c| c.stream.as_deref()) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>, tls: Option<&Arc<rustls::ServerConfig>>) {
    for stream in listener.incoming() {
        if shared.ended.load(Ordering::SeqCst) {
            return;
        }
        let Ok(stream) = stream else { continue };
        let Ok(peer) = stream.peer_addr() else { continue };
        let handle = Arc::new(stream.try_clone().unwrap());
        let mut wire = Wire::new(stream);
        let number = shared.connections.change(|all| {
            all.push(Connection {
                peer,
                record: wire.record(),
                stream: Some(handle),
                busy: false,
                odd: Vec::new(),
            });
            all.len() - 1
        });
        let shared = Arc::clone(shared);
        let tls = tls.map(|config| rustls::ServerConnection::new(Arc::clone(config)).unwrap());
        thread::spawn(move || {
            // A gateway that does not come through the handshake is known by the connection without a request.
            if tls.is_some_and(|tls| wire.secure(tls).is_err()) {
                shared.connections.change(|all| all[number].stream = None);
                return;
            }
            let odd = conversation::serve(wire, &shared, number);
            shared.connections.change(|all| {
                all[number].odd.extend(odd);
                all[number].stream = None;
            });
        });
    }
}

impl Shared {
    pub(crate) fn flag(&self, connection: usize, what: String) {
        self.connections.change(|all| {
            let peer = all[connection].peer;
            all[connection].odd.push(format!("{what} (connection {connection} from {peer})"));
        });
    }

    pub(crate) fn set_busy(&self, connection: usize, busy: bool) {
        self.connections.change(|all| all[connection].busy = busy);
    }
}
