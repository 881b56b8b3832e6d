//! `cache` on the wire: the rules of RFC 9111 by their sections, each as a row of requests to a real origin. What must not
//! happen with caches (C1 to C7, F13) is in `cache/attacks.rs`, waiting for one fetch in `cache/collapsing.rs`.

use std::collections::HashMap;
use std::sync::Mutex;

use testkit::client::{Response, request};
use testkit::event::eventually;
use testkit::gateway::Gateway;
use testkit::origin::{Origin, Reply};

use crate::setup::with_routes;

mod attacks;
mod collapsing;
mod disk;
mod kept;

const ROUTES: &str = r#"
  /*: { to: app, cache: {} }
  /ttl/*: { to: app, cache: { ttl: 60s, negative_ttl: 60s } }
  /only/*: { to: app, cache: { ttl: 60s, respect: ttl_only } }
  /shared/*: { to: app, cache: { ttl: 60s, shared: true } }
  /vary/*: { to: app, cache: { ttl: 60s, vary: X-A } }
  /key/*: { to: app, cache: { ttl: 60s, key: [header.x-tenant, header.authorization] } }
  /ignore/*: { to: app, cache: { ttl: 60s, ignore_query: [utm_*] } }
  /keep/*: { to: app, cache: { ttl: 60s, keep_query: page } }
  /guess/*: { to: app, cache: { heuristic: true } }
  /small/*: { to: app, cache: { ttl: 60s, max_object: 3B } }
  /headers/*:
    to: app
    cache: 60s
    headers: { response: { set: { X-Set: a }, add: { X-Add: b } } }
  /plain/*: { to: app }
"#;

/// An origin that gives the answer `answer` to every request; its body is how often its target was asked for.
fn counting(answer: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Origin {
    let seen: Mutex<HashMap<String, usize>> = Mutex::default();
    Origin::answering(move |request| {
        let mut seen = seen.lock().unwrap();
        let count = seen.entry(request.target.clone()).or_default();
        *count += 1;
        answer(&request.target).body(count.to_string())
    })
}

fn get(gateway: &Gateway, path: &str, fields: &[(&str, &str)]) -> Response {
    request(gateway.addr(), "GET", path, fields, b"")
}

/// What our own part of `Cache-Status` says.
#[track_caller]
fn status(answer: &Response) -> String {
    answer.headers_named("Cache-Status").last().expect("no Cache-Status").to_string()
}

#[test]
fn a_query_counts_as_the_route_says() {
    let origin = counting(|_| Reply::ok(""));
    let gateway = with_routes(&origin, ROUTES);
    for (one, two, same) in [
        ("/ttl/?a=1", "/ttl/?a=2", false),
        ("/ttl/?a=1", "/ttl/", false),
        ("/ignore/?a=1&utm_source=x", "/ignore/?utm_medium=y&a=1", true),
        ("/ignore/?a=3", "/ignore/?a=4", false),
        ("/keep/?page=1&x=1", "/keep/?x=2&page=1", true),
        ("/keep/?page=3", "/keep/?page=4", false),
    ] {
        get(&gateway, one, &[]);
        assert_eq!(status(&get(&gateway, two, &[])).contains("; hit"), same, "{one} {two}");
    }
}

#[test]
fn section_4_3_2_conditions_of_clients_are_judged_here() {
    let changed = "Sat, 01 Jan 2000 00:00:00 GMT";
    let origin = counting(move |_| Reply::ok("").header("ETag", "\"e\"").header("Last-Modified", changed));
    let gateway = with_routes(&origin, ROUTES);
    assert_eq!(
        get(&gateway, "/ttl/a", &[("If-None-Match", "\"e\"")]).status,
        200,
        "to be kept, it is fetched whole"
    );
    for (name, value, code) in [
        ("If-None-Match", "\"e\"", 304),
        ("If-None-Match", "W/\"e\"", 304),
        ("If-None-Match", "\"a,b\", \"e\"", 304),
        ("If-None-Match", "*", 304),
        ("If-None-Match", "\"other\"", 200),
        ("If-Modified-Since", changed, 304),
        ("If-Modified-Since", "Sat, 01 Jan 2000 00:00:01 GMT", 304),
        ("If-Modified-Since", "Fri, 31 Dec 1999 00:00:00 GMT", 200),
        ("If-Modified-Since", "yesterday", 200),
    ] {
        let answer = get(&gateway, "/ttl/a", &[(name, value)]);
        assert_eq!(answer.status, code, "{name}: {value}");
        assert_eq!(answer.header("ETag"), Some("\"e\""), "RFC 9110 section 15.4.5");
        assert!(code == 200 || answer.header("Content-Type").is_none());
    }
    let both = [("If-None-Match", "\"other\""), ("If-Modified-Since", changed)];
    assert_eq!(get(&gateway, "/ttl/a", &both).status, 200, "RFC 9110 section 13.2.2: the tag alone counts");
    assert_eq!(origin.requests().len(), 1);
    assert_eq!(origin.requests()[0].header("If-None-Match"), None);
}

#[test]
fn section_4_3_what_is_stale_is_asked_about_and_renewed() {
    let origin = Origin::answering(|request| match request.header("If-None-Match") {
        Some("\"e\"") => Reply::status(304).header("X-New", "yes").header("Cache-Control", "max-age=60"),
        _ => Reply::ok("whole")
            .header("ETag", "\"e\"")
            .header("Cache-Control", "max-age=60")
            .header("Age", "70")
            .header("X-Old", "yes"),
    });
    let gateway = with_routes(&origin, ROUTES);
    assert_eq!(get(&gateway, "/a", &[]).text(), "whole");
    let renewed = get(&gateway, "/a", &[]);
    assert_eq!((renewed.status, renewed.text().as_str()), (200, "whole"));
    assert_eq!((renewed.header("X-New"), renewed.header("X-Old")), (Some("yes"), Some("yes")));
    assert!(
        status(&renewed).starts_with("tidegate; fwd=stale; fwd-status=304; ttl="),
        "{}",
        status(&renewed)
    );
    let hit = get(&gateway, "/a", &[("If-None-Match", "\"e\"")]);
    assert_eq!((hit.status, hit.header("X-New"), origin.requests().len()), (304, Some("yes"), 2));
    assert_eq!(hit.headers_named("X-Request-Id").len(), 1);
}

#[test]
fn a_client_gets_304_from_a_renewal_only_if_it_asked_for_one() {
    let origin = Origin::answering(|request| match request.header("If-None-Match") {
        Some("\"e\"") => Reply::status(304),
        _ => Reply::ok("whole").header("ETag", "\"e\"").header("Cache-Control", "max-age=0"),
    });
    let gateway = with_routes(&origin, ROUTES);
    get(&gateway, "/a", &[]);
    for (asked, code) in [("\"e\"", 304), ("\"old\"", 200)] {
        assert_eq!(get(&gateway, "/a", &[("If-None-Match", asked)]).status, code, "{asked}");
    }
    assert_eq!(get(&gateway, "/a", &[]).text(), "whole");
    assert_eq!(origin.requests().len(), 4);
}

#[test]
fn parts_are_cut_from_what_is_kept_whole() {
    let origin = Origin::answering(|request| match request.header("Range") {
        Some(_) => Reply::status(206).header("Content-Range", "bytes 0-1/10").body("ZZ"),
        None => Reply::ok("0123456789").header("ETag", "\"e\""),
    });
    let gateway = with_routes(&origin, ROUTES);
    assert_eq!(get(&gateway, "/ttl/a", &[("Range", "bytes=0-1")]).text(), "ZZ");
    assert_eq!(
        get(&gateway, "/ttl/a", &[]).text(),
        "0123456789",
        "RFC 9111 section 3.3: the part was not kept"
    );
    for (range, code, body, told) in [
        ("bytes=0-1", 206, "01", Some("bytes 0-1/10")),
        ("bytes=5-", 206, "56789", Some("bytes 5-9/10")),
        ("bytes=-3", 206, "789", Some("bytes 7-9/10")),
        ("bytes=8-99", 206, "89", Some("bytes 8-9/10")),
        ("bytes=10-", 416, "", Some("bytes */10")),
        ("bytes=-0", 416, "", Some("bytes */10")),
        ("bytes=5-2", 200, "0123456789", None),
        ("bytes=0-1,3-4", 200, "0123456789", None),
        ("lines=0-1", 200, "0123456789", None),
        ("bytes=a-b", 200, "0123456789", None),
    ] {
        let answer = get(&gateway, "/ttl/a", &[("Range", range)]);
        assert_eq!((answer.status, answer.text().as_str()), (code, body), "{range}");
        assert_eq!(answer.header("Content-Range"), told, "{range}");
    }
    for (condition, code) in [("\"e\"", 206), ("\"other\"", 200), ("W/\"e\"", 200)] {
        let answer = get(&gateway, "/ttl/a", &[("Range", "bytes=0-1"), ("If-Range", condition)]);
        assert_eq!(answer.status, code, "RFC 9110 section 13.1.5: {condition}");
    }
    assert_eq!(origin.requests().len(), 2);
}

