//! A key that signatures are verified by, each with the algorithms that it is for.
//!
//! Read from a JSON Web Key (RFC 7517), from PEM, or from a shared secret. Too weak a key is no key.

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ECDSA_P521_SHA512_FIXED, ED25519, ParsedPublicKey,
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512,
    RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaParameters,
    RsaPublicKeyComponents, VerificationAlgorithm,
};
use serde_json::{Map, Value};

use super::algorithm::Algorithm;
use super::base64url;

/// A key and what it is for.
pub struct Key {
    /// Its name in its set, by which tokens ask for it.
    pub id: Option<Box<str>>,
    verifiers: Vec<(Algorithm, Verifier)>,
}

enum Verifier {
    Public(ParsedPublicKey),
    // Boxed, because it is twenty times as large.
    Shared(Box<hmac::Key>),
}

/// Why something is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadKey {
    /// It is for something else: encryption, another curve, a kind of key nobody here knows.
    NotForThis,
    /// It is broken, or names an algorithm that its kind cannot do.
    Broken,
    /// A secret shorter than the hash (RFC 7518 section 3.2), or an RSA key of less than 2048 bits.
    Weak,
}

impl Key {
    /// The key of a shared secret for one algorithm.
    pub fn shared(secret: &[u8], algorithm: Algorithm, id: Option<Box<str>>) -> Result<Key, BadKey> {
        let (hash, least) = match algorithm {
            Algorithm::HS256 => (hmac::HMAC_SHA256, 32),
            Algorithm::HS384 => (hmac::HMAC_SHA384, 48),
            Algorithm::HS512 => (hmac::HMAC_SHA512, 64),
            _ => return Err(BadKey::Broken),
        };
        if secret.len() < least {
            return Err(BadKey::Weak);
        }
        Ok(Key { id, verifiers: vec![(algorithm, Verifier::Shared(Box::new(hmac::Key::new(hash, secret))))] })
    }

    /// A public key as its `SubjectPublicKeyInfo` (RFC 5280 section 4.1), what PEM holds between `PUBLIC KEY`. An RSA
    /// key does those of the `wanted` algorithms that are for RSA, or RS256 when none is wanted.
    pub fn from_spki(der: &[u8], wanted: &[Algorithm]) -> Result<Key, BadKey> {
        for (algorithm, with) in ELLIPTIC {
            if let Ok(key) = ParsedPublicKey::new(*with, der) {
                return Ok(Key { id: None, verifiers: vec![(*algorithm, Verifier::Public(key))] });
            }
        }
        let verifiers: Vec<_> = rsa(wanted)
            .filter_map(|(algorithm, with)| {
                Some((algorithm, Verifier::Public(ParsedPublicKey::new(with, der).ok()?)))
            })
            .collect();
        if verifiers.is_empty() { Err(BadKey::Broken) } else { Ok(Key { id: None, verifiers }) }
    }

