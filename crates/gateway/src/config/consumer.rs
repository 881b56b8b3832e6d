//! Consumers: callers that the configuration knows by name.

use super::pairs::{OneOrMany, Pairs};
use super::place::Spanned;
use crate::values::{KeyHash, Moment, Name, Secret};
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
    /// Its API keys, for the policy `api_key`: hashes as `tidegate key new` prints them, or maps with `hash`,
    /// `not_before` and `expires`. Several at a time, so that a key can be changed without a moment without one.
    pub api_keys: OneOrMany<ApiKey>,
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
