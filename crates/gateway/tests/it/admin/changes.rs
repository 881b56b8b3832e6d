//! Changes of the configuration while it runs: applied, refused, in conflict, confirmed, rolled back by hand and by
//! time, written into history and audit log; the file keeps its comments, and no request fails meanwhile.

mod canary;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::{Value, json};
use testkit::client::{self, Response};
use testkit::event::eventually;
use testkit::gateway::Gateway;
use testkit::origin::Origin;

use crate::setup::tidegate;

fn start(origin: &Origin) -> (Gateway, String) {
    let text = format!(
        "# The head.\nlisten: 127.0.0.1:0\nadmin: {{ listen: 127.0.0.1:0 }}   # here\nservices: {{ app: \"{}\" }}\n\n\
         routes:\n  # All of it.\n  /*: {{ to: app, rate_limit: 100000/s }}  # limited\n  /gone: {{ respond: 410 }}\n",
        origin.url()
    );
    (Gateway::with_binary(env!("CARGO_BIN_EXE_tidegate")).start(&text), text)
}

fn on_disk(gateway: &Gateway) -> String {
    std::fs::read_to_string(gateway.folder().join("gateway.yaml")).unwrap()
}

fn etag(gateway: &Gateway) -> String {
    let answer = gateway.admin("/api/v1/config");
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.header("etag").unwrap().to_owned()
}

fn put(gateway: &Gateway, tag: &str, body: &Value) -> Response {
    gateway.admin_request("PUT", "/api/v1/config", &[("If-Match", tag)], &body.to_string())
}

fn limit(to: &str) -> Value {
    json!({ "edits": [{ "op": "set", "path": ["routes", "/*", "rate_limit"], "value": to }], "message": "less" })
}

/// Tells the others to stop, also when a test has failed meanwhile.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Asks without a break until told to stop; gives how often it asked, and what did not answer 200.
fn while_under_load(gateway: &Gateway, run: impl FnOnce()) -> usize {
    let (stop, asked, address) = (AtomicBool::new(false), AtomicUsize::new(0), gateway.addr());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(Ordering::Acquire) {
                    assert_eq!(client::get(address, "/loaded").status, 200);
                    asked.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let _stop = Stop(&stop);
        run();
    });
    asked.into_inner()
}

