//! What a request asks of limits, and what they say.
//!
//! A store takes what a request asks of several limits; gives whether all of them have room, and the level of each. It
//! takes from all or from none.

use super::gcra::{Flow, Level};

/// What a request asks of one limit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Charge {
    /// The hash of limit and key, for this process only.
    pub(super) hash: u64,
    /// How the limit flows now.
    pub(super) flow: Flow,
    /// For how many requests it counts.
    pub(super) cost: u64,
    /// Which of the measures of the policy it is.
    pub(super) measure: u32,
}

impl Charge {
    /// Of no limit.
    pub(super) const NONE: Charge = Charge { hash: 0, flow: Flow::NONE, cost: 0, measure: 0 };

    /// The hash of limit and key, and of the rate and burst that it has now: what was leased or refused by others says
    /// nothing about these.
    pub(super) fn hash_now(&self) -> u64 {
        self.hash ^ self.flow.mark()
    }
}

/// What one limit says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Said {
    /// Whether it lets the request pass.
    pub(super) passes: bool,
    /// What is left, and for how long.
    pub(super) level: Level,
}

impl Said {
    /// Of no limit.
    pub(super) const NOTHING: Said = Said { passes: true, level: Level::NONE };
}
