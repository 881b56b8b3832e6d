//! TLS of the snapshot: of listeners, and of services towards their targets.
//!
//! The one part of compiling that reads files, because a certificate that cannot be used is a fault of the
//! configuration. What did not change is carried over from the snapshot before, its files unread.

use std::sync::Arc;

use rustls::pki_types::ServerName;

use super::Snapshot;
use crate::config::{
    Acme, CertificateFiles, Config, Diagnostics, Listener, Protocol, Service, ServiceTls, Span, Spanned,
    codes,
};
use crate::observe::handshakes::Handshakes;
use crate::tls::acme::{Proofs, certificate_file};
use crate::tls::certificates::Certificates;
use crate::tls::files::{self, beside};
use crate::tls::listener::{Authorities, ListenerTls, Orders};
use crate::tls::pair::Pair;
use crate::tls::target::{Identity, Paths, Peer};
use crate::values::{TargetHost, TargetUrl};
use std::path::PathBuf;
use std::time::SystemTime;

/// A file as written, seen from where the gateway runs.
fn path(written: &Spanned<String>, faults: &Diagnostics) -> PathBuf {
    let place = faults.files().place(written.span());
    beside(place.as_ref().map(|place| &*place.file), written)
}

/// Whether a listener serves HTTP/2.
pub(super) fn http2(listener: &Listener) -> bool {
    listener.http2.unwrap_or(listener.tls.is_some())
}

/// TLS of a listener: the one before when nothing about it was changed.
pub(super) fn listener(
    name: &Spanned<String>,
    listener: &Listener,
    previous: Option<&Snapshot>,
    faults: &mut Diagnostics,
) -> Option<Arc<ListenerTls>> {
    let settings = listener.tls.as_ref()?;
    let known = previous.and_then(|previous| previous.listener(name)).and_then(|known| known.tls.as_ref());
    if let Some(known) = known.filter(|known| known.settings == *settings && known.http2 == http2(listener)) {
        return Some(known.clone());
    }
    let mut wrong = |message: String, help: &str| {
        faults.error(codes::CONFLICT, name.span(), message).help(help);
    };
    if settings.certificates.is_empty() && settings.acme.is_none() {
        wrong(
            format!("`tls` of listener `{name}` names no certificate"),
            "add `certificates: { cert: FILE, key: FILE }`, or `acme`",
        );
    }
    if settings.client_ca.is_none() && (settings.client_auth.is_some() || settings.client_cert_header) {
        let which = if settings.client_auth.is_some() { "client_auth" } else { "client_cert_header" };
        wrong(
            format!(
                "`{which}` of listener `{name}` needs authorities whose client certificates are believed"
            ),
            "add `client_ca: FILE`",
        );
    }
    let mut pairs = Vec::new();
    for written in settings.certificates.iter() {
        pairs.extend(pair(written, faults));
    }
    let authorities = settings.client_ca.as_ref().map(|ca| Authorities::of(path(ca, faults)));
    let acme = settings.acme.as_ref().and_then(|acme| orders(name, acme, faults));
    let handshakes = known.map_or_else(Arc::<Handshakes>::default, |known| known.handshakes.clone());
    let certificates = Certificates::new(pairs);
    if let Some(acme) = &acme {
        // What an earlier process ordered. Without it, or with another, one is ordered once the gateway runs.
        let path = certificate_file(&acme.folder);
        if let Ok(pair) = Pair::load(&path, &path) {
            certificates.adopt(pair);
        }
    }
    let made =
        ListenerTls::new(settings.clone(), certificates, authorities, acme, handshakes, http2(listener));
    match made {
        Ok(made) => {
            // Another certificate costs no client its session.
            known.map(|known| made.tickets().adopt(&known.tickets().hand(name)));
            Some(Arc::new(made))
        }
        Err(reason) => {
            let span = settings.client_ca.as_ref().map_or(name.span(), Spanned::span);
            faults.error(codes::BAD_TLS, span, reason);
            None
        }
    }
}

