//! `rate_limit` on the wire: what passes, what clients are told, and that no way leads around it.

mod consumers;
mod reload;
mod shared;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use testkit::client::{Raw, Response, request};
use testkit::event::eventually;
use testkit::gateway::Gateway;
use testkit::origin::{Origin, Reply};

use crate::setup::{tidegate, with_routes};

/// The statuses of so many requests, one after the other.
fn statuses(gateway: &Gateway, path: &str, count: usize) -> Vec<u16> {
    let mut client = Raw::connect(gateway.addr());
    (0..count).map(|_| client.get(path).read_response().status).collect()
}

fn passed(gateway: &Gateway, path: &str, count: usize) -> usize {
    statuses(gateway, path, count).into_iter().filter(|status| *status == 200).count()
}

fn told<'r>(answer: &'r Response, names: &[&str]) -> Vec<Option<&'r str>> {
    names.iter().map(|name| answer.header(name)).collect()
}

#[test]
fn what_finds_no_room_gets_429_and_clients_are_told_what_is_left() {
    let origin = Origin::start();
    let gateway = with_routes(&origin, "  /*: { to: app, rate_limit: [3/hour, 100/day] }");
    let names = ["RateLimit-Policy", "RateLimit", "Retry-After"];
    let policy = Some(r#""3/hour";q=3;w=3600, "100/day";q=100;w=86400"#);
    let first = gateway.get("/a");
    assert_eq!(first.status, 200);
    let left = Some(r#""3/hour";r=2;t=1200, "100/day";r=99;t=864"#);
    assert_eq!(told(&first, &names), [policy, left, None]);
    assert_eq!(passed(&gateway, "/a", 2), 2);
    let refused = gateway.get("/a");
    assert_eq!(refused.status, 429);
    let retry: u64 = refused.header("Retry-After").unwrap().parse().unwrap();
    assert!((1100..=1200).contains(&retry), "{retry}");
    let limit = refused.header("RateLimit").unwrap();
    assert!(limit.starts_with(&format!(r#""3/hour";r=0;t={retry}, "100/day";r=97;t="#)), "{limit}");
    let problem = refused.json();
    assert_eq!(problem["type"], "https://iana.org/assignments/http-problem-types#quota-exceeded");
    assert_eq!(problem["violated-policies"], serde_json::json!(["3/hour"]));
    assert_eq!(problem["status"], 429);
    assert_eq!(origin.requests().len(), 3, "a refused request reached the service");
    let line = gateway.wait_for_log(|line| line["status"] == 429);
    assert_eq!((&line["refused_by"], &line["reason"]), (&"rate_limit".into(), &"rate_limited".into()));
    gateway.wait_metric("tidegate_refused_total{policy=\"rate_limit\"}", |count| count == 1.0);
    assert!(gateway.metric("tidegate_rate_limit_keys") == 2.0);
}

#[test]
fn the_only_limit_of_a_route_tells_what_is_left_too() {
    let origin = Origin::start();
    let gateway = with_routes(&origin, "  /*: { to: app, rate_limit: 2/hour }");
    for (status, remaining, reset) in [(200, 1, 1800), (200, 0, 3600), (429, 0, 1800)] {
        let answer = gateway.get("/a");
        assert_eq!(
            (answer.status, answer.header("RateLimit-Policy")),
            (status, Some(r#""2/hour";q=2;w=3600"#))
        );
        let left = answer.header("RateLimit").unwrap();
        let told = left.strip_prefix(&format!(r#""2/hour";r={remaining};t="#));
        let told: u64 = told.unwrap_or_else(|| panic!("{left}")).parse().unwrap();
        assert!((reset - 60..=reset).contains(&told), "{left}");
    }
}

#[test]
fn old_fields_by_option_and_none_in_shadow() {
    let origin = Origin::start();
    let routes = "
  /old: { to: app, rate_limit: { rate: 2/hour, headers: legacy } }
  /off: { to: app, rate_limit: { rate: 2/hour, headers: off } }
  /shadow: { to: app, rate_limit: { rate: 2/hour, mode: shadow } }";
    let gateway = with_routes(&origin, routes);
    let old = ["X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset", "RateLimit"];
    assert_eq!(told(&gateway.get("/old"), &old), [Some("2"), Some("1"), Some("1800"), None]);
    for path in ["/off", "/shadow"] {
        assert_eq!(told(&gateway.get(path), &old), [None; 4], "{path}");
    }
    assert_eq!(statuses(&gateway, "/shadow", 4), [200; 4]);
    let line = gateway.wait_for_log(|line| line["path"] == "/shadow" && line["shadowed"].is_array());
    assert_eq!(line["shadowed"][0]["reason"], "rate_limited");
}

#[test]
fn no_spelling_method_or_header_leads_around_a_limit() {
    let origin = Origin::start();
    let gateway = with_routes(&origin, "  /api/*: { to: app, rate_limit: 10/hour }");
    let paths = ["/api/a", "/api/%61", "/api//a", "/api/./a", "/api/x/../a", "/api/a/", "/api/a?b=1"];
    let methods = ["GET", "HEAD", "OPTIONS", "POST", "DELETE"];
    let mut passed = 0;
    for nth in 0..200 {
        let spoofed = format!("10.{}.{}.1", nth % 250, nth / 250);
        let headers = [
            ("X-Forwarded-For", spoofed.as_str()),
            ("X-Real-IP", &spoofed),
            ("True-Client-IP", &spoofed),
            ("Forwarded", "for=192.0.2.43"),
            ("X-HTTP-Method-Override", "PATCH"),
        ];
        let answer = request(gateway.addr(), methods[nth % 5], paths[nth % 7], &headers, b"");
        passed += usize::from(answer.status != 429);
    }
    assert_eq!(passed, 10);
}

#[test]
fn a_thousand_at_once_get_no_more_than_the_burst() {
    let origin = Origin::start();
    let gateway = testkit::gateway!(
        r#"
listen: 127.0.0.1:0
admin: {{ listen: 127.0.0.1:0 }}
workers: 2
services: {{ app: "{}" }}
routes:
  /*: {{ to: app, rate_limit: [50/hour, 60/day] }}
"#,
        origin.url()
    );
    let good = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..20 {
            scope.spawn(|| good.fetch_add(passed(&gateway, "/", 50), Ordering::Relaxed));
        }
    });
    assert_eq!((good.into_inner(), origin.requests().len()), (50, 50));
}

#[test]
fn keys_and_scopes_say_what_counts_together() {
    let origin = Origin::start();
    let routes = "
  /one/{shop}: { to: app, rate_limit: { rate: 2/hour, per: [path.shop, header.x-key] } }
  /two: { to: app, rate_limit: { rate: 3/hour, per: all, scope: service } }
  /three: { to: app, rate_limit: { rate: 3/hour, per: all, scope: service } }
  /four: { respond: ok, rate_limit: { rate: 3/hour, per: all, scope: service } }";
    let gateway = with_routes(&origin, routes);
    let ask = |path: &str, key: &str| request(gateway.addr(), "GET", path, &[("X-Key", key)], b"").status;
    for (path, key, status) in [
        ("/one/a", "k", 200),
        ("/one/a", "k", 200),
        ("/one/a", "k", 429),
        ("/one/b", "k", 200),
        ("/one/a", "l", 200),
    ] {
        assert_eq!(ask(path, key), status, "{path} {key}");
    }
    assert_eq!((passed(&gateway, "/two", 2), passed(&gateway, "/three", 2)), (2, 1));
    assert_eq!(passed(&gateway, "/four", 5), 3, "a route without a service counts for itself");
}

#[test]
fn the_answer_may_say_what_it_cost() {
    let origin = Origin::answering(|request| match request.target.as_str() {
        "/cheap" => Reply::ok("").header("X-Tokens", "1"),
        "/free" => Reply::ok("").header("X-Tokens", "0"),
        "/silent" => Reply::ok("").header("X-Tokens", "-5"),
        _ => Reply::ok("").header("X-Tokens", "80"),
    });
    let routes = "  /*: { to: app, rate_limit: { rate: 100/hour, cost: { header: X-Tokens, default: 2 } } }";
    let gateway = with_routes(&origin, routes);
    let left = |path: &str| {
        let answer = gateway.get(path);
        let field = answer.header("RateLimit").unwrap().to_owned();
        let number = field.split(";r=").nth(1).and_then(|rest| rest.split(';').next()).map(str::to_owned);
        (answer.status, number.unwrap().parse::<u64>().unwrap())
    };
    // The answer's own cost is known when its fields are written, so the next request sees it.
    assert_eq!(left("/cheap"), (200, 98));
    assert_eq!(left("/free"), (200, 97));
    assert_eq!(left("/silent"), (200, 97));
    assert_eq!(left("/dear"), (200, 95));
    assert_eq!(left("/dear"), (200, 15));
    assert_eq!(left("/dear").0, 429, "80 and 80 are more than 100");
}

#[test]
fn a_changed_limit_holds_after_a_reload_and_keeps_what_was_consumed() {
    let origin = Origin::start();
    let written = |limit: &str, version: &str| {
        format!(
            "listen: 127.0.0.1:0\nadmin: {{ listen: 127.0.0.1:0 }}\nservices: {{ app: \"{}\" }}\nroutes:\n  \
             /*: {{ to: app, rate_limit: {limit} }}\n  /version: {{ respond: {version} }}\n",
            origin.url()
        )
    };
    let gateway = testkit::gateway!("{}", written("5/hour", "one"));
    let turn_to = |limit: &str, version: &str| {
        gateway.rewrite_config(&written(limit, version));
        gateway.reload();
        eventually("the new configuration", || (gateway.get("/version").text() == version).then_some(()));
    };
    assert_eq!(passed(&gateway, "/", 9), 5);
    turn_to("20/hour", "two");
    assert_eq!(passed(&gateway, "/", 30), 15, "five of the twenty had been consumed");
    turn_to("10/hour", "three");
    assert_eq!(passed(&gateway, "/", 5), 0, "twenty of ten are consumed");
    // Counted by something else, it is another limit.
    turn_to("{ rate: 10/hour, per: all }", "four");
    assert_eq!(passed(&gateway, "/", 30), 10);
    // A configuration that is refused changes nothing.
    gateway.rewrite_config(&written("{ rate: 90/hour, per: all, burst: 0 }", "five"));
    gateway.reload();
    gateway.wait_metric("tidegate_config_reload_success", |value| value == 0.0);
    assert_eq!(passed(&gateway, "/", 3), 0);
}

#[test]
fn a_question_consumes_nothing() {
    let origin = Origin::start();
    let gateway = with_routes(&origin, "  /*: { to: app, rate_limit: 1/hour }");
    let ask = || {
        let question = r#"{"method":"GET","url":"http://h/"}"#;
        let answer = gateway.admin_request("POST", "/api/v1/explain", &[], question).json();
        answer["policies"][0]["verdict"].as_str().unwrap().to_owned()
    };
    assert_eq!((ask().as_str(), ask().as_str()), ("go", "go"));
    assert_eq!(gateway.get("/").status, 200);
}

#[test]
fn groups_have_rates_of_their_own_and_consumers_count_for_themselves() {
    let origin = Origin::start();
    let folder = tempfile::tempdir().unwrap();
    let keys: Vec<_> = (0..3).map(|_| tidegate(folder.path(), &["key", "new", "--json"]).json()).collect();
    let word = |nth: usize, name: &str| keys[nth][name].as_str().unwrap().to_owned();
    let gateway = testkit::gateway!(
        r#"
listen: 127.0.0.1:0
admin: {{ listen: 127.0.0.1:0 }}
workers: 1
services: {{ app: "{}" }}
consumers:
  rich: {{ api_keys: "{}", groups: [eu, gold] }}
  shop: {{ api_keys: "{}", groups: [silver] }}
  poor: {{ api_keys: "{}" }}
routes:
  /*:
    to: app
    api_key: {{ optional: true }}
    rate_limit:
      rates: {{ gold: {{ rate: 9/hour, burst: 5 }}, silver: 3/hour, default: 2/hour }}
      per: consumer
"#,
        origin.url(),
        word(0, "hash"),
        word(1, "hash"),
        word(2, "hash")
    );
    let ask = |key: &str| {
        let fields = [("X-API-Key", key)];
        let fields = if key.is_empty() { &[][..] } else { &fields };
        request(gateway.addr(), "GET", "/", fields, b"")
    };
    for (key, passes, policy) in [
        (word(0, "key"), 5, r#""9/hour per consumer";q=9;w=3600"#),
        (word(1, "key"), 3, r#""3/hour per consumer";q=3;w=3600"#),
        (word(2, "key"), 2, r#""2/hour per consumer";q=2;w=3600"#),
        (String::new(), 2, r#""2/hour per consumer";q=2;w=3600"#),
    ] {
        assert_eq!(ask(&key).header("RateLimit-Policy"), Some(policy));
        let statuses: Vec<u16> = (1..passes + 2).map(|_| ask(&key).status).collect();
        assert_eq!(statuses.iter().filter(|status| **status == 200).count(), passes - 1, "{policy}");
        let violated = &ask(&key).json()["violated-policies"];
        assert!(policy.contains(violated[0].as_str().unwrap()), "{violated}");
    }
}

#[test]
fn a_schedule_turns_the_rate_and_keeps_what_was_consumed() {
    let origin = Origin::start();
    let written = |limit: &str| {
        format!(
            "listen: 127.0.0.1:0\nadmin: {{ listen: 127.0.0.1:0 }}\nservices: {{ app: \"{}\" }}\nroutes:\n  \
             /*: {{ to: app, rate_limit: {{ rate: 5/hour, schedule: [{limit}] }} }}\n",
            origin.url()
        )
    };
    // A sale that is over, and one that has never been.
    let others = "{ when: 2001-01-01 00:00/24:00 Europe/Berlin, rate: 1/hour }, \
                  { when: cron 0 0 29 2 * for 1s UTC, rate: 2/hour }";
    let gateway = testkit::gateway!("{}", written(others));
    let policy = |answer: &Response| answer.header("RateLimit-Policy").unwrap().to_owned();
    assert_eq!(policy(&gateway.get("/")), r#""5/hour";q=5;w=3600"#);
    assert_eq!(passed(&gateway, "/", 9), 4);
    let now = jiff::Timestamp::now().as_second();
    let [start, end] = [now + 2, now + 40_000].map(|second| {
        let moment = jiff::Timestamp::from_second(second).unwrap();
        moment.to_zoned(jiff::tz::TimeZone::UTC).strftime("%F %T").to_string()
    });
    let every_day = "{ when: daily 00:00/24:00 America/New_York, rate: 5/hour }";
    let sale = format!("{others}, {{ when: {start}/{end} UTC, rate: 50/hour }}, {every_day}");
    gateway.rewrite_config(&written(&sale));
    gateway.reload();
    let first = eventually("the sale", || Some(gateway.get("/")).filter(|answer| answer.status == 200));
    assert_eq!(policy(&first), r#""50/hour";q=50;w=3600"#);
    assert_eq!(passed(&gateway, "/", 60), 44, "five of the fifty had been consumed, and one more");
}

#[test]
fn routes_that_share_a_limit_may_cost_differently() {
    let origin = Origin::start();
    let routes = "
  /cheap: { to: app, rate_limit: { name: points, rate: 100/hour, scope: global } }
  /dear: { to: app, rate_limit: { name: points, rate: 100/hour, scope: global, cost: 30 } }";
    let gateway = with_routes(&origin, routes);
    assert_eq!(passed(&gateway, "/dear", 5), 3);
    assert_eq!(passed(&gateway, "/cheap", 15), 10);
}
