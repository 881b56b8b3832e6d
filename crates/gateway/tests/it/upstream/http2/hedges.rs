//! `hedge` where services speak HTTP/2: whose answer goes out, and what becomes of streams and connections that lost.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use h2::Reason;
use testkit::client::Raw;
use testkit::event::eventually;
use testkit::gateway::Gateway;

use super::origin::{Service, Stream};

/// What became of streams that were not answered.
type Resets = Arc<Mutex<Vec<Option<Reason>>>>;

/// Two services; of the requests for a path of both together the first is left without an answer if `hangs` says so.
fn two(hangs: fn(&str) -> bool) -> ([Service; 2], Resets) {
    let (arrivals, resets) = (Arc::new(Mutex::new(HashMap::new())), Resets::default());
    let services = [(); 2].map(|()| {
        let (arrivals, resets): (Arc<Mutex<HashMap<String, u32>>>, Resets) =
            (arrivals.clone(), resets.clone());
        Service::start(move |stream: Stream| {
            let path = stream.request.uri().path().to_owned();
            let nth = {
                let mut arrivals = arrivals.lock().unwrap();
                let count = arrivals.entry(path.clone()).or_default();
                *count += 1;
                *count
            };
            let resets = resets.clone();
            async move {
                match (nth, &*path) {
                    (1, path) if hangs(path) => {
                        let reason = stream.given_up().await;
                        resets.lock().unwrap().push(reason);
                    }
                    (1, "/ill") => stream.answer(503, b"ill").await,
                    (1, "/refused") => stream.refuse(),
                    _ => stream.answer(200, path.as_bytes()).await,
                }
            }
        })
    });
    (services, resets)
}

fn hedging(services: &[Service; 2], service: &str, hedge: &str) -> Gateway {
    let [a, b] = services.each_ref().map(Service::url);
    testkit::gateway!(
        "listeners: {{ web: {{ address: \"127.0.0.1:0\", http2: true }} }}\nadmin: {{ listen: 127.0.0.1:0 }}\nworkers: 1\n\
         services:\n  app: {{ targets: [\"{a}\", \"{b}\"], protocol: http2{service} }}\n\
         routes:\n  /*: {{ to: app, hedge: {hedge} }}\n"
    )
}

fn count(services: &[Service; 2], path: &str) -> [usize; 2] {
    services
        .each_ref()
        .map(|service| service.requests().iter().filter(|one| one.uri().path() == path).count())
}

#[test]
fn another_target_answers_while_the_first_is_waited_for() {
    let (services, resets) = two(|path| path == "/slow");
    let gateway = hedging(&services, ", eject: { errors: 1 }", "{ after: 20ms }");
    let answer = gateway.get("/slow?a=b");
    assert_eq!((answer.status, &*answer.text()), (200, "/slow"));
    assert_eq!(count(&services, "/slow"), [1, 1]);
    let marks = services.each_ref().map(|one| one.requests()[0].headers()["tidegate-attempt"].clone());
    assert!(marks.contains(&"1".parse().unwrap()) && marks.contains(&"2".parse().unwrap()), "{marks:?}");
    // Only its stream is given up.
    let resets = eventually("the stream that lost to be reset", || {
        let resets = resets.lock().unwrap().clone();
        (!resets.is_empty()).then_some(resets)
    });
    assert_eq!(resets, [Some(Reason::CANCEL)]);
    let line = gateway.wait_for_log(|line| line["path"] == "/slow");
    assert_eq!((line["tries"].as_u64(), line["status"].as_u64()), (Some(2), Some(200)));
    assert_eq!(line["failed_tries"][0]["outcome"], "outpaced");
    for (name, value) in [
        ("tidegate_hedges_total", 1.0),
        ("tidegate_hedges_won_total", 1.0),
        ("tidegate_upstream_faults_total", 0.0),
        ("tidegate_endpoint_ejections_total", 0.0),
    ] {
        gateway.wait_metric(name, |told| told == value);
    }
    gateway.wait_metric("tidegate_upstream_inflight_requests", |count| count == 0.0);
}

/// One that lost says of its connection only something when nothing else has come over it: then the next stream has another one.
#[test]
fn a_connection_that_is_silent_is_not_used_again() {
    let (services, _resets) = two(|path| path.starts_with("/slow"));
    let gateway = hedging(&services, "", "{ after: 300ms, budget: 100% }");
    for path in ["/a", "/b"] {
        assert_eq!(gateway.get(path).status, 200);
    }
    assert_eq!(services.each_ref().map(Service::connections), [1, 1]);
    for path in ["/slow/1", "/slow/2"] {
        assert_eq!(gateway.get(path).text(), path);
        assert_eq!(count(&services, path), [1, 1]);
    }
    // By turns each of them was silent once; the winner's connection stays.
    assert!(["/c", "/d"].iter().all(|path| gateway.get(path).status == 200));
    let opened = services.each_ref().map(Service::connections);
    assert!(opened.iter().sum::<usize>() > 2, "{opened:?}");
    services.iter().for_each(|service| service.wait_for_open(1));
}

#[test]
fn turns_are_kept() {
    let (services, _resets) = two(|path| path.starts_with("/slow"));
    let gateway = hedging(&services, "", "{ after: 20ms, budget: 100% }");
    let mut first = [0, 0];
    for nth in 0..6 {
        let path = format!("/slow/{nth}");
        assert_eq!(gateway.get(&path).status, 200);
        let asked = services.each_ref().map(|service| {
            let is_first = |one: &http::Request<()>| {
                one.uri().path() == path && one.headers()["tidegate-attempt"] == "1"
            };
            usize::from(service.requests().iter().any(is_first))
        });
        first = [first[0] + asked[0], first[1] + asked[1]];
    }
    assert_eq!(first, [3, 3], "each is asked first in its turn");
}

#[test]
fn a_failure_waits_and_a_refusal_costs_nothing() {
    let (services, _resets) = two(|_| false);
    let gateway = hedging(&services, ", retry: { backoff: 1ms }", "{ after: 1h }");
    // Sent again because `retry` says so, and not because it is late.
    assert_eq!(gateway.get("/ill").text(), "/ill");
    assert_eq!(gateway.get("/refused").text(), "/refused");
    assert_eq!(count(&services, "/refused").iter().sum::<usize>(), 2);
    assert_eq!(
        (gateway.metric("tidegate_retries_total"), gateway.metric("tidegate_hedges_total")),
        (1.0, 0.0)
    );
}

#[test]
fn a_client_that_goes_away_takes_all_streams_along() {
    let (services, resets) = two(|path| path == "/slow");
    let gateway = hedging(&services, "", "{ after: 1h }");
    let mut raw = Raw::connect(gateway.addr());
    raw.get("/slow");
    eventually("it to arrive", || (count(&services, "/slow").iter().sum::<usize>() == 1).then_some(()));
    raw.reset();
    eventually("its stream to be reset", || (resets.lock().unwrap().len() == 1).then_some(()));
    let line = gateway.wait_for_log(|line| line["path"] == "/slow");
    assert_eq!(line["fault"], "client_gone");
    gateway.wait_metric("tidegate_upstream_inflight_requests", |count| count == 0.0);
}
