//! `introspection`: asks the server that gave a token whether it holds (RFC 7662).
//!
//! For tokens that say nothing themselves. What the server says is judged as the claims of a token are, and remembered by the
//! worker for a while. While the server does not answer nobody passes who is not remembered.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Context;
use super::gate::Credential;
use crate::config::{Diagnostics, OneOrMany, Spanned, codes};
use crate::exchange::Exchange;
use crate::identity::claims::Rules;
use crate::identity::gate::usual_patience;
use crate::identity::introspect::{Introspector, IntrospectorSettings};
use crate::identity::memory::now;
use crate::identity::patience::Patience;
use crate::identity::{Callers, Check, Finding, Found, GateSettings, Place, Realm, Recalled, Refusal};
use crate::values::{self, Rate, Secret, WebUrl};

/// Longest token that is asked about.
const LONGEST: usize = 4096;

/// Asks the server that gave a token whether it holds (RFC 7662), with 401 for who has none that does.
///
/// The token stands in `Authorization: Bearer` and may look like anything. What the server says of an active one is known as
/// `{subject}`, `{scopes}`, `{jwt.CLAIM}`, as with `jwt`, and consumers are found by it. A worker remembers the answer for
/// `cache`, and not beyond the token's `exp`, so a token that is taken back passes that long. A server that does not answer in
/// time, or answers what is no such answer, lets nobody pass: 503.
///
/// ```yaml
/// introspection:
///   url: https://id.shop.example/introspect
///   client_id: gateway
///   client_secret: "${INTROSPECTION_SECRET:-none}"
///   scopes: orders.read
/// ```
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct Introspection {
    /// The introspection endpoint.
    url: Spanned<WebUrl>,
    /// The name of the gateway there.
    client_id: String,
    /// Its secret there.
    client_secret: Secret,
    /// For whom the token must be: one of these must stand in the `aud` of the answer. Default: anybody, as the server knows
    /// who asks.
    #[serde(default)]
    audience: OneOrMany<String>,
    /// Scopes that the token must all have, else 403. Default: none.
    #[serde(default)]
    scopes: OneOrMany<String>,
    /// How long a worker remembers an answer. Default: 30s.
    #[serde(default = "half_a_minute")]
    cache: values::Duration,
    /// How long an answer may take. Default: 1s.
    #[serde(default = "a_second")]
    timeout: values::Duration,
    /// Authorities that may certify the server, in PEM, instead of those of the system.
    #[serde(default)]
    ca: Option<String>,
    /// Whether tokens may go to another machine without TLS. Default: false.
    #[serde(default)]
    insecure_http: bool,
    /// Whether who has no token, or none that holds, may pass without an identity. Default: false.
    #[serde(default)]
    optional: bool,
    /// How often tokens may fail, by client address, before the next is answered 429 unseen.
    /// Default: 100/min.
    #[serde(default = "usual_patience")]
    max_failures: Rate,
    /// Whether the service gets the token. Default: false, the gateway takes it out of the request.
    #[serde(default)]
    forward_credentials: bool,
}

const fn half_a_minute() -> values::Duration {
    values::Duration::from_secs(30)
}

const fn a_second() -> values::Duration {
    values::Duration::from_secs(1)
}

impl Credential for Introspection {
    const POLICY: &'static str = "introspection";
    type Check = Asked;

