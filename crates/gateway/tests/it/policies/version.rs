//! `version` on the wire: who gets which, what is told of its end, and who is told to have called.

use testkit::client::{self, Response};
use testkit::gateway::Gateway;
use testkit::origin::{Origin, Recorded, Reply};

fn named(name: &'static str) -> Origin {
    Origin::answering(move |_: &Recorded| {
        Reply::ok(name).header("Deprecation", "@1").header("Link", "</own>; rel=\"self\"")
    })
}

fn with(old: &Origin, new: &Origin, more: &str) -> Gateway {
    testkit::gateway!(
        "listen: 127.0.0.1:0\nadmin: {{ listen: 127.0.0.1:0 }}\nworkers: 1\nservices:\n  old: \"{}\"\n  new: \"{}\"\n{more}",
        old.url(),
        new.url()
    )
}

#[test]
fn answers_tell_the_end_and_the_report_who_does_not_listen() {
    let (old, new) = (named("old"), named("new"));
    let (key, hash) = crate::policies::api_key::new_key();
    let gateway = with(
        &old,
        &new,
        &"
consumers: { mobile: { api_keys: HASH } }
versions:
  shop:
    list:
      v1: { deprecated: 2026-01-01, sunset: 2999-12-31, successor: '/v2/{path.*}', docs: 'https://shop.example/end' }
      v0: { deprecated: 2000-01-01, sunset: 2001-01-01, successor: /v2/ }
      v2: {}
routes:
  /v1/*: { to: old, version: shop/v1, api_key: {} }
  /v0/*: { to: old, version: shop/v0 }
  /v2/*: { to: new, version: shop/v2 }
  /dark/*: { to: old, version: { sunset: 2999-12-31, brown_outs: { when: 'daily 00:00/24:00 UTC' } } }
"
        .replace("HASH", &hash),
    );
    let key = ("X-API-Key", key.as_str());
    let answer = client::request(gateway.addr(), "GET", "/v1/users/1", &[key], b"");
    assert_eq!((answer.status, answer.text().as_str()), (200, "old"));
    // What a service says of its own end does not count beside what is written here.
    assert_eq!(answer.headers_named("deprecation"), ["@1767225600"]);
    assert_eq!(answer.header("sunset"), Some("Tue, 31 Dec 2999 00:00:00 GMT"));
    let links = answer.headers_named("link");
    assert!(
        links.contains(&"</v2/users/1>; rel=\"successor-version\"")
            && links.contains(&"</own>; rel=\"self\""),
        "{links:?}"
    );
    // Who is refused for another reason is told too.
    let refused = gateway.get("/v1/users/1");
    assert_eq!((refused.status, refused.header("deprecation")), (401, Some("@1767225600")));
    for _ in 0..2 {
        let over = gateway.get("/v0/users/1");
        assert_eq!(
            (over.status, over.json()["type"].as_str()),
            (410, Some("urn:tidegate:problem:version_ended"))
        );
        assert_eq!(
            (over.header("sunset"), over.header("link")),
            (Some("Mon, 01 Jan 2001 00:00:00 GMT"), Some("</v2/>; rel=\"successor-version\""))
        );
        assert_eq!(over.json()["detail"], "this version ended on 01 Jan 2001");
    }
    let dark = gateway.get("/dark/x");
    assert_eq!((dark.status, dark.json()["type"].as_str()), (410, Some("urn:tidegate:problem:brown_out")));
    assert!(dark.header("retry-after").is_some() && dark.header("cache-control") == Some("no-store"));
    assert_eq!(gateway.get("/v2/x").header("sunset"), None);
    assert_eq!(old.requests().len(), 1);
    the_report_is_told(&gateway);
}

fn the_report_is_told(gateway: &Gateway) {
    let told = gateway.admin_request("GET", "/api/v1/versions", &[], "").json();
    let of = |version: &str| {
        told["versions"].as_array().unwrap().iter().find(|one| one["version"] == version).unwrap()
    };
    assert_eq!(
        (of("shop/v1")["state"].as_str(), of("shop/v0")["state"].as_str(), of("shop/v2")["state"].as_str()),
        (Some("deprecated"), Some("ended"), Some("current"))
    );
    let callers: Vec<(&str, u64, u64)> = of("shop/v1")["callers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|caller| {
            (
                caller["consumer"].as_str().unwrap(),
                caller["count"].as_u64().unwrap(),
                caller["refused"].as_u64().unwrap(),
            )
        })
        .collect();
    assert!(callers.contains(&("mobile", 1, 0)) && callers.contains(&("anonymous", 1, 0)), "{callers:?}");
    assert_eq!(
        (of("shop/v0")["count"].as_u64(), of("shop/v0")["callers"][0]["refused"].as_u64()),
        (Some(2), Some(2))
    );
    assert!(of("shop/v0")["callers"][0]["last"].as_str().unwrap().ends_with('Z'));
    assert_eq!(of("/dark/*")["route"], "/dark/*");
    let series = "tidegate_version_requests_total{version=\"shop/v1\",route=\"/v1/*\",consumer=\"mobile\",outcome=\"served\"}";
    gateway.wait_metric(series, |count| count == 1.0);
}

/// Asks for a path with these headers.
type Ask<'a> = dyn Fn(&str, &[(&str, &str)]) -> Response + 'a;

#[test]
fn clients_choose_by_header_query_or_media_type() {
    let (old, new) = (named("old"), named("new"));
    let gateway = with(
        &old,
        &new,
        "
versions:
  head: { by: { header: X-Version }, default: v2, list: { v1: { aliases: ['1', '2024-05-01'] }, v2: { aliases: latest } } }
  query: { by: { query: version }, default: v2, list: { v1: {}, v2: {} } }
  kind: { by: { media_type: vnd.shop }, default: v2, list: { v1: { aliases: '1' }, v2: {}, v3: {} } }
routes:
  head-old: { match: { path: /head/* }, to: old, version: head/v1 }
  head-new: { match: { path: /head/* }, to: new, version: head/v2 }
  query-old: { match: { path: /query/* }, to: old, version: query/v1 }
  query-new: { match: { path: /query/* }, to: new, version: query/v2 }
  kind-old: { match: { path: /kind/* }, to: old, version: kind/v1 }
  kind-new: { match: { path: /kind/* }, to: new, version: kind/v2 }
",
    );
    let ask =
        |path: &str, headers: &[(&str, &str)]| client::request(gateway.addr(), "GET", path, headers, b"");
    for (version, wish) in [
        (None, "new"),
        (Some("v1"), "old"),
        (Some("1"), "old"),
        (Some("2024-05-01"), "old"),
        (Some("v2"), "new"),
        (Some("latest"), "new"),
    ] {
        let headers: Vec<_> = version.map(|version| ("X-Version", version)).into_iter().collect();
        let answer = ask("/head/x", &headers);
        assert_eq!((answer.text().as_str(), answer.header("vary")), (wish, Some("X-Version")), "{version:?}");
    }
    let wrong = ask("/head/x", &[("X-Version", "v9")]);
    assert_eq!(
        (wrong.status, wrong.json()["type"].as_str()),
        (400, Some("urn:tidegate:problem:unknown_version"))
    );
    assert_eq!(wrong.json()["detail"], "there is no such version; there are v2, latest, v1, 1, 2024-05-01");
    for (target, wish) in
        [("/query/x", "new"), ("/query/x?version=v1", "old"), ("/query/x?a=1&version=v2", "new")]
    {
        assert_eq!(ask(target, &[]).text(), wish, "{target}");
    }
    assert_eq!(ask("/query/x?version=3", &[]).status, 400);
    media_types_choose(&ask);
}

fn media_types_choose(ask: &Ask) {
    for (accept, wish) in [
        ("*/*", "new"),
        ("application/json", "new"),
        ("application/vnd.shop.v1+json", "old"),
        ("text/html, application/VND.SHOP.1+json;q=0.8, */*", "old"),
        ("application/vnd.shop.v2+json", "new"),
    ] {
        let answer = ask("/kind/x", &[("Accept", accept)]);
        assert_eq!((answer.text().as_str(), answer.header("vary")), (wish, Some("Accept")), "{accept}");
    }
    assert_eq!(ask("/kind/x", &[("Accept", "application/vnd.shop.v7+json")]).status, 406);
    assert_eq!(
        ask("/kind/x", &[("Accept", "application/vnd.shop.v3+json")]).status,
        404,
        "it is not part of that one"
    );
}
