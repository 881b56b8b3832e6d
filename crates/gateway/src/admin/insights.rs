//! What is not as usual about things that have no curve: certificates that end, routes that nobody uses, time-outs that
//! always fire, caches that never hit, limits that are nearly used up, retries that never help.
//!
//! Takes the snapshot that runs and the counters of its routes; gives sentences as those of `observe::telemetry::insights`.
//! Looks every ten seconds from the thread of the telemetry. Must rather miss something small than cry wolf.

mod again;
mod near;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::control::Control;
use crate::observe::metrics::RouteReading;
use crate::observe::said::said;
use crate::observe::telemetry::insights::Insight;
use crate::observe::telemetry::{Key, Kind, Store};
use crate::route::compiled::Route;
use crate::snapshot::Snapshot;

const DAY: u64 = 86_400;
/// What is left of a certificate when it is told, and when it is urgent. Those of an authority that is asked by the gateway
/// are renewed long before.
const ENDS: (Duration, Duration) = (Duration::from_secs(21 * DAY), Duration::from_secs(7 * DAY));
/// Requests of a suspect from which on something is said.
const LEAST: u64 = 20;
/// The share of answers that must be time-outs.
const ALWAYS: f64 = 0.9;
/// For how long a suspect is counted before its count begins anew, in seconds.
const COUNTED: u64 = 60;
/// Requests to a cache from which on it should have hit, and the share that is next to never.
const CACHED: (u64, f64) = (500, 0.01);
/// Names in one sentence.
const NAMED: usize = 8;

/// What is remembered from look to look.
#[derive(Default)]
pub(super) struct Watch {
    suspects: HashMap<Arc<str>, Suspect>,
    near: near::Near,
    retries: again::Retries,
}

/// A route of which most answers were failures: what it had counted when that began.
#[derive(Clone, Copy, Debug)]
struct Suspect {
    since: u64,
    requests: u64,
    timed_out: u64,
}

impl Watch {
    /// All that is to be said now.
    pub(super) fn look(&mut self, control: &Control, store: &Store, now: u64, uptime: u64) -> Vec<Insight> {
        let snapshot = control.gateway.live.snapshot();
        let mut found = certificates(&snapshot, SystemTime::now());
        for route in &snapshot.routes {
            found.extend(self.timed_out(route, store, now));
            if route.policies.iter().any(|bound| bound.name == "cache") {
                found.extend(never_hits(&route.key, &read(route)));
            }
        }
        self.suspects.retain(|name, _| snapshot.routes.iter().any(|route| route.key == *name));
        found.extend(self.near.look(control, store, now));
        for service in &snapshot.services {
            let [sent, _] = service.budget.counts();
            found.extend(self.retries.look(&service.name, (sent, service.budget.lost()), now));
        }
        self.retries.keep(|name| snapshot.services.iter().any(|service| &*service.name == name));
        let idle = snapshot.routes.iter().filter(|route| route.stats.order().is_none());
        found.extend(unused(idle.map(|route| &*route.key), uptime));
        found
    }

    /// A route whose answers are nearly all time-outs.
    fn timed_out(&mut self, route: &Route, store: &Store, now: u64) -> Option<Insight> {
        let minute = store.window(&Key { kind: Kind::Route, name: route.key.clone(), of: "".into() }, 60);
        let (failed, of) = minute.failed();
        if of < LEAST / 2 || (failed as f64) < of as f64 * ALWAYS {
            self.suspects.remove(&route.key);
            return None;
        }
        let reading = read(route);
        let requests = reading.requests.values().copied().fold(0, u64::saturating_add);
        let late = reading.requests.iter().filter(|(key, _)| key.status() == Some(504));
        let timed_out = late.map(|(_, count)| *count).fold(0, u64::saturating_add);
        let seen = Suspect { since: now, requests, timed_out };
        let suspect = self.suspects.entry(route.key.clone()).or_insert(seen);
        let told = always_late(&route.key, *suspect, seen);
        if now.saturating_sub(suspect.since) > COUNTED && told.is_none() {
            *suspect = seen;
        }
        told
    }
}

fn read(route: &Route) -> RouteReading {
    let mut reading = RouteReading::default();
    route.stats.read(&mut reading);
    reading
}

fn always_late(route: &str, before: Suspect, now: Suspect) -> Option<Insight> {
    let of = now.requests.saturating_sub(before.requests);
    let late = now.timed_out.saturating_sub(before.timed_out);
    if of < LEAST || (late as f64) < of as f64 * ALWAYS {
        return None;
    }
    let text = said!(
        "{route} always runs into its time-out: {late} of its last {of} answers were 504",
        route = route,
        late = late,
        of = of,
    );
    let advice =
        said!("its service takes longer than `timeout` lets it: raise it, or see what the service waits for");
    Some(Insight { since: Some(before.since), ..Insight::new("bad", "route", route, text, advice) })
}

fn never_hits(route: &str, reading: &RouteReading) -> Option<Insight> {
    let count = |wanted: &str| {
        let all = reading.caches.iter().filter(|([result, ..], _)| wanted.is_empty() || *result == wanted);
        all.map(|(_, count)| *count).fold(0, u64::saturating_add)
    };
    let (asked, hits) = (count(""), count("hit"));
    let (least, share) = CACHED;
    if asked < least || hits as f64 >= asked as f64 * share {
        return None;
    }
    let text = said!(
        "the cache of {route} never hits: {hits} of {asked} requests",
        route = route,
        hits = hits,
        asked = asked,
    );
    let advice = said!(
        "see why in `Cache-Status` of its answers, or take it away: `tidegate tail 'route:{route}'`",
        route = route,
    );
    Some(Insight::new("warn", "route", route, text, advice))
}

