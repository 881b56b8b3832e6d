//! Lines of the access log: what they tell, what they must not tell, and that nothing breaks them.

use std::rc::Rc;
use std::time::UNIX_EPOCH;

use http1::{HeadLimits, Name, RequestParser};
use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::*;
use crate::exchange::record::Attempt;
use crate::exchange::{ClientCert, Identity, RequestId, Trace};
use crate::fault::Fault;

const LABELS: Labels<'_> =
    Labels { route: "GET /orders/*", service: "orders", revision: 7, listener: "public" };

/// An exchange of this request that a service answered.
fn exchange(head: &str) -> Exchange {
    let mut exchange = Exchange::default();
    let parsed = RequestParser::new().parse(head.as_bytes(), &HeadLimits::default(), &mut exchange.request);
    assert_eq!(parsed, Ok(Some(head.len())));
    exchange.trace = Trace { trace_id: 0xabc, span_id: 1, ..Trace::default() };
    exchange.id = RequestId::from_client(b"order-17").unwrap();
    exchange.client.peer = "10.0.0.9:4000".parse().unwrap();
    exchange.client.ip = "203.0.113.7".parse().unwrap();
    exchange.host.extend_from_slice(b"shop.example");
    exchange.path.extend_from_slice(b"/orders/17");
    let record = &mut exchange.record;
    record.method = exchange.request.method;
    record.started_at = UNIX_EPOCH + Duration::from_millis(1_798_761_600_042);
    record.endpoint = Some("[2001:db8::1]:8000".parse().unwrap());
    (record.status, record.tries, record.bytes_in, record.bytes_out) = (200, 2, 3, 4096);
    record.sent = Some(Duration::from_micros(250));
    record.answered = Some(Duration::from_micros(12_253));
    record.finished = Duration::from_micros(13_007);
    exchange
}

const HEAD: &str = "GET /orders/17?a=1&token=CANARY HTTP/1.1\r\nHost: shop.example\r\n\
    User-Agent: curl/8\r\nReferer: https://me:CANARY@a.example/x?code=CANARY\r\n\
    Authorization: Bearer CANARY\r\nCookie: sid=CANARY\r\nX-Api-Key: CANARY\r\n\r\n";

fn written(format: LineFormat, exchange: &Exchange, labels: &Labels<'_>) -> String {
    let mut out = Vec::new();
    LineWriter::new(format, Arc::default()).write(&mut out, exchange, labels);
    String::from_utf8(out).unwrap()
}

fn queried() -> Exchange {
    let mut exchange = exchange(HEAD);
    exchange.query.extend_from_slice(b"a=1&token=CANARY");
    exchange.has_query = true;
    exchange
}

#[test]
fn a_json_line_tells_all_fields_in_their_order() {
    let line = written(LineFormat::Json, &queried(), &LABELS);
    let told: Json = serde_json::from_str(&line).unwrap();
    let wish = json!({
        "time": "2027-01-01T00:00:00.042Z",
        "request_id": "order-17",
        "trace_id": "00000000000000000000000000000abc",
        "client": "203.0.113.7",
        "peer": "10.0.0.9",
        "method": "GET",
        "host": "shop.example",
        "path": "/orders/17",
        "query": "a=1&token=***",
        "status": 200,
        "route": "GET /orders/*",
        "service": "orders",
        "endpoint": "[2001:db8::1]:8000",
        "tries": 2,
        "duration_ms": 13.007,
        "upstream_ms": 12.003,
        "bytes_in": 3,
        "bytes_out": 4096,
        "user_agent": "curl/8",
        "referer": "https://a.example/x",
        "listener": "public",
        "revision": 7,
    });
    assert_eq!(told, wish);
    let names = |json: &Json| json.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&told), names(&wish));
}

#[test]
fn a_text_line_is_in_the_combined_format() {
    let wish = "203.0.113.7 - - [01/Jan/2027:00:00:00 +0000] \"GET /orders/17?a=1&token=*** HTTP/1.1\" 200 4096 \
                \"https://a.example/x\" \"curl/8\" \"GET /orders/*\" [2001:db8::1]:8000 13.007 - order-17\n";
    assert_eq!(written(LineFormat::Text, &queried(), &LABELS), wish);
}

