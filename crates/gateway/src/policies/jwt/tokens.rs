//! Tokens that are checked: by the keys of their issuers, and by what they must say.
//!
//! What a worker remembers is found first; then the token is taken apart, proven and judged. Where newer keys could help and
//! are being fetched, the request waits for them, a second at most, and what is there then decides.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::Jwt;
use crate::config::{Diagnostics, Spanned};
use crate::exchange::{Exchange, Identity};
use crate::identity::claims::Rules;
use crate::identity::jose::{KeySet, Token, Unproven};
use crate::identity::memory::{Now, now};
use crate::identity::{Callers, Check, Finding, Found, Place, Provider, Realm, Recalled, Refusal};
use crate::policies::{Context, Settings};

/// How long a worker remembers a token that held.
const REMEMBERED: Duration = Duration::from_secs(60);
/// How long a request waits for keys.
const PATIENCE: Duration = Duration::from_secs(1);

/// Where the keys are.
pub(super) enum Keys {
    Own(Arc<KeySet>),
    Fetched(Arc<Provider>),
}

/// Whose tokens hold, and what they must say.
pub(super) struct Issuer {
    pub(super) keys: Keys,
    pub(super) rules: Rules,
}

/// The tokens that hold: those of any of the issuers, in one place of the request.
pub(in crate::policies) struct Tokens {
    place: Place,
    issuers: Vec<Issuer>,
    callers: Arc<Callers>,
    realm: Realm,
}

const OF_ANOTHER: &str = "the token is of another issuer";

fn is_of_another(checked: &Checked) -> bool {
    matches!(checked, Checked::Failed(refusal) if refusal.why == OF_ANOTHER)
}

/// How far the check of a token came.
enum Checked {
    Held(Rc<Identity>),
    Failed(Refusal),
    /// Newer keys of this provider could help.
    KeyWanted(Refusal, Arc<Provider>),
}

impl Issuer {
    fn verify(&self, bytes: &[u8], at: SystemTime) -> Result<(Identity, SystemTime), Box<Checked>> {
        let failed = |why: &'static str| Box::new(Checked::Failed(Refusal::bad(why)));
        let token = Token::parse(bytes).map_err(|bad| failed(bad.why()))?;
        if !self.rules.are_for(&token.claims) {
            return Err(failed(OF_ANOTHER));
        }
        let keys = match &self.keys {
            Keys::Own(keys) => keys.clone(),
            Keys::Fetched(provider) => provider.keys().ok_or_else(|| {
                let refusal = Refusal::undecided("the keys of the issuer are not there");
                Box::new(Checked::KeyWanted(refusal, provider.clone()))
            })?,
        };
        keys.prove(&token).map_err(|unproven| match (unproven, &self.keys) {
            (Unproven::UnknownKey, Keys::Fetched(provider)) => {
                let refusal = Refusal::bad("the issuer has no key of this name");
                Box::new(Checked::KeyWanted(refusal, provider.clone()))
            }
            (Unproven::UnknownKey, Keys::Own(_)) => failed("there is no key of this name"),
            (Unproven::OtherAlgorithm, _) => failed("the key is not for the algorithm of the token"),
            (Unproven::BadSignature, _) => failed("the signature is not that of the key"),
        })?;
        self.rules.judge(token, at).map_err(|refusal| Box::new(Checked::Failed(refusal)))
    }
}

impl Tokens {
    /// The tokens of all these, which stand in one place.
    pub(in crate::policies) fn of(
        all: &[Jwt],
        key: &Spanned<String>,
        context: &Context,
        faults: &mut Diagnostics,
    ) -> Option<Arc<Tokens>> {
        context.shelf.one(&all.to_vec(), || {
            let place = all.first()?.place(key, faults)?;
            let issuers: Vec<_> = all.iter().map(|jwt| jwt.issuer(key, context, faults)).collect();
            let issuers = issuers.into_iter().collect::<Option<Vec<_>>>()?;
            Some(Tokens { place, issuers, callers: context.callers.clone(), realm: Realm::new() })
        })
    }

    /// Changes with every change of any key.
    fn age(&self) -> u64 {
        let ages = self.issuers.iter().map(|issuer| match &issuer.keys {
            Keys::Own(_) => 0,
            Keys::Fetched(provider) => provider.age(),
        });
        ages.fold(0, u64::wrapping_add)
    }

    fn verify(&self, bytes: &[u8], (now, at): Now) -> Checked {
        // Before the keys are looked at: what is proven by keys that change meanwhile is not remembered for the new.
        let age = self.age();
        let mut outcome = None;
        for issuer in &self.issuers {
            match issuer.verify(bytes, at) {
                Ok((identity, until)) => {
                    return Checked::Held(self.known(bytes, identity, until, (age, (now, at))));
                }
                // Who the token says that it is of has the word, not the others.
                Err(told) if outcome.as_ref().is_none_or(is_of_another) => outcome = Some(*told),
                Err(_) => {}
            }
        }
        outcome.unwrap_or_else(|| Checked::Failed(Refusal::bad("no issuer")))
    }

    /// Completes an identity and remembers it.
    fn known(
        &self,
        bytes: &[u8],
        mut identity: Identity,
        until: SystemTime,
        (age, now): (u64, Now),
    ) -> Rc<Identity> {
        self.callers.find_by_claims(&mut identity);
        self.callers.tell(&mut identity);
        let identity = Rc::new(identity);
        self.realm.keep(age, bytes, &identity, (REMEMBERED, Some(until)), now);
        identity
    }

    /// Waits for newer keys, if they are being fetched, and looks again.
    fn wait<'a>(
        &'a self,
        bytes: Vec<u8>,
        now: Now,
        (refusal, provider): (Refusal, Arc<Provider>),
    ) -> Finding<'a> {
        let Some(mut fetched) = provider.ask() else { return Finding::Failed(refusal) };
        Finding::Wait(Box::pin(async move {
            // In time or not, what is there then decides.
            let _ = tokio::time::timeout(PATIENCE, fetched.changed()).await;
            match self.verify(&bytes, now) {
                Checked::Held(identity) => Finding::Held(identity),
                Checked::Failed(refusal) | Checked::KeyWanted(refusal, _) => Finding::Failed(refusal),
            }
        }))
    }
}

impl Check for Tokens {
    fn policy(&self) -> &'static str {
        Jwt::NAME
    }

    fn recall(&self, exchange: &Exchange) -> Recalled {
        match self.place.find(exchange) {
            Found::Nothing => Recalled::Absent,
            Found::Unclear => Recalled::Unknown,
            Found::One(token) => {
                let known = self.realm.recall(self.age(), &token, now(exchange));
                known.map_or(Recalled::Unknown, Recalled::Held)
            }
        }
    }

    fn check<'a>(&'a self, exchange: &Exchange) -> Finding<'a> {
        let token = match self.place.find(exchange) {
            Found::Nothing => return Finding::Absent,
            Found::Unclear => return Finding::Failed(Refusal::unclear()),
            Found::One(token) => token,
        };
        let now = now(exchange);
        match self.verify(&token, now) {
            Checked::Held(identity) => Finding::Held(identity),
            Checked::Failed(refusal) => Finding::Failed(refusal),
            Checked::KeyWanted(..) if exchange.rehearsal => Finding::Wait(Box::pin(std::future::pending())),
            Checked::KeyWanted(refusal, provider) => self.wait(token.into_owned(), now, (refusal, provider)),
        }
    }

    fn take(&self, exchange: &mut Exchange) {
        self.place.take(exchange);
    }

    fn challenge(&self, refusal: Option<&Refusal>) -> String {
        Refusal::bearer(refusal)
    }
}
