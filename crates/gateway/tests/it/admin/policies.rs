//! What policies did, as the console shows it on their blocks.

use serde_json::{Value, json};
use testkit::client::{get, request};
use testkit::event::eventually;
use testkit::gateway::Gateway;
use testkit::origin::{Origin, Reply};

use crate::setup::with_routes;

const ROUTES: &str = r#"
  /limited: { to: app, rate_limit: 1/day }
  /watched: { to: app, ip: { deny: [127.0.0.0/8], mode: shadow } }
  /cached: { to: app, cache: 60s }
  /plain: { to: app }
"#;

/// A gateway whose policies had something to do.
fn asked(origin: &Origin) -> Gateway {
    let gateway = with_routes(origin, ROUTES);
    for path in ["/limited", "/limited", "/limited", "/watched", "/cached", "/cached", "/plain"] {
        get(gateway.addr(), path);
    }
    gateway
}

#[test]
fn what_policies_refused_and_kept_is_told_by_route() {
    let origin = Origin::answering(|_| Reply::ok("x"));
    let gateway = asked(&origin);
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

#[test]
fn what_policies_made_of_requests_has_curves() {
    let origin = Origin::answering(|_| Reply::ok("x"));
    let gateway = asked(&origin);
    let outcomes = |told: &Value, of: &str| -> Vec<(String, u64)> {
        let all = if of.is_empty() { &told["outcomes"] } else { &told["routes"][of]["outcomes"] };
        let one = |one: &Value| {
            assert!(one["p99_ms"].as_f64() > Some(0.0), "{one}");
            let name = format!("{}:{}", one["policy"].as_str().unwrap(), one["outcome"].as_str().unwrap());
            (name, one["calls"].as_u64().unwrap())
        };
        all.as_array().unwrap().iter().map(one).collect()
    };
    let told = eventually("what they did in the last minute", || {
        let told = gateway.admin("/api/v1/policies?window=1m").json();
        (outcomes(&told, "").iter().map(|(_, calls)| calls).sum::<u64>() == 5).then_some(told)
    });
    let one = |name: &str, calls| (name.to_owned(), calls);
    assert_eq!(outcomes(&told, "/limited"), [one("rate_limit:refused", 2)]);
    assert_eq!(outcomes(&told, "/watched"), [one("ip:would_refuse", 1)]);
    assert_eq!(outcomes(&told, "/cached"), [one("cache:hit", 1), one("cache:miss", 1)]);
    let curve = |path: &str| -> u64 {
        let series = gateway.admin(&format!("/api/v1/{path}")).json();
        series["calls"].as_array().unwrap().iter().filter_map(Value::as_u64).sum()
    };
    assert_eq!(curve("series?kind=policy&name=rate_limit&outcome=refused&route=/limited"), 2);
    assert_eq!(curve("series?kind=policy&name=cache&outcome=hit&window=1h"), 1);
    assert_eq!(curve("series?kind=policy&name=ip&outcome=refused&route=/watched"), 0);
    for (path, word) in [
        ("series?kind=policy&name=rate_limit", "outcome="),
        ("series?kind=policy&name=nothing&outcome=refused", "there is no policy"),
        ("series?kind=group&name=nobody", "there is no group `nobody`"),
    ] {
        let answer = gateway.admin(&format!("/api/v1/{path}"));
        assert!(
            matches!(answer.status, 400 | 404) && answer.text().contains(word),
            "{path}: {}",
            answer.text()
        );
    }
    let map = gateway.admin("/api/v1/heatmap?kind=policy&name=rate_limit&outcome=refused").json();
    let cells = map["cells"].as_array().unwrap().iter().map(|cell| cell[2].as_u64().unwrap());
    assert_eq!(cells.sum::<u64>(), 2, "{map}");
}

/// `alice:sesame`, and the hash of `sesame`.
const LOGIN: &str = "Basic YWxpY2U6c2VzYW1l";
const BCRYPT: &str = "$2y$04$1HHvUtDUEnL/98OaJT1hPeL2F/Od1YYJrBIy38Jd50vnZ.HO27DGi";

#[test]
fn what_groups_of_callers_did_is_told() {
    let origin = Origin::answering(|_| Reply::ok("x"));
    let text = |more: &str| {
        format!(
            "listen: 127.0.0.1:0\nadmin: {{ listen: 127.0.0.1:0 }}\nworkers: 1\nservices: {{ app: \"{}\" }}\nconsumers:\n  \
             ops: {{ groups: [staff, night], basic: {{ user: alice, password_hash: \"{BCRYPT}\" }} }}\n  \
             idle: {{ groups: nobody }}\nroutes:\n  /*: {{ to: app, basic: {{ optional: true }} }}\n  \
             /strict: {{ to: app, basic: {{}}, rate_limit: 1/day }}\n{more}",
            origin.url()
        )
    };
    let gateway = testkit::gateway!("{}", text(""));
    let ask = |path: &str| request(gateway.addr(), "GET", path, &[("Authorization", LOGIN)], b"").status;
    assert_eq!(["/a", "/b", "/strict", "/strict"].map(ask), [200, 200, 200, 429]);
    assert_eq!(get(gateway.addr(), "/a").status, 200);
    let told = |calls: u64| {
        eventually("what groups did", || {
            let told = gateway.admin("/api/v1/groups?window=5m").json();
            (told["groups"][0]["calls"] == calls).then(|| told["groups"].clone())
        })
    };
    let groups = told(4);
    let rows: Vec<(&str, u64, u64)> = groups
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            let count = |what: &str| one[what].as_u64().unwrap();
            (one["name"].as_str().unwrap(), count("calls"), count("refused"))
        })
        .collect();
    assert_eq!(rows, [("night", 4, 1), ("staff", 4, 1), ("nobody", 0, 0)]);
    assert!(groups[0]["p50_ms"].as_f64() > Some(0.0) && groups[0]["statuses"]["4xx"] == 1, "{groups}");
    gateway.rewrite_config(&text("  /more: { respond: 204 }\n"));
    gateway.reload();
    eventually("the new configuration", || {
        // Without a caller: before the reload this would count.
        (get(gateway.addr(), "/more").status == 204).then_some(())
    });
    assert_eq!(ask("/a"), 200);
    assert_eq!(told(5)[0]["refused"], 1);
    let topology = gateway.admin("/api/v1/topology").json();
    let routes = topology["routes"].as_array().unwrap().iter().map(|one| one["calls"].as_u64().unwrap());
    assert_eq!(topology["gateway"]["calls"], routes.sum::<u64>(), "what groups did counts once");
}
