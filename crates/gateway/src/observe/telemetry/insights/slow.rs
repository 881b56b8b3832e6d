//! Services that are slower than usual, and targets that are worse than their peers.
//!
//! Takes what is remembered of a service and its targets; gives a sentence about the one or the other. What is slow has to
//! be so in each part of the minute: a machine that stands still for a moment is no news.

use super::super::{Counts, Key, Store};
use super::{Insight, LEAST, LEAST_USUAL, NOW, since};
use crate::observe::said::{Said, said};

/// The parts of the minute, in seconds.
const PART: u64 = 20;
/// How many times slower than usual is slow, and by how many milliseconds.
const SLOWER: (f64, f64) = (3.0, 25.0);

/// A service that is slower than `before`. `worst` is the target that is odd, if one is.
pub(super) fn slower_than_usual(
    store: &Store,
    service: &Key,
    before: &Counts,
    targets: &[(Key, Counts)],
    worst: Option<&Key>,
) -> Option<Insight> {
    let now = store.window(service, NOW);
    if now.calls < LEAST || before.calls < LEAST_USUAL {
        return None;
    }
    let (p90, usual_p90) = (now.quantile_ms(0.9)?, before.quantile_ms(0.9)?);
    let (average, usual_average) = (now.average_ms()?, before.average_ms()?);
    let (factor, distance) = SLOWER;
    let slow = |p90: f64| p90 >= usual_p90 * factor && p90 >= usual_p90 + distance;
    if !slow(p90) || average < usual_average * 2.0 || !in_each_part(store, service, slow) {
        return None;
    }
    let mut asked = targets.iter().filter(|(_, counts)| counts.calls > 0).map(|(target, _)| target);
    let whose = match (worst, asked.next(), asked.next()) {
        (Some(target), ..) => Whose::Worst(&target.name),
        (None, Some(only), None) => Whose::Only(&only.name),
        _ => Whose::All,
    };
    let (text, advice) = whose.told(&service.name, p90, usual_p90);
    let since = since(store, service, |counts| {
        counts.average_ms().is_some_and(|average| average >= usual_average * 2.0)
    });
    Some(Insight { since, ..Insight::new("bad", "service", &*service.name, text, advice) })
}

/// Which targets make a service slow.
enum Whose<'t> {
    Worst(&'t str),
    Only(&'t str),
    All,
}

impl Whose<'_> {
    fn told(&self, service: &str, p90: f64, usual: f64) -> (Said, Said) {
        let times = format!("{:.0}", p90 / usual.max(0.001));
        let (p90, usual) = (millis(p90), millis(usual));
        match *self {
            Whose::Worst(target) => (
                said!(
                    "{service} is slow: 9 of 10 calls within {p90}, {times} times its usual {usual}; {target} is the slow one of its targets",
                    service = service,
                    p90 = p90,
                    times = times,
                    usual = usual,
                    target = target,
                ),
                said!("look at {target}, or drain it", target = target),
            ),
            Whose::Only(target) => (
                said!(
                    "{service} is slow: 9 of 10 calls within {p90}, {times} times its usual {usual}; {target} is its only target",
                    service = service,
                    p90 = p90,
                    times = times,
                    usual = usual,
                    target = target,
                ),
                said!("look at {target} and at what it depends on, such as a database", target = target),
            ),
            Whose::All => (
                said!(
                    "{service} is slow: 9 of 10 calls within {p90}, {times} times its usual {usual}",
                    service = service,
                    p90 = p90,
                    times = times,
                    usual = usual,
                ),
                said!("all its targets are slow alike: look at what they depend on, such as a database"),
            ),
        }
    }
}

/// Whether the p90 is so in each part of the minute.
fn in_each_part(store: &Store, key: &Key, is: impl Fn(f64) -> bool) -> bool {
    let mut later = Counts::default();
    (1..=NOW / PART).all(|nth| {
        let until_now = store.window(key, nth.saturating_mul(PART));
        let part = until_now.since(&later);
        later = until_now;
        part.quantile_ms(0.9).is_some_and(&is)
    })
}

/// The target that is far worse than its peers, and how.
pub(super) fn odd_one_out<'t>(store: &Store, targets: &'t [(Key, Counts)]) -> Option<(&'t Key, Said)> {
    let told = targets.iter().filter(|(_, counts)| counts.calls >= LEAST / 2);
    let told: Vec<&(Key, Counts)> = told.collect();
    if told.len() < 2 {
        return None;
    }
    told.iter().find_map(|(key, counts)| {
        let mut peers = Counts::default();
        told.iter().filter(|(other, _)| other != key).for_each(|(_, counts)| peers.add(counts));
        let (own, of_peers) = (counts.quantile_ms(0.9)?, peers.quantile_ms(0.9)?);
        let (factor, distance) = SLOWER;
        let slow = |p90: f64| p90 >= of_peers * factor && p90 >= of_peers + distance;
        if slow(own) && in_each_part(store, key, slow) {
            let text = said!(
                "{target} is worse than the other targets of {service}: 9 of 10 calls within {p90}, its peers {peers}",
                target = &*key.name,
                service = &*key.of,
                p90 = millis(own),
                peers = millis(of_peers),
            );
            return Some((key, text));
        }
        let share = |counts: &Counts| counts.faults as f64 / counts.calls.max(1) as f64;
        (share(counts) >= 0.2 && share(&peers) < 0.05).then(|| {
            let text = said!(
                "{target} is worse than the other targets of {service}: {share} % of tries fail, of its peers {peers} %",
                target = &*key.name,
                service = &*key.of,
                share = format!("{:.0}", share(counts) * 100.0),
                peers = format!("{:.0}", share(&peers) * 100.0),
            );
            (key, text)
        })
    })
}

/// What is said of a target that is worse than its peers.
pub(super) fn odd(target: &Key, text: Said) -> Insight {
    let advice = said!("drain it (`tidegate drain {target}`) and look at it", target = &*target.name);
    let service = Some(target.of.to_string());
    Insight { service, ..Insight::new("warn", "target", &*target.name, text, advice) }
}

fn millis(value: f64) -> String {
    if value >= 10.0 { format!("{value:.0} ms") } else { format!("{value:.1} ms") }
}