/// Checks what is said of orders.
fn orders(name: &Spanned<String>, acme: &Acme, faults: &mut Diagnostics) -> Option<Orders> {
    let mut wrong = |message: String, help: &str| {
        faults.error(codes::BAD_VALUE, name.span(), message).help(help);
    };
    if !acme.agree_to_terms {
        wrong(
            format!("`acme` of listener `{name}` does not agree to the terms of the authority"),
            "read them, and write `agree_to_terms: true`",
        );
    }
    let is_name = |domain: &String| matches!(domain.parse(), Ok(TargetHost::Name(_)));
    if acme.domains.is_empty() || !acme.domains.iter().all(is_name) {
        wrong(
            format!("`acme.domains` of listener `{name}` holds what is no name of a host"),
            "write names such as shop.example; a wildcard cannot be proved this way",
        );
    }
    if !acme.directory.starts_with("https://") && !acme.directory.starts_with("http://127.0.0.1:") {
        let message = "the directory of an authority is reached by https";
        faults.error(codes::BAD_VALUE, acme.directory.span(), message).help("write its URL: https://..");
    }
    let directory_ca = acme.directory_ca.as_ref().map(|ca| path(ca, faults));
    if let (Some(ca), Some(written)) = (&directory_ca, &acme.directory_ca)
        && let Err(reason) = files::authorities(ca)
    {
        faults.error(codes::BAD_TLS, written.span(), reason);
    }
    Some(Orders { folder: path(&acme.folder, faults), directory_ca })
}

type Loaded = (PathBuf, PathBuf, files::State, Pair);

fn pair(written: &CertificateFiles, faults: &mut Diagnostics) -> Option<Loaded> {
    let (cert, key) = (path(&written.cert, faults), path(&written.key, faults));
    let seen = files::state(&[&cert, &key]);
    match Pair::load(&cert, &key) {
        Ok(pair) => {
            if let Some(untimely) = pair.untimely(SystemTime::now()) {
                let message = format!("the certificate in `{}` {untimely}", cert.display());
                faults
                    .warning(codes::BAD_TLS, written.cert.span(), message)
                    .help("renew it: clients refuse it");
            }
            Some((cert, key, seen, pair))
        }
        Err(reason) => {
            // Shown where the file stands that the sentence is about.
            let about_key = reason.contains(&format!("`{}`", key.display()));
            let span = if about_key { written.key.span() } else { written.cert.span() };
            let help = "relative paths start at the folder of the file that names them";
            let report = faults.error(codes::BAD_TLS, span, &reason);
            if reason.starts_with("cannot read") {
                report.help(help);
            }
            None
        }
    }
}

/// Where a listener sends requests that come in clear.
pub(super) fn https_port(
    config: &Config,
    name: &Spanned<String>,
    listener: &Listener,
    faults: &mut Diagnostics,
) -> Option<u16> {
    if !listener.redirect_http {
        return None;
    }
    let own = listener.tls.is_some().then_some(listener);
    let secure = config.listeners.iter().map(|(_, listener)| listener).find(|other| other.tls.is_some());
    let Some(secure) = own.or(secure) else {
        let message = format!("`redirect_http` of listener `{name}` leads nowhere: no listener has `tls`");
        faults.error(codes::CONFLICT, name.span(), message).help("add a listener with `tls`");
        return None;
    };
    Some(secure.address.get().port())
}

/// Where proofs are held, where certificates are ordered: the same place as before.
pub(super) fn proofs(config: &Config, previous: Option<&Snapshot>) -> Option<Arc<Proofs>> {
    let orders = |listener: &Listener| listener.tls.as_ref().is_some_and(|tls| tls.acme.is_some());
    let known = previous.and_then(|previous| previous.proofs.clone());
    config.listeners.iter().any(|(_, listener)| orders(listener)).then(|| known.unwrap_or_default())
}

