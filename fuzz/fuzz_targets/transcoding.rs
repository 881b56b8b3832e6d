//! Requests of JSON as they become calls of gRPC, and answers as they become JSON. Takes a path with its query up to the first zero
//! byte, and a body behind it; fails on a panic, and where a message that was made of JSON cannot be told.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use transcode::{Catalog, Options, Reply, status};

/// Every shape of annotation, and every kind of field.
static LIBRARY: LazyLock<Catalog> = LazyLock::new(|| {
    let set = include_bytes!("../../crates/transcode/tests/protos/library.pb");
    Catalog::new(set, &[], Options { size: 1 << 16, ..Options::default() }).expect("a descriptor set")
});

fuzz_target!(|input: &[u8]| {
    let end = input.iter().position(|byte| *byte == 0).unwrap_or(0);
    let (target, body) = input.split_at(end);
    let body = body.strip_prefix(b"\0").unwrap_or(body);
    let query = target.iter().position(|byte| *byte == b'?').unwrap_or(target.len());
    let (path, query) = target.split_at(query);
    for method in ["GET", "POST", "PATCH"] {
        if let Ok(asked) = LIBRARY.ask(method, path, query.get(1..).unwrap_or_default()) {
            let _ = asked.frame(body);
        }
    }
    let echo = || LIBRARY.ask("POST", b"/library.Library/Echo", b"").expect("a call");
    let call = echo().call().clone();
    if let Ok(frame) = echo().frame(body) {
        let (mut reply, mut out) = (Reply::new(call.clone()), Vec::new());
        reply.take(&frame, &mut out).expect("a message that was made is told");
        reply.end().expect("it is whole");
    }
    let (mut reply, mut out) = (Reply::new(call.clone()), Vec::new());
    let _ = body.chunks(7).try_for_each(|piece| reply.take(piece, &mut out));
    let _ = status::details(&call, body);
});
