//! Where the gateway answers a call itself: a status of gRPC, and never a page. Checks of health by gRPC.

use bytes::Bytes;
use testkit::client;
use tonic::{Code, Request};

use super::service::Plain;
use super::{in_front_of, method, start};
use crate::http::http2::{ask, converse, open, request};

#[test]
fn every_fault_is_a_status() {
    let service = start();
    let gateway = in_front_of(&service, "");
    converse(async {
        let mut grpc = super::client(&gateway).await;
        for (path, code, message) in [
            ("/none.None/Such", Code::Unimplemented, "no route matches this host and path"),
            ("/lost.Lost/Call", Code::Unavailable, "the service cannot be reached"),
            ("/shut.Shut/Call", Code::PermissionDenied, ""),
            ("/keyed.Keyed/Call", Code::Unauthenticated, ""),
        ] {
            grpc.ready().await.unwrap();
            let status = grpc.unary(Request::new(Bytes::new()), method(path), Plain).await.unwrap_err();
            assert_eq!(status.code(), code, "{path}: {status:?}");
            assert!(status.message().contains(message) && !status.message().is_empty(), "{path}: {status:?}");
            assert!(status.metadata().contains_key("x-request-id"), "{path}: {status:?}");
        }
        // On the wire: one head that ends its stream.
        let (raw, _connection) = open(gateway.addr()).await;
        let mut ready = raw.clone().ready().await.unwrap();
        let call = request("POST", "/none.None/Such").header("content-type", "application/grpc").body(());
        let (answer, _sending) = ready.send_request(call.unwrap(), true).unwrap();
        let answer = answer.await.unwrap();
        assert!(answer.body().is_end_stream());
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["grpc-status"]),
            (200, &"12".parse().unwrap())
        );
        assert!(!answer.headers().contains_key("content-length"), "{answer:?}");
        // What is no call is answered as before.
        let page = ask(&raw, request("GET", "/none"), b"").await.unwrap();
        assert_eq!((page.status, page.headers.contains_key("grpc-status")), (404, false));
    });
    let headers = [("Content-Type", "application/grpc+proto"), ("Accept", "text/html")];
    let answer = client::request(gateway.addr(), "POST", "/none.None/Such", &headers, b"");
    assert_eq!((answer.status, answer.header("grpc-status")), (200, Some("12")));
    assert_eq!((answer.header("content-type"), answer.text().as_str()), (Some("application/grpc"), ""));
    let line = gateway.wait_for_log(|line| line["path"] == "/keyed.Keyed/Call");
    assert_eq!((&line["grpc_status"], &line["refused_by"]), (&16.into(), &"api_key".into()), "{line}");
}

#[test]
fn limits_answer_calls_as_calls() {
    let service = start();
    let gateway = in_front_of(&service, ", rate_limit: 1/h");
    converse(async {
        let mut grpc = super::client(&gateway).await;
        let mut call = async || {
            grpc.ready().await.unwrap();
            grpc.unary(Request::new(Bytes::new()), method("/echo.Echo/Unary"), Plain).await
        };
        assert!(call().await.is_ok());
        let status = call().await.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable);
        assert!(status.metadata().contains_key("retry-after"), "{status:?}");
    });
}

#[test]
fn checks_of_health_are_calls() {
    let service = start();
    for (asked, good) in [("true", true), ("echo.Echo", true), ("other.Other", false)] {
        let gateway = testkit::gateway!(
            r#"
listen: 127.0.0.1:0
admin: {{ listen: 127.0.0.1:0 }}
services:
  echo: {{ targets: "{url}", protocol: http2, health_check: {{ grpc: {asked}, interval: 100ms }} }}
routes:
  /*: {{ to: echo }}
"#,
            url = service.url
        );
        let selector = |good: bool| {
            let result = if good { "good" } else { "failed" };
            format!("tidegate_health_checks_total{{result=\"{result}\"}}")
        };
        gateway.wait_metric(&selector(good), |count| count >= 1.0);
        assert_eq!(gateway.metric(&selector(!good)), 0.0, "{asked}");
    }
}
