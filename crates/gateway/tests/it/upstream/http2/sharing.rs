//! How exchanges share connections: as many streams as the service allows, more connections within a bound, order.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use h2::server::Builder;
use testkit::client::Raw;
use testkit::event::eventually;
use tokio::sync::Semaphore;

use super::in_front_of;
use super::origin::{Service, Stream, send};

/// A service that answers a stream once the semaphore has a permit for it, and knows how many waited at most on one
/// connection.
fn held(most: Option<u32>) -> (Service, Arc<Semaphore>, Arc<AtomicUsize>) {
    let (gate, waiting) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
    let mut builder = Builder::new();
    if let Some(most) = most {
        builder.max_concurrent_streams(most);
    }
    let (held, count) = (gate.clone(), waiting.clone());
    let service = Service::with(builder, None, move |stream: Stream| {
        let (gate, count) = (held.clone(), count.clone());
        async move {
            count.fetch_add(1, Ordering::SeqCst);
            gate.acquire().await.unwrap().forget();
            stream.answer(200, b"at last").await;
        }
    });
    (service, gate, waiting)
}

fn wait_for(waiting: &AtomicUsize, count: usize) {
    eventually("requests to wait at the service", || (waiting.load(Ordering::SeqCst) == count).then_some(()));
}

#[test]
fn many_exchanges_share_one_connection() {
    let (service, gate, waiting) = held(None);
    let gateway = in_front_of(&service, "");
    let mut clients: Vec<Raw> = (0..40).map(|_| Raw::connect(gateway.addr())).collect();
    for client in &mut clients {
        client.get("/");
    }
    wait_for(&waiting, 40);
    assert_eq!(service.connections(), 1);
    gate.add_permits(40);
    for client in &mut clients {
        assert_eq!(client.read_response().text(), "at last");
    }
    assert_eq!(service.connections(), 1);
}

#[test]
fn a_full_connection_is_joined_by_another_within_the_bound_and_the_rest_waits() {
    let (service, gate, waiting) = held(Some(2));
    let gateway = in_front_of(&service, ", connect_timeout: 10s, keep_alive: { max_idle: 3 }");
    let mut clients: Vec<Raw> = (0..9).map(|_| Raw::connect(gateway.addr())).collect();
    for client in &mut clients {
        client.get("/");
    }
    wait_for(&waiting, 6);
    assert_eq!(service.connections(), 3);
    gate.add_permits(9);
    for client in &mut clients {
        assert_eq!(client.read_response().status, 200);
    }
    assert_eq!((service.connections(), waiting.load(Ordering::SeqCst)), (3, 9));
}

#[test]
fn who_finds_no_place_in_time_is_told_so() {
    let (service, gate, waiting) = held(Some(1));
    let gateway = in_front_of(&service, ", connect_timeout: 2s, keep_alive: { max_idle: 1 }");
    let mut first = Raw::connect(gateway.addr());
    first.get("/");
    wait_for(&waiting, 1);
    let refused = gateway.get("/");
    assert_eq!((refused.status, &refused.json()["type"]), (503, &"urn:tidegate:problem:service_full".into()));
    gate.add_permits(2);
    assert_eq!(first.read_response().status, 200);
    assert_eq!(gateway.get("/").status, 200);
}

#[test]
fn a_connection_that_rests_is_closed_and_one_of_a_service_that_is_gone_too() {
    let service = Service::start(Stream::echo);
    let gateway = in_front_of(&service, ", keep_alive: { idle: 100ms }");
    assert_eq!(gateway.get("/").status, 200);
    service.wait_for_open(0);
    assert_eq!(gateway.get("/").status, 200);
    let kept = in_front_of(&service, ", keep_alive: { idle: 1h }");
    assert_eq!(kept.get("/").status, 200);
    service.wait_for_open(1);
    let before = service.connections();
    kept.rewrite_config(
        "listen: 127.0.0.1:0\nadmin: { listen: 127.0.0.1:0 }\nworkers: 1\nroutes: { /*: { respond: 204 } }\n",
    );
    kept.reload();
    service.wait_for_open(0);
    assert_eq!(service.connections(), before);
}

#[test]
fn checks_of_health_speak_it_too() {
    let service = Service::start(|stream: Stream| async move {
        let well = stream.request.uri().path() == "/healthz";
        stream.answer(if well { 200 } else { 500 }, b"fine").await;
    });
    let check =
        |path: &str| format!(", health_check: {{ path: {path}, body: fine, interval: 100ms, fall: 1 }}");
    for (path, well) in [("/healthz", true), ("/ill", false)] {
        let gateway = in_front_of(&service, &check(path));
        let selector = |good: bool| {
            let result = if good { "good" } else { "failed" };
            format!("tidegate_health_checks_total{{result=\"{result}\"}}")
        };
        gateway.wait_metric(&selector(well), |count| count >= 1.0);
        assert_eq!(gateway.metric(&selector(!well)), 0.0, "{path}");
    }
}

/// Thirty clients that read nothing hold as much as a connection's window is wide where that is meanly chosen.
#[test]
fn clients_that_read_nothing_stop_nobody_and_pin_little() {
    let sent = Arc::new(AtomicUsize::new(0));
    let count = sent.clone();
    let service = Service::start(move |mut stream: Stream| {
        let count = count.clone();
        async move {
            if stream.request.uri().path() != "/large" {
                return stream.answer(200, b"at once").await;
            }
            let mut sending = stream.respond.send_response(http::Response::new(()), false).unwrap();
            loop {
                let went = send(&mut sending, &[b'x'; 16 * 1024], false).await;
                if went == 0 {
                    return;
                }
                count.fetch_add(went, Ordering::SeqCst);
            }
        }
    });
    let gateway = in_front_of(&service, "");
    let mut slow: Vec<Raw> = (0..30).map(|_| Raw::connect(gateway.addr())).collect();
    for client in &mut slow {
        client.get("/large");
    }
    // It stands still once the windows and the kernel's buffers are full.
    let (mut before, mut same) = (0, 0);
    eventually("the service to be stopped by its windows", || {
        assert_eq!(gateway.get("/").text(), "at once");
        let now = sent.load(Ordering::SeqCst);
        same = if now > 0 && now == before { same + 1 } else { 0 };
        before = now;
        (same == 50).then_some(())
    });
    assert_eq!(service.connections(), 1);
    assert_eq!(gateway.get("/").text(), "at once");
}
