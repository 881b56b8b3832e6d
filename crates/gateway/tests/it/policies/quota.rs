//! `quota` on the wire: what is left is told, what is used up is refused, and a restart forgets nothing.

mod shared;

use std::path::Path;

use testkit::client::request;
use testkit::gateway::Gateway;
use testkit::origin::Origin;

fn text(origin: &Origin, state: &Path, quota: &str) -> String {
    format!(
        r#"
listen: 127.0.0.1:0
admin: {{ listen: 127.0.0.1:0 }}
state: {}
services: {{ app: "{}" }}
routes:
  /api/*: {{ to: app, quota: {quota} }}
  /other: {{ to: app, quota: {{ amount: 2, every: day, per: header.x-key }} }}
"#,
        state.display(),
        origin.url()
    )
}

fn gateway(origin: &Origin, state: &Path, quota: &str) -> Gateway {
    testkit::gateway!("{}", text(origin, state, quota))
}

fn statuses(gateway: &Gateway, path: &str, key: &str, count: usize) -> Vec<u16> {
    let ask = |_| request(gateway.addr(), "GET", path, &[("X-Key", key)], b"").status;
    (0..count).map(ask).collect()
}

#[test]
fn what_is_left_is_told_and_what_is_used_up_is_refused_also_after_a_restart() {
    let (origin, state) = (Origin::start(), tempfile::tempdir().unwrap());
    let quota =
        "{ name: calls, amount: 1_000, every: year, zone: Europe/Berlin, per: all, usage: /api/usage }";
    let first = gateway(&origin, state.path(), quota);
    let answer = first.get("/api/a");
    let policy = answer.header("RateLimit-Policy").unwrap();
    // A year has 365 or 366 days.
    assert!([r#""calls";q=1000;w=31536000"#, r#""calls";q=1000;w=31622400"#].contains(&policy), "{policy}");
    assert!(answer.header("RateLimit").unwrap().starts_with(r#""calls";r=999;t="#));
    assert_eq!(statuses(&first, "/api/a", "-", 6), [200; 6]);
    let usage = first.get("/api/usage").json();
    assert_eq!(
        (&usage["quota"], &usage["used"], &usage["remaining"]),
        (&"calls".into(), &7.into(), &993.into())
    );
    assert!(usage["period"]["from"].as_str().unwrap().ends_with("-12-31T23:00:00Z"), "{usage}");
    assert_eq!(origin.requests().len(), 7, "the question reached the service");
    assert!(first.stop().success());

    // Eight of eight: seven were used before the restart, and the amount is another.
    let second = gateway(&origin, state.path(), &quota.replace("1_000", "8"));
    assert_eq!(statuses(&second, "/api/a", "-", 3), [200, 429, 429]);
    let refused = second.get("/api/b");
    let problem = refused.json();
    assert_eq!(problem["type"], "https://iana.org/assignments/http-problem-types#quota-exceeded");
    assert_eq!(problem["violated-policies"], serde_json::json!(["calls"]));
    let (wait, reset) = (refused.header("Retry-After").unwrap(), refused.header("RateLimit").unwrap());
    assert!(reset.starts_with(r#""calls";r=0;t="#) && wait.parse::<u64>().unwrap() > 0, "{wait} {reset}");
    let line = second.wait_for_log(|line| line["status"] == 429);
    assert_eq!((&line["refused_by"], &line["reason"]), (&"quota".into(), &"quota_exceeded".into()));
    assert_eq!(second.get("/api/usage").json()["used"], 8);
}

#[test]
fn each_key_has_its_own_and_the_admin_address_tells_of_all() {
    let (origin, state) = (Origin::start(), tempfile::tempdir().unwrap());
    let gateway = gateway(&origin, state.path(), "{ amount: 5, every: month, per: ip }");
    assert_eq!(statuses(&gateway, "/other", "secret-one", 3), [200, 200, 429]);
    assert_eq!(statuses(&gateway, "/other", "secret-two", 1), [200]);
    assert_eq!(statuses(&gateway, "/api/a", "-", 4), [200; 4]);
    let told = gateway.admin("/api/v1/quotas").json();
    let mut used: Vec<String> = told["quotas"]
        .as_array()
        .unwrap()
        .iter()
        .map(|account| {
            let key = account["key"].as_str().unwrap().split(" #").next().unwrap().to_owned();
            format!("{} {key} {}", account["quota"].as_str().unwrap(), account["used"])
        })
        .collect();
    used.sort();
    assert_eq!(used, ["2/day header.x-key 1", "2/day header.x-key 2", "5/month 127.0.0.1 4"]);
    // What may be a credential is neither told nor written.
    let written = std::fs::read_to_string(state.path().join("quotas")).unwrap();
    assert!(written.contains("5/month") && !format!("{written}{told}").contains("secret"), "{written}");
}

#[test]
fn a_reload_changes_the_amount_and_a_question_uses_nothing() {
    let (origin, state) = (Origin::start(), tempfile::tempdir().unwrap());
    let quota = "{ name: q, amount: 2, every: week, per: all }";
    let gateway = gateway(&origin, state.path(), quota);
    let explain = || {
        let question = r#"{"method":"GET","url":"http://h/api/x"}"#;
        let answer = gateway.admin_request("POST", "/api/v1/explain", &[], question).json();
        answer["policies"][0]["verdict"].as_str().unwrap().to_owned()
    };
    assert_eq!([explain(), explain(), explain()], ["go", "go", "go"]);
    assert_eq!(statuses(&gateway, "/api/a", "-", 3), [200, 200, 429]);
    gateway.rewrite_config(&text(&origin, state.path(), &quota.replace('2', "4")));
    gateway.reload();
    testkit::event::eventually("the larger amount", || (gateway.get("/api/a").status == 200).then_some(()));
    assert_eq!(statuses(&gateway, "/api/a", "-", 3), [200, 429, 429]);
}
