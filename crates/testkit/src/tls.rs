//! TLS of the tests: an authority of their own, certificates it signs, clients and origins that use them.
//!
//! Everything is made anew for each test and believed by nobody else.

use std::path::Path;
use std::sync::Arc;

pub use ::time::OffsetDateTime as Time;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, CertifiedIssuer, DistinguishedName,
    DnType, IsCa, KeyPair, KeyUsagePurpose,
};
pub use rcgen::{ExtendedKeyUsagePurpose, SanType};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme};

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

    /// The certificate that a request (PKCS #10) asks for, as PEM; the names in it must be these.
    pub fn sign_request(&self, request: &[u8], names: &[String]) -> String {
        let der = request.to_vec().into();
        let mut request = CertificateSigningRequestParams::from_der(&der).unwrap();
        let mut asked: Vec<String> = request.params.subject_alt_names.iter().filter_map(dns_name).collect();
        let mut wanted = names.to_vec();
        asked.sort();
        wanted.sort();
        assert_eq!(asked, wanted, "the request asks for other names");
        let now = Time::now_utc();
        (request.params.not_before, request.params.not_after) =
            (now - ::time::Duration::days(1), now + ::time::Duration::days(89));
        request.signed_by(&self.issuer).unwrap().pem()
    }

    /// A client that believes the authority of this certificate, given as PEM.
    pub fn client_believing(pem: &str) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()).unwrap();
        ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth()
    }

    /// A client that believes whatever it is shown.
    pub fn client_of_anybody(&self) -> ClientConfig {
        ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anybody))
            .with_no_client_auth()
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

fn dns_name(name: &SanType) -> Option<String> {
    match name {
        SanType::DnsName(name) => Some(name.as_str().to_owned()),
        _ => None,
    }
}

/// Believes whatever it is shown.
#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
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
