//! `compress` on the wire: what is coded, what is not, and that pieces go on as they come.

use std::io::Read;

use testkit::client::{Raw, Response, request};
use testkit::event::Gate;
use testkit::gateway::Gateway;
use testkit::origin::{Origin, Reply};

use crate::setup::with_routes;

const ROUTES: &str = r#"
  /*: { to: app, compress: {} }
  /own/*: { to: app, compress: { codings: gzip, types: image/*, min_size: 10B, effort: low } }
  /kept/*: { to: app, cache: 60s, compress: {} }
"#;

fn decoded(coding: Option<&str>, bytes: &[u8]) -> String {
    let mut text = String::new();
    match coding {
        Some("gzip") => flate2::read::GzDecoder::new(bytes).read_to_string(&mut text),
        Some("br") => brotli::Decompressor::new(bytes, 4096).read_to_string(&mut text),
        Some("zstd") => zstd::stream::read::Decoder::new(bytes).unwrap().read_to_string(&mut text),
        None => {
            text.push_str(std::str::from_utf8(bytes).unwrap());
            Ok(text.len())
        }
        Some(other) => panic!("{other}"),
    }
    .unwrap();
    text
}

fn page() -> String {
    (0..200).map(|nth| format!("<li>product {nth}</li>\n")).collect()
}

fn get(gateway: &Gateway, path: &str, fields: &[(&str, &str)]) -> Response {
    request(gateway.addr(), "GET", path, fields, b"")
}

#[test]
fn an_answer_is_coded_as_the_client_likes_it() {
    let origin = Origin::answering(|_| {
        Reply::ok(page()).header("Content-Type", "text/html").header("ETag", "\"e\"").header("Vary", "Origin")
    });
    let gateway = with_routes(&origin, ROUTES);
    for (accept, coding) in [
        ("gzip, deflate, br, zstd", Some("zstd")),
        ("gzip, br", Some("br")),
        ("br;q=0.5, gzip;q=0.9", Some("gzip")),
        ("identity", None),
        ("gzip;q=0", None),
    ] {
        let answer = get(&gateway, "/a", &[("Accept-Encoding", accept)]);
        assert_eq!(answer.header("Content-Encoding"), coding, "{accept}");
        assert_eq!(decoded(coding, &answer.body), page(), "{accept}");
        assert_eq!(answer.headers_named("Vary"), ["Origin", "Accept-Encoding"]);
        let tag = if coding.is_some() { "W/\"e\"" } else { "\"e\"" };
        assert_eq!(answer.header("ETag"), Some(tag), "RFC 9110 section 8.8.3: {accept}");
        assert_eq!(answer.header("Content-Length").is_some(), coding.is_none(), "{accept}");
        assert!(coding.is_none() || answer.body.len() < page().len() / 4, "{accept}");
    }
    let head = request(gateway.addr(), "HEAD", "/a", &[("Accept-Encoding", "gzip")], b"");
    assert_eq!((head.header("Content-Encoding"), head.body.len()), (None, 0));
}

#[test]
fn what_is_coded_small_partial_or_not_to_be_touched_goes_on_as_it_is() {
    let origin = Origin::answering(|request| {
        let (body, html) = (page(), Reply::ok("").header("Content-Type", "text/html"));
        match request.target.as_str() {
            "/coded" => html.header("Content-Encoding", "gzip").body(body),
            "/small" => html.body("x".repeat(1023)),
            "/part" => Reply::status(206)
                .header("Content-Type", "text/html")
                .header("Content-Range", "bytes 0-1/9")
                .body(body),
            "/untouched" => html.header("Cache-Control", "no-transform").body(body),
            "/digested" => html.header("Content-Digest", "sha-256=:x:").body(body),
            "/image" => Reply::ok(body).header("Content-Type", "image/png"),
            "/typeless" => Reply::ok(body).header("Content-Type", ""),
            "/none" => Reply::status(204),
            "/until-close" => {
                Reply::raw_then_close(format!("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n{body}"))
            }
            _ => html.body("x".repeat(1024)),
        }
    });
    let gateway = with_routes(&origin, ROUTES);
    let accept = [("Accept-Encoding", "gzip")];
    assert_eq!(get(&gateway, "/coded", &accept).headers_named("Content-Encoding"), ["gzip"]);
    for path in ["/small", "/part", "/untouched", "/digested", "/image", "/typeless", "/none", "/until-close"]
    {
        assert_eq!(get(&gateway, path, &accept).header("Content-Encoding"), None, "{path}");
    }
    assert_eq!(get(&gateway, "/large", &accept).header("Content-Encoding"), Some("gzip"));
    assert_eq!(get(&gateway, "/own/large", &accept).header("Content-Encoding"), None, "its own kinds");
    let refused = get(&gateway, "/%00", &accept);
    assert_eq!((refused.status, refused.header("Content-Encoding")), (400, None));
}

#[test]
fn pieces_go_on_as_they_come() {
    for coding in ["gzip", "br", "zstd"] {
        let gate = std::sync::Arc::new(Gate::new());
        let shut = gate.clone();
        let origin = Origin::conversing(move |_, conversation| {
            conversation.write_head(200, &[("Content-Type", "text/plain"), ("Transfer-Encoding", "chunked")]);
            conversation.write_chunk(b"first\n");
            assert!(shut.wait());
            conversation.write_chunk(b"second\n");
            conversation.write(b"0\r\n\r\n");
            testkit::origin::After::KeepAlive
        });
        let gateway = with_routes(&origin, ROUTES);
        let mut client = Raw::connect(gateway.addr());
        client.request("GET", "/a", &[("Accept-Encoding", coding)], b"");
        assert_eq!(client.read_head().header("Content-Encoding"), Some(coding));
        // The second comes only once the first is here: a coder that kept it back would end this test.
        let first = client.read_chunk().unwrap();
        assert!(!first.is_empty(), "{coding}");
        gate.open();
        while client.read_chunk().is_some() {}
    }
}

#[test]
fn what_is_compressed_is_kept_so_for_each_coding() {
    let origin = Origin::answering(|request| match request.header("If-None-Match") {
        Some(_) => Reply::status(304),
        None => Reply::ok(page()).header("Content-Type", "text/html").header("ETag", "\"e\""),
    });
    let gateway = with_routes(&origin, ROUTES);
    for nth in 0..2 {
        for coding in [Some("gzip"), Some("br"), None] {
            let answer = get(&gateway, "/kept/a", &[("Accept-Encoding", coding.unwrap_or("identity"))]);
            assert_eq!(answer.header("Content-Encoding"), coding);
            assert_eq!(decoded(coding, &answer.body), page());
            assert_eq!(answer.header("Cache-Status").unwrap().contains("; hit"), nth == 1, "{coding:?}");
            assert_eq!(answer.header("Content-Length").is_some(), nth == 1 || coding.is_none());
        }
    }
    let renewed = get(&gateway, "/kept/a", &[("Accept-Encoding", "gzip"), ("Cache-Control", "no-cache")]);
    assert!(renewed.header("Cache-Status").unwrap().contains("fwd-status=304"), "{:?}", renewed.headers);
    assert_eq!(decoded(Some("gzip"), &renewed.body), page());
    assert_eq!(origin.requests().len(), 4);
    assert!(gateway.metric("tidegate_compress_answers_total") >= 2.0);
}

#[test]
fn a_cut_answer_is_cut_also_when_it_is_coded() {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 100000\r\n\r\n";
    let origin = Origin::answering(move |_| Reply::raw_then_close(format!("{head}{}", page())));
    let gateway = with_routes(&origin, ROUTES);
    let mut client = Raw::connect(gateway.addr());
    client.request("GET", "/a", &[("Accept-Encoding", "gzip")], b"");
    assert!(client.try_read_response().is_err(), "a short body passed for a whole one");
}
