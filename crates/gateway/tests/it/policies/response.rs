//! `response` on the wire: bodies shaped as they pass or held whole, formats, and that nothing passes as it was that could
//! not be shaped.

mod programs;

use std::io::Write;
use std::sync::Arc;

use flate2::Compression;
use flate2::write::GzEncoder;
use testkit::client::{Raw, Response, request};
use testkit::event::Gate;
use testkit::gateway::Gateway;
use testkit::origin::{After, Origin, Reply};

use crate::setup::with_routes;

const ROUTES: &str = r##"
  /stream/*:
    to: app
    response:
      body:
        - remove: [secret, items.*.secret]
        - rename: { user_name: username }
        - mask: { fields: items.*.card, with: last4 }
  /whole/*:
    to: app
    response:
      headers: { rename: { X-Internal: X-Public }, set: { X-Tenant: "{header.x-tenant}" } }
      max_size: 1KiB
      body:
        - move: { address.street: street }
        - set: { tenant: "{header.x-tenant}", meta: { by: ["{method}"] } }
        - default: { currency: EUR }
        - map: items
          body: [ { default: { count: 1 } }, { keep: [id, count] } ]
        - case: camel
        - wrap: data
  /xml/*: { to: app, response: { format: { to: xml, xml: { root: order, attributes: { xmlns: "urn:shop" } } } } }
  /any/*: { to: app, response: { format: { to: [json, csv, msgpack, cbor] } } }
  /compressed/*: { to: app, compress: { min_size: 1B }, response: { body: [ { remove: secret } ] } }
  /kept/*: { to: app, cache: 60s, response: { body: [ { remove: secret } ] } }
  /v1/users/{id}:
    to: app
    rewrite: "/v2/users/{path.id}"
    request: { body: [ { rename: { user_name: username } } ] }
    response: { body: [ { rename: { username: user_name } }, { flatten: address, prefix: address_ } ] }
  /strict/*: { to: app, response: { other: refuse, body: [ { remove: secret } ] } }
"##;

fn json(text: &str) -> Reply {
    Reply::ok(text).header("Content-Type", "application/json")
}

fn get(gateway: &Gateway, path: &str, fields: &[(&str, &str)]) -> Response {
    request(gateway.addr(), "GET", path, fields, b"")
}

/// A gateway in front of a service that always answers this.
fn answering(reply: impl Fn() -> Reply + Send + Sync + 'static) -> (Origin, Gateway) {
    let origin = Origin::answering(move |_| reply());
    let gateway = with_routes(&origin, ROUTES);
    (origin, gateway)
}

#[track_caller]
fn unfit(answer: &Response) {
    assert_eq!(
        (answer.status, answer.json()["type"].as_str()),
        (502, Some("urn:tidegate:problem:answer_unfit"))
    );
    assert!(!answer.text().contains("hidden"), "{}", answer.text());
}

const ORDER: &str = r#"{ "user_name": "ada", "secret": {"hidden": 1}, "total": 1.50,
    "items": [ {"card": "4242424242424242", "s\u0065cret": "hidden"}, {"card": null} ] }"#;

#[test]
fn an_answer_is_shaped_and_its_head_tells_the_truth() {
    let (_origin, gateway) = answering(|| {
        json(ORDER)
            .header("ETag", "\"e\"")
            .header("Content-Digest", "sha-256=:x:")
            .header("Accept-Ranges", "bytes")
    });
    let answer = get(&gateway, "/stream/a", &[]);
    let text = r#"{"username":"ada","total":1.50,"items":[{"card":"****4242"},{"card":null}]}"#;
    assert_eq!(answer.text(), text);
    assert_eq!(answer.header("Content-Length"), Some(text.len().to_string().as_str()));
    assert_eq!(answer.header("ETag"), Some("W/\"e\""));
    assert_eq!((answer.header("Content-Digest"), answer.header("Accept-Ranges")), (None, None));
    let head = request(gateway.addr(), "HEAD", "/stream/a", &[], b"");
    assert_eq!(
        (head.header("ETag"), head.header("Content-Length"), head.body.len()),
        (Some("W/\"e\""), None, 0)
    );
}

#[test]
fn what_needs_it_is_held_whole_within_its_bound() {
    let body = r#"{"address":{"street":"Main","city_name":"X"},"items":[{"id":1},{"id":2,"count":7,"x":0}]}"#;
    let origin = Origin::answering(move |request| match request.target.as_str() {
        "/whole/large" => json(&format!("{{\"hidden\":\"{}\"}}", "x".repeat(1100))),
        _ => json(body).header("X-Internal", "v"),
    });
    let gateway = with_routes(&origin, ROUTES);
    let answer = get(&gateway, "/whole/a", &[("X-Tenant", "t\"1")]);
    let text = r#"{"data":{"address":{"cityName":"X"},"items":[{"id":1,"count":1},{"id":2,"count":7}],"street":"Main","tenant":"t\"1","meta":{"by":["GET"]},"currency":"EUR"}}"#;
    assert_eq!(answer.text(), text);
    assert_eq!((answer.header("X-Public"), answer.header("X-Internal")), (Some("v"), None));
    assert_eq!(answer.header("X-Tenant"), Some("t\"1"));
    assert!(!get(&gateway, "/whole/a", &[]).text().contains("tenant"), "a text of nothing is left out");
    unfit(&get(&gateway, "/whole/large", &[]));
    gateway.wait_for_log(|line| line["reason"] == "answer_unfit");
}

#[test]
fn what_cannot_be_shaped_is_refused() {
    let origin = Origin::answering(|request| match request.target.rsplit('/').next().unwrap() {
        "broken" => json("{\"hidden\":1,}"),
        "cut" => json("{\"hidden\":[1"),
        "twice" => json("{\"hidden\":1,\"hidden\":2}"),
        "deep" => json(&"[".repeat(100_000)),
        "latin" => Reply::ok("{\"hidden\":1}").header("Content-Type", "application/json; charset=latin1"),
        "bytes" => Reply::ok(b"{\"hidden\":\"\xff\"}").header("Content-Type", "application/json"),
        "coded" => json("{\"hidden\":1}").header("Content-Encoding", "gzip"),
        "unknown" => json("{\"hidden\":1}").header("Content-Encoding", "compress"),
        "part" => Reply::status(206)
            .header("Content-Type", "application/json")
            .header("Content-Range", "bytes 0-11/90")
            .body("{\"hidden\":1,"),
        "parts" => Reply::status(206)
            .header("Content-Type", "multipart/byteranges; boundary=x")
            .body("--x\r\n\r\n{\"hidden\":1\r\n--x--"),
        "typeless" => Reply::ok("hidden").header("Content-Type", ""),
        other => panic!("{other}"),
    });
    let gateway = with_routes(&origin, ROUTES);
    for what in ["broken", "cut", "twice", "deep", "latin", "bytes", "coded", "unknown", "part", "parts"] {
        let answer = get(&gateway, &format!("/stream/{what}"), &[]);
        unfit(&answer);
    }
    assert_eq!(
        get(&gateway, "/stream/broken", &[]).header("Proxy-Status"),
        Some("tidegate; error=http_protocol_error")
    );
    // The connection to the service goes on being used, whatever was refused.
    assert!(origin.connections().len() < 12);
    unfit(&get(&gateway, "/strict/typeless", &[]));
}

#[test]
fn what_is_not_shaped_passes_as_it_is() {
    let origin = Origin::answering(|request| match request.target.as_str() {
        "/stream/page" => Reply::ok("<p>{").header("Content-Type", "text/html").header("ETag", "\"e\""),
        "/stream/empty" => Reply::ok("").header("Content-Type", "application/json"),
        "/stream/none" => Reply::status(204),
        "/stream/same" => Reply::status(304).header("ETag", "\"e\""),
        _ => json("{}"),
    });
    let gateway = with_routes(&origin, ROUTES);
    let page = get(&gateway, "/stream/page", &[]);
    assert_eq!((page.text().as_str(), page.header("ETag")), ("<p>{", Some("\"e\"")));
    let empty = get(&gateway, "/stream/empty", &[]);
    assert_eq!((empty.status, empty.body.len()), (200, 0));
    assert_eq!(get(&gateway, "/stream/none", &[]).status, 204);
    let same = get(&gateway, "/stream/same", &[("If-None-Match", "W/\"e\"")]);
    assert_eq!((same.status, same.header("ETag")), (304, Some("W/\"e\"")), "as the whole answer says it");
    get(&gateway, "/stream/a", &[("Range", "bytes=0-3"), ("If-Range", "\"e\"")]);
    let asked = origin.requests().pop().unwrap();
    assert_eq!((asked.header("Range"), asked.header("If-Range")), (None, None));
}

#[test]
fn a_large_answer_goes_out_as_it_comes_and_is_cut_where_it_is_wrong() {
    for wrong in [false, true] {
        let gate = Arc::new(Gate::new());
        let shut = gate.clone();
        let origin = Origin::conversing(move |_, conversation| {
            conversation
                .write_head(200, &[("Content-Type", "application/json"), ("Transfer-Encoding", "chunked")]);
            conversation.write_chunk(b"{\"items\":[{\"id\":0}");
            let item = br#",{"secret":"hidden","card":"4242424242424242"}"#.repeat(100);
            for _ in 0..200 {
                conversation.write_chunk(&item);
            }
            // The client has a part of it before the service has said the rest.
            assert!(shut.wait());
            conversation.write_chunk(if wrong { b",]}" } else { b"]}" });
            conversation.write(b"0\r\n\r\n");
            After::KeepAlive
        });
        let gateway = with_routes(&origin, ROUTES);
        let mut client = Raw::connect(gateway.addr());
        client.get("/stream/a");
        assert_eq!(client.read_head().header("Transfer-Encoding"), Some("chunked"));
        let mut text = client.read_chunk().unwrap();
        assert!(text.starts_with(r#"{"items":[{"id":0},{"card":"****4242"},"#));
        gate.open();
        if wrong {
            let rest = client.read_to_end();
            assert!(!rest.ends_with(b"0\r\n\r\n"), "cut, not ended");
            gateway.wait_for_log(|line| line["reason"] == "answer_unfit");
            continue;
        }
        while let Some(chunk) = client.read_chunk() {
            text.push_str(&chunk);
        }
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["items"].as_array().unwrap().len(), 20_001);
        assert!(!text.contains("hidden"));
    }
}

#[test]
fn lines_go_on_one_by_one() {
    let gate = Arc::new(Gate::new());
    let shut = gate.clone();
    let origin = Origin::conversing(move |_, conversation| {
        conversation
            .write_head(200, &[("Content-Type", "application/x-ndjson"), ("Transfer-Encoding", "chunked")]);
        conversation.write_chunk(b"{\"user_name\":1,\"secret\":0}\n");
        assert!(shut.wait());
        conversation.write_chunk(b"{\"user_name\":2}\n");
        conversation.write(b"0\r\n\r\n");
        After::KeepAlive
    });
    let gateway = with_routes(&origin, ROUTES);
    let mut client = Raw::connect(gateway.addr());
    client.get("/stream/a");
    client.read_head();
    assert_eq!(client.read_chunk().as_deref(), Some("{\"username\":1}\n"));
    gate.open();
    assert_eq!(client.read_chunk().as_deref(), Some("{\"username\":2}\n"));
}

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(6));
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn a_coded_answer_is_taken_apart_within_bounds_and_coded_anew() {
    let origin = Origin::answering(|request| {
        let reply =
            Reply::ok("").header("Content-Type", "application/json").header("Content-Encoding", "gzip");
        match request.target.as_str() {
            "/compressed/broken" => reply.body(gzipped(b"{\"hidden\":")),
            "/compressed/unknown" => json("{}").header("Content-Encoding", "deflate"),
            "/stream/bomb" => reply.body(gzipped(&vec![b' '; 4 << 20])),
            _ => reply.body(gzipped(br#"{"user_name":"ada","secret":"hidden","id":1}"#)),
        }
    });
    let gateway = with_routes(&origin, ROUTES);
    let plain = get(&gateway, "/stream/a", &[("Accept-Encoding", "gzip")]);
    assert_eq!(
        (plain.header("Content-Encoding"), plain.text().as_str()),
        (None, r#"{"username":"ada","id":1}"#)
    );
    unfit(&get(&gateway, "/stream/bomb", &[]));
    // A refusal is not coded, though the route codes the smallest answers.
    for path in ["/compressed/broken", "/compressed/unknown"] {
        let refused = get(&gateway, path, &[("Accept-Encoding", "zstd")]);
        assert_eq!(refused.header("Content-Encoding"), None);
        unfit(&refused);
    }
    let coded = get(&gateway, "/compressed/a", &[("Accept-Encoding", "zstd")]);
    assert_eq!(coded.header("Content-Encoding"), Some("zstd"));
    let text = zstd::decode_all(coded.body.as_slice()).unwrap();
    assert_eq!(String::from_utf8(text).unwrap(), r#"{"user_name":"ada","id":1}"#);
}

#[test]
fn what_is_kept_is_what_was_shaped() {
    let (origin, gateway) = answering(|| json(r#"{"secret":"hidden","id":1}"#));
    for hit in [false, true] {
        let answer = get(&gateway, "/kept/a", &[]);
        assert_eq!(answer.text(), r#"{"id":1}"#);
        assert_eq!(answer.header("Cache-Status").unwrap().contains("; hit"), hit);
    }
    assert_eq!(origin.requests().len(), 1);
}

#[test]
fn an_answer_is_in_the_format_of_the_partner_or_of_the_client() {
    let (origin, gateway) = answering(|| json(r#"[{"id":1,"name":"a \"b\""},{"id":2,"name":null}]"#));
    let answer = get(&gateway, "/xml/a", &[("Accept", "application/xml")]);
    assert_eq!(answer.header("Content-Type"), Some("application/xml; charset=utf-8"));
    assert_eq!(
        answer.text(),
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<order xmlns=\"urn:shop\"><item><id>1</id><name>a \"b\"</name></item>\
         <item><id>2</id><name/></item></order>"
    );
    assert_eq!(origin.only_request().header("Accept"), Some("application/json, */*;q=0.5"));
    let head = request(gateway.addr(), "HEAD", "/xml/a", &[], b"");
    assert_eq!(head.header("Content-Type"), Some("application/xml; charset=utf-8"));
    for (accept, kind, body) in [
        ("*/*", "application/json", &b"[{\"id\":1,\"name\":\"a \\\"b\\\"\"},{\"id\":2,\"name\":null}]"[..]),
        ("text/csv", "text/csv; charset=utf-8; header=present", b"id,name\n1,\"a \"\"b\"\"\"\n2,\n"),
        (
            "application/msgpack",
            "application/msgpack",
            b"\x92\x82\xa2id\x01\xa4name\xa5a \"b\"\x82\xa2id\x02\xa4name\xc0",
        ),
        (
            "application/cbor",
            "application/cbor",
            b"\x82\xa2\x62id\x01\x64name\x65a \"b\"\xa2\x62id\x02\x64name\xf6",
        ),
    ] {
        let answer = get(&gateway, "/any/a", &[("Accept", accept)]);
        assert_eq!((answer.header("Content-Type"), answer.body.as_slice()), (Some(kind), body), "{accept}");
        assert_eq!(answer.headers_named("Vary"), ["Accept"]);
    }
}

#[test]
fn an_old_version_is_spoken_by_the_new_service() {
    let origin = Origin::answering(|request| match request.method.as_str() {
        "GET" => json(r#"{"id":1,"username":"ada","address":{"city":"London"}}"#),
        _ => json(&request.text()),
    });
    let gateway = with_routes(&origin, ROUTES);
    let old = get(&gateway, "/v1/users/1", &[]);
    assert_eq!(old.text(), r#"{"id":1,"user_name":"ada","address_city":"London"}"#);
    let fields = [("Content-Type", "application/json")];
    let changed = request(gateway.addr(), "PUT", "/v1/users/1", &fields, br#"{"user_name":"eve"}"#);
    assert_eq!(changed.text(), r#"{"user_name":"eve"}"#);
    let asked = origin.requests();
    assert_eq!(
        (asked[1].target.as_str(), asked[1].text().as_str()),
        ("/v2/users/1", r#"{"username":"eve"}"#)
    );
}
