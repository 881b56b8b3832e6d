//! Retries that never help: requests are sent again and again, and hardly one of them gets a good answer.
//!
//! Takes, at each look, how many requests each service was sent again, and how many of these failed too; gives a sentence
//! where over some minutes nearly all did, until some begin to help or none are made any more.

use std::collections::HashMap;
use std::sync::Arc;

use crate::observe::said::said;
use crate::observe::telemetry::insights::Insight;

/// Repetitions from which on something is said.
const LEAST: u64 = 20;
/// The share that helps below which they do not, and above which they do again.
const HELP: (f64, f64) = (0.05, 0.2);
/// For how long they are counted before the count begins anew, in seconds.
const COUNTED: u64 = 300;

/// What is known of the retries of all services.
#[derive(Default)]
pub(super) struct Retries {
    services: HashMap<Arc<str>, Counted>,
}

/// What a service had counted when its count began, and what is told of it.
struct Counted {
    since: u64,
    sent: u64,
    lost: u64,
    /// What was found when the count began anew, while it still holds.
    told: Option<Insight>,
}

impl Retries {
    /// One service at one look: how many requests were sent to it again so far, and how many of these failed too.
    pub(super) fn look(&mut self, service: &Arc<str>, (sent, lost): (u64, u64), now: u64) -> Option<Insight> {
        if sent == 0 {
            return None;
        }
        let fresh = || Counted { since: now, sent, lost, told: None };
        let counted = self.services.entry(service.clone()).or_insert_with(fresh);
        let made = sent.saturating_sub(counted.sent);
        let helped = made.saturating_sub(lost.saturating_sub(counted.lost)) as f64;
        let (never, again) = HELP;
        let enough = made >= LEAST;
        if enough && helped <= made as f64 * never {
            let since = counted.told.as_ref().map_or(Some(counted.since), |told| told.since);
            counted.told =
                Some(Insight { since, ..told(service, made, helped, now.saturating_sub(counted.since)) });
        } else if enough && helped >= made as f64 * again {
            counted.told = None;
        }
        if now.saturating_sub(counted.since) >= COUNTED {
            // Few or none since then: whatever it was is over.
            let told = counted.told.take().filter(|_| enough);
            *counted = Counted { told, ..fresh() };
        }
        counted.told.clone()
    }

    /// Forgets services that are gone.
    pub(super) fn keep(&mut self, there: impl Fn(&str) -> bool) {
        self.services.retain(|name, _| there(name));
    }
}

fn told(service: &str, made: u64, helped: f64, seconds: u64) -> Insight {
    let text = said!(
        "retries of {service} never help: of {made} requests that were sent again in {minutes} min, {helped} got a good answer",
        service = service,
        made = made,
        minutes = seconds.div_ceil(60).max(1),
        helped = format!("{helped:.0}"),
    );
    let advice = said!(
        "they only add load: see why it fails (`tidegate tail 'service:{service}'`), take `retry` away, or let a `circuit_breaker` answer at once",
        service = service,
    );
    Insight::new("warn", "service", service, text, advice)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is told after each look of ten seconds; each adds so many repetitions, of which so many help.
    fn looks(retries: &mut Retries, from: u64, steps: impl Iterator<Item = (u64, u64)>) -> Vec<bool> {
        let service: Arc<str> = "users".into();
        let known = retries.services.get(&service).map_or((0, 0), |counted| (counted.sent, counted.lost));
        let (mut sent, mut lost) = known;
        let told = steps.zip(0..).map(|((made, helped), nth)| {
            (sent, lost) = (sent + made, lost + made - helped);
            retries.look(&service, (sent, lost), from + nth * 10).is_some()
        });
        told.collect()
    }

    #[test]
    fn those_that_never_help_are_told_until_they_do() {
        let mut retries = Retries::default();
        let broken = std::iter::repeat_n((3, 0), 60);
        let mended = std::iter::repeat_n((3, 3), 60);
        let told = looks(&mut retries, 1_000, broken.chain(mended));
        let first = told.iter().position(|told| *told).unwrap();
        assert!((6..=9).contains(&first), "{first}");
        assert!(told[first..60].iter().all(|told| *told), "it stays while it is so");
        let over = 60 + told[60..].iter().position(|told| !*told).unwrap();
        assert!(over < 60 + 35, "{over}");
        assert!(told[over..].iter().all(|told| !*told), "and does not come back");
    }

    #[test]
    fn those_that_stop_are_forgotten_and_those_that_help_are_no_news() {
        let mut retries = Retries::default();
        let told =
            looks(&mut retries, 0, std::iter::repeat_n((3, 0), 20).chain(std::iter::repeat_n((0, 0), 70)));
        assert!(told[19] && !told.last().unwrap());
        // As a flaky service is: one in three repetitions fails too; and a few a day that all fail.
        let mut steady = Retries::default();
        assert!(looks(&mut steady, 0, std::iter::repeat_n((3, 2), 720)).iter().all(|told| !told));
        let mut few = Retries::default();
        let seldom = (0..8_640).map(|nth| if nth % 60 == 0 { (1, 0) } else { (0, 0) });
        assert!(looks(&mut few, 0, seldom).iter().all(|told| !told));
        few.keep(|name| name != "users");
        assert!(few.services.is_empty());
    }
}
