//! TLS of a listener as it runs: what a handshake needs, and what outlives reloads.
//!
//! Built once for each setting of a listener and carried from snapshot to snapshot as long as the setting is the same:
//! tickets go on being good, certificates go on being watched. A change of the authorities of clients makes new keys
//! for tickets too, since a session taken up again is not verified again.

use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::server::NoServerSessionStorage;

use super::certificates::{ACME_ALPN, Certificates, Refreshed};
use super::files::{self, State};
use super::tickets::Tickets;
use super::{identity, provider, versions};
use crate::config::{Challenge, ClientAuth, ListenerTls as Settings};
use crate::observe::handshakes::Handshakes;

/// TLS of one listener.
pub struct ListenerTls {
    /// As written, to see whether a reload changed it.
    pub settings: Settings,
    /// What is shown.
    pub certificates: Arc<Certificates>,
    /// What is counted.
    pub handshakes: Arc<Handshakes>,
    /// The field value of `Strict-Transport-Security`.
    pub hsts: Option<Box<[u8]>>,
    /// Whether clients are asked for certificates.
    pub asks_certificates: bool,
    /// Whether services get a client's certificate.
    pub client_cert_header: bool,
    /// Where ordered certificates are kept, if any are ordered.
    pub acme: Option<Orders>,
    config: ArcSwap<ServerConfig>,
    tickets: ArcSwap<Tickets>,
    authorities: Option<Authorities>,
    /// Whether HTTP/2 is offered to clients that can speak it.
    pub http2: bool,
}

/// Where ordered certificates are kept, and whom the order goes to, as seen from where the gateway runs.
pub struct Orders {
    /// The folder for account and certificate.
    pub folder: PathBuf,
    /// The authorities of the directory's own certificate, if not those of the system.
    pub directory_ca: Option<PathBuf>,
}

/// The file with the authorities of clients.
pub struct Authorities {
    path: PathBuf,
    seen: Mutex<State>,
}

impl Authorities {
    /// Those of a file, whose state is taken before it is read.
    pub fn of(path: PathBuf) -> Authorities {
        let seen = Mutex::new(files::state(&[&path]));
        Authorities { path, seen }
    }
}

impl ListenerTls {
    /// Puts together what a listener needs.
    ///
    /// # Errors
    /// A sentence, when the authorities of clients cannot be read.
    pub fn new(
        settings: Settings,
        certificates: Arc<Certificates>,
        authorities: Option<Authorities>,
        acme: Option<Orders>,
        handshakes: Arc<Handshakes>,
        http2: bool,
    ) -> Result<ListenerTls, String> {
        let (config, tickets) = server_config(&settings, &certificates, authorities.as_ref(), http2)?;
        let hsts = settings.hsts.map(|hsts| {
            let mut value = format!("max-age={}", hsts.max_age.get().as_secs());
            value += if hsts.include_subdomains { "; includeSubDomains" } else { "" };
            value += if hsts.preload { "; preload" } else { "" };
            value.into_bytes().into()
        });
        Ok(ListenerTls {
            asks_certificates: authorities.is_some(),
            client_cert_header: settings.client_cert_header,
            config: ArcSwap::new(config),
            tickets: ArcSwap::new(tickets),
            settings,
            certificates,
            handshakes,
            acme,
            hsts,
            authorities,
            http2,
        })
    }

    /// What the next handshake goes by.
    pub fn config(&self) -> Arc<ServerConfig> {
        self.config.load_full()
    }

    /// The keys that seal sessions.
    pub fn tickets(&self) -> Arc<Tickets> {
        self.tickets.load_full()
    }

    /// Looks at the files again; what is new is used from the next handshake on.
    pub fn refresh(&self) -> Refreshed {
        let mut refreshed = self.certificates.refresh();
        if let Some(authorities) = &self.authorities {
            let now = files::state(&[&authorities.path]);
            let mut seen = authorities.seen.lock().unwrap_or_else(PoisonError::into_inner);
            if *seen != now {
                *seen = now;
                match server_config(&self.settings, &self.certificates, Some(authorities), self.http2) {
                    Ok((config, tickets)) => {
                        self.tickets.store(tickets);
                        self.config.store(config);
                        refreshed.swapped.push(authorities.path.clone());
                    }
                    Err(reason) => refreshed.refused.push(reason),
                }
            }
        }
        let count = |counter: &std::sync::atomic::AtomicU64, by: usize| {
            counter.fetch_add(by as u64, Ordering::Relaxed);
        };
        count(&self.handshakes.swapped, refreshed.swapped.len());
        count(&self.handshakes.refused, refreshed.refused.len());
        refreshed
    }

    /// The files to watch.
    pub fn paths(&self) -> Vec<PathBuf> {
        let authorities = self.authorities.as_ref().map(|authorities| authorities.path.clone());
        self.certificates.paths().into_iter().chain(authorities).collect()
    }
}

fn server_config(
    settings: &Settings,
    certificates: &Arc<Certificates>,
    authorities: Option<&Authorities>,
    http2: bool,
) -> Result<(Arc<ServerConfig>, Arc<Tickets>), String> {
    let builder = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(versions(settings.min_version))
        .map_err(|error| error.to_string())?;
    let required = settings.client_auth != Some(ClientAuth::Optional);
    let (builder, tickets) = match authorities {
        Some(authorities) => {
            let believed = files::authorities(&authorities.path)?;
            let tickets = Tickets::new(Some(&believed), required)?;
            (builder.with_client_cert_verifier(identity::verifier(believed, required)?), tickets)
        }
        None => (builder.with_no_client_auth(), Tickets::new(None, false)?),
    };
    let mut config = builder.with_cert_resolver(certificates.clone());
    // Tickets are sealed by keys of this listener alone: a ticket of one that asks for no certificate opens nothing on
    // one that does. All workers share them.
    config.ticketer = tickets.clone();
    // Sessions kept here would be a lock that all workers take; every client of today brings a ticket.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.alpn_protocols = if http2 { vec![b"h2".to_vec()] } else { Vec::new() };
    config.alpn_protocols.push(b"http/1.1".to_vec());
    if settings.acme.as_ref().is_some_and(|acme| acme.challenge == Challenge::TlsAlpn01) {
        config.alpn_protocols.push(ACME_ALPN.to_vec());
    }
    Ok((Arc::new(config), tickets))
}
