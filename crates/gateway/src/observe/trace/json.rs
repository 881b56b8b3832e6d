//! Spans as OTLP/JSON (<https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding>).
//!
//! Takes the resource and a batch; gives the body of one export. Ids are hexadecimal there, 64-bit numbers text.

use serde_json::{Value as Json, json};

use super::span::{Span, Value};

/// The body of one export.
pub(crate) fn encode(resource: &[(String, String)], spans: &[Span]) -> Vec<u8> {
    let resource = resource.iter().map(|(key, value)| json!({"key": key, "value": {"stringValue": value}}));
    let body = json!({"resourceSpans": [{
        "resource": {"attributes": resource.collect::<Json>()},
        "scopeSpans": [{
            "scope": {"name": "tidegate", "version": env!("CARGO_PKG_VERSION")},
            "spans": spans.iter().map(one).collect::<Json>(),
        }],
    }]});
    body.to_string().into_bytes()
}

fn one(span: &Span) -> Json {
    let attributes = span.attributes.iter().map(|(key, value)| {
        let value = match value {
            Value::Text(text) => json!({"stringValue": text}),
            Value::Number(number) => json!({"intValue": number.to_string()}),
        };
        json!({"key": key, "value": value})
    });
    let mut json = json!({
        "traceId": format!("{:032x}", span.trace_id),
        "spanId": format!("{:016x}", span.span_id),
        "name": span.name,
        "kind": span.kind as u8,
        "startTimeUnixNano": span.start.to_string(),
        "endTimeUnixNano": span.end.to_string(),
        "attributes": attributes.collect::<Json>(),
        "status": if span.failed { json!({"code": 2}) } else { json!({}) },
    });
    if let Some(members) = json.as_object_mut() {
        if span.parent_id != 0 {
            members.insert("parentSpanId".into(), format!("{:016x}", span.parent_id).into());
        }
        if !span.trace_state.is_empty() {
            members.insert("traceState".into(), span.trace_state.as_str().into());
        }
    }
    json
}
