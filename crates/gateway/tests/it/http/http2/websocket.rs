//! WebSockets over HTTP/2 (RFC 8441): an extended CONNECT becomes the handshake that services know, and the stream a
//! tunnel. The client's frames are made and read by tungstenite.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use h2::client::SendRequest;
use h2::ext::Protocol;
use h2::{RecvStream, SendStream};
use testkit::gateway::{Gateway, Signal};
use testkit::origin::{After, Origin, Reply, WebSocketEcho};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::wire::{END_STREAM, Ended, connect, ended, headers};
use super::{ask, converse, in_front_of, open, read, request};

/// The two halves of a stream as one stream of bytes.
struct Tunnel {
    receiving: RecvStream,
    sending: SendStream<Bytes>,
    rest: Bytes,
}

impl AsyncRead for Tunnel {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.rest.is_empty() {
            match ready!(self.receiving.poll_data(cx)) {
                Some(data) => self.rest = data.map_err(io::Error::other)?,
                None => return Poll::Ready(Ok(())),
            }
        }
        let part = self.rest.len().min(buffer.remaining());
        let part = self.rest.split_to(part);
        buffer.put_slice(&part);
        self.receiving.flow_control().release_capacity(part.len()).map_err(io::Error::other)?;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Tunnel {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.sending.reserve_capacity(bytes.len());
        while self.sending.capacity() == 0 {
            match ready!(self.sending.poll_capacity(cx)) {
                Some(room) => drop(room.map_err(io::Error::other)?),
                None => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            }
        }
        let room = self.sending.capacity().min(bytes.len());
        let sent = self.sending.send_data(Bytes::copy_from_slice(&bytes[..room]), false);
        Poll::Ready(sent.map(|()| room).map_err(io::Error::other))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.sending.send_data(Bytes::new(), true).map_err(io::Error::other))
    }
}

fn asking(protocol: &'static str, path: &str) -> http::Request<()> {
    request("CONNECT", path)
        .header("sec-websocket-version", "13")
        .header("sec-websocket-protocol", "chat")
        .extension(Protocol::from_static(protocol))
        .body(())
        .unwrap()
}

/// Asks for a WebSocket; gives the answer and the stream.
async fn ask_for(client: &SendRequest<Bytes>, path: &str) -> (http::Response<RecvStream>, SendStream<Bytes>) {
    let mut client = client.clone().ready().await.unwrap();
    assert!(client.is_extended_connect_protocol_enabled(), "the settings say that WebSockets may be opened");
    let (answer, sending) = client.send_request(asking("websocket", path), false).unwrap();
    (answer.await.unwrap(), sending)
}

async fn opened(client: &SendRequest<Bytes>, path: &str) -> Tunnel {
    let (answer, sending) = ask_for(client, path).await;
    assert_eq!(answer.status(), 200);
    Tunnel { receiving: answer.into_body(), sending, rest: Bytes::new() }
}

async fn socket(client: &SendRequest<Bytes>, path: &str) -> WebSocketStream<Tunnel> {
    WebSocketStream::from_raw_socket(opened(client, path).await, Role::Client, None).await
}

