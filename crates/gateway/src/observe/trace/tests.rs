//! Spans on their way to a collector that is a thread of the test.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc::{Receiver, channel};
use std::time::SystemTime;

use http1::Method;
use serde_json::Value as Json;

use super::*;
use crate::fault::Fault;

/// What one export brought.
struct Export {
    head: String,
    body: Vec<u8>,
}

/// A collector that answers with these statuses, one for each export, and then is gone.
fn collector(statuses: &'static [u16]) -> (SocketAddr, Receiver<Export>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (send, exports) = channel();
    std::thread::spawn(move || {
        for status in statuses {
            let (mut stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                reader.read_line(&mut head).unwrap();
            }
            let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).unwrap();
            let mut body = vec![0; length.parse().unwrap()];
            reader.read_exact(&mut body).unwrap();
            stream.write_all(format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n").as_bytes()).unwrap();
            send.send(Export { head, body }).unwrap();
        }
    });
    (address, exports)
}

fn tracer(collector: SocketAddr, more: &[(&str, &str)]) -> Arc<Tracer> {
    let endpoint = format!("http://{collector}");
    let environment = |name: &str| match name {
        "OTEL_EXPORTER_OTLP_ENDPOINT" => Some(endpoint.clone()),
        name => more.iter().find(|(own, _)| *own == name).map(|(_, value)| (*value).to_owned()),
    };
    Tracer::from_environment(environment, Redaction::default()).unwrap()
}

fn exchange() -> Exchange {
    let trace = Trace { trace_id: 0xabc, parent_id: 7, span_id: 9, sampled: true };
    let mut exchange = Exchange { trace, ..Exchange::default() };
    exchange.host.extend_from_slice(b"shop.example");
    exchange.path.extend_from_slice(b"/orders/17");
    exchange.query.extend_from_slice(b"token=SECRET&a=1");
    exchange.record.target.extend_from_slice(b"/orders/17?token=SECRET&a=1");
    exchange.record.route = Some(0);
    exchange.record.started_at = SystemTime::UNIX_EPOCH + Duration::from_secs(1000);
    exchange.record.endpoint = Some(SocketAddr::from(([10, 0, 0, 1], 8000)));
    (exchange.record.sent, exchange.record.answered) =
        (Some(Duration::from_millis(1)), Some(Duration::from_millis(5)));
    (exchange.record.finished, exchange.record.status) = (Duration::from_millis(6), 200);
    exchange
}

const LABELS: Labels<'_> =
    Labels { route: "GET /orders/*", service: "orders", revision: 3, listener: "public" };

fn spans(export: &Export) -> Vec<Json> {
    let body: Json = serde_json::from_slice(&export.body).unwrap();
    body["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap().clone()
}

fn attribute<'a>(span: &'a Json, key: &str) -> &'a Json {
    let all = span["attributes"].as_array().unwrap();
    let found = all.iter().find(|attribute| attribute["key"] == key).unwrap_or(&Json::Null);
    let value = &found["value"];
    if value["stringValue"].is_null() { &value["intValue"] } else { &value["stringValue"] }
}