/// Routes that had no request since the process began, once that is a day ago.
fn unused<'r>(idle: impl Iterator<Item = &'r str>, uptime: u64) -> Option<Insight> {
    if uptime < DAY {
        return None;
    }
    let names: Vec<&str> = idle.collect();
    let first = *names.first()?;
    let routes = names.iter().take(NAMED).copied().collect::<Vec<_>>().join(", ");
    let (count, days) = (names.len() as u64, uptime / DAY);
    let text = match names.len() {
        1 => said!("{route} had no request for {days} days", route = first, days = days),
        2..=NAMED => said!(
            "{count} routes had no request for {days} days: {routes}",
            count = count,
            days = days,
            routes = routes,
        ),
        _ => said!(
            "{count} routes had no request for {days} days: {routes} and {more} more",
            count = count,
            days = days,
            routes = routes,
            more = count.saturating_sub(NAMED as u64),
        ),
    };
    let advice = said!("take away what nobody needs: it can only be misused");
    Some(Insight::new("warn", "route", first, text, advice))
}

fn certificates(snapshot: &Snapshot, now: SystemTime) -> Vec<Insight> {
    let secured = snapshot.listeners.iter().filter_map(|listener| Some((listener, listener.tls.as_ref()?)));
    let told = secured.flat_map(|(listener, tls)| {
        let all = tls.certificates.told().into_iter();
        all.filter_map(|told| ending(&listener.name, &told.name, &told.subject, told.not_after, now))
            .collect::<Vec<_>>()
    });
    told.collect()
}

fn ending(listener: &str, name: &str, subject: &str, until: SystemTime, now: SystemTime) -> Option<Insight> {
    let (soon, urgent) = ENDS;
    let left = until.duration_since(now).unwrap_or_default();
    if left > soon {
        return None;
    }
    let severity = if left > urgent { "warn" } else { "bad" };
    let text = match left.as_secs() {
        0 => said!(
            "the certificate for {subject} of listener {listener} has ended: clients refuse it",
            subject = subject,
            listener = listener,
        ),
        seconds if seconds < 2 * DAY => said!(
            "the certificate for {subject} of listener {listener} ends in {hours} hours",
            subject = subject,
            listener = listener,
            hours = seconds / 3_600,
        ),
        seconds => said!(
            "the certificate for {subject} of listener {listener} ends in {days} days",
            subject = subject,
            listener = listener,
            days = seconds / DAY,
        ),
    };
    let advice = if name == "acme" {
        said!("its renewal fails: see the log for what the authority says")
    } else {
        said!("put a new one at {file}: it is taken up without a restart", file = name)
    };
    Some(Insight::new(severity, "certificate", subject, text, advice))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_told_when_it_ends_soon() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let told =
            |seconds: u64| ending("main", "cert.pem", "a.example", now + Duration::from_secs(seconds), now);
        assert_eq!(told(22 * DAY), None);
        let soon = told(20 * DAY + 1).unwrap();
        assert_eq!(
            (soon.severity, &*soon.text),
            ("warn", "the certificate for a.example of listener main ends in 20 days")
        );
        assert_eq!(told(6 * DAY).unwrap().severity, "bad");
        assert!(told(7_200).unwrap().text.ends_with("ends in 2 hours"));
        let over = ending("main", "acme", "a.example", now - Duration::from_secs(1), now).unwrap();
        assert!(over.text.contains("has ended") && over.advice.contains("renewal"), "{over:?}");
    }

    #[test]
    fn routes_without_requests_are_told_after_a_day() {
        let told = |names: &[&str], uptime| unused(names.iter().copied(), uptime).map(|insight| insight.text);
        assert_eq!(told(&["/a"], DAY - 1), None);
        assert_eq!(told(&[], DAY), None);
        assert_eq!(told(&["/a"], 3 * DAY).unwrap(), "/a had no request for 3 days");
        assert_eq!(told(&["/a", "/b"], DAY).unwrap(), "2 routes had no request for 1 days: /a, /b");
        let many: Vec<String> = (0..10).map(|nth| format!("/{nth}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let text = told(&many, DAY).unwrap();
        assert!(text.starts_with("10 routes") && text.ends_with("/7 and 2 more"), "{text}");
    }

    #[test]
    fn time_outs_are_told_when_nothing_else_comes() {
        let at = |since, requests, timed_out| Suspect { since, requests, timed_out };
        let before = at(100, 1_000, 3);
        assert!(always_late("/a", before, at(110, 1_019, 22)).is_none(), "too few");
        assert!(always_late("/a", before, at(160, 1_100, 60)).is_none(), "half of them");
        let told = always_late("/a", before, at(160, 1_100, 98)).unwrap();
        assert_eq!((told.since, told.severity), (Some(100), "bad"));
        assert!(told.text.contains("95 of its last 100"), "{}", told.text);
    }

    #[test]
    fn a_cache_without_hits_is_told_when_it_had_its_chance() {
        let reading = |misses, hits| RouteReading {
            caches: [(["miss", "", ""], misses), (["hit", "", ""], hits)].into(),
            ..RouteReading::default()
        };
        assert!(never_hits("/a", &reading(499, 0)).is_none());
        assert!(never_hits("/a", &reading(1_000, 11)).is_none());
        assert!(never_hits("/a", &reading(1_000, 3)).unwrap().text.contains("3 of 1003"));
    }
}
