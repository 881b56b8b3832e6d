//! What policies of one configuration share: made once for settings that are equal, wherever they stand.
//!
//! A bundle stands on many routes; its keys are fetched once and its tokens remembered once. Providers outlive the
//! configuration they were made for, as long as the next one wants the same.

use std::any::Any;
use std::cell::RefCell;
use std::sync::Arc;

use super::provider::{Provider, ProviderSettings};

/// The shelf of one configuration that is being compiled.
#[derive(Default)]
pub struct Shelf {
    known: Vec<Arc<Provider>>,
    providers: RefCell<Vec<Arc<Provider>>>,
    made: RefCell<Vec<Box<dyn Any>>>,
}

impl Shelf {
    /// A shelf on which the providers of the configuration before still lie.
    pub fn after(known: Vec<Arc<Provider>>) -> Shelf {
        Shelf { known, ..Shelf::default() }
    }

    /// The provider of these settings.
    pub fn provider(&self, settings: &ProviderSettings) -> Arc<Provider> {
        let mut providers = self.providers.borrow_mut();
        let same = |provider: &&Arc<Provider>| provider.settings() == settings;
        if let Some(provider) = providers.iter().find(same) {
            return provider.clone();
        }
        let known = self.known.iter().find(same).cloned();
        let provider = known.unwrap_or_else(|| Provider::new(settings.clone()));
        providers.push(provider.clone());
        provider
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

    /// The providers that the policies want.
    pub fn into_providers(self) -> Vec<Arc<Provider>> {
        self.providers.into_inner()
    }
}
