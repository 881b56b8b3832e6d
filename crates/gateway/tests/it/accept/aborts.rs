//! Clients that go away: whatever they were doing, nothing of them is left.

use std::thread;

use testkit::client::Raw;
use testkit::gateway::Gateway;
use testkit::origin::{After, Origin, Reply};

/// Clients in all, and how many at a time.
const CLIENTS: usize = 10_000;
const AT_A_TIME: usize = 8;

/// An origin that never answers `/hang`, sends more than anybody waits for of `/big`, and echoes the rest.
fn origin() -> Origin {
    Origin::conversing(|request, conversation| {
        let path = request.target.clone();
        if path == "/big" {
            conversation.write_head(200, &[("Content-Length", "100000000")]);
            while conversation.write(&[b'x'; 16 * 1024]) {}
            return After::Close;
        }
        let Some(request) = conversation.read_request() else { return After::Close };
        let reply = if path == "/hang" { Reply::hang() } else { Reply::echo(&request) };
        conversation.answer(&request, reply)
    })
}

/// One client that comes and goes away, each in another moment.
fn abort(gateway: &Gateway, nth: usize) {
    let mut client = Raw::connect(gateway.addr());
    match nth % 7 {
        0 => {}
        1 => _ = client.send("GET / HTT"),
        2 => _ = client.send("POST /hang HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nten bytes."),
        3 => {
            _ = client
                .send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nten bytes.")
        }
        4 => _ = client.get("/hang"),
        5 => _ = client.get("/"),
        _ => _ = client.get("/big").read_head(),
    }
    // By a reset and in good order by turns.
    if nth.is_multiple_of(2) {
        client.reset();
    }
}

#[test]
fn ten_thousand_clients_that_go_away_leave_nothing() {
    let origin = origin();
    let gateway = testkit::gateway!(
        "listen: 127.0.0.1:0\nadmin: {{ listen: 127.0.0.1:0 }}\nworkers: 2\nlog: {{ access: /dev/null }}\nservices:\n  \
         app: {{ targets: \"{}\", keep_alive: {{ max_idle: 0 }}, timeout: 1h }}\nroutes:\n  /*: {{ to: app }}\n",
        origin.url()
    );
    // Whatever is opened once is open.
    (0..50).for_each(|nth| abort(&gateway, nth));
    let settled = |what: &str| {
        for gauge in [
            "tidegate_connections_active",
            "tidegate_inflight_requests",
            "tidegate_upstream_inflight_requests",
        ] {
            gateway.wait_metric(gauge, |count| count == 0.0);
        }
        origin.wait_for_open_connections(0);
        assert_eq!(gateway.metric("tidegate_panics_total"), 0.0, "{what}");
    };
    settled("before");
    let descriptors = gateway.metric("process_open_fds");
    thread::scope(|scope| {
        for first in 0..AT_A_TIME {
            let gateway = &gateway;
            scope.spawn(move || (first..CLIENTS).step_by(AT_A_TIME).for_each(|nth| abort(gateway, nth)));
        }
    });
    settled("after");
    gateway.wait_metric("process_open_fds", |now| now <= descriptors);
    assert_eq!(gateway.get("/").status, 200);
}
