//! The limits of consumers on the wire: one for all routes that learn who calls, besides those of the routes.

use testkit::client::{Response, request};
use testkit::event::eventually;
use testkit::gateway::Gateway;
use testkit::origin::Origin;

use crate::setup::tidegate;

/// The keys of two consumers, `mobile` and `batch`, and the configuration in which the first has this limit.
fn text(origin: &Origin, hashes: &[String; 2], limit: &str) -> String {
    let [mobile, batch] = hashes;
    format!(
        r#"
listen: 127.0.0.1:0
admin: {{ listen: 127.0.0.1:0 }}
workers: 1
services: {{ app: "{app}" }}
consumers:
  mobile: {{ api_keys: "{mobile}", rate_limit: {limit} }}
  batch: {{ api_keys: "{batch}", rate_limit: [1000/hour, {{ rate: 2000/day, burst: 2000 }}] }}
routes:
  /open/*: {{ to: app }}
  /a/*: {{ to: app, api_key: {{}} }}
  /b/*: {{ to: app, any_of: {{ of: [api_key: {{}}] }}, rate_limit: {{ rate: 100/hour, per: consumer }} }}
  /maybe/*: {{ to: app, api_key: {{ optional: true }} }}
"#,
        app = origin.url()
    )
}

fn keys() -> ([String; 2], [String; 2]) {
    let folder = tempfile::tempdir().unwrap();
    let new = || tidegate(folder.path(), &["key", "new", "--json"]).json();
    let made = [new(), new()];
    let of = |what: &str| made.each_ref().map(|key| key[what].as_str().unwrap().to_owned());
    (of("key"), of("hash"))
}

fn ask(gateway: &Gateway, path: &str, key: &str) -> Response {
    request(gateway.addr(), "GET", path, &[("X-API-Key", key)], b"")
}

#[test]
fn what_a_consumer_may_ask_counts_on_all_routes_together() {
    let (origin, ([mobile, batch], hashes)) = (Origin::start(), keys());
    let gateway = testkit::gateway!("{}", text(&origin, &hashes, "3/hour"));
    let first = ask(&gateway, "/a/1", &mobile);
    assert_eq!(first.status, 200);
    assert_eq!(first.header("RateLimit"), Some(r#""3/hour per all";r=2;t=1200"#));
    let second = ask(&gateway, "/b/1", &mobile);
    assert_eq!(second.status, 200);
    let own = second.header("RateLimit").unwrap();
    assert!(own.starts_with(r#""100/hour per consumer";r=99"#), "the route tells of its own limit: {own}");
    assert_eq!(ask(&gateway, "/maybe/1", &mobile).status, 200);
    for path in ["/a/2", "/b/2", "/maybe/2"] {
        let refused = ask(&gateway, path, &mobile);
        assert_eq!(refused.status, 429, "{path}");
        assert!(refused.header("Retry-After").is_some(), "{path}");
        assert_eq!(ask(&gateway, path, &batch).status, 200, "{path}");
    }
    assert_eq!(gateway.get("/open/1").status, 200);
    assert_eq!(gateway.get("/maybe/1").status, 200, "nobody has no limit");
    assert_eq!(ask(&gateway, "/a/3", "tgk_0000000000000000").status, 401);
    let line = gateway.wait_for_log(|line| line["status"] == 429);
    assert_eq!((&line["refused_by"], &line["consumer"]), (&"rate_limit".into(), &"mobile".into()));
}

#[test]
fn a_changed_limit_of_a_consumer_holds_and_keeps_what_was_consumed() {
    let (origin, ([mobile, _], hashes)) = (Origin::start(), keys());
    let gateway = testkit::gateway!("{}", text(&origin, &hashes, "{ rate: 2/hour, name: plan }"));
    let statuses =
        |count| -> Vec<u16> { (0..count).map(|_| ask(&gateway, "/a/1", &mobile).status).collect() };
    assert_eq!(statuses(3), [200, 200, 429]);
    gateway.rewrite_config(&text(&origin, &hashes, "{ rate: 4/hour, name: plan }"));
    eventually("the new limit to hold", || (ask(&gateway, "/a/1", &mobile).status == 200).then_some(()));
    assert_eq!(statuses(2), [200, 429]);
}
