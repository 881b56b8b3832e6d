//! A route as it runs: what it does, through which policies.
//!
//! Made by `snapshot::compile`; never changes afterwards.

use std::sync::Arc;

use crate::aggregate::Aggregate;
use crate::exchange::Answer;
use crate::observe::RouteStats;
use crate::policies::Bound;
use crate::upstream::care::Care;
use crate::values::Template;

/// A route of the snapshot. One cache line, because with very many routes each one that a request touches counts.
#[repr(align(64))]
pub struct Route {
    /// Its key in the configuration, its name everywhere else.
    pub key: Arc<str>,
    /// What it does with a request that its policies let pass.
    pub action: Action,
    /// Its policies in the order of running.
    pub policies: Vec<Bound>,
    /// What was counted about it; outlives a reload.
    pub stats: Arc<RouteStats>,
}

impl Route {
    /// Whether one of its policies answers preflights.
    pub fn takes_preflights(&self) -> bool {
        self.policies.iter().any(|bound| bound.takes_preflights)
    }
}

/// What a route does.
pub enum Action {
    /// Asks the service at this place of the snapshot, with what is done for the request besides.
    Forward(u32, Option<Box<Care>>),
    /// Asks several services and makes one answer of theirs.
    Aggregate(Box<Aggregate>),
    /// Answers this.
    Respond(Box<Answer>),
    /// Sends the client elsewhere.
    Redirect {
        /// 301, 302, 303, 307 or 308.
        status: u16,
        /// Where to.
        location: Box<Template>,
    },
}

const _: () = assert!(size_of::<Route>() == 64, "a route fills one cache line");
