//! How the share of one service grows by itself, and what stops it.
//!
//! Run by the control side once a second; takes what workers counted and a moment, changes weights. Says nothing of a
//! service that has had too few requests: then it waits. Once stopped it stays so until somebody says otherwise.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{ArmReading, Live, PARTS, percent};

/// A p99 that is longer by less than this is not longer: the scale is not finer.
const LEAST_LATER: Duration = Duration::from_millis(1);

/// How the share grows, compiled.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The arm whose share grows.
    pub arm: usize,
    /// How much more it gets with each step, between 0 and 1.
    pub step: f64,
    /// The time between two steps.
    pub every: Duration,
    /// Where it ends, between 0 and 1.
    pub until: f64,
    /// The share of its requests that may fail.
    pub max_error: f64,
    /// How many times as long its p99 may be, in thousandths.
    pub max_p99: u32,
    /// Requests before anything is said.
    pub min_requests: u64,
    /// What happens when it does worse.
    pub when_worse: Worse,
}

/// What happens to a service that does worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Worse {
    /// Its share stays.
    Hold,
    /// The weights of the configuration hold again.
    Start,
    /// It gets nothing.
    Zero,
}

/// How far it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Stage {
    /// Goes on.
    #[default]
    Running,
    /// Stopped, and why.
    Stopped(String),
    /// Somebody has stopped it by command.
    Paused,
    /// It is where it was to get.
    Done,
}

impl Stage {
    /// The stable word.
    pub fn word(&self) -> &'static str {
        match self {
            Stage::Running => "running",
            Stage::Stopped(_) => "stopped",
            Stage::Paused => "paused",
            Stage::Done => "done",
        }
    }
}

/// The live part.
#[derive(Default)]
pub struct Progress(Mutex<State>);

#[derive(Default)]
struct State {
    stage: Stage,
    /// When the last step was, and what had been counted then.
    last: Option<(Instant, Vec<ArmReading>)>,
    steps: u64,
}

impl Progress {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How far it is, and after how many steps.
    pub fn stage(&self) -> (Stage, u64) {
        let state = self.state();
        (state.stage.clone(), state.steps)
    }

    /// Stops it, or lets it go on from the weights that hold now.
    pub fn pause(&self, paused: bool) {
        let mut state = self.state();
        state.stage = if paused { Stage::Paused } else { Stage::Running };
        state.last = None;
    }
}

impl Live {
    /// Looks whether it is time for a step, or to stop; gives what there is to say.
    pub fn look(&self, plan: &Plan, now: Instant) -> Option<String> {
        let mut state = self.progress.state();
        if state.stage != Stage::Running {
            return None;
        }
        let read = self.read();
        let Some((at, before)) = &state.last else {
            state.last = Some((now, read));
            return None;
        };
        let (own, others) = compared(plan.arm, &read, before);
        let due = now.saturating_duration_since(*at) >= plan.every;
        if let Some(why) = worse(plan, &own, &others) {
            match plan.when_worse {
                Worse::Hold => {}
                Worse::Start => self.weigh(&[]),
                Worse::Zero => self.give(plan.arm, 0.0),
            }
            state.stage = Stage::Stopped(why.clone());
            return Some(why);
        }
        let share = self.share(plan.arm);
        // An arm without a share can have had nothing: its first step is free.
        let judged = own.requests >= plan.min_requests || share == 0.0;
        if !due || !judged {
            return None;
        }
        if share >= plan.until - f64::EPSILON {
            state.stage = Stage::Done;
            return Some(format!("it has {} of all requests, as wanted", percent(share)));
        }
        self.give(plan.arm, (share + plan.step).min(plan.until));
        state.last = Some((now, read));
        state.steps = state.steps.saturating_add(1);
        Some(format!("it gets {} of all requests now", percent(self.share(plan.arm))))
    }

    /// Gives one arm this share of all; the others keep their weights among themselves.
    fn give(&self, arm: usize, share: f64) {
        let weights = self.weights();
        let others = |weights: &[u32]| -> f64 {
            weights
                .iter()
                .enumerate()
                .filter(|(place, _)| *place != arm)
                .map(|(_, weight)| f64::from(*weight))
                .sum()
        };
        // Where the others have nothing now, they have among themselves what the configuration says.
        let base = if others(&weights) > 0.0 { weights.as_slice() } else { self.written() };
        let total = f64::from(PARTS) * 1_000.0;
        let left = (1.0 - share) * total / others(base).max(1.0);
        let given = |place: usize, weight: u32| -> u32 {
            let exact = if place == arm { share * total } else { f64::from(weight) * left };
            // Between nothing and a million: it fits.
            exact.round() as u32
        };
        let given: Vec<u32> = base.iter().enumerate().map(|(place, weight)| given(place, *weight)).collect();
        self.weigh(&given);
    }
}

