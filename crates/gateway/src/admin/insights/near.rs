//! What is near its limit: places, queues, quotas and rates of which more than four fifths are in use for a while.
//!
//! Takes, at each look, what each bound says of itself; gives a sentence for those that stay above, until they stay below
//! seven tenths. Small bounds are left alone: of two places one is always half.

use std::collections::HashMap;
use std::sync::atomic::Ordering;

use crate::admin::control::Control;
use crate::observe::fill::{Fill, Used};
use crate::observe::said::{Said, said};
use crate::observe::telemetry::insights::Insight;
use crate::observe::telemetry::{Key, Kind, Store};
use crate::snapshot::Snapshot;

/// From which share on it is near, and below which no longer.
const SHARES: (f64, f64) = (0.8, 0.7);
/// Looks in a row, of ten seconds each, that it takes to be near and to be no longer.
const LOOKS: u8 = 3;
/// Bounds below this are not watched.
const LEAST: f64 = 10.0;
/// Bounds that are watched.
const MOST: usize = 2_000;

/// What is known of all bounds.
#[derive(Default)]
pub(super) struct Near {
    bounds: HashMap<(&'static str, String, String), Watched>,
}

/// A bound that is or was above its share.
#[derive(Default)]
struct Watched {
    /// Looks in a row that said the other thing than what is told.
    turning: u8,
    told: bool,
    /// When it came near, in seconds since 1970.
    since: u64,
    /// The look that saw it last.
    seen: u64,
}

impl Near {
    /// All that is near now.
    pub(super) fn look(&mut self, control: &Control, store: &Store, now: u64) -> Vec<Insight> {
        let snapshot = control.gateway.live.snapshot();
        let mut found = Vec::new();
        for (name, _, connections) in control.gateway.listeners() {
            let Some(listener) = snapshot.listener(&name) else { continue };
            let used = Used::Now(connections.active.load(Ordering::Relaxed) as u64);
            let what = said!("the connections");
            let fill = Fill { what, used, most: listener.max_connections as f64 };
            found.extend(self.bound("listener", &name, &fill, 0.0, now));
        }
        self.of_services(&snapshot, now, &mut found);
        for route in &snapshot.routes {
            let mut rate = None;
            for bound in &route.policies {
                bound.policy.fills(&mut |fill| {
                    let calls = *rate.get_or_insert_with(|| passed(store, &route.key));
                    found.extend(self.bound("route", &route.key, &fill, calls, now));
                });
            }
        }
        self.bounds.retain(|_, watched| watched.seen == now);
        found
    }

    fn of_services(&mut self, snapshot: &Snapshot, now: u64, found: &mut Vec<Insight>) {
        for service in &snapshot.services {
            let Some(door) = &service.door else { continue };
            let [inside, ..] = door.counts();
            let what = said!("the places (`max_in_flight`)");
            let fill = Fill { what, used: Used::Now(inside), most: door.most() as f64 };
            found.extend(self.bound("service", &service.name, &fill, 0.0, now));
        }
    }

