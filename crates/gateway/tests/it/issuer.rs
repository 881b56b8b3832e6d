//! An issuer of tokens for tests: a real server with metadata and keys, that can be told to fail in many ways.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use testkit::origin::{Origin, Reply};
use tidegate::identity::jose::Signer;

/// How the issuer answers.
#[derive(Clone)]
pub(crate) enum Mood {
    Well,
    Hang,
    Close,
    Status(u16),
    Says(String),
    Metadata(Value),
}

/// A running issuer.
pub(crate) struct Issuer {
    pub(crate) origin: Origin,
    state: Arc<Mutex<(Vec<Value>, Mood)>>,
}

impl Issuer {
    pub(crate) fn start(keys: &[&Signer]) -> Issuer {
        let state = Arc::new(Mutex::new((keys.iter().map(|key| key.jwk()).collect(), Mood::Well)));
        let told: Arc<Mutex<(Vec<Value>, Mood)>> = state.clone();
        let origin = Origin::answering(move |request| {
            let (keys, mood) = told.lock().unwrap().clone();
            let base = format!("http://{}", request.header("host").unwrap_or_default());
            let metadata = request.target.contains("/.well-known/");
            let answer = match (mood, metadata) {
                (Mood::Hang, _) => return Reply::hang(),
                (Mood::Close, _) => return Reply::close_without_answer(),
                (Mood::Status(status), _) => return Reply::status(status),
                (Mood::Says(text), _) => return Reply::ok(text),
                (Mood::Metadata(metadata), true) => metadata,
                (_, true) => json!({ "issuer": base, "jwks_uri": format!("{base}/keys") }),
                (_, false) => json!({ "keys": keys }),
            };
            Reply::ok(answer.to_string()).header("Content-Type", "application/json")
        });
        Issuer { origin, state }
    }

    pub(crate) fn url(&self) -> String {
        self.origin.url()
    }

    /// From now on it has these keys.
    pub(crate) fn change_keys(&self, keys: &[&Signer]) {
        self.state.lock().unwrap().0 = keys.iter().map(|key| key.jwk()).collect();
    }

    /// From now on it answers so.
    pub(crate) fn be(&self, mood: Mood) {
        self.state.lock().unwrap().1 = mood;
    }

    /// How often its keys were asked for.
    pub(crate) fn fetches(&self) -> usize {
        self.origin.requests().iter().filter(|request| request.target == "/keys").count()
    }
}

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs()
}

/// The claims of a token that holds for five minutes, and these.
pub(crate) fn claims(issuer: &str, more: &Value) -> Value {
    let mut claims = json!({ "iss": issuer, "aud": "shop", "sub": "u1", "exp": now() + 300 });
    claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    claims
}

/// A token of this issuer.
pub(crate) fn token(signer: &Signer, issuer: &str, more: Value) -> String {
    signer.sign("JWT", &claims(issuer, &more)).unwrap()
}

/// `Bearer` and a token.
pub(crate) fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}
