//! The verdict on one endpoint, from checks and from what requests tell. Pure: time and counts are given.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::attempt::Counts;
use super::{Check, Eject, Settings};

/// Parts of the window in which failures are counted.
const PARTS: u32 = 10;

/// What the control side keeps of one endpoint.
#[derive(Default)]
pub(super) struct State {
    /// When the next check is due.
    pub next_check: Option<Instant>,
    /// Whether a check is under way.
    pub checking: bool,
    /// Why checks say that it is down.
    down: Option<String>,
    checked: bool,
    /// Checks in a row that spoke against what holds.
    against: u32,
    /// Why requests say that it is ill, and until when it is out.
    ejected: Option<(String, Instant)>,
    /// Whether the last check since then was good.
    proven: bool,
    /// Times out without a good time between, and the end of the last.
    times: u32,
    last_return: Option<Instant>,
    returned: Option<Instant>,
    tenths: u32,
    samples: VecDeque<(Instant, Counts)>,
    silent: Option<(Instant, u64)>,
}

/// What changed with one endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// It is out, for this reason.
    Out(String),
    /// It is used again.
    Back,
}

/// What the rest of the service looks like from one endpoint.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peers {
    /// Whether one more endpoint may be taken out.
    pub may_go: bool,
    /// The middle one of the others' times to answer; zero when unknown.
    pub usual: Duration,
}

impl State {
    /// Neither down nor ejected.
    pub(super) fn is_well(&self) -> bool {
        self.down.is_none() && self.ejected.is_none()
    }

    /// How much of its weight it may have, in tenths.
    pub(super) fn tenths(&self) -> u32 {
        if self.returned.is_some() { self.tenths } else { 10 }
    }

    /// Why it gets fewer requests than its weight says.
    pub(super) fn ailment(&self) -> Option<String> {
        match (&self.down, &self.ejected) {
            (Some(why), _) => Some(format!("down: {why}")),
            (None, Some((why, _))) => Some(format!("ejected: {why}")),
            (None, None) if self.returned.is_some() => Some("starting slowly".to_owned()),
            (None, None) => None,
        }
    }

    /// Forgets what settings no longer ask for.
    pub(super) fn forget(&mut self, settings: &Settings) {
        if settings.check.is_none() {
            (self.down, self.checked, self.against, self.next_check) = (None, false, 0, None);
        }
        if settings.eject.is_none() {
            (self.ejected, self.times, self.silent) = (None, 0, None);
            self.samples.clear();
        }
    }

    /// Takes the outcome of a check.
    pub(super) fn checked(
        &mut self,
        check: &Check,
        outcome: Result<(), String>,
        now: Instant,
    ) -> Option<Change> {
        let first = !std::mem::replace(&mut self.checked, true);
        self.proven = outcome.is_ok();
        let speaks_for = outcome.is_ok() == self.down.is_none();
        if speaks_for {
            self.against = 0;
            if let Err(why) = outcome {
                self.down = Some(why);
            }
            return None;
        }
        self.against = self.against.saturating_add(1);
        let was_well = self.is_well();
        match outcome {
            Ok(()) if self.against >= check.rise => {
                (self.down, self.against) = (None, 0);
                self.is_well().then(|| self.back(now))
            }
            Err(why) if first || self.against >= check.fall => {
                (self.down, self.against) = (Some(why.clone()), 0);
                was_well.then_some(Change::Out(why))
            }
            _ => None,
        }
    }

    /// The middle one of the times to answer within the window; `None` where there are too few.
    pub(super) fn usual(&self, eject: &Eject, counts: &Counts) -> Option<Duration> {
        let (_, then) = self.samples.front()?;
        let (middle, count) = counts.answered.middle_since(&then.answered);
        (count >= u64::from(eject.min_requests)).then_some(middle)
    }

