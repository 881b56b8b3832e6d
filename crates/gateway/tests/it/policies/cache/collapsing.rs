//! One fetch for many (C6): who waits, who does not, and that nobody waits for what will not come.

use std::sync::Arc;
use std::thread::{self, JoinHandle};

use testkit::client::{Raw, Response};
use testkit::event::{Gate, eventually};
use testkit::gateway::Gateway;
use testkit::origin::{Origin, Reply};

use super::status;
use crate::setup::with_routes;

const MANY: usize = 12;
const IN_FLIGHT: &str = "tidegate_inflight_requests";

/// An origin whose first answer waits for the gate, and a gateway before it with a long patience.
fn slow(answer: impl Fn(usize) -> Reply + Send + Sync + 'static) -> (Origin, Arc<Gate>, Gateway) {
    let gate = Arc::new(Gate::new());
    let shut = gate.clone();
    let origin = Origin::answering(move |request| match request.seq {
        1 => answer(1).slow(&shut),
        seq => answer(seq),
    });
    let gateway = with_routes(&origin, "  /*: { to: app, cache: { ttl: 60s, wait: 60s } }\n");
    (origin, gate, gateway)
}

/// Requests that are all under way when this returns.
fn ask(gateway: &Gateway, fields: &'static [(&'static str, &'static str)]) -> Vec<JoinHandle<Response>> {
    let before = gateway.metric(IN_FLIGHT);
    let addr = gateway.addr();
    let one = move || Raw::connect(addr).request("GET", "/a", fields, b"").read_response();
    let asked = (0..MANY).map(|_| thread::spawn(one)).collect();
    gateway.wait_metric(IN_FLIGHT, |now| now >= before + MANY as f64);
    asked
}

fn texts(asked: Vec<JoinHandle<Response>>) -> Vec<String> {
    asked.into_iter().map(|one| one.join().unwrap().text()).collect()
}

#[test]
fn many_requests_for_one_thing_are_one_fetch() {
    let (origin, gate, gateway) = slow(|seq| Reply::ok(seq.to_string()));
    let asked = ask(&gateway, &[]);
    gate.open();
    let answers: Vec<Response> = asked.into_iter().map(|one| one.join().unwrap()).collect();
    assert!(answers.iter().all(|answer| answer.text() == "1"));
    let waited = answers.iter().filter(|answer| status(answer).contains("fwd=uri-miss; ttl=")).count();
    assert_eq!((waited, origin.requests().len()), (MANY - 1, 1));
    assert_eq!(gateway.metric("tidegate_cache_collapsed_total"), (MANY - 1) as f64);
}

#[test]
fn nobody_queues_behind_an_answer_that_is_not_for_all() {
    for refused in [("Cache-Control", "no-store"), ("Set-Cookie", "a=b")] {
        let (origin, gate, gateway) =
            slow(move |seq| Reply::ok(seq.to_string()).header(refused.0, refused.1));
        let asked = ask(&gateway, &[]);
        gate.open();
        let mut answers = texts(asked);
        answers.sort_unstable();
        answers.dedup();
        assert_eq!((answers.len(), origin.requests().len()), (MANY, MANY), "{refused:?}");
    }
}

#[test]
fn callers_with_credentials_do_not_wait_for_each_other() {
    let (origin, gate, gateway) = slow(|seq| Reply::ok(seq.to_string()));
    let asked = ask_alone(&gateway);
    origin.wait_for_requests(MANY);
    gate.open();
    let mut answers = texts(asked);
    answers.sort_unstable();
    answers.dedup();
    assert_eq!(answers.len(), MANY);
}

fn ask_alone(gateway: &Gateway) -> Vec<JoinHandle<Response>> {
    let addr = gateway.addr();
    let one =
        move || Raw::connect(addr).request("GET", "/a", &[("Authorization", "Basic x")], b"").read_response();
    (0..MANY).map(|_| thread::spawn(one)).collect()
}

#[test]
fn when_the_first_goes_away_another_takes_its_place() {
    let gate = Arc::new(Gate::new());
    let shut = gate.clone();
    let origin = Origin::answering(move |request| match request.seq {
        1 => Reply::hang(),
        2 => Reply::ok("2").slow(&shut),
        seq => Reply::ok(seq.to_string()),
    });
    let gateway = with_routes(&origin, "  /*: { to: app, cache: { ttl: 60s, wait: 60s } }\n");
    let mut first = Raw::connect(gateway.addr());
    first.get("/a");
    origin.wait_for_requests(1);
    let asked = ask(&gateway, &[]);
    first.reset();
    origin.wait_for_requests(2);
    gate.open();
    assert!(texts(asked).iter().all(|text| text == "2"));
    assert_eq!(origin.requests().len(), 2);
}

#[test]
fn a_failure_of_the_first_frees_all_at_once() {
    for broken in [Reply::reset_without_answer as fn() -> Reply, || Reply::status(500)] {
        let gate = Arc::new(Gate::new());
        let shut = gate.clone();
        let origin = Origin::answering(move |request| match request.seq {
            1 => broken().slow(&shut),
            seq => Reply::ok(seq.to_string()),
        });
        let gateway = with_routes(&origin, "  /*: { to: app, cache: { ttl: 60s, wait: 60s } }\n");
        let asked = ask(&gateway, &[]);
        gate.open();
        let answers: Vec<Response> = asked.into_iter().map(|one| one.join().unwrap()).collect();
        let good = answers.iter().filter(|answer| answer.status == 200).count();
        assert!(good >= MANY - 1, "{good} of {MANY}");
    }
}

#[test]
fn who_goes_away_while_waiting_is_waited_for_by_nobody() {
    let (origin, gate, gateway) = slow(|seq| Reply::ok(seq.to_string()));
    let mut first = Raw::connect(gateway.addr());
    first.get("/a");
    origin.wait_for_requests(1);
    let mut waiting = Raw::connect(gateway.addr());
    waiting.get("/a");
    gateway.wait_metric(IN_FLIGHT, |now| now >= 2.0);
    waiting.reset();
    gateway.wait_metric(IN_FLIGHT, |now| now == 1.0);
    gate.open();
    assert_eq!(first.read_response().text(), "1");
}

#[test]
fn patience_ends() {
    let origin = Origin::answering(|request| match request.seq {
        1 => Reply::hang(),
        seq => Reply::ok(seq.to_string()),
    });
    let gateway = with_routes(&origin, "  /*: { to: app, cache: { ttl: 60s, wait: 50ms } }\n");
    let mut first = Raw::connect(gateway.addr());
    first.get("/a");
    origin.wait_for_requests(1);
    assert_eq!(super::get(&gateway, "/a", &[]).text(), "2");
    eventually("the next is a hit", || {
        status(&super::get(&gateway, "/a", &[])).contains("; hit").then_some(())
    });
}
