//! The store by seconds that the tests make up.

use super::*;

const START: u64 = 1_800_000_000;

fn route(name: &str) -> Key {
    Key::new(Kind::Route, name)
}

fn calls(calls: u64) -> Counts {
    let mut counts = Counts { calls, classes: [0, calls, 0, 0, 0], ..Counts::default() };
    counts.latency.buckets[0] = calls;
    counts
}

/// One call in each second.
fn fill(store: &mut Store, key: &Key, seconds: std::ops::Range<u64>) {
    for second in seconds {
        store.add(START + second, key, &calls(1));
        store.settle(START + second + 1);
    }
}

#[test]
fn a_window_is_the_sum_of_its_seconds_in_each_ring() {
    let (mut store, key) = (Store::new(START), route("a"));
    fill(&mut store, &key, 0..100);
    assert_eq!(store.window(&key, 10).calls, 10);
    assert_eq!((store.window(&key, 300).calls, store.covered(300)), (100, 100));
    assert_eq!(store.window(&route("b"), 300), Counts::default());
    fill(&mut store, &key, 100..4_000);
    for (seconds, most) in [(60, 60), (300, 300), (600, 610), (3_600, 3_610), (7_200, 4_000)] {
        let found = store.window(&key, seconds).calls;
        assert_eq!(store.of(&key).calls(seconds), found, "{seconds}");
        assert_eq!(found, store.covered(seconds), "{seconds}");
        assert!((seconds.min(4_000)..=most).contains(&found), "{seconds}: {found}");
    }
}

/// Whatever second it is, and with seconds in which nothing happened.
#[test]
fn a_window_of_whole_and_short_steps_is_the_sum_of_its_curve() {
    let (mut store, key) = (Store::new(START), route("a"));
    for second in 0..4_000 {
        if second % 7 != 3 {
            store.add(START + second, &key, &calls(second));
        }
        store.settle(START + second + 1);
        if second % 13 > 0 && second < 3_900 {
            continue;
        }
        for seconds in [1, 9, 10, 11, 59, 60, 61, 299, 300, 301, 3_600, 3_601] {
            let mut sum = Counts::default();
            store.curve(&key, seconds).steps.iter().for_each(|(_, counts)| sum.add(counts));
            assert_eq!(store.window(&key, seconds), sum, "{seconds} s after {second} s");
            assert_eq!(store.of(&key).calls(seconds), sum.calls, "{seconds} s after {second} s");
        }
    }
}

#[test]
fn a_curve_has_no_gaps_and_begins_with_the_process() {
    let (mut store, key) = (Store::new(START), route("a"));
    store.add(START + 1, &key, &calls(3));
    store.settle(START + 4);
    let curve = store.curve(&key, 60);
    let told: Vec<(u64, u64)> = curve.steps.iter().map(|(at, counts)| (at - START, counts.calls)).collect();
    assert_eq!((curve.step, told), (1, vec![(0, 0), (1, 3), (2, 0), (3, 0)]));
    fill(&mut store, &key, 4..4_000);
    for (seconds, step, count) in [(300, 1, 300), (3_600, 10, 360), (80_000, 60, 67)] {
        let curve = store.curve(&key, seconds);
        assert_eq!((curve.step, curve.steps.len()), (step, count), "{seconds}");
    }
}

#[test]
fn what_is_idle_for_a_day_is_forgotten() {
    let (mut store, key) = (Store::new(START), route("a"));
    fill(&mut store, &key, 0..10);
    store.settle(START + 80_000);
    assert_eq!(store.keys(Kind::Route).count(), 1);
    store.settle(START + 90_000);
    assert_eq!((store.keys(Kind::Route).count(), store.bytes()), (0, 0));
}

#[test]
fn without_room_the_finest_goes_first_and_comes_back() {
    let mut store = Store::bounded(START, 200_000, 64);
    let keys: Vec<Key> = (0..8).map(|nth| route(&format!("r{nth}"))).collect();
    for second in START..START + 2_000 {
        keys.iter().for_each(|key| store.add(second, key, &calls(1)));
        store.settle(second + 1);
        assert!(store.bytes() <= 200_000, "{} bytes after {} s", store.bytes(), second - START);
    }
    assert!(store.keep[0] < 300 && store.keep[2] == 86_400, "{:?}", store.keep);
    // What the short ring no longer holds is answered from the next.
    assert!(store.window(&keys[0], 300).calls >= 300);
    store.settle(START + 200_000);
    (0..50).for_each(|_| store.settle(START + 200_000));
    assert_eq!(store.keep, [300, 3_600, 86_400]);
}

#[test]
fn things_beyond_the_greatest_number_count_together() {
    let mut store = Store::bounded(START, BUDGET, 3);
    for name in ["a", "b", "c", "d", "e", "a"] {
        store.add(START, &route(name), &calls(1));
    }
    store.settle(START + 1);
    assert_eq!(store.window(&route("a"), 10).calls, 2);
    assert_eq!(store.window(&route("d"), 10).calls, 0);
    assert_eq!(store.window(&route(OTHER), 10).calls, 2);
}

#[test]
fn what_policies_did_leaves_room_for_the_things_themselves() {
    let mut store = Store::bounded(START, BUDGET, 4);
    let on = |route: &str| Key { kind: Kind::Policy, name: "ip:refused".into(), of: route.into() };
    for route in ["a", "b", "c", "d"] {
        store.add(START, &on(route), &calls(1));
    }
    for name in ["a", "b"] {
        store.add(START, &Key::new(Kind::Route, name), &calls(1));
    }
    store.settle(START + 1);
    assert_eq!(store.window(&Key::new(Kind::Route, "a"), 10).calls, 1);
    let told: Vec<u64> =
        ["a", "b", "c", "d"].iter().map(|route| store.window(&on(route), 10).calls).collect();
    assert_eq!(told, [1, 1, 0, 0]);
    assert_eq!(store.window(&Key::new(Kind::Policy, OTHER), 10).calls, 2);
}

#[test]
fn the_least_of_all_rings_fits_the_budget() {
    let slots: u64 = TIERS.iter().map(|tier| tier.least / tier.step + 2).sum();
    // A slot with every bucket filled, in a ring that has just doubled its memory.
    let bytes = slots * (104 + 18 * 8) * 2 * MOST_SERIES as u64;
    assert!(bytes <= BUDGET as u64, "{bytes}");
}