#[test]
fn the_caller_is_told_and_breaks_no_line() {
    let mut exchange = queried();
    exchange.identity = Some(Rc::new(Identity {
        consumer: Some("mobile".into()),
        subject: Some("u 1\"\n".into()),
        credential: "tgk_1a2b".into(),
        ..Identity::new("api_key")
    }));
    let told: Json = serde_json::from_str(&written(LineFormat::Json, &exchange, &LABELS)).unwrap();
    for (name, value) in
        [("consumer", "mobile"), ("subject", "u 1\"\n"), ("auth", "api_key"), ("credential", "tgk_1a2b")]
    {
        assert_eq!(told[name], value, "{name}");
    }
    assert!(written(LineFormat::Text, &exchange, &LABELS).starts_with("203.0.113.7 - mobile [01/Jan"));
    let subject = Identity { subject: Some("u 1\"\n".into()), ..Identity::new("jwt") };
    exchange.identity = Some(Rc::new(subject));
    let line = written(LineFormat::Text, &exchange, &LABELS);
    assert!(line.starts_with("203.0.113.7 - u\\x201\\x22\\x0a [01/Jan"), "{line}");
}

#[test]
fn credentials_are_in_no_line() {
    for format in [LineFormat::Json, LineFormat::Text] {
        let line = written(format, &queried(), &LABELS);
        assert!(!line.contains("CANARY"), "{line}");
    }
}

