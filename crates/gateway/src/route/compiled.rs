//! A route as it runs: what it does, through which policies.
//!
//! Made by `snapshot::compile`; never changes afterwards.

use std::sync::Arc;

use super::mock::Mock;
use super::split::{Chosen, Split};
use crate::exchange::{Answer, Exchange};
use crate::observe::RouteStats;
use crate::policies::Bound;
use crate::upstream::care::Care;
use crate::values::Template;
use crate::values::random::Random;

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
    /// Asks one of several services.
    Split(Arc<Split>),
    /// Answers this.
    Respond(Box<Answer>),
    /// Makes an answer up.
    Mock(Box<Mock>),
    /// Sends the client elsewhere.
    Redirect {
        /// 301, 302, 303, 307 or 308.
        status: u16,
        /// Where to.
        location: Box<Template>,
    },
}

/// The service that a request is for.
#[derive(Clone, Copy)]
pub struct Aim<'a> {
    /// Its place in the snapshot.
    pub service: u32,
    /// What is done for the request besides.
    pub care: Option<&'a Care>,
    /// The split that has chosen it, and how.
    pub chosen: Option<(&'a Split, Chosen)>,
}

impl Action {
    /// The service for a request; `None` when none is asked.
    pub fn aim(&self, exchange: &mut Exchange, random: &Random) -> Option<Aim<'_>> {
        match self {
            Action::Forward(service, care) => {
                Some(Aim { service: *service, care: care.as_deref(), chosen: None })
            }
            Action::Split(split) => {
                let chosen = split.choose(exchange, random);
                exchange.record.split = chosen.by;
                let arm = split.arm(chosen.arm)?;
                Some(Aim { service: arm.service, care: arm.care.as_deref(), chosen: Some((split, chosen)) })
            }
            Action::Respond(_) | Action::Mock(_) | Action::Redirect { .. } => None,
        }
    }

    /// The services that may be asked, each with what is done for its requests besides; the main one first.
    pub fn asks(&self) -> Vec<(u32, Option<&Care>)> {
        match self {
            Action::Forward(service, care) => vec![(*service, care.as_deref())],
            Action::Split(split) => split.arms.iter().map(|arm| (arm.service, arm.care.as_deref())).collect(),
            Action::Respond(_) | Action::Mock(_) | Action::Redirect { .. } => Vec::new(),
        }
    }
}

const _: () = assert!(size_of::<Route>() == 64, "a route fills one cache line");
