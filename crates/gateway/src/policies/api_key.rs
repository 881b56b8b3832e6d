//! `api_key`: asks for the key of a consumer.
//!
//! Takes the key from one place of the request and looks its keyed hash up among those of the consumers. Must never
//! keep, tell or compare a key that is not good in a way that depends on how much of it is right.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Context;
use super::gate::Credential;
use crate::config::{Diagnostics, Spanned, codes};
use crate::exchange::Exchange;
use crate::identity::callers;
use crate::identity::gate::usual_patience;
use crate::identity::memory::now;
use crate::identity::patience::Patience;
use crate::identity::place::Written;
use crate::identity::{Callers, Check, Finding, Found, GateSettings, Place, Realm, Recalled, Refusal};
use crate::values::{HeaderName, Rate};

/// Longest key that is looked at.
const LONGEST: usize = 512;
/// How long a worker remembers a key that held.
const REMEMBERED: Duration = Duration::from_secs(60);

/// Asks for the API key of one of the `consumers`, with 401 for who has none.
///
/// Keys are made by `tidegate key new`; the configuration holds their hashes alone, any number for each consumer, each
/// with `not_before` and `expires`, so that a new key can be given out before the old one ends. A key is no longer good
/// with the reload that takes it out. Logs tell the first twelve characters of a key that held. The service gets
/// `X-Consumer` (see `identity_headers`) and not the key.
///
/// ```yaml
/// api_key: { header: X-API-Key }
/// ```
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct ApiKey {
    /// The header that holds the key, whole. Default: `X-API-Key`.
    #[serde(default)]
    header: Option<Spanned<HeaderName>>,
    /// The query parameter that holds the key, instead of a header. Its name must be one whose value logs hide, as
    /// `api_key`, `key` or `token` (see the page on the access log).
    #[serde(default)]
    query: Option<Spanned<String>>,
    /// The cookie that holds the key, instead of a header.
    #[serde(default)]
    cookie: Option<Spanned<HeaderName>>,
    /// Whether who has no key, or none that is good, may pass without an identity. Default: false.
    #[serde(default)]
    optional: bool,
    /// How often keys may fail, by client address and by the beginning of a key, before the next is answered 429 unseen.
    /// Default: 100/min.
    #[serde(default = "usual_patience")]
    max_failures: Rate,
    /// Whether the service gets the key. Default: false, the gateway takes it out of the request.
    #[serde(default)]
    forward_credentials: bool,
}

impl Credential for ApiKey {
    const POLICY: &'static str = "api_key";
    type Check = Compiled;

    fn check(
        &self,
        key: &Spanned<String>,
        context: &Context,
        faults: &mut Diagnostics,
    ) -> Option<Arc<Compiled>> {
        let written = Written { header: &self.header, query: &self.query, cookie: &self.cookie };
        let place = written.place("api_key", key, Place::header("X-API-Key"), faults)?;
        if !context.callers.have_keys() && context.is_whole {
            let fault = faults.error(
                codes::BAD_POLICY,
                key.span(),
                "`api_key` lets nobody pass: no consumer has a key",
            );
            fault.help("make one with `tidegate key new` and write its hash under `consumers: { NAME: { api_keys: [..] } }`");
            return None;
        }
        let callers = context.callers.clone();
        context.shelf.one(self, || Some(Compiled { place, callers, realm: Realm::new() }))
    }

    fn gate_settings(&self) -> GateSettings {
        GateSettings {
            optional: self.optional,
            forward_credentials: self.forward_credentials,
            patience: Patience::new(self.max_failures),
        }
    }
}

pub(super) struct Compiled {
    place: Place,
    callers: Arc<Callers>,
    realm: Realm,
}

impl Check for Compiled {
    fn policy(&self) -> &'static str {
        ApiKey::POLICY
    }

    fn recall(&self, exchange: &Exchange) -> Recalled {
        match self.place.find(exchange) {
            Found::Nothing => Recalled::Absent,
            Found::Unclear => Recalled::Unknown,
            Found::One(key) => {
                self.realm.recall(0, &key, now(exchange)).map_or(Recalled::Unknown, Recalled::Held)
            }
        }
    }

    fn beginning(&self, exchange: &Exchange) -> Vec<u8> {
        match self.place.find(exchange) {
            Found::One(key) => callers::readable(&key).into(),
            _ => Vec::new(),
        }
    }

    fn check<'a>(&'a self, exchange: &Exchange) -> Finding<'a> {
        let key = match self.place.find(exchange) {
            Found::Nothing => return Finding::Absent,
            Found::Unclear => return Finding::Failed(Refusal::unclear()),
            Found::One(key) => key,
        };
        if key.len() > LONGEST {
            return Finding::Failed(Refusal::bad("a key longer than any"));
        }
        let Some((mut identity, until)) = self.callers.by_key(&key, exchange.record.started_at) else {
            return Finding::Failed(Refusal::bad("no consumer has this key at this time"));
        };
        self.callers.tell(&mut identity);
        let identity = Rc::new(identity);
        self.realm.keep(0, &key, &identity, (REMEMBERED, until), now(exchange));
        Finding::Held(identity)
    }

    fn take(&self, exchange: &mut Exchange) {
        self.place.take(exchange);
    }

    fn challenge(&self, _: Option<&Refusal>) -> String {
        "ApiKey realm=\"tidegate\"".to_owned()
    }
}