#[test]
fn a_change_touches_one_node_of_the_file_and_can_be_taken_back() {
    let origin = Origin::start();
    let (gateway, text) = start(&origin);
    let asked = while_under_load(&gateway, || {
        let answer = put(&gateway, &etag(&gateway), &limit("50000/s"));
        let told = answer.json();
        assert_eq!(
            (answer.status, &told["number"], &told["revision"]),
            (200, &2.into(), &2.into()),
            "{told}"
        );
        assert_eq!(told["changes"][0]["text"], "route `/*` another `rate_limit`", "{told}");
        assert_eq!(on_disk(&gateway), text.replace("100000/s", "50000/s"));
        assert_eq!(answer.header("etag"), Some(&*etag(&gateway)));
        let back = gateway.admin_request("POST", "/api/v1/config/rollback", &[], "");
        assert_eq!((back.status, &back.json()["number"]), (200, &3.into()), "{}", back.text());
        assert_eq!(on_disk(&gateway), text);
        let again = gateway.admin_request("POST", "/api/v1/config/rollback", &[], r#"{"to":2}"#);
        assert_eq!(again.status, 200, "{}", again.text());
        assert_eq!(on_disk(&gateway), text.replace("100000/s", "50000/s"));
    });
    assert!(asked > 0);
    let history = gateway.admin("/api/v1/config/history").json();
    let told: Vec<(&Value, &Value, &Value)> = history["changes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|change| (&change["number"], &change["author"], &change["message"]))
        .collect();
    let row = |number: u64, author: &str, message: &str| (json!(number), json!(author), json!(message));
    let wanted = [
        row(4, "first", "rolled back to change 2"),
        row(3, "first", "rolled back to change 1"),
        row(2, "first", "less"),
        row(1, "the file", "as it was at the start"),
    ];
    assert_eq!(told, wanted.iter().map(|(a, b, c)| (a, b, c)).collect::<Vec<_>>());
    let one = gateway.admin("/api/v1/config/history/2").json();
    assert!(
        one["diff"].as_str().unwrap().contains("+  /*: { to: app, rate_limit: 50000/s }  # limited"),
        "{one}"
    );
}

#[test]
fn what_is_wrong_changes_nothing() {
    let origin = Origin::start();
    let (gateway, text) = start(&origin);
    let tag = etag(&gateway);
    let missing = gateway.admin_request("PUT", "/api/v1/config", &[], &limit("1/s").to_string());
    assert_eq!(missing.status, 428);
    let stale = put(&gateway, "\"0123\"", &limit("1/s"));
    assert_eq!((stale.status, stale.json()["text"].as_str()), (409, Some(&*text)), "{}", stale.text());
    for (body, status, word) in [
        (limit("many"), 422, "many"),
        (json!({ "text": "listen: [" }), 422, "not valid YAML"),
        (json!({ "text": text.replace("to: app", "to: ap") }), 422, "did you mean `app`?"),
        (json!({ "edits": [{ "op": "remove", "path": ["routes", "/nothing"] }] }), 400, "no `/nothing`"),
        (json!({}), 400, "give a `text` or `edits`"),
        (json!({ "txt": "" }), 400, "unknown field"),
        (json!({ "text": text, "confirm_seconds": 0 }), 400, "between 1 and 3600"),
    ] {
        let answer = put(&gateway, &tag, &body);
        assert_eq!(answer.status, status, "{body}: {}", answer.text());
        assert!(answer.text().contains(word), "{body}: {}", answer.text());
    }
    let tried = put(&gateway, &tag, &json!({ "text": text.replace("410", "404"), "dry_run": true })).json();
    assert_eq!((&tried["applied"], &tried["number"]), (&false.into(), &0.into()), "{tried}");
    assert_eq!(on_disk(&gateway), text);
    assert_eq!(gateway.get("/gone").status, 410);
    let checked =
        gateway.admin_request("POST", "/api/v1/config/check", &[], &json!({ "text": "a: 1" }).to_string());
    assert_eq!((checked.status, &checked.json()["valid"]), (200, &false.into()), "{}", checked.text());
    assert_eq!(gateway.admin("/api/v1/status").json()["revision"], 1);
}

#[test]
fn of_two_changes_on_one_ground_one_is_in_conflict() {
    let origin = Origin::start();
    let (gateway, _) = start(&origin);
    let asked = while_under_load(&gateway, || {
        let tag = etag(&gateway);
        let statuses: Vec<u16> = std::thread::scope(|scope| {
            let change = |to: &'static str| {
                let (gateway, tag) = (&gateway, &tag);
                scope.spawn(move || put(gateway, tag, &limit(to)).status)
            };
            let both = [change("70000/s"), change("60000/s")];
            both.map(|one| one.join().unwrap()).into()
        });
        let mut sorted = statuses.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, [200, 409]);
        let kept = if statuses[0] == 200 { "70000/s" } else { "60000/s" };
        assert!(on_disk(&gateway).contains(kept), "{}", on_disk(&gateway));
        // Somebody's editor is a concurrent change too.
        let tag = etag(&gateway);
        gateway.rewrite_config(&on_disk(&gateway).replace("# The head.", "# Another head."));
        assert_eq!(put(&gateway, &tag, &limit("1/s")).status, 409);
    });
    assert!(asked > 0);
}