/// Who the gateway is to targets: one identity for equal settings.
pub(super) struct Identities<'a> {
    pub(super) list: Vec<Arc<Identity>>,
    known: &'a [Arc<Identity>],
}

impl<'a> Identities<'a> {
    pub(super) fn new(previous: Option<&'a Snapshot>) -> Identities<'a> {
        Identities { list: Vec::new(), known: previous.map_or(&[], |previous| &previous.identities) }
    }

    /// The identity towards a service's targets under TLS, if it has such.
    pub(super) fn of(
        &mut self,
        name: &str,
        span: Span,
        service: &Service,
        faults: &mut Diagnostics,
    ) -> Option<Arc<Identity>> {
        let settings = &service.tls;
        if !service.targets.iter().any(|target| target.url.is_secure()) {
            if *settings != ServiceTls::default() {
                let message = format!("service `{name}` has settings for TLS and no target under `https`");
                faults.warning(codes::UNUSED, span, message).help("write https:// before the targets");
            }
            return None;
        }
        if settings.insecure_skip_verify {
            if settings.ca.is_some() {
                let message = format!("service `{name}` names authorities in `ca` and believes anybody");
                faults.error(codes::CONFLICT, span, message).help("remove `insecure_skip_verify`");
            }
            let message =
                format!("service `{name}` believes any certificate: the way to its targets is not safe");
            faults.warning(codes::BAD_TLS, span, message).help("name their authority with `ca` instead");
        }
        let paths = Paths {
            ca: settings.ca.as_ref().map(|ca| path(ca, faults)),
            certificate: settings
                .certificate
                .as_ref()
                .map(|own| (path(&own.cert, faults), path(&own.key, faults))),
        };
        let same = |identity: &&Arc<Identity>| identity.is_of(settings, &paths, service.protocol);
        if let Some(made) = self.list.iter().find(same) {
            return Some(made.clone());
        }
        let identity = match self.known.iter().find(same) {
            Some(known) => known.clone(),
            None => match Identity::load(settings, paths, service.protocol) {
                Ok(identity) => Arc::new(identity),
                Err(reason) => {
                    let ca = settings.ca.as_ref().map(Spanned::span);
                    let own = settings.certificate.as_ref().map(|own| own.cert.span());
                    let message = format!("service `{name}`: {reason}");
                    faults.error(codes::BAD_TLS, ca.or(own).unwrap_or(span), message);
                    return None;
                }
            },
        };
        self.list.push(identity.clone());
        Some(identity)
    }
}

/// What is spoken to a target: in clear there is no handshake to choose in.
pub(super) fn protocol(url: &TargetUrl, wanted: Protocol) -> Protocol {
    if wanted == Protocol::Auto && !url.is_secure() { Protocol::Http1 } else { wanted }
}

/// What a target under TLS must prove.
pub(super) fn peer(
    url: &Spanned<TargetUrl>,
    settings: &ServiceTls,
    identity: Option<&Arc<Identity>>,
    faults: &mut Diagnostics,
) -> Option<Peer> {
    let identity = identity.filter(|_| url.is_secure())?.clone();
    let name = match (&settings.server_name, url.host()) {
        (Some(name), _) => ServerName::try_from(name.to_string()),
        (None, TargetHost::Name(name)) => {
            // A certificate names no root (RFC 6125 section 6.4).
            ServerName::try_from(name.strip_suffix('.').unwrap_or(name).to_owned())
        }
        (None, TargetHost::Ip(address)) => Ok(ServerName::from(*address)),
    };
    match name {
        Ok(name) => Some(Peer { name, identity }),
        Err(_) => {
            let span = settings.server_name.as_ref().map_or(url.span(), Spanned::span);
            let message = "no certificate can be for this name";
            faults.error(codes::BAD_VALUE, span, message).help("write a host name in `server_name`");
            None
        }
    }
}
