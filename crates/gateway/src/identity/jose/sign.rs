//! Signs tokens: the gateway's own word on who calls, and those of the development issuer.
//!
//! One kind of key, P-256, whose signatures are short and verified by everybody (ES256).

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::{Value, json};

use super::base64url::encode;

/// A key that signs, and its name.
pub struct Signer {
    pair: EcdsaKeyPair,
    id: String,
}

impl Signer {
    /// A new key; none when the system gives no random numbers.
    pub fn generate() -> Option<Signer> {
        Signer::of(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).ok()?)
    }

    /// The key of a PKCS #8 document (RFC 5208).
    pub fn from_pkcs8(document: &[u8]) -> Option<Signer> {
        Signer::of(EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document).ok()?)
    }

    fn of(pair: EcdsaKeyPair) -> Option<Signer> {
        let (x, y) = point(&pair)?;
        // The thumbprint (RFC 7638 section 3): the same key has the same name everywhere.
        let members = format!("{{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"{x}\",\"y\":\"{y}\"}}");
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, members.as_bytes());
        Some(Signer { id: encode(digest.as_ref()), pair })
    }

    /// The name of the key.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The public half, as a key of a set.
    pub fn jwk(&self) -> Value {
        let (x, y) = point(&self.pair).unwrap_or_default();
        json!({ "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": self.id, "x": x, "y": y })
    }

    /// Signs claims as a token of this `typ`. None when the system gives no random numbers.
    pub fn sign(&self, kind: &str, claims: &Value) -> Option<String> {
        self.sign_as(&json!({ "alg": "ES256", "typ": kind, "kid": self.id }), claims)
    }

    /// Signs claims under this header, whatever it says.
    pub fn sign_as(&self, header: &Value, claims: &Value) -> Option<String> {
        let text =
            format!("{}.{}", encode(header.to_string().as_bytes()), encode(claims.to_string().as_bytes()));
        let signature = self.pair.sign(&SystemRandom::new(), text.as_bytes()).ok()?;
        Some(format!("{text}.{}", encode(signature.as_ref())))
    }
}

/// The coordinates of the public key, encoded: behind a 4 stand both (SEC 1 section 2.3.3).
fn point(pair: &EcdsaKeyPair) -> Option<(String, String)> {
    let bytes = pair.public_key().as_ref();
    Some((encode(bytes.get(1..33)?), encode(bytes.get(33..65)?)))
}
