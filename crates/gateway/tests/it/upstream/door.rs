//! `max_in_flight` on the wire: who is let in, who waits, and who is sent away at once.

use std::thread;

use testkit::client::{self, Raw};
use testkit::event::{Gate, eventually};
use testkit::gateway::Gateway;
use testkit::origin::{Origin, Reply};

/// A service that answers once the gate is open, and a gateway that lets one request in.
fn behind_a_door(queue: &str) -> (Gate, Origin, Gateway) {
    let gate = Gate::new();
    let own = gate.clone();
    let origin = Origin::answering(move |_| Reply::ok("done").slow(&own));
    let gateway = testkit::gateway!(
        "listen: 127.0.0.1:0\nadmin: {{ listen: 127.0.0.1:0 }}\nservices:\n  \
         app: {{ targets: \"{}\", max_in_flight: 1, queue: {queue} }}\n  free: \"{}\"\n\
         routes:\n  /*: {{ to: app }}\n  /soft: {{ to: app, fallback: [{{ status: 203, body: later }}] }}\n",
        origin.url(),
        origin.url()
    );
    (gate, origin, gateway)
}

fn inside(gateway: &Gateway, count: f64) {
    gateway.wait_metric("tidegate_service_in_flight{service=\"app\"}", |inside| inside == count);
}

fn waiting(gateway: &Gateway, count: f64) {
    gateway.wait_metric("tidegate_service_waiting{service=\"app\"}", |waiting| waiting == count);
}

#[test]
fn one_is_inside_one_waits_and_the_rest_is_sent_away() {
    let (gate, origin, gateway) = behind_a_door("{ max: 1, timeout: 60s }");
    let addr = gateway.addr();
    let ask = move || thread::spawn(move || client::get(addr, "/").status);
    let first = ask();
    inside(&gateway, 1.0);
    let second = ask();
    waiting(&gateway, 1.0);
    let third = gateway.get("/");
    assert_eq!((third.status, third.header("retry-after")), (503, Some("1")));
    assert_eq!(third.json()["type"], "urn:tidegate:problem:service_full");
    let soft = gateway.get("/soft");
    assert_eq!((soft.status, soft.text().as_str()), (203, "later"), "a ladder is for this too");
    assert_eq!(origin.requests().len(), 1, "the service has got one request");
    gate.open();
    assert_eq!((first.join().unwrap(), second.join().unwrap()), (200, 200));
    inside(&gateway, 0.0);
    waiting(&gateway, 0.0);
    gateway.wait_metric("tidegate_service_refused_total{service=\"app\"}", |refused| refused == 2.0);
}

#[test]
fn nobody_waits_longer_than_is_written() {
    let (gate, _origin, gateway) = behind_a_door("{ timeout: 50ms }");
    let addr = gateway.addr();
    let first = thread::spawn(move || client::get(addr, "/").status);
    inside(&gateway, 1.0);
    assert_eq!(gateway.get("/").status, 503);
    gate.open();
    assert_eq!(first.join().unwrap(), 200);
    assert_eq!(gateway.get("/").status, 200, "the place is free again");
}

#[test]
fn who_goes_away_gives_the_place_back() {
    let (gate, origin, gateway) = behind_a_door("{ max: 1, timeout: 60s }");
    let mut inside_client = Raw::connect(gateway.addr());
    inside_client.get("/");
    origin.wait_for_requests(1);
    let mut waiting_client = Raw::connect(gateway.addr());
    waiting_client.get("/");
    waiting(&gateway, 1.0);
    waiting_client.reset();
    waiting(&gateway, 0.0);
    inside_client.reset();
    inside(&gateway, 0.0);
    // The origin looks up from its work, and finds that nobody waits for it.
    gate.open();
    eventually("the request to be given up", || (origin.open_connections() == 0).then_some(()));
}
