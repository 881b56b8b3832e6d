//! What limits say before any server stands: settings that cannot be kept, what is told, when a request counts.

use std::time::Instant;

use super::*;
use crate::policies::tests::{asked, bound, fault, lines, run};

#[test]
fn a_rate_of_all_requests_of_a_route_is_told() {
    let told = |lines: &str| {
        let mut told = Vec::new();
        bound(lines).unwrap().iter().for_each(|bound| bound.policy.fills(&mut |fill| told.push(fill)));
        told.into_iter().map(|fill| (fill.what.to_string(), fill.most)).collect::<Vec<_>>()
    };
    let one = |what: &str, most| vec![(format!("the rate limit `{what}`"), most)];
    assert_eq!(told("rate_limit: { rate: 120/min, per: all }"), one("120/min per all", 2.0));
    assert_eq!(told("rate_limit: 120/min"), []);
    assert_eq!(told("rate_limit: { rate: 120/min, per: all, scope: global }"), []);
}

#[test]
fn limits_that_cannot_be_kept_are_told() {
    for (written, told) in [
        ("rate_limit: []", "`rate_limit` names no limit: write a rate: `rate_limit: 100/min`"),
        ("rate_limit: {}", "`rate_limit` says no rate: write `rate: 100/min`, or `limits:` with several"),
        (
            "rate_limit: 18446744073709551615/s",
            "`18446744073709551615/s` is faster than a limit can count: write at most 10000000/s, or no limit",
        ),
        (
            "rate_limit: { rate: 1/s, burst: 0 }",
            "a `burst` of 0 cannot be kept: write a number from 1 to 281474976710656",
        ),
        (
            "rate_limit: { rate: 10/s, cost: 11 }",
            "one request counts for 11, and no more than 10 may come at once: no request could ever pass: write a \
             smaller `cost` or a larger `burst`",
        ),
        (
            "rate_limit: { rate: 10/s, per: [ip, all] }",
            "`all` stands beside sources in `per`: write `per: all` to count all requests together, or leave `all` \
             out",
        ),
        ("rate_limit: [10/s, 10/s]", "two limits are called `10/s`: give one of them another `name`"),
        (
            "rate_limit: { rate: 10/s, limits: [1/min] }",
            "`rate_limit` says both `rate` and `limits`: put the rate into the list",
        ),
        (
            "rate_limit: { limits: [1/min], burst: 7 }",
            "`burst` is about one limit and stands beside `limits`: write it into the limit that it is about",
        ),
    ] {
        assert_eq!(fault(written), told, "{written}");
    }
}

#[test]
fn a_limit_without_a_place_on_a_route_counts_too() {
    let mut exchange = asked("GET", "/", &[]);
    let written = "rate_limit: { limits: [2/min, { rate: 9/min, per: [path.*, header.x-a], cost: 2 }] }";
    assert!(run(written, &mut exchange).is_none());
    let left: Vec<(u64, u64)> = exchange.meters.iter().map(|meter| (meter.remaining, meter.reset)).collect();
    assert_eq!(left, [(1, 30), (7, 14)]);
    assert!(lines(&exchange.response.fields).is_empty());
}

/// Whoever begins requests beforehand and ends them all at once has come then, and not when each began.
#[test]
fn a_request_counts_when_the_exchange_went_on_and_not_when_it_began() {
    let bound = bound("rate_limit: { rate: 1/hour, burst: 1 }").unwrap();
    let asked_at = |began: u64, went_on: u64| {
        let mut exchange = asked("GET", "/", &[]);
        let at = |hours: u64| exchange.record.started + std::time::Duration::from_secs(3600 * hours);
        (exchange.record.started, exchange.record.resumed) = (at(began), at(went_on));
        matches!(bound[0].policy.request(&mut exchange), Verdict::Go)
    };
    assert!(asked_at(1, 9));
    for began in 2..9 {
        assert!(!asked_at(began, 9), "{began}");
    }
    assert!(asked_at(1, 11));
}

/// Prints what a limit adds to a request and its answer; in release that is the figure to compare.
#[test]
fn what_a_limit_adds() {
    const REQUESTS: u32 = 200_000;
    let mut bound = bound("rate_limit: 1000/s").unwrap();
    let mut faults = Diagnostics::default();
    let mut lives = crate::policies::Lives::after(None);
    let mut place = Place {
        route: "/",
        service: "",
        http2: false,
        shadow: false,
        shape: "",
        lives: &mut lives,
        faults: &mut faults,
    };
    let policy = &mut bound[0].policy;
    policy.settle(&mut place);
    let mut exchange = asked("GET", "/", &[]);
    let started = Instant::now();
    for nth in 0..REQUESTS {
        exchange.client.ip = std::net::Ipv4Addr::from_bits(nth % 1000).into();
        exchange.response.clear();
        assert!(matches!(policy.request(&mut exchange), Verdict::Go));
        policy.response(&mut exchange);
    }
    println!("{:?} for a request and its answer", started.elapsed() / REQUESTS);
    assert_eq!(lines(&exchange.response.fields).len(), 2);
}
