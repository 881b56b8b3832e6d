//! Who the gateway is to its targets, and whom it believes: one configuration of rustls for each identity.
//!
//! An identity has a number of its own and its own store of sessions, so that no two share a connection or a ticket.
//! Built anew, with another number, when its settings or its files change.

use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::SingleCertAndKey;
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use super::files::{self, State};
use super::pair::Pair;
use super::{provider, versions};
use crate::config::{Protocol, ServiceTls};

/// Sessions kept for each identity, to be taken up again.
const SESSIONS: usize = 256;

/// Files as they are seen from where the gateway runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Paths {
    /// The authorities believed.
    pub ca: Option<PathBuf>,
    /// The gateway's own certificate and key.
    pub certificate: Option<(PathBuf, PathBuf)>,
}

impl Paths {
    /// All of them.
    pub fn all(&self) -> Vec<PathBuf> {
        let own = self.certificate.iter().flat_map(|(cert, key)| [cert.clone(), key.clone()]);
        self.ca.iter().cloned().chain(own).collect()
    }

    fn state(&self) -> State {
        let all = self.all();
        files::state(&all.iter().map(PathBuf::as_path).collect::<Vec<_>>())
    }
}

/// One identity.
pub struct Identity {
    /// Unlike that of any other of this process.
    pub id: u64,
    /// What a handshake goes by that offers what the service may speak.
    pub config: Arc<ClientConfig>,
    /// What a handshake goes by that offers HTTP/1.1 alone, with the same sessions.
    pub http1: Arc<ClientConfig>,
    /// What the service may speak.
    pub protocol: Protocol,
    /// As written, to see whether a reload changed it.
    pub settings: ServiceTls,
    /// Its files.
    pub paths: Paths,
    seen: State,
}

impl Identity {
    /// Reads the files of an identity.
    ///
    /// # Errors
    /// A sentence that says which file is wrong and how.
    pub fn load(settings: &ServiceTls, paths: Paths, protocol: Protocol) -> Result<Identity, String> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let seen = paths.state();
        let builder = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(versions(settings.min_version))
            .map_err(|error| error.to_string())?;
        let builder = if settings.insecure_skip_verify {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(Anyone))
        } else {
            let authorities = match &paths.ca {
                Some(path) => Arc::new(files::authorities(path)?),
                None => system_authorities()?,
            };
            builder.with_root_certificates(authorities)
        };
        let mut config = match &paths.certificate {
            Some((cert, key)) => {
                let pair = Pair::load(cert, key)?;
                builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(pair.key)))
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config.resumption = Resumption::in_memory_sessions(SESSIONS);
        let http1 = Arc::new(config.clone());
        match protocol {
            Protocol::Http1 => {}
            Protocol::Http2 => config.alpn_protocols = vec![b"h2".to_vec()],
            Protocol::Auto => config.alpn_protocols.insert(0, b"h2".to_vec()),
        }
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        let settings = settings.clone();
        Ok(Identity { id, config: Arc::new(config), http1, protocol, settings, paths, seen })
    }

    /// Whether these settings and files are the ones it was made of.
    pub fn is_of(&self, settings: &ServiceTls, paths: &Paths, protocol: Protocol) -> bool {
        self.settings == *settings && self.protocol == protocol && self.paths == *paths && self.is_current()
    }

    /// Whether the files are as they were.
    pub fn is_current(&self) -> bool {
        self.seen == self.paths.state()
    }
}

/// A target under TLS: the name it must prove to have, and who the gateway is to it.
#[derive(Clone)]
pub struct Peer {
    /// The name.
    pub name: ServerName<'static>,
    /// The identity.
    pub identity: Arc<Identity>,
}

impl PartialEq for Peer {
    fn eq(&self, other: &Peer) -> bool {
        self.identity.id == other.identity.id && self.name == other.name
    }
}

impl Eq for Peer {}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} as identity {}", self.name.to_str(), self.identity.id)
    }
}

/// The authorities that the system believes, read once.
pub(super) fn system_authorities() -> Result<Arc<RootCertStore>, String> {
    static STORE: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    let store = STORE.get_or_init(|| {
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        Arc::new(store)
    });
    match store.is_empty() {
        true => Err("the system has no certificates of authorities; name a file with `ca`".into()),
        false => Ok(store.clone()),
    }
}

/// Believes everybody who can sign with the key of the certificate shown, whatever stands in it.
#[derive(Debug)]
struct Anyone;

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &provider().signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &provider().signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}