/// Waits until so many tunnels are open, while the client's connection goes on.
async fn until_open(gateway: &Gateway, wanted: f64) {
    while gateway.metric("tidegate_tunnels_open") != wanted {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A connection whose settings have come.
async fn ready_to_ask(gateway: &Gateway) -> super::Open {
    let opened = open(gateway.addr()).await;
    assert_eq!(ask(&opened.0, request("GET", "/"), b"").await.unwrap().status, 400, "a WebSocket is wanted");
    opened
}

#[test]
fn a_websocket_carries_messages_of_every_size_both_ways() {
    let origin = WebSocketEcho::start();
    let gateway = in_front_of(&origin, "");
    converse(async {
        let (client, _connection) = ready_to_ask(&gateway).await;
        let mut socket = socket(&client, "/ws?room=1").await;
        for size in [0, 1, 125, 126, 65_535, 65_536, 1 << 20] {
            let message = Message::binary((0..size).map(|nth: usize| (nth % 251) as u8).collect::<Vec<_>>());
            // Sent and read at the same time: a megabyte fits into no window.
            let (mut sink, mut stream) = socket.split();
            let (sent, back) = tokio::join!(sink.send(message.clone()), stream.next());
            sent.unwrap();
            assert!(back.unwrap().unwrap() == message, "{size}");
            socket = sink.reunite(stream).unwrap();
        }
        socket.send(Message::Ping("are you there".into())).await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap(), Message::Pong("are you there".into()));
        until_open(&gateway, 1.0).await;
        socket.close(None).await.unwrap();
        while let Some(message) = socket.next().await {
            assert!(message.unwrap().is_close());
        }
    });
    let seen = origin.requests().pop().unwrap();
    assert_eq!((seen.method.as_str(), seen.target.as_str()), ("GET", "/ws?room=1"));
    assert_eq!(seen.headers_named("upgrade"), ["websocket"]);
    assert_eq!(seen.headers_named("sec-websocket-key").len(), 1);
    assert_eq!(seen.headers_named("sec-websocket-protocol"), ["chat"]);
    assert_eq!((seen.header("host"), seen.header("via")), (Some("a.example"), Some("2.0 tidegate")));
    origin.wait_for_open_connections(0);
    origin.assert_clean();
    gateway.wait_metric("tidegate_tunnels_open", |open| open == 0.0);
    gateway.wait_metric("tidegate_upgrades_total", |count| count == 1.0);
    let line = gateway.wait_for_log(|line| line["upgraded"] == true);
    assert_eq!((&line["http"], &line["method"], &line["status"]), (&"2".into(), &"GET".into(), &200.into()));
    let carried = |name: &str| line[name].as_u64().unwrap();
    assert!(carried("bytes_in") > carried("bytes_out") && carried("bytes_out") > 1 << 20, "{line}");
}

/// F15: no byte of the tunnel goes up before the service has agreed; then all of them do.
#[test]
fn a_tunnel_carries_nothing_before_both_sides_agree() {
    let origin = Origin::conversing(|request, conversation| {
        if request.header("upgrade").is_none() {
            return WebSocketEcho::converse(request, conversation);
        }
        conversation.wire().set_read_timeout(Some(Duration::from_millis(200)));
        if conversation.wire().fill().is_ok() {
            conversation.write_head(500, &[("Content-Length", "0")]);
            return After::Close;
        }
        WebSocketEcho::converse(request, conversation)
    });
    let gateway = in_front_of(&origin, "");
    converse(async {
        let (client, _connection) = ready_to_ask(&gateway).await;
        let mut client = client.ready().await.unwrap();
        let (answer, mut sending) = client.send_request(asking("websocket", "/ws"), false).unwrap();
        sending.send_data(Bytes::from_static(b"\x81\x82\0\0\0\0hi"), false).unwrap();
        let answer = answer.await.unwrap();
        assert_eq!(answer.status(), 200);
        assert!(!answer.headers().contains_key("sec-websocket-accept"), "{:?}", answer.headers());
        let mut body = answer.into_body();
        assert_eq!(body.data().await.unwrap().unwrap(), b"\x81\x02hi"[..]);
    });
}

/// F15: what the client sent behind a WebSocket that was declined goes nowhere.
#[test]
fn a_declined_websocket_is_an_ordinary_answer() {
    let origin =
        Origin::answering(|_| Reply::status(403).body("no sockets here").header("X-Why", "no badge"));
    let gateway = in_front_of(&origin, "");
    converse(async {
        let (client, _connection) = open(gateway.addr()).await;
        assert_eq!(ask(&client, request("GET", "/"), b"").await.unwrap().status, 403);
        let mut ready = client.clone().ready().await.unwrap();
        let (answer, mut sending) = ready.send_request(asking("websocket", "/ws"), false).unwrap();
        sending.send_data(Bytes::from_static(b"GET /admin HTTP/1.1\r\nHost: a\r\n\r\n"), false).unwrap();
        let answer = answer.await.unwrap();
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["x-why"]),
            (403, &"no badge".parse().unwrap())
        );
        assert_eq!(read(answer).await.unwrap().text(), "no sockets here");
        assert_eq!(
            ask(&client, request("GET", "/"), b"").await.unwrap().status,
            403,
            "the connection goes on"
        );
    });
    assert!(!origin.received().contains("/admin"), "{}", origin.received());
    origin.assert_clean();
}

/// A client over HTTP/2 has no key to check the answer by: the gateway does it.
#[test]
fn an_agreement_that_is_none_is_a_fault_of_the_service() {
    let origin = Origin::conversing(|request, conversation| {
        if request.header("upgrade").is_none() {
            return WebSocketEcho::converse(request, conversation);
        }
        let wrong = [("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Accept", "AAAA")];
        conversation.write_head(101, &wrong);
        After::Close
    });
    let gateway = in_front_of(&origin, "");
    converse(async {
        let (client, _connection) = ready_to_ask(&gateway).await;
        assert_eq!(ask_for(&client, "/ws").await.0.status(), 502);
    });
    gateway.wait_for_log(|line| line["reason"] == "answer_unasked");
}

