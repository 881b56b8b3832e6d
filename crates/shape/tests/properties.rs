//! What holds for every document: the stream and the tree say the same, what is undone is as it was, and what is filtered
//! is nowhere.
//!
//! Some thousands of documents here; `cargo xtask filtered` looks at a million.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use std::sync::Arc;

use proptest::prelude::*;
use shape::{
    Case, Format, Limits, Mask, Misfit, Op, Part, Path, Plan, Program, Skeleton, Value, parse, shaped,
};

fn cases() -> u32 {
    std::env::var("SHAPE_CASES").ok().and_then(|count| count.parse().ok()).unwrap_or(2000)
}

const NAMES: [&str; 8] = ["a", "b", "user_name", "card", "0", "pass word", "Password", "ü"];

fn name() -> impl Strategy<Value = Vec<u8>> {
    let known = prop::sample::select(NAMES.to_vec()).prop_map(|name| name.as_bytes().to_vec());
    // The same names, spelled with escapes.
    let escaped = (prop::sample::select(NAMES.to_vec()), any::<u8>()).prop_map(|(name, at)| {
        let place = usize::from(at) % name.chars().count();
        let spell = |(nth, c): (usize, char)| {
            if nth == place { format!("\\u{:04x}", u32::from(c)) } else { c.to_string() }
        };
        name.chars().enumerate().map(spell).collect::<String>().into_bytes()
    });
    prop_oneof![6 => known, 2 => escaped, 1 => "[a-z_]{0,6}".prop_map(String::into_bytes)]
}

fn document() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        prop::sample::select(vec!["null", "true", "false", "0", "-1.50e+3", "12345678901234567890", "1E400"])
            .prop_map(Value::scalar),
        "[ -~ü😀]{0,12}".prop_map(|text| Value::text(&text)),
        Just(Value::Text(Box::from(&br"4242\u0034242\n\ud83d\ude00"[..]))),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::Array),
            (prop::collection::vec((name(), inner), 0..6), 0..10_u8).prop_map(|(members, twice)| {
                let mut object: Vec<(Box<[u8]>, Value)> = Vec::new();
                for (name, value) in members {
                    let same = |own: &[u8]| shape::text::plain(own) == shape::text::plain(&name);
                    // One object of ten may have a name twice.
                    if twice == 0 || !object.iter().any(|(own, _)| same(own)) {
                        object.push((name.into(), value));
                    }
                }
                Value::Object(object)
            }),
        ]
    })
}

fn path() -> impl Strategy<Value = Path> {
    let segment = prop::sample::select(vec!["a", "b", "user_name", "card", "0", "1", "*", "\"pass word\""]);
    prop_oneof![
        5 => prop::collection::vec(segment, 1..4).prop_map(|segments| segments.join(".").parse().unwrap()),
        1 => prop::sample::select(NAMES.to_vec()).prop_map(Path::deep),
    ]
}

fn plain_path() -> impl Strategy<Value = Path> {
    path().prop_filter("no star at its end", |path| !path.deep && !path.to_string().ends_with('*'))
}

fn mask() -> impl Strategy<Value = Mask> {
    prop::sample::select(vec![Mask::Stars, Mask::Last4, Mask::Hash(Box::from(&b"key"[..]))])
}

fn skeleton() -> impl Strategy<Value = Skeleton> {
    prop::sample::select(vec![
        Skeleton::Fixed(Value::scalar("7")),
        Skeleton::Text(vec![Part::Literal("id-".into()), Part::Slot(0)]),
        Skeleton::Text(vec![Part::Slot(1)]),
        Skeleton::Object(vec![("x".into(), Skeleton::Array(vec![Skeleton::Text(vec![Part::Slot(0)])]))]),
    ])
}

