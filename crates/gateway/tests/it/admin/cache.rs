//! Taking answers out of the cache: `tidegate purge` and the admin address behind it.

use serde_json::{Value, json};
use testkit::client::{get, request};
use testkit::gateway::Gateway;
use testkit::origin::{Origin, Reply};

use crate::setup::{tidegate, with_routes};

const ROUTES: &str = r#"
  /products/*: { to: app, cache: { ttl: 60s, groups: [all, "product-{path.*}"] } }
  /users/*: { to: app, cache: { ttl: 60s, stale_if_error: 60s } }
"#;
const PATHS: [&str; 5] = ["/products/1", "/products/2", "/products/2?x=1", "/users/1", "/users/1%20a"];

fn started() -> (Origin, Gateway) {
    let origin = Origin::answering(|request| match request.target.as_str() {
        "/users/1" => {
            Reply::ok("").header("Surrogate-Key", "person one").header("Cache-Groups", "\"people\"")
        }
        _ => Reply::ok("").header("Cache-Tag", "tagged,other"),
    });
    let gateway = with_routes(&origin, ROUTES);
    (origin, gateway)
}

/// Lets everything be kept.
fn fill(gateway: &Gateway) {
    for path in PATHS {
        get(gateway.addr(), path);
    }
}

/// The paths that are kept.
fn kept(gateway: &Gateway) -> Vec<&'static str> {
    let only = [("Cache-Control", "only-if-cached")];
    let is_kept = |path: &&str| request(gateway.addr(), "GET", path, &only, b"").status == 200;
    PATHS.iter().copied().filter(is_kept).collect()
}

fn purge(gateway: &Gateway, question: &Value) -> Value {
    gateway.admin_request("POST", "/api/v1/cache/purge", &[], &question.to_string()).json()
}

#[test]
fn what_is_meant_goes_and_is_counted() {
    let (_origin, gateway) = started();
    for (question, gone) in [
        (json!({ "url": "/products/1" }), &PATHS[..1]),
        (json!({ "url": "/products/2" }), &PATHS[1..3]),
        (json!({ "url": "/products/2?x=1" }), &PATHS[2..3]),
        (json!({ "url": "/products/3" }), &[]),
        (json!({ "url": "http://other.example/products/1" }), &[]),
        (json!({ "url": "/users/../users/%31" }), &PATHS[3..4]),
        (json!({ "prefix": "/users/" }), &PATHS[3..]),
        (json!({ "prefix": "/" }), &PATHS[..]),
        (json!({ "route": "/users/*" }), &PATHS[3..]),
        (json!({ "group": "product-2" }), &PATHS[1..3]),
        (json!({ "group": "all" }), &PATHS[..3]),
        (json!({ "group": "people" }), &PATHS[3..4]),
        (json!({ "group": "one" }), &PATHS[3..4]),
        (json!({ "group": "tagged", "prefix": "/users" }), &PATHS[4..]),
        (json!({ "all": true }), &PATHS[..]),
    ] {
        fill(&gateway);
        let mut dry = question.clone();
        dry["dry_run"] = true.into();
        assert_eq!(purge(&gateway, &dry)["objects"].as_u64(), Some(gone.len() as u64), "{question}");
        assert_eq!(kept(&gateway), PATHS, "counting changes nothing: {question}");
        assert_eq!(purge(&gateway, &question)["objects"].as_u64(), Some(gone.len() as u64), "{question}");
        let left: Vec<&str> = PATHS.iter().copied().filter(|path| !gone.contains(path)).collect();
        assert_eq!(kept(&gateway), left, "{question}");
    }
}

#[test]
fn softly_purged_it_is_asked_about_and_there_when_the_service_is_not() {
    let (origin, gateway) = started();
    fill(&gateway);
    assert_eq!(purge(&gateway, &json!({ "url": "/users/1", "soft": true }))["objects"], 1);
    let before = origin.requests().len();
    let answer = get(gateway.addr(), "/users/1");
    assert!(answer.header("Cache-Status").unwrap().contains("fwd=stale"), "{:?}", answer.headers);
    assert_eq!(origin.requests().len(), before + 1);
    purge(&gateway, &json!({ "all": true, "soft": true }));
    drop(origin);
    assert_eq!(get(gateway.addr(), "/users/1").status, 200);
    assert_eq!(get(gateway.addr(), "/products/1").status, 502, "this route did not ask for that");
}

#[test]
fn questions_that_mean_nothing_are_refused() {
    let (_origin, gateway) = started();
    for (question, what) in [
        (json!({}), "say what is to go"),
        (json!({ "all": true, "url": "/a" }), "say what is to go"),
        (json!({ "url": "a" }), "no URL"),
        (json!({ "url": "http://a b/" }), "no URL"),
        (json!({ "prefix": "/a?b" }), "no query"),
        (json!({ "route": "/user/*" }), "did you mean `/users/*`?"),
        (json!({ "tag": "x" }), "unknown field"),
    ] {
        let told = purge(&gateway, &question);
        assert!(told["detail"].as_str().unwrap_or_default().contains(what), "{question}: {told}");
    }
    let without = with_routes(&Origin::start(), "  /*: { to: app }\n");
    assert_eq!(purge(&without, &json!({ "all": true }))["detail"], "no route has a cache");
}

#[test]
fn the_command_says_what_it_did() {
    let (_origin, gateway) = started();
    fill(&gateway);
    let (folder, admin) = (tempfile::tempdir().unwrap(), format!("http://{}", gateway.admin_addr()));
    let run = |words: &[&str]| tidegate(folder.path(), &[&["purge", "--admin", &admin], words].concat());
    let told = run(&["--prefix", "/products/", "--dry-run"]);
    assert!(told.code == Some(0) && told.stdout.starts_with("would go: 3 answers, "), "{}", told.stdout);
    assert!(run(&["--group", "all"]).stdout.starts_with("taken out: 3 answers, "));
    assert_eq!(run(&["--all", "--json"]).json()["objects"], 2);
    assert!(run(&["--all", "--soft"]).stdout.starts_with("made stale: 0 answers, 0 bytes"));
    let refused = run(&[]);
    assert!(refused.code == Some(1) && refused.stderr.contains("say what is to go"), "{}", refused.stderr);
    let held: Value = gateway.admin("/api/v1/cache").json();
    assert_eq!((held["objects"].as_u64(), held["purged"].as_u64()), (Some(0), Some(5)));
}
