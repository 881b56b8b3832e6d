//! Explain and the road agree: for random configurations and requests, what explain says is what happens.
//!
//! The witnesses are the client, the origin and the access log of the real gateway. `EXPLAIN_SEED=n` repeats a run.

use serde_json::{Value, json};
use testkit::client::{self, Response};
use testkit::gateway::Gateway;
use testkit::origin::Origin;
use tidegate::values::random::Random;

const CONFIGURATIONS: usize = 6;
const REQUESTS: usize = 60;

/// Draws from lists.
struct Draw(Random);

impl Draw {
    fn of<'a>(&self, choices: &[&'a str]) -> &'a str {
        choices[self.0.below(choices.len())]
    }

    fn once_in(&self, times: usize) -> bool {
        self.0.below(times) == 0
    }
}

/// Routes that differ in host, path, method or condition, each with policies.
fn routes(draw: &Draw) -> String {
    let mut known = std::collections::BTreeSet::from([("/*", "", "", "")]);
    // Most requests find a route, so that there is something to agree about.
    let mut text = format!("  /*:\n    {}\n", action(draw));
    for number in 0..14 {
        let path =
            draw.of(&["/", "/*", "/a", "/a/*", "/a/{id}", "/a/b", "/{id}/b", "/a/{id}/c", "/A", "/a/b/*"]);
        let host = draw.of(&["", "", "", "a.test", "b.test", "*.b.test"]);
        let method = draw.of(&["", "", "GET", "POST", "[PUT, PATCH]", "OPTIONS", "PURGE"]);
        let condition = draw.of(&["", "", "", "headers: { X-V: \"1\" }", "query: { q: { present: true } }"]);
        if !known.insert((path, host, method, condition)) {
            continue;
        }
        let mut parts = vec![format!("path: \"{path}\"")];
        parts.extend((!host.is_empty()).then(|| format!("host: \"{host}\"")));
        parts.extend((!method.is_empty()).then(|| format!("methods: {method}")));
        parts.extend((!condition.is_empty()).then(|| condition.to_owned()));
        text.push_str(&format!("  r{number}:\n    match: {{ {} }}\n", parts.join(", ")));
        text.push_str(&format!("    {}\n", action(draw)));
        for policy in policies(draw, path) {
            text.push_str(&format!("    {policy}\n"));
        }
    }
    text
}

fn action(draw: &Draw) -> &'static str {
    draw.of(&[
        "to: app",
        "to: app",
        "to: app",
        "to: named",
        "to: fixed",
        "respond: { status: 203, body: here, headers: { X-R: r } }",
        "redirect: { to: \"https://{host}{path}\", status: 302 }",
    ])
}

fn policies(draw: &Draw, path: &str) -> Vec<String> {
    let mut chosen = Vec::new();
    let ip = [
        "allow: [10.0.0.0/8]",
        "deny: [127.0.0.1]",
        "deny: [127.0.0.1], mode: shadow",
        "allow: [127.0.0.0/8, 10.0.0.0/8]",
    ];
    let headers = [
        "request: { set: { X-A: \"{ip}-{method}\" }, remove: [X-V, Cookie] }",
        "request: { add: { X-A: \"{header.x-v}\" }, default: { X-B: \"{host}\" } }, response: { set: { X-Out: out } }",
        "response: { remove: Content-Type, add: { X-Out: [one, two] } }",
    ];
    let mut rewrites = vec![
        "{ strip_prefix: /a }",
        "{ add_prefix: /p }",
        "{ query: { set: { n: \"{ip}\" }, remove: [drop] } }",
        "{ host: other.test }",
    ];
    if path.ends_with('*') {
        rewrites.push("\"/r/{path.*}\"");
    }
    if path.contains("{id}") {
        rewrites.push("\"/r/{path.id}/x\"");
    }
    let cors = "origins: [\"https://p.example\"], credentials: true";
    chosen.extend(draw.once_in(4).then(|| format!("ip: {{ {} }}", draw.of(&ip))));
    chosen.extend(draw.once_in(4).then(|| format!("body_limit: {}", draw.of(&["0", "10", "off"]))));
    chosen.extend(draw.once_in(2).then(|| format!("headers: {{ {} }}", draw.of(&headers))));
    chosen.extend(draw.once_in(2).then(|| format!("rewrite: {}", draw.of(&rewrites))));
    chosen.extend(draw.once_in(4).then(|| format!("cors: {{ {cors} }}")));
    chosen.extend(draw.once_in(5).then(|| "timeout: 9s".to_owned()));
    chosen
}

