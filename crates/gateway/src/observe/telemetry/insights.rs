//! What is not as usual, in plain words with its numbers.
//!
//! Takes what is remembered; gives sentences about services, targets and routes. Compares the last minute with the
//! hours before, and targets with their peers. Must rather miss something small than cry wolf: each rule wants enough
//! calls, a factor, and a distance.

mod slow;

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Counts, Key, Kind, Store};
use crate::observe::said::{Said, said};

/// What counts as now, in seconds.
const NOW: u64 = 60;
/// What is left out between now and what is usual, so that a slow decline still shows.
const BETWEEN: u64 = 120;
/// What is usual: the hours before.
const USUAL: u64 = 6 * 3_600;
/// How long something may be told until it is what is usual.
const ACCEPTED: u64 = 3_600;
/// Calls in the last minute from which on something is said.
const LEAST: u64 = 20;
/// Calls before from which on there is a usual.
const LEAST_USUAL: u64 = 200;
/// Shares of errors: from which on it is a burst, and how many times the usual.
const BURST: (f64, f64) = (0.1, 3.0);
/// The share of refusals from which on it is told.
const REFUSED: f64 = 0.5;
/// Sentences at a time.
const MOST: usize = 50;

/// One thing that is not as usual.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Insight {
    /// `bad` or `warn`.
    pub severity: &'static str,
    /// What kind of thing it is about: `route`, `service`, `target`, `certificate`.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// The service of a target.
    pub service: Option<String>,
    /// What is the matter.
    pub text: String,
    /// What to do.
    pub advice: String,
    /// Since when, in seconds since 1970, where that can be told.
    pub since: Option<u64>,
    /// Both sentences once more, for other languages.
    pub said: Sentences,
}

/// The sentences of an insight as templates with what stands in them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Sentences {
    /// What is the matter.
    pub text: Said,
    /// What to do.
    pub advice: Said,
}

impl Insight {
    /// What is said of a thing that is no part of another, nobody knows since when.
    pub fn new(
        severity: &'static str,
        kind: &'static str,
        name: impl Into<String>,
        text: Said,
        advice: Said,
    ) -> Insight {
        Insight {
            severity,
            kind,
            name: name.into(),
            service: None,
            text: text.to_string(),
            advice: advice.to_string(),
            since: None,
            said: Sentences { text, advice },
        }
    }
}