fn op() -> impl Strategy<Value = Op> {
    let paths = || prop::collection::vec(path(), 1..4);
    let simple = prop_oneof![
        paths().prop_map(Op::Remove),
        prop::collection::vec((plain_path(), prop::sample::select(vec!["new", "x\"y", "b"])), 1..3).prop_map(
            |pairs| Op::Rename(pairs.into_iter().map(|(path, name)| (path, name.to_owned())).collect())
        ),
        (paths(), mask()).prop_map(|(paths, mask)| Op::Mask(paths, mask)),
        prop::collection::vec(path().prop_filter("from the top", |path| !path.deep), 1..4).prop_map(Op::Keep),
        prop::sample::select(vec![Case::Snake, Case::Camel]).prop_map(Op::Case),
        prop::collection::vec(prop::sample::select(vec!["data", "a"]), 1..3)
            .prop_map(|names| Op::Wrap(names.into_iter().map(str::to_owned).collect())),
        (plain_path(), skeleton()).prop_map(|pair| Op::Set(vec![pair])),
        (plain_path(), skeleton()).prop_map(|pair| Op::Default(vec![pair])),
        (plain_path(), prop::sample::select(vec!["", "p_"]))
            .prop_map(|(path, prefix)| Op::Flatten(path, prefix.to_owned())),
        Just(Op::Move(vec![("a.b".parse().unwrap(), "card.c".parse().unwrap())])),
        Just(Op::Move(vec![("*.a".parse().unwrap(), "*.moved".parse().unwrap())])),
    ];
    prop_oneof![
        6 => simple.clone(),
        1 => (plain_path(), prop::collection::vec(simple, 1..3)).prop_map(|(path, ops)| Op::Map(path, ops)),
    ]
}

fn slots() -> Arc<[Option<String>]> {
    Arc::from(vec![Some("sl\"ot".to_owned()), None])
}

fn plan(ops: &[Op], fold: bool) -> Result<Plan, String> {
    let program = Arc::new(Program::compile(ops, fold)?);
    Ok(Plan {
        programs: vec![(program, slots())],
        from: Format::Json,
        to: Format::Json,
        coding: None,
        limits: Limits::default(),
    })
}

/// A document written without a look at its names, with spaces where they may stand.
fn loose(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Scalar(word) => out.extend_from_slice(word),
        Value::Text(text) => out.extend([b"\"", &**text, b"\" "].concat()),
        Value::Array(elements) => {
            out.extend(b"[\n");
            for (nth, element) in elements.iter().enumerate() {
                out.extend_from_slice(if nth > 0 { b" ," } else { b"" });
                loose(element, out);
            }
            out.extend(b" ]");
        }
        Value::Object(members) => {
            out.extend(b"{ ");
            for (nth, (name, value)) in members.iter().enumerate() {
                out.extend_from_slice(if nth > 0 { b"\t," } else { b"" });
                out.extend([b"\"", &**name, b"\" : "].concat());
                loose(value, out);
            }
            out.extend(b"}");
        }
    }
}