    /// A key of a set. `trusted` says whether the set is the operator's own and may hold shared secrets.
    pub fn from_jwk(jwk: &Map<String, Value>, wanted: &[Algorithm], trusted: bool) -> Result<Key, BadKey> {
        let text = |name: &str| jwk.get(name).and_then(Value::as_str);
        if text("use").is_some_and(|used| used != "sig") {
            return Err(BadKey::NotForThis);
        }
        if let Some(operations) = jwk.get("key_ops").and_then(Value::as_array)
            && !operations.iter().any(|operation| operation == "verify")
        {
            return Err(BadKey::NotForThis);
        }
        // The key's own algorithm is the only one, where it names one.
        let own = text("alg").map(|name| Algorithm::named(name).ok_or(BadKey::NotForThis)).transpose()?;
        let bytes =
            |name: &str| text(name).and_then(|text| base64url::decode(text.as_bytes())).ok_or(BadKey::Broken);
        let verifiers = match (text("kty"), text("crv")) {
            (Some("EC"), Some(curve)) => {
                let (algorithm, with) = match curve {
                    "P-256" => (Algorithm::ES256, &ECDSA_P256_SHA256_FIXED),
                    "P-384" => (Algorithm::ES384, &ECDSA_P384_SHA384_FIXED),
                    "P-521" => (Algorithm::ES512, &ECDSA_P521_SHA512_FIXED),
                    _ => return Err(BadKey::NotForThis),
                };
                let point = [&[4][..], &bytes("x")?, &bytes("y")?].concat();
                vec![(algorithm, public(with, &point)?)]
            }
            (Some("OKP"), Some("Ed25519")) => vec![(Algorithm::EdDSA, public(&ED25519, &bytes("x")?)?)],
            (Some("RSA"), _) => {
                let (n, e) = (bytes("n")?, bytes("e")?);
                let weak = n.iter().skip_while(|byte| **byte == 0).count() < 256;
                let parts = RsaPublicKeyComponents { n, e };
                let wanted = own.as_ref().map_or(wanted, std::slice::from_ref);
                let keys = rsa(wanted).filter_map(|(algorithm, with)| {
                    Some((algorithm, Verifier::Public(parts.to_parsed_public_key(with).ok()?)))
                });
                if weak { return Err(BadKey::Weak) } else { keys.collect() }
            }
            (Some("oct"), _) if trusted => {
                let algorithm = own.ok_or(BadKey::NotForThis)?;
                Key::shared(&bytes("k")?, algorithm, None)?.verifiers
            }
            _ => return Err(BadKey::NotForThis),
        };
        let fits = own.is_none_or(|own| verifiers.iter().all(|(algorithm, _)| *algorithm == own));
        if verifiers.is_empty() || !fits {
            return Err(BadKey::Broken);
        }
        Ok(Key { id: text("kid").map(Into::into), verifiers })
    }

    /// Whether it verifies signatures of this algorithm.
    pub fn does(&self, algorithm: Algorithm) -> bool {
        self.verifiers.iter().any(|(own, _)| *own == algorithm)
    }

    /// The algorithms it is for.
    pub fn algorithms(&self) -> impl Iterator<Item = Algorithm> {
        self.verifiers.iter().map(|(algorithm, _)| *algorithm)
    }

    /// Whether the signature of the text is this key's, by this algorithm.
    pub fn verifies(&self, algorithm: Algorithm, text: &[u8], signature: &[u8]) -> bool {
        self.verifiers.iter().any(|(own, verifier)| {
            *own == algorithm
                && match verifier {
                    Verifier::Public(key) => key.verify_sig(text, signature).is_ok(),
                    Verifier::Shared(key) => hmac::verify(key, text, signature).is_ok(),
                }
        })
    }
}

const ELLIPTIC: &[(Algorithm, &'static dyn VerificationAlgorithm)] = &[
    (Algorithm::ES256, &ECDSA_P256_SHA256_FIXED),
    (Algorithm::ES384, &ECDSA_P384_SHA384_FIXED),
    (Algorithm::ES512, &ECDSA_P521_SHA512_FIXED),
    (Algorithm::EdDSA, &ED25519),
];

fn public(with: &'static dyn VerificationAlgorithm, bytes: &[u8]) -> Result<Verifier, BadKey> {
    ParsedPublicKey::new(with, bytes).map(Verifier::Public).map_err(|_| BadKey::Broken)
}

/// The algorithms of RSA among those wanted; RS256 when none is wanted, as a key that names none must be for one.
fn rsa(wanted: &[Algorithm]) -> impl Iterator<Item = (Algorithm, &'static RsaParameters)> {
    let wanted = if wanted.is_empty() { &[Algorithm::RS256] } else { wanted };
    wanted.iter().filter_map(|algorithm| {
        let with = match algorithm {
            Algorithm::RS256 => &RSA_PKCS1_2048_8192_SHA256,
            Algorithm::RS384 => &RSA_PKCS1_2048_8192_SHA384,
            Algorithm::RS512 => &RSA_PKCS1_2048_8192_SHA512,
            Algorithm::PS256 => &RSA_PSS_2048_8192_SHA256,
            Algorithm::PS384 => &RSA_PSS_2048_8192_SHA384,
            Algorithm::PS512 => &RSA_PSS_2048_8192_SHA512,
            _ => return None,
        };
        Some((*algorithm, with))
    })
}