/// Since when something is told, by what is told and of what: what it was before is its usual until then, however long
/// it lasts.
#[derive(Default)]
pub struct Told(BTreeMap<(&'static str, Key), u64>);

impl Told {
    /// What was usual before this began to be told, or before the last minutes.
    fn usual(&self, store: &Store, what: &'static str, key: &Key) -> Counts {
        let told = self.0.get(&(what, key.clone())).map(|since| store.now().saturating_sub(*since));
        let between = told.filter(|time| *time < ACCEPTED).map_or(0, |time| time.saturating_add(NOW));
        store.window(key, USUAL).since(&store.window(key, BETWEEN.max(between)))
    }

    /// Compares with what is usual, and notes whether something is told now.
    fn judge(
        &mut self,
        store: &Store,
        what: &'static str,
        key: &Key,
        rule: impl FnOnce(&Counts) -> Option<Insight>,
    ) -> Option<Insight> {
        let found = rule(&self.usual(store, what, key));
        let key = (what, key.clone());
        if found.is_some() {
            self.0.entry(key).or_insert(store.now());
        } else {
            self.0.remove(&key);
        }
        found
    }
}

/// All that is not as usual. What was told at the look before is remembered in `told`.
pub fn insights(store: &Store, told: &mut Told) -> Vec<Insight> {
    let mut found = Vec::new();
    told.0.retain(|_, since| store.now().saturating_sub(*since) < USUAL);
    let services: Vec<Key> = store.keys(Kind::Service).cloned().collect();
    for service in &services {
        let targets: Vec<(Key, Counts)> = store
            .keys(Kind::Target)
            .filter(|target| target.of == service.name)
            .map(|target| (target.clone(), store.window(target, NOW)))
            .collect();
        let worst = slow::odd_one_out(store, &targets);
        let odd_target = worst.as_ref().map(|(key, _)| *key);
        found.extend(told.judge(store, "slow", service, |before| {
            slow::slower_than_usual(store, service, before, &targets, odd_target)
        }));
        found.extend(worst.map(|(key, text)| slow::odd(key, text)));
        found
            .extend(told.judge(store, "errors", service, |before| errors(store, service, before, "service")));
        found.extend(always_fails(store, service));
    }
    let routes: Vec<Key> = store.keys(Kind::Route).filter(|route| &*route.name != "none").cloned().collect();
    for route in &routes {
        found.extend(told.judge(store, "refusals", route, |before| refusals(store, route, before)));
        // What a service answers is told of the service; the rest is the route's own.
        let own = store.window(route, NOW).failed().0;
        if own > 0 && services.iter().all(|service| store.window(service, NOW).failed().0 == 0) {
            found.extend(told.judge(store, "errors", route, |before| errors(store, route, before, "route")));
        }
    }
    found.sort_by_key(|insight| insight.severity != "bad");
    found.truncate(MOST);
    found
}

fn errors(store: &Store, key: &Key, before: &Counts, kind: &'static str) -> Option<Insight> {
    let now = store.window(key, NOW);
    let share = |counts: &Counts| {
        let (failed, of) = counts.failed();
        if of > 0 { failed as f64 / of as f64 } else { 0.0 }
    };
    let (least, factor) = BURST;
    let (_, of) = now.failed();
    if of < LEAST
        || share(&now) < least
        || (before.calls >= LEAST_USUAL && share(&now) < share(before) * factor)
    {
        return None;
    }
    // Without a usual nobody knows whether that is one.
    if before.calls < LEAST_USUAL {
        return None;
    }
    let text = said!(
        "{name} fails: {share} % of answers are 5xx, usually {usual} %",
        name = &*key.name,
        share = format!("{:.0}", share(&now) * 100.0),
        usual = format!("{:.1}", share(before) * 100.0),
    );
    let advice =
        said!("see which: `tidegate tail 'status>=500' '{kind}:{name}'`", kind = kind, name = &*key.name);
    let since = since(store, key, |counts| {
        let (failed, of) = counts.failed();
        of > 0 && failed as f64 / of as f64 >= least / 2.0
    });
    Some(Insight { since, ..Insight::new("bad", kind, &*key.name, text, advice) })
}

fn always_fails(store: &Store, service: &Key) -> Option<Insight> {
    let now = store.window(service, NOW);
    if now.calls < LEAST / 2 || (now.faults as f64) < now.calls as f64 * 0.95 {
        return None;
    }
    let text = said!(
        "{service} never answers: {faults} of {calls} tries ended in a fault",
        service = &*service.name,
        faults = now.faults,
        calls = now.calls,
    );
    let advice = said!("it is down, or its time-out is shorter than it takes: see `detail` of its requests");
    Some(Insight::new("bad", "service", &*service.name, text, advice))
}

fn refusals(store: &Store, route: &Key, before: &Counts) -> Option<Insight> {
    let now = store.window(route, NOW);
    let share = |counts: &Counts| counts.refused as f64 / counts.calls.max(1) as f64;
    if now.calls < LEAST
        || before.calls < LEAST_USUAL
        || share(&now) < REFUSED
        || share(&now) < share(before) * 3.0
    {
        return None;
    }
    let text = said!(
        "{route} refuses {share} % of its requests, usually {usual} %",
        route = &*route.name,
        share = format!("{:.0}", share(&now) * 100.0),
        usual = format!("{:.1}", share(before) * 100.0),
    );
    let advice = said!("see why: `tidegate tail 'route:{route}'`", route = &*route.name);
    Some(Insight::new("warn", "route", &*route.name, text, advice))
}

/// Since when it has been so, by steps of ten seconds going back; quiet steps count as so.
fn since(store: &Store, key: &Key, is: impl Fn(&Counts) -> bool) -> Option<u64> {
    let curve = store.curve(key, 3_600);
    let mut first = None;
    for (at, counts) in curve.steps.iter().rev() {
        if counts.is_empty() {
            continue;
        }
        if !is(counts) {
            break;
        }
        first = Some(*at);
    }
    first
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    const START: u64 = 1_800_000_000;

    /// Tries that took as long as the bucket of this number, some of which failed.
    fn tries(calls: u64, bucket: usize, faults: u64) -> Counts {
        let mut counts = Counts { calls, faults, ..Counts::default() };
        counts.latency.buckets[bucket] = calls - faults;
        let bound = crate::observe::histogram::BOUNDS_MICROS[bucket];
        counts.latency.sum_micros = bound * (calls - faults);
        counts
    }

    fn target(name: &str) -> Key {
        Key { kind: Kind::Target, name: name.into(), of: "users".into() }
    }

    /// What two targets count each second, told of their service too.
    fn second(store: &mut Store, at: u64, each: [Counts; 2]) {
        let service = Key::new(Kind::Service, "users");
        for (name, counts) in ["a", "b"].into_iter().zip(each) {
            store.add(START + at, &target(name), &counts);
            store.add(START + at, &service, &counts);
        }
        store.settle(START + at + 1);
    }

    fn texts(store: &Store) -> Vec<String> {
        insights(store, &mut Told::default()).into_iter().map(|insight| insight.text).collect()
    }

    #[test]
    fn a_steady_hour_is_no_news_and_a_slow_target_is() {
        let mut store = Store::new(START);
        for at in 0..3_600 {
            // As real times are: most fast, some slower.
            second(&mut store, at, [tries(5, 3 + (at as usize % 3), 0), tries(5, 3 + (at as usize % 4), 0)]);
            if at.is_multiple_of(60) {
                assert_eq!(texts(&store), Vec::<String>::new(), "after {at} s");
            }
        }
        let mut heard = None;
        for at in 3_600..3_720 {
            second(&mut store, at, [tries(5, 3, 0), tries(5, 13, 0)]);
            if heard.is_none() && !texts(&store).is_empty() {
                heard = Some(at - 3_600);
            }
        }
        assert!(heard.is_some_and(|seconds| seconds <= 60), "{heard:?}");
        let found = insights(&store, &mut Told::default());
        let slow = found.iter().find(|insight| insight.kind == "service").unwrap();
        assert!(
            slow.text.starts_with("users is slow") && slow.text.contains("b is the slow one"),
            "{}",
            slow.text
        );
        assert!(slow.since.is_some_and(|since| (START + 3_580..=START + 3_620).contains(&since)), "{slow:?}");
        assert!(found.iter().any(|insight| insight.kind == "target" && insight.name == "b"));
        for at in 3_720..3_800 {
            second(&mut store, at, [tries(5, 3, 0), tries(5, 3, 0)]);
        }
        assert_eq!(texts(&store), Vec::<String>::new(), "it has recovered");
    }

    #[test]
    fn a_machine_that_stands_still_for_a_moment_is_no_news() {
        let mut store = Store::new(START);
        for at in 0..900 {
            // One target for ten seconds: enough calls for the p90 of a minute.
            let bucket = if (600..610).contains(&at) { 14 } else { 3 };
            second(&mut store, at, [tries(1, bucket, 0), tries(1, 3, 0)]);
            assert_eq!(texts(&store), Vec::<String>::new(), "after {at} s");
        }
    }

    #[test]
    fn what_is_slow_for_long_is_told_for_long() {
        let (mut store, mut told) = (Store::new(START), Told::default());
        let mut heard = Vec::new();
        // A quarter of an hour, then slow for as long, then as before.
        for at in 0..2_400 {
            let bucket = if (900..1_800).contains(&at) { 13 } else { 3 };
            second(&mut store, at, [tries(2, bucket, 0), tries(2, bucket, 0)]);
            if at.is_multiple_of(10) {
                heard.push((at, !insights(&store, &mut told).is_empty()));
            }
        }
        let is_told = |from: u64, until: u64| {
            heard.iter().filter(move |(at, _)| (from..until).contains(at)).map(|(_, told)| *told)
        };
        assert!(is_told(0, 900).all(|told| !told) && is_told(960, 1_800).all(|told| told), "{heard:?}");
        assert!(is_told(1_860, 2_400).all(|told| !told), "{heard:?}");
    }

    #[test]
    fn the_only_target_of_a_slow_service_is_named() {
        let mut store = Store::new(START);
        let mut both = |at: u64, bucket| {
            let counts = tries(5, bucket, 0);
            store.add(START + at, &target("a"), &counts);
            store.add(START + at, &Key::new(Kind::Service, "users"), &counts);
            store.settle(START + at + 1);
        };
        (0..600).for_each(|at| both(at, 3));
        (600..660).for_each(|at| both(at, 13));
        let found = insights(&store, &mut Told::default());
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].text.ends_with("; a is its only target"), "{}", found[0].text);
    }

    #[test]
    fn what_never_answers_and_what_refuses_is_told() {
        let mut store = Store::new(START);
        let route: Key = Key::new(Kind::Route, Arc::from("/limited"));
        for at in 0..600 {
            second(&mut store, at, [tries(2, 3, 0), tries(2, 3, 0)]);
            store.add(
                START + at,
                &route,
                &Counts { calls: 2, classes: [0, 2, 0, 0, 0], ..Counts::default() },
            );
            store.settle(START + at + 1);
        }
        assert_eq!(texts(&store), Vec::<String>::new());
        for at in 600..670 {
            second(&mut store, at, [tries(2, 3, 2), tries(2, 3, 2)]);
            let refused = Counts { calls: 2, refused: 2, classes: [0, 0, 0, 2, 0], ..Counts::default() };
            store.add(START + at, &route, &refused);
            store.settle(START + at + 1);
        }
        let told = texts(&store).join("\n");
        assert!(told.contains("users never answers"), "{told}");
        assert!(told.contains("/limited refuses 100 %"), "{told}");
    }

    #[test]
    fn few_calls_say_nothing() {
        let mut store = Store::new(START);
        for at in 0..600 {
            if at % 60 == 0 {
                second(&mut store, at, [tries(1, 3, 0), tries(1, 16, 1)]);
            }
        }
        assert_eq!(texts(&store), Vec::<String>::new());
    }
}
