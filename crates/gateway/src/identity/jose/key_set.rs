//! A set of keys (RFC 7517 section 5), and which of them proves a token.

use serde_json::{Map, Value};

use super::algorithm::Algorithm;
use super::key::{BadKey, Key};
use super::token::Token;

/// Most keys that are taken from a set.
const MOST_KEYS: usize = 100;
/// Most signatures that are verified for one token.
const MOST_TRIES: usize = 4;

/// Keys of one issuer.
#[derive(Default)]
pub struct KeySet {
    keys: Vec<Key>,
}

/// Why no key of a set proves a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unproven {
    /// No key has the name that the token asks for.
    UnknownKey,
    /// The key is not for the token's algorithm.
    OtherAlgorithm,
    /// The signature is not that of the key.
    BadSignature,
}

impl KeySet {
    /// A set of these keys.
    pub fn new(keys: Vec<Key>) -> KeySet {
        KeySet { keys }
    }

    /// Reads a set, or a single key. Keys for something else are left out, and so are broken ones of a set that is not
    /// the operator's own: one bad key must not shut everybody out.
    ///
    /// # Errors
    /// What is wrong, in words, when it is no set, when there is no key in it that tokens could be verified by, or
    /// when a key of an own set is broken.
    pub fn from_json(json: &[u8], wanted: &[Algorithm], trusted: bool) -> Result<KeySet, String> {
        let set: Map<String, Value> =
            serde_json::from_slice(json).map_err(|_| "it is no JSON object".to_owned())?;
        let listed = match set.get("keys") {
            Some(Value::Array(keys)) => keys.iter().filter_map(Value::as_object).take(MOST_KEYS).collect(),
            Some(_) => return Err("its `keys` are no list".to_owned()),
            None if set.contains_key("kty") => vec![&set],
            None => return Err("it has no `keys`".to_owned()),
        };
        let mut keys = Vec::new();
        for jwk in listed {
            match Key::from_jwk(jwk, wanted, trusted) {
                Ok(key) => keys.push(key),
                Err(BadKey::NotForThis) => {}
                Err(_) if !trusted => {}
                Err(BadKey::Weak) => return Err("a key in it is too short".to_owned()),
                Err(BadKey::Broken) => return Err("a key in it is broken".to_owned()),
            }
        }
        if keys.is_empty() {
            return Err("it has no key that signatures can be verified by".to_owned());
        }
        Ok(KeySet { keys })
    }

    /// All keys.
    pub fn keys(&self) -> &[Key] {
        &self.keys
    }

    /// Verifies a token by the key that it names, or by those without a name.
    pub fn prove(&self, token: &Token<'_>) -> Result<(), Unproven> {
        let named = |key: &&Key| match (&token.key_id, &key.id) {
            (Some(wanted), Some(own)) => **wanted == **own,
            // Either does not say: then all of the algorithm are tried, within bounds.
            _ => true,
        };
        let mut outcome = Unproven::UnknownKey;
        let mut tries = 0;
        for key in self.keys.iter().filter(named) {
            if !key.does(token.algorithm) {
                outcome = if tries == 0 { Unproven::OtherAlgorithm } else { outcome };
                continue;
            }
            tries = usize::saturating_add(tries, 1);
            if tries > MOST_TRIES {
                break;
            }
            if key.verifies(token.algorithm, token.text, &token.signature) {
                return Ok(());
            }
            outcome = Unproven::BadSignature;
        }
        Err(outcome)
    }
}