/// F16, F17: there is no other tunnel.
#[test]
fn other_protocols_and_plain_connect_are_refused() {
    let origin = WebSocketEcho::start();
    let gateway = in_front_of(&origin, "");
    converse(async {
        let (client, _connection) = ready_to_ask(&gateway).await;
        let seen = origin.requests().len();
        for protocol in ["connect-udp", "h2c", "WebSocket", "websocket "] {
            let mut client = client.clone().ready().await.unwrap();
            let (answer, _sending) = client.send_request(asking(protocol, "/ws"), false).unwrap();
            assert!(matches!(answer.await.unwrap().status().as_u16(), 400 | 405), "{protocol}");
        }
        let mut client = client.clone().ready().await.unwrap();
        let plain = http::Request::builder().method("CONNECT").uri("a.example:80").body(()).unwrap();
        let (answer, mut sending) = client.send_request(plain, false).unwrap();
        sending.send_data(Bytes::from_static(b"GET /admin HTTP/1.1\r\n\r\n"), false).unwrap();
        assert_eq!(answer.await.unwrap().status(), 405);
        assert_eq!(origin.requests().len(), seen);
    });
    let asked = |protocol: &'static str, path: &'static str| {
        [
            (":method", "CONNECT"),
            (":protocol", protocol),
            (":scheme", "http"),
            (":path", path),
            (":authority", "a"),
        ]
    };
    for fields in [
        asked("websocket", "a")[..].to_vec(),
        asked("websocket", "/a b")[..].to_vec(),
        asked("websocket", "*")[..].to_vec(),
        asked("websocket", "/")[..3].to_vec(),
        asked("websocket", "/")[..4].to_vec(),
        asked("web\r\nsocket", "/")[..].to_vec(),
        [&asked("websocket", "/")[..], &[("content-length", "5")]].concat(),
        [&asked("websocket", "/")[..], &[("upgrade", "websocket")]].concat(),
    ] {
        let mut client = connect(&gateway);
        client.send(headers(&fields, END_STREAM, 1));
        let how = ended(&mut client);
        assert!(matches!(how, Ended::Reset(_) | Ended::Answer(400 | 405)), "{fields:?}: {how:?}");
    }
    assert!(!origin.received().contains("/admin"), "{}", origin.received());
}

#[test]
fn a_tunnel_ends_on_both_sides_when_either_goes() {
    let origin = WebSocketEcho::start();
    let gateway = in_front_of(&origin, "");
    converse(async {
        let (client, _connection) = ready_to_ask(&gateway).await;
        let mut leaving = opened(&client, "/ws").await;
        until_open(&gateway, 1.0).await;
        leaving.sending.send_reset(h2::Reason::CANCEL);
        until_open(&gateway, 0.0).await;
        // The end of what the client sends is the end of a connection to the service, which then ends too.
        let mut ending = opened(&client, "/ws").await;
        ending.sending.send_data(Bytes::new(), true).unwrap();
        while let Some(data) = ending.receiving.data().await {
            assert!(data.expect("an end in good order").is_empty());
        }
        until_open(&gateway, 0.0).await;
        assert_eq!(
            ask(&client, request("GET", "/"), b"").await.unwrap().status,
            400,
            "the connection goes on"
        );
        let mut staying = socket(&client, "/ws").await;
        staying.send(Message::text("hello")).await.unwrap();
        assert_eq!(staying.next().await.unwrap().unwrap(), Message::text("hello"));
        drop(origin);
        assert!(staying.next().await.is_none_or(|message| message.is_err()));
    });
    gateway.wait_metric("tidegate_tunnels_open", |open| open == 0.0);
}

/// A tunnel is bounded by silence in both directions, as over HTTP/1.1, and by nothing that bounds bodies.
#[test]
fn a_silent_tunnel_ends_and_a_long_one_does_not() {
    let origin = WebSocketEcho::start();
    let gateway = in_front_of(&origin, "timeouts: { body_idle: 2s, min_body_rate: 1MiB }");
    converse(async {
        let (client, _connection) = ready_to_ask(&gateway).await;
        let mut socket = socket(&client, "/ws").await;
        for _ in 0..20 {
            tokio::time::sleep(Duration::from_millis(150)).await;
            socket.send(Message::text("slow and yet alive")).await.unwrap();
            assert!(socket.next().await.unwrap().unwrap().is_text());
        }
    });
}

/// A connection that is drained says farewell; its tunnel goes on until its own end.
#[test]
fn a_tunnel_outlives_the_farewell_of_its_connection() {
    let origin = WebSocketEcho::start();
    let mut gateway = in_front_of(&origin, "drain: { timeout: 60s, spread: 50ms }");
    converse(async {
        let (client, connection) = ready_to_ask(&gateway).await;
        let mut socket = socket(&client, "/ws").await;
        gateway.signal(Signal::TERM);
        while client.clone().ready().await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        socket.send(Message::text("still")).await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap(), Message::text("still"));
        socket.close(None).await.unwrap();
        while socket.next().await.is_some_and(|message| message.is_ok()) {}
        drop((client, socket));
        connection.await.unwrap().unwrap();
    });
    assert!(gateway.wait_for_end().success());
}
