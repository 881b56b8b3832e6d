//! A request whose answer is not in memory and is on the disk: it is read while the request waits, for a bounded time.
//!
//! Takes the fetch that the request would begin; gives what was read if it may be used, as if it had been in memory, or lets
//! the request go on. Those who want the same wait for it like for a fetch.

use std::sync::Arc;

use super::entry::now;
use super::fetch::Fetch;
use super::store::Store;
use super::{Compiled, Use, not_cached, usable};
use crate::exchange::{Exchange, Verdict};

impl Compiled {
    pub(super) async fn read<'a>(
        &'a self,
        store: &'a Arc<Store>,
        exchange: &'a mut Exchange,
        key: Vec<u8>,
        mut fetch: Fetch,
    ) -> Verdict<'a> {
        let began = (now(), store.purged());
        let found = match &store.disk {
            Some(disk) => disk.read(&key).await,
            None => Vec::new(),
        };
        let asked = self.asked(exchange);
        let request = (&exchange.request.fields, fetch.personal);
        if let Some(entry) = store.adopt(&key, &found, began, request) {
            let at = now();
            match usable(&entry, &asked, at) {
                Use::Ask => (fetch.forward, fetch.stale) = ("stale", Some(entry)),
                usable => {
                    // Those who wait find it now, and one of them may renew it.
                    drop(fetch);
                    self.offer(store, exchange, (&entry, usable), &key, (at, "disk"));
                    return Verdict::Answered;
                }
            }
        }
        if asked.only_if_cached {
            return Verdict::Answer(not_cached());
        }
        self.go(store, exchange, fetch)
    }
}
