//! The page `docs/policies.md`: made from the doc comments of the policies, so that manual, schema and code are one text.
//!
//! Takes the list of policies and their schemas; compares the page, or writes it anew with `UPDATE_EXPECT=1`. Every
//! example on it is bound as the gateway would.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use std::path::Path;

use schemars::SchemaGenerator;
use serde_json::{Map, Value};
use tidegate::config::{Diagnostics, Known, System, load_text};
use tidegate::policies::{Context, Kind, LIST};

const INTRODUCTION: &str = "\
# Policies

What a route does besides its action. A policy is a key of a route, of a bundle under `policies:`, or of `defaults:`; a
route's own settings hold instead of those of its bundles, and these instead of the defaults. On one route each policy
stands once. They run in the order of this page, whatever the order in the file; answers come back through them in
reverse. A policy that refuses requests also takes `mode: shadow`: it decides, counts and logs, and lets pass.

This page is made from the doc comments in `crates/gateway/src/policies`; after a change of them
`UPDATE_EXPECT=1 cargo test -p tidegate --test policies_page` writes it anew.
";

#[test]
fn the_page_is_up_to_date() {
    let mut generator = SchemaGenerator::default();
    let sections: Vec<String> = LIST.iter().map(|kind| section(kind, &mut generator)).collect();
    let order: Vec<String> = LIST.iter().map(|kind| format!("[`{0}`](#{0})", kind.name)).collect();
    let page = format!("{INTRODUCTION}\nOrder: {}.\n{}", order.join(", "), sections.concat());
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/policies.md");
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, page).unwrap();
        return;
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == page, "docs/policies.md is stale: run with UPDATE_EXPECT=1");
}

#[test]
fn every_example_is_taken() {
    let names: Vec<&str> = LIST.iter().map(|kind| kind.name).collect();
    for kind in LIST {
        let schema = (kind.schema)(&mut SchemaGenerator::default());
        let description = schema.get("description").and_then(Value::as_str).unwrap_or_default();
        let examples: Vec<&str> = description.split("```").skip(1).step_by(2).collect();
        assert!(!examples.is_empty(), "{} has no example", kind.name);
        for example in examples {
            let lines = example.strip_prefix("yaml\n").unwrap().replace('\n', "\n    ");
            let text = format!("listen: 127.0.0.1:0\nroutes:\n  /*:\n    respond: ok\n    {lines}\n");
            let mut loaded = load_text("example", text, &System, &Known { policies: &names })
                .unwrap_or_else(|faults| panic!("{example}: {}", told(&faults)));
            let (_, route) = loaded.config.routes.iter().next().unwrap();
            let (key, node) = route.policies.iter().next().unwrap();
            assert_eq!(key.as_str(), kind.name);
            let bound = kind.bind(key, node, &Context::default(), &mut loaded.diagnostics);
            assert!(
                bound.is_some() && loaded.diagnostics.is_empty(),
                "{example}: {}",
                told(&loaded.diagnostics)
            );
        }
    }
}

fn told(faults: &Diagnostics) -> String {
    faults.iter().map(|fault| format!("{}: {:?}", fault.message, fault.help)).collect::<Vec<_>>().join("\n")
}

fn section(kind: &Kind, generator: &mut SchemaGenerator) -> String {
    let schema = Value::from((kind.schema)(generator));
    let mut rows = Vec::new();
    keys("", &schema, generator.definitions(), &mut rows, &mut Vec::new());
    if kind.refuses {
        let meaning = "`shadow` to decide, count and log, and let pass. Default: enforce.";
        rows.push(format!("| `mode` | `enforce` or `shadow` | {meaning} |\n"));
    }
    let head = "\n| key | value | meaning |\n|---|---|---|\n";
    let table = if rows.is_empty() { String::new() } else { format!("{head}{}", rows.concat()) };
    format!("\n## {}\n\n{}\n{table}", kind.name, described(&schema))
}

