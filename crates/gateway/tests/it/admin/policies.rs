//! What policies did, as the console shows it on their blocks.

use serde_json::json;
use testkit::client::get;
use testkit::event::eventually;
use testkit::origin::{Origin, Reply};

use crate::setup::with_routes;

const ROUTES: &str = r#"
  /limited: { to: app, rate_limit: 1/day }
  /watched: { to: app, ip: { deny: [127.0.0.0/8], mode: shadow } }
  /cached: { to: app, cache: 60s }
  /plain: { to: app }
"#;

#[test]
fn what_policies_refused_and_kept_is_told_by_route() {
    let origin = Origin::answering(|_| Reply::ok("x"));
    let gateway = with_routes(&origin, ROUTES);
    for path in ["/limited", "/limited", "/limited", "/watched", "/cached", "/cached", "/plain"] {
        get(gateway.addr(), path);
    }
    let told = || gateway.admin("/api/v1/policies").json();
    let told = eventually("all of them are counted", || {
        let told = told();
        (told["routes"]["/cached"]["cache"]["hit"] == 1).then_some(told)
    });
    let kinds: Vec<&str> =
        told["kinds"].as_array().unwrap().iter().map(|kind| kind["name"].as_str().unwrap()).collect();
    let place = |name: &str| kinds.iter().position(|kind| *kind == name).unwrap();
    assert!(
        place("ip") < place("jwt")
            && place("jwt") < place("rate_limit")
            && place("rate_limit") < place("cache")
    );
    let routes = &told["routes"];
    assert_eq!(
        routes["/limited"]["refused"],
        json!([{ "policy": "rate_limit", "reason": "rate_limited", "mode": "enforce", "count": 2 }])
    );
    assert_eq!(
        routes["/watched"]["refused"],
        json!([{ "policy": "ip", "reason": "ip_denied", "mode": "shadow", "count": 1 }])
    );
    assert_eq!(routes["/cached"]["cache"], json!({ "miss": 1, "hit": 1 }));
    assert!(routes.get("/plain").is_none(), "what did nothing is not told: {routes}");
}
