//! Consumers: callers that the configuration knows by name.

use super::node::Node;
use super::pairs::{OneOrMany, Pairs};
use super::place::{Span, Spanned};
use crate::values::{Duration, HeaderName, KeyHash, Moment, Name, Secret};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A known caller.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct Consumer {
    /// Groups it belongs to, for `allow`, for limits and for services. Default: none.
    pub groups: OneOrMany<Name>,
    /// Scopes that it has whatever its credential says. Default: none.
    pub scopes: OneOrMany<String>,
    /// Roles that it has whatever its credential says. Default: none.
    pub roles: OneOrMany<String>,
    /// Claims by which the policy `jwt` knows that a token is this consumer's, and what they are: `{ azp: mobile-app }`. All
    /// of them must be there. Of several consumers that a token could be, the first in the file counts.
    pub jwt: Pairs<String, String>,
    /// Its names and passwords, for the policy `basic`: `{ user: .., password_hash: .. }`, or a list of them.
    pub basic: OneOrMany<Login>,
    /// Its keys that sign requests, for the policy `hmac`: `{ key_id: .., secret: .. }`, or a list of them.
    pub hmac: OneOrMany<SigningKey>,
    /// Its client certificates, for the policy `mtls`: `{ san: "DNS:orders.internal" }`, or a list of them.
    pub mtls: OneOrMany<Certificate>,
    /// Its API keys, for the policy `api_key`: hashes as `tidegate key new` prints them, or maps with `hash`,
    /// `not_before` and `expires`. Several at a time, so that a key can be changed without a moment without one.
    pub api_keys: OneOrMany<ApiKey>,
    /// The secret of its authenticator app, in base32 (at least 26 letters, for 16 bytes), as `${ALICE_TOTP}` or
    /// `${file:alice.totp}`: where `guard` has `challenge: { totp: true }`, it is asked for a code of that app. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub totp: Option<Spanned<Secret>>,
    /// How often it may ask, on all routes that learn who calls, together and besides what limits a route has of its own:
    /// what the policy `rate_limit` takes, without `per`, `scope`, `cost` and `mode`. The settings stay raw here, as those of
    /// policies do.
    #[serde(skip_deserializing, skip_serializing_if = "Option::is_none")]
    #[schemars(skip)]
    pub rate_limit: Option<Node>,
}

/// The gateway's own signed word on who calls, for services that do not trust their network.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct IdentityToken {
    /// The header that services get it in. Clients cannot send it, on no route and in no spelling. Default:
    /// `X-Identity-Token`.
    pub header: Spanned<HeaderName>,
    /// The `iss` of the token. Default: `tidegate`.
    pub issuer: String,
    /// The `aud` of the token. Default: `services`.
    pub audience: String,
    /// How long it holds, at least 90s: a worker tells the same one for up to a minute. Default: 2m.
    pub ttl: Spanned<Duration>,
    /// The key that signs it: a P-256 private key in PEM (PKCS #8), as `${file:key.pem}`. Default: one that is made when the
    /// gateway starts, which other nodes do not have.
    pub key: Option<Spanned<Secret>>,
}

impl Default for IdentityToken {
    fn default() -> Self {
        #[expect(clippy::expect_used, reason = "this very text is the name of a header")]
        let header = "X-Identity-Token".parse().expect("a name");
        Self {
            header: Spanned::new(header, Span::NONE),
            issuer: "tidegate".to_owned(),
            audience: "services".to_owned(),
            ttl: Spanned::new(Duration::from_secs(120), Span::NONE),
            key: None,
        }
    }
}

/// A client certificate, known by what stands in it. All that is written must be so.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct Certificate {
    /// One of its alternative names with its kind, letter for letter: `DNS:orders.internal`, `URI:spiffe://shop/orders`.
    pub san: Option<String>,
    /// Its subject, letter for letter: `O=Shop, CN=orders.internal`.
    pub subject: Option<String>,
    /// SHA-256 of the whole certificate, in hexadecimal.
    pub fingerprint: Option<String>,
}

/// A key that signs requests (RFC 9421): a secret that both sides have, or the public half of one that only the consumer has.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct SigningKey {
    /// Its name, the `keyid` of signatures.
    pub key_id: Spanned<String>,
    /// The secret, at least 32 bytes, for `hmac-sha256`. Behind `base64:` it is decoded.
    #[serde(default)]
    pub secret: Option<Spanned<Secret>>,
    /// The public key in PEM, as `${file:warehouse.pem}`: Ed25519, ECDSA with P-256 or P-384, or RSA.
    #[serde(default)]
    pub public_key: Option<Spanned<String>>,
    /// For an RSA key: `rsa-pss-sha512` (default) or `rsa-v1_5-sha256`.
    #[serde(default)]
    pub algorithm: Option<RsaSignature>,
}

/// How an RSA key signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum RsaSignature {
    /// RSASSA-PSS with SHA-512.
    #[serde(rename = "rsa-pss-sha512")]
    PssSha512,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    #[serde(rename = "rsa-v1_5-sha256")]
    V15Sha256,
}

/// A name and a password, known by its hash.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct Login {
    /// The name.
    pub user: Spanned<String>,
    /// The hash of the password: argon2 (`$argon2id$..`) or bcrypt (`$2b$..`, of a cost of at most 16).
    pub password_hash: Spanned<Secret>,
}

/// An API key, known by its hash.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(from = "WrittenKey")]
pub struct ApiKey {
    /// The hash of the key.
    pub hash: Spanned<KeyHash>,
    /// From when on it holds.
    pub not_before: Option<Moment>,
    /// From when on it holds no more.
    pub expires: Option<Moment>,
}

/// A key as written: its hash, or a map.
#[derive(Deserialize, JsonSchema)]
#[serde(rename = "$shape", rename_all = "lowercase")]
#[schemars(rename = "WrittenKey", untagged)]
enum WrittenKey {
    Text(Spanned<KeyHash>),
    Map(KeySettings),
}

/// An API key, known by its hash.
#[derive(Deserialize, JsonSchema)]
struct KeySettings {
    /// The hash, as `tidegate key new` prints it.
    hash: Spanned<KeyHash>,
    /// From when on the key holds: a date or a time in UTC. Default: at once.
    not_before: Option<Moment>,
    /// From when on the key holds no more: a date or a time in UTC. Default: never.
    expires: Option<Moment>,
}

impl From<WrittenKey> for ApiKey {
    fn from(written: WrittenKey) -> Self {
        match written {
            WrittenKey::Text(hash) => Self { hash, not_before: None, expires: None },
            WrittenKey::Map(KeySettings { hash, not_before, expires }) => Self { hash, not_before, expires },
        }
    }
}
