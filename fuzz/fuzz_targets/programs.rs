//! Programs of jq and what they run over. Takes a line with a program and behind it a document; fails on a panic, where a
//! program runs on, and where what it makes is no JSON within the limits.
#![no_main]

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use shape::jq::{Jq, Room};
use shape::{Format, Limits, Op, Plan, Program, parse_strict, shaped};

/// What programs may use of the stack: the main thread's is at least twice as large.
const STACK: usize = 4 * 1024 * 1024;

fuzz_target!(|input: &[u8]| {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let Some((program, document)) = text.split_once('\n') else { return };
    let Ok(jq) = Jq::compile(program, 20_000, Duration::from_secs(1)) else { return };
    let program = Program::compile(&[Op::Jq(Arc::new(jq))], false).expect("one program");
    let limits = Limits { size: 1 << 14, depth: 16, members: 100, ..Limits::default() };
    let programs = vec![(Arc::new(program), Arc::from([]))];
    let plan = Plan { programs, from: Format::Json, to: Format::Json, coding: None, limits };
    let room = Room::new(STACK, Arc::new(AtomicBool::new(false)));
    if let Ok(made) = room.with(|| shaped(&plan, document.as_bytes()))
        && !document.is_empty()
    {
        assert!(made.len() <= limits.size, "{}", made.len());
        parse_strict(&made, Limits { members: usize::MAX, size: 1 << 20, ..limits }).expect("JSON within the limits");
    }
});