#[test]
fn a_head_is_served_from_what_a_get_has_brought() {
    let origin = counting(|_| Reply::ok(""));
    let gateway = with_routes(&origin, ROUTES);
    let head = |path| request(gateway.addr(), "HEAD", path, &[], b"");
    assert!(status(&head("/ttl/a")).contains("fwd=uri-miss"));
    assert!(
        status(&get(&gateway, "/ttl/a", &[])).contains("fwd=uri-miss"),
        "the answer to HEAD was not kept"
    );
    let answer = head("/ttl/a");
    assert_eq!((answer.header("Content-Length"), answer.text().as_str()), (Some("1"), ""));
    assert!(status(&answer).contains("; hit"));
}

#[test]
fn rfc_5861_stale_while_it_is_renewed() {
    let origin = counting(|_| {
        Reply::ok("").header("Cache-Control", "max-age=60, stale-while-revalidate=600").header("Age", "70")
    });
    let gateway = with_routes(&origin, ROUTES);
    get(&gateway, "/a", &[]);
    let stale = get(&gateway, "/a", &[]);
    assert_eq!(stale.text(), "1", "given at once");
    assert!(status(&stale).starts_with("tidegate; hit; ttl=-"), "{}", status(&stale));
    let asked = origin.wait_for_requests(2);
    assert_eq!(asked[1].target, "/a");
    eventually("the renewed answer", || (get(&gateway, "/a", &[]).text() != "1").then_some(()));
}

