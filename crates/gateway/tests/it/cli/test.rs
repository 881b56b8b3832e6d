//! `test`: the tests of a configuration, for people, programs and reviews.

use crate::setup::{folder_with, tidegate};

const ROUTES: &str = r#"listen: 127.0.0.1:0
services: { app: "http://127.0.0.1:1", next: "http://127.0.0.1:2" }
routes:
  GET /a/{id}:
    to: app
    rewrite: "/r/{path.id}"
    headers: { request: { set: { X-A: b }, remove: [X-Debug] } }
  /closed: { to: app, ip: { allow: [10.0.0.0/8] } }
  /go: { redirect: "https://shop.example/there" }
  /hello: { respond: { status: 200, body: "hello you", headers: { X-Own: "1" } } }
  /spread: { split: { app: 50, next: 50 } }
"#;

const HOLD: &str = r#"tests:
  a is rewritten:
    request: { url: "/a/7?x=1", headers: { X-Debug: "1", Accept: [a/b, c/d] } }
    expect:
      outcome: forwarded
      route: GET /a/{id}
      service: app
      method: GET
      path: /r/7
      headers: { X-A: b, X-Debug: { present: false }, Accept: { regex: "c/d" } }
  a keeps its query: { request: GET /a/7?x=1, expect: { path: "/r/7?x=1" } }
  strangers are refused:
    request: { method: POST, url: /closed, from: 192.0.2.7, body_size: 1KiB }
    expect: { outcome: refused, status: 403, reason: ip_denied, policy: ip, service: [] }
  friends pass: { request: { url: /closed, from: 10.1.2.3, listener: main }, expect: { service: app } }
  there: { request: "http://any.example/go", expect: { status: 308, location: "https://shop.example/there" } }
  hello:
    request: GET /hello
    expect: { outcome: answered, body: { regex: ^hello }, answer_headers: { X-Own: "1", X-No: { present: false } } }
  nobody: { request: GET /nowhere, expect: { route: none, reason: no_route } }
  either: { request: GET /spread, expect: { service: [app, next] } }
"#;

#[test]
fn tests_that_hold_are_good() {
    let folder = folder_with(&format!("{ROUTES}{HOLD}"));
    let told = tidegate(folder.path(), &["test"]);
    assert_eq!((told.code, told.stderr.as_str()), (Some(0), "gateway.yaml: 8 tests, all good\n"));
    assert_eq!(told.stdout.lines().count(), 8, "{}", told.stdout);
    assert!(told.stdout.starts_with("ok    a is rewritten\n"), "{}", told.stdout);
    let told = tidegate(folder.path(), &["test", "--only", "a ", "gateway.yaml"]);
    assert_eq!(told.stderr, "gateway.yaml: 2 tests, all good\n");
    let told = tidegate(folder.path(), &["check", "--test"]);
    assert_eq!(told.code, Some(0));
    assert!(told.stderr.ends_with("5 routes, 8 tests\n"), "{}", told.stderr);
}

const FAIL: &str = r#"tests:
  hello: { request: GET /hello, expect: { status: 200 } }
  closed: { request: GET /closed, expect: { service: app, headers: { X-A: { present: false } } } }
  go: { request: GET /go, expect: { location: /elsewhere } }
"#;

#[test]
fn each_failure_is_told_with_its_place_and_what_came_instead() {
    let folder = folder_with(&format!("{ROUTES}{FAIL}"));
    let told = tidegate(folder.path(), &["test"]);
    assert_eq!(told.code, Some(1));
    assert_eq!(told.stdout, "ok    hello\nFAIL  closed (gateway.yaml:14)\nFAIL  go (gateway.yaml:15)\n");
    let wanted = "\
error[TG060]: test `closed`: the service is none, expected `app`
  --> gateway.yaml:14:52
   |
14 |   closed: { request: GET /closed, expect: { service: app, headers: { X-A: { present: false } } } }
   |                                                    ^^^ none
   = help: answered 403 ip_denied by the policy `ip`; see why: `tidegate explain GET '/closed'`
";
    assert!(
        told.stderr.contains("test `closed`: the header X-A which the service gets is none, expected none")
    );
    let second = "test `go`: where the client is sent is `https://shop.example/there`, expected `/elsewhere`";
    assert!(told.stderr.contains(second), "{}", told.stderr);
    assert!(told.stderr.ends_with("gateway.yaml: 3 tests, 2 failed\n"), "{}", told.stderr);
    let (head, _) = told.stderr.split_once("error[TG060]: test `closed`: the header").unwrap();
    // The column is that of the value, whatever stands before it on the line.
    let squeezed = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let first: Vec<&str> = wanted.lines().take(1).chain(wanted.lines().skip(5)).collect();
    first.iter().for_each(|line| assert!(squeezed(head).contains(&squeezed(line)), "{line}\n{head}"));
    assert!(head.contains("gateway.yaml:14:"), "{head}");
}

#[test]
fn programs_and_reviews_get_theirs_and_check_runs_them_when_asked() {
    let folder = folder_with(&format!("{ROUTES}{FAIL}"));
    let told = tidegate(folder.path(), &["test", "--json"]);
    assert_eq!((told.code, told.stderr.as_str()), (Some(1), ""));
    let told = told.json();
    assert_eq!((&told["tests"], &told["failed"]), (&3.into(), &2.into()));
    assert_eq!((&told["cases"][0]["passed"], &told["cases"][1]["passed"]), (&true.into(), &false.into()));
    let miss = &told["cases"][1]["misses"][0];
    assert_eq!(
        (&miss["what"], &miss["got"], &miss["place"]["line"]),
        (&"the service".into(), &"none".into(), &14.into())
    );
    let told = tidegate(folder.path(), &["test", "--format", "github"]);
    assert_eq!(told.stdout.matches("::error file=gateway.yaml,line=14").count(), 2, "{}", told.stdout);
    assert_eq!(tidegate(folder.path(), &["check"]).code, Some(0), "a gateway starts all the same");
    let told = tidegate(folder.path(), &["check", "--test", "--json"]);
    assert_eq!((told.code, &told.json()["errors"]), (Some(1), &3.into()));
}

#[test]
fn a_file_without_tests_says_so_and_one_with_faults_runs_none() {
    let folder = folder_with(ROUTES);
    let told = tidegate(folder.path(), &["test"]);
    assert_eq!(told.code, Some(0));
    assert_eq!(told.stderr, "gateway.yaml: no test was run; they stand under `tests:`\n");
    std::fs::write(
        folder.path().join("gateway.yaml"),
        format!("{ROUTES}tests: {{ x: {{ request: GET /a }} }}\n"),
    )
    .unwrap();
    let told = tidegate(folder.path(), &["test"]);
    assert_eq!(told.code, Some(1));
    assert!(told.stderr.contains("error[TG013]"), "{}", told.stderr);
}
