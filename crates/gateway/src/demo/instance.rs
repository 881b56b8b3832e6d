//! One instance of one service: a thread, a port, and a header that tells which instance answered.
//!
//! Takes a router, gives an address. Each instance lives on a runtime of its own, so that a slow one slows
//! nobody else, and ends with the process.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::thread;

use axum::Router;
use axum::http::{HeaderName, HeaderValue};
use axum::middleware;
use axum::response::Response;

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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    name: &'static str,
    about: &'static str,
    address: SocketAddr,
}

impl Instance {
    pub(crate) fn start(service: Service) -> io::Result<Instance> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, service.port))
            .or_else(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let router = service.router.layer(middleware::map_response(move |mut answer: Response| {
            let name = HeaderValue::from_static(service.name);
            answer.headers_mut().insert(HeaderName::from_static("x-instance"), name);
            async { answer }
        }));
        thread::Builder::new().name(service.name.to_owned()).spawn(move || {
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener)?;
                axum::serve(listener, router).await
            })
        })?;
        Ok(Instance { name: service.name, about: service.about, address })
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