#[test]
fn a_refusal_and_a_fault_are_told_with_their_reasons() {
    let mut exchange = exchange("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let record = &mut exchange.record;
    (record.status, record.reason, record.refused_by) = (403, "ip_denied", Some("ip"));
    record.shadowed.extend([("cors", "origin_denied"), ("body_limit", "too_large")]);
    record.fault = Some(Fault::BodyTooLarge(1024));
    (record.sent, record.endpoint) = (None, None);
    let told: Json = serde_json::from_str(&written(LineFormat::Json, &exchange, &LABELS)).unwrap();
    for (name, value) in [
        ("status", json!(403)),
        ("reason", json!("ip_denied")),
        ("refused_by", json!("ip")),
        ("fault", json!("body_too_large")),
        ("blame", json!("client")),
        ("detail", json!("the request body is larger than 1024 bytes")),
        (
            "shadowed",
            json!([
                {"policy": "cors", "reason": "origin_denied"},
                {"policy": "body_limit", "reason": "too_large"},
            ]),
        ),
        ("endpoint", Json::Null),
        ("upstream_ms", Json::Null),
    ] {
        assert_eq!(told[name], value, "{name}");
    }
}

#[test]
fn an_answer_nobody_got_has_a_status_all_the_same() {
    let mut exchange = exchange("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    for (status, fault, told) in
        [(200, Some(Fault::AnswerCut), 200), (0, Some(Fault::ClientGone), 499), (0, None, 499)]
    {
        (exchange.record.status, exchange.record.fault) = (status, fault);
        let line: Json = serde_json::from_str(&written(LineFormat::Json, &exchange, &LABELS)).unwrap();
        assert_eq!(line["status"], told);
    }
}

#[test]
fn a_path_that_broke_a_rule_is_told_as_it_came_without_its_query() {
    let mut exchange = exchange("GET /a/%zz?token=CANARY HTTP/1.1\r\nHost: a\r\n\r\n");
    exchange.path.clear();
    let line: Json = serde_json::from_str(&written(LineFormat::Json, &exchange, &LABELS)).unwrap();
    assert_eq!((&line["path"], &line["query"]), (&json!("/a/%zz"), &Json::Null));
}

/// A connection with everything there is to tell.
fn secure(server_name: &str) -> Secure {
    let client_cert = ClientCert {
        subject: "CN=orders".into(),
        san: "DNS:orders".into(),
        fingerprint: "ab".repeat(32),
        field: b":..:".as_slice().into(),
    };
    Secure {
        version: "TLSv1.3",
        cipher: "TLS_AES_128_GCM_SHA256",
        resumed: true,
        server_name: Some(server_name.into()),
        client_cert: Some(client_cert),
    }
}

#[test]
fn what_the_handshake_told_is_told() {
    let mut exchange = exchange("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    exchange.secure = Some(Rc::new(secure("shop.test")));
    let line: Json = serde_json::from_str(&written(LineFormat::Json, &exchange, &LABELS)).unwrap();
    assert_eq!((&line["tls"], &line["cipher"]), (&json!("TLSv1.3"), &json!("TLS_AES_128_GCM_SHA256")));
    assert_eq!((&line["sni"], &line["resumed"]), (&json!("shop.test"), &json!(true)));
    assert_eq!(line["client_cert"], "ab".repeat(32));
    exchange.secure = Some(Rc::new(Secure { version: "TLSv1.2", ..Secure::default() }));
    let line: Json = serde_json::from_str(&written(LineFormat::Json, &exchange, &LABELS)).unwrap();
    assert_eq!((&line["tls"], &line["sni"], &line["resumed"]), (&json!("TLSv1.2"), &Json::Null, &Json::Null));
}

#[test]
fn the_document_names_every_field_in_the_order_of_the_line() {
    let mut exchange = queried();
    exchange.request.version = http1::Version::Http2;
    exchange.secure = Some(Rc::new(secure("shop.test")));
    let record = &mut exchange.record;
    (record.reason, record.refused_by, record.upgraded) = ("ip_denied", Some("ip"), true);
    record.shadowed.push(("cors", "origin_denied"));
    record.failed(Attempt {
        service: 0,
        endpoint: exchange.client.peer,
        outcome: "service_failed",
        status: 503,
    });
    (record.degraded, record.cache, record.split) = ("standby", "hit", "sticky");
    record.fallback.push(("orders-standby".into(), "answered"));
    record.fault = Some(Fault::Panic);
    record.grpc_status = Some(13);
    record.why = "not in this network".into();
    exchange.identity = Some(Rc::new(Identity {
        consumer: Some("mobile".into()),
        subject: Some("u1".into()),
        credential: "tgk_1a2b".into(),
        ..Identity::new("api_key")
    }));
    let line: Json = serde_json::from_str(&written(LineFormat::Json, &exchange, &LABELS)).unwrap();
    let document = include_str!("../../../../../docs/access-log.md");
    let rows = document.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    let rows: Vec<_> = rows.map(|(name, _)| name).collect();
    assert_eq!(rows, line.as_object().unwrap().keys().collect::<Vec<_>>());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn whatever_bytes_come_a_line_is_one_valid_line_within_its_bound(
        path in prop::collection::vec(any::<u8>(), 0..4000),
        query in prop::collection::vec(any::<u8>(), 0..4000),
        host in prop::collection::vec(any::<u8>(), 0..600),
        agent in prop::collection::vec(any::<u8>(), 0..1000),
        referer in prop::collection::vec(any::<u8>(), 0..1000),
        method in "[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}",
        route in "\\PC{0,600}",
        worst in prop::option::of(0_u8..0x20),
    ) {
        let mut exchange = exchange("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        exchange.request.set_method(method.as_bytes()).unwrap();
        exchange.record.method = Method::Other;
        (exchange.path, exchange.query, exchange.host) = (path, query, host);
        if let Some(byte) = worst {
            // The escape of a control byte is the longest there is.
            exchange.path.fill(byte);
            exchange.query.fill(byte);
        }
        exchange.has_query = true;
        exchange.request.fields.push(names::USER_AGENT, &agent);
        exchange.request.fields.push(names::REFERER, &referer);
        exchange.request.fields.push(Name::new(b"x-other").unwrap(), &agent);
        exchange.record.fault = Some(Fault::AnswerTimeout);
        exchange.record.reason = "answer_timeout";
        exchange.secure = Some(Rc::new(secure(&"a.".repeat(126))));
        exchange.record.shadowed.extend([("some_policy", "some_reason_of_it"); 20]);
        let endpoint = "[fe80:1111:2222:3333:4444:5555:6666:7777]:65535".parse().unwrap();
        for _ in 0..20 {
            exchange.record.failed(Attempt { service: 0, endpoint, outcome: "target_certificate", status: 503 });
        }
        exchange.record.degraded = "last-good";
        let step = Arc::<str>::from("s".repeat(64));
        exchange.record.fallback.extend(vec![(step, "target_certificate"); 8]);
        let labels = Labels { route: &route, ..LABELS };
        for format in [LineFormat::Json, LineFormat::Text] {
            let line = written(format, &exchange, &labels);
            prop_assert!(line.len() <= MOST_LINE, "{} bytes", line.len());
            prop_assert_eq!(line.find('\n'), Some(line.len() - 1));
            let breaks = |c: char| c.is_control() || ['\u{2028}', '\u{2029}', '\u{202e}'].contains(&c);
            prop_assert_eq!(line.trim_end().find(breaks), None);
            if format == LineFormat::Json {
                let told: Json = serde_json::from_str(&line).unwrap();
                prop_assert_eq!(&told["status"], 200);
                prop_assert_eq!(&told["fault"], "answer_timeout");
            }
        }
    }
}