/// What one arm and all others have had since.
fn compared(arm: usize, read: &[ArmReading], before: &[ArmReading]) -> (ArmReading, ArmReading) {
    let (mut own, mut others) = (ArmReading::default(), ArmReading::default());
    for (place, (now, before)) in read.iter().zip(before).enumerate() {
        let since = now.since(before);
        if place == arm { own = since } else { others.add(&since) }
    }
    (own, others)
}

/// Why an arm does worse than it may; none while it does not, or too little is known.
fn worse(plan: &Plan, own: &ArmReading, others: &ArmReading) -> Option<String> {
    if own.requests < plan.min_requests {
        return None;
    }
    let failed = own.failed as f64 / own.requests as f64;
    if failed > plan.max_error {
        let (count, all) = (own.failed, own.requests);
        return Some(format!("{count} of {all} requests failed, more than {}", percent(plan.max_error)));
    }
    if others.requests < plan.min_requests {
        return None;
    }
    let (own, others) = (own.times.p99()?, others.times.p99()?);
    let most = others.saturating_mul(plan.max_p99) / 1_000;
    (own > most && own > others.saturating_add(LEAST_LATER))
        .then(|| format!("its p99 is {} ms, that of the others {} ms", own.as_millis(), others.as_millis()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> Plan {
        Plan {
            arm: 1,
            step: 0.2,
            every: Duration::from_secs(60),
            until: 1.0,
            max_error: 0.01,
            max_p99: 1_200,
            min_requests: 50,
            when_worse: Worse::Start,
        }
    }

    fn serve(live: &Live, arm: usize, count: u64, millis: u64, failed: bool) {
        let shard = live.counted.shard(0, arm).unwrap();
        (0..count).for_each(|_| shard.record(Duration::from_millis(millis), failed));
    }

    fn shares(live: &Live) -> (f64, f64) {
        let rounded = |share: f64| (share * 1_000.0).round() / 1_000.0;
        (rounded(live.share(0)), rounded(live.share(1)))
    }

    #[test]
    fn it_grows_step_by_step_to_its_end() {
        let (live, plan, start) = (Live::new(&[("a", 90), ("b", 10)], 1), plan(), Instant::now());
        let mut told = Vec::new();
        for minute in 0..8 {
            let now = start + Duration::from_secs(60 * minute);
            told.extend(live.look(&plan, now));
            assert_eq!(live.look(&plan, now + Duration::from_secs(59)), None, "no step before its time");
            serve(&live, 0, 100, 10, false);
            serve(&live, 1, 100, 11, false);
        }
        assert_eq!(
            told,
            [
                "it gets 30% of all requests now",
                "it gets 50% of all requests now",
                "it gets 70% of all requests now",
                "it gets 90% of all requests now",
                "it gets 100% of all requests now",
                "it has 100% of all requests, as wanted",
            ]
        );
        assert_eq!((live.progress().stage(), shares(&live)), ((Stage::Done, 5), (0.0, 1.0)));
    }

    #[test]
    fn it_waits_for_requests_to_judge_by() {
        let (live, plan, start) = (Live::new(&[("a", 90), ("b", 10)], 1), plan(), Instant::now());
        live.look(&plan, start);
        serve(&live, 1, 49, 10, false);
        assert_eq!(live.look(&plan, start + Duration::from_secs(600)), None);
        serve(&live, 1, 1, 10, false);
        assert!(live.look(&plan, start + Duration::from_secs(601)).is_some());
    }

    #[test]
    fn errors_stop_it_at_once_and_latency_does() {
        for (own, failed, worse, why, after) in [
            (10, 2, Worse::Start, "2 of 102 requests failed, more than 1%", (0.9, 0.1)),
            (10, 2, Worse::Hold, "2 of 102 requests failed, more than 1%", (0.7, 0.3)),
            (20, 0, Worse::Zero, "its p99 is 20 ms, that of the others 10 ms", (1.0, 0.0)),
        ] {
            let plan = Plan { when_worse: worse, ..plan() };
            let (live, start) = (Live::new(&[("a", 90), ("b", 10)], 1), Instant::now());
            live.look(&plan, start);
            serve(&live, 1, 50, 10, false);
            live.look(&plan, start + Duration::from_secs(60)).unwrap();
            serve(&live, 0, 100, 10, false);
            serve(&live, 1, 100, own, false);
            serve(&live, 1, failed, own, true);
            let told = live.look(&plan, start + Duration::from_secs(61)).unwrap();
            assert_eq!((told.as_str(), shares(&live)), (why, after));
            assert_eq!(live.progress().stage().0, Stage::Stopped(why.into()));
            assert_eq!(live.look(&plan, start + Duration::from_secs(600)), None, "it stays so");
            live.progress().pause(false);
            assert_eq!(live.progress().stage().0, Stage::Running);
        }
    }

    #[test]
    fn an_arm_without_a_share_gets_its_first_step() {
        let (live, plan, start) = (Live::new(&[("a", 1), ("b", 0)], 1), plan(), Instant::now());
        live.look(&plan, start);
        live.look(&plan, start + Duration::from_secs(60)).unwrap();
        assert_eq!(shares(&live), (0.8, 0.2));
    }
}
