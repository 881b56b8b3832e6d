//! The end of a gateway: what is under way is finished, nothing new is taken, and the deadline holds.

use testkit::client::{Raw, WebSocket};
use testkit::event::{Gate, eventually};
use testkit::gateway::{Gateway, Signal};
use testkit::origin::{Origin, Reply, WebSocketEcho};

fn with_deadline(origin: &Origin, deadline: &str) -> Gateway {
    testkit::gateway!(
        r#"
listen: 127.0.0.1:0
admin: {{ listen: 127.0.0.1:0 }}
drain: {{ timeout: {deadline}, spread: 50ms }}
services: {{ app: "{app}" }}
routes:
  /*: {{ to: app }}
"#,
        app = origin.url()
    )
}

fn slow_origin(gate: &Gate) -> Origin {
    let gate = gate.clone();
    Origin::answering(move |request| match request.target.as_str() {
        "/slow" => Reply::ok("at last").slow(&gate),
        _ => Reply::ok("at once"),
    })
}

#[test]
fn what_is_under_way_is_finished_and_nothing_new_is_taken() {
    let gate = Gate::new();
    let origin = slow_origin(&gate);
    let mut gateway = with_deadline(&origin, "9s");
    assert_eq!(gateway.admin("/readyz").status, 200);
    let (mut busy, mut idle) = (Raw::connect(gateway.addr()), Raw::connect(gateway.addr()));
    assert_eq!(idle.get("/").read_response().status, 200);
    busy.get("/slow");
    origin.wait_for_requests(2);
    gateway.signal(Signal::TERM);
    eventually("readiness to fail", || (gateway.admin("/readyz").status == 503).then_some(()));
    idle.expect_closed();
    let addr = gateway.addr();
    eventually("new connections to be refused", || std::net::TcpStream::connect(addr).is_err().then_some(()));
    gate.open();
    let answer = busy.read_response();
    assert_eq!((answer.text().as_str(), answer.says_close()), ("at last", true));
    busy.expect_closed();
    assert!(gateway.wait_for_end().success());
}

#[test]
fn a_gateway_without_work_ends_at_once() {
    let origin = Origin::start();
    let gateway = with_deadline(&origin, "30s");
    assert!(gateway.stop().success());
}

#[test]
fn the_deadline_ends_what_does_not_end() {
    let origin = Origin::hanging();
    let mut gateway = with_deadline(&origin, "300ms");
    let mut client = Raw::connect(gateway.addr());
    client.get("/");
    origin.wait_for_requests(1);
    gateway.signal(Signal::INT);
    assert!(gateway.wait_for_end().code().is_some(), "it was ended by the signal, not by itself");
    assert!(client.try_read_response().is_err());
}

#[test]
fn a_second_signal_ends_at_once() {
    let origin = Origin::hanging();
    let mut gateway = with_deadline(&origin, "60s");
    let mut client = Raw::connect(gateway.addr());
    client.get("/");
    origin.wait_for_requests(1);
    gateway.signal(Signal::TERM);
    eventually("readiness to fail", || (gateway.admin("/readyz").status == 503).then_some(()));
    gateway.signal(Signal::TERM);
    assert!(gateway.wait_for_end().code().is_some(), "it was ended by the signal, not by itself");
}

#[test]
fn a_tunnel_lives_until_the_deadline() {
    let origin = WebSocketEcho::start();
    let mut gateway = with_deadline(&origin, "2s");
    let mut socket = WebSocket::connect(gateway.addr(), "/ws");
    gateway.signal(Signal::TERM);
    eventually("readiness to fail", || (gateway.admin("/readyz").status == 503).then_some(()));
    socket.expect_echo("still here");
    gateway.wait_for_end();
    assert!(socket.try_read().is_err());
}
