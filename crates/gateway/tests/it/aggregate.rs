//! `aggregate` on the wire: who is asked what and when, and what is made of the answers.

mod failing;
mod kept;
mod lists;
mod template;

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use testkit::client::{self, Raw};
use testkit::event::Gate;
use testkit::gateway::Gateway;
use testkit::origin::{Origin, Recorded, Reply};

use crate::http::http2::{ask, converse, open, request};
use crate::upstream::http2::origin::{Service, Stream};

/// JSON with a type.
pub(crate) fn json(body: impl AsRef<[u8]>) -> Reply {
    Reply::ok(body).header("Content-Type", "application/json")
}

/// A gateway with three services and these routes.
pub(crate) fn with(users: &Origin, orders: &Origin, payments: &Origin, routes: &str) -> Gateway {
    testkit::gateway!(
        "listen: 127.0.0.1:0\nadmin: {{ listen: 127.0.0.1:0 }}\nworkers: 1\nservices:\n  users: \"{}\"\n  \
         orders: \"{}\"\n  payments: \"{}\"\nroutes:\n{}\n",
        users.url(),
        orders.url(),
        payments.url(),
        routes.trim_matches('\n')
    )
}

/// An origin that answers this JSON, or the status that is set.
pub(crate) fn moody(body: &'static str) -> (Origin, Arc<AtomicU16>) {
    let mood = Arc::new(AtomicU16::new(200));
    let own = mood.clone();
    let origin = Origin::answering(move |_: &Recorded| match own.load(Ordering::SeqCst) {
        200 => json(body),
        0 => Reply::close_without_answer(),
        status => Reply::status(status).header("Retry-After", "7").body("own words"),
    });
    (origin, mood)
}

const DASHBOARD: &str = "
  GET /dashboard:
    aggregate:
      user: users /users/{query.user}
      orders: orders /orders?user={query.user}&limit=5
      payments: { from: 'payments /balance/{query.user}', optional: true }
";

#[test]
fn three_services_are_asked_at_the_same_time_and_give_one_answer() {
    let gate = Gate::new();
    let slow = |body: &'static str| {
        let gate = gate.clone();
        Origin::answering(move |_: &Recorded| json(body).slow(&gate))
    };
    let users = slow(" {\"id\": 12345678901234567890123, \"n\": 1.50} ");
    let (orders, payments) = (slow("[{\"id\": 7}]"), slow("{\"cents\": 5}"));
    let gateway = with(&users, &orders, &payments, DASHBOARD);
    let mut raw = Raw::connect(gateway.addr());
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let headers = [
        ("traceparent", parent),
        ("X-Request-Id", "ask-17"),
        ("Accept-Language", "sv"),
        ("Accept-Encoding", "gzip"),
        ("If-None-Match", "\"1\""),
        ("Range", "bytes=0-1"),
        ("X-Tenant", "north"),
    ];
    raw.request("GET", "/dashboard?user=u/1%3F", &headers, b"");
    // Each of them has its request before any has answered.
    let asked: Vec<Recorded> =
        [&users, &orders, &payments].map(|origin| origin.wait_for_requests(1).remove(0)).into();
    gate.open();
    let answer = raw.read_response();
    // What a service said goes on as it was written: no digit is lost.
    assert_eq!(
        answer.text(),
        "{\"user\":{\"id\": 12345678901234567890123, \"n\": 1.50},\"orders\":[{\"id\": 7}],\"payments\":{\"cents\": 5}}"
    );
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    assert_eq!((answer.header("tidegate-partial"), answer.header("cache-control")), (None, None));
    let timing = answer.header("server-timing").unwrap();
    assert!(
        ["user;dur=", ", orders;dur=", ", payments;dur="].iter().all(|part| timing.contains(part)),
        "{timing}"
    );
    let targets: Vec<&str> = asked.iter().map(|request| request.target.as_str()).collect();
    assert_eq!(targets, ["/users/u%2F1%3F", "/orders?user=u%2F1%3F&limit=5", "/balance/u%2F1%3F"]);
    let mut spans = vec![parent.to_owned()];
    for request in &asked {
        assert_eq!(request.header("X-Request-Id"), Some("ask-17"));
        assert_eq!(
            (request.header("Accept-Language"), request.header("X-Tenant")),
            (Some("sv"), Some("north"))
        );
        assert_eq!(request.header("Accept-Encoding"), Some("identity"));
        assert_eq!(request.header("Accept"), Some("application/json"));
        assert_eq!((request.header("If-None-Match"), request.header("Range")), (None, None));
        assert_eq!(request.header("X-Forwarded-For"), Some("127.0.0.1"));
        let span = request.header("traceparent").unwrap().to_owned();
        assert!(
            span.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-") && !spans.contains(&span),
            "{spans:?}"
        );
        spans.push(span);
    }
}

