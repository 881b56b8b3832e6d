//! `split` on the wire: who stays where, who is sent by hand, weights by command and by themselves.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use testkit::client::{self, Response};
use testkit::gateway::Gateway;
use testkit::origin::{Origin, Recorded, Reply};

use crate::setup::tidegate;

/// A new key and its hash.
fn new_key() -> (String, String) {
    let folder = tempfile::tempdir().unwrap();
    let json = tidegate(folder.path(), &["key", "new", "--json"]).json();
    (json["key"].as_str().unwrap().to_owned(), json["hash"].as_str().unwrap().to_owned())
}

/// Two services that say their names; the second answers with a status that a test chooses.
fn two() -> (Origin, Origin, Arc<AtomicU16>) {
    let status = Arc::new(AtomicU16::new(200));
    let own = status.clone();
    let users = Origin::answering(|_: &Recorded| Reply::ok("users"));
    let next = Origin::answering(move |_: &Recorded| Reply::status(own.load(Ordering::SeqCst)).body("next"));
    (users, next, status)
}

fn text(users: &Origin, next: &Origin, route: &str) -> String {
    format!(
        "listen: 127.0.0.1:0\nadmin: {{ listen: 127.0.0.1:0 }}\nworkers: 1\nservices:\n  users: \"{}\"\n  next: \"{}\"\n\
         routes:\n  /*:\n{route}",
        users.url(),
        next.url()
    )
}

fn start(users: &Origin, next: &Origin, route: &str) -> Gateway {
    testkit::gateway!("{}", text(users, next, route))
}

fn as_tenant(gateway: &Gateway, tenant: usize) -> String {
    let tenant = tenant.to_string();
    client::request(gateway.addr(), "GET", "/", &[("X-Tenant", &tenant)], b"").text()
}

/// The tenants that the next version serves.
fn moved(gateway: &Gateway) -> HashSet<usize> {
    (0..200).filter(|tenant| as_tenant(gateway, *tenant) == "next").collect()
}

fn change(gateway: &Gateway, body: &str) -> Response {
    gateway.admin_request("POST", "/api/v1/split", &[], body)
}

