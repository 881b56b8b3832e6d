//! Programs of jq on the wire: what they make of answers and requests, that one beyond its bounds refuses instead of letting
//! anything pass, and that nobody waits for another's program.

use testkit::client::{Raw, request};
use testkit::gateway::Gateway;
use testkit::origin::{Origin, Reply};

use super::{get, json, unfit};
use crate::setup::with_routes;

const ROUTES: &str = r##"
  /orders/*:
    to: app
    compress: { min_size: 1B }
    response:
      max_size: 64KiB
      body:
        - remove: hidden
        - jq: "{ open: [.orders[] | select(.open) | {id, total: (.price * .count)}] }"
        - wrap: data
  /csv/*: { to: app, response: { format: { to: csv }, body: [ { jq: ".orders" } ] } }
  /both/*: { to: app, filter: { sensitive: hidden }, response: { body: [ { jq: "{all: .}" } ] } }
  /kept/*: { to: app, cache: 60s, response: { body: [ { jq: "keys" } ] } }
  /again/*: { to: app, response: { body: [ { jq: "keys" } ] }, fallback: [ { last_good: 1h } ] }
  /endless/*: { to: app, response: { body: [ { jq: "def f: f; f" } ] } }
  /slow/*: { to: app, response: { body: [ { jq: { program: "def f: f; f", timeout: 1ms } } ] } }
  /post/*: { to: app, request: { max_size: 64KiB, body: [ { jq: "if .id then {order: .id} else error(\"hidden\") end" } ] } }
  /postless/*: { to: app, request: { body: [ { jq: "last(repeat(.))" } ] } }
"##;

const ORDERS: &str = r#"{"hidden":1,"orders":[{"id":1,"open":true,"price":1.25,"count":2},{"id":2,"open":false,"price":1,"count":1}]}"#;

fn in_front_of(origin: &Origin) -> Gateway {
    with_routes(origin, ROUTES)
}

#[test]
fn programs_make_answers_others() {
    let origin = Origin::answering(|request| match request.target.rsplit('/').next().unwrap() {
        "broken" => json("{\"hidden\":1,}"),
        "large" => json(&format!("{{\"hidden\":\"{}\"}}", "x".repeat(65 * 1024))),
        "orderless" => json("{\"hidden\":1}"),
        "other" => Reply::ok("<hidden/>").header("Content-Type", "text/html"),
        "error" => Reply::status(404).header("Content-Type", "application/json").body(ORDERS),
        "pieces" => {
            Reply::chunked(&[&ORDERS[..40], &ORDERS[40..]], &[]).header("Content-Type", "application/json")
        }
        _ => json(ORDERS).header("ETag", "\"e\""),
    });
    let gateway = in_front_of(&origin);
    let made = r#"{"data":{"open":[{"id":1,"total":2.5}]}}"#;
    for path in ["/orders/a", "/orders/pieces", "/orders/error"] {
        let answer = get(&gateway, path, &[]);
        assert_eq!(answer.text(), made, "{path}");
        assert_eq!(answer.header("Content-Length"), Some(made.len().to_string().as_str()), "{path}");
    }
    assert_eq!(get(&gateway, "/orders/a", &[]).header("ETag"), Some("W/\"e\""));
    let coded = get(&gateway, "/orders/a", &[("Accept-Encoding", "zstd")]);
    assert_eq!(coded.header("Content-Encoding"), Some("zstd"));
    assert_eq!(get(&gateway, "/csv/a", &[]).text(), "id,open,price,count\n1,true,1.25,2\n2,false,1,1\n");
    assert!(!get(&gateway, "/both/a", &[]).text().contains("hidden"));
    for path in ["/orders/broken", "/orders/large", "/orders/orderless"] {
        unfit(&get(&gateway, path, &[]));
    }
    assert_eq!(
        get(&gateway, "/orders/other", &[]).text(),
        "<hidden/>",
        "what is no JSON is not for programs"
    );
    assert_eq!(request(gateway.addr(), "HEAD", "/orders/a", &[], b"").status, 200);
    gateway.wait_for_log(|line| line["reason"] == "answer_unfit");
}

#[test]
fn programs_make_answers_that_are_kept_or_stand_in() {
    let origin = Origin::answering(|request| match request.header("X-Fail") {
        Some(_) => Reply::status(503),
        None => json(r#"{"b":1,"a":2}"#),
    });
    let gateway = in_front_of(&origin);
    for _ in 0..2 {
        assert_eq!(get(&gateway, "/kept/a", &[]).text(), r#"["a","b"]"#);
    }
    assert_eq!(get(&gateway, "/again/a", &[]).text(), r#"["a","b"]"#);
    let again = get(&gateway, "/again/a", &[("X-Fail", "1")]);
    assert_eq!((again.status, again.text().as_str()), (200, r#"["a","b"]"#));
    assert_eq!(origin.requests().len(), 3, "one was kept");
}

#[test]
fn a_program_beyond_its_bounds_refuses_and_stops_nobody() {
    let origin = Origin::answering(|_| json(r#"{"hidden":1}"#));
    let gateway = in_front_of(&origin);
    for path in ["/endless/a", "/slow/a"] {
        unfit(&get(&gateway, path, &[]));
    }
    let line = gateway.wait_for_log(|line| line["path"] == "/endless/a");
    assert_eq!((line["reason"].as_str(), line["status"].as_u64()), (Some("answer_unfit"), Some(502)));
    // The one worker serves others while programs run.
    let mut endless: Vec<Raw> = (0..8)
        .map(|_| {
            let mut raw = Raw::connect(gateway.addr());
            raw.send("GET /endless/a HTTP/1.1\r\nHost: a\r\n\r\n");
            raw
        })
        .collect();
    assert_eq!(request(gateway.addr(), "POST", "/post/a", JSON, b"{\"id\":7}").status, 200);
    for raw in &mut endless {
        unfit(&raw.read_response());
    }
}

const JSON: &[(&str, &str)] = &[("Content-Type", "application/json")];

#[test]
fn programs_make_requests_others_before_the_service_hears_of_them() {
    let origin = Origin::answering(|_| json("{}"));
    let gateway = in_front_of(&origin);
    let post = |path: &str, body: &[u8]| request(gateway.addr(), "POST", path, JSON, body);
    for (path, body, status, code) in [
        ("/post/a", &b"{}"[..], 400, "body_program"),
        ("/post/a", b"[1]", 400, "body_program"),
        ("/post/a", b"{\"id\":1,\"id\":2}", 400, "body_duplicate_name"),
        ("/post/a", b"{\"id\":", 400, "body_cut"),
        ("/post/a", &[b' '; 65 * 1024], 413, "body_too_large_to_shape"),
        ("/postless/a", b"{}", 400, "body_program_spent"),
    ] {
        let answer = post(path, body);
        let kind = format!("urn:tidegate:problem:{code}");
        assert_eq!((answer.status, answer.json()["type"].as_str()), (status, Some(kind.as_str())), "{path}");
        assert!(!answer.text().contains("hidden"), "{}", answer.text());
    }
    assert_eq!(origin.requests().len(), 0);
    assert_eq!(post("/post/a", b"{\"id\":7,\"x\":1}").status, 200);
    let got = origin.only_request();
    assert_eq!((got.body.as_slice(), got.header("Content-Length")), (&br#"{"order":7}"#[..], Some("11")));
    let mut raw = Raw::connect(gateway.addr());
    raw.send(
        "POST /post/a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n",
    );
    assert_eq!(raw.read_interim().status, 100);
    raw.send("8\r\n{\"id\":7}\r\n0\r\n\r\n");
    assert_eq!(raw.read_response().status, 200);
    assert_eq!(origin.requests().last().unwrap().body, br#"{"order":7}"#);
    origin.assert_clean();
}
