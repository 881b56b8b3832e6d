//! The store that several gateways share: the same arithmetic as a script in Redis.
//!
//! Takes what a request asks of limits; gives what they say, at once or when Redis has answered, or that there is no
//! answer. What happens then is said by the policy.

mod asking;
mod lease;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use super::store::{Charge, Said};
use crate::policies::shared::{Link, Remote};
use asking::Part;
pub(super) use lease::Leases;

/// What a request asks of one limit, in words that all gateways know.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ask {
    /// The hash of limit and key in this process, and of the rate and burst of the limit.
    pub(super) hash: u64,
    /// What is counted.
    pub(super) slot: u128,
    /// Which limit it is counted at.
    pub(super) limit: u64,
    /// Requests that the limit gives back in a microsecond.
    pub(super) per_micro: f64,
    /// How many it lets come at once.
    pub(super) burst: u64,
    /// How many a gateway leases at once.
    pub(super) lease: u64,
    /// For how many the request counts.
    pub(super) cost: u64,
}

/// When Redis has answered; none when it has not, in time.
pub(super) type Later = Pin<Box<dyn Future<Output = Option<Vec<Said>>>>>;

/// A store that several gateways share.
pub(super) trait Store: Send + Sync {
    /// The answer that needs nobody else, if there is one.
    fn at_once(&self, charges: &[Charge], now: u64) -> Option<Vec<Said>>;

    /// Takes from all limits or from none. None when it is of no use to ask.
    fn take(&self, asks: Vec<Ask>) -> Option<Later>;

    /// Charges so much more, or gives back where it is negative; nobody waits for it.
    fn correct(&self, ask: Ask, more: i64);

    /// The Redis behind it.
    fn remote(&self) -> &Remote;
}

/// Every request asks.
pub(super) struct Exact(pub(super) Arc<Remote>);

impl Store for Exact {
    fn at_once(&self, _: &[Charge], _: u64) -> Option<Vec<Said>> {
        None
    }

    fn take(&self, asks: Vec<Ask>) -> Option<Later> {
        if !Link::of(&self.0).may_answer() {
            return None;
        }
        let remote = self.0.clone();
        Some(Box::pin(async move { exactly(&remote, &asks).await }))
    }

    fn correct(&self, ask: Ask, more: i64) {
        correct(&self.0, ask, more);
    }

    fn remote(&self) -> &Remote {
        &self.0
    }
}

impl Store for Arc<Leases> {
    fn at_once(&self, charges: &[Charge], now: u64) -> Option<Vec<Said>> {
        (**self).at_once(charges, now)
    }

    fn take(&self, asks: Vec<Ask>) -> Option<Later> {
        (**self).take(asks)
    }

    fn correct(&self, ask: Ask, more: i64) {
        (**self).correct(ask, more);
    }

    fn remote(&self) -> &Remote {
        (**self).remote()
    }
}

/// Takes what a request asks and no more; nothing when there is no answer in time.
async fn exactly(remote: &Arc<Remote>, asks: &[Ask]) -> Option<Vec<Said>> {
    let parts: Vec<Part> = asks.iter().map(|ask| (*ask, whole(ask.cost), whole(ask.cost))).collect();
    let told = asking::ask(remote, false, &parts).await?;
    let said = told.into_iter().zip(&parts);
    Some(said.map(|((gives, level), (_, least, _))| Said { passes: gives >= *least, level }).collect())
}

fn correct(remote: &Arc<Remote>, ask: Ask, more: i64) {
    let remote = Arc::clone(remote);
    if Link::of(&remote).may_answer() {
        tokio::task::spawn_local(async move { asking::ask(&remote, true, &[(ask, 0, more)]).await });
    }
}

fn whole(cost: u64) -> i64 {
    i64::try_from(cost).unwrap_or(i64::MAX)
}
