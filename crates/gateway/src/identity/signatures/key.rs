//! The keys of consumers that sign requests, compiled.

use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::pki_types::pem::PemObject;

use super::name_of;
use super::structured::base64;
use crate::config::{Diagnostics, RsaSignature, SigningKey, Span, codes};
use crate::identity::jose::{Algorithm, BadKey, Key};

/// Longest name of a key.
const LONGEST_ID: usize = 256;

/// Compiles a key; reports what is wrong with it.
pub fn compile(written: &SigningKey, faults: &mut Diagnostics) -> Option<(Key, Algorithm)> {
    let id = &written.key_id;
    if id.is_empty() || id.len() > LONGEST_ID || !id.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        let fault =
            faults.error(codes::BAD_VALUE, id.span(), format!("`{}` cannot be a `keyid`", id.escape_debug()));
        fault.help("write a text of ASCII, as warehouse-2027");
        return None;
    }
    match (&written.secret, &written.public_key) {
        (Some(secret), None) => {
            if written.algorithm.is_some() {
                let text = format!("`algorithm` of the key `{}` is for RSA keys, and it is a secret", **id);
                faults.error(codes::BAD_VALUE, secret.span(), text).help("leave `algorithm` out");
            }
            let Some(bytes) = bytes(secret.expose()) else {
                let text = format!("the secret of the key `{}` is no base64", **id);
                faults
                    .error(codes::BAD_VALUE, secret.span(), text)
                    .help("write base64 with its padding behind `base64:`");
                return None;
            };
            told(Key::shared(&bytes, Algorithm::HS256, None), secret.span(), id, faults)
        }
        (None, Some(pem)) => {
            let wanted = match written.algorithm {
                Some(RsaSignature::V15Sha256) => Algorithm::RS256,
                Some(RsaSignature::PssSha512) | None => Algorithm::PS512,
            };
            let der = SubjectPublicKeyInfoDer::from_pem_slice(pem.as_bytes());
            let key = der.map_err(|_| BadKey::Broken).and_then(|der| Key::from_spki(&der, &[wanted]));
            told(key, pem.span(), id, faults)
        }
        _ => {
            let text = format!("the key `{}` is neither a secret nor a public key", **id);
            let fault = faults.error(codes::BAD_VALUE, id.span(), text);
            fault.help("write one of `secret` and `public_key`");
            None
        }
    }
}

fn bytes(secret: &str) -> Option<Vec<u8>> {
    match secret.strip_prefix("base64:") {
        Some(encoded) => base64(encoded.trim_ascii().as_bytes()),
        None => Some(secret.as_bytes().to_vec()),
    }
}

fn told(
    key: Result<Key, BadKey>,
    place: Span,
    id: &str,
    faults: &mut Diagnostics,
) -> Option<(Key, Algorithm)> {
    let (what, help) = match key {
        Ok(key) => {
            let algorithm = key.algorithms().find(|algorithm| name_of(*algorithm).is_some());
            if let Some(algorithm) = algorithm {
                return Some((key, algorithm));
            }
            ("is of a kind that does not sign requests", "write an Ed25519, P-256, P-384 or RSA key")
        }
        Err(BadKey::Weak) => ("is too short", "a secret has at least 32 bytes: openssl rand -base64 48"),
        Err(_) => ("cannot be read", "write a public key in PEM (-----BEGIN PUBLIC KEY-----)"),
    };
    faults.error(codes::BAD_VALUE, place, format!("the key `{id}` {what}")).help(help);
    None
}
