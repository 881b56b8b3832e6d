//! Targets under TLS: believed only when they prove their name, and never with somebody else's connection.

use testkit::gateway::Gateway;
use testkit::origin::{After, Origin, Reply};
use testkit::tls::{Authority, Issued, time};

/// A gateway whose service is `https://localhost:PORT` with these settings.
fn gateway(origin: &Origin, authority: &Authority, tls: &str) -> Gateway {
    Gateway::with_binary(env!("CARGO_BIN_EXE_tidegate"))
        .file("ca.pem", &authority.pem())
        .start(&config(origin, tls))
}

fn config(origin: &Origin, tls: &str) -> String {
    format!(
        r#"
listen: 127.0.0.1:0
admin: {{ listen: 127.0.0.1:0 }}
workers: 1
services:
  app: {{ targets: "https://127.0.0.1:{port}", connect_timeout: 5s, tls: {{ {tls} }} }}
routes:
  /*: {{ to: app }}
"#,
        port = origin.addr().port()
    )
}

fn origin_with(issued: &Issued, clients: Option<&Authority>) -> Origin {
    Origin::builder().tls(Authority::server(issued, clients)).answering(Reply::echo)
}

#[track_caller]
fn fails(gateway: &Gateway, origin: &Origin, code: &str, error: &str) {
    let answer = gateway.get("/");
    assert_eq!(answer.status, 502, "{}", answer.text());
    assert_eq!(answer.json()["type"], format!("urn:tidegate:problem:{code}"));
    assert_eq!(answer.header("proxy-status"), Some(&*format!("tidegate; error={error}")));
    assert!(origin.requests().is_empty());
}

#[test]
fn a_target_that_proves_its_name_is_asked_over_one_connection() {
    let authority = Authority::new("inside");
    let origin = origin_with(&authority.issue(&["127.0.0.1"]), None);
    let gateway = gateway(&origin, &authority, "ca: ca.pem");
    for _ in 0..3 {
        assert_eq!(gateway.get("/x").json()["target"], "/x");
    }
    assert_eq!(origin.connections().len(), 1);
    let body = vec![b'x'; 200_000];
    let echoed = testkit::client::request(gateway.addr(), "POST", "/", &[], &body);
    assert_eq!(echoed.json()["body"].as_str().unwrap().len(), body.len());
    origin.assert_clean();
}

#[test]
fn a_target_that_cannot_prove_its_name_gets_nothing() {
    let authority = Authority::new("inside");
    let ended = authority.issue_with(&["127.0.0.1"], |params| {
        params.not_before = time(0);
        params.not_after = time(86_400);
    });
    for (issued, tls) in [
        // Nobody believes the authority.
        (authority.issue(&["127.0.0.1"]), ""),
        (authority.issue(&["elsewhere.test"]), "ca: ca.pem"),
        (authority.issue(&["127.0.0.1"]), "ca: ca.pem, server_name: elsewhere.test"),
        (ended, "ca: ca.pem"),
    ] {
        let origin = origin_with(&issued, None);
        fails(&gateway(&origin, &authority, tls), &origin, "target_certificate", "tls_certificate_error");
    }
}

#[test]
fn a_target_that_speaks_no_tls_is_told_apart() {
    let authority = Authority::new("inside");
    let origin = Origin::start();
    let gateway = gateway(&origin, &authority, "ca: ca.pem");
    fails(&gateway, &origin, "target_tls", "tls_protocol_error");
}

#[test]
fn the_name_may_be_another_than_the_address() {
    let authority = Authority::new("inside");
    let origin = origin_with(&authority.issue(&["app.internal"]), None);
    let gateway = gateway(&origin, &authority, "ca: ca.pem, server_name: app.internal");
    assert_eq!(gateway.get("/").status, 200);
}

#[test]
fn a_target_that_asks_for_a_certificate_is_shown_the_gateways() {
    let authority = Authority::new("inside");
    let origin = origin_with(&authority.issue(&["127.0.0.1"]), Some(&authority));
    let own = authority.issue(&["gateway.internal"]);
    let with = Gateway::with_binary(env!("CARGO_BIN_EXE_tidegate"))
        .file("ca.pem", &authority.pem())
        .file("own.crt", &own.cert)
        .file("own.key", &own.key)
        .start(&config(&origin, "ca: ca.pem, certificate: { cert: own.crt, key: own.key }"));
    assert_eq!(with.get("/").status, 200);
    let without = gateway(&origin, &authority, "ca: ca.pem");
    assert_eq!(without.get("/").status, 502);
    assert_eq!(origin.requests().len(), 1);
}

#[test]
fn anybody_is_believed_only_where_that_is_said_loudly() {
    let authority = Authority::new("inside");
    let origin = origin_with(&Authority::new("a stranger").issue(&["elsewhere.test"]), None);
    let gateway = gateway(&origin, &authority, "insecure_skip_verify: true");
    assert_eq!(gateway.get("/").status, 200);
    gateway.wait_for_line(|line| line.contains("service `app` believes any certificate"));
}

/// An answer that lasts until the close is whole only when the service says so (close_notify).
#[test]
fn an_answer_that_is_cut_never_passes_for_whole() {
    let authority = Authority::new("inside");
    let issued = authority.issue(&["127.0.0.1"]);
    let origin =
        Origin::builder().tls(Authority::server(&issued, None)).conversing(|request, conversation| {
            let _ = conversation.read_request();
            conversation.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhalf of it");
            if request.target == "/whole" {
                conversation.wire().half_close();
            }
            After::Close
        });
    let gateway = gateway(&origin, &authority, "ca: ca.pem");
    assert_eq!(gateway.get("/whole").text(), "half of it");
    let mut raw = testkit::client::Raw::connect(gateway.addr());
    assert!(raw.get("/cut").try_read_response().is_err());
    gateway.wait_for_log(|line| line["reason"] == "answer_cut");
}

/// A changed identity is another one: what rested under the old one is closed, not used.
#[test]
fn a_changed_identity_uses_no_connection_of_the_one_before() {
    let authority = Authority::new("inside");
    let origin = origin_with(&authority.issue(&["127.0.0.1"]), Some(&authority));
    let (first, second) = (authority.issue(&["first.internal"]), authority.issue(&["second.internal"]));
    let own = "ca: ca.pem, certificate: { cert: own.crt, key: own.key }";
    let gateway = Gateway::with_binary(env!("CARGO_BIN_EXE_tidegate"))
        .file("ca.pem", &authority.pem())
        .file("own.crt", &first.cert)
        .file("own.key", &first.key)
        .start(
            &config(&origin, own)
                .replace("connect_timeout: 5s", "connect_timeout: 5s, keep_alive: { idle: 1h }"),
        );
    assert_eq!((gateway.get("/").status, gateway.get("/").status), (200, 200));
    assert_eq!(origin.connections().len(), 1);
    // The files alone change: the watch notices.
    second.write(gateway.folder(), "own");
    gateway.wait_metric("tidegate_config_reloads_total{result=\"success\"}", |count| count == 1.0);
    assert_eq!(gateway.get("/").status, 200);
    assert_eq!(origin.connections().len(), 2);
    origin.wait_for_open_connections(1);
}

/// A name that a route asks for by its URL is verified like any other.
#[test]
fn a_route_that_names_a_url_verifies_too() {
    let authority = Authority::new("inside");
    let origin = origin_with(&authority.issue(&["127.0.0.1"]), None);
    let gateway = testkit::gateway!(
        "listen: 127.0.0.1:0\nadmin: {{ listen: 127.0.0.1:0 }}\nroutes: {{ /*: {{ to: \"{}\" }} }}\n",
        origin.url()
    );
    fails(&gateway, &origin, "target_certificate", "tls_certificate_error");
}
