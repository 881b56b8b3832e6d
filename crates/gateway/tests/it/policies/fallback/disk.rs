//! Last good answers on the disk: there after a crash with all their marks, for their callers alone.

use std::path::Path;
use std::sync::atomic::Ordering;

use testkit::client::{Response, request};
use testkit::event::eventually;
use testkit::gateway::{Gateway, Signal};
use testkit::origin::{Origin, Recorded, Reply};

use super::{degraded, moody};

const SECRET: &str = "a secret for the disk of a gateway under test";

fn started(origin: &Origin, state: &Path, disk: &str) -> Gateway {
    testkit::gateway!(
        "listen: 127.0.0.1:0\nadmin: {{ listen: 127.0.0.1:0 }}\nworkers: 1\nstate: {}\ndisk: {disk}\n\
         services: {{ app: \"{}\" }}\nroutes:\n  /*: {{ to: app, fallback: [{{ last_good: 1h }}] }}\n",
        state.display(),
        origin.url()
    )
}

fn ask(gateway: &Gateway, path: &str, fields: &[(&str, &str)]) -> Response {
    let all: Vec<(&str, &str)> = fields.iter().copied().chain([("Host", "shop.example")]).collect();
    request(gateway.addr(), "GET", path, &all, b"")
}

fn crash(mut gateway: Gateway, written: f64) {
    gateway.wait_metric("tidegate_last_good_disk_written_total", |count| count >= written);
    gateway.signal(Signal::KILL);
    gateway.wait_for_end();
}

fn written(state: &Path) -> Vec<u8> {
    let files = std::fs::read_dir(state.join("last-good")).unwrap();
    files.flat_map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect()
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[test]
fn after_a_crash_the_last_good_answer_stands_in_with_its_marks() {
    let ((app, mood), state) = (moody("app"), tempfile::tempdir().unwrap());
    let disk = format!("{{ last_good: 16MiB, secret: {SECRET} }}");
    let caller = [("Authorization", "Bearer swordfish")];
    let first = started(&app, state.path(), &disk);
    assert_eq!(ask(&first, "/orders/1", &caller).text(), "app /orders/1");
    assert_eq!(ask(&first, "/orders/2", &[]).text(), "app /orders/2");
    crash(first, 2.0);
    let bytes = written(state.path());
    for text in ["swordfish", "/orders", "app ", "shop.example", "ETag"] {
        assert!(!holds(&bytes, text), "{text}");
    }
    mood.store(0, Ordering::SeqCst);
    let second = started(&app, state.path(), &disk);
    let answer = eventually("what was kept before the crash", || {
        Some(ask(&second, "/orders/1", &caller)).filter(|answer| answer.status == 200)
    });
    assert_eq!((answer.text().as_str(), degraded(&answer)), ("app /orders/1", "last-good"));
    assert_eq!(answer.header("cache-status"), Some("tidegate; fwd=stale; detail=last-good"));
    assert_eq!((answer.header("cache-control"), answer.header("set-cookie")), (Some("no-store"), None));
    assert!(answer.header("age").unwrap().parse::<u64>().unwrap() < 3600);
    assert_eq!(answer.header("etag"), Some("\"1\""));
    // Nobody else gets it.
    for others in [&[][..], &[("Authorization", "Bearer other")], &[("Cookie", "sid=1")]] {
        assert_eq!(ask(&second, "/orders/1", others).status, 502, "{others:?}");
    }
    // It is kept on from there: the service need not have answered meanwhile.
    crash(second, 0.0);
    let third = started(&app, state.path(), &disk);
    eventually("the answer once more", || (ask(&third, "/orders/2", &[]).status == 200).then_some(()));
    crash(third, 0.0);
    let fourth = started(&app, state.path(), &disk.replace("under test", "under rest"));
    fourth.wait_metric("tidegate_last_good_disk_unreadable_total", |count| count >= 1.0);
    assert_eq!(ask(&fourth, "/orders/2", &[]).status, 502);
}

#[test]
fn in_clear_no_credential_is_written_and_what_changed_is() {
    let ((app, mood), state) = (moody("app"), tempfile::tempdir().unwrap());
    let varied = Origin::answering(|request: &Recorded| match request.header("X-Down") {
        Some(_) => Reply::status(503),
        None => Reply::ok(format!("for {:?}", request.header("X-New"))).header("Vary", "Cookie"),
    });
    let gateway = started(&varied, state.path(), "{ last_good: 16MiB }");
    ask(&gateway, "/v", &[("Cookie", "sid=swordfish")]);
    assert!(gateway.stop().success());
    assert!(!holds(&written(state.path()), "swordfish"));
    let first = started(&app, state.path(), "{ last_good: 16MiB }");
    ask(&first, "/a", &[("X-Api-Key", "swordfish")]);
    crash(first, 1.0);
    assert!(holds(&written(state.path()), "app /a") && !holds(&written(state.path()), "swordfish"));
    mood.store(0, Ordering::SeqCst);
    let second = started(&app, state.path(), "{ last_good: 16MiB }");
    eventually("the last good answer", || {
        (ask(&second, "/a", &[("X-Api-Key", "swordfish")]).status == 200).then_some(())
    });
    assert_eq!(ask(&second, "/a", &[]).status, 502);
}

#[test]
fn a_disk_that_takes_nothing_costs_no_request() {
    let ((app, mood), state) = (moody("app"), tempfile::tempdir().unwrap());
    std::fs::write(state.path().join("last-good"), "in the way").unwrap();
    let gateway = started(&app, state.path(), "{ last_good: 1MiB }");
    gateway.wait_metric("tidegate_last_good_disk_failing", |failing| failing == 1.0);
    assert_eq!(ask(&gateway, "/a", &[]).status, 200);
    mood.store(503, Ordering::SeqCst);
    assert_eq!(degraded(&ask(&gateway, "/a", &[])), "last-good");
    gateway.wait_for_line(|line| line.contains("nothing more is kept in"));
}
