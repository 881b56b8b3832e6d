//! `timeout` on the wire: 504 when the head of the answer does not come, and no bound for what follows it.

use std::sync::mpsc;

use testkit::client::Raw;
use testkit::origin::{Origin, Reply};

use crate::setup::{FullQueue, with_routes};

#[test]
fn the_service_learns_how_much_time_is_left() {
    let origin = Origin::start();
    let gateway = testkit::gateway!(
        "listen: 127.0.0.1:0\nservices:\n  app: {{ targets: \"{}\", deadline_header: X-Time-Left }}\n\
         routes:\n  /*: {{ to: app, timeout: 20s }}\n  /open: {{ to: app }}\n",
        origin.url()
    );
    assert_eq!(gateway.get("/").status, 200);
    assert_eq!(gateway.get("/open").status, 200);
    let left: Vec<Option<u64>> = origin
        .requests()
        .iter()
        .map(|request| request.header("X-Time-Left").map(|left| left.parse().unwrap()))
        .collect();
    assert!(matches!(left[..], [Some(1..=20_000), None]), "{left:?}");
}

#[test]
fn an_answer_that_does_not_begin_in_time_is_a_504() {
    let origin = Origin::answering(|_| Reply::hang());
    let gateway = with_routes(&origin, "  /*: { to: app, timeout: 50ms }");
    let answer = gateway.get("/");
    assert_eq!((answer.status, answer.json()["type"].as_str()), (504, Some("urn:tidegate:problem:timeout")));
    // The answer never comes, so its connection is of no more use.
    origin.wait_for_open_connections(0);
}

/// Connecting counts, and so does every further try.
#[test]
fn a_connection_that_does_not_come_about_in_time_is_a_504() {
    let (one, other) = (FullQueue::new(), FullQueue::new());
    let gateway = testkit::gateway!(
        r#"
listen: 127.0.0.1:0
admin: {{ listen: 127.0.0.1:0 }}
services: {{ app: {{ targets: ["{one}", "{other}"], connect_timeout: 60s }} }}
routes:
  /*: {{ to: app, timeout: 100ms }}
"#,
        one = one.url(),
        other = other.url()
    );
    let answer = gateway.get("/");
    assert_eq!((answer.status, answer.json()["type"].as_str()), (504, Some("urn:tidegate:problem:timeout")));
}

/// A client that rests in the middle of its body is not the service's fault.
#[test]
fn the_time_of_the_service_does_not_run_while_the_client_is_awaited() {
    let (origin, hanging) = (Origin::start(), Origin::hanging());
    let gateway = testkit::gateway!(
        r#"
listen: 127.0.0.1:0
admin: {{ listen: 127.0.0.1:0 }}
services: {{ app: {{ targets: ["{url}"], timeout: 2s }}, slow: {{ targets: ["{hanging}"], timeout: 4s }} }}
routes:
  /*: {{ to: app }}
  /clock: {{ to: slow }}
"#,
        url = origin.url(),
        hanging = hanging.url(),
    );
    let mut client = Raw::connect(gateway.addr());
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nha");
    // Another request's longer time passes meanwhile.
    assert_eq!(gateway.get("/clock").status, 504);
    assert_eq!(client.send("lf").read_response().json()["body"], "half");
}

#[test]
fn a_stream_lasts_longer_than_the_time_for_its_head() {
    let (events, stream) = mpsc::channel();
    let stream = std::sync::Mutex::new(Some(stream));
    let origin = Origin::answering(move |request| match request.target.as_str() {
        "/events" => Reply::sse(stream.lock().unwrap().take().unwrap()),
        _ => Reply::hang(),
    });
    let gateway = with_routes(&origin, "  /*: { to: app, timeout: 2s }");
    let mut client = Raw::connect(gateway.addr());
    client.get("/events").read_head();
    // A request of the same time-out that begins later and ends by it: after it the stream's time is over.
    assert_eq!(gateway.get("/slow").status, 504);
    events.send("late".to_owned()).unwrap();
    let chunk = client.wire().chunk().unwrap();
    assert!(String::from_utf8_lossy(&chunk).contains("late"), "{chunk:?}");
}