#[test]
fn rfc_5861_stale_where_the_service_fails() {
    let origin = Origin::answering(|request| match request.target.as_str() {
        "/ttl/never" => Reply::status(503).body("no"),
        _ if request.header("If-None-Match").is_none() => Reply::ok("good")
            .header("Cache-Control", "max-age=60, stale-if-error=600")
            .header("Age", "70")
            .header("ETag", "\"e\""),
        "/503" => Reply::status(503).body("no"),
        "/404" => Reply::status(404).body("no"),
        _ => Reply::close_without_answer(),
    });
    let gateway = with_routes(&origin, ROUTES);
    for (path, body, code, told) in [
        ("/503", "good", 200, "tidegate; fwd=stale; fwd-status=503; ttl=-"),
        ("/gone", "good", 200, "tidegate; fwd=stale; ttl=-"),
        ("/404", "no", 404, "tidegate; fwd=stale; detail=no-lifetime"),
    ] {
        assert_eq!(get(&gateway, path, &[]).text(), "good");
        let answer = get(&gateway, path, &[]);
        assert_eq!((answer.status, answer.text().as_str()), (code, body), "{path}");
        assert!(status(&answer).starts_with(told), "{}", status(&answer));
    }
    assert_eq!(get(&gateway, "/ttl/never", &[]).status, 503, "there is nothing to give");
}

