//! `filter` on the wire: what is named is nowhere, whichever way an answer comes.

use testkit::client::{Raw, Response, request};
use testkit::gateway::Gateway;
use testkit::origin::{After, Origin, Reply};

const SERVICE: &str = r#"
listen: 127.0.0.1:0
admin: { listen: 127.0.0.1:0 }
workers: 1
services:
  app: ORIGIN
routes:
  /*:
    to: app
    filter: { sensitive: [password, card_number] }
  /headers/*:
    to: app
    headers: { response: { set: { Content-Type: text/plain } } }
    filter: { sensitive: password }
  /both/*:
    to: app
    filter: { sensitive: password }
    response: { format: { to: xml, xml: { root: user } } }
  /strict/*: { to: app, filter: { sensitive: password, other: refuse } }
  /again/*:
    to: app
    filter: { sensitive: password }
    fallback: [ { last_good: 1h } ]
  /own/*:
    respond: { json: { password: 1 } }
    filter: { sensitive: password }
"#;

fn in_front_of(origin: &Origin) -> Gateway {
    let text = SERVICE.replace("ORIGIN", &origin.url());
    testkit::gateway!("{}", text)
}

fn get(gateway: &Gateway, path: &str) -> Response {
    request(gateway.addr(), "GET", path, &[], b"")
}

const USER: &str = r#"{"name":"ada","Password":"hidden","in":[{"p\u0061ssword":{"a":"hidden"}},{"card_number":"hidden","id":1}]}"#;

#[test]
fn named_members_are_taken_out_at_any_depth() {
    let origin = Origin::answering(|request| {
        let status = if request.target.ends_with("error") { 500 } else { 200 };
        let kind = if request.target.ends_with("typeless") { "" } else { "application/problem+json" };
        let reply = Reply::status(status).body(USER);
        if kind.is_empty() { reply } else { reply.header("Content-Type", kind) }
    });
    let gateway = in_front_of(&origin);
    for path in ["/a", "/error", "/typeless", "/headers/a"] {
        let answer = get(&gateway, path);
        let text = r#"{"name":"ada","in":[{},{"id":1}]}"#;
        let headers = r#"{"name":"ada","in":[{},{"card_number":"hidden","id":1}]}"#;
        assert_eq!(answer.text(), if path == "/headers/a" { headers } else { text }, "{path}");
    }
    assert_eq!(get(&gateway, "/headers/a").header("Content-Type"), Some("text/plain"));
}

#[test]
fn the_filter_comes_before_any_other_shape() {
    let origin = Origin::answering(|_| Reply::ok(USER).header("Content-Type", "application/json"));
    let gateway = in_front_of(&origin);
    assert_eq!(
        get(&gateway, "/both/a").text(),
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<user><name>ada</name><in/><in><card_number>hidden</card_number>\
         <id>1</id></in></user>"
    );
}

#[test]
fn other_kinds_pass_unless_they_are_refused() {
    let origin = Origin::answering(|request| match request.target.as_str() {
        "/sequence" => {
            Reply::ok("\u{1e}{\"password\":\"hidden\"}\n").header("Content-Type", "application/json-seq")
        }
        "/twice" => Reply::ok("{\"password\":\"hidden\"}")
            .header("Content-Type", "text/html")
            .header("Content-Type", "application/json"),
        _ => Reply::ok("password").header("Content-Type", "text/html"),
    });
    let gateway = in_front_of(&origin);
    for path in ["/sequence", "/twice"] {
        let refused = get(&gateway, path);
        assert_eq!((refused.status, refused.text().contains("hidden")), (502, false), "{path}");
    }
    assert_eq!(get(&gateway, "/a").text(), "password");
    let refused = get(&gateway, "/strict/a");
    assert_eq!((refused.status, refused.text().contains("hidden")), (502, false));
    assert_eq!(
        get(&gateway, "/own/a").text(),
        r#"{"password":1}"#,
        "what stands in the configuration is no secret"
    );
}

#[test]
fn an_answer_of_earlier_that_stands_in_is_filtered_too() {
    let origin = Origin::answering(|request| match request.seq {
        1 => Reply::ok(USER).header("Content-Type", "application/json"),
        _ => Reply::status(503),
    });
    let gateway = in_front_of(&origin);
    let first = get(&gateway, "/again/a").text();
    let again = get(&gateway, "/again/a");
    assert_eq!((again.status, again.text()), (200, first.clone()));
    assert!(again.header("Tidegate-Degraded").is_some());
    assert_eq!(first, r#"{"name":"ada","in":[{},{"card_number":"hidden","id":1}]}"#);
}

/// The most mebibytes of memory that a gateway has had in use.
fn memory(gateway: &Gateway) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", gateway.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
}

#[test]
fn a_hundred_megabytes_pass_in_constant_memory() {
    const ROUNDS: usize = 1600;
    let origin = Origin::conversing(|_, conversation| {
        conversation
            .write_head(200, &[("Content-Type", "application/json"), ("Transfer-Encoding", "chunked")]);
        let items = r#"{"id":1234567,"password":"hidden","name":"somebody"},"#.repeat(1260);
        conversation.write_chunk(b"[");
        for _ in 0..ROUNDS {
            conversation.write_chunk(items.as_bytes());
        }
        conversation.write_chunk(b"{}]");
        conversation.write(b"0\r\n\r\n");
        After::KeepAlive
    });
    let gateway = in_front_of(&origin);
    get(&gateway, "/own/a");
    let before = memory(&gateway);
    let mut client = Raw::connect(gateway.addr());
    client.get("/a");
    client.read_head();
    let (mut length, mut last) = (0, String::new());
    while let Some(chunk) = client.read_chunk() {
        length += chunk.len();
        last = chunk;
    }
    assert_eq!(length, ROUNDS * 1260 * r#"{"id":1234567,"name":"somebody"},"#.len() + "[{}]".len());
    assert!(last.ends_with("{}]"));
    let grown = memory(&gateway) - before;
    assert!(grown < 16.0, "{grown} MiB");
}

#[test]
fn what_a_cache_kept_before_there_was_a_filter_is_not_given_any_more() {
    let origin = Origin::answering(|_| {
        Reply::ok(USER).header("Content-Type", "application/json").header("Cache-Control", "max-age=600")
    });
    let text = |filter: &str| {
        format!(
            "listen: 127.0.0.1:0\nadmin: {{ listen: 127.0.0.1:0 }}\nworkers: 1\nservices: {{ app: \"{}\" }}\nroutes:\n  \
             /*: {{ to: app, cache: {{}}{filter} }}\n",
            origin.url()
        )
    };
    let gateway = testkit::gateway!("{}", text(""));
    assert_eq!(get(&gateway, "/a").text(), USER);
    assert_eq!(get(&gateway, "/a").text(), USER);
    gateway.rewrite_config(&text(", filter: { sensitive: [password, card_number] }"));
    gateway.reload();
    testkit::event::eventually("the filter to run", || {
        (get(&gateway, "/a").text() == r#"{"name":"ada","in":[{},{"id":1}]}"#).then_some(())
    });
    assert_eq!(origin.requests().len(), 2, "kept before, and kept after");
}