#[test]
fn who_is_known_stays_and_few_move_when_weights_change() {
    let (users, next, _) = two();
    let route = |weights: &str| format!("    split: {{ to: {{ {weights} }}, sticky: header.x-tenant }}\n");
    let gateway = start(&users, &next, &route("users: 90, next: 10"));
    let first = moved(&gateway);
    assert!((5..40).contains(&first.len()), "{}", first.len());
    assert_eq!(moved(&gateway), first, "the same tenant, the same service");
    gateway.rewrite_config(&text(&users, &next, &route("users: 60, next: 40")));
    gateway.reload();
    gateway.wait_metric("tidegate_config_reloads_total{result=\"success\"}", |count| count == 1.0);
    let more = moved(&gateway);
    assert!(first.is_subset(&more) && (50..110).contains(&more.len()), "{}", more.len());
    // By command: it holds through a reload that changes something else, and can be given back.
    let answer = change(&gateway, r#"{"route":"/*","weights":{"users":90,"next":10}}"#);
    assert_eq!((answer.status, answer.json()["services"]["next"]["share"].as_str()), (200, Some("10%")));
    assert_eq!(moved(&gateway), first);
    gateway.rewrite_config(&text(
        &users,
        &next,
        &format!("{}    headers: {{ request: {{ set: {{ X-A: b }} }} }}\n", route("users: 60, next: 40")),
    ));
    gateway.reload();
    gateway.wait_metric("tidegate_config_reloads_total{result=\"success\"}", |count| count == 2.0);
    assert_eq!(moved(&gateway), first);
    change(&gateway, r#"{"route":"/*","weights":{}}"#);
    assert_eq!(moved(&gateway), more);
    let line = gateway.wait_for_log(|line| line["service"] == "next");
    assert_eq!(line["split"], "sticky");
    assert!(gateway.metric("tidegate_split_requests_total{route=\"/*\",service=\"next\"}") >= 10.0);
    assert_eq!(gateway.metric("tidegate_split_share{route=\"/*\",service=\"users\"}"), 0.6);
    for (body, told) in [
        (r#"{"route":"/a","weights":{}}"#, "no route `/a` has a split"),
        (r#"{"route":"/*"}"#, "say `weights` or `progress`"),
        (r#"{"route":"/*","weights":{"nex":1}}"#, "the split has no service `nex`: did you mean `next`?"),
        (r#"{"route":"/*","weights":{"next":1001}}"#, "the weight of `next` is a number between 0 and 1000"),
        (
            r#"{"route":"/*","weights":{"next":0,"users":0}}"#,
            "at least one service needs a weight of more than 0",
        ),
        (r#"{"route":"/*","progress":"pause"}"#, "this split has no `progress`"),
    ] {
        let refused = change(&gateway, body);
        assert!(refused.status >= 400 && refused.text().contains(told), "{body}: {}", refused.text());
    }
}

#[test]
fn testers_are_sent_by_header_and_group_whatever_the_weights() {
    let (users, next, _) = two();
    let ((ann, ann_hash), (bob, bob_hash)) = (new_key(), new_key());
    let gateway = testkit::gateway!(
        "listen: 127.0.0.1:0\nadmin: {{ listen: 127.0.0.1:0 }}\nservices:\n  users: \"{}\"\n  next: \"{}\"\n\
         consumers:\n  ann: {{ groups: [testers], api_keys: \"{ann_hash}\" }}\n  \
         bob: {{ api_keys: \"{bob_hash}\" }}\n\
         routes:\n  /*:\n    api_key: {{ optional: true }}\n    split:\n      to: {{ users: 1, next: 0 }}\n      prefer:\n        \
         next: {{ headers: {{ X-Canary: \"1\" }}, groups: testers }}\n",
        users.url(),
        next.url()
    );
    for (headers, served) in [
        (&[][..], "users"),
        (&[("X-Canary", "1")], "next"),
        (&[("X-Canary", "2")], "users"),
        (&[("X-Api-Key", &ann)], "next"),
        (&[("X-Api-Key", &bob)], "users"),
    ] {
        let answer = client::request(gateway.addr(), "GET", "/", headers, b"");
        assert_eq!((answer.status, answer.text().as_str()), (200, served), "{headers:?}");
    }
    let question = r#"{"method":"GET","url":"/","headers":[["X-Canary","1"]]}"#;
    let told = gateway.admin_request("POST", "/api/v1/explain", &[], question);
    assert!(
        told.text().contains("split: `next` because it is preferred, with 0% of all requests"),
        "{}",
        told.text()
    );
    assert_eq!(gateway.wait_for_log(|line| line["service"] == "next")["split"], "preferred");
}

#[test]
fn a_browser_is_known_by_the_cookie_it_gets() {
    let (users, next, _) = two();
    let route = "    split: { to: { users: 50, next: 50 }, sticky: { cookie: shop-split, max_age: 1h } }\n";
    let gateway = start(&users, &next, route);
    let mut served = HashSet::new();
    for _ in 0..32 {
        let answer = gateway.get("/");
        let line = answer.header("set-cookie").unwrap().to_owned();
        let (cookie, rest) = line.split_once(';').unwrap();
        assert_eq!(rest, " Path=/; Max-Age=3600; HttpOnly; SameSite=Lax");
        let again = client::request(gateway.addr(), "GET", "/", &[("Cookie", cookie)], b"");
        assert_eq!((again.text(), again.header("set-cookie")), (answer.text(), None));
        served.insert(answer.text());
    }
    assert_eq!(served.len(), 2);
    // What the gateway has not given is no cookie of its own.
    let foreign = client::request(gateway.addr(), "GET", "/", &[("Cookie", "shop-split=x")], b"");
    assert!(foreign.header("set-cookie").is_some());
}

#[test]
fn it_grows_by_itself_and_stops_at_errors() {
    let (users, next, status) = two();
    let route = "    split:\n      to: { users: 50, next: 50 }\n      sticky: off\n      \
                 progress: { step: 25%, every: 1s, min_requests: 5, max_p99: 100x }\n";
    let gateway = start(&users, &next, route);
    let split = |gateway: &Gateway| gateway.admin("/api/v1/splits").json()["splits"][0].clone();
    testkit::event::eventually("the first step", || {
        (0..20).for_each(|_| drop(gateway.get("/")));
        (split(&gateway)["services"]["next"]["share"] == "75%").then_some(())
    });
    // A reload that leaves the split as it is leaves its progress too.
    gateway.rewrite_config(&format!("{}    timeout: 9s\n", text(&users, &next, route)));
    gateway.reload();
    gateway.wait_metric("tidegate_config_reloads_total{result=\"success\"}", |count| count == 1.0);
    assert_eq!(split(&gateway)["services"]["next"]["configured"], 50.0);
    assert_ne!(split(&gateway)["services"]["next"]["share"], "50%");
    status.store(500, Ordering::SeqCst);
    testkit::event::eventually("the stop", || {
        (0..20).for_each(|_| drop(gateway.get("/")));
        (split(&gateway)["progress"]["stage"] == "stopped").then_some(())
    });
    let told = split(&gateway);
    assert_eq!(told["services"]["next"]["share"], "50%", "the weights of the configuration hold again");
    assert!(told["progress"]["why"].as_str().unwrap().ends_with("requests failed, more than 1%"), "{told}");
    let series = "tidegate_split_progress{route=\"/*\",service=\"next\",stage=\"stopped\"}";
    assert_eq!(gateway.metric(series), 1.0);
    gateway.wait_for_line(|line| line.contains("progress of a split has stopped"));
    assert_eq!(
        change(&gateway, r#"{"route":"/*","progress":"resume"}"#).json()["progress"]["stage"],
        "running"
    );
}