#[test]
fn section_4_4_what_changes_is_dropped() {
    let origin = Origin::answering(|request| match (request.method.as_str(), request.target.as_str()) {
        ("GET", _) => Reply::ok("").header("Cache-Groups", "\"g\", \"h\""),
        (_, "/plain/moves") => Reply::status(201).header("Location", "/ttl/a?x=1"),
        (_, "/plain/elsewhere") => Reply::status(201).header("Location", "http://other.example/ttl/a"),
        (_, "/plain/group") => Reply::ok("").header("Cache-Group-Invalidation", "\"h\""),
        (_, "/plain/other-group") => Reply::ok("").header("Cache-Group-Invalidation", "\"x\""),
        (_, "/ttl/fails") => Reply::status(500),
        _ => Reply::ok(""),
    });
    let gateway = with_routes(&origin, ROUTES);
    for (section, method, path, kept, dropped) in [
        ("4.4", "POST", "/ttl/a", "/ttl/a", true),
        ("4.4, with its queries", "PUT", "/ttl/a", "/ttl/a?x=1", true),
        ("4.4", "DELETE", "/ttl/a", "/ttl/a", true),
        ("4.4: Location", "POST", "/plain/moves", "/ttl/a?x=1", true),
        ("4.4: Location of another host", "POST", "/plain/elsewhere", "/ttl/a", false),
        ("4.4: a failure", "POST", "/ttl/fails", "/ttl/fails", false),
        ("4.4: a safe method", "OPTIONS", "/ttl/a", "/ttl/a", false),
        ("4.4: another path", "POST", "/ttl/b", "/ttl/a", false),
        ("RFC 9875", "POST", "/plain/group", "/ttl/a", true),
        ("RFC 9875", "POST", "/plain/other-group", "/ttl/a", false),
    ] {
        get(&gateway, kept, &[]);
        assert!(status(&get(&gateway, kept, &[])).contains("; hit"), "{section} {path}");
        request(gateway.addr(), method, path, &[], b"x");
        assert_eq!(
            !status(&get(&gateway, kept, &[])).contains("; hit"),
            dropped,
            "{section} {method} {path}"
        );
    }
}

#[test]
fn what_the_route_says_of_an_answer_is_said_once() {
    let origin = counting(|_| Reply::ok("").header("Age", "5"));
    let gateway = with_routes(&origin, ROUTES);
    for _ in 0..2 {
        let answer = get(&gateway, "/headers/a", &[]);
        assert_eq!((answer.headers_named("X-Set").len(), answer.headers_named("X-Add").len()), (1, 1));
        assert_eq!((answer.headers_named("Age").len(), answer.headers_named("Via").len()), (1, 1));
        assert_eq!(answer.headers_named("X-Request-Id").len(), 1);
    }
    assert_eq!(origin.requests().len(), 1);
}

#[test]
fn what_is_too_large_is_passed_on_and_not_kept() {
    let large = "x".repeat(100_000);
    let (body, parts) = (large.clone(), large.clone());
    let origin = Origin::answering(move |request| match request.target.as_str() {
        "/small/length" => Reply::ok(&body),
        _ => Reply::chunked(&[&parts, &parts], &[]),
    });
    let gateway = with_routes(&origin, ROUTES);
    for (path, told, length) in
        [("/small/length", "detail=too-large", 100_000), ("/small/chunks", "; stored", 200_000)]
    {
        for nth in 0..2 {
            let answer = get(&gateway, path, &[]);
            assert_eq!((answer.text().len(), answer.header("Age")), (length, None), "{path} {nth}");
            assert!(status(&answer).contains(told), "{}", status(&answer));
        }
    }
    assert_eq!(get(&gateway, "/ttl/large", &[]).text().len(), 200_000);
    let kept = get(&gateway, "/ttl/large", &[]);
    assert_eq!((kept.text().len(), kept.header("Content-Length")), (200_000, Some("200000")));
    assert_eq!(origin.requests().len(), 5);
}

#[test]
fn a_cache_alone_is_asked_with_only_if_cached() {
    let origin = counting(|_| Reply::ok(""));
    let gateway = with_routes(&origin, ROUTES);
    let only = [("Cache-Control", "only-if-cached")];
    assert_eq!(get(&gateway, "/ttl/a", &only).status, 504, "section 5.2.1.7");
    get(&gateway, "/ttl/a", &[]);
    assert_eq!(get(&gateway, "/ttl/a", &only).status, 200);
    assert_eq!(origin.requests().len(), 1);
}

#[test]
fn what_is_kept_outlives_a_reload() {
    let origin = counting(|_| Reply::ok(""));
    let gateway = with_routes(&origin, "  /a: { to: app, cache: 60s }\n");
    get(&gateway, "/a", &[]);
    gateway.rewrite_config(&format!(
        "listen: 127.0.0.1:0\nadmin: {{ listen: 127.0.0.1:0 }}\nworkers: 1\nservices: {{ app: \"{}\" }}\n\
         routes:\n  /a: {{ to: app, cache: 60s }}\n  /b: {{ to: app }}\n",
        origin.url()
    ));
    gateway.reload();
    eventually("the new route", || (get(&gateway, "/b", &[]).status == 200).then_some(()));
    assert!(status(&get(&gateway, "/a", &[])).contains("; hit"));
}
