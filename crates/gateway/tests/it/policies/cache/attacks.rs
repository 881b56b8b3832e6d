//! What must not happen with a cache: answers of one caller for another (C1), by the look of a path (C2), by what is not in
//! the key (C3, C4), without bounds (C5), of cut answers (C7), or with the rest of a body for the next request (F13).

use testkit::client::{Raw, request};
use testkit::origin::{Origin, Reply};

use super::{counting, get, status};
use crate::setup::{tidegate, with_routes};

#[test]
fn c1_nobody_gets_what_was_said_to_another() {
    for said in [&[][..], &[("Cache-Control", "max-age=60")], &[("Cache-Control", "private, max-age=60")]] {
        let origin =
            counting(|_| said.iter().fold(Reply::ok(""), |reply, (name, value)| reply.header(name, value)));
        let gateway = with_routes(&origin, "  /*: { to: app, cache: 60s }\n");
        let callers: [&[(&str, &str)]; 6] = [
            &[("Authorization", "Bearer a")],
            &[("Authorization", "Bearer b")],
            &[("Cookie", "sid=a")],
            &[("Cookie", "sid=b")],
            &[("Cookie", "sid=a"), ("Authorization", "Bearer a")],
            &[("Authorization", "Bearer a")],
        ];
        for (nth, caller) in callers.iter().enumerate() {
            assert_eq!(get(&gateway, "/me", caller).text(), (nth + 1).to_string(), "{said:?}: {caller:?}");
        }
        assert_eq!(get(&gateway, "/me", &[]).text(), "7", "{said:?}: nobody in particular");
    }
}

