//! Bodies of other formats, coded or not. Takes a byte that says which, and a body; fails on a panic, and where what was read
//! is not JSON, or grows beyond what a body may be held.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use shape::format::Xml;
use shape::{Coding, Format, Limits, Plan, parse_strict, shaped};

fuzz_target!(|input: &[u8]| {
    let Some((kind, bytes)) = input.split_first() else { return };
    let formats = [
        Format::Json,
        Format::Xml(Arc::new(Xml::default())),
        Format::Form,
        Format::Csv,
        Format::MsgPack,
        Format::Cbor,
    ];
    let codings = [None, Some(Coding::Gzip), Some(Coding::Brotli), Some(Coding::Zstd)];
    let from = formats[usize::from(*kind) % formats.len()].clone();
    let coding = codings[usize::from(*kind >> 6)];
    let limits = Limits { size: 1 << 16, depth: 16, ..Limits::default() };
    for to in &formats {
        let plan = Plan { programs: Vec::new(), from: from.clone(), to: to.clone(), coding, limits };
        let Ok(out) = shaped(&plan, bytes) else { continue };
        if *to == Format::Json && !bytes.is_empty() {
            parse_strict(&out, Limits::default()).expect("JSON");
        }
        let back = Plan { programs: Vec::new(), from: to.clone(), to: Format::Json, coding: None, limits };
        let _ = shaped(&back, &out);
    }
});
