//! Clients of HTTP/2 that are slow: in their preface, their heads, their bodies, and in taking answers (R1 to R3).

use std::time::Duration;

use testkit::PATIENCE;
use testkit::client::Raw;
use testkit::gateway::Gateway;
use testkit::origin::{Origin, Reply};
use testkit::tls::Authority;

use super::in_front_of;
use super::wire::{
    END_STREAM, Ended, GET, POST, PREFACE, block, code, connect, connect_tls, ended, farewell, frame,
    headers, kind, memory, window, with_settings,
};

const SLOW: &str = "tidegate_http2_connections_ended_total{reason=\"too_slow\"}";

/// What comes within a moment.
fn soon(client: &mut Raw) -> Ended {
    client.wire().set_read_timeout(Some(Duration::from_millis(50)));
    let how = ended(client);
    client.wire().set_read_timeout(Some(PATIENCE));
    how
}

/// R1: what is not a whole preface in time is told so, in the words of the version that it began with.
#[test]
fn a_preface_that_never_ends_is_let_go() {
    let origin = Origin::start();
    let gateway = in_front_of(&origin, "timeouts: { head: 500ms, keep_alive: 60s }");
    for begun in [&PREFACE[..4], &PREFACE[..23]] {
        let mut client = Raw::connect(gateway.addr());
        client.send(begun);
        let how = ended(&mut client);
        assert!(how.says(code::ENHANCE_YOUR_CALM), "{how:?}");
    }
    gateway.wait_metric(SLOW, |count| count == 2.0);
    // Not yet another version than HTTP/1.1.
    for begun in ["P", "PR", "PRI"] {
        let mut client = Raw::connect(gateway.addr());
        client.send(begun);
        assert_eq!(client.read_response().status, 408, "{begun}");
    }
    gateway.wait_for_log(|line| line["status"] == 408);
}

/// R1: a head byte by byte, a head in endless pieces, half a frame of another kind.
#[test]
fn a_head_that_never_ends_is_let_go_and_others_are_served() {
    let origin = Origin::start();
    let gateway = in_front_of(&origin, "timeouts: { head: 500ms, keep_alive: 60s }");
    let whole = headers(&GET, END_STREAM, 1);
    let unended = frame(kind::HEADERS, END_STREAM, 1, &block(&GET));
    let half_ping = frame(kind::PING, 0, 0, &[0; 8])[..12].to_vec();
    for (number, bytes) in [&whole[..whole.len() - 1], &unended, &half_ping].into_iter().enumerate() {
        let mut client = connect(&gateway);
        client.send(bytes);
        let how = farewell(&mut client);
        assert!(how.says(code::ENHANCE_YOUR_CALM), "{how:?}");
        gateway.wait_metric(SLOW, |count| count == number as f64 + 1.0);
    }
    let mut client = connect(&gateway);
    let mut bytes = whole.iter();
    // Each byte comes soon after the last; all of them do not come in time.
    let how = loop {
        match (soon(&mut client), bytes.next()) {
            (Ended::TimedOut, Some(byte)) => drop(client.send([*byte])),
            (how, _) => break how,
        }
    };
    assert!(how.says(code::ENHANCE_YOUR_CALM), "{how:?}");
    assert_eq!(gateway.get("/").status, 200);
    assert_eq!(origin.requests().len(), 1);
}

/// R1, R4: under TLS too.
#[test]
fn under_tls_a_slow_beginning_is_let_go() {
    let origin = Origin::start();
    let authority = Authority::new("the tests");
    let issued = authority.issue(&["shop.test"]);
    let launch = Gateway::with_binary(env!("CARGO_BIN_EXE_tidegate"));
    let launch = launch.file("shop.crt", &issued.cert).file("shop.key", &issued.key);
    let gateway = launch.start(&format!(
        r#"
listeners: {{ web: {{ address: 127.0.0.1:0, tls: {{ certificates: {{ cert: shop.crt, key: shop.key }} }} }} }}
timeouts: {{ head: 500ms, keep_alive: 60s }}
admin: {{ listen: 127.0.0.1:0 }}
services: {{ app: "{}" }}
routes: {{ /*: {{ to: app }} }}
"#,
        origin.url()
    ));
    let config = authority.client(None);
    let mut client = connect_tls(&gateway, &config, "shop.test");
    client.send(&headers(&GET, END_STREAM, 1)[..20]);
    let how = farewell(&mut client);
    assert!(how.says(code::ENHANCE_YOUR_CALM), "{how:?}");
    let mut config = config.clone();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let mut client = Raw::connect_tls(gateway.addr(), &std::sync::Arc::new(config), "shop.test");
    client.send(&PREFACE[..10]);
    let how = farewell(&mut client);
    assert!(how.says(code::ENHANCE_YOUR_CALM), "{how:?}");
    gateway.wait_metric(SLOW, |count| count == 2.0);
}

/// R2: a body that is not silent and yet slower than the least rate.
#[test]
fn a_body_that_drips_is_refused() {
    let origin = Origin::start();
    let gateway = in_front_of(&origin, "timeouts: { body_idle: 400ms, min_body_rate: 1MiB }");
    let mut client = connect(&gateway);
    client.send(headers(&POST, 0, 1));
    let how = loop {
        match soon(&mut client) {
            Ended::TimedOut => drop(client.send(frame(kind::DATA, 0, 1, b"x"))),
            how => break how,
        }
    };
    assert_eq!(how, Ended::Answer(408));
    gateway.wait_for_log(|line| line["reason"] == "body_timeout" && line["http"] == "2");
}

/// R3: a client that keeps its windows shut but for a byte now and then is let go, and what waited for it is small.
#[test]
fn an_answer_taken_byte_by_byte_is_reset() {
    let origin = Origin::answering(|_| Reply::ok(vec![b'x'; 10 << 20]));
    let gateway = in_front_of(&origin, "timeouts: { write_idle: 2s }");
    let begin = || {
        let mut client = with_settings(&gateway, &[(4, 1)]);
        client.send(headers(&GET, END_STREAM, 1));
        assert_eq!(ended(&mut client), Ended::Answer(200));
        client
    };
    // What the first ones make once is not counted.
    drop((0..20).map(|_| begin()).collect::<Vec<_>>());
    let before = memory(&gateway);
    let mut held: Vec<Raw> = (0..20).map(|_| begin()).collect();
    let grown = memory(&gateway) - before;
    assert!(grown <= 20.0 * 0.25, "{grown} MiB for twenty answers of 10 MiB");
    let how = loop {
        match soon(&mut held[19]) {
            Ended::TimedOut => drop(held[19].send(window(1, 1))),
            how => break how,
        }
    };
    assert!(matches!(how, Ended::Reset(_)), "{how:?}");
    gateway.wait_for_log(|line| line["reason"] == "client_stalled");
}

/// R3: one that does not read its connection at all.
#[test]
fn a_connection_that_is_not_read_ends() {
    let origin = Origin::answering(|_| Reply::ok(vec![b'x'; 10 << 20]));
    let gateway = in_front_of(&origin, "timeouts: { write_idle: 800ms }");
    let mut client = with_settings(&gateway, &[(4, 0x7fff_ffff)]);
    client.send(window(0, 0x7ff0_0000));
    for stream in [1, 3, 5] {
        client.send(headers(&GET, END_STREAM, stream));
    }
    gateway.wait_metric("tidegate_http2_connections_active", |open| open == 0.0);
    gateway.wait_for_log(|line| line["status"] == 499 || line["fault"].is_string());
    drop(client);
}