#[test]
fn what_nobody_confirms_goes_back_and_what_is_confirmed_stays() {
    let origin = Origin::start();
    let (gateway, text) = start(&origin);
    let asked = while_under_load(&gateway, || {
        let change = json!({ "text": text.replace("410", "404"), "confirm_seconds": 1 });
        assert_eq!(put(&gateway, &etag(&gateway), &change).status, 200);
        let pending = put(&gateway, &etag(&gateway), &limit("1/s"));
        // Either it still waits, or it has gone back in this very second and the ground is another one.
        assert!(matches!(pending.status, 409), "{}", pending.text());
        eventually("the change to go back", || (on_disk(&gateway) == text).then_some(()));
        eventually("the one before to run", || (gateway.get("/gone").status == 410).then_some(()));
        let stays = json!({ "text": text.replace("410", "451"), "confirm_seconds": 3600 });
        assert_eq!(put(&gateway, &etag(&gateway), &stays).status, 200);
        assert_eq!(gateway.get("/gone").status, 451);
        assert!(gateway.admin("/api/v1/config").json()["pending"]["number"].is_u64());
        assert_eq!(gateway.admin_request("POST", "/api/v1/config/confirm", &[], "").status, 200);
        assert_eq!(gateway.admin_request("POST", "/api/v1/config/confirm", &[], "").status, 404);
    });
    assert!(asked > 0);
    assert!(gateway.admin("/api/v1/config").json()["pending"].is_null());
    assert_eq!(gateway.get("/gone").status, 451);
}

#[test]
fn every_change_is_in_a_log_that_cannot_be_altered_unseen() {
    let origin = Origin::start();
    let (gateway, text) = start(&origin);
    assert_eq!(put(&gateway, &etag(&gateway), &limit("9/s")).status, 200);
    assert_eq!(put(&gateway, "\"x\"", &limit("1/s")).status, 409);
    assert_eq!(gateway.admin_request("POST", "/api/v1/reload", &[], "").status, 200);
    let told = gateway.admin("/api/v1/audit").json();
    let lines = told["lines"].as_array().unwrap();
    let results: Vec<&str> = lines.iter().map(|line| line["result"].as_str().unwrap()).collect();
    assert_eq!(results[0], "200");
    assert!(results[1].starts_with("refused: the configuration was changed"), "{results:?}");
    assert!(results[2].starts_with("applied, revision 2"), "{results:?}");
    assert!(lines[2]["about"]["diff"].as_str().unwrap().contains("rate_limit: 9/s"), "{}", lines[2]);
    let path = gateway.folder().join(".tidegate/audit.jsonl");
    let log = std::fs::read_to_string(&path).unwrap();
    assert!(!log.contains(testkit::gateway::ADMIN_TOKEN), "{log}");
    let verified = tidegate(gateway.folder(), &["audit", "verify"]);
    assert_eq!(verified.code, Some(0), "{}", verified.stderr);
    assert!(verified.stdout.contains(told["last_hash"].as_str().unwrap()), "{}", verified.stdout);
    std::fs::write(&path, log.replace("9/s", "8/s")).unwrap();
    let broken = tidegate(gateway.folder(), &["audit", "verify"]);
    assert_eq!(broken.code, Some(1));
    assert!(broken.stderr.contains("audit.jsonl:1: the chain is broken"), "{}", broken.stderr);
    assert_eq!(on_disk(&gateway), text.replace("100000/s", "9/s"));
}