#[test]
fn c1_callers_that_a_policy_knows_have_answers_of_their_own_or_none_that_are_kept() {
    let origin = counting(|_| Reply::ok(""));
    let key = || {
        let folder = tempfile::tempdir().unwrap();
        let json = tidegate(folder.path(), &["key", "new", "--json"]).json();
        (json["key"].as_str().unwrap().to_owned(), json["hash"].as_str().unwrap().to_owned())
    };
    let ((anna, anna_hash), (bert, bert_hash)) = (key(), key());
    let gateway = testkit::gateway!(
        r#"
listen: 127.0.0.1:0
admin: {{ listen: 127.0.0.1:0 }}
workers: 1
services: {{ app: "{app}" }}
consumers: {{ anna: {{ api_keys: "{anna_hash}" }}, bert: {{ api_keys: "{bert_hash}" }} }}
routes:
  /alone/*: {{ to: app, api_key: {{}}, cache: 60s }}
  /own/*: {{ to: app, api_key: {{}}, cache: {{ ttl: 60s, key: consumer }} }}
  /all/*: {{ to: app, api_key: {{}}, cache: {{ ttl: 60s, shared: true }} }}
"#,
        app = origin.url()
    );
    for (path, answers) in
        [("/alone/a", ["1", "2", "3"]), ("/own/a", ["1", "2", "1"]), ("/all/a", ["1", "1", "1"])]
    {
        for (caller, wanted) in [&anna, &bert, &anna].into_iter().zip(answers) {
            let answer = get(&gateway, path, &[("X-API-Key", caller)]);
            assert_eq!((answer.status, answer.text().as_str()), (200, wanted), "{path}");
        }
        assert_eq!(get(&gateway, path, &[]).status, 401, "{path}: what is kept is for those who may ask");
    }
}

#[test]
fn c2_the_look_of_a_path_says_nothing() {
    let origin = counting(|_| Reply::ok(""));
    let gateway =
        with_routes(&origin, "  /me/*: { to: app, cache: {} }\n  /ttl/*: { to: app, cache: 60s }\n");
    for path in ["/me/x.css", "/me/a;x.css", "/me/a%2fx.css", "/me/x.css?y=.js"] {
        assert!(status(&get(&gateway, path, &[])).contains("detail=no-lifetime"), "{path}");
        assert!(!status(&get(&gateway, path, &[])).contains("; hit"), "{path}");
        let mine = [("Cookie", "sid=a")];
        let kept = path.replace("/me/", "/ttl/");
        get(&gateway, &kept, &mine);
        assert!(!status(&get(&gateway, &kept, &[])).contains("; hit"), "{kept}");
    }
    assert_eq!(get(&gateway, "/me%00.css", &[]).status, 400);
}

#[test]
fn c3_what_is_not_in_the_key_cannot_be_in_the_answer() {
    let origin = Origin::answering(Reply::echo);
    let gateway = testkit::gateway!(
        r#"
listen: 127.0.0.1:0
admin: {{ listen: 127.0.0.1:0 }}
trusted_proxies: [127.0.0.0/8]
services: {{ app: "{app}" }}
routes: {{ /*: {{ to: app, cache: 60s }} }}
"#,
        app = origin.url()
    );
    let mut client = Raw::connect(gateway.addr());
    let mut ask = |method: &str, host: &str, more: &str| {
        client.send(format!("{method} /a HTTP/1.1\r\nHost: {host}\r\n{more}\r\n"));
        client.read_response_to(method)
    };
    assert!(!status(&ask("GET", "a.example", "")).contains("; hit"));
    assert!(status(&ask("GET", "A.example", "")).contains("; hit"), "one host in another case");
    for (host, more) in [
        ("b.example", ""),
        ("a.example:81", ""),
        ("a.example", "X-Forwarded-Host: evil.example\r\n"),
        ("a.example", "X-Forwarded-Proto: https\r\n"),
        ("a.example", "X-Forwarded-Port: 99\r\n"),
        ("a.example", "X-Forwarded-Prefix: /x\r\n"),
        ("a.example", "X-Original-URL: /admin\r\n"),
        ("a.example", "X-Rewrite-URL: /admin\r\n"),
        ("a.example", "X-HTTP-Method-Override: DELETE\r\n"),
        ("a.example", "x-http-method: PUT\r\n"),
        ("a.example", "Content-Length: 0\r\n"),
    ] {
        assert!(!status(&ask("GET", host, more)).contains("; hit"), "{host} {more}");
        assert!(
            status(&ask("GET", "a.example", "")).contains("; hit"),
            "what was kept is as it was: {host} {more}"
        );
    }
}

#[test]
fn c3_a_body_of_a_get_poisons_nothing() {
    let origin = Origin::answering(|request| Reply::ok(request.text()));
    let gateway = with_routes(&origin, "  /*: { to: app, cache: 60s }\n");
    let fat = request(gateway.addr(), "GET", "/a", &[], b"poison");
    assert_eq!((fat.text().as_str(), status(&fat).as_str()), ("poison", "tidegate; fwd=bypass"));
    assert_eq!(get(&gateway, "/a", &[]).text(), "");
    assert_eq!(request(gateway.addr(), "GET", "/a", &[], b"again").text(), "again", "and takes nothing");
}

#[test]
fn c3_an_error_that_a_client_provokes_is_not_kept_for_others() {
    let origin = Origin::answering(|request| match request.header("X-Large") {
        Some(_) => Reply::status(400).header("Cache-Control", "max-age=60"),
        None => Reply::ok("good"),
    });
    let gateway = with_routes(&origin, "  /*: { to: app, cache: { ttl: 60s, negative_ttl: 60s } }\n");
    assert_eq!(get(&gateway, "/a", &[("X-Large", &"x".repeat(10_000))]).status, 400);
    assert_eq!(get(&gateway, "/a", &[]).text(), "good");
}

#[test]
fn c4_parts_of_a_key_are_kept_apart() {
    let origin = counting(|_| Reply::ok(""));
    let gateway =
        with_routes(&origin, "  /*: { to: app, cache: { ttl: 60s, key: [header.x-a, header.x-b] } }\n");
    let mut seen = Vec::new();
    for fields in [
        &[("X-A", "1"), ("X-B", "23")][..],
        &[("X-A", "12"), ("X-B", "3")],
        &[("X-A", "123")],
        &[("X-B", "123")],
    ] {
        let answer = get(&gateway, "/a", fields);
        assert!(!seen.contains(&answer.text()), "{fields:?}");
        seen.push(answer.text());
    }
}

#[test]
fn c5_variants_are_bounded() {
    let origin = counting(|_| Reply::ok("").header("Vary", "X-R"));
    let gateway = with_routes(&origin, "  /*: { to: app, cache: 60s }\n");
    let mut client = Raw::connect(gateway.addr());
    for nth in 0..200 {
        client.request("GET", "/a", &[("X-R", &nth.to_string())], b"").read_response();
    }
    assert_eq!(gateway.metric("tidegate_cache_objects"), 1.0);
    let hits = (0..200).filter(|nth| {
        let answer = get(&gateway, "/a", &[("X-R", &nth.to_string()), ("Cache-Control", "only-if-cached")]);
        answer.status == 200
    });
    assert_eq!(hits.collect::<Vec<_>>(), (184..200).collect::<Vec<_>>());
}

#[test]
fn c7_what_is_not_whole_is_not_kept() {
    let head = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n";
    for (what, cut) in [
        ("a short body", format!("{head}Content-Length: 10\r\n\r\nshort")),
        ("a chunk that is cut", format!("{head}Transfer-Encoding: chunked\r\n\r\n5\r\nab")),
        ("no last chunk", format!("{head}Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n")),
        ("a body until the close", format!("{head}\r\nall of it, maybe")),
    ] {
        let origin = Origin::answering(move |request| match request.seq {
            1 => Reply::raw_then_close(&cut),
            _ => Reply::ok("whole"),
        });
        let gateway = with_routes(&origin, "  /*: { to: app, cache: 60s }\n");
        let mut client = Raw::connect(gateway.addr());
        client.get("/a");
        let _ = client.try_read_response();
        assert_eq!(get(&gateway, "/a", &[]).text(), "whole", "{what}");
        assert_eq!(get(&gateway, "/a", &[]).text(), "whole", "{what}");
        assert_eq!(origin.requests().len(), 2, "{what}: then it is kept");
    }
}

#[test]
fn f13_a_hit_leaves_nothing_of_a_body_for_the_next_request() {
    let origin = Origin::answering(|request| Reply::ok(format!("{} {}", request.method, request.target)));
    let gateway = with_routes(&origin, "  /*: { to: app, cache: 60s }\n");
    assert_eq!(get(&gateway, "/a", &[]).text(), "GET /a");
    let evil = "GET /evil HTTP/1.1\r\nHost: a\r\nX: ";
    for method in ["GET", "POST", "HEAD"] {
        let mut client = Raw::connect(gateway.addr());
        let head = format!("{method} /a HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", evil.len());
        client.send(format!("{head}{evil}")).read_response_to(method);
        client.send("GET /next HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(client.read_response().text(), "GET /next", "{method}");
    }
    assert!(origin.requests().iter().all(|request| request.target != "/evil"));
}
