//! Connections to services: kept, dropped in time, never trusted blindly, and the next target when one is gone.

use std::net::{Ipv4Addr, SocketAddr};

use socket2::{Domain, Socket, Type};
use testkit::client::{self, Raw};
use testkit::gateway::Gateway;
use testkit::origin::{Origin, Reply};

use crate::setup::in_front_of;

/// A port that is taken and on which nobody listens.
struct Nobody(Socket);

impl Nobody {
    fn new() -> Nobody {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
        Nobody(socket)
    }

    fn url(&self) -> String {
        format!("http://{}", self.0.local_addr().unwrap().as_socket().unwrap())
    }
}

fn with_service(service: &str) -> Gateway {
    testkit::gateway!(
        r#"
listen: 127.0.0.1:0
admin: {{ listen: 127.0.0.1:0 }}
workers: 1
services:
  app: {service}
routes:
  /*: {{ to: app }}
"#
    )
}

#[test]
fn a_connection_is_used_again_by_whoever_comes_next() {
    let origin = Origin::start();
    let gateway = in_front_of(&origin);
    for _ in 0..5 {
        assert_eq!(gateway.get("/").status, 200);
        assert_eq!(client::request(gateway.addr(), "POST", "/", &[], b"body").status, 200);
    }
    assert_eq!(origin.connections().len(), 1);
    origin.assert_clean();
}

/// The race that nobody can win by looking: the service closes while the request is on its way.
#[test]
fn a_stale_connection_costs_a_safe_request_nothing() {
    let origin = Origin::answering(|request| match request.number {
        1 => Reply::ok(format!("{} on {}", request.target, request.connection)),
        _ => Reply::close_without_answer(),
    });
    let gateway = in_front_of(&origin);
    assert_eq!(gateway.get("/a").text(), "/a on 0");
    assert_eq!(gateway.get("/b").text(), "/b on 1");
    assert_eq!(origin.targets()["/b"], 2);
}

/// The same race with a request that may not be repeated: it is sent once, and the client is told.
#[test]
fn a_stale_connection_never_doubles_an_unsafe_request() {
    let origin = Origin::answering(|request| match request.number {
        1 => Reply::ok(""),
        _ => Reply::close_without_answer(),
    });
    let gateway = in_front_of(&origin);
    assert_eq!(gateway.get("/a").status, 200);
    assert_eq!(client::request(gateway.addr(), "POST", "/pay", &[], b"money").status, 502);
    assert_eq!(origin.targets()["/pay"], 1);
}

/// A first connection that fails is no stale one: the request is not repeated for ever.
#[test]
fn a_retry_happens_once() {
    let origin = Origin::answering(|_| Reply::close_without_answer());
    let gateway = in_front_of(&origin);
    assert_eq!(gateway.get("/a").status, 502);
    assert!(origin.requests().len() <= 2, "{:?}", origin.targets());
}

/// A connection that the service has closed in the meantime is seen before it is used, even for a POST.
#[test]
fn a_closed_connection_is_seen_before_it_is_used() {
    let origin = Origin::start();
    let gateway = in_front_of(&origin);
    for nth in 1..=20 {
        assert_eq!(client::request(gateway.addr(), "POST", "/pay", &[], b"money").status, 200, "POST {nth}");
        assert_eq!(origin.targets()["/pay"], nth);
        assert_eq!(origin.close_idle(), 1);
    }
}

#[test]
fn a_connection_that_the_service_wants_closed_is_closed() {
    let origin = Origin::answering(|_| Reply::ok("").header("Connection", "close"));
    let gateway = in_front_of(&origin);
    for _ in 0..3 {
        let mut client = Raw::connect(gateway.addr());
        assert!(!client.get("/").read_response().says_close());
        assert_eq!(client.get("/").read_response().status, 200);
    }
    assert_eq!(origin.connections().len(), 6);
    origin.wait_for_open_connections(0);
}

#[test]
fn an_idle_connection_is_closed_in_time() {
    let origin = Origin::start();
    let url = origin.url();
    let gateway = with_service(&format!(r#"{{ targets: ["{url}"], keep_alive: {{ idle: 100ms }} }}"#));
    let mut client = Raw::connect(gateway.addr());
    assert_eq!(client.get("/").read_response().status, 200);
    origin.wait_for_open_connections(0);
}

/// The service's own word on its patience counts, less a second.
#[test]
fn the_patience_of_the_service_is_respected() {
    let origin = Origin::answering(|_| Reply::ok("").header("Keep-Alive", "timeout=2"));
    let url = origin.url();
    let gateway = with_service(&format!(r#"{{ targets: ["{url}"], keep_alive: {{ idle: 60s }} }}"#));
    let mut client = Raw::connect(gateway.addr());
    assert_eq!(client.get("/").read_response().status, 200);
    origin.wait_for_open_connections(0);
}

#[test]
fn a_target_that_refuses_connections_is_passed_over() {
    let origin = Origin::start();
    let nobody = Nobody::new();
    let gateway = with_service(&format!(r#"["{}", "{}"]"#, nobody.url(), origin.url()));
    for _ in 0..6 {
        assert_eq!(gateway.get("/").status, 200);
        assert_eq!(client::request(gateway.addr(), "POST", "/pay", &[], b"money").status, 200);
    }
    assert_eq!(origin.targets()["/pay"], 6);
}

#[test]
fn a_service_whose_targets_all_refuse_is_a_502() {
    let (one, other) = (Nobody::new(), Nobody::new());
    let gateway = with_service(&format!(r#"["{}", "{}"]"#, one.url(), other.url()));
    let answer = gateway.get("/");
    assert_eq!(answer.status, 502);
    assert!(answer.header("proxy-status").unwrap().contains("connection_refused"), "{:?}", answer.headers);
}

#[test]
fn targets_take_turns_by_their_weight() {
    let (light, heavy) = (Origin::start(), Origin::start());
    let gateway = with_service(&format!(
        r#"{{ targets: ["{}", {{ url: "{}", weight: 3 }}] }}"#,
        light.url(),
        heavy.url()
    ));
    for _ in 0..40 {
        assert_eq!(gateway.get("/").status, 200);
    }
    assert_eq!((light.requests().len(), heavy.requests().len()), (10, 30));
}
