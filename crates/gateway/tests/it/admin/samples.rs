//! Samples, `tail` and `top`: real failures are shown with their decisions, no secret is, and only to this machine.

use testkit::client::Raw;
use testkit::event::eventually;
use testkit::gateway::AUTHORIZATION;
use testkit::origin::Origin;

use crate::setup::{tidegate, with_routes};

const ROUTES: &str = r#"
  /orders/*: { to: app }
  /down: { respond: { status: 503 } }
  /closed: { to: app, ip: { deny: [127.0.0.1] } }
"#;

#[test]
fn every_failure_is_kept_with_its_decisions() {
    let origin = Origin::start();
    let gateway = with_routes(&origin, ROUTES);
    (0..5).for_each(|_| assert_eq!(gateway.get("/down?token=CANARY&a=1").status, 503));
    let samples = eventually("the failures", || {
        let told = gateway.admin("/api/v1/samples?filter=status%3E%3D500%20why:error").json();
        (told["samples"].as_array()?.len() == 5).then_some(told)
    });
    let one = &samples["samples"][0];
    assert_eq!((&one["route"], &one["reason"]), (&"/down".into(), &"respond".into()), "{one}");
    assert_eq!((&one["query"], &one["policies_run"]), (&"token=***&a=1".into(), &0.into()), "{one}");
    assert_eq!(samples["dropped"], 0);
    let after = format!("/api/v1/samples?after={}", samples["last"]);
    assert_eq!(gateway.admin(&after).json()["samples"].as_array().unwrap().len(), 0);
    let wrong = gateway.admin("/api/v1/samples?filter=statsu:500");
    assert_eq!(wrong.status, 400);
    assert!(wrong.text().contains("did you mean `status`?"), "{}", wrong.text());
}

#[test]
fn secrets_and_terminal_sequences_do_not_show() {
    let origin = Origin::start();
    let gateway = with_routes(&origin, ROUTES);
    let fields =
        [("Authorization", "Bearer CANARY"), ("Cookie", "s=CANARY"), ("User-Agent", "<img onerror=x>")];
    let mut client = Raw::connect(gateway.addr());
    client.request("GET", "/down/../down?password=CANARY", &fields, b"");
    assert_eq!(client.read_response().status, 503);
    let told = eventually("the sample", || {
        let told = tidegate(gateway.folder(), &["tail", "--kept", "--json", "--admin", &admin(&gateway)]);
        told.stdout.contains("/down").then_some(told)
    });
    assert!(!told.stdout.contains("CANARY"), "{}", told.stdout);
    assert!(told.stdout.contains("onerror"), "{}", told.stdout);
}

#[test]
fn a_stream_brings_what_comes() {
    let origin = Origin::start();
    let gateway = with_routes(&origin, ROUTES);
    let mut stream = Raw::connect(gateway.admin_addr());
    stream.request("GET", "/api/v1/events?filter=route:/down", &[AUTHORIZATION], b"");
    let head = stream.read_head();
    assert_eq!((head.status, head.header("content-type")), (200, Some("text/event-stream")));
    (0..2).for_each(|_| assert_eq!(gateway.get("/down").status, 503));
    let mut text = String::new();
    while text.matches("data: ").count() < 2 {
        text.push_str(&stream.read_chunk().unwrap());
    }
    assert!(text.contains("id: ") && text.contains("\"status\":503"), "{text}");
}

#[test]
fn the_commands_tell_a_gateway_at_work() {
    let origin = Origin::start();
    let gateway = with_routes(&origin, ROUTES);
    let admin = admin(&gateway);
    (0..4).for_each(|_| assert_eq!(gateway.get("/orders/7").status, 200));
    assert_eq!(gateway.get("/down").status, 503);
    let told = eventually("the failure", || {
        let told = tidegate(gateway.folder(), &["tail", "status>=500", "--kept", "--admin", &admin]);
        (!told.stdout.is_empty()).then_some(told)
    });
    assert_eq!((told.code, told.stdout.lines().count()), (Some(0), 1), "{}", told.stdout);
    assert!(told.stdout.contains("error  503") && told.stdout.contains("GET /down"), "{}", told.stdout);
    eventually("the calls", || {
        let told = tidegate(gateway.folder(), &["top", "--once", "--admin", &admin]);
        let row = told.stdout.lines().find(|line| line.starts_with("/orders/*"))?;
        (row.split_whitespace().nth(1) == Some("4")).then_some(())
    });
    for (words, code, word) in [
        (&["tail", "color:red"][..], 2, "no field of a sample"),
        (&["top", "--once", "--window", "soon"], 2, "is not a duration"),
        (&["top", "--once", "--admin", "127.0.0.1:1"], 3, "cannot reach"),
    ] {
        let admin = if code == 3 { vec![] } else { vec!["--admin", &*admin] };
        let told = tidegate(gateway.folder(), &[words, &admin].concat());
        assert!(told.code == Some(code) && told.stderr.contains(word), "{words:?}: {}", told.stderr);
    }
}

fn admin(gateway: &testkit::gateway::Gateway) -> String {
    gateway.admin_addr().to_string()
}