#[test]
fn an_exchange_gives_a_server_span_and_within_it_a_client_span() {
    let (address, exports) = collector(&[200]);
    let tracer = tracer(
        address,
        &[
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "x-key=1"),
            ("OTEL_SERVICE_NAME", "edge"),
        ],
    );
    tracer.finish(&exchange(), &LABELS);
    assert!(tracer.close(Duration::from_secs(30)));
    let export = exports.recv().unwrap();
    assert!(export.head.starts_with("POST /v1/traces HTTP/1.1\r\n"), "{}", export.head);
    assert!(export.head.contains("\r\nx-key: 1\r\n") && export.head.contains("application/json"));
    let text = String::from_utf8(export.body.clone()).unwrap();
    assert!(text.contains(r#""service.name","value":{"stringValue":"edge"}"#), "{text}");
    assert!(!text.contains("SECRET"), "{text}");
    let [server, client] = &spans(&export)[..] else { panic!("{text}") };
    assert_eq!((&server["kind"], &client["kind"]), (&Json::from(2), &Json::from(3)));
    assert_eq!(server["traceId"], "00000000000000000000000000000abc");
    assert_eq!(server["parentSpanId"], "0000000000000007");
    assert_eq!(client["parentSpanId"], server["spanId"]);
    assert_eq!(client["spanId"], "0000000000000009", "the service was told this id as its parent");
    assert_eq!((&server["name"], &client["name"]), (&"GET /orders/*".into(), &"GET".into()));
    assert_eq!(server["startTimeUnixNano"], "1000000000000");
    assert_eq!(client["endTimeUnixNano"], "1000006000000");
    for (key, value) in [
        ("http.route", "/orders/*"),
        ("url.path", "/orders/17"),
        ("url.query", "token=***&a=1"),
        ("http.response.status_code", "200"),
        ("server.address", "shop.example"),
        ("tidegate.service", "orders"),
    ] {
        assert_eq!(attribute(server, key), value, "{key}");
    }
    assert_eq!(attribute(client, "url.full"), "http://10.0.0.1:8000/orders/17?token=***&a=1");
    assert_eq!((tracer.exported(), tracer.dropped()), (2, 0));
}

#[test]
fn a_failed_exchange_says_why() {
    let (address, exports) = collector(&[200]);
    let tracer = tracer(address, &[("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json")]);
    let mut failed = exchange();
    (failed.record.answered, failed.record.status) = (None, 502);
    failed.record.fault = Some(Fault::NoAnswer);
    failed.record.method = Method::Other;
    tracer.finish(&failed, &LABELS);
    let mut lost = Exchange::default();
    (lost.record.fault, lost.record.status) = (Some(Fault::NoRoute), 404);
    tracer.finish(&lost, &Labels { route: "none", service: "", ..LABELS });
    assert!(tracer.close(Duration::from_secs(30)));
    let [server, client, lost] = &spans(&exports.recv().unwrap())[..] else { panic!() };
    for span in [server, client] {
        assert_eq!(attribute(span, "error.type"), "no_answer");
        assert_eq!(
            (&span["status"]["code"], attribute(span, "http.request.method")),
            (&2.into(), &"_OTHER".into())
        );
    }
    assert_eq!((&lost["name"], &lost["status"]["code"]), (&"GET".into(), &Json::Null));
    assert!(attribute(lost, "http.route").is_null() && lost["parentSpanId"].is_null());
}

#[test]
fn what_the_collector_takes_later_is_sent_again() {
    let (address, exports) = collector(&[503, 200]);
    let tracer = tracer(address, &[]);
    tracer.finish(&exchange(), &LABELS);
    let (first, second) = (exports.recv().unwrap(), exports.recv().unwrap());
    assert_eq!(first.body, second.body);
    assert!(tracer.close(Duration::from_secs(30)));
    assert_eq!((tracer.exported(), tracer.dropped()), (2, 0));
}

#[test]
fn a_collector_that_hangs_costs_a_bounded_queue_and_every_loss_is_counted() {
    // Connections are accepted by the kernel and never answered.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let tracer = tracer(listener.local_addr().unwrap(), &[("OTEL_EXPORTER_OTLP_TIMEOUT", "200")]);
    let exchange = exchange();
    for _ in 0..4000 {
        tracer.finish(&exchange, &LABELS);
    }
    assert!(tracer.dropped() >= 8000 - (QUEUE + 512) as u64, "{}", tracer.dropped());
    assert!(tracer.close(Duration::from_secs(60)));
    assert_eq!((tracer.exported(), tracer.dropped()), (0, 8000));
}

/// Fields of a message on the wire: number and content; numbers as eight bytes.
fn fields(mut wire: &[u8]) -> Vec<(u64, Vec<u8>)> {
    fn varint(wire: &mut &[u8]) -> u64 {
        let mut value = 0;
        for shift in (0..).step_by(7) {
            let (byte, rest) = wire.split_first().unwrap();
            *wire = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if *byte < 0x80 {
                break;
            }
        }
        value
    }
    let mut fields = Vec::new();
    while !wire.is_empty() {
        let key = varint(&mut wire);
        let content = match key & 7 {
            0 => varint(&mut wire).to_le_bytes().to_vec(),
            kind => {
                let length = if kind == 1 { 8 } else { varint(&mut wire) as usize };
                let (content, rest) = wire.split_at(length);
                wire = rest;
                content.to_vec()
            }
        };
        fields.push((key >> 3, content));
    }
    fields
}

fn all(wire: &[u8], path: &[u64]) -> Vec<Vec<u8>> {
    path.iter().fold(vec![wire.to_vec()], |messages, number| {
        let inner = messages.iter().flat_map(|message| fields(message));
        inner.filter(|(own, _)| own == number).map(|(_, content)| content).collect()
    })
}

#[test]
fn protobuf_says_the_same_as_json() {
    let (address, exports) = collector(&[200]);
    let tracer = tracer(address, &[]);
    let mut failed = exchange();
    (failed.record.status, failed.record.fault) = (504, Some(Fault::AnswerTimeout));
    tracer.finish(&failed, &LABELS);
    assert!(tracer.close(Duration::from_secs(30)));
    let export = exports.recv().unwrap();
    assert!(export.head.contains("Content-Type: application/x-protobuf\r\n"));
    let span = &[1, 2, 2][..];
    let of = |field: u64| all(&export.body, &[span, &[field]].concat());
    assert_eq!(of(1), vec![0xabc_u128.to_be_bytes().to_vec(); 2]);
    assert_eq!(of(4)[0], 7_u64.to_be_bytes());
    assert_eq!(of(4)[1], of(2)[0]);
    assert_eq!(of(5), [b"GET /orders/*".to_vec(), b"GET".to_vec()]);
    assert_eq!(of(6), [2_u64, 3].map(|kind| kind.to_le_bytes().to_vec()));
    assert_eq!(of(7)[0], 1_000_000_000_000_u64.to_le_bytes());
    assert_eq!(all(&export.body, &[1, 2, 2, 15, 3]), vec![2_u64.to_le_bytes().to_vec(); 2]);
    let texts = all(&export.body, &[1, 2, 2, 9, 2, 1]);
    assert!(texts.contains(&b"answer_timeout".to_vec()) && texts.contains(&b"token=***&a=1".to_vec()));
    assert!(all(&export.body, &[1, 2, 2, 9, 2, 3]).contains(&504_u64.to_le_bytes().to_vec()));
    assert!(all(&export.body, &[1, 1, 1, 1]).contains(&b"service.name".to_vec()));
}
