//! `basic`: asks for the name and the password of a consumer (RFC 7617).
//!
//! Takes both from `Authorization` and has the password verified off the workers. That it held is remembered by a keyed hash
//! of the two, never by them. Who is not known is checked all the same, so that it takes as long.

use std::rc::Rc;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aws_lc_rs::hmac;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Context;
use super::gate::Credential;
use crate::config::{Diagnostics, Spanned, codes};
use crate::exchange::Exchange;
use crate::identity::gate::usual_patience;
use crate::identity::jose::base64url;
use crate::identity::memory::now;
use crate::identity::patience::Patience;
use crate::identity::{
    Callers, Check, Finding, Found, GateSettings, Place, Realm, Recalled, Refusal, passwords,
};
use crate::values::Rate;

/// Longest credential that is looked at.
const LONGEST: usize = 1024;
/// How long a worker remembers a password that held.
const REMEMBERED: Duration = Duration::from_secs(60);
/// How long a request waits for its password to be verified.
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks for the name and password of one of the `consumers` (HTTP Basic), with 401 for who has none.
///
/// The configuration holds hashes of passwords, by argon2 (`$argon2id$..`) or bcrypt (`$2b$..`), under
/// `consumers: { NAME: { basic: { user: .., password_hash: .. } } }`. A thread of its own verifies them, one at a time, with at
/// most 64 waiting; beyond that the answer is 503. A worker remembers for a minute that a password held.
///
/// ```yaml
/// basic: {}
/// ```
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct Basic {
    /// Whether who has no password, or none that holds, may pass without an identity. Default: false.
    #[serde(default)]
    optional: bool,
    /// How often passwords may fail, by client address and by user, before the next is answered 429 unseen.
    /// Default: 100/min.
    #[serde(default = "usual_patience")]
    max_failures: Rate,
    /// Whether the service gets name and password. Default: false, the gateway takes them out of the request.
    #[serde(default)]
    forward_credentials: bool,
}

impl Credential for Basic {
    const POLICY: &'static str = "basic";
    type Check = Logins;

    fn check(
        &self,
        key: &Spanned<String>,
        context: &Context,
        faults: &mut Diagnostics,
    ) -> Option<Arc<Logins>> {
        if !context.callers.have_logins() && context.is_whole {
            let text = "`basic` lets nobody pass: no consumer has a password";
            let fault = faults.error(codes::BAD_POLICY, key.span(), text);
            fault.help("write `consumers: { NAME: { basic: { user: .., password_hash: .. } } }`");
            return None;
        }
        let callers = context.callers.clone();
        context.shelf.one(self, || Some(Logins { callers, realm: Realm::new() }))
    }

    fn gate_settings(&self) -> GateSettings {
        GateSettings {
            optional: self.optional,
            forward_credentials: self.forward_credentials,
            patience: Patience::new(self.max_failures),
        }
    }
}

/// The names and passwords that hold.
pub(super) struct Logins {
    callers: Arc<Callers>,
    realm: Realm,
}

const PLACE: Place = Place::Scheme("Basic");

/// What a password is remembered by.
fn digest(credential: &[u8]) -> hmac::Tag {
    static SECRET: OnceLock<hmac::Key> = OnceLock::new();
    let secret = SECRET.get_or_init(|| {
        let mut bytes = [0; 32];
        // Without random numbers there would be no TLS and no worker either; then the hash is still one.
        let _ = aws_lc_rs::rand::fill(&mut bytes);
        hmac::Key::new(hmac::HMAC_SHA256, &bytes)
    });
    hmac::sign(secret, credential)
}

