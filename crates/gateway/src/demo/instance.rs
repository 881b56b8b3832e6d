//! One instance of one service: a thread, a port, and a header that tells which instance answered.
//!
//! Takes a router, gives an address. Each instance lives on a runtime of its own, so that a slow one slows
//! nobody else, can be taken away and brought back, and ends with the process.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderName, HeaderValue};
use axum::middleware;
use axum::response::Response;
use tokio::sync::watch;

/// What is added to each answer of an instance that is slow.
const SLOW: Duration = Duration::from_millis(600);

/// A service that is not started yet.
pub(crate) struct Service {
    /// Its name, e.g. `users-a`.
    pub(crate) name: &'static str,
    /// Its usual port.
    pub(crate) port: u16,
    /// What it is like, for the greeting.
    pub(crate) about: &'static str,
    /// What it does.
    pub(crate) router: Router,
}

/// A running instance.
#[derive(Debug, Clone)]
pub struct Instance {
    name: &'static str,
    about: &'static str,
    address: SocketAddr,
    open: Arc<watch::Sender<bool>>,
    slow: Arc<AtomicBool>,
}

impl Instance {
    pub(crate) fn start(service: Service) -> io::Result<Instance> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, service.port))
            .or_else(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))?;
        let address = listener.local_addr()?;
        let slow = Arc::new(AtomicBool::new(false));
        let slowed = Arc::clone(&slow);
        let router = service.router.layer(middleware::map_response(move |mut answer: Response| {
            let name = HeaderValue::from_static(service.name);
            answer.headers_mut().insert(HeaderName::from_static("x-instance"), name);
            let pause = slowed.load(Ordering::Relaxed).then_some(SLOW);
            async move {
                if let Some(pause) = pause {
                    tokio::time::sleep(pause).await;
                }
                answer
            }
        }));
        let (open, opened) = watch::channel(true);
        thread::Builder::new()
            .name(service.name.to_owned())
            .spawn(move || live(Some(listener), address, &router, opened))?;
        Ok(Instance { name: service.name, about: service.about, address, open: Arc::new(open), slow })
    }

    /// One that runs by itself and stays open.
    pub(crate) fn elsewhere(name: &'static str, about: &'static str, address: SocketAddr) -> Instance {
        Instance { name, about, address, open: Arc::new(watch::Sender::new(true)), slow: Arc::default() }
    }

    /// Takes it away, as a machine that lost its power, or brings it back.
    pub(crate) fn set_open(&self, open: bool) {
        self.open.send_replace(open);
    }

    /// Lets each of its answers wait for a good half of a second, or no longer.
    pub(crate) fn set_slow(&self, slow: bool) {
        self.slow.store(slow, Ordering::Relaxed);
    }

    /// Its name, e.g. `users-a`.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// What it is like, in a few words.
    pub fn about(&self) -> &'static str {
        self.about
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The variable by which the configuration knows its URL, e.g. `USERS_A`.
    pub fn variable(&self) -> String {
        self.name.to_uppercase().replace('-', "_")
    }
}

/// Serves while it is open; closed, nobody listens and no connection is left. Ends with the process.
fn live(
    mut listener: Option<TcpListener>,
    address: SocketAddr,
    router: &Router,
    mut open: watch::Receiver<bool>,
) -> io::Result<()> {
    loop {
        // A runtime for each opening: what is still under way ends with it.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            if open.wait_for(|open| *open).await.is_err() {
                return Ok(());
            }
            let listening = match listener.take() {
                Some(listener) => {
                    listener.set_nonblocking(true)?;
                    tokio::net::TcpListener::from_std(listener)?
                }
                None => tokio::net::TcpListener::bind(address).await?,
            };
            tokio::select! {
                ended = axum::serve(listening, router.clone()) => ended,
                _ = open.wait_for(|open| !*open) => Ok(()),
            }
        })?;
        if open.has_changed().is_err() {
            return Ok(());
        }
    }
}