#[test]
fn logs_and_metrics_tell_the_parts() {
    let (origin, _) = moody("{}");
    let gateway = with(&origin, &origin, &origin, DASHBOARD);
    let mut raw = Raw::connect(gateway.addr());
    raw.request("GET", "/dashboard?user=1", &[("X-Request-Id", "ask-17")], b"");
    assert_eq!(raw.read_response().status, 200);
    raw.request("HEAD", "/dashboard?user=1", &[], b"");
    let head = raw.read_response_to("HEAD");
    assert_eq!((head.status, head.body.len()), (200, 0));
    let line = gateway.wait_for_log(|line| line["request_id"] == "ask-17");
    assert_eq!(line["parts"][2]["name"], "payments");
    assert_eq!(
        (line["parts"][2]["outcome"].as_str(), line["parts"][2]["status"].as_u64()),
        (Some("ok"), Some(200))
    );
    let series = "tidegate_requests_total{route=\"GET /dashboard#payments\",service=\"payments\",method=\"GET\",status=\"200\"}";
    gateway.wait_metric(series, |count| count == 2.0);
}

#[test]
fn one_part_waits_for_what_another_has_said() {
    let users = Origin::answering(|_: &Recorded| {
        json(r#"{"id": "a/b", "dots": "..", "none": null, "deep": {"list": [1, 22]}}"#)
    });
    let orders = Origin::answering(Reply::echo);
    let gateway = with(
        &users,
        &orders,
        &orders,
        "
  POST /a:
    aggregate:
      last: { from: 'POST payments /last?s={user.status}', after: orders, body: { id: '{user.body.id}', n: '{user.body.deep.list.1}', say: 'n={user.body.deep.list.0}', none: '{user.body.x}', q: '{query.q}' } }
      user: users /me
      orders: { from: 'orders /of/{user.body.id}', headers: { X-List: '{user.body.deep.list.1}', X-None: '{user.body.none}' } }
  GET /dots: { aggregate: { user: users /me, orders: 'orders /of/{user.body.dots}/x' } }
  GET /none: { aggregate: { user: users /me, orders: 'orders /of/{user.body.none}' } }
",
    );
    let answer = client::request(gateway.addr(), "POST", "/a?q=%22x", &[("X-None", "client's")], b"ignored");
    let told = answer.json();
    // In the order of the file, whatever the order of asking.
    assert!(answer.text().starts_with("{\"last\":"), "{}", answer.text());
    assert_eq!(told["orders"]["target"], "/of/a%2Fb");
    let headers = told["orders"]["headers"].to_string();
    assert!(headers.contains("[\"X-List\",\"22\"]") && !headers.contains("X-None"), "{headers}");
    assert_eq!(told["last"]["target"], "/last?s=200");
    assert_eq!(told["last"]["body"], r#"{"id":"a/b","n":22,"say":"n=1","none":null,"q":"\"x"}"#);
    assert_eq!(told["last"]["method"], "POST");
    for (path, code) in [("/dots", "dot_segment"), ("/none", "missing_value")] {
        let answer = gateway.get(path);
        assert_eq!((answer.status, answer.json()["part"].as_str()), (502, Some("orders")));
        assert_eq!(answer.json()["parts"][1]["outcome"], code);
    }
    assert_eq!(orders.requests().len(), 2, "nobody was asked with a path that leads elsewhere");
}

#[test]
fn the_answer_has_the_form_that_is_wanted() {
    let (users, _) = moody(r#"{"id": 1, "name": "Ada \"A\"", "secret": "s", "address": {"city": "London"}}"#);
    let (orders, _) = moody(r#"{"id": 9, "data": {"items": [1, 2]}, "total": 3.10}"#);
    let (payments, mood) = moody("{}");
    mood.store(500, Ordering::SeqCst);
    let gateway = with(
        &users,
        &orders,
        &payments,
        "
  /template:
    aggregate:
      parts: { user: users /, orders: orders /, pay: { from: payments /, optional: true } }
      template: { who: '{user.body.name}', text: 'of {user.body.address.city}: {orders.body.total}', list: ['{orders.body.data.items}', 7, true], all: '{orders.body}', pay: '{pay.body.x}', status: '{user.status}', path: '{path}' }
  /select: { aggregate: { user: { from: users /, select: [id, address.city] }, orders: { from: orders /, select: data.items } } }
  /flatten: { aggregate: { user: { from: users /, flatten: true, select: [id, name] }, orders: { from: orders /, flatten: true }, total: users / } }
",
    );
    let answer = gateway.get("/template");
    assert_eq!(
        answer.text(),
        r#"{"who":"Ada \"A\"","text":"of London: 3.10","list":[[1, 2],7,true],"all":{"id": 9, "data": {"items": [1, 2]}, "total": 3.10},"pay":null,"status":200,"path":"/template"}"#
    );
    assert_eq!(answer.header("tidegate-partial"), Some("pay"));
    assert_eq!(gateway.get("/select").text(), r#"{"user":{"id":1,"city":"London"},"orders":[1, 2]}"#);
    // Where two have a name, the first has it.
    let flat = gateway.get("/flatten").text();
    assert_eq!(flat, r#"{"id":1,"name":"Ada \"A\"","data":{"items": [1, 2]},"total":3.10}"#);
}

#[test]
fn explain_tells_the_parts() {
    let (origin, _) = moody("{}");
    let gateway = with(
        &origin,
        &origin,
        &origin,
        "
  /d:
    aggregate:
      user: users /users/{query.user}
      orders: { from: 'orders /of/{user.body.id}', default: [], retry: {} }
",
    );
    let ask = |url: &str| {
        let body = format!("{{\"method\":\"GET\",\"url\":\"{url}\"}}");
        gateway.admin_request("POST", "/api/v1/explain", &[], &body).json()
    };
    let told = ask("/d?user=7");
    assert_eq!(told["verdict"], "one answer made of 2 parts");
    assert_eq!(
        (told["parts"][0]["target"].as_str(), told["parts"][0]["rule"].as_str()),
        (Some("/users/7"), Some("required"))
    );
    assert_eq!(
        (told["parts"][1]["after"][0].as_str(), told["parts"][1]["rule"].as_str()),
        (Some("user"), Some("default"))
    );
    assert_eq!(ask("/d")["parts"][0]["fault"], "missing_value");
    assert!(origin.requests().is_empty());
    let routes = gateway.admin_request("GET", "/api/v1/routes", &[], "").json();
    assert_eq!(routes["routes"].as_array().unwrap().len(), 1, "{routes}");
    assert_eq!(routes["routes"][0]["parts"][0]["service"], "users");
}

#[test]
fn who_calls_and_how_long_they_wait_goes_along_over_every_protocol() {
    let origin = Origin::answering(Reply::echo);
    let modern = Service::start(Stream::echo);
    let (key, hash) = crate::policies::api_key::new_key();
    let gateway = testkit::gateway!(
        "listen: {{ address: 127.0.0.1:0, http2: true }}\nadmin: off\nworkers: 1\n\
         consumers: {{ mobile: {{ api_keys: \"{hash}\" }} }}\nservices:\n  \
         users: {{ targets: \"{}\", deadline_header: X-Time-Left }}\n  modern: {{ targets: \"{}\", protocol: http2 }}\n\
         routes:\n  /d:\n    api_key: {{}}\n    timeout: 20s\n    aggregate:\n      \
         user: {{ from: users /, timeout: 10s }}\n      back: {{ from: 'POST modern /', body: {{ a: '{{user.body.target}}' }} }}\n",
        origin.url(),
        modern.url()
    );
    let answer = client::request(
        gateway.addr(),
        "GET",
        "/d",
        &[("X-API-Key", key.as_str()), ("X-Consumer", "forged")],
        b"",
    );
    assert_eq!(
        (answer.status, answer.json()["back"].to_string().as_str()),
        (200, r#"{"a":"/"}"#),
        "{}",
        answer.text()
    );
    let asked = origin.only_request();
    assert_eq!((asked.headers_named("X-Consumer"), asked.header("X-API-Key")), (vec!["mobile"], None));
    let left: u64 = asked.header("X-Time-Left").unwrap().parse().unwrap();
    assert!((1..=10_000).contains(&left), "{left}");
    let sent = &modern.requests()[0];
    assert_eq!(
        (sent.method().as_str(), &sent.headers()["content-type"]),
        ("POST", &"application/json".parse().unwrap())
    );
    assert_eq!(sent.headers()["x-consumer"], "mobile");
    // The same for a client of HTTP/2.
    let text = converse(async {
        let (client, _connection) = open(gateway.addr()).await;
        ask(&client, request("GET", "/d").header("x-api-key", key.as_str()), b"").await.unwrap().text()
    });
    assert!(text.ends_with(r#","back":{"a":"/"}}"#), "{text}");
}