    /// Looks at what requests told. `errors` is the number of failures in a row.
    pub(super) fn look(
        &mut self,
        eject: &Eject,
        counts: &Counts,
        errors: u32,
        peers: Peers,
        now: Instant,
    ) -> Option<Change> {
        if let Some((_, until)) = &self.ejected {
            // Where there are checks, one has to be good before requests are spent on finding out.
            if now < *until || (self.checked && !self.proven) {
                return None;
            }
            self.ejected = None;
            self.last_return = Some(now);
            self.samples.clear();
            self.silent = None;
            return self.is_well().then(|| self.back(now));
        }
        self.sample(eject, counts, now);
        let silent = self.silence(eject, counts, now);
        let time = self.usual(eject, counts).unwrap_or_default().max(silent);
        let why = ill(eject, errors, self.samples.front().map(|(_, then)| then), counts)
            .or_else(|| slow(eject, time, peers.usual))?;
        // What checks have taken out already needs no second judge.
        if !peers.may_go || !self.is_well() {
            return None;
        }
        self.times = match self.last_return {
            // Well for as long as it could have been out at most, so it starts anew.
            Some(last) if now.saturating_duration_since(last) < eject.max_time => {
                self.times.saturating_add(1)
            }
            _ => 1,
        };
        let time = eject.time.saturating_mul(self.times).min(eject.max_time);
        self.ejected = Some((why.clone(), now.checked_add(time).unwrap_or(now)));
        self.proven = false;
        Some(Change::Out(format!("{why}; out for {} s", time.as_secs())))
    }

    /// Moves the slow start on.
    pub(super) fn warm(&mut self, slow_start: Duration, now: Instant) {
        let Some(since) = self.returned else { return };
        let gone = now.saturating_duration_since(since);
        if gone >= slow_start {
            self.returned = None;
            return;
        }
        let tenths = gone.as_millis().saturating_mul(10) / slow_start.as_millis().max(1);
        self.tenths = u32::try_from(tenths).unwrap_or(10).clamp(1, 10);
    }

    fn back(&mut self, now: Instant) -> Change {
        (self.returned, self.tenths) = (Some(now), 1);
        Change::Back
    }

    fn sample(&mut self, eject: &Eject, counts: &Counts, now: Instant) {
        let old = |then: Instant| now.saturating_duration_since(then);
        if self.samples.back().is_none_or(|(then, _)| old(*then) >= eject.window / PARTS) {
            self.samples.push_back((now, counts.clone()));
        }
        // The oldest that is kept is the one that the window begins with.
        while self.samples.get(1).is_some_and(|(then, _)| old(*then) >= eject.window) {
            self.samples.pop_front();
        }
    }

    /// How long nothing has come while enough was waited for.
    fn silence(&mut self, eject: &Eject, counts: &Counts, now: Instant) -> Duration {
        let waits = counts.waiting >= eject.min_requests;
        match self.silent {
            Some((since, then)) if waits && counts.heads == then => now.saturating_duration_since(since),
            _ => {
                self.silent = waits.then_some((now, counts.heads));
                Duration::ZERO
            }
        }
    }
}

/// Whether failures speak against it.
fn ill(eject: &Eject, errors: u32, then: Option<&Counts>, now: &Counts) -> Option<String> {
    if errors >= eject.errors {
        return Some(format!("{errors} failures in a row"));
    }
    let then = then?;
    let failed = |counts: &Counts| counts.bad.wrapping_add(counts.failures);
    let all = |counts: &Counts| counts.heads.wrapping_add(counts.failures);
    let (failed, all) = (failed(now).wrapping_sub(failed(then)), all(now).wrapping_sub(all(then)));
    let enough = all >= u64::from(eject.min_requests);
    let many = failed.saturating_mul(1_000_000) >= all.saturating_mul(u64::from(eject.error_rate));
    (enough && failed > 0 && many).then(|| format!("{failed} of {all} requests failed"))
}

/// Whether it is far slower than the others.
fn slow(eject: &Eject, time: Duration, usual: Duration) -> Option<String> {
    let far = !usual.is_zero() && time >= usual.saturating_mul(eject.slow_times);
    let told =
        || format!("{} ms to answer where others take {} ms", time.as_millis(), usual.as_millis().max(1));
    (far && time >= eject.slow_over).then(told)
}

#[cfg(test)]
mod tests;
