//! Circuits of single targets on the wire: one that fails is passed over, tried, and asked again; when all are open the service is.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use testkit::client::Raw;
use testkit::event::{Gate, eventually};
use testkit::gateway::Gateway;
use testkit::origin::{Origin, Reply};

/// An origin whose status can be changed; while that is 200, answers wait for the gate.
fn changing(status: u16, gate: &Gate) -> (Origin, Arc<AtomicU16>) {
    let status = Arc::new(AtomicU16::new(status));
    let (own, gate) = (status.clone(), gate.clone());
    let origin = Origin::answering(move |_| match own.load(Ordering::SeqCst) {
        200 => Reply::ok("well").slow(&gate),
        status => Reply::status(status),
    });
    (origin, status)
}

fn open_gate() -> Gate {
    let gate = Gate::new();
    gate.open();
    gate
}

fn yaml(origins: &[&Origin], settings: &str) -> String {
    let targets: Vec<_> = origins.iter().map(|origin| format!("\"{}\"", origin.url())).collect();
    format!(
        "listen: 127.0.0.1:0\nadmin: {{ listen: 127.0.0.1:0 }}\nworkers: 1\nservices:\n  app:\n    \
         targets: [{}]\n    circuit_breaker: {{ per: target, min_requests: 4, {settings} }}\n\
         routes:\n  /*: {{ to: app }}\n  /rescued: {{ to: app, fallback: [{{ status: 200, body: rescued }}] }}\n",
        targets.join(", ")
    )
}

fn state(origin: &Origin) -> String {
    format!("tidegate_target_circuit_state{{service=\"app\",target=\"{}\"}}", origin.addr())
}

fn name(address: SocketAddr) -> String {
    address.to_string()
}

/// Asks until the circuit of this target is open.
fn fail(gateway: &Gateway, origin: &Origin) {
    eventually("the circuit of the target to open", || {
        gateway.get("/");
        (gateway.metric(&state(origin)) == 2.0).then_some(())
    });
}

