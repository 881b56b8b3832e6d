//! Bodies of JSON as they are shaped. Takes a byte that says in what pieces, and a body; fails on a panic, where the stream
//! and the tree say different things, and where a member that is filtered is still there.
#![no_main]

use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use shape::{Body, Case, Format, Limits, Mask, Misfit, Op, Path, Plan, Program, Skeleton, Value, parse};

static OPS: LazyLock<Vec<Op>> = LazyLock::new(|| {
    let path = |text: &str| -> Path { text.parse().expect("a path") };
    vec![
        Op::Remove(vec![Path::deep("a"), path("b.*.c"), path("0")]),
        Op::Rename(vec![(path("b.d"), "e\"".into()), (path("*.f"), "g".into())]),
        Op::Mask(vec![path("h"), path("*.*.i")], Mask::Last4),
        Op::Case(Case::Camel),
        Op::Set(vec![(path("*.j"), Skeleton::Fixed(Value::scalar("1")))]),
        Op::Move(vec![(path("k.l"), path("m"))]),
        Op::Flatten(path("b"), "p_".into()),
        Op::Wrap(vec!["data".into()]),
    ]
});

fuzz_target!(|input: &[u8]| {
    let Some((size, bytes)) = input.split_first() else { return };
    let limits = Limits { size: 1 << 16, depth: 16, members: 100, ..Limits::default() };
    let program = Arc::new(Program::compile(&OPS, true).expect("operations"));
    let plan = Plan {
        programs: vec![(program, Arc::from([]))],
        from: Format::Json,
        to: Format::Json,
        coding: None,
        limits,
    };
    let mut body = Body::new(&plan).expect("no coding");
    let mut out = Vec::new();
    let streamed = bytes
        .chunks(usize::from(*size).max(1))
        .try_for_each(|piece| body.push(piece, &mut out))
        .and_then(|()| body.finish(&mut out));
    let tree = parse(bytes, limits).and_then(|mut value| {
        shape::on_tree(&OPS, &mut value, &[], true);
        value.write(&limits)
    });
    match (streamed, tree) {
        (Ok(()), Ok(tree)) => {
            assert_eq!(out, tree);
            assert!(!holds(&parse(&out, Limits::default()).expect("JSON")));
        }
        // Nothing at all is nothing to be shaped.
        (Ok(()), Err(Misfit::Cut)) => assert!(bytes.is_empty()),
        // What is held whole at one place may be small enough where the whole is not.
        (Ok(()), Err(misfit)) => assert!(matches!(misfit, Misfit::Large(_) | Misfit::Wide(_)), "{misfit}"),
        // Of several faults the stream meets another one first.
        (Err(_), Err(_)) => {}
        (Err(misfit), Ok(_)) => assert!(matches!(misfit, Misfit::Large(_) | Misfit::Wide(_)), "{misfit}"),
    }
});

/// Whether the member that was to be removed stands anywhere.
fn holds(value: &Value) -> bool {
    match value {
        Value::Object(members) => members
            .iter()
            .any(|(name, inner)| shape::text::said(name).eq_ignore_ascii_case("a") || holds(inner)),
        Value::Array(elements) => elements.iter().any(holds),
        Value::Scalar(_) | Value::Text(_) => false,
    }
}
