//! `concurrency` on the wire: so many at once, some who wait, and none who is forgotten.

use std::thread;

use testkit::client::{Raw, request};
use testkit::event::{Gate, eventually};
use testkit::gateway::Gateway;
use testkit::origin::{Origin, Reply};

use crate::setup::with_routes;

/// An origin that answers `/held..` when the gate is open, and everything else at once.
fn holding(gate: &Gate) -> Origin {
    let gate = gate.clone();
    Origin::answering(move |request| {
        if request.target.starts_with("/held") {
            gate.wait();
        }
        Reply::ok("")
    })
}

/// A client whose request is with the origin.
fn hold(gateway: &Gateway, origin: &Origin, path: &str) -> Raw {
    let before = origin.requests().len();
    let mut client = Raw::connect(gateway.addr());
    client.get(path);
    eventually("the request to be with the origin", || (origin.requests().len() > before).then_some(()));
    client
}

#[test]
fn no_more_than_so_many_are_with_the_service_at_once() {
    let gate = Gate::new();
    let origin = holding(&gate);
    let gateway = with_routes(&origin, "  /*: { to: app, concurrency: 2 }");
    let mut held = [hold(&gateway, &origin, "/held/1"), hold(&gateway, &origin, "/held/2")];
    let refused = gateway.get("/held/3");
    assert_eq!((refused.status, refused.header("Retry-After")), (503, Some("1")));
    let problem = refused.json();
    assert_eq!(problem["type"], "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity");
    assert_eq!(problem["violated-policies"], serde_json::json!(["2"]));
    gate.open();
    for client in &mut held {
        assert_eq!(client.read_response().status, 200);
    }
    eventually("a place", || (gateway.get("/x").status == 200).then_some(()));
}

#[test]
fn a_client_that_goes_away_leaves_its_place() {
    let gate = Gate::new();
    let origin = holding(&gate);
    let gateway = with_routes(&origin, "  /*: { to: app, concurrency: 1 }");
    let client = hold(&gateway, &origin, "/held/1");
    assert_eq!(gateway.get("/x").status, 503);
    drop(client);
    eventually("the place of the one who went", || (gateway.get("/x").status == 200).then_some(()));
    gate.open();
}

#[test]
fn some_may_wait_and_get_their_place() {
    let gate = Gate::new();
    let origin = holding(&gate);
    let gateway = with_routes(&origin, "  /*: { to: app, concurrency: { max: 1, queue: 2, wait: 1m } }");
    let mut first = hold(&gateway, &origin, "/held/1");
    let (tell, told) = std::sync::mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..3 {
            let (tell, gateway) = (tell.clone(), &gateway);
            scope.spawn(move || tell.send(gateway.get("/w").status));
        }
        // Two wait; whoever comes third is refused.
        assert_eq!(told.recv().unwrap(), 503);
        gate.open();
        assert_eq!(first.read_response().status, 200);
        assert_eq!([told.recv().unwrap(), told.recv().unwrap()], [200, 200]);
    });
}

#[test]
fn nobody_waits_longer_than_is_said() {
    let gate = Gate::new();
    let origin = holding(&gate);
    let gateway = with_routes(&origin, "  /*: { to: app, concurrency: { max: 1, queue: 2, wait: 5ms } }");
    let _first = hold(&gateway, &origin, "/held/1");
    assert_eq!(gateway.get("/w").status, 503);
    gate.open();
}

#[test]
fn clients_have_numbers_of_their_own_and_low_ones_are_refused_first() {
    let gate = Gate::new();
    let origin = holding(&gate);
    let routes = "  /held/*: { to: app, concurrency: { max: 1, per: header.x-key } }\n  \
                  /held/high: { to: app, concurrency: { name: all, max: 5, scope: service } }\n  \
                  /low: { to: app, concurrency: { name: all, max: 5, scope: service, priority: low } }\n  \
                  /high: { to: app, concurrency: { name: all, max: 5, scope: service } }";
    let gateway = with_routes(&origin, routes);
    let ask = |path: &str, key: &str| request(gateway.addr(), "GET", path, &[("X-Key", key)], b"").status;
    let mut own = Raw::connect(gateway.addr());
    own.send("GET /held/a HTTP/1.1\r\nHost: h\r\nX-Key: one\r\n\r\n");
    eventually("the request to be with the origin", || (!origin.requests().is_empty()).then_some(()));
    assert_eq!(ask("/held/b", "one"), 429);
    let held: Vec<Raw> = (0..4).map(|_| hold(&gateway, &origin, "/held/high")).collect();
    // Four of five are taken: that is all that low ones may take.
    assert_eq!((ask("/low", "-"), ask("/high", "-")), (503, 200));
    gate.open();
    for mut client in held.into_iter().chain([own]) {
        assert_eq!(client.read_response().status, 200);
    }
    eventually("places", || (ask("/low", "-") == 200).then_some(()));
}

#[test]
fn a_number_that_follows_the_latency_begins_with_the_least_and_grows() {
    let gate = Gate::new();
    let origin = holding(&gate);
    let gateway = with_routes(&origin, "  /*: { to: app, concurrency: { max: 50, adaptive: { min: 2 } } }");
    let held: Vec<Raw> = (0..2).map(|_| hold(&gateway, &origin, "/held/1")).collect();
    assert_eq!(gateway.get("/x").status, 503);
    gate.open();
    for mut client in held {
        assert_eq!(client.read_response().status, 200);
    }
    // Under a load that uses every place it grows, as long as answers are quick.
    eventually("more than the least at once", || {
        let statuses: Vec<u16> = thread::scope(|scope| {
            let asked: Vec<_> = (0..6)
                .map(|_| {
                    scope.spawn(|| {
                        let mut client = Raw::connect(gateway.addr());
                        (0..30).map(|_| client.get("/x").read_response().status).max().unwrap_or(0)
                    })
                })
                .collect();
            asked.into_iter().map(|one| one.join().unwrap()).collect()
        });
        statuses.iter().all(|status| *status == 200).then_some(())
    });
}