#[test]
fn a_target_that_fails_is_passed_over_and_everybody_says_so() {
    let ((ill, _), (well, _)) = (changing(500, &open_gate()), changing(200, &open_gate()));
    let gateway = testkit::gateway!("{}", yaml(&[&ill, &well], "open_for: 1h"));
    fail(&gateway, &ill);
    let asked = ill.requests().len();
    for _ in 0..10 {
        assert_eq!(gateway.get("/after").status, 200);
    }
    assert_eq!(ill.requests().len(), asked);
    assert_eq!(gateway.metric("tidegate_circuit_state{service=\"app\"}"), 0.0);
    assert_eq!(gateway.metric(&state(&well)), 0.0);
    let opened = format!("tidegate_target_circuit_opened_total{{target=\"{}\"}}", ill.addr());
    assert_eq!(gateway.metric(&opened), 1.0);
    gateway.wait_for_line(|line| {
        line.contains("circuit of a target is open") && line.contains(&name(ill.addr()))
    });
    let line = gateway.wait_for_log(|line| line["path"] == "/after" && !line["circuits"].is_null());
    assert_eq!(
        (line["circuits"][0]["endpoint"].as_str(), line["circuits"][0]["state"].as_str()),
        (Some(&*name(ill.addr())), Some("open"))
    );
    assert!(line["failed_tries"].is_null() && line["circuits"][1].is_null(), "{line}");
    let told = gateway.admin("/api/v1/status").text();
    assert!(told.contains("\"ailment\":\"circuit open: ") && told.contains("\"circuit\":\"open\""), "{told}");
    let told = gateway.admin_request("POST", "/api/v1/explain", &[], r#"{"method":"GET","url":"/"}"#).text();
    assert!(told.contains("circuit open: ") && told.contains("forwarded to `app`"), "{told}");
    // A reload that leaves the breaker alone leaves it open; one that changes it begins anew.
    gateway.rewrite_config(
        &yaml(&[&ill, &well], "open_for: 1h").replace("targets:", "timeout: 7s\n    targets:"),
    );
    gateway.reload();
    gateway.wait_metric("tidegate_config_reloads_total{result=\"success\"}", |count| count == 1.0);
    assert_eq!((gateway.get("/").status, gateway.metric(&state(&ill))), (200, 2.0));
    gateway.rewrite_config(&yaml(&[&ill, &well], "open_for: 2h"));
    gateway.reload();
    gateway.wait_metric(&state(&ill), |state| state == 0.0);
}

#[test]
fn trials_are_as_many_as_stated_and_bring_it_back() {
    let gate = Gate::new();
    let ((healing, status), (well, _)) = (changing(503, &gate), changing(200, &open_gate()));
    let gateway = testkit::gateway!("{}", yaml(&[&healing, &well], "open_for: 500ms, half_open: 2"));
    fail(&gateway, &healing);
    status.store(200, Ordering::SeqCst);
    gateway.wait_metric(&state(&healing), |state| state == 1.0);
    let before = (healing.requests().len(), well.requests().len());
    let mut clients: Vec<Raw> = (0..8).map(|_| Raw::connect(gateway.addr())).collect();
    for client in &mut clients {
        client.get("/trial");
    }
    // Trials wait at the gate; everybody else is served meanwhile.
    healing.wait_for_requests(before.0 + 2);
    well.wait_for_requests(before.1 + 6);
    assert_eq!(healing.requests().len(), before.0 + 2);
    assert_eq!(gateway.metric(&state(&healing)), 1.0, "no trial has ended");
    gate.open();
    assert!(clients.iter_mut().all(|client| client.read_response().status == 200));
    gateway.wait_metric(&state(&healing), |state| state == 0.0);
    gateway.wait_for_line(|line| line.contains("circuit of a target is closed"));
    let asked = healing.requests().len();
    eventually("the target to be asked again", || {
        gateway.get("/");
        (healing.requests().len() > asked).then_some(())
    });
    healing.assert_clean();
}

#[test]
fn one_bad_trial_opens_it_anew() {
    let ((ill, _), (well, _)) = (changing(500, &open_gate()), changing(200, &open_gate()));
    let gateway = testkit::gateway!("{}", yaml(&[&ill, &well], "open_for: 200ms, half_open: 1"));
    let opened = format!("tidegate_target_circuit_opened_total{{target=\"{}\"}}", ill.addr());
    eventually("the circuit to open again and again", || {
        gateway.get("/");
        (gateway.metric(&opened) >= 3.0).then_some(())
    });
    gateway.wait_for_line(|line| {
        line.contains("circuit of a target is open") && line.contains("a trial failed")
    });
}

#[test]
fn when_all_are_open_the_service_is_and_something_else_stands_in() {
    let ((one, _), (two, _)) = (changing(500, &open_gate()), changing(500, &open_gate()));
    let gateway = testkit::gateway!("{}", yaml(&[&one, &two], "open_for: 1h"));
    fail(&gateway, &one);
    fail(&gateway, &two);
    gateway.wait_metric("tidegate_circuit_state{service=\"app\"}", |state| state == 2.0);
    let asked = one.requests().len() + two.requests().len();
    let answer = gateway.get("/");
    assert_eq!(
        (answer.status, answer.json()["type"].as_str()),
        (503, Some("urn:tidegate:problem:circuit_open"))
    );
    let rest: u32 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((3000..=3600).contains(&rest), "{rest}");
    assert_eq!(gateway.get("/rescued").text(), "rescued");
    gateway.wait_for_line(|line| line.contains("circuit is open") && line.contains("2 of 2 targets"));
    assert_eq!(one.requests().len() + two.requests().len(), asked, "nobody was asked");
}

/// A target that cannot be connected to is a failure as well, and the others make it good meanwhile.
#[test]
fn targets_that_are_gone_open_too() {
    let gone = Origin::start();
    let (gone_url, gone_name) = (gone.url(), gone.addr());
    let (well, _) = changing(200, &open_gate());
    let text = yaml(&[&gone, &well], "open_for: 1h");
    assert!(text.contains(&gone_url));
    drop(gone);
    let gateway = testkit::gateway!("{text}");
    let state = format!("tidegate_target_circuit_state{{target=\"{gone_name}\"}}");
    eventually("the circuit to open", || {
        assert_eq!(gateway.get("/").status, 200);
        (gateway.metric(&state) == 2.0).then_some(())
    });
    let connects = format!("tidegate_upstream_connections_opened_total{{target=\"{gone_name}\"}}");
    let before = gateway.metric(&connects);
    assert!((0..10).all(|_| gateway.get("/").status == 200));
    assert_eq!(gateway.metric(&connects), before, "nobody knocks any more");
}
