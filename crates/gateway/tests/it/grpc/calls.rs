//! The four kinds of call, their metadata, deadlines and ends.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use testkit::event::eventually;
use tonic::codegen::tokio_stream::{self, StreamExt};
use tonic::{Code, Request};

use super::service::Plain;
use super::{client, in_front_of, method, start};
use crate::http::http2::{ask, converse, open, request};
use crate::upstream::http2::origin::{Service, Stream};

const MESSAGES: usize = 10_000;

fn messages(count: usize) -> impl tokio_stream::Stream<Item = Bytes> {
    tokio_stream::iter((0..count).map(|nth| Bytes::from(format!("message {nth}"))))
}

#[test]
fn a_unary_call_crosses_with_its_metadata() {
    let service = start();
    let gateway = in_front_of(&service, "");
    converse(async {
        let mut grpc = client(&gateway).await;
        let mut request = Request::new(Bytes::from_static(b"hello"));
        request.metadata_mut().insert("x-asked", "how".parse().unwrap());
        request.metadata_mut().insert_bin("x-raw-bin", tonic::metadata::MetadataValue::from_bytes(&[0, 255]));
        let answer = grpc.unary(request, method("/echo.Echo/Unary"), Plain).await.unwrap();
        assert_eq!(&answer.get_ref()[..], b"hello");
        assert_eq!(answer.metadata().get("x-seen").unwrap(), "yes");
    });
    let (_, asked) = service.state.calls.all()[0].clone();
    assert_eq!((&asked["x-asked"], &asked["te"]), (&"how".parse().unwrap(), &"trailers".parse().unwrap()));
    assert_eq!(asked["content-type"], "application/grpc");
    assert_eq!(asked["x-raw-bin"], "AP8");
    let line = gateway.wait_for_log(|line| line["path"] == "/echo.Echo/Unary");
    assert_eq!((&line["status"], &line["grpc_status"]), (&200.into(), &0.into()), "{line}");
}

#[test]
fn an_error_is_one_to_its_client() {
    let service = start();
    let gateway = in_front_of(&service, "");
    converse(async {
        let mut grpc = client(&gateway).await;
        let mut failing = Request::new(Bytes::new());
        failing.metadata_mut().insert("x-fail", "please".parse().unwrap());
        let status = grpc.unary(failing, method("/echo.Echo/Unary"), Plain).await.unwrap_err();
        assert_eq!((status.code(), status.message()), (Code::FailedPrecondition, "the door is closed: ä"));
        assert_eq!(status.metadata().get("x-why").unwrap(), "locked");
        grpc.ready().await.unwrap();
        let status =
            grpc.unary(Request::new(Bytes::new()), method("/echo.Echo/Other"), Plain).await.unwrap_err();
        assert_eq!(status.code(), Code::Unimplemented);
        // The head is all there is, and the stream ends with it.
        let (raw, _connection) = open(gateway.addr()).await;
        let mut ready = raw.clone().ready().await.unwrap();
        let call = request("POST", "/echo.Echo/Other").header("content-type", "application/grpc").body(());
        let (answer, _sending) = ready.send_request(call.unwrap(), true).unwrap();
        let answer = answer.await.unwrap();
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["grpc-status"]),
            (200, &"12".parse().unwrap())
        );
        assert!(answer.body().is_end_stream(), "only a head");
        assert!(!answer.headers().contains_key("content-length"));
    });
    gateway.wait_for_log(|line| line["grpc_status"] == 9);
    gateway.wait_for_log(|line| line["grpc_status"] == 12);
}

#[test]
fn ten_thousand_messages_go_up_and_ten_thousand_come_down() {
    let service = start();
    let gateway = in_front_of(&service, "");
    converse(async {
        let mut grpc = client(&gateway).await;
        let bytes: usize = (0..MESSAGES).map(|nth| format!("message {nth}").len()).sum();
        let collected = grpc
            .client_streaming(Request::new(messages(MESSAGES)), method("/echo.Echo/Collect"), Plain)
            .await
            .unwrap();
        assert_eq!(collected.into_inner(), format!("{MESSAGES} {bytes}"));
        let count = Bytes::from(MESSAGES.to_string());
        grpc.ready().await.unwrap();
        let mut repeated = grpc
            .server_streaming(Request::new(count), method("/echo.Echo/Repeat"), Plain)
            .await
            .unwrap()
            .into_inner();
        let mut seen = 0;
        while let Some(message) = repeated.next().await {
            assert_eq!(message.unwrap(), format!("message {seen}"));
            seen += 1;
        }
        assert_eq!(seen, MESSAGES);
    });
}