    /// One bound at one look; `calls` is what its route let pass in a second of late.
    fn bound(
        &mut self,
        kind: &'static str,
        name: &str,
        fill: &Fill,
        calls: f64,
        now: u64,
    ) -> Option<Insight> {
        let used = match fill.used {
            Used::Now(used) => used as f64,
            Used::Calls => calls,
        };
        // Of a rate the bound is in calls of a minute, which is what is looked at.
        let weight = if fill.used == Used::Calls { 60.0 } else { 1.0 };
        if fill.most * weight < LEAST {
            return None;
        }
        let (near, far) = SHARES;
        let share = used / fill.most;
        let key = (kind, name.to_owned(), fill.what.to_string());
        if !self.bounds.contains_key(&key) && (share < near || self.bounds.len() >= MOST) {
            return None;
        }
        let watched = self.bounds.entry(key.clone()).or_default();
        watched.seen = now;
        let turns = if watched.told { share < far } else { share >= near };
        watched.turning = if turns { watched.turning.saturating_add(1) } else { 0 };
        if watched.turning == 1 && !watched.told {
            watched.since = now;
        }
        if watched.turning >= LOOKS {
            (watched.told, watched.turning) = (!watched.told, 0);
        }
        let (since, told) = (Some(watched.since), watched.told);
        if !told && watched.turning == 0 {
            self.bounds.remove(&key);
        }
        told.then(|| Insight {
            since,
            ..Insight::new("warn", kind, name, text(name, fill, used), advice(kind, name))
        })
    }
}

fn text(name: &str, fill: &Fill, used: f64) -> Said {
    let what = fill.what.clone();
    let share = format!("{:.0}", used / fill.most * 100.0);
    let (used, most) = (figure(used), figure(fill.most));
    match fill.used {
        Used::Now(_) => said!(
            "{what} of {name} is nearly used up: {used} of {most}, {share} %",
            what = what,
            name = name,
            used = used,
            most = most,
            share = share,
        ),
        Used::Calls => said!(
            "{what} of {name} is nearly used up: {used} a second of {most} a second, {share} %",
            what = what,
            name = name,
            used = used,
            most = most,
            share = share,
        ),
    }
}

fn advice(kind: &str, name: &str) -> Said {
    match kind {
        "listener" => said!("raise `limits.connections`, or see who holds them: `tidegate status`"),
        "service" => said!(
            "it answers too slowly for what is asked, or could bear more: see `tidegate tail 'service:{service}'`",
            service = name,
        ),
        _ => said!(
            "raise it, or see who asks so much: `tidegate tail 'route:{route}'`; beyond it clients are refused",
            route = name,
        ),
    }
}

/// What a route let pass in the last minute, in requests of a second.
fn passed(store: &Store, route: &str) -> f64 {
    let minute = store.window(&Key::new(Kind::Route, route), 60);
    minute.calls.saturating_sub(minute.refused) as f64 / 60.0
}

fn figure(value: f64) -> String {
    if value.fract() < 0.05 || value >= 100.0 { format!("{value:.0}") } else { format!("{value:.1}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(used: Used, most: f64) -> Fill {
        Fill { what: said!("the limit"), used, most }
    }

    /// What is told at each look of ten seconds, of a bound of 100.
    fn looks(near: &mut Near, used: &[u64]) -> Vec<bool> {
        let one = |(nth, used): (usize, &u64)| {
            let now = 1_000 + nth as u64 * 10;
            near.bound("service", "users", &fill(Used::Now(*used), 100.0), 0.0, now).is_some()
        };
        used.iter().enumerate().map(one).collect()
    }

    #[test]
    fn it_is_told_when_it_stays_above_and_until_it_stays_below() {
        let mut near = Near::default();
        let used = [20, 85, 90, 30, 85, 90, 95, 75, 65, 75, 65, 65, 65, 90];
        let told = looks(&mut near, &used);
        let wanted: Vec<bool> = "......######..".chars().map(|mark| mark == '#').collect();
        assert_eq!(told, wanted, "{used:?}");
    }

    #[test]
    fn peaks_and_small_bounds_are_no_news() {
        let mut near = Near::default();
        let peaks: Vec<u64> = (0..360).map(|nth| if nth % 3 == 2 { 20 } else { 99 }).collect();
        assert!(looks(&mut near, &peaks).iter().all(|told| !told));
        for now in 0..100 {
            assert_eq!(near.bound("route", "/a", &fill(Used::Now(4), 4.0), 0.0, now), None);
        }
    }

    #[test]
    fn a_rate_is_compared_with_what_passes() {
        let mut near = Near::default();
        let rate = fill(Used::Calls, 2.0);
        let told: Vec<Option<Insight>> =
            (0..4).map(|nth| near.bound("route", "/a", &rate, 1.9, nth * 10)).collect();
        let last = told.into_iter().next_back().flatten().unwrap();
        assert_eq!(last.text, "the limit of /a is nearly used up: 1.9 a second of 2 a second, 95 %");
        assert_eq!((last.since, last.severity), (Some(0), "warn"));
        let template = "{what} of {name} is nearly used up: {used} a second of {most} a second, {share} %";
        let what = serde_json::json!({ "message": "the limit", "with": {} });
        let with =
            serde_json::json!({ "what": what, "name": "/a", "used": "1.9", "most": "2", "share": "95" });
        let said = &serde_json::to_value(&last).unwrap()["said"];
        assert_eq!(said["text"], serde_json::json!({ "message": template, "with": with }));
        assert_eq!(said["advice"]["with"], serde_json::json!({ "route": "/a" }));
        assert_eq!(
            last.advice,
            "raise it, or see who asks so much: `tidegate tail 'route:/a'`; beyond it clients are refused"
        );
        assert_eq!(near.bound("route", "/b", &fill(Used::Calls, 0.1), 1.0, 0), None, "six in a minute");
    }
}