fn described(schema: &Value) -> String {
    schema["description"].as_str().unwrap_or_default().to_owned()
}

/// One row for each key, those of inner maps with their way: `request.set`.
fn keys(
    above: &str,
    schema: &Value,
    known: &Map<String, Value>,
    rows: &mut Vec<String>,
    seen: &mut Vec<(String, String)>,
) {
    let object = alternatives(schema)
        .into_iter()
        .map(|one| resolved(one, known))
        .find(|one| one["properties"].is_object());
    let Some(properties) = object.and_then(|object| object["properties"].as_object()) else { return };
    for (name, value) in properties {
        let key = format!("{above}{name}");
        let required = object
            .and_then(|object| object["required"].as_array())
            .is_some_and(|all| all.contains(&name.as_str().into()));
        let mut meaning = described(value).replace('\n', " ").replace('|', "\\|");
        if required {
            meaning.push_str(" Required.");
        }
        let inner = alternatives(value).into_iter().find_map(|one| Some(one["$ref"].as_str()?.to_owned()));
        let known_as = inner
            .as_ref()
            .and_then(|inner| seen.iter().find(|(other, _)| other == inner))
            .map(|(_, key)| key.clone());
        if let Some(first) = &known_as {
            meaning.push_str(&format!(" Its keys are those of `{first}`."));
        }
        rows.push(format!("| `{key}` | {} | {meaning} |\n", words(value, known)));
        let is_map = inner.as_ref().is_some_and(|inner| {
            resolved(&serde_json::json!({ "$ref": inner }), known)["properties"].is_object()
        });
        if is_map && known_as.is_none() {
            seen.extend(inner.map(|inner| (inner, key.clone())));
            keys(&format!("{key}."), value, known, rows, seen);
        }
    }
}

/// The ways in which a value may be written, without nothing at all.
fn alternatives(schema: &Value) -> Vec<&Value> {
    let all = schema["anyOf"].as_array().map_or_else(|| vec![schema], |all| all.iter().collect());
    all.into_iter().filter(|one| one["type"] != "null").collect()
}

fn resolved<'a>(schema: &'a Value, known: &'a Map<String, Value>) -> &'a Value {
    let name = schema["$ref"].as_str().and_then(|path| path.strip_prefix("#/$defs/"));
    name.and_then(|name| known.get(name)).unwrap_or(schema)
}

/// What kind of value it is: `duration`, `origin pattern or a list`.
fn words(schema: &Value, known: &Map<String, Value>) -> String {
    if let Some(name) = schema["$ref"].as_str().and_then(|path| path.strip_prefix("#/$defs/")) {
        return if known[name]["properties"].is_object() { "map".to_owned() } else { spaced(name) };
    }
    // What may be left out is written as `["integer", "null"]`.
    let kinds = schema["type"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let kind = kinds.chain(schema["type"].as_str()).find(|kind| *kind != "null");
    match (alternatives(schema).as_slice(), kind) {
        ([one, list], _) if &list["items"] == *one => format!("{} or a list", words(one, known)),
        // A schema that says nothing takes anything.
        ([one], None) if *one == schema => "any value".to_owned(),
        ([one], None) => words(one, known),
        (_, Some("integer" | "number")) => "number".to_owned(),
        (_, Some("boolean")) => "true or false".to_owned(),
        (_, Some("string")) => "text".to_owned(),
        (_, Some("array")) => format!("list: {}", words(&schema["items"], known)),
        (_, Some("object")) => format!("map: {}", words(&schema["additionalProperties"], known)),
        (all, _) => all.iter().map(|one| words(one, known)).collect::<Vec<_>>().join(" or "),
    }
}

/// `OriginPattern` as `origin pattern`.
fn spaced(name: &str) -> String {
    let mut text = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !text.is_empty() {
            text.push(' ');
        }
        text.push(letter.to_ascii_lowercase());
    }
    text
}
