//! The levels a client may be on, and how it comes up and down: up at once, down only after a time without cause.
//!
//! Takes a score and a time; gives the level. Pure: the simulated day and the gateway use the same lines.

/// Names of the levels, from none up.
pub const LEVELS: [&str; 6] = ["none", "watch", "slow", "limit", "challenge", "block"];
/// The levels as numbers.
pub const WATCH: u8 = 1;
/// Answers are delayed.
pub const SLOW: u8 = 2;
/// Only some requests pass.
pub const LIMIT: u8 = 3;
/// A browser has to work, others are refused.
pub const CHALLENGE: u8 = 4;
/// Nothing passes.
pub const BLOCK: u8 = 5;
/// By how much a score must be below a threshold until it counts as below.
pub const MARGIN: f32 = 10.0;

/// One level.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rung {
    /// The score from which on a client is there; `None` where this level is left out.
    pub at: Option<f32>,
    /// Seconds that it stays there at least after the last cause.
    pub keeps: u32,
}

/// The levels from `watch` to `block`.
pub type Rungs = [Rung; 5];

/// Where a client stands.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Standing {
    /// The level.
    pub level: u8,
    /// Since when.
    pub since: u32,
    /// When its score last gave cause for it.
    pub cause: u32,
}

/// The highest level for a score, with a margin below each threshold.
fn level_for(rungs: &Rungs, score: f32, margin: f32) -> u8 {
    let warranted = |rung: &Rung| rung.at.is_some_and(|at| score >= at - margin);
    rungs.iter().rposition(warranted).map_or(0, |nth| u8::try_from(nth).unwrap_or(0).saturating_add(1))
}

impl Standing {
    /// Takes in a score. Gives the level before where it changed.
    pub fn step(&mut self, rungs: &Rungs, score: f32, now: u32) -> Option<u8> {
        let before = self.level;
        let wanted = level_for(rungs, score, 0.0);
        if wanted > before {
            *self = Standing { level: wanted, since: now, cause: now };
            return Some(before);
        }
        if before == 0 {
            return None;
        }
        let held = level_for(rungs, score, MARGIN);
        if held >= before {
            self.cause = now;
            return None;
        }
        let keeps = rungs.get(usize::from(before).saturating_sub(1)).map_or(0, |rung| rung.keeps);
        if now.saturating_sub(self.cause) < keeps {
            return None;
        }
        *self = Standing { level: held, since: now, cause: now };
        Some(before)
    }

    /// Seconds until it may come down, if nothing more happens.
    pub fn left(&self, rungs: &Rungs, now: u32) -> u32 {
        let keeps = rungs.get(usize::from(self.level).wrapping_sub(1)).map_or(0, |rung| rung.keeps);
        keeps.saturating_sub(now.saturating_sub(self.cause))
    }
}

/// The usual levels.
pub fn usual() -> Rungs {
    let rung = |at: f32, keeps: u32| Rung { at: Some(at), keeps };
    [rung(25.0, 600), rung(45.0, 300), rung(60.0, 600), rung(75.0, 900), rung(90.0, 1_800)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn up_at_once_and_down_after_the_time_without_cause() {
        let (rungs, mut standing) = (usual(), Standing::default());
        // Second, score, and the level after it.
        for (second, score, level) in [
            (0, 24.0, 0),
            (1, 25.0, WATCH),
            (2, 76.0, CHALLENGE),
            (3, 70.0, CHALLENGE),
            (500, 66.0, CHALLENGE),
            // From here on there is no cause: fifteen minutes.
            (501, 30.0, CHALLENGE),
            (1_399, 30.0, CHALLENGE),
            (1_400, 30.0, WATCH),
            (1_999, 3.0, WATCH),
            (2_000, 3.0, 0),
            (2_001, 95.0, BLOCK),
        ] {
            standing.step(&rungs, score, second);
            assert_eq!(standing.level, level, "{second}: {score}");
        }
    }

    #[test]
    fn a_score_that_swings_about_a_threshold_does_not_swing_the_level() {
        let (rungs, mut standing) = (usual(), Standing::default());
        let mut changes = 0;
        for second in 0..3_600u32 {
            let score = if second % 2 == 0 { 62.0 } else { 56.0 };
            changes += u32::from(standing.step(&rungs, score, second).is_some());
        }
        assert_eq!((changes, standing.level), (1, LIMIT));
    }

    #[test]
    fn a_level_that_is_left_out_is_never_stood_on() {
        let mut rungs = usual();
        rungs[4].at = None;
        rungs[3].at = None;
        let mut standing = Standing::default();
        standing.step(&rungs, 100.0, 5);
        assert_eq!((standing.level, standing.left(&rungs, 65)), (LIMIT, 540));
    }
}
