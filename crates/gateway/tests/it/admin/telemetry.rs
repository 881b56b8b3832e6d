//! Topology, curves and heat maps: the numbers are those of real requests, they outlive reloads, and questions that
//! make no sense are told so.

use serde_json::Value;
use testkit::client;
use testkit::event::eventually;
use testkit::gateway::{AUTHORIZATION, Gateway};
use testkit::origin::Origin;

use crate::setup::with_routes;

const ROUTES: &str = r#"
  /orders/*: { to: app }
  /down: { respond: { status: 503 } }
  /quiet: { to: app }
"#;

/// The entry of a name in a list of the topology.
fn named(topology: &Value, list: &str, name: &str) -> Value {
    let all = topology[list].as_array().unwrap();
    all.iter().find(|entry| entry["name"] == name).cloned().unwrap_or(Value::Null)
}

/// The topology once it tells so many calls of a route.
#[track_caller]
fn after_calls(gateway: &Gateway, route: &str, calls: u64) -> Value {
    eventually("the calls to be told", || {
        let topology = gateway.admin("/api/v1/topology?window=5m").json();
        (named(&topology, "routes", route)["calls"] == calls).then_some(topology)
    })
}

#[test]
fn the_topology_tells_what_was_asked_and_what_failed() {
    let origin = Origin::start();
    let gateway = with_routes(&origin, ROUTES);
    (0..7).for_each(|nth| assert_eq!(gateway.get(&format!("/orders/{nth}")).status, 200));
    (0..3).for_each(|_| assert_eq!(gateway.get("/down").status, 503));
    assert_eq!(gateway.get("/nowhere").status, 404);
    let topology = eventually("all calls to be told", || {
        let topology = gateway.admin("/api/v1/topology").json();
        (topology["gateway"]["calls"] == 11).then_some(topology)
    });
    let orders = named(&topology, "routes", "/orders/*");
    assert_eq!((&orders["service"], &orders["statuses"]["2xx"]), (&"app".into(), &7.into()), "{orders}");
    assert!(orders["average_ms"].as_f64() > Some(0.0) && orders["p99_ms"].as_f64() > Some(0.0), "{orders}");
    assert_eq!(orders["error_rate"], 0.0);
    let down = named(&topology, "routes", "/down");
    assert_eq!((&down["calls"], &down["error_rate"]), (&3.into(), &1.0.into()), "{down}");
    assert_eq!(named(&topology, "routes", "none")["statuses"]["4xx"], 1);
    let quiet = named(&topology, "routes", "/quiet");
    assert_eq!((&quiet["calls"], &quiet["p50_ms"]), (&0.into(), &Value::Null), "{quiet}");
    for (list, name) in [("services", "app"), ("targets", &*origin.addr().to_string())] {
        let asked = named(&topology, list, name);
        assert_eq!((&asked["calls"], &asked["errors"]), (&7.into(), &0.into()), "{topology}");
        assert!(asked["p50_ms"].as_f64() > Some(0.0), "{asked}");
    }
    let listener = &topology["listeners"][0];
    assert_eq!((&listener["accepted"], &listener["refused"]), (&11.into(), &0.into()), "{listener}");
}

/// More routes than are read in one second: each has its turn, and none is forgotten.
#[test]
fn with_very_many_routes_every_call_is_told_in_time() {
    const MANY: u64 = 1500;
    let origin = Origin::start();
    let routes: String =
        (0..MANY).map(|nth| format!("  /r{nth}: {{ respond: {{ status: 204 }} }}\n")).collect();
    let gateway = with_routes(&origin, &routes);
    (0..MANY).for_each(|nth| assert_eq!(gateway.get(&format!("/r{nth}")).status, 204));
    eventually("all calls to be told", || {
        let topology = gateway.admin("/api/v1/topology?window=5m").json();
        (topology["gateway"]["calls"] == MANY).then_some(())
    });
}

#[test]
fn curves_and_heat_maps_hold_every_call() {
    let origin = Origin::start();
    let gateway = with_routes(&origin, ROUTES);
    (0..5).for_each(|_| assert_eq!(gateway.get("/orders/1").status, 200));
    after_calls(&gateway, "/orders/*", 5);
    let sum = |values: &Value, of: &dyn Fn(&Value) -> u64| -> u64 {
        values.as_array().unwrap().iter().map(of).sum()
    };
    let target = format!("kind=target&service=app&name={}", origin.addr());
    for which in ["kind=gateway", "kind=route&name=/orders/*", "kind=service&name=app", &target] {
        let series = gateway.admin(&format!("/api/v1/series?{which}&window=1m")).json();
        assert_eq!(sum(&series["calls"], &|calls| calls.as_u64().unwrap()), 5, "{which}: {series}");
        assert_eq!(series["at"].as_array().unwrap().len(), series["p99_ms"].as_array().unwrap().len());
        let map = gateway.admin(&format!("/api/v1/heatmap?{which}&window=1h")).json();
        assert_eq!(sum(&map["cells"], &|cell| cell[2].as_u64().unwrap()), 5, "{which}: {map}");
        assert_eq!(
            (&map["step_seconds"], map["upper_bounds_ms"].as_array().unwrap().len()),
            (&10.into(), 17)
        );
    }
    let quiet = gateway.admin("/api/v1/series?kind=route&name=/quiet").json();
    assert_eq!(sum(&quiet["calls"], &|calls| calls.as_u64().unwrap()), 0);
}

#[test]
fn counts_outlive_a_reload() {
    let origin = Origin::start();
    let gateway = with_routes(&origin, ROUTES);
    (0..4).for_each(|_| assert_eq!(gateway.get("/orders/1").status, 200));
    let text = |service: &str| {
        format!(
            "listen: 127.0.0.1:0\nadmin: {{ listen: 127.0.0.1:0 }}\nworkers: 1\n\
             services: {{ {service}: \"{}\" }}\nroutes:\n  /orders/*: {{ to: {service} }}\n",
            origin.url()
        )
    };
    gateway.rewrite_config(&text("renamed"));
    gateway.reload();
    eventually("the new configuration", || {
        (gateway.admin("/api/v1/status").json()["revision"] == 2).then_some(())
    });
    (0..2).for_each(|_| assert_eq!(gateway.get("/orders/1").status, 200));
    let topology = after_calls(&gateway, "/orders/*", 6);
    assert_eq!(named(&topology, "services", "renamed")["calls"], 2, "{topology}");
    let before = gateway.admin("/api/v1/series?kind=service&name=app").json();
    assert_eq!(before["calls"].as_array().unwrap().iter().filter_map(Value::as_u64).sum::<u64>(), 4);
}

#[test]
fn a_question_that_makes_no_sense_is_told_so() {
    let origin = Origin::start();
    let gateway = with_routes(&origin, ROUTES);
    for (path, status, word) in [
        ("/api/v1/topology?window=5", 400, "write a number and a unit"),
        ("/api/v1/topology?window=2d", 400, "between 1s and 1d"),
        ("/api/v1/topology?wndow=5m", 400, "unknown field `wndow`"),
        ("/api/v1/series?kind=rout&name=x", 400, "did you mean `route`?"),
        ("/api/v1/series?kind=route", 400, "say which route"),
        ("/api/v1/series?kind=target&name=x", 400, "service=.."),
        ("/api/v1/heatmap?kind=service&name=nobody", 404, "there is no service `nobody`"),
    ] {
        let answer = gateway.admin(path);
        assert_eq!(answer.status, status, "{path}: {}", answer.text());
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{path}");
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains(word), "{path}: {detail}");
    }
}

/// A script or image of another site's page may not read what goes on here (C12).
#[test]
fn pages_of_other_sites_are_told_nothing() {
    let origin = Origin::start();
    let gateway = with_routes(&origin, ROUTES);
    for path in ["/api/v1/topology", "/api/v1/series", "/api/v1/status"] {
        for (site, status) in [("cross-site", 403), ("same-site", 403), ("same-origin", 200), ("none", 200)] {
            let fields = [AUTHORIZATION, ("Sec-Fetch-Site", site)];
            let answer = client::request(gateway.admin_addr(), "GET", path, &fields, b"");
            assert_eq!(answer.status, status, "{path} from {site}");
            assert_eq!(answer.header("access-control-allow-origin"), None);
        }
    }
}

fn kept(state: &std::path::Path, origin: &Origin) -> Gateway {
    testkit::gateway!(
        "listen: 127.0.0.1:0\nworkers: 1\nadmin: {{ listen: 127.0.0.1:0, state: \"{}\", rollups: {{ keep: 10d, size: 1MiB }} }}\n\
         drain: {{ timeout: 50s, spread: 5s, handover: 50s }}\nservices: {{ app: \"{}\" }}\nroutes:\n  /orders/*: {{ to: app }}\n",
        state.display(),
        origin.url()
    )
}

/// Calls of a route in a window of days.
fn calls_of_days(gateway: &Gateway, route: &str) -> u64 {
    let series = gateway.admin(&format!("/api/v1/series?kind=route&name={route}&window=7d"));
    let series = series.json();
    assert_eq!(
        (&series["step_seconds"], series["at"].as_array().map(Vec::len) >= Some(168)),
        (&3_600.into(), true)
    );
    series["calls"].as_array().unwrap().iter().filter_map(Value::as_u64).sum()
}

#[test]
fn curves_of_days_outlive_restarts_and_hand_overs() {
    let (origin, state) = (Origin::start(), tempfile::tempdir().unwrap());
    let mut gateway = kept(state.path(), &origin);
    assert_eq!(gateway.admin("/api/v1/status").json()["longest_window_seconds"], 864_000);
    (0..3).for_each(|_| assert_eq!(gateway.get("/orders/1").status, 200));
    eventually("the calls of the running hour", || (calls_of_days(&gateway, "/orders/*") == 3).then_some(()));
    gateway.hand_over();
    assert!(gateway.wait_for_end().success());
    (0..2).for_each(|_| assert_eq!(gateway.get("/orders/1").status, 200));
    eventually("the calls of both processes", || (calls_of_days(&gateway, "/orders/*") == 5).then_some(()));
    gateway.signal(testkit::gateway::Signal::TERM);
    let files = || std::fs::read_dir(state.path().join("telemetry")).unwrap();
    let lines = || -> usize {
        let logs = files()
            .map(|file| file.unwrap().path())
            .filter(|path| path.extension().is_some_and(|end| end == "log"));
        logs.map(|path| std::fs::read_to_string(path).unwrap().matches("route [\"/orders/*\"").count()).sum()
    };
    eventually("what both processes have written", || (lines() >= 2).then_some(()));
    // A line that a crash has torn costs itself alone.
    let log = files()
        .map(|file| file.unwrap().path())
        .find(|path| path.extension().is_some_and(|end| end == "log"));
    let log = log.unwrap();
    let torn = std::fs::read_to_string(&log).unwrap() + "TH1 0000000000000000 route [\"/ord";
    std::fs::write(&log, torn).unwrap();
    let next = kept(state.path(), &origin);
    eventually("the calls of before", || (calls_of_days(&next, "/orders/*") == 5).then_some(()));
    assert_eq!(next.get("/orders/1").status, 200);
    eventually("one more", || (calls_of_days(&next, "/orders/*") == 6).then_some(()));
    assert_eq!(next.metric("tidegate_rollups_failing"), 0.0);
    let map = next.admin("/api/v1/heatmap?kind=service&name=app&window=2d").json();
    assert!(map["cells"].as_array().is_some_and(|cells| !cells.is_empty()), "{map}");
    let long = next.admin("/api/v1/series?window=11d");
    assert_eq!((long.status, long.text().contains("between 1s and 10d")), (400, true), "{}", long.text());
}

#[test]
fn without_a_disk_windows_end_with_the_day() {
    let origin = Origin::start();
    let gateway = with_routes(&origin, ROUTES);
    let answer = gateway.admin("/api/v1/series?window=2d");
    assert_eq!(
        (answer.status, answer.text().contains("between 1s and 1d")),
        (400, true),
        "{}",
        answer.text()
    );
}
