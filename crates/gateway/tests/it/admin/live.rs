//! The topology as a stream: the first event comes at once, each after it as soon as its second was kept.

use serde_json::Value;
use testkit::client::Raw;
use testkit::gateway::AUTHORIZATION;
use testkit::origin::Origin;

use crate::setup::with_routes;

/// What a list of nodes tells but for what depends on the time, and for what only the whole topology tells.
fn told(topology: &Value, list: &str) -> Value {
    let mut nodes = topology[list].clone();
    for node in nodes.as_array_mut().unwrap() {
        let only = ["rate", "statuses", "faults", "bytes_in", "bytes_out"];
        node.as_object_mut().unwrap().retain(|name, _| !only.contains(&&**name));
    }
    nodes
}

#[test]
fn a_stream_brings_the_topology_of_each_second() {
    let origin = Origin::start();
    let gateway = with_routes(&origin, "  /orders/*: { to: app }\n  /quiet: { to: app }\n");
    (0..5).for_each(|nth| assert_eq!(gateway.get(&format!("/orders/{nth}")).status, 200));
    let mut stream = Raw::connect(gateway.admin_addr());
    stream.request("GET", "/api/v1/live?window=5m", &[AUTHORIZATION], b"");
    let head = stream.read_head();
    assert_eq!((head.status, head.header("content-type")), (200, Some("text/event-stream")));
    assert_eq!(head.header("cache-control"), Some("no-cache"));
    let mut text = String::new();
    while text.matches("\n\n").count() < 4 {
        text.push_str(&stream.read_chunk().unwrap());
    }
    let events = text.split_terminator("\n\n").map(|event| event.strip_prefix("data: ").unwrap());
    let events: Vec<Value> = events.map(|event| serde_json::from_str(event).unwrap()).collect();
    let until: Vec<u64> = events.iter().map(|event| event["until"].as_u64().unwrap()).collect();
    assert!(until.is_sorted() && until.last() >= Some(&(until[0] + 2)), "{until:?}");
    let last = events.last().unwrap();
    assert_eq!((&last["routes"][0]["calls"], &last["gateway"]["calls"]), (&5.into(), &5.into()), "{last}");
    let asked = gateway.admin("/api/v1/topology?window=5m").json();
    for list in ["routes", "services", "targets"] {
        assert_eq!(told(last, list), told(&asked, list), "{list}");
    }
}
