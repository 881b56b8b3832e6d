//! `rate_limit` that a reload changes: under load, while answers are on their way, and in the middle of its schedule.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use testkit::client::{Raw, Response};
use testkit::event::{Gate, eventually};
use testkit::gateway::Gateway;
use testkit::origin::{Origin, Reply};

use super::passed;

/// A file with this limit, and a route that tells which file it is.
fn written(origin: &Origin, limit: &str, version: &str) -> String {
    format!(
        "listen: 127.0.0.1:0\nadmin: {{ listen: 127.0.0.1:0 }}\nworkers: 2\nservices: {{ app: \"{}\" }}\nroutes:\n  \
         /version: {{ respond: {version} }}\n  /*: {{ to: app, rate_limit: {limit} }}\n",
        origin.url()
    )
}

fn turn_to(gateway: &Gateway, origin: &Origin, limit: &str, version: &str) {
    gateway.rewrite_config(&written(origin, limit, version));
    gateway.reload();
    // Each connection may be another worker's.
    eventually("the new configuration", || {
        (0..8).all(|_| gateway.get("/version").text() == version).then_some(())
    });
}

/// How many may come at once, by what the answer tells.
fn remaining(answer: &Response) -> u64 {
    let left = answer.header("RateLimit").unwrap().split(";r=").nth(1).unwrap();
    left.split(';').next().unwrap().parse().unwrap()
}

/// What one client has seen: answers by the old rate, and by the new one.
#[derive(Default)]
struct Seen {
    old: AtomicUsize,
    new: AtomicUsize,
}

/// Asks until told to stop. Every answer is a good one, and none after the first by the new rate is by the old one.
fn keep_asking(gateway: &Gateway, policies: [&str; 2], seen: &Seen, stop: &AtomicBool) {
    let mut client = Raw::connect(gateway.addr());
    while !stop.load(Ordering::Relaxed) {
        let answer = client.get("/").read_response();
        assert_eq!(answer.status, 200);
        match answer.header("RateLimit-Policy").unwrap() {
            policy if policy.contains(policies[1]) => seen.new.fetch_add(1, Ordering::Relaxed),
            policy => {
                assert!(policy.contains(policies[0]), "{policy}");
                assert_eq!(seen.new.load(Ordering::Relaxed), 0, "the old rate after the new one");
                seen.old.fetch_add(1, Ordering::Relaxed)
            }
        };
    }
}

#[test]
fn a_limit_changed_under_load_holds_for_all_and_fails_nothing() {
    let (gate, stop) = (Gate::new(), AtomicBool::new(false));
    let held = gate.clone();
    let origin = Origin::answering(move |request| match request.target.as_str() {
        "/slow" => Reply::ok("slow").slow(&held),
        _ => Reply::ok(""),
    });
    // So slow that nothing of what is consumed comes back meanwhile.
    let limits = ["1000000/3650d", "2000000/3650d"];
    let policies = [";q=1000000;", ";q=2000000;"];
    let gateway = testkit::gateway!("{}", written(&origin, limits[0], "one"));
    let seen: [Seen; 4] = Default::default();
    let all = |counter: fn(&Seen) -> &AtomicUsize, least: usize| {
        let enough = seen.iter().all(|seen| counter(seen).load(Ordering::Relaxed) >= least);
        enough.then_some(())
    };
    thread::scope(|scope| {
        for seen in &seen {
            let (gateway, stop) = (&gateway, &stop);
            scope.spawn(move || keep_asking(gateway, policies, seen, stop));
        }
        let slow: Vec<_> = (0..3).map(|_| scope.spawn(|| gateway.get("/slow"))).collect();
        eventually("the load", || all(|seen| &seen.old, 20));
        eventually("the slow ones to be on their way", || {
            (origin.targets().get("/slow") == Some(&3)).then_some(())
        });
        turn_to(&gateway, &origin, limits[1], "two");
        eventually("all to be judged by the new rate", || all(|seen| &seen.new, 20));
        gate.open();
        for slow in slow {
            let answer = slow.join().unwrap();
            assert_eq!((answer.status, answer.text().as_str()), (200, "slow"));
        }
        stop.store(true, Ordering::Relaxed);
    });
    // What passed by the old rate is consumed of the new one.
    let last = gateway.get("/");
    let consumed = origin.requests().len() as u64;
    let left = remaining(&last);
    assert!((2_000_000 - consumed..=2_000_001 - consumed).contains(&left), "{left} of {consumed}");
}

#[test]
fn a_cost_told_after_a_reload_is_charged_by_the_clock_of_the_new_rate() {
    let gate = Gate::new();
    let held = gate.clone();
    let origin = Origin::answering(move |request| match request.target.as_str() {
        "/held" => Reply::ok("").header("X-Tokens", "40").slow(&held),
        _ => Reply::ok("").header("X-Tokens", "1"),
    });
    // The old limit gives back ten million in a second, the new one ten in a year.
    let cost = "burst: 100, cost: { header: X-Tokens }";
    let gateway =
        testkit::gateway!("{}", written(&origin, &format!("{{ rate: 10000000/s, {cost} }}"), "one"));
    thread::scope(|scope| {
        let answer = scope.spawn(|| gateway.get("/held"));
        origin.wait_for_requests(1);
        turn_to(&gateway, &origin, &format!("{{ rate: 100/3650d, {cost} }}"), "two");
        assert_eq!(remaining(&gateway.get("/")), 99);
        gate.open();
        assert_eq!(answer.join().unwrap().status, 200);
    });
    // One request, another one, and 39 more for the one that was on its way.
    let next = gateway.get("/");
    assert_eq!((next.status, remaining(&next)), (200, 59));
}

#[test]
fn a_reload_in_the_middle_of_a_schedule_keeps_what_was_consumed() {
    let origin = Origin::start();
    let limit = |base: u32, now: u32| {
        format!("{{ rate: {base}/3650d, schedule: [{{ when: daily 00:00/24:00 UTC, rate: {now}/3650d }}] }}")
    };
    let gateway = testkit::gateway!("{}", written(&origin, &limit(5, 50), "one"));
    assert_eq!(passed(&gateway, "/", 10), 10);
    turn_to(&gateway, &origin, &limit(7, 60), "two");
    assert_eq!(passed(&gateway, "/", 70), 50, "ten of the sixty had been consumed");
    turn_to(&gateway, &origin, "80/3650d", "three");
    assert_eq!(passed(&gateway, "/", 40), 20, "sixty of the eighty had been consumed");
}