/// Name and password of an encoded credential (RFC 7617 section 2).
fn name_and_password(encoded: &[u8]) -> Option<(String, Vec<u8>)> {
    let plain = encoded.strip_suffix(b"==").or_else(|| encoded.strip_suffix(b"=")).unwrap_or(encoded);
    if encoded.len() > LONGEST
        || !encoded.len().is_multiple_of(4)
        || plain.iter().any(|byte| b"-_".contains(byte))
    {
        return None;
    }
    let for_urls = |byte: &u8| match byte {
        b'+' => b'-',
        b'/' => b'_',
        other => *other,
    };
    let bytes = base64url::decode(&plain.iter().map(for_urls).collect::<Vec<u8>>())?;
    let colon = memchr::memchr(b':', &bytes)?;
    let (name, password) = bytes.split_at_checked(colon)?;
    Some((std::str::from_utf8(name).ok()?.to_owned(), password.get(1..)?.to_vec()))
}

impl Check for Logins {
    fn policy(&self) -> &'static str {
        Basic::POLICY
    }

    fn recall(&self, exchange: &Exchange) -> Recalled {
        match PLACE.find(exchange) {
            Found::Nothing => Recalled::Absent,
            Found::Unclear => Recalled::Unknown,
            Found::One(encoded) if encoded.len() > LONGEST => Recalled::Unknown,
            Found::One(encoded) => {
                let known = self.realm.recall(0, digest(&encoded).as_ref(), now(exchange));
                known.map_or(Recalled::Unknown, Recalled::Held)
            }
        }
    }

    fn beginning(&self, exchange: &Exchange) -> Vec<u8> {
        match PLACE.find(exchange) {
            Found::One(encoded) => {
                name_and_password(&encoded).map(|(name, _)| name.into_bytes()).unwrap_or_default()
            }
            _ => Vec::new(),
        }
    }

    fn check<'a>(&'a self, exchange: &Exchange) -> Finding<'a> {
        let encoded = match PLACE.find(exchange) {
            Found::Nothing => return Finding::Absent,
            Found::Unclear => return Finding::Failed(Refusal::unclear()),
            Found::One(encoded) => encoded.into_owned(),
        };
        let Some((name, password)) = name_and_password(&encoded) else {
            return Finding::Failed(Refusal::bad("no name and password"));
        };
        let now = now(exchange);
        let (hash, known) = self.callers.login(&name);
        let Some(verified) = passwords::ask(hash, password) else {
            return Finding::Failed(Refusal::undecided("too many passwords wait to be verified"));
        };
        Finding::Wait(Box::pin(async move {
            let held = match tokio::time::timeout(PATIENCE, verified).await {
                Ok(Ok(held)) => held,
                _ => return Finding::Failed(Refusal::undecided("the password was not verified in time")),
            };
            match (held, known) {
                (true, Some(mut identity)) => {
                    self.callers.tell(&mut identity);
                    let identity = Rc::new(identity);
                    self.realm.keep(0, digest(&encoded).as_ref(), &identity, (REMEMBERED, None), now);
                    Finding::Held(identity)
                }
                (_, Some(_)) => Finding::Failed(Refusal::bad("the password is not that of the user")),
                (_, None) => Finding::Failed(Refusal::bad("nobody has this name")),
            }
        }))
    }

    fn take(&self, exchange: &mut Exchange) {
        PLACE.take(exchange);
    }

    fn challenge(&self, _: Option<&Refusal>) -> String {
        "Basic realm=\"tidegate\", charset=\"UTF-8\"".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::name_and_password;

    #[test]
    fn a_credential_is_read_in_one_way() {
        for (encoded, read) in [
            ("QWxhZGRpbjpvcGVuIHNlc2FtZQ==", Some(("Aladdin", "open sesame"))), // RFC 7617 section 2
            ("dGVzdDoxMjPCow==", Some(("test", "123£"))),                       // section 2.1
            ("YTpiOmM=", Some(("a", "b:c"))),
            ("YTo=", Some(("a", ""))),
            ("OmI=", Some(("", "b"))),
            ("YWI=", None),
            ("YTo", None),
            ("YTo==", None),
            ("YT o=", None),
            ("", None),
        ] {
            let told = name_and_password(encoded.as_bytes());
            let told =
                told.as_ref().map(|(name, password)| (&**name, std::str::from_utf8(password).unwrap()));
            assert_eq!(told, read, "{encoded}");
        }
    }
}
