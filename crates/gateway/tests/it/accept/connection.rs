//! The life of a client's connection: how many there may be, how long each lasts, and how it ends.

use std::time::Duration;

use testkit::client::Raw;
use testkit::event::{Gate, eventually};
use testkit::gateway::{Gateway, Signal};
use testkit::origin::{After, Origin, Reply};

use crate::setup::in_front_of;

/// One listener with these settings besides its address.
fn with_listener(origin: &Origin, settings: &str) -> Gateway {
    testkit::gateway!(
        r#"
listeners:
  main: {{ address: 127.0.0.1:0, {settings} }}
admin: {{ listen: 127.0.0.1:0 }}
workers: 1
services: {{ app: "{app}" }}
routes:
  /*: {{ to: app, body_limit: 1GiB }}
"#,
        app = origin.url()
    )
}

#[test]
fn a_full_listener_says_so_and_takes_the_next_when_one_has_gone() {
    let origin = Origin::start();
    let gateway = with_listener(&origin, "limits: { connections: 2 }");
    let (mut one, mut other) = (Raw::connect(gateway.addr()), Raw::connect(gateway.addr()));
    assert_eq!(one.get("/").read_response().status, 200);
    assert_eq!(other.get("/").read_response().status, 200);
    let mut third = Raw::connect(gateway.addr());
    let refused = third.read_response();
    assert_eq!((refused.status, refused.json()["status"].as_u64()), (503, Some(503)));
    assert_eq!((refused.header("retry-after"), refused.says_close()), (Some("1"), true));
    third.expect_closed();
    assert_eq!(one.get("/").read_response().status, 200);
    drop(other);
    eventually("room for another", || {
        let mut next = Raw::connect(gateway.addr());
        next.get("/").try_read_response().ok().filter(|answer| answer.status == 200)
    });
}

/// One client address has its share of a listener; the others are for everybody else.
#[test]
fn a_client_that_has_its_share_is_told_so() {
    let origin = Origin::start();
    let gateway = with_listener(&origin, "limits: { connections: 9, connections_per_client: 2 }");
    let from = |address: [u8; 4]| Raw::connect_from(address.into(), gateway.addr());
    let mut held: Vec<Raw> = [from([127, 0, 0, 1]), from([127, 0, 0, 1])].into();
    held.iter_mut().for_each(|client| assert_eq!(client.get("/").read_response().status, 200));
    let mut third = from([127, 0, 0, 1]);
    assert_eq!(third.read_response().status, 503);
    third.expect_closed();
    assert_eq!(from([127, 0, 0, 2]).get("/").read_response().status, 200);
    gateway.wait_metric("tidegate_connections_rejected_total{reason=\"client_full\"}", |count| count == 1.0);
    held.pop();
    eventually("room for another", || {
        let answer = from([127, 0, 0, 1]).get("/").try_read_response().ok()?;
        (answer.status == 200).then_some(())
    });
}

/// A trusted proxy stands for many clients.
#[test]
fn a_trusted_proxy_has_no_share() {
    let origin = Origin::start();
    let settings = "trusted_proxies: [127.0.0.1], limits: { connections_per_client: 1 }";
    let gateway = with_listener(&origin, settings);
    let mut held: Vec<Raw> = (0..5).map(|_| Raw::connect(gateway.addr())).collect();
    held.iter_mut().for_each(|client| assert_eq!(client.get("/").read_response().status, 200));
}

/// O13, O23: when the system has no descriptor left, those who are connected go on, the next ones wait, and nothing
/// has to be restarted when there are descriptors again.
#[test]
fn a_process_without_descriptors_serves_on_and_recovers() {
    let origin = Origin::start();
    let gateway = with_listener(&origin, "");
    let mut client = Raw::connect(gateway.addr());
    assert_eq!(client.get("/").read_response().status, 200);
    let before = open_files(&gateway, 3);
    let mut waiting = Raw::connect(gateway.addr());
    waiting.get("/");
    gateway.wait_for_line(|line| line.contains("cannot accept connections for a moment"));
    assert!(waiting.is_silent_for(Duration::from_millis(200)));
    for _ in 0..3 {
        assert_eq!(client.get("/").read_response().status, 200);
    }
    open_files(&gateway, before);
    assert_eq!(waiting.read_response().status, 200);
    let failures = gateway.metric("tidegate_accept_failures_total");
    assert!((1.0..1000.0).contains(&failures), "{failures} tries are no rest between them");
}

/// Lets a running gateway open files up to this number, and gives the limit from before.
fn open_files(gateway: &Gateway, most: u64) -> u64 {
    use rustix::process::{Pid, Resource, Rlimit, prlimit};
    let pid = Pid::from_raw(gateway.pid().cast_signed());
    let maximum = rustix::process::getrlimit(Resource::Nofile).maximum;
    let before = prlimit(pid, Resource::Nofile, Rlimit { current: Some(most), maximum }).unwrap();
    before.current.unwrap()
}

#[test]
fn a_connection_ends_with_its_last_request() {
    let origin = Origin::start();
    let gateway = with_listener(&origin, "timeouts: { max_requests: 3 }");
    let mut client = Raw::connect(gateway.addr());
    for last in [false, false, true] {
        assert_eq!(client.get("/").read_response().says_close(), last);
    }
    client.expect_closed();
}

#[test]
fn a_connection_ends_with_the_first_request_after_its_time() {
    let origin = Origin::start();
    let gateway = with_listener(&origin, "timeouts: { max_age: 200ms }");
    let mut client = Raw::connect(gateway.addr());
    while !client.get("/").read_response().says_close() {}
    client.expect_closed();
}

/// What rests on a listener that a reload takes away is closed; what is under way is finished first.
#[test]
fn the_connections_of_a_listener_that_is_gone_end() {
    let gate = Gate::new();
    let closed = gate.clone();
    let origin = Origin::answering(move |request| match request.target.as_str() {
        "/slow" => Reply::ok("at last").slow(&closed),
        _ => Reply::ok("at once"),
    });
    let with = |side: &str| {
        format!(
            "drain: {{ spread: 50ms }}\nlisteners:\n  main: 127.0.0.1:0\n{side}admin: {{ listen: 127.0.0.1:0 }}\n\
             services: {{ app: \"{}\" }}\nroutes:\n  /*: {{ to: app }}\n",
            origin.url()
        )
    };
    let mut gateway = testkit::gateway!("{}", with("  side: 127.0.0.1:0\n"));
    let side = gateway.listener("side");
    let (mut resting, mut busy) = (Raw::connect(side), Raw::connect(side));
    let mut main = Raw::connect(gateway.listener("main"));
    assert_eq!(resting.get("/").read_response().status, 200);
    assert_eq!(main.get("/").read_response().status, 200);
    busy.get("/slow");
    origin.wait_for_requests(3);
    gateway.rewrite_config(&with(""));
    gateway.reload();
    resting.expect_closed();
    assert_eq!(main.get("/").read_response().status, 200);
    // The end waits for it too.
    gateway.signal(Signal::TERM);
    main.expect_closed();
    gate.open();
    assert_eq!(busy.read_response().text(), "at last");
    busy.expect_closed();
    assert!(gateway.wait_for_end().success());
}

/// To a client of 1.0 the end of the connection is the end of the answer: a cut answer ends in a reset.
#[test]
fn a_cut_answer_never_looks_whole() {
    let origin = Origin::conversing(|_, conversation| {
        conversation.write_head(200, &[("Transfer-Encoding", "chunked")]);
        conversation.write_chunk(b"half");
        conversation.read_request();
        After::Close
    });
    let gateway = in_front_of(&origin);
    let mut client = Raw::connect(gateway.addr());
    client.send("GET / HTTP/1.0\r\nHost: a\r\n\r\n");
    let answer = client.try_read_response();
    assert_eq!(answer.map(|answer| answer.text()), Err(testkit::wire::Trouble::Reset));
}

/// A client that ends its own side after the request gets the whole answer, however long that flows.
#[test]
fn a_client_that_says_it_has_nothing_more_to_ask_gets_its_answer() {
    let origin = Origin::conversing(|_, conversation| {
        conversation.write_head(200, &[("Transfer-Encoding", "chunked")]);
        for _ in 0..10 {
            conversation.write_chunk(b"x");
            pause(conversation, 100);
        }
        conversation.write(b"0\r\n\r\n");
        After::Close
    });
    let gateway = in_front_of(&origin);
    let mut client = Raw::connect(gateway.addr());
    assert_eq!(client.get("/").half_close().read_response().text(), "xxxxxxxxxx");
}

/// Paces an origin by waiting for bytes that do not come.
fn pause(conversation: &mut testkit::origin::Conversation, millis: u64) {
    conversation.wire().set_read_timeout(Some(Duration::from_millis(millis)));
    assert!(conversation.wire().fill().is_err());
}
