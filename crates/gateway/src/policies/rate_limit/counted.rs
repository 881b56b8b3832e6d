//! What a limit goes on with after a reload: who it is, and how its clock runs, now and at the times of its schedule.
//!
//! Takes the settings of a tier and what was before; gives at each request how the limit flows. Whoever asks first after a
//! change of the schedule works it out for all, from the moment of the change on, so that it does not matter when that is.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use arc_swap::{ArcSwap, ArcSwapOption};

use super::gcra::Flow;
use super::settled::Tier;
use crate::values::Rate;

const SECOND: u64 = 1_000_000_000;
/// Changes of a schedule that are followed one by one. When there were more since anybody asked, nothing of what was
/// before them is left in any word.
const FOLLOWED: usize = 1000;

/// A tier of a limit, with its clock.
pub(super) struct Counted {
    /// Which one of the process, as a part of its keys.
    pub(super) id: u64,
    run: Run,
    /// How it runs in the configuration that was put in force last: the same cell in all of them.
    newest: Arc<ArcSwapOption<Run>>,
}

/// How a tier of a limit runs by one configuration.
#[derive(Clone)]
struct Run {
    /// What it is to be.
    tier: Tier,
    flows: Flows,
}

enum Flows {
    Always(Flow),
    Scheduled(ArcSwap<Phase>),
}

impl Clone for Flows {
    fn clone(&self) -> Flows {
        match self {
            Flows::Always(flow) => Flows::Always(*flow),
            Flows::Scheduled(phase) => Flows::Scheduled(ArcSwap::new(phase.load_full())),
        }
    }
}

/// How a limit flows for some time.
#[derive(Clone, Copy)]
struct Phase {
    flow: Flow,
    /// The place of the measure.
    place: usize,
    /// At what second of the wall clock the schedule was looked at.
    seen: i64,
    /// When it changes next, on the wall clock.
    change: i64,
    /// When to look at the wall clock again, on the monotonic one.
    until: u64,
}

impl Counted {
    /// The limit of these settings: a new one, or the one before with what it has counted.
    pub(super) fn after(before: Option<&Counted>, tier: &Tier) -> Counted {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let (now, wall) = (now(), wall());
        let seen = seconds(wall);
        let (place, change) = tier.at(seen);
        let measure = tier.measure(place);
        let flow = match before.map(|before| before.flow(now).0) {
            Some(flow) if flow.is(measure.rate, measure.burst) => flow,
            Some(flow) => flow.changed(measure.rate, measure.burst, now),
            None => Flow::new(measure.rate, measure.burst, now),
        };
        let flows = if tier.turns.is_empty() {
            Flows::Always(flow)
        } else {
            let until = next_look(now, wall);
            Flows::Scheduled(ArcSwap::from_pointee(Phase { flow, place, seen, change, until }))
        };
        let id = before.map_or_else(|| NEXT.fetch_add(1, Ordering::Relaxed), |before| before.id);
        let newest = before.map_or_else(Arc::default, |before| before.newest.clone());
        Counted { id, run: Run { tier: tier.clone(), flows }, newest }
    }

    /// Its configuration is put in force.
    pub(super) fn begin(&self) {
        self.newest.store(Some(Arc::new(self.run.clone())));
    }

    /// What it is to be.
    pub(super) fn tier(&self) -> &Tier {
        &self.run.tier
    }

    /// How it flows now, and by which of its measures.
    #[inline]
    pub(super) fn flow(&self, now: u64) -> (Flow, usize) {
        self.run.flow(now)
    }

    /// How it flows now by the configuration that is in force, whichever this one is: an exchange may outlast the one that
    /// it began under, whose clock has shown another time since. With its rate and its burst.
    pub(super) fn flow_in_force(&self, now: u64) -> (Flow, (Rate, u64)) {
        let newest = self.newest.load();
        let run = newest.as_deref().unwrap_or(&self.run);
        let (flow, place) = run.flow(now);
        let measure = run.tier.measure(place);
        (flow, (measure.rate, measure.burst))
    }
}

impl Run {
    #[inline]
    fn flow(&self, now: u64) -> (Flow, usize) {
        match &self.flows {
            Flows::Always(flow) => (*flow, 0),
            Flows::Scheduled(phase) => {
                let known = phase.load();
                if now < known.until {
                    return (known.flow, known.place);
                }
                let next = self.tier.followed(&known, now, wall());
                phase.compare_and_swap(&known, Arc::new(next));
                (next.flow, next.place)
            }
        }
    }
}

impl Tier {
    /// The phase at a moment of both clocks, after another one.
    fn followed(&self, known: &Phase, now: u64, wall: u64) -> Phase {
        let (seen, mut phase) = (seconds(wall), *known);
        (phase.seen, phase.until) = (seen, next_look(now, wall));
        if seen < known.seen {
            // The wall clock was set back: what holds then, holds from now on.
            return self.turned(phase, now, seen);
        }
        for _ in 0..FOLLOWED {
            if phase.change > seen {
                return phase;
            }
            let since = u64::try_from(phase.change).unwrap_or(0).saturating_mul(SECOND);
            phase = self.turned(phase, now.saturating_sub(wall.saturating_sub(since)), phase.change);
        }
        self.turned(phase, now, seen)
    }