#[test]
fn a_change_is_tried_on_requests_of_before() {
    let origin = Origin::start();
    let (gateway, text) = start(&origin);
    (0..3).for_each(|_| assert_eq!(gateway.get("/gone?token=CANARY").status, 410));
    eventually("a sample", || {
        let told = gateway.admin("/api/v1/samples").json();
        (!told["samples"].as_array().unwrap().is_empty()).then_some(())
    });
    let preview = |text: &str| {
        let body = json!({ "text": text }).to_string();
        gateway.admin_request("POST", "/api/v1/config/preview", &[], &body)
    };
    let asked = while_under_load(&gateway, || {
        let same = preview(&text).json();
        assert!(same["asked"].as_u64() > Some(0) && same["asked"] == same["same"], "{same}");
        let other = preview(&text.replace("respond: 410", "respond: 451"));
        let told = other.json();
        let different = &told["different"];
        // Of the load some is sampled too, and goes the same way.
        let sum = told["same"].as_u64().unwrap() + different[0]["count"].as_u64().unwrap();
        assert_eq!(
            (Some(sum), different.as_array().map(Vec::len)),
            (told["asked"].as_u64(), Some(1)),
            "{told}"
        );
        assert!(different[0]["after"].as_str().unwrap().contains("451"), "{told}");
        assert!(!other.text().contains("CANARY"), "{told}");
        assert_eq!(preview("listen: [").status, 422);
    });
    assert!(asked > 0);
    assert_eq!(gateway.get("/gone").status, 410);
    assert_eq!(gateway.admin("/api/v1/status").json()["revision"], 1);
}

#[test]
fn commands_do_the_same() {
    let origin = Origin::start();
    let (gateway, text) = start(&origin);
    let admin = gateway.admin_addr().to_string();
    let run = |words: &[&str]| tidegate(gateway.folder(), &[words, &["--admin", &admin]].concat());
    std::fs::write(gateway.folder().join("next.yaml"), text.replace("410", "404")).unwrap();
    let told = run(&["diff", "next.yaml"]);
    assert_eq!(
        (told.code, told.stdout.contains("+  /gone: { respond: 404 }")),
        (Some(1), true),
        "{}",
        told.stderr
    );
    let told = run(&["apply", "next.yaml", "--dry-run"]);
    assert!(told.code == Some(0) && told.stderr.contains("would be applied"), "{}", told.stderr);
    let told = run(&["apply", "next.yaml", "-m", "404 it is", "--confirm", "1h"]);
    assert!(told.code == Some(0) && told.stderr.contains("tidegate confirm"), "{}", told.stderr);
    assert_eq!(gateway.get("/gone").status, 404);
    assert_eq!(run(&["confirm"]).code, Some(0));
    let told = run(&["history"]);
    assert!(told.stdout.contains("404 it is") && told.stdout.lines().count() == 2, "{}", told.stdout);
    assert_eq!(run(&["history", "1"]).stdout, text);
    assert_eq!(run(&["rollback"]).code, Some(0));
    assert_eq!(on_disk(&gateway), text);
    eventually("the old one to run", || (gateway.get("/gone").status == 410).then_some(()));
    let told = run(&["apply", "next.yaml", "--if-match", "0123"]);
    assert_eq!(
        (told.code, told.stderr.contains("changed since you read it")),
        (Some(1), true),
        "{}",
        told.stderr
    );
}

#[test]
fn a_fault_of_a_draft_says_which_setting_it_is_about() {
    let origin = Origin::start();
    let (gateway, text) = start(&origin);
    let check = |body: &Value| {
        let answer = gateway.admin_request("POST", "/api/v1/config/check", &[], &body.to_string());
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    };
    let told = check(&limit("often"));
    assert_eq!(
        (&told["valid"], &told["diagnostics"][0]["path"]),
        (&false.into(), &json!(["routes", "/*", "rate_limit"])),
        "{told}"
    );
    assert_eq!(told["written"]["routes"]["/*"]["rate_limit"], "often", "the draft as data, faults or not");
    let edits = json!({ "edits": [{ "op": "set", "path": ["routes", "/gone", "ip"], "value": { "deny": ["10.0.0.0/8", "x"] } }] });
    assert_eq!(check(&edits)["diagnostics"][0]["path"], json!(["routes", "/gone", "ip", "deny", "1"]));
    let told = check(&json!({ "text": "routes: [" }));
    assert_eq!((&told["valid"], &told["written"]), (&false.into(), &Value::Null), "{told}");
    assert_eq!(gateway.admin("/api/v1/config").json()["written"]["routes"]["/*"]["to"], "app");
    assert_eq!(on_disk(&gateway), text);
}
