//! Spans as OTLP in Protocol Buffers (`opentelemetry/proto/trace/v1/trace.proto`, version 1).
//!
//! Takes the resource and a batch; gives the body of one export. Written by hand, because seven messages with a few
//! fields each need no generator.

use super::span::{Span, Value};

const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const BYTES: u64 = 2;

/// The body of one export: an `ExportTraceServiceRequest`.
pub(crate) fn encode(resource: &[(String, String)], spans: &[Span]) -> Vec<u8> {
    let mut body = Vec::new();
    message(&mut body, 1, |resource_spans| {
        message(resource_spans, 1, |out| {
            for (key, value) in resource {
                attribute(out, 1, key, |out| bytes(out, 1, value.as_bytes()));
            }
        });
        message(resource_spans, 2, |scope_spans| {
            message(scope_spans, 1, |out| {
                bytes(out, 1, b"tidegate");
                bytes(out, 2, env!("CARGO_PKG_VERSION").as_bytes());
            });
            for span in spans {
                message(scope_spans, 2, |out| one(out, span));
            }
        });
    });
    body
}

fn one(out: &mut Vec<u8>, span: &Span) {
    bytes(out, 1, &span.trace_id.to_be_bytes());
    bytes(out, 2, &span.span_id.to_be_bytes());
    if !span.trace_state.is_empty() {
        bytes(out, 3, span.trace_state.as_bytes());
    }
    if span.parent_id != 0 {
        bytes(out, 4, &span.parent_id.to_be_bytes());
    }
    bytes(out, 5, span.name.as_bytes());
    number(out, 6, span.kind as u64);
    fixed(out, 7, span.start);
    fixed(out, 8, span.end);
    for (key, value) in &span.attributes {
        attribute(out, 9, key, |out| match value {
            Value::Text(text) => bytes(out, 1, text.as_bytes()),
            Value::Number(value) => number(out, 3, value.cast_unsigned()),
        });
    }
    if span.failed {
        message(out, 15, |status| number(status, 3, 2));
    }
}

/// A `KeyValue` whose `AnyValue` is what `value` writes.
fn attribute(out: &mut Vec<u8>, field: u64, key: &str, value: impl FnOnce(&mut Vec<u8>)) {
    message(out, field, |out| {
        bytes(out, 1, key.as_bytes());
        message(out, 2, value);
    });
}

fn message(out: &mut Vec<u8>, field: u64, write: impl FnOnce(&mut Vec<u8>)) {
    let mut inner = Vec::new();
    write(&mut inner);
    bytes(out, field, &inner);
}

fn bytes(out: &mut Vec<u8>, field: u64, value: &[u8]) {
    varint(out, field << 3 | BYTES);
    varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

fn number(out: &mut Vec<u8>, field: u64, value: u64) {
    varint(out, field << 3 | VARINT);
    varint(out, value);
}

fn fixed(out: &mut Vec<u8>, field: u64, value: u64) {
    varint(out, field << 3 | FIXED64);
    out.extend_from_slice(&value.to_le_bytes());
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value > 0x7f {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}