fn gateway(draw: &Draw, origin: &Origin) -> Gateway {
    let trusted = draw.of(&["[]", "[127.0.0.0/8]"]);
    let forwarded = draw.of(&["both", "x", "rfc7239", "off"]);
    let slash = draw.of(&["true", "false"]);
    let url = origin.url();
    testkit::gateway!(
        r#"
listeners: {{ main: {{ address: 127.0.0.1:0, reject_encoded_slash: {slash} }} }}
admin: {{ listen: 127.0.0.1:0 }}
workers: 1
trusted_proxies: {trusted}
forwarded: {forwarded}
services:
  app: {url}
  named: {{ targets: "{url}", host: target }}
  fixed: {{ targets: "{url}", host: fixed.test }}
routes:
{}"#,
        routes(draw)
    )
}

/// One request: method, target, fields, size of its body.
struct Asked {
    method: &'static str,
    target: &'static str,
    headers: Vec<(&'static str, String)>,
    body: usize,
}

fn asked(draw: &Draw, id: &str) -> Asked {
    let method = draw.of(&[
        "GET", "GET", "GET", "HEAD", "POST", "POST", "PUT", "OPTIONS", "OPTIONS", "PURGE", "DELETE", "TRACE",
    ]);
    let target = draw.of(&[
        "/",
        "/a",
        "/a/",
        "/a/7",
        "/a/b",
        "/a/b?q=1",
        "/a/7/c",
        "/a/b/c/d?q=%41&drop=1",
        "/a%2Fb",
        "/a/../a/b",
        "/%61/b",
        "/a;x=1/b",
        "/a/b;x",
        "/%zz",
        "/../x",
        "/a/x%20y?drop=2",
        "/A",
        "//a",
        "/q/b?",
        "/a/%2e%2e/A",
        "/none/at/all?q",
    ]);
    let host = draw.of(&[
        "a.test",
        "a.test",
        "A.Test:80",
        "b.test",
        "b.test",
        "x.b.test",
        "x.b.test",
        "b.test.",
        "elsewhere",
        "bad..name",
    ]);
    let mut headers = vec![("Host", host.to_owned()), ("X-Request-Id", id.to_owned())];
    for (times, lines) in [
        (2, &[("X-V", "1")][..]),
        (4, &[("X-V", "2")]),
        (4, &[("X-Forwarded-For", "10.1.2.3"), ("X-Forwarded-Proto", "https")]),
        (6, &[("Forwarded", "for=10.9.9.9"), ("X_Forwarded_For", "1.1.1.1")]),
        (4, &[("X-User-Id", "7"), ("x_user_name", "root")]),
        (5, &[("Connection", "X-Hop"), ("X-Hop", "1"), ("TE", "trailers")]),
        (5, &[("Accept", "text/plain")]),
        (6, &[("Accept", "text/html")]),
        (3, &[("Origin", "https://p.example"), ("Access-Control-Request-Method", "PUT")]),
        (5, &[("Origin", "https://q.example")]),
    ] {
        if draw.once_in(times) {
            headers.extend(lines.iter().map(|(name, value)| (*name, (*value).to_owned())));
        }
    }
    let body = if matches!(method, "POST" | "PUT") { [0, 5, 11, 40][draw.0.below(4)] } else { 0 };
    Asked { method, target, headers, body }
}

#[test]
fn explain_and_the_road_agree() {
    let seed = std::env::var("EXPLAIN_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| Random::from_system().next());
    println!("EXPLAIN_SEED={seed}");
    let draw = Draw(Random::new(seed));
    let mut outcomes = std::collections::BTreeMap::<String, usize>::new();
    for _ in 0..CONFIGURATIONS {
        let origin = Origin::start();
        let gateway = gateway(&draw, &origin);
        let mut rehearsed = Vec::new();
        for number in 0..REQUESTS {
            let asked = asked(&draw, &format!("t-{number}"));
            let told = explained(&gateway, &asked);
            agree(&gateway, &origin, &asked, &told);
            *outcomes.entry(told["outcome"].as_str().unwrap().to_owned()).or_default() += 1;
            rehearsed.push(told);
        }
        for (number, told) in rehearsed.iter().enumerate() {
            let id = format!("t-{number}");
            agrees_with_log(told, &gateway.wait_for_log(|line| line["request_id"] == *id));
        }
        origin.assert_clean();
    }
    // A test in which everything is refused would agree about nothing.
    for outcome in ["forwarded", "answered", "refused"] {
        assert!(outcomes.get(outcome).copied().unwrap_or_default() >= 5, "{outcomes:?}");
    }
}

fn explained(gateway: &Gateway, asked: &Asked) -> Value {
    let size = (asked.body > 0).then_some(asked.body);
    let question =
        json!({ "method": asked.method, "url": asked.target, "headers": asked.headers, "body_size": size });
    let answer = gateway.admin_request("POST", "/api/v1/explain", &[], &question.to_string());
    assert_eq!(answer.status, 200, "{question}: {}", answer.text());
    answer.json()
}

/// What the client and the origin saw.
fn agree(gateway: &Gateway, origin: &Origin, asked: &Asked, told: &Value) {
    let before = origin.requests().len();
    let headers: Vec<(&str, &str)> =
        asked.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let answer =
        client::request(gateway.addr(), asked.method, asked.target, &headers, &vec![b'x'; asked.body]);
    let context = format!("{} {} {headers:?}\n{told:#}", asked.method, asked.target);
    if told["outcome"] == "forwarded" {
        let sent = &told["upstream"];
        let got = origin.wait_for_requests(before + 1).pop().unwrap();
        assert_eq!(answer.status, 200, "{context}");
        assert_eq!((got.method.as_str(), got.target.as_str()), text_of(sent), "{context}");
        assert_eq!(lines(&json!(got.headers)), lines(&sent["headers"]), "{context}");
    } else {
        assert_eq!(origin.requests().len(), before, "{context}");
        same_answer(&answer, &told["answer"], &context);
    }
}

/// What the access log says of the same request.
fn agrees_with_log(told: &Value, log: &Value) {
    let route = told["route"]["key"].as_str().unwrap_or("none");
    assert_eq!(log["route"], route, "{told:#}\n{log}");
    assert_eq!(log["refused_by"], told["by"], "{told:#}\n{log}");
    assert_eq!(log["reason"], told["reason"], "{told:#}\n{log}");
    assert_eq!(log["client"], told["request"]["client"], "{told:#}\n{log}");
    if told["outcome"] == "forwarded" {
        assert_eq!(log["service"], told["upstream"]["service"], "{told:#}\n{log}");
    }
    let watched: Vec<&Value> = told["policies"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|step| step["shadow"] == true && !step["reason"].is_null())
        .collect();
    assert_eq!(log["shadowed"].as_array().map_or(0, Vec::len), watched.len(), "{told:#}\n{log}");
}

fn text_of(sent: &Value) -> (&str, &str) {
    (sent["method"].as_str().unwrap(), sent["target"].as_str().unwrap())
}

/// Field lines; of `traceparent`, whose span is drawn each time, only that it is there.
fn lines(headers: &Value) -> Vec<(String, String)> {
    let lines: Vec<(String, String)> = serde_json::from_value(headers.clone()).unwrap();
    let same = |(name, value): (String, String)| {
        if name == "traceparent" { (name, String::new()) } else { (name, value) }
    };
    lines.into_iter().map(same).collect()
}

fn same_answer(answer: &Response, told: &Value, context: &str) {
    assert_eq!(answer.status, told["status"], "{context}");
    assert_eq!(answer.text(), told["body"].as_str().unwrap(), "{context}");
    let framing = ["content-length", "connection"];
    let mut got = lines(&json!(answer.headers));
    got.retain(|(name, _)| !framing.contains(&name.to_ascii_lowercase().as_str()));
    assert_eq!(got, lines(&told["headers"]), "{context}");
}