/// The stream, in pieces of this size.
fn streamed(plan: &Plan, text: &[u8], size: usize) -> Result<Vec<u8>, Misfit> {
    let mut body = shape::Body::new(plan)?;
    let mut out = Vec::new();
    for piece in text.chunks(size.max(1)) {
        body.push(piece, &mut out)?;
    }
    body.finish(&mut out)?;
    Ok(out)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_stream_and_the_tree_say_the_same(
        document in document(),
        ops in prop::collection::vec(op(), 1..4),
        fold in any::<bool>(),
        size in 1_usize..50,
    ) {
        let Ok(plan) = plan(&ops, fold) else { return Ok(()) };
        let mut text = Vec::new();
        loose(&document, &mut text);
        let stream = streamed(&plan, &text, size);
        let mut tree = parse(&text, Limits::default()).unwrap();
        shape::on_tree(&ops, &mut tree, &slots(), fold);
        let tree = tree.write(&Limits::default());
        let told = |bytes: &Result<Vec<u8>, Misfit>| match bytes {
            Ok(bytes) => String::from_utf8(bytes.clone()).unwrap(),
            Err(misfit) => misfit.to_string(),
        };
        prop_assert_eq!(told(&stream), told(&tree), "{:?} on {}", ops, String::from_utf8_lossy(&text));
    }

    #[test]
    fn what_is_filtered_is_nowhere(document in document(), size in 1_usize..50) {
        let sensitive = ["card", "password", "pass word", "ü"];
        let ops = [Op::Remove(sensitive.map(Path::deep).to_vec())];
        let plan = plan(&ops, true).unwrap();
        let mut text = Vec::new();
        loose(&document, &mut text);
        if let Ok(out) = streamed(&plan, &text, size) {
            prop_assert!(!names(&parse(&out, Limits::default()).unwrap(), &sensitive));
        }
    }

    #[test]
    fn what_is_renamed_and_back_is_as_it_was(document in document()) {
        let there: Path = "a.b".parse().unwrap();
        let back: Path = "a.new".parse().unwrap();
        let ops = [
            Op::Rename(vec![(there, "new".into())]),
            Op::Rename(vec![(back, "b".into())]),
            Op::Wrap(vec!["data".into()]),
            Op::Flatten("data".parse().unwrap(), String::new()),
        ];
        let mut text = Vec::new();
        loose(&document, &mut text);
        let plain = shaped(&plan(&[], false).unwrap(), &text);
        if let (Ok(plain), Ok(out)) = (&plain, shaped(&plan(&ops, false).unwrap(), &text))
            && matches!(document, Value::Object(_))
            && !plain.windows(3).any(|window| window == br"\u0")
        {
            prop_assert_eq!(&out, plain);
        }
    }

    #[test]
    fn binary_formats_give_back_what_they_got(document in document()) {
        let mut text = Vec::new();
        loose(&document, &mut text);
        let there = |to: Format| Plan { to, ..plan(&[], false).unwrap() };
        let back = |from: Format| Plan { from, ..plan(&[], false).unwrap() };
        let json = shaped(&there(Format::Json), &text);
        for format in [Format::Cbor, Format::MsgPack] {
            match (&json, shaped(&there(format.clone()), &text)) {
                (Err(misfit), other) => prop_assert_eq!(other.as_ref(), Err(misfit)),
                (Ok(_), Err(Misfit::Unsayable(_))) => prop_assert!(String::from_utf8_lossy(&text).contains("1E400")),
                (Ok(json), Ok(bytes)) => {
                    let again = shaped(&back(format), &bytes).unwrap();
                    let meant = |text: &[u8]| -> serde_json::Value { serde_json::from_slice(text).unwrap() };
                    prop_assert_eq!(meant(&again), meant(json));
                }
                (Ok(_), Err(misfit)) => prop_assert!(false, "{misfit}"),
            }
        }
    }

    #[test]
    fn any_bytes_end_in_an_answer_or_a_misfit(
        // Nothing at all stays nothing.
        bytes in prop::collection::vec(prop::sample::select(br#"{}[]":,\u12truefalsn-.eE "#.to_vec()), 1..60),
        size in 1_usize..9,
    ) {
        let plan = plan(&[Op::Remove(vec![Path::deep("t")]), Op::Case(Case::Camel)], false).unwrap();
        let whole = shaped(&plan, &bytes);
        prop_assert_eq!(streamed(&plan, &bytes, size).is_ok(), whole.is_ok());
        let known: Result<serde_json::Value, _> = serde_json::from_slice(&bytes);
        if let Ok(out) = whole {
            prop_assert!(known.is_ok(), "{} is no JSON", String::from_utf8_lossy(&bytes));
            prop_assert!(serde_json::from_slice::<serde_json::Value>(&out).is_ok());
        }
    }
}

/// Whether one of these names stands anywhere in a document, in whatever spelling.
fn names(value: &Value, sought: &[&str]) -> bool {
    match value {
        Value::Object(members) => members.iter().any(|(name, inner)| {
            let name = shape::text::said(name);
            sought.iter().any(|sought| sought.eq_ignore_ascii_case(&name)) || names(inner, sought)
        }),
        Value::Array(elements) => elements.iter().any(|element| names(element, sought)),
        Value::Scalar(_) | Value::Text(_) => false,
    }
}
