//! Switching protocols: WebSocket tunnels open when both sides agree, and nothing else does (F15 to F17).

use std::time::Duration;

use testkit::client::{Frame, Raw, WebSocket};
use testkit::gateway::Gateway;
use testkit::origin::{After, Origin, Reply, WebSocketEcho};

use crate::setup::{in_front_of, refuse};

/// A gateway whose `/admin` nobody may enter, in front of the origin.
fn guarded(origin: &Origin) -> Gateway {
    testkit::gateway!(
        r#"
listen: 127.0.0.1:0
admin: {{ listen: 127.0.0.1:0 }}
services: {{ app: "{app}" }}
routes:
  /*: {{ to: app }}
  /admin: {{ respond: {{ status: 403, body: closed }} }}
"#,
        app = origin.url()
    )
}

/// F15: an upgrade that is not forwarded leaves an ordinary request, and so is the next one.
#[test]
fn bytes_behind_a_foreign_upgrade_are_a_request_of_their_own() {
    let origin = Origin::start();
    let gateway = guarded(&origin);
    let mut client = Raw::connect(gateway.addr());
    client.send(
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: foo\r\n\r\n\
         GET /admin HTTP/1.1\r\nHost: a\r\n\r\n",
    );
    assert_eq!(client.read_response().status, 200);
    assert_eq!(client.read_response().text(), "closed");
    assert_eq!(origin.only_request().header("upgrade"), None);
    origin.assert_clean();
}

/// F15: when the origin declines a WebSocket, what the client sent behind its handshake is a request.
#[test]
fn bytes_behind_a_declined_websocket_are_a_request_of_their_own() {
    let origin = Origin::answering(|_| Reply::ok("no sockets here"));
    let gateway = guarded(&origin);
    let mut client = Raw::connect(gateway.addr());
    client.send(
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n\
         GET /admin HTTP/1.1\r\nHost: a\r\n\r\n",
    );
    let first = client.read_response();
    assert_eq!((first.status, first.text().as_str()), (200, "no sockets here"));
    if !first.says_close() {
        assert_eq!(client.read_response().text(), "closed");
    }
    assert!(!origin.received().contains("/admin"), "{}", origin.received());
    origin.assert_clean();
}

/// F15: no byte of the tunnel goes up before the origin has said 101; then all of them do.
#[test]
fn a_tunnel_carries_nothing_before_both_sides_agree() {
    let origin = Origin::conversing(|request, conversation| {
        conversation.wire().set_read_timeout(Some(Duration::from_millis(200)));
        if conversation.wire().fill().is_ok() {
            conversation.write_head(500, &[("Content-Length", "0")]);
            return After::Close;
        }
        WebSocketEcho::converse(request, conversation)
    });
    let gateway = in_front_of(&origin);
    let mut client = Raw::connect(gateway.addr());
    client.send(
        "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    );
    client.send(b"\x81\x82\0\0\0\0hi");
    assert_eq!(client.read_head().status, 101);
    assert_eq!(client.read_exact(4), b"\x81\x02hi");
}

/// F16: no tunnel to anywhere on the client's word; TRACE is not forwarded either.
#[test]
fn connect_and_trace_are_refused() {
    let origin = Origin::start();
    let gateway = in_front_of(&origin);
    for bytes in [
        "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\nGET /admin HTTP/1.1\r\nHost: a\r\n\r\n",
        "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\nContent-Length: 5\r\n\r\nhello",
    ] {
        refuse(&gateway, &origin, bytes, 405);
    }
    for target in ["a", "/"] {
        let bytes = format!("CONNECT {target} HTTP/1.1\r\nHost: a\r\n\r\n");
        let answer = Raw::connect(gateway.addr()).send(bytes).read_response();
        assert!([400, 405].contains(&answer.status), "{target}: {}", answer.status);
    }
    let answer = Raw::connect(gateway.addr()).request("TRACE", "/", &[], b"").read_response();
    assert_eq!(answer.status, 405);
    assert_eq!(origin.requests(), []);
}

/// F17: h2c is not for gateways.
#[test]
fn an_upgrade_to_h2c_is_taken_off() {
    let origin = Origin::start();
    let gateway = in_front_of(&origin);
    for upgrade in ["h2c", "foo, h2c", "H2C"] {
        let answer = Raw::connect(gateway.addr())
            .send(format!(
                "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: {upgrade}\r\n\
                 HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\nConnection: Upgrade, HTTP2-Settings\r\n\r\n"
            ))
            .read_response();
        assert_eq!((answer.status, answer.header("upgrade")), (200, None), "{upgrade}");
    }
    let seen = origin.received().to_ascii_lowercase();
    assert!(!seen.contains("h2c") && !seen.contains("http2-settings"), "{seen}");
    origin.assert_clean();
}

#[test]
fn a_websocket_carries_messages_of_every_size_both_ways() {
    let origin = WebSocketEcho::start();
    let gateway = in_front_of(&origin);
    let mut socket = WebSocket::connect(gateway.addr(), "/ws?room=1");
    socket.expect_echo("hello");
    for size in [0, 125, 126, 65_535, 1 << 20] {
        let frame = Frame::Binary(vec![b'x'; size]);
        socket.send(&frame);
        assert_eq!(socket.read(), frame);
    }
    socket.send(&Frame::Ping(b"are you there".to_vec()));
    assert_eq!(socket.read(), Frame::Pong(b"are you there".to_vec()));
    socket.close();
    origin.wait_for_open_connections(0);
    let line = gateway.wait_for_log(|line| line["upgraded"] == true);
    let carried = |name: &str| line[name].as_u64().unwrap();
    assert!(carried("bytes_in") > carried("bytes_out") && carried("bytes_out") > 1 << 20, "{line}");
    assert_eq!(origin.only_request().target, "/ws?room=1");
    origin.assert_clean();
}

#[test]
fn a_tunnel_ends_on_both_sides_when_either_goes() {
    let origin = WebSocketEcho::start();
    let gateway = in_front_of(&origin);
    let mut leaving = WebSocket::connect(gateway.addr(), "/ws");
    leaving.expect_echo("hello");
    drop(leaving);
    origin.wait_for_open_connections(0);
    let mut staying = WebSocket::connect(gateway.addr(), "/ws");
    staying.expect_echo("hello");
    drop(origin);
    assert!(staying.try_read().is_err());
}

#[test]
fn a_refused_handshake_is_an_ordinary_answer() {
    let origin = Origin::answering(|_| Reply::status(401).body("who are you").header("X-Why", "no badge"));
    let gateway = in_front_of(&origin);
    let answer = WebSocket::try_connect(gateway.addr(), "/ws", &[]).err().unwrap();
    assert_eq!((answer.status, answer.header("x-why")), (401, Some("no badge")));
    let request = origin.only_request();
    assert_eq!(request.header("sec-websocket-version"), Some("13"));
    origin.assert_clean();
}
