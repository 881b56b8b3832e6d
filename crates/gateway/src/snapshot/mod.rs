//! What runs: a configuration compiled, swapped in one step.
//!
//! `compile` makes a [`Snapshot`] of a configuration and is the only place that may refuse one; `live` publishes it;
//! `worker` is what one worker sees of it. No request sees two configurations.

mod aggregate;
pub mod bans;
pub mod canary;
pub mod compile;
pub mod live;
mod mock;
mod pattern;
mod secure;
mod services;
mod split;
mod stats;
mod stranger;
pub mod worker;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use crate::config::ProxyProtocol;
use crate::http::client::ClientLimits;
use crate::http::trust::Trust;
use crate::identity::{Callers, Kept};
use crate::observe::RouteStats;
use crate::policies;
use crate::route::compiled::{Action, Route};
use crate::route::table::Table;
use crate::tls::acme::Proofs;
use crate::tls::listener::ListenerTls;
use crate::tls::target::Identity;
use crate::upstream::request::Forwarding;
use crate::upstream::service::Service;

/// One configuration, compiled.
pub struct Snapshot {
    /// Its number: 1 for the first of this process, one more with each reload.
    pub revision: u64,
    /// Finds the place of a route in [`Snapshot::routes`].
    pub table: Table<u32>,
    /// All routes: first those that are written, then those that the parts of aggregates run as.
    pub routes: Vec<Route>,
    /// How many of them are written.
    pub written: usize,
    /// All services.
    pub services: Vec<Arc<Service>>,
    /// All listeners.
    pub listeners: Vec<Arc<Listener>>,
    /// Who the gateway is to targets under TLS, each once.
    pub identities: Vec<Arc<Identity>>,
    /// Who calls, as far as the configuration names them.
    pub callers: Arc<Callers>,
    /// What the control side keeps fresh: keys of issuers, tokens for services.
    pub kept: Kept,
    /// Proofs for authorities that are served in clear; `None` where no certificate is ordered.
    pub proofs: Option<Arc<Proofs>>,
    /// Which forwarding fields services get.
    pub forwarding: Forwarding,
    /// The answers that are kept; `None` where no route has a cache.
    pub cache: Option<Arc<policies::cache::Store>>,
    /// Bytes that they may take.
    pub cache_memory: u64,
    /// What policies remember beyond this snapshot.
    pub lives: policies::Remembered,
    /// Who is kept out by hand.
    pub bans: Arc<bans::Bans>,
    /// The folder of what is to outlive restarts.
    pub state: Option<PathBuf>,
    /// Counts requests that no route takes.
    pub unrouted: Arc<RouteStats>,
    /// Counts what callers of each group did, by the names of groups in order.
    pub groups: Vec<(Arc<str>, Arc<RouteStats>)>,
    /// Watches who sends them, where the guard stands in `defaults`.
    pub stranger: Option<policies::Bound>,
}

/// A listener of the snapshot.
pub struct Listener {
    /// Its name in the configuration.
    pub name: Arc<str>,
    /// Where it listens, as written: the port may be 0.
    pub address: SocketAddr,
    /// TLS on it; `None` in clear.
    pub tls: Option<Arc<ListenerTls>>,
    /// Whether it serves HTTP/2.
    pub http2: bool,
    /// Where requests in clear are sent instead: the port of the listener that speaks TLS; `None` when they are served.
    pub https_port: Option<u16>,
    /// What bounds its clients.
    pub limits: Arc<ClientLimits>,
    /// Whom it believes about where requests come from.
    pub trust: Trust,
    /// Whether connections begin with a PROXY protocol header.
    pub proxy_protocol: ProxyProtocol,
    /// Connections it takes at a time.
    pub max_connections: usize,
    /// Of these, connections of one client address.
    pub max_client_connections: u32,
    /// Bytes of body taken where the route says nothing.
    pub body_limit: u64,
}

impl Listener {
    /// Whether services get the certificates of its clients.
    pub fn tells_certificates(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.client_cert_header)
    }
}

impl Snapshot {
    /// Lets policies read what they need, before it runs. Never called on a worker.
    pub fn start(&self) {
        if let Some(state) = &self.state {
            self.bans.keep_in(state);
        }
        let policies = self.routes.iter().flat_map(|route| &route.policies).chain(&self.stranger);
        policies.for_each(|bound| bound.policy.start());
    }

    /// The route at a place.
    pub fn route(&self, place: u32) -> Option<&Route> {
        self.routes.get(place as usize)
    }

    /// The routes that are written.
    pub fn written_routes(&self) -> &[Route] {
        self.routes.get(..self.written).unwrap_or(&self.routes)
    }

    /// The service at a place.
    pub fn service(&self, place: u32) -> Option<&Arc<Service>> {
        self.services.get(place as usize)
    }

    /// The name of the service a route forwards to, the first of several; empty when it answers itself.
    pub fn service_of(&self, route: &Route) -> &str {
        let main = match &route.action {
            Action::Forward(place, _) => Some(*place),
            Action::Split(split) => split.arms.first().map(|arm| arm.service),
            Action::Aggregate(_) | Action::Respond(_) | Action::Mock(_) | Action::Redirect { .. } => None,
        };
        main.and_then(|place| self.service(place)).map_or("", |service| &*service.name)
    }

    /// Takes over what is shared with the snapshot before, once this one runs.
    pub fn take_effect(&self) {
        if let Some(cache) = &self.cache {
            cache.resize(self.cache_memory);
        }
    }

    /// The listener of a name.
    pub fn listener(&self, name: &str) -> Option<&Arc<Listener>> {
        self.listeners.iter().find(|listener| &*listener.name == name)
    }
}
