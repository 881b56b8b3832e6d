//! `api_key` on the wire: which keys hold, what the service gets, and what nobody gets to see.

use testkit::client::{Raw, request};
use testkit::gateway::Gateway;
use testkit::origin::Origin;

use crate::http::http2::{self, ask, converse, open};
use crate::setup::tidegate;

/// A new key and its hash.
pub(crate) fn new_key() -> (String, String) {
    let folder = tempfile::tempdir().unwrap();
    let json = tidegate(folder.path(), &["key", "new", "--json"]).json();
    (json["key"].as_str().unwrap().to_owned(), json["hash"].as_str().unwrap().to_owned())
}

fn text(origin: &Origin, consumers: &str) -> String {
    format!(
        r#"
listeners: {{ main: {{ address: 127.0.0.1:0, http2: true }} }}
admin: {{ listen: 127.0.0.1:0 }}
workers: 1
services: {{ app: "{app}" }}
consumers:
{consumers}
routes:
  /open/*: {{ to: app }}
  /header/*: {{ to: app, api_key: {{}} }}
  /named/*: {{ to: app, api_key: {{ header: Authorization }} }}
  /query/*: {{ to: app, api_key: {{ query: api_key }} }}
  /cookie/*: {{ to: app, api_key: {{ cookie: sid }} }}
  /maybe/*: {{ to: app, api_key: {{ optional: true }} }}
  /kept/*: {{ to: app, api_key: {{ forward_credentials: true }} }}
  /told/*: {{ to: app, api_key: {{}}, headers: {{ request: {{ set: {{ X-Told: "{{consumer}} {{groups}}" }} }} }} }}
"#,
        app = origin.url()
    )
}

fn gateway(origin: &Origin, consumers: &str) -> Gateway {
    testkit::gateway!("{}", text(origin, consumers))
}

fn status(gateway: &Gateway, path: &str, fields: &[(&str, &str)]) -> u16 {
    request(gateway.addr(), "GET", path, fields, b"").status
}

#[test]
fn a_key_is_taken_from_its_place_and_goes_no_further() {
    let (origin, (key, hash)) = (Origin::start(), new_key());
    let gateway = gateway(&origin, &format!("  mobile: {{ api_keys: \"{hash}\", groups: [gold, eu] }}"));
    let cookie = format!("a=1; sid={key}; b=2");
    let query = format!("/query/x?a=1&api_key={key}&b=2");
    let cases: [(&str, &[(&str, &str)]); 6] = [
        ("/header/x", &[("X-API-Key", &key), ("X_API_KEY", &key)]),
        ("/named/x", &[("Authorization", &key)]),
        (&query, &[]),
        ("/cookie/x", &[("Cookie", &cookie)]),
        ("/maybe/x", &[("x-api-key", &key)]),
        ("/told/x", &[("x-api-key", &key)]),
    ];
    for (path, fields) in cases {
        assert_eq!(status(&gateway, path, fields), 200, "{path}");
    }
    for request in origin.requests() {
        assert_eq!(request.headers_named("x-consumer"), ["mobile"], "{}", request.target);
    }
    assert!(!origin.received().contains(&key[12..]), "{}", origin.received());
    let told = origin.requests();
    assert!(told.iter().any(|request| request.target == "/query/x?a=1&b=2"));
    assert!(told.iter().any(|request| request.headers_named("cookie") == ["a=1; b=2"]));
    assert!(told.iter().any(|request| request.headers_named("x-told") == ["mobile gold,eu"]));
    assert_eq!(status(&gateway, "/kept/x", &[("X-API-Key", &key)]), 200);
    assert!(origin.received().contains(&key));
    let line = gateway.wait_for_log(|line| line["path"] == "/header/x");
    assert_eq!((&line["consumer"], &line["auth"]), (&"mobile".into(), &"api_key".into()));
    assert_eq!(line["credential"], key[..12]);
    assert!(gateway.logs().iter().all(|line| !line.to_string().contains(&key[12..])), "{:?}", gateway.logs());
}

/// J10: one answer for every key that is not good.
#[test]
fn what_is_no_key_is_refused_in_one_way() {
    let (origin, (key, hash), (late, late_hash), (early, early_hash)) =
        (Origin::start(), new_key(), new_key(), new_key());
    let gateway = gateway(
        &origin,
        &format!(
            "  a: {{ api_keys: [\"{hash}\", {{ hash: \"{late_hash}\", expires: 2020-01-01 }}] }}\n  \
             b: {{ api_keys: {{ hash: \"{early_hash}\", not_before: 9999-01-01 }} }}"
        ),
    );
    let (shorter, longer, overlong) = (&key[..key.len() - 1], format!("{key}x"), "k".repeat(8000));
    let swapped = key.to_ascii_uppercase();
    let mut told = Vec::new();
    for wrong in [
        "",
        "x",
        "nobody",
        shorter,
        &longer,
        &overlong,
        &late,
        &early,
        &hash,
        &hash[13..],
        &swapped,
        "\u{e4}",
    ] {
        let answer = request(gateway.addr(), "GET", "/header/x", &[("X-API-Key", wrong)], b"");
        assert_eq!(answer.status, 401, "{wrong}");
        assert_eq!(answer.header("www-authenticate"), Some("ApiKey realm=\"tidegate\""));
        let mut json = answer.json();
        json["instance"] = "".into();
        told.push(json);
    }
    told.dedup();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0]["type"], "urn:tidegate:problem:bad_credentials");
    let none = request(gateway.addr(), "GET", "/header/x", &[], b"");
    assert_eq!((none.status, &none.json()["type"]), (401, &"urn:tidegate:problem:no_credentials".into()));
    let twice = [("X-API-Key", &*key), ("x-api-key", &*key)];
    assert_eq!(status(&gateway, "/header/x", &twice), 400);
    assert_eq!(status(&gateway, "/query/x", &[("X-API-Key", &key)]), 401, "a place that is not the key's");
    assert_eq!(origin.requests(), []);
    let why = gateway.wait_for_log(|line| line["reason"] == "no_credentials");
    assert_eq!((&why["refused_by"], &why["why"]), (&"api_key".into(), &"no credentials".into()));
}

/// J12: what a reload takes out holds no more, though it was remembered; what it leaves goes on.
#[test]
fn a_key_ends_with_the_reload_that_takes_it_out() {
    let (origin, (one, one_hash), (two, two_hash)) = (Origin::start(), new_key(), new_key());
    let gateway = gateway(&origin, &format!("  a: {{ api_keys: [\"{one_hash}\", \"{two_hash}\"] }}"));
    for key in [&one, &two] {
        assert_eq!(status(&gateway, "/header/x", &[("X-API-Key", key)]), 200);
    }
    gateway.rewrite_config(&text(&origin, &format!("  a: {{ api_keys: [\"{two_hash}\"] }}")));
    gateway.reload();
    gateway.wait_metric("tidegate_config_revision_info{revision=\"2\"}", |shown| shown == 1.0);
    assert_eq!(status(&gateway, "/header/x", &[("X-API-Key", &one)]), 401);
    assert_eq!(status(&gateway, "/header/x", &[("X-API-Key", &two)]), 200);
}

/// Spellings of fields that say who calls.
const SPELLINGS: [&str; 12] = [
    "X-Consumer",
    "x-consumer",
    "X_Consumer",
    "X.Consumer",
    "x!consumer",
    "X-CONSUMER",
    "X-User-Id",
    "X_User_Id",
    "x.user-id",
    "X-User-Scopes",
    "X_User.Scopes",
    "X-Consumer-Name",
];

/// Paths, keys and answers: nobody, somebody, nobody where somebody may be, somebody wrong.
fn states(key: &str) -> [(&str, Option<&str>, u16); 4] {
    [
        ("/open/x", None, 200),
        ("/header/x", Some(key), 200),
        ("/maybe/x", None, 200),
        ("/maybe/x", Some("wrong"), 200),
    ]
}

/// The service got the gateway's word on who calls, or none.
#[track_caller]
fn assert_own_words(origin: &Origin) {
    assert!(!origin.received().contains("CANARY"), "{}", origin.received());
    for request in origin.requests() {
        let known = request.target.starts_with("/header");
        assert_eq!(request.headers_named("x-consumer"), if known { vec!["mobile"] } else { vec![] });
        assert_eq!(request.headers_named("x-user-scopes"), if known { vec!["read"] } else { vec![] });
    }
}

/// P4: the service gets the gateway's word on who calls, or none; never the client's.
#[test]
fn nobody_can_say_who_they_are() {
    let (origin, (key, hash)) = (Origin::start(), new_key());
    let gateway = gateway(&origin, &format!("  mobile: {{ api_keys: \"{hash}\", scopes: [read] }}"));
    for spelling in SPELLINGS {
        for (path, key, wish) in states(&key) {
            for version in ["1.0", "1.1"] {
                let key = key.map(|key| format!("X-API-Key: {key}\r\n")).unwrap_or_default();
                let mut client = Raw::connect(gateway.addr());
                client.send(format!(
                    "GET {path} HTTP/{version}\r\nHost: a\r\n{spelling}: CANARY\r\n{key}{spelling}: CANARY\r\n\
                     Connection: close, X-Consumer, X-User-Id\r\n\r\n"
                ));
                let status = client.read_response().status;
                assert!(status == wish, "{spelling} {path} {version}: {status}");
            }
        }
        let chunked = format!(
            "POST /header/x HTTP/1.1\r\nHost: a\r\nX-API-Key: {key}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\
             {spelling}: CANARY\r\n\r\n"
        );
        Raw::connect(gateway.addr()).send(chunked).read_response();
    }
    assert_own_words(&origin);
}

/// P4 over HTTP/2, where names are in lower case: 12 spellings in 4 states, in heads and in trailers.
#[test]
fn nobody_can_say_who_they_are_over_http2_either() {
    let (origin, (key, hash)) = (Origin::start(), new_key());
    let gateway = gateway(&origin, &format!("  mobile: {{ api_keys: \"{hash}\", scopes: [read] }}"));
    converse(async {
        let (client, _connection) = open(gateway.addr()).await;
        for spelling in SPELLINGS {
            let spelling = spelling.to_ascii_lowercase();
            for (path, key, wish) in states(&key) {
                let mut get =
                    http2::request("GET", path).header(&spelling, "CANARY").header(&spelling, "CANARY");
                if let Some(key) = key {
                    get = get.header("x-api-key", key);
                }
                let answer = ask(&client, get, b"").await.unwrap();
                assert_eq!(answer.status, wish, "{spelling} {path}");
            }
            let mut client = client.clone().ready().await.unwrap();
            let post = http2::request("POST", "/header/x").header("x-api-key", &key).body(()).unwrap();
            let (answer, mut sending) = client.send_request(post, false).unwrap();
            let name = http::HeaderName::from_bytes(spelling.as_bytes()).unwrap();
            sending.send_trailers(http::HeaderMap::from_iter([(name, "CANARY".parse().unwrap())])).unwrap();
            assert_eq!(answer.await.unwrap().status(), 200);
        }
    });
    assert_eq!(origin.requests().len(), 12 * 5);
    assert_own_words(&origin);
}

#[test]
fn who_guesses_waits_on_every_worker() {
    let (origin, (_, hash)) = (Origin::start(), new_key());
    let gateway = testkit::gateway!(
        r#"
listen: 127.0.0.1:0
admin: {{ listen: 127.0.0.1:0 }}
workers: 4
services: {{ app: "{app}" }}
consumers: {{ mobile: {{ api_keys: "{hash}" }} }}
routes:
  /*: {{ to: app, api_key: {{ max_failures: 3/hour }} }}
"#,
        app = origin.url()
    );
    let told: Vec<u16> = (0..40).map(|_| status(&gateway, "/x", &[("X-API-Key", "a guess")])).collect();
    assert_eq!(told[..3], [401; 3]);
    assert_eq!(told[3..], [429; 37]);
    let count = |reason: &str| {
        gateway.metric(&format!("tidegate_auth_failures_total{{policy=\"api_key\",reason=\"{reason}\"}}"))
    };
    assert_eq!((count("bad_credentials"), count("too_many_failures")), (3.0, 37.0));
    assert_eq!(gateway.get("/x").status, 401);
    assert_eq!(count("no_credentials"), 1.0);
}
