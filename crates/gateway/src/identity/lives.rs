//! What policies remember beyond a configuration: found again by the next one, by what it is for.
//!
//! A shelf is for what policies of one configuration share; this is for what outlives it: counters, kept answers.

use std::any::Any;
use std::collections::HashMap;
use std::sync::Arc;

/// What policies remember beyond a reload, by what it is for: each carries its own over, and nothing else stays.
#[derive(Default)]
pub struct Remembered(HashMap<String, Arc<dyn Any + Send + Sync>>);

impl Remembered {
    /// The live part of this identity.
    pub fn get<T: Any + Send + Sync>(&self, identity: &str) -> Option<Arc<T>> {
        self.0.get(identity)?.clone().downcast().ok()
    }
}

/// What policies remember while a snapshot is compiled. Nothing of the snapshot before is changed.
pub struct Lives<'p> {
    before: Option<&'p Remembered>,
    kept: Remembered,
}

impl<'p> Lives<'p> {
    /// After those of the snapshot before.
    pub fn after(before: Option<&'p Remembered>) -> Lives<'p> {
        Lives { before, kept: Remembered::default() }
    }

    /// The live part of this identity: the one that another policy of this snapshot has, else what `make` makes of that of
    /// the snapshot before.
    pub fn keep<T: Any + Send + Sync>(
        &mut self,
        identity: &str,
        make: impl FnOnce(Option<&Arc<T>>) -> Arc<T>,
    ) -> Arc<T> {
        let known = self.kept.0.get(identity).and_then(|known| known.clone().downcast().ok());
        if let Some(known) = known {
            return known;
        }
        let before = self.before.and_then(|before| before.0.get(identity));
        let before = before.and_then(|before| before.clone().downcast().ok());
        let live = make(before.as_ref());
        self.kept.0.insert(identity.to_owned(), live.clone());
        live
    }

    /// What the snapshot keeps.
    pub fn into_kept(self) -> Remembered {
        self.kept
    }
}