    /// The phase from a moment on, on both clocks.
    fn turned(&self, phase: Phase, from: u64, moment: i64) -> Phase {
        let (place, change) = self.at(moment);
        let measure = self.measure(place);
        let same = phase.flow.is(measure.rate, measure.burst);
        let flow = if same { phase.flow } else { phase.flow.changed(measure.rate, measure.burst, from) };
        Phase { flow, place, change, ..phase }
    }
}

/// When the wall clock shows its next second, at which schedules change, on the monotonic clock.
fn next_look(now: u64, wall: u64) -> u64 {
    now.saturating_add(SECOND.saturating_sub(wall % SECOND))
}

fn seconds(wall: u64) -> i64 {
    i64::try_from(wall / SECOND).unwrap_or(i64::MAX)
}

/// Nanoseconds on the wall clock since 1970.
fn wall() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// Nanoseconds on the monotonic clock since the process first asked.
pub(super) fn now() -> u64 {
    at(Instant::now())
}

/// A moment of that clock. Requests are counted when they are decided on, not when they began: a client that begins a
/// thousand and ends them all at once has come a thousand times now.
#[inline]
pub(super) fn at(moment: Instant) -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    let since = moment.saturating_duration_since(*START.get_or_init(|| moment));
    since.as_secs().saturating_mul(SECOND).saturating_add(u64::from(since.subsec_nanos()))
}

#[cfg(test)]
mod tests {
    use super::super::gcra::Outcome;
    use super::super::settled::Measure;
    use super::*;

    const NOON: i64 = 1_795_780_800;

    fn measure(rate: &str) -> Measure {
        let rate: Rate = rate.parse().unwrap();
        Measure { name: rate.to_string(), rate, burst: rate.count() }
    }

    /// 100 in an hour, and 1000 from noon to one of 27 November 2026.
    fn tier() -> Tier {
        let when = "2026-11-27 12:00/13:00 UTC".parse().unwrap();
        Tier { group: None, base: measure("100/hour"), turns: vec![(when, measure("1000/hour"))] }
    }

    fn wall_at(second: i64) -> u64 {
        u64::try_from(second).unwrap() * SECOND
    }

    #[test]
    fn what_is_in_force_is_known_to_those_that_began_before() {
        let now = now();
        let tier = |rate: &str| Tier { group: None, base: measure(rate), turns: Vec::new() };
        let first = Counted::after(None, &tier("1000/s"));
        first.begin();
        let second = Counted::after(Some(&first), &tier("2/hour"));
        let (fast, slow) = (measure("1000/s").rate, measure("2/hour").rate);
        assert_eq!(first.flow_in_force(now).1, (fast, 1000), "made and not put in force");
        second.begin();
        assert_eq!(first.flow_in_force(now), (second.flow(now).0, (slow, 2)));
        assert!(first.flow(now).0.is(fast, 1000));
    }

    #[test]
    fn a_schedule_is_followed_from_the_moments_of_its_changes_whenever_anybody_asks() {
        let (tier, start) = (tier(), NOON - 3600);
        assert_eq!(tier.at(start), (0, NOON));
        let flow = Flow::new(tier.base.rate, 100, 0);
        let begun = Phase { flow, place: 0, seen: start, change: NOON, until: 0 };
        // All hundred are consumed at eleven.
        let Outcome::Passes(word, _) = flow.ask(0, 0, 100) else { panic!("no room") };
        let remaining = |hours: u64, seconds: u64, by_way: Option<u64>| {
            let at = |hours: u64, seconds: u64| (hours * 3600 + seconds) * SECOND;
            let phase = match by_way {
                Some(first) => {
                    let (now, wall) = (at(first, 0), wall_at(start) + at(first, 0));
                    tier.followed(&begun, now, wall)
                }
                None => begun,
            };
            let now = at(hours, seconds);
            let phase = tier.followed(&phase, now, wall_at(start) + now);
            (phase.place, phase.flow.level(word, now).remaining)
        };
        // The clock of a limit is cut off, so that a request is back a moment late rather than early.
        assert_eq!(remaining(0, 1801, None), (0, 50));
        assert_eq!(remaining(0, 3599, None), (0, 99));
        // At noon nothing is consumed any more; what is free is what the hour gives.
        assert_eq!(remaining(1, 1, None), (1, 1000));
        assert_eq!(remaining(1, 1800, Some(1)), (1, 1000));
        assert_eq!(remaining(2, 0, Some(1)), (0, 100));
        assert_eq!(remaining(9, 0, None), (0, 100));
    }

    #[test]
    fn what_was_consumed_before_a_change_comes_back_at_each_rate_for_its_time() {
        let tier = tier();
        let start = NOON + 3600 - 36;
        let flow = Flow::new(measure("1000/hour").rate, 1000, 0);
        let begun = Phase { flow, place: 1, seen: start, change: NOON + 3600, until: 0 };
        let Outcome::Passes(word, _) = flow.ask(0, 0, 60) else { panic!("no room") };
        // Ten come back in the last 36 seconds of the hour, and one in the 36 after it.
        let now = 73 * SECOND;
        let phase = tier.followed(&begun, now, wall_at(start) + now);
        assert_eq!((phase.place, phase.flow.level(word, now).remaining), (0, 51));
        assert_eq!(phase.until, 74 * SECOND);
        // A clock that was set back into the hour takes the other rate from now on.
        let back = tier.followed(&phase, now + SECOND, wall_at(NOON));
        assert_eq!((back.place, back.flow.level(word, now + SECOND).remaining), (1, 951));
    }
}
