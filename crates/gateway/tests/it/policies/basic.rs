//! `basic` on the wire: passwords by both kinds of hash, and how guessing is slowed.

use testkit::client::{Response, request};
use testkit::gateway::Gateway;
use testkit::origin::Origin;

/// "sesame" by `htpasswd -B`, and by argon2id.
const BCRYPT: &str = "$2y$04$1HHvUtDUEnL/98OaJT1hPeL2F/Od1YYJrBIy38Jd50vnZ.HO27DGi";
const ARGON2: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$MDEyMzQ1Njc4OWFiY2RlZg$xCeIxRmsTjJ1kN3GQKWKkAd5ocV4bYhOlF7NxVMnr0I";

fn gateway(origin: &Origin) -> Gateway {
    testkit::gateway!(
        r#"
listen: 127.0.0.1:0
admin: {{ listen: 127.0.0.1:0 }}
workers: 1
services: {{ app: "{app}" }}
consumers:
  ops: {{ groups: staff, basic: [{{ user: alice, password_hash: {BCRYPT} }}, {{ user: bob, password_hash: "{ARGON2}" }}] }}
routes:
  /basic/*: {{ to: app, basic: {{}} }}
  /slow/*: {{ to: app, basic: {{ max_failures: 3/hour }} }}
"#,
        app = origin.url()
    )
}

fn ask(gateway: &Gateway, path: &str, encoded: &str) -> Response {
    request(gateway.addr(), "GET", path, &[("Authorization", &format!("Basic {encoded}"))], b"")
}

/// `NAME:sesame` of alice and bob, and of somebody unknown; `alice:sesam`.
const ALICE: &str = "YWxpY2U6c2VzYW1l";
const BOB: &str = "Ym9iOnNlc2FtZQ==";
const MALLORY: &str = "bWFsbG9yeTpzZXNhbWU=";
const GUESS: &str = "YWxpY2U6c2VzYW0=";

#[test]
fn a_password_holds_and_goes_no_further() {
    let origin = Origin::start();
    let gateway = gateway(&origin);
    for (who, name) in [(ALICE, "alice"), (BOB, "bob")] {
        assert_eq!(ask(&gateway, "/basic/x", who).status, 200, "{name}");
        assert_eq!(ask(&gateway, "/basic/x", who).status, 200, "{name}, remembered");
        let seen = origin.requests().pop().unwrap();
        assert_eq!(seen.headers_named("x-user-id"), [name]);
        assert_eq!(seen.headers_named("x-consumer"), ["ops"]);
        assert!(seen.header("authorization").is_none());
    }
    let mut told = Vec::new();
    for wrong in [MALLORY, GUESS, "", "x", "YWxpY2U=", "OnNlc2FtZQ=="] {
        let answer = ask(&gateway, "/basic/x", wrong);
        assert_eq!(answer.status, 401, "{wrong}");
        assert_eq!(answer.header("www-authenticate"), Some("Basic realm=\"tidegate\", charset=\"UTF-8\""));
        let mut json = answer.json();
        json["instance"] = "".into();
        told.push(json);
    }
    told.dedup();
    assert_eq!(told.len(), 1, "{told:?}");
    let logs = format!("{:?}{:?}", gateway.logs(), gateway.stderr());
    assert!(!logs.contains("sesam") && !logs.contains(ALICE) && !logs.contains("$2b$"), "{logs}");
}

#[test]
fn who_guesses_waits_and_who_is_known_does_not() {
    let origin = Origin::start();
    let gateway = gateway(&origin);
    assert_eq!(ask(&gateway, "/slow/x", BOB).status, 200);
    for _ in 0..3 {
        assert_eq!(ask(&gateway, "/slow/x", GUESS).status, 401);
    }
    let answer = ask(&gateway, "/slow/x", ALICE);
    assert_eq!(
        (answer.status, answer.json()["type"].as_str().unwrap()),
        (429, "urn:tidegate:problem:too_many_failures")
    );
    let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=3601).contains(&wait), "{wait}");
    assert_eq!(ask(&gateway, "/slow/x", BOB).status, 200, "who is remembered is not slowed");
    assert_eq!(gateway.get("/slow/x").status, 401, "nor is who guesses nothing");
}
