//! Where limits keep what was consumed: the one trait behind which that is.
//!
//! Takes what a request asks of several limits; gives whether all of them have room, and the level of each. A store takes
//! from all or from none.

use super::gcra::{Flow, Level};
use super::settings::MOST_LIMITS;

/// What a request asks of one limit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Charge {
    /// The hash of limit and key, for this process only.
    pub(super) hash: u64,
    /// How the limit flows.
    pub(super) flow: Flow,
    /// For how many requests it counts.
    pub(super) cost: u64,
}

/// What became of a request at all limits that it was asked of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taken {
    levels: [(bool, Level); MOST_LIMITS],
    count: usize,
}

impl Taken {
    /// Of no limit yet.
    pub(super) fn nothing() -> Taken {
        let level = Level { remaining: 0, wait: std::time::Duration::ZERO };
        Taken { levels: [(true, level); MOST_LIMITS], count: 0 }
    }

    /// Adds what the next limit says.
    pub(super) fn push(&mut self, passes: bool, level: Level) {
        if let Some(place) = self.levels.get_mut(self.count) {
            *place = (passes, level);
            self.count = self.count.saturating_add(1);
        }
    }

    /// Whether each limit let it pass, and its level.
    pub(super) fn levels(&self) -> &[(bool, Level)] {
        self.levels.get(..self.count).unwrap_or_default()
    }

    /// Whether all let it pass.
    pub(super) fn passed(&self) -> bool {
        self.levels().iter().all(|(passes, _)| *passes)
    }
}

/// Keeps what was consumed.
pub(super) trait Store: Send + Sync {
    /// Takes from all limits or from none. In a `rehearsal` from none in any case.
    fn take(&self, charges: &[Charge], now: u64, rehearsal: bool) -> Taken;

    /// Charges so much more, or gives back where it is negative: a cost that was known too late.
    fn correct(&self, charge: &Charge, more: i64, now: u64);
}
