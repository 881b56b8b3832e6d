//! TLS of the tests: an authority of their own, certificates it signs, clients and origins that use them.
//!
//! Everything is made anew for each test and believed by nobody else.

use std::path::Path;
use std::sync::Arc;

pub use ::time::OffsetDateTime as Time;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair,
    KeyUsagePurpose,
};
pub use rcgen::{ExtendedKeyUsagePurpose, SanType};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};

/// An authority that only this test believes.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate with its key, as PEM.
#[derive(Clone, Debug)]
pub struct Issued {
    /// The certificate.
    pub cert: String,
    /// Its key.
    pub key: String,
}

impl Issued {
    /// Writes both files, each in one step, as `NAME.crt` and `NAME.key`: the key first, as tools that renew do.
    pub fn write(&self, folder: &Path, name: &str) {
        for (ending, text) in [("key", &self.key), ("crt", &self.cert)] {
            let draft = folder.join(format!("{name}.{ending}.new"));
            std::fs::write(&draft, text).unwrap();
            std::fs::rename(draft, folder.join(format!("{name}.{ending}"))).unwrap();
        }
    }

    /// The certificate as DER.
    pub fn der(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(self.cert.as_bytes()).unwrap()
    }

    fn pair(&self) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        (vec![self.der()], PrivateKeyDer::from_pem_slice(self.key.as_bytes()).unwrap())
    }
}

impl Authority {
    /// An authority with this name.
    pub fn new(name: &str) -> Authority {
        let mut params = CertificateParams::default();
        params.distinguished_name = named(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        Authority { issuer }
    }

    /// Its certificate, as PEM.
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// A certificate for these names (or addresses), good for servers and clients.
    pub fn issue(&self, names: &[&str]) -> Issued {
        self.issue_with(names, |_| {})
    }

    /// The same, with more said about it.
    pub fn issue_with(&self, names: &[&str], more: impl FnOnce(&mut CertificateParams)) -> Issued {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names.clone()).unwrap();
        params.distinguished_name = named(names.first().map_or("nobody", String::as_str));
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        more(&mut params);
        let key = KeyPair::generate().unwrap();
        let cert = params.signed_by(&key, &self.issuer).unwrap();
        Issued { cert: cert.pem(), key: key.serialize_pem() }
    }

    /// A client that believes this authority and shows this certificate, if any.
    pub fn client(&self, own: Option<&Issued>) -> ClientConfig {
        let builder = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(self.roots());
        let mut config = match own {
            Some(own) => {
                let (chain, key) = own.pair();
                builder.with_client_auth_cert(chain, key).unwrap()
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config
    }

    /// A server with this certificate; `clients` is the authority of those who may come, if not everybody may.
    pub fn server(own: &Issued, clients: Option<&Authority>) -> Arc<ServerConfig> {
        let builder =
            ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().unwrap();
        let builder = match clients {
            Some(clients) => {
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(clients.roots()), provider());
                builder.with_client_cert_verifier(verifier.build().unwrap())
            }
            None => builder.with_no_client_auth(),
        };
        let (chain, key) = own.pair();
        Arc::new(builder.with_single_cert(chain, key).unwrap())
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        roots
    }
}

/// The cryptography of the tests.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

fn named(name: &str) -> DistinguishedName {
    let mut all = DistinguishedName::new();
    all.push(DnType::OrganizationName, "Tests");
    all.push(DnType::CommonName, name);
    all
}

/// A moment, in seconds since 1970.
pub fn time(seconds: i64) -> Time {
    Time::UNIX_EPOCH + ::time::Duration::seconds(seconds)
}