    fn check(&self, _: &Spanned<String>, context: &Context, faults: &mut Diagnostics) -> Option<Arc<Asked>> {
        if !self.url.is_https() && !self.url.is_local() && !self.insecure_http {
            let text = format!("tokens would go to {} for everybody on the way to read", *self.url);
            let fault = faults.error(codes::BAD_POLICY, self.url.span(), text);
            fault.help("use https, or say `insecure_http: true` if nobody else can be on the way");
            return None;
        }
        let texts =
            |texts: &[String]| -> Vec<Box<str>> { texts.iter().map(|text| text.as_str().into()).collect() };
        let rules = Rules {
            issuer: None,
            audiences: (!self.audience.is_empty()).then(|| texts(&self.audience)),
            kinds: Vec::new(),
            leeway: Duration::ZERO,
            required: Vec::new(),
            scopes: texts(&self.scopes),
            groups: "groups".to_owned(),
            roles: "roles".to_owned(),
        };
        let settings = IntrospectorSettings {
            url: (*self.url).clone(),
            client: (self.client_id.clone(), self.client_secret.expose().to_owned()),
            ca: self.ca.clone(),
            timeout: self.timeout.get(),
        };
        context.shelf.one(self, || {
            let (server, callers) = (context.shelf.introspector(&settings), context.callers.clone());
            Some(Asked { server, rules, callers, realm: Realm::new(), cache: self.cache.get() })
        })
    }

    fn gate_settings(&self) -> GateSettings {
        GateSettings {
            optional: self.optional,
            forward_credentials: self.forward_credentials,
            patience: Patience::new(self.max_failures),
        }
    }
}

const PLACE: Place = Place::Scheme("Bearer");

/// The tokens that a server says hold.
pub(super) struct Asked {
    server: Arc<Introspector>,
    rules: Rules,
    callers: Arc<Callers>,
    realm: Realm,
    cache: Duration,
}

impl Check for Asked {
    fn policy(&self) -> &'static str {
        Introspection::POLICY
    }

    fn recall(&self, exchange: &Exchange) -> Recalled {
        match PLACE.find(exchange) {
            Found::Nothing => Recalled::Absent,
            Found::Unclear => Recalled::Unknown,
            Found::One(token) => {
                let known = self.realm.recall(0, &token, now(exchange));
                known.map_or(Recalled::Unknown, Recalled::Held)
            }
        }
    }

    fn check<'a>(&'a self, exchange: &Exchange) -> Finding<'a> {
        let token = match PLACE.find(exchange) {
            Found::Nothing => return Finding::Absent,
            Found::Unclear => return Finding::Failed(Refusal::unclear()),
            Found::One(token) => token,
        };
        let text = std::str::from_utf8(&token).ok().filter(|text| !text.is_empty() && text.len() <= LONGEST);
        // RFC 6750 section 2.1: what a bearer token is made of.
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
        let Some(token) = text.filter(|text| text.bytes().all(plain)).map(str::to_owned) else {
            return Finding::Failed(Refusal::bad("no token that could be asked about"));
        };
        if exchange.rehearsal {
            // Nobody is asked for the sake of an explanation.
            return Finding::Wait(Box::pin(std::future::pending()));
        }
        let Some(told) = self.server.ask(token.clone()) else {
            return Finding::Failed(Refusal::undecided("too many tokens wait to be asked about"));
        };
        let now = now(exchange);
        Finding::Wait(Box::pin(async move {
            let timeout = self.server.settings().timeout;
            let Ok(Ok(Some(answer))) = tokio::time::timeout(timeout, told).await else {
                return Finding::Failed(Refusal::undecided("the server that gave the token does not answer"));
            };
            if answer.get("active") != Some(&Value::Bool(true)) {
                return Finding::Failed(Refusal::bad("the server says that the token does not hold"));
            }
            match self.rules.judge_claims("introspection", answer, now.1) {
                Ok((mut identity, until)) => {
                    if identity.subject.is_none() {
                        identity.subject = identity.claim_text("username").map(|name| name.as_ref().into());
                    }
                    self.callers.find_by_claims(&mut identity);
                    self.callers.tell(&mut identity);
                    let identity = Rc::new(identity);
                    self.realm.keep(0, token.as_bytes(), &identity, (self.cache, until), now);
                    Finding::Held(identity)
                }
                Err(refusal) => Finding::Failed(refusal),
            }
        }))
    }

    fn take(&self, exchange: &mut Exchange) {
        PLACE.take(exchange);
    }

    fn challenge(&self, refusal: Option<&Refusal>) -> String {
        Refusal::bearer(refusal)
    }
}
