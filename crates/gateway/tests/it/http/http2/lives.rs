//! How connections and streams of HTTP/2 live and end: given up, drained, old, slow, silent.

use testkit::client::Raw;
use testkit::event::{Gate, eventually};
use testkit::gateway::Signal;
use testkit::origin::{Origin, Reply};

use super::wire::PREFACE;
use super::{ask, converse, in_front_of, open, read, request};

#[test]
fn a_request_that_is_given_up_is_given_up_at_the_service_too() {
    let origin = Origin::hanging();
    let gateway = in_front_of(&origin, "");
    converse(async {
        let (client, _connection) = open(gateway.addr()).await;
        let mut client = client.ready().await.unwrap();
        let (answer, mut sending) = client.send_request(request("GET", "/").body(()).unwrap(), true).unwrap();
        while origin.open_connections() == 0 || origin.requests().is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        sending.send_reset(h2::Reason::CANCEL);
        drop(answer);
        while origin.open_connections() > 0 {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    });
    gateway.wait_for_log(|log| log["status"] == 499);
}

#[test]
fn a_drained_gateway_says_farewell_and_ends_what_is_under_way() {
    let gate = Gate::new();
    let held = gate.clone();
    let origin = Origin::answering(move |_| Reply::ok("at last").slow(&held));
    let mut gateway = in_front_of(&origin, "drain: { timeout: 9s, spread: 50ms }");
    converse(async {
        let (client, connection) = open(gateway.addr()).await;
        let mut ready = client.ready().await.unwrap();
        let (answer, _) = ready.send_request(request("GET", "/").body(()).unwrap(), true).unwrap();
        while origin.requests().is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        gateway.signal(Signal::TERM);
        // The farewell comes while the answer is still awaited: no more may be asked.
        while ready.clone().ready().await.is_ok() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        gate.open();
        assert_eq!(read(answer.await.unwrap()).await.unwrap().text(), "at last");
        connection.await.unwrap().unwrap();
    });
    assert!(gateway.wait_for_end().success());
}

/// Who was let in just before the end has its request on the way: to say farewell before it would send it elsewhere for
/// nothing, and a client that is told so twice gives up.
#[test]
fn a_connection_that_has_asked_nothing_yet_is_served_once_more() {
    let origin = Origin::start();
    let mut gateway = in_front_of(&origin, "drain: { timeout: 9s, spread: 1ms }");
    converse(async {
        let (client, connection) = open(gateway.addr()).await;
        let mut ready = client.clone().ready().await.unwrap();
        // Before, the gateway does not know yet what will be spoken.
        while gateway.metric("tidegate_http2_connections_active") != 1.0 {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        gateway.signal(Signal::TERM);
        eventually("the gateway to drain", || (gateway.admin("/readyz").status == 503).then_some(()));
        let (answer, _) = ready.send_request(request("GET", "/").body(()).unwrap(), true).unwrap();
        assert_eq!(read(answer.await.unwrap()).await.unwrap().status, 200);
        connection.await.unwrap().unwrap();
    });
    assert!(gateway.wait_for_end().success());
}

#[test]
fn a_connection_carries_so_many_requests_and_rests_so_long() {
    let origin = Origin::start();
    let gateway = in_front_of(&origin, "timeouts: { max_requests: 3, keep_alive: 200ms }");
    converse(async {
        let (client, connection) = open(gateway.addr()).await;
        for _ in 0..3 {
            assert_eq!(ask(&client, request("GET", "/"), b"").await.unwrap().status, 200);
        }
        connection.await.unwrap().unwrap();
        let (client, connection) = open(gateway.addr()).await;
        assert_eq!(ask(&client, request("GET", "/"), b"").await.unwrap().status, 200);
        connection.await.unwrap().unwrap();
        drop(client);
    });
}

#[test]
fn a_client_that_takes_nothing_is_let_go() {
    let origin = Origin::answering(|_| Reply::ok(vec![b'x'; 400_000]));
    let gateway = in_front_of(&origin, "timeouts: { write_idle: 300ms }");
    converse(async {
        let (client, _connection) = open(gateway.addr()).await;
        let mut ready = client.clone().ready().await.unwrap();
        let (answer, _) = ready.send_request(request("GET", "/").body(()).unwrap(), true).unwrap();
        let mut body = answer.await.unwrap().into_body();
        // What was sent is never released: the window stays shut.
        let error = loop {
            match body.data().await {
                Some(Ok(_)) => {}
                Some(Err(error)) => break error,
                None => panic!("the answer is not whole"),
            }
        };
        assert!(error.is_reset(), "{error}");
    });
    gateway.wait_for_log(|log| log["reason"] == "client_stalled");
}

#[test]
fn a_body_that_stalls_and_a_head_that_never_ends_are_let_go() {
    let origin = Origin::start();
    let gateway = in_front_of(&origin, "timeouts: { body_idle: 200ms, head: 200ms, keep_alive: 500ms }");
    converse(async {
        let (client, _connection) = open(gateway.addr()).await;
        let mut ready = client.clone().ready().await.unwrap();
        let (answer, _sending) = ready.send_request(request("POST", "/").body(()).unwrap(), false).unwrap();
        assert_eq!(answer.await.unwrap().status(), 408);
        assert_eq!(ask(&client, request("GET", "/"), b"").await.unwrap().status, 200);
    });
    for half in [&PREFACE[..10], PREFACE, &[PREFACE, &[0, 0, 9, 1, 0, 0, 0, 0, 1, 0x82]].concat()] {
        let mut client = Raw::connect(gateway.addr());
        client.send(half);
        client.wire().to_end().unwrap();
    }
}
