//! What policies of one configuration share: made once for settings that are equal, wherever they stand.
//!
//! A bundle stands on many routes; its keys are fetched once and its tokens remembered once. Providers outlive the
//! configuration they were made for, as long as the next one wants the same.

use std::any::Any;
use std::cell::RefCell;
use std::sync::Arc;

use super::introspect::{Introspector, IntrospectorSettings};
use super::oidc::{Party, PartySettings};
use super::provider::{Provider, ProviderSettings};
use super::sending::TokenSource;
use crate::config::OauthCredentials;

/// What the control side keeps fresh for a configuration.
#[derive(Clone, Default)]
pub struct Kept {
    /// The keys of issuers.
    pub providers: Vec<Arc<Provider>>,
    /// Tokens for services.
    pub sources: Vec<Arc<TokenSource>>,
    /// Servers that are asked about tokens.
    pub introspectors: Vec<Arc<Introspector>>,
    /// Providers of logins.
    pub parties: Vec<Arc<Party>>,
}

impl Kept {
    /// All that this or the other wants kept fresh, each once.
    pub fn with(&self, other: &Kept) -> Kept {
        fn both<T>(own: &[Arc<T>], other: &[Arc<T>]) -> Vec<Arc<T>> {
            let more = other.iter().filter(|one| !own.iter().any(|known| Arc::ptr_eq(known, one)));
            own.iter().chain(more).cloned().collect()
        }
        Kept {
            providers: both(&self.providers, &other.providers),
            sources: both(&self.sources, &other.sources),
            introspectors: both(&self.introspectors, &other.introspectors),
            parties: both(&self.parties, &other.parties),
        }
    }
}

/// The shelf of one configuration that is being compiled.
#[derive(Default)]
pub struct Shelf {
    known: Kept,
    sources: RefCell<Vec<Arc<TokenSource>>>,
    introspectors: RefCell<Vec<Arc<Introspector>>>,
    parties: RefCell<Vec<Arc<Party>>>,
    providers: RefCell<Vec<Arc<Provider>>>,
    made: RefCell<Vec<Box<dyn Any>>>,
}

impl Shelf {
    /// A shelf on which the providers of the configuration before still lie.
    pub fn after(known: Kept) -> Shelf {
        Shelf { known, ..Shelf::default() }
    }

    /// The provider of these settings.
    pub fn provider(&self, settings: &ProviderSettings) -> Arc<Provider> {
        let mut providers = self.providers.borrow_mut();
        let same = |provider: &&Arc<Provider>| provider.settings() == settings;
        if let Some(provider) = providers.iter().find(same) {
            return provider.clone();
        }
        let known = self.known.providers.iter().find(same).cloned();
        let provider = known.unwrap_or_else(|| Provider::new(settings.clone()));
        providers.push(provider.clone());
        provider
    }

    /// The source of tokens of these settings.
    pub fn source(&self, settings: &OauthCredentials) -> Arc<TokenSource> {
        let mut sources = self.sources.borrow_mut();
        let same = |source: &&Arc<TokenSource>| source.settings() == settings;
        if let Some(source) = sources.iter().find(same) {
            return source.clone();
        }
        let known = self.known.sources.iter().find(same).cloned();
        let source = known.unwrap_or_else(|| TokenSource::new(settings.clone()));
        sources.push(source.clone());
        source
    }

    /// The server of these settings that is asked about tokens.
    pub fn introspector(&self, settings: &IntrospectorSettings) -> Arc<Introspector> {
        let mut servers = self.introspectors.borrow_mut();
        let same = |server: &&Arc<Introspector>| server.settings() == settings;
        if let Some(server) = servers.iter().find(same) {
            return server.clone();
        }
        let known = self.known.introspectors.iter().find(same).cloned();
        let server = known.unwrap_or_else(|| Introspector::new(settings.clone()));
        servers.push(server.clone());
        server
    }

    /// The provider of logins of these settings.
    pub fn party(&self, settings: &PartySettings) -> Arc<Party> {
        let mut parties = self.parties.borrow_mut();
        let same = |party: &&Arc<Party>| party.settings() == settings;
        if let Some(party) = parties.iter().find(same) {
            return party.clone();
        }
        let known = self.known.parties.iter().find(same).cloned();
        let party = known.unwrap_or_else(|| Party::new(settings.clone()));
        parties.push(party.clone());
        party
    }

    /// What was made of equal settings before, or what `make` makes of them now.
    pub fn one<S, M>(&self, settings: &S, make: impl FnOnce() -> Option<M>) -> Option<Arc<M>>
    where
        S: PartialEq + Clone + 'static,
        M: 'static,
    {
        let known = self.made.borrow().iter().find_map(|made| {
            let (own, made) = made.downcast_ref::<(S, Arc<M>)>()?;
            (own == settings).then(|| made.clone())
        });
        if known.is_some() {
            return known;
        }
        let made = Arc::new(make()?);
        self.made.borrow_mut().push(Box::new((settings.clone(), made.clone())));
        Some(made)
    }

    /// What the configuration wants to be kept fresh.
    pub fn into_kept(self) -> Kept {
        Kept {
            providers: self.providers.into_inner(),
            sources: self.sources.into_inner(),
            introspectors: self.introspectors.into_inner(),
            parties: self.parties.into_inner(),
        }
    }
}
