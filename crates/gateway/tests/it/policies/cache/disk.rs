//! `cache` with a disk: what is kept is there after a crash, as old as it is and for whom it was, and what is gone stays gone.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;
use testkit::client::{Response, request};
use testkit::event::eventually;
use testkit::gateway::{Gateway, Signal};
use testkit::origin::{Origin, Recorded, Reply};

use super::status;

const HOST: (&str, &str) = ("Host", "shop.example");
const ONLY: (&str, &str) = ("Cache-Control", "only-if-cached");
const ROUTES: &str = r#"
  /*: { to: app, cache: { ttl: 1h, stale_if_error: 1h } }
  /groups/*: { to: app, cache: { ttl: 1h, groups: "g-{path.*}" } }
  /plain/*: { to: app }
"#;
const SECRET: &str = "a secret for the disk of a gateway under test";

/// An origin that says what it was asked for while it is well, and 503 when it is not.
fn origin() -> (Origin, Arc<AtomicBool>) {
    let well = Arc::new(AtomicBool::new(true));
    let own = well.clone();
    let origin = Origin::answering(move |request: &Recorded| {
        let who = request.header("Authorization").or(request.header("X-Tenant")).unwrap_or("all");
        match own.load(Ordering::SeqCst) {
            false => Reply::status(503).body("down"),
            true if request.target.starts_with("/vary") => {
                Reply::ok("varied").header("Vary", "X-A").header("Age", "7")
            }
            true => Reply::ok(format!("body of {} for {who}", request.target)).header("Age", "7"),
        }
    });
    (origin, well)
}

fn started(origin: &Origin, state: &Path, disk: &str, routes: &str) -> Gateway {
    testkit::gateway!(
        "listen: 127.0.0.1:0\nadmin: {{ listen: 127.0.0.1:0 }}\nworkers: 1\nstate: {}\ndisk: {disk}\n\
         services: {{ app: \"{}\" }}\nroutes:\n{}\n",
        state.display(),
        origin.url(),
        routes.trim_matches('\n')
    )
}

fn ask(gateway: &Gateway, path: &str, fields: &[(&str, &str)]) -> Response {
    let all: Vec<(&str, &str)> = fields.iter().copied().chain([HOST]).collect();
    request(gateway.addr(), "GET", path, &all, b"")
}

/// Ends a gateway as a crash does, once so many answers are written.
fn crash(mut gateway: Gateway, written: f64) {
    gateway.wait_metric("tidegate_cache_disk_written_total", |count| count >= written);
    gateway.signal(Signal::KILL);
    gateway.wait_for_end();
}

/// Waits until a started gateway knows what is on its disk.
fn knows(gateway: &Gateway, objects: f64) {
    gateway.wait_metric("tidegate_cache_disk_objects", |count| count >= objects);
}

fn purge(gateway: &Gateway, question: &serde_json::Value) -> serde_json::Value {
    gateway.admin_request("POST", "/api/v1/cache/purge", &[], &question.to_string()).json()
}

/// All bytes of the files of a folder.
fn written(state: &Path) -> Vec<u8> {
    let files = std::fs::read_dir(state.join("cache")).unwrap();
    files.flat_map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect()
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[test]
fn after_a_crash_it_is_given_as_old_as_it_is_and_to_nobody_else() {
    let ((origin, well), state) = (origin(), tempfile::tempdir().unwrap());
    let first = started(&origin, state.path(), "{ cache: 64MiB }", ROUTES);
    for path in ["/a", "/a?b=1&c", "/vary/x"] {
        assert!(status(&ask(&first, path, &[("X-A", "1")])).contains("; stored"), "{path}");
    }
    // What was said to one is on no disk.
    assert!(status(&ask(&first, "/me", &[("Authorization", "Bearer one")])).contains("personal"));
    crash(first, 3.0);
    assert!(holds(&written(state.path()), "body of /a for all"));

    well.store(false, Ordering::SeqCst);
    let second = started(&origin, state.path(), "{ cache: 64MiB }", ROUTES);
    knows(&second, 3.0);
    let part = ask(&second, "/a", &[("Range", "bytes=0-3")]);
    assert_eq!((part.status, part.text().as_str()), (206, "body"));
    assert!(status(&part).starts_with("tidegate; hit; ttl=35") && status(&part).ends_with("; detail=disk"));
    let whole = ask(&second, "/a", &[]);
    assert_eq!((whole.status, whole.text().as_str()), (200, "body of /a for all"));
    assert!(!status(&whole).contains("disk"), "it is in memory by now: {}", status(&whole));
    let age: u64 = whole.header("Age").unwrap().parse().unwrap();
    assert!((7..3600).contains(&age), "{age}");
    assert_eq!(whole.headers_named("Age").len(), 1);
    assert_eq!(ask(&second, "/a?b=1&c", &[]).text(), "body of /a?b=1&c for all");
    assert_eq!(ask(&second, "/vary/x", &[("X-A", "1")]).text(), "varied");
    let others: [(&str, &[(&str, &str)]); 5] = [
        ("/vary/x", &[("X-A", "2")]),
        ("/a?b=1", &[]),
        ("/A", &[]),
        ("/a", &[("Authorization", "Bearer one")]),
        ("/me", &[("Authorization", "Bearer one")]),
    ];
    for (path, fields) in others {
        assert_eq!(ask(&second, path, fields).status, 503, "{path} {fields:?}");
    }
    let elsewhere = request(second.addr(), "GET", "/a", &[("Host", "other.example")], b"");
    assert_eq!(elsewhere.status, 503);
    let told = second.admin("/api/v1/cache").json();
    assert_eq!((&told["disk"]["objects"], &told["disk"]["unreadable"]), (&json!(3), &json!(0)), "{told}");
}

#[test]
fn what_has_changed_or_was_purged_stays_gone() {
    let ((origin, well), state) = (origin(), tempfile::tempdir().unwrap());
    let paths = ["/a", "/a?x=1", "/b", "/c/1", "/c/2", "/groups/1", "/groups/2", "/d"];
    let first = started(&origin, state.path(), "{ cache: 64MiB }", ROUTES);
    for path in paths {
        ask(&first, path, &[]);
    }
    first.wait_metric("tidegate_cache_disk_written_total", |count| count == paths.len() as f64);
    assert_eq!(request(first.addr(), "POST", "/a", &[HOST], b"x").status, 200);
    for question in
        [json!({ "prefix": "/c/" }), json!({ "group": "g-1" }), json!({ "url": "/d", "soft": true })]
    {
        assert!(purge(&first, &question)["objects"].as_u64().unwrap() > 0, "{question}");
    }
    assert_eq!(ask(&first, "/e", &[]).status, 200);
    crash(first, 9.0);

    let second = started(&origin, state.path(), "{ cache: 64MiB }", ROUTES);
    knows(&second, 1.0);
    let kept = |gateway: &Gateway| -> Vec<&str> {
        paths.into_iter().filter(|path| ask(gateway, path, &[ONLY]).status == 200).collect()
    };
    assert_eq!(kept(&second), ["/b", "/groups/2"]);
    // Made stale, it is still there when the service is not.
    well.store(false, Ordering::SeqCst);
    let stale = ask(&second, "/d", &[]);
    assert_eq!((stale.status, stale.text().as_str()), (200, "body of /d for all"));
    // What is on the disk alone is counted and goes too.
    well.store(true, Ordering::SeqCst);
    crash(second, 0.0);
    let third = started(&origin, state.path(), "{ cache: 64MiB }", ROUTES);
    knows(&third, 1.0);
    assert_eq!(purge(&third, &json!({ "url": "/b", "dry_run": true }))["objects"], 1);
    assert_eq!(purge(&third, &json!({ "url": "/b" }))["objects"], 1);
    crash(third, 0.0);
    let fourth = started(&origin, state.path(), "{ cache: 64MiB }", ROUTES);
    knows(&fourth, 1.0);
    assert_eq!(kept(&fourth), ["/groups/2"]);
}

#[test]
fn sealed_it_shows_nothing_and_opens_with_its_secret_alone() {
    let ((origin, _), state) = (origin(), tempfile::tempdir().unwrap());
    let routes = "  /*: { to: app, cache: { ttl: 1h, key: header.authorization } }\n";
    let disk = |secret: &str| format!("{{ cache: 64MiB, secret: {secret} }}");
    let caller = [("Authorization", "Bearer swordfish")];
    let first = started(&origin, state.path(), &disk(SECRET), routes);
    assert!(status(&ask(&first, "/private/path", &caller)).contains("; stored"));
    crash(first, 1.0);
    let bytes = written(state.path());
    for text in ["swordfish", "/private/path", "body of", "shop.example", "Content-Length"] {
        assert!(!holds(&bytes, text), "{text}");
    }
    let again = [caller[0], ONLY];
    let second = started(&origin, state.path(), &disk(SECRET), routes);
    knows(&second, 1.0);
    assert_eq!(ask(&second, "/private/path", &again).status, 200);
    assert_eq!(ask(&second, "/private/path", &[ONLY]).status, 504);
    crash(second, 0.0);
    let third = started(&origin, state.path(), &disk(&SECRET.replace('a', "b")), routes);
    third.wait_metric("tidegate_cache_disk_unreadable_total", |count| count >= 1.0);
    assert_eq!(ask(&third, "/private/path", &again).status, 504);
    crash(third, 0.0);
    // Without a secret no credential is on the disk, and so no answer whose key has one.
    let fourth = started(&origin, state.path(), "{ cache: 64MiB }", routes);
    for path in ["/x", "/y"] {
        ask(&fourth, path, &caller);
    }
    assert_eq!(ask(&fourth, "/x", &again).status, 200, "it is in memory");
    assert!(fourth.stop().success());
    assert!(!holds(&written(state.path()), "swordfish"));
}

#[test]
fn another_configuration_misreads_nothing() {
    let ((origin, _), state) = (origin(), tempfile::tempdir().unwrap());
    let tenant = [("X-Tenant", "5"), ("X-User", "5")];
    let own = |key: &str| format!("  /own: {{ to: app, cache: {{ ttl: 1h, key: {key} }} }}\n");
    let shared = |shared: bool| format!("  /all: {{ to: app, cache: {{ ttl: 1h, shared: {shared} }} }}\n");
    let caller = [("Authorization", "Bearer one")];
    let before = own("header.x-tenant") + &shared(true);
    let first = started(&origin, state.path(), "{ cache: 64MiB }", &before);
    assert!(status(&ask(&first, "/own", &tenant)).contains("; stored"));
    assert!(status(&ask(&first, "/all", &caller)).contains("; stored"));
    crash(first, 2.0);
    let after = own("header.x-user") + &shared(false);
    let second = started(&origin, state.path(), "{ cache: 64MiB }", &after);
    knows(&second, 2.0);
    assert_eq!(
        ask(&second, "/own", &[tenant[0], tenant[1], ONLY]).status,
        504,
        "the same word for another thing"
    );
    assert_eq!(ask(&second, "/all", &[caller[0], ONLY]).status, 504);
    crash(second, 0.0);
    let third = started(&origin, state.path(), "{ cache: 64MiB }", &before);
    knows(&third, 2.0);
    assert_eq!(ask(&third, "/own", &[tenant[0], tenant[1], ONLY]).status, 200);
    assert_eq!(ask(&third, "/all", &[caller[0], ONLY]).status, 200);
}

#[test]
fn what_is_damaged_is_passed_over_and_counted() {
    let ((origin, _), state) = (origin(), tempfile::tempdir().unwrap());
    let first = started(&origin, state.path(), "{ cache: 64MiB }", ROUTES);
    for path in ["/a", "/b", "/c"] {
        ask(&first, path, &[]);
    }
    crash(first, 3.0);
    let files = std::fs::read_dir(state.path().join("cache")).unwrap().map(|file| file.unwrap().path());
    let file = files.filter(|path| path.extension().is_some_and(|ending| ending == "keep")).max().unwrap();
    let mut bytes = std::fs::read(&file).unwrap();
    let at = bytes.windows(13).position(|window| window == b"body of /b fo").unwrap();
    bytes[at + 8] = b'X';
    std::fs::write(&file, bytes).unwrap();
    let second = started(&origin, state.path(), "{ cache: 64MiB }", ROUTES);
    second.wait_metric("tidegate_cache_disk_unreadable_total", |count| count == 1.0);
    second.wait_for_line(|line| line.contains("cannot be read and is passed over"));
    // What stood before it may have been taken back where the damage is.
    for path in ["/a", "/b", "/c"] {
        assert_eq!(ask(&second, path, &[ONLY]).status, 504, "{path}");
        assert_eq!(ask(&second, path, &[]).text(), format!("body of {path} for all"));
    }
}

#[test]
fn a_disk_that_takes_nothing_is_told_once_and_costs_no_request() {
    let ((origin, _), state) = (origin(), tempfile::tempdir().unwrap());
    std::fs::write(state.path().join("cache"), "in the way").unwrap();
    let gateway = started(&origin, state.path(), "{ cache: 64MiB }", ROUTES);
    for nth in 0..50 {
        assert_eq!(ask(&gateway, &format!("/{nth}"), &[]).status, 200);
        assert!(status(&ask(&gateway, &format!("/{nth}"), &[])).contains("; hit"));
    }
    gateway.wait_metric("tidegate_cache_disk_failing", |failing| failing == 1.0);
    std::fs::remove_file(state.path().join("cache")).unwrap();
    gateway.wait_metric("tidegate_cache_disk_failing", |failing| failing == 0.0);
    gateway.wait_metric("tidegate_cache_disk_written_total", |count| count == 50.0);
    let told = gateway.stderr().iter().filter(|line| line.contains("nothing more is kept")).count();
    assert_eq!(told, 1);
}

#[test]
fn it_stays_within_its_bytes() {
    let state = tempfile::tempdir().unwrap();
    let origin = Origin::answering(|request| Reply::ok(request.target.repeat(3_000)));
    let gateway = started(&origin, state.path(), "{ cache: 1MiB }", ROUTES);
    for nth in 100..300 {
        ask(&gateway, &format!("/{nth}"), &[]);
    }
    crash(gateway, 200.0);
    assert!(written(state.path()).len() <= 1 << 20, "{}", written(state.path()).len());
    let gateway = started(&origin, state.path(), "{ cache: 1MiB }", ROUTES);
    knows(&gateway, 1.0);
    assert_eq!(ask(&gateway, "/299", &[ONLY]).text(), "/299".repeat(3_000));
    assert_eq!(ask(&gateway, "/100", &[ONLY]).status, 504);
}

#[test]
fn one_process_has_it_and_the_next_one_gets_it() {
    let ((origin, _), state) = (origin(), tempfile::tempdir().unwrap());
    let mut gateway = started(&origin, state.path(), "{ cache: 64MiB }", ROUTES);
    ask(&gateway, "/a", &[]);
    ask(&gateway, "/b", &[]);
    gateway.wait_metric("tidegate_cache_disk_written_total", |count| count == 2.0);
    gateway.hand_over();
    // What changes before the new one has the disk holds for what is there.
    assert_eq!(request(gateway.addr(), "POST", "/b", &[HOST], b"x").status, 200);
    assert!(gateway.wait_for_end().success());
    knows(&gateway, 1.0);
    eventually("what the first process kept", || (ask(&gateway, "/a", &[ONLY]).status == 200).then_some(()));
    assert_eq!(ask(&gateway, "/b", &[ONLY]).status, 504);
}
