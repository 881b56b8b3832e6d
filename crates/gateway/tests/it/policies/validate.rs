//! `validate` and `openapi` on the wire: what is refused and told, what passes unchanged, and that nothing passes unjudged.

mod shaped;

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use testkit::client::{self, Raw, Response};
use testkit::event::eventually;
use testkit::gateway::Gateway;
use testkit::origin::{Origin, Recorded, Reply};

const SHOP: &str = r##"
openapi: 3.1.0
info: { title: Shop, version: "1" }
servers: [{ url: https://shop.example/api }]
paths:
  /orders:
    get:
      operationId: listOrders
      parameters:
        - { name: limit, in: query, schema: { type: integer, maximum: 100 } }
        - { name: X-Tenant, in: header, required: true, schema: { type: string, pattern: "^[a-z]+$" } }
      responses:
        "200":
          description: orders
          content: { application/json: { schema: { type: array, items: { $ref: "#/components/schemas/Order" } } } }
    post:
      requestBody:
        required: true
        content: { application/json: { schema: { $ref: "#/components/schemas/Order" } } }
      responses: { "201": { description: made } }
components:
  schemas:
    Order:
      type: object
      required: [sku, count]
      properties: { sku: { type: string, maxLength: 8 }, count: { type: integer, minimum: 1 } }
      additionalProperties: false
"##;

fn config(app: &Origin, policy: &str) -> String {
    format!(
        "listen: 127.0.0.1:0\nadmin: {{ listen: 127.0.0.1:0 }}\nworkers: 1\nservices: {{ app: \"{}\" }}\n\
         routes:\n  /*:\n    to: app\n    {policy}\n",
        app.url()
    )
}

fn start(app: &Origin, policy: &str) -> Gateway {
    Gateway::with_binary(env!("CARGO_BIN_EXE_tidegate")).file("shop.yaml", SHOP).start(&config(app, policy))
}

fn post(gateway: &Gateway, headers: &[(&str, &str)], body: &[u8]) -> Response {
    client::request(gateway.addr(), "POST", "/api/orders", headers, body)
}

const JSON: (&str, &str) = ("Content-Type", "application/json");

/// The faults of a refusal: where, and which pointer.
fn faults(answer: &Response) -> Vec<String> {
    let told = answer.json();
    let errors = told["errors"].as_array().unwrap_or_else(|| panic!("{told}")).clone();
    let text = |error: &serde_json::Value, key: &str| error[key].as_str().unwrap_or("").to_owned();
    errors
        .iter()
        .map(|one| {
            format!(
                "{} {}{}: {}",
                text(one, "in"),
                text(one, "name"),
                text(one, "pointer"),
                text(one, "detail")
            )
        })
        .collect()
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn what_the_document_does_not_know_never_reaches_the_service() {
    let app = Origin::answering(|_: &Recorded| Reply::ok("[]").header("Content-Type", "application/json"));
    let gateway = start(&app, "openapi: shop.yaml");
    let tenant = ("X-Tenant", "shop");
    for (path, headers, status, wanted) in [
        (
            "/api/orders?limit=101",
            &[tenant][..],
            400,
            &["query limit: value is greater than the maximum of 100"][..],
        ),
        (
            "/api/orders?limit=x",
            &[],
            400,
            &[r#"query limit: value is not of type "integer""#, "header X-Tenant: it is missing"],
        ),
        ("/api/orders", &[("X-Tenant", "A")], 400, &[r#"header X-Tenant: value does not match "^[a-z]+$""#]),
    ] {
        let answer = client::request(gateway.addr(), "GET", path, headers, b"");
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (status, Some("application/problem+json"))
        );
        assert_eq!(answer.json()["type"], "urn:tidegate:problem:request_invalid");
        assert_eq!(faults(&answer), wanted, "{path}");
    }
    assert_eq!(gateway.get("/other").status, 404);
    let answer = client::request(gateway.addr(), "DELETE", "/api/orders", &[], b"");
    assert_eq!((answer.status, answer.header("allow")), (405, Some("GET, POST")));
    assert_eq!(client::request(gateway.addr(), "GET", "/api/orders?limit=7", &[tenant], b"").status, 200);
    assert_eq!(app.only_request().target, "/api/orders?limit=7", "the service has heard of no other");
}

#[test]
fn a_body_passes_as_it_came_or_not_at_all() {
    let app = Origin::answering(|_: &Recorded| Reply::status(201));
    let gateway = start(&app, "openapi: { file: shop.yaml, max_body: 1KiB, max_depth: 8 }");
    for (headers, body, status, wanted) in [
        (&[JSON][..], &br#"{"sku":"a"}"#[..], 400, r#"body : "count" is a required property"#),
        (&[JSON], br#"{"sku":"123456789","count":1}"#, 400, "body /sku: value is longer than 8 characters"),
        (&[JSON], br#"{"sku":"a","count":1,"count":2}"#, 400, "body : an object has the same key twice"),
        (&[JSON], br#"{"sku":"a","count":1"#, 400, "body : not JSON"),
        (&[JSON], b"[[[[[[[[[[1]]]]]]]]]]", 400, "body : lists and objects are nested too deep"),
        (&[JSON], b"", 400, "body : the body is missing"),
        (
            &[("Content-Type", "text/xml")],
            b"<a/>",
            415,
            "header Content-Type: the body is to be one of application/json",
        ),
        (&[JSON, ("Content-Encoding", "gzip")], b"{}", 400, "body : the body is not coded as it says"),
        (
            &[JSON, ("Content-Encoding", "rot13")],
            b"{}",
            400,
            "body : the body is coded in a way that cannot be taken apart here",
        ),
    ] {
        let answer = post(&gateway, headers, body);
        assert_eq!((answer.status, faults(&answer)), (status, vec![wanted.to_owned()]));
    }
    // A bomb: a thousand bytes that would be a million.
    let bomb = gzip(&vec![b' '; 1 << 20]);
    let answer = post(&gateway, &[JSON, ("Content-Encoding", "gzip")], bomb.get(..1000).unwrap_or(&bomb));
    assert_eq!(answer.status, 400, "{}", answer.text());
    // Beyond the limit, declared or not.
    assert_eq!(post(&gateway, &[JSON], &[b' '; 1025]).status, 413);
    let mut raw = Raw::connect(gateway.addr());
    let head = "POST /api/orders HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    raw.send(format!("{head}800\r\n{}", " ".repeat(0x800)));
    assert_eq!(raw.read_response().status, 413);
    assert_eq!(app.requests().len(), 0, "the service has heard of none of them");
    // What is good passes as it came.
    let body = br#"{ "sku": "a", "count": 1 }"#;
    assert_eq!(post(&gateway, &[JSON], body).status, 201);
    assert_eq!(post(&gateway, &[JSON, ("Content-Encoding", "gzip")], &gzip(body)).status, 201);
    let got = app.requests();
    assert_eq!((got[0].body.as_slice(), got[1].body.as_slice()), (&body[..], gzip(body).as_slice()));
    let line = gateway.wait_for_log(|line| line["status"] == 415);
    assert_eq!(
        (line["refused_by"].as_str(), line["reason"].as_str()),
        (Some("openapi"), Some("media_type_refused"))
    );
    let series =
        "tidegate_refused_total{route=\"/*\",policy=\"openapi\",reason=\"request_invalid\",mode=\"enforce\"}";
    assert!(gateway.metric(series) >= 8.0);
    app.assert_clean();
}

#[test]
fn a_client_that_waits_is_told_to_go_on() {
    let app = Origin::answering(|_: &Recorded| Reply::status(201));
    let gateway = start(&app, "openapi: shop.yaml");
    let mut raw = Raw::connect(gateway.addr());
    let body = r#"{"sku":"a","count":1}"#;
    raw.send(format!(
        "POST /api/orders HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {}\r\nExpect: 100-continue\r\n\r\n",
        body.len()
    ));
    assert_eq!(raw.read_interim().status, 100);
    raw.send(body);
    assert_eq!(raw.read_response().status, 201);
    assert_eq!(app.only_request().header("Expect"), None);
}

#[test]
fn a_bad_answer_reaches_nobody() {
    let nth = Arc::new(AtomicUsize::new(0));
    let turn = nth.clone();
    let app = Origin::answering(move |_: &Recorded| {
        let json = |body: &str| Reply::ok(body).header("Content-Type", "application/json");
        match turn.fetch_add(1, Ordering::SeqCst) {
            0 => json(r#"[{"sku":"a","count":1}]"#),
            1 => json(r#"[{"sku":"SECRET-VALUE","count":0}]"#),
            2 => Reply::ok("<a/>").header("Content-Type", "text/xml"),
            3 => Reply::status(202).header("Content-Type", "application/json").body("[]"),
            4 => json(&format!("[{}]", " ".repeat(2000))),
            5 => Reply::status(404).body("no such thing"),
            6 => Reply::chunked(&["[", "]"], &[]).header("Content-Type", "application/json"),
            _ => json("[").header("Content-Encoding", "gzip"),
        }
    });
    let gateway = start(&app, "openapi: { file: shop.yaml, answers: true, max_answer: 1KiB }");
    let ask = || client::request(gateway.addr(), "GET", "/api/orders", &[("X-Tenant", "a")], b"");
    let answer = ask();
    assert_eq!((answer.status, answer.text().as_str()), (200, r#"[{"sku":"a","count":1}]"#));
    let answer = ask();
    assert_eq!(
        (answer.status, answer.json()["type"].as_str()),
        (502, Some("urn:tidegate:problem:answer_invalid"))
    );
    assert!(!answer.text().contains("SECRET"), "{}", answer.text());
    let line = gateway.wait_for_log(|line| line["status"] == 502);
    assert_eq!(
        (line["fault"].as_str(), line["refused_by"].as_str()),
        (Some("answer_invalid"), Some("openapi"))
    );
    let why = line["why"].as_str().unwrap();
    assert!(
        why.contains("body /0/sku: value is longer than 8 characters") && !why.contains("SECRET"),
        "{why}"
    );
    assert_eq!(ask().status, 502, "another media type");
    assert_eq!(ask().status, 502, "a status that is not documented");
    assert_eq!(ask().status, 502, "too large to be judged");
    assert_eq!(ask().status, 404, "failures are left to the service");
    assert_eq!(ask().text(), "[]");
    assert_eq!(ask().status, 502, "not what its coding says");
}

#[test]
fn who_only_watches_changes_nothing_and_says_so() {
    let app = Origin::answering(|_: &Recorded| Reply::ok("{}").header("Content-Type", "application/json"));
    let gateway = start(&app, "openapi: { file: shop.yaml, answers: true, max_body: 64B, mode: shadow }");
    let ask = |path: &str| client::request(gateway.addr(), "GET", path, &[("X-Tenant", "a")], b"");
    assert_eq!(ask("/unknown").status, 200);
    assert_eq!(ask("/api/orders").status, 200);
    let line = gateway.wait_for_log(|line| line["path"] == "/api/orders");
    assert_eq!(line["shadowed"][0]["reason"], "answer_invalid");
    assert_eq!(line["why"], r#"body: value is not of type "array""#);
    assert_eq!(post(&gateway, &[JSON], br#"{"sku":7}"#).status, 200);
    assert_eq!(post(&gateway, &[JSON], &[b'x'; 100]).status, 200);
    assert_eq!(app.requests().last().unwrap().body, [b'x'; 100]);
    for (reason, count) in [("not_documented", 1.0), ("request_invalid", 1.0), ("body_not_judged", 1.0)] {
        let series = format!(
            "tidegate_refused_total{{route=\"/*\",policy=\"openapi\",reason=\"{reason}\",mode=\"shadow\"}}"
        );
        gateway.wait_metric(&series, |told| told == count);
    }
}

#[test]
fn a_changed_document_is_taken_up_and_a_bad_one_is_not() {
    let app = Origin::answering(|_: &Recorded| Reply::status(201));
    let gateway = start(&app, "openapi: shop.yaml");
    let body = br#"{"sku":"123456789","count":1}"#;
    assert_eq!(post(&gateway, &[JSON], body).status, 400);
    let document = gateway.folder().join("shop.yaml");
    std::fs::write(&document, SHOP.replace("maxLength: 8", "maxLength: 9")).unwrap();
    eventually("the document that changed", || (post(&gateway, &[JSON], body).status == 201).then_some(()));
    std::fs::write(&document, SHOP.replace("#/components/schemas/Order", "#/components/schemas/Gone"))
        .unwrap();
    let line = gateway.wait_for_line(|line| line.contains("leads nowhere"));
    assert!(line.contains("TG041") && line.contains("`#/components/schemas/Gone` leads nowhere"), "{line}");
    assert_eq!(post(&gateway, &[JSON], body).status, 201, "the one before goes on");
}

#[test]
fn a_document_that_cannot_be_used_is_a_fault_with_its_place() {
    for (text, wanted) in [
        (
            "openapi: 3.1.0\npaths: { /a: { get: { parameters: [{ $ref: \"#/nowhere\" }] } } }\n",
            "shop.yaml:2:36",
        ),
        ("openapi: 3.1.0\npaths: {\n", "not valid YAML"),
        ("swagger: \"2.0\"\n", "the document is of Swagger 2.0: convert it to OpenAPI 3"),
    ] {
        let launch = Gateway::with_binary(env!("CARGO_BIN_EXE_tidegate")).file("shop.yaml", text);
        let output =
            launch.output("listen: 127.0.0.1:0\nroutes:\n  /*: { respond: ok, openapi: shop.yaml }\n");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && told.contains(wanted), "{told}");
    }
    let launch = Gateway::with_binary(env!("CARGO_BIN_EXE_tidegate"));
    let output = launch.output("listen: 127.0.0.1:0\nroutes:\n  /*: { respond: ok, openapi: gone.yaml }\n");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains("TG004") && told.contains("cannot read the document"), "{told}");
}

#[test]
fn schemas_that_stand_in_the_configuration() {
    let app = Origin::answering(|request: &Recorded| {
        let body = if request.target.contains("bad") { r#"{"id":"x"}"# } else { r#"{"id":1}"# };
        Reply::ok(body).header("Content-Type", "application/json")
    });
    let policy = "validate:\n      request:\n        body: { type: object, required: [name], properties: { name: { type: string } } }\n        \
                  texts: { query.limit: { type: integer, maximum: 10 } }\n        required: header.x-tenant\n      \
                  answer: { body: { type: object, properties: { id: { type: integer } } } }";
    let gateway = start(&app, policy);
    let tenant = ("X-Tenant", "a");
    for (method, path, headers, body, status, wanted) in [
        ("GET", "/?limit=7", &[tenant][..], "", 200, &[][..]),
        ("GET", "/?limit=11", &[tenant], "", 400, &["query limit: value is not of type \"integer\""]),
        ("GET", "/", &[], "", 400, &["header x-tenant: it is missing"]),
        ("GET", "/bad", &[tenant], "", 502, &[]),
        ("POST", "/", &[tenant, JSON], r#"{"name":"a"}"#, 200, &[]),
        ("POST", "/", &[tenant, JSON], "{}", 400, &[r#"body : "name" is a required property"#]),
        (
            "POST",
            "/",
            &[tenant],
            "{}",
            415,
            &["header Content-Type: the body is to be one of application/json, +json"],
        ),
    ] {
        let answer = client::request(gateway.addr(), method, path, headers, body.as_bytes());
        assert_eq!(answer.status, status, "{method} {path} {}", answer.text());
        if !wanted.is_empty() {
            assert_eq!(faults(&answer), wanted);
        }
    }
}
