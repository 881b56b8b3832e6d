//! A request on its way to the service for what is to be kept: what it asks for, and what is known when it is answered.

use std::sync::Arc;

use http1::{NameBuf, names};

use super::entry::{Entry, now};
use super::flight::Leader;
use super::rules::{Came, single};
use super::store::Store;
use crate::exchange::Exchange;

/// A request that goes to the service, until its answer is there.
pub(super) struct Fetch {
    /// Why it goes there, in the words of RFC 9211 section 2.2.
    pub(super) forward: &'static str,
    /// The key under which its answer may be kept; empty for none.
    pub(super) key: Vec<u8>,
    pub(super) personal: bool,
    pub(super) leader: Option<Leader>,
    /// What is kept and may no longer be given without asking.
    pub(super) stale: Option<Arc<Entry>>,
    /// Whether the service is asked if that still holds.
    pub(super) conditional: bool,
    /// The client's own conditions, while others stand in their place.
    pub(super) conditions: Vec<(NameBuf, Vec<u8>)>,
    /// When it was sent, and how many purges there had been.
    pub(super) asked: (u64, u64),
}

/// What was known when the answer came.
pub(super) fn came(exchange: &Exchange, fetch: &Fetch) -> Came {
    let record = &exchange.record;
    let delay = record.answered.zip(record.sent).map(|(answered, sent)| answered.saturating_sub(sent));
    let at = record.started_at + record.answered.unwrap_or_default();
    Came { at, delay: delay.unwrap_or_default(), personal: fetch.personal }
}

impl Fetch {
    pub(super) fn without_key(forward: &'static str) -> Fetch {
        Fetch {
            forward,
            key: Vec::new(),
            personal: false,
            leader: None,
            stale: None,
            conditional: false,
            conditions: Vec::new(),
            asked: (0, 0),
        }
    }

    /// Makes the request one for a whole answer, or for the word that what is kept still holds (RFC 9111 section 4.3.1).
    pub(super) fn prepare(&mut self, store: &Store, exchange: &mut Exchange) {
        self.asked = (now(), store.purged());
        let fields = &mut exchange.request.fields;
        for name in [names::IF_NONE_MATCH, names::IF_MODIFIED_SINCE] {
            let Ok(owned) = NameBuf::new(&String::from_utf8_lossy(name.text())) else { continue };
            self.conditions.extend(fields.get_all(name).map(|value| (owned.clone(), value.to_vec())));
            fields.remove(name);
        }
        let Some(stale) = &self.stale else { return };
        if let Some(tag) = single(&stale.fields, names::ETAG) {
            fields.push(names::IF_NONE_MATCH, tag);
            self.conditional = true;
        }
        if let Some(changed) = single(&stale.fields, names::LAST_MODIFIED) {
            fields.push(names::IF_MODIFIED_SINCE, changed);
            self.conditional = true;
        }
    }

    /// Gives the client's conditions back.
    pub(super) fn restore(&self, exchange: &mut Exchange) {
        if self.conditions.is_empty() && !self.conditional {
            return;
        }
        let fields = &mut exchange.request.fields;
        fields.remove(names::IF_NONE_MATCH);
        fields.remove(names::IF_MODIFIED_SINCE);
        for (name, value) in &self.conditions {
            fields.push(name.as_name(), value);
        }
    }
}
