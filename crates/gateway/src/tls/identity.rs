//! Who a client is by its certificate: verified against the listener's authorities, then read.
//!
//! A certificate that is verified and cannot be read without doubt is refused all the same: a name with a zero byte or
//! a comma in it would mean one thing here and another one in a service.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme,
};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{ASN1Time, FromDer, X509Certificate};

use super::provider;
use crate::exchange::secure::ClientCert;
use crate::values::push_ip;

/// A verifier of client certificates.
pub fn verifier(authorities: RootCertStore, required: bool) -> Result<Arc<dyn ClientCertVerifier>, String> {
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(authorities), provider());
    let builder = if required { builder } else { builder.allow_unauthenticated() };
    let inner = builder.build().map_err(|error| error.to_string())?;
    Ok(Arc::new(Readable(inner)))
}

/// Reads a verified certificate; `None` when it cannot be read without doubt, or is not good now.
pub fn read(certificate: &CertificateDer<'_>) -> Option<ClientCert> {
    let (rest, parsed) = X509Certificate::from_der(certificate).ok()?;
    // A session taken up again was verified long ago.
    if !rest.is_empty() || !parsed.validity().is_valid_at(ASN1Time::now()) {
        return None;
    }
    let subject = clean(&parsed.subject().to_string(), b"")?.to_owned();
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, certificate);
    let fingerprint = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let field = format!(":{}:", STANDARD.encode(certificate)).into_bytes().into();
    Some(ClientCert { subject, san: alternatives(&parsed)?, fingerprint, field })
}

fn alternatives(certificate: &X509Certificate<'_>) -> Option<String> {
    let Some(names) = certificate.subject_alternative_name().ok()? else { return Some(String::new()) };
    let mut all = Vec::new();
    for name in &names.value.general_names {
        match name {
            GeneralName::DNSName(name) => all.push(format!("DNS:{}", clean(name, b",")?)),
            GeneralName::URI(uri) => all.push(format!("URI:{}", clean(uri, b",")?)),
            GeneralName::RFC822Name(name) => all.push(format!("email:{}", clean(name, b",")?)),
            GeneralName::IPAddress(bytes) => {
                let mut text = b"IP:".to_vec();
                let v4 = <[u8; 4]>::try_from(*bytes).map(std::net::IpAddr::from).ok();
                let v6 = <[u8; 16]>::try_from(*bytes).map(std::net::IpAddr::from).ok();
                push_ip(&mut text, v4.or(v6)?);
                all.push(String::from_utf8(text).ok()?);
            }
            GeneralName::Invalid(..) => return None,
            // Names of other kinds say nothing that is asked for here.
            _ => {}
        }
    }
    Some(all.join(","))
}

/// The text, unless it holds what no name holds.
fn clean<'t>(text: &'t str, besides: &[u8]) -> Option<&'t str> {
    let odd = text.chars().any(char::is_control) || text.bytes().any(|byte| besides.contains(&byte));
    (!odd).then_some(text)
}

/// Verifies as webpki does, and refuses what [`read`] cannot read.
struct Readable(Arc<dyn ClientCertVerifier>);

impl fmt::Debug for Readable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl ClientCertVerifier for Readable {
    fn offer_client_auth(&self) -> bool {
        self.0.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.0.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.0.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.0.verify_client_cert(certificate, between, now)?;
        match read(certificate) {
            Some(_) => Ok(verified),
            None => Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure)),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