#[test]
fn both_sides_speak_at_once_and_one_may_fall_silent_first() {
    let service = start();
    let gateway = in_front_of(&service, "");
    converse(async {
        let mut grpc = client(&gateway).await;
        let mut chat = grpc
            .streaming(Request::new(messages(MESSAGES)), method("/echo.Echo/Chat"), Plain)
            .await
            .unwrap()
            .into_inner();
        let mut seen = 0;
        while let Some(message) = chat.next().await {
            let message = message.unwrap();
            // The last one comes after the client has ended its side.
            let wanted = if seen == MESSAGES { "farewell".to_owned() } else { format!("message {seen}") };
            assert_eq!(message, wanted);
            seen += 1;
        }
        assert_eq!(seen, MESSAGES + 1);
        // Each message is there before the next is sent: nothing is held back.
        grpc.ready().await.unwrap();
        let (sender, receiver) = tokio::sync::mpsc::channel::<Bytes>(1);
        let mut chat = grpc
            .streaming(Request::new(Received(receiver)), method("/echo.Echo/Chat"), Plain)
            .await
            .unwrap()
            .into_inner();
        for nth in 0..100 {
            sender.send(Bytes::from(format!("ping {nth}"))).await.unwrap();
            assert_eq!(chat.next().await.unwrap().unwrap(), format!("ping {nth}"));
        }
        drop(sender);
        assert_eq!(chat.next().await.unwrap().unwrap(), "farewell");
        assert!(chat.next().await.is_none());
    });
}

struct Received(tokio::sync::mpsc::Receiver<Bytes>);

impl tokio_stream::Stream for Received {
    type Item = Bytes;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Bytes>> {
        self.0.poll_recv(cx)
    }
}

/// A call in which one side, or both, rest longer than a body may: it lasts as long as `idle_timeout` lets it.
#[test]
fn a_call_may_rest_longer_than_a_body() {
    let service = start();
    let gateway = testkit::gateway!(
        r#"
listeners: {{ web: {{ address: "127.0.0.1:0", http2: true, timeouts: {{ body_idle: 50ms }} }} }}
admin: {{ listen: 127.0.0.1:0 }}
services:
  echo: {{ targets: "{}", protocol: http2, idle_timeout: 3s }}
routes:
  /*: {{ to: echo }}
"#,
        service.url
    );
    converse(async {
        let mut grpc = client(&gateway).await;
        grpc.ready().await.unwrap();
        let (sender, receiver) = tokio::sync::mpsc::channel::<Bytes>(1);
        let mut chat = grpc
            .streaming(Request::new(Received(receiver)), method("/echo.Echo/Chat"), Plain)
            .await
            .unwrap()
            .into_inner();
        for _ in 0..3 {
            sender.send(Bytes::from_static(b"still there")).await.unwrap();
            assert_eq!(chat.next().await.unwrap().unwrap(), "still there");
            tokio::time::sleep(Duration::from_millis(150)).await;
        }
        // Silence of both sides ends it.
        assert!(chat.next().await.unwrap().is_err());
    });
}

#[test]
fn the_clients_deadline_is_the_routes_and_reaches_the_service() {
    // This one keeps no deadline, unlike a server of `tonic`.
    let told = Arc::new(Mutex::new(Vec::new()));
    let heard = told.clone();
    let service = Service::start(move |stream: Stream| {
        heard.lock().unwrap().push(stream.request.headers()["grpc-timeout"].clone());
        async move {
            let _ = stream.given_up().await;
        }
    });
    let gateway = crate::upstream::http2::in_front_of(&service, "");
    converse(async {
        let (raw, _connection) = open(gateway.addr()).await;
        let call = request("POST", "/echo.Echo/Never")
            .header("content-type", "application/grpc+proto")
            .header("grpc-timeout", "300m");
        let late = ask(&raw, call, b"\0\0\0\0\0").await.unwrap();
        assert_eq!((late.status, late.headers["grpc-status"].to_str().unwrap()), (200, "4"));
        assert_eq!(late.headers["content-type"], "application/grpc");
    });
    let told = told.lock().unwrap()[0].to_str().unwrap().to_owned();
    let micros: u64 = told.strip_suffix('u').unwrap().parse().unwrap();
    assert!(micros < 300_000, "{told}");
    gateway.wait_for_log(|line| line["reason"] == "timeout" && line["grpc_status"] == 4);
}

#[test]
fn a_call_that_its_client_gives_up_ends_at_the_service() {
    let service = start();
    let gateway = in_front_of(&service, "");
    converse(async {
        let mut grpc = client(&gateway).await;
        let mut call = tokio::spawn(async move {
            let _ = grpc.unary(Request::new(Bytes::new()), method("/echo.Echo/Never"), Plain).await;
        });
        while service.state.calls.all().is_empty() {
            let _ = tokio::time::timeout(Duration::from_millis(1), &mut call).await;
        }
        call.abort();
        let _ = call.await;
    });
    eventually("the call to be given up", || {
        (service.state.given_up.load(Ordering::SeqCst) == 1).then_some(())
    });
    gateway.wait_for_log(|line| line["fault"] == "client_gone");
}
