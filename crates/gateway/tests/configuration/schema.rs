//! The schema agrees with the reader: it takes what loads and refuses what does not.

use super::{KNOWN, Nothing, POLICIES, good, good_files};
use schemars::json_schema;
use serde_json::{Map, Value};
use std::io;
use std::path::Path;
use tidegate::config::{self, Environment};

fn schema() -> Value {
    let any = |name: &&str| (name.to_string(), json_schema!({}));
    config::schema(|_| POLICIES.iter().map(any).collect())
}

/// Checks a value against the part of JSON Schema that our schema uses; gives the first disagreement.
fn disagreement(value: &Value, schema: &Value, root: &Value, path: &str) -> Option<String> {
    let object = schema.as_object()?;
    if let Some(reference) = object.get("$ref").and_then(Value::as_str) {
        return disagreement(value, root.pointer(reference.trim_start_matches('#')).unwrap(), root, path);
    }
    of_itself(value, object)
        .map(|why| format!("{path}: {value} {why}"))
        .or_else(|| of_choices(value, object, root, path))
        .or_else(|| of_parts(value, object, root, path))
}

fn of_itself(value: &Value, schema: &Map<String, Value>) -> Option<String> {
    let is = |kind: &Value| match kind.as_str().unwrap() {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("unknown type {other}"),
    };
    let good_kind = match schema.get("type") {
        None => true,
        Some(Value::Array(kinds)) => kinds.iter().any(is),
        Some(kind) => is(kind),
    };
    if !good_kind {
        return Some(format!("is no {}", schema["type"]));
    }
    let number = |key: &str| schema.get(key).and_then(Value::as_f64).zip(value.as_f64());
    if number("minimum").is_some_and(|(least, n)| n < least)
        || number("maximum").is_some_and(|(most, n)| n > most)
    {
        return Some("is out of range".into());
    }
    let pattern = schema.get("pattern").and_then(Value::as_str).zip(value.as_str());
    if let Some((pattern, text)) = pattern
        && !regex::Regex::new(pattern).unwrap().is_match(text)
    {
        return Some(format!("does not match {pattern}"));
    }
    let other = schema.get("const").is_some_and(|only| only != value)
        || schema.get("enum").is_some_and(|list| !list.as_array().unwrap().contains(value));
    other.then(|| "is another one".into())
}

fn of_choices(value: &Value, schema: &Map<String, Value>, root: &Value, path: &str) -> Option<String> {
    for (key, least, most) in [("allOf", usize::MAX, usize::MAX), ("anyOf", 1, usize::MAX), ("oneOf", 1, 1)] {
        let Some(choices) = schema.get(key).and_then(Value::as_array) else { continue };
        let whys: Vec<_> = choices.iter().map(|choice| disagreement(value, choice, root, path)).collect();
        let fitting = whys.iter().filter(|why| why.is_none()).count();
        if fitting < least.min(choices.len()) || fitting > most {
            return Some(format!("{path}: {fitting} of {key} fit: {whys:?}"));
        }
    }
    None
}

fn of_parts(value: &Value, schema: &Map<String, Value>, root: &Value, path: &str) -> Option<String> {
    let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
    for key in required.map(|key| key.as_str().unwrap()) {
        if value.get(key).is_none() {
            return Some(format!("{path}: {key} is missing"));
        }
    }
    if let (Some(items), Some(each)) = (value.as_array(), schema.get("items")) {
        return items.iter().find_map(|item| disagreement(item, each, root, &format!("{path}[]")));
    }
    value.as_object()?.iter().find_map(|(key, inner)| {
        let known = schema.get("properties").and_then(|properties| properties.get(key));
        match known.or(schema.get("additionalProperties")) {
            Some(Value::Bool(false)) => Some(format!("{path}: {key} is unknown")),
            Some(one) => disagreement(inner, one, root, &format!("{path}/{key}")),
            None => None,
        }
    })
}

#[test]
fn the_schema_takes_what_the_reader_takes() {
    let schema = schema();
    for path in good_files() {
        let loaded =
            config::load(&path, &Nothing, &KNOWN).unwrap_or_else(|faults| panic!("{}", faults.render(false)));
        let value = serde_json::to_value(&loaded.tree).unwrap();
        assert_eq!(disagreement(&value, &schema, &schema, ""), None, "{}", path.display());
    }
    for text in [
        "{ listen: '0.0.0.0:8080', workers: 4, include: routes, version: 1 }",
        "{ workers: '${N}', forwarded: '${F:-both}', limits: { header_count: '${C}', header: 8192 }, admin: off }",
        "{ services: { a: { targets: 'http://a', balance: { hash: ip } } }, log: { level: debug } }",
    ] {
        let value = config_tree(text);
        assert_eq!(disagreement(&value, &schema, &schema, ""), None, "{text}");
    }
}

/// A text as JSON, whether or not it is a good configuration.
fn config_tree(text: &str) -> Value {
    // The settings of a policy are kept as they are and not read here.
    struct Set;
    impl Environment for Set {
        fn variable(&self, _: &str) -> Option<String> {
            Some("x".into())
        }
        fn file(&self, _: &Path) -> io::Result<String> {
            Err(io::Error::from(io::ErrorKind::NotFound))
        }
    }
    let text = format!("listen: 127.0.0.1:0\nroutes: {{ /a: {{ respond: x, cors: {text} }} }}");
    let loaded = config::load_text("x", text, &Set, &KNOWN).unwrap();
    serde_json::to_value(loaded.config.routes.get("/a").unwrap().policies.get("cors").unwrap()).unwrap()
}

#[test]
fn the_schema_refuses_what_the_reader_refuses() {
    let schema = schema();
    for text in [
        "{ lisen: '0.0.0.0:8080' }",
        "{ workers: 0 }",
        "{ version: 2 }",
        "{ forwarded: all }",
        "{ limits: { header_count: many } }",
        "{ drain: { timeout: 5 m } }",
        "{ services: { a: { balance: random } } }",
        "{ services: { a: [{ weight: 3 }] } }",
        "{ services: { a: { targets: 'http://a', time_out: 3s } } }",
        "{ routes: { /a: { to: users, rate_limt: 10/s } } }",
        "{ routes: { /a: { to: users, respond: 204 } } }",
        "{ routes: { /a: { use: [x] } } }",
        "{ routes: { /a: { respond: { status: 99 } } } }",
        "{ routes: { /a: { to: a, match: { headers: { X-A: { regexp: a } } } } } }",
        "{ policies: { open: { corss: {} } } }",
        "{ defaults: { corss: {} } }",
    ] {
        assert!(disagreement(&config_tree(text), &schema, &schema, "").is_some(), "{text}");
    }
}

#[test]
fn the_schema_knows_every_key_of_a_configuration() {
    let schema = schema();
    let effective = serde_json::to_value(&good("listen: 0.0.0.0:1").config).unwrap();
    for key in
        effective.as_object().unwrap().keys().map(String::as_str).chain(["version", "listen", "include"])
    {
        let property = schema["properties"].get(key).unwrap_or_else(|| panic!("{key} is not in the schema"));
        assert!(property.get("description").is_some(), "{key} is not described");
    }
    for (name, definition) in schema["definitions"].as_object().unwrap() {
        let properties = definition.get("properties").and_then(Value::as_object).into_iter().flatten();
        let bare = properties.filter(|(key, property)| {
            !POLICIES.contains(&key.as_str()) && property.get("description").is_none()
        });
        assert!(!name.starts_with('$'), "a definition has the name of a device: {name}");
        assert_eq!(bare.map(|(key, _)| key).collect::<Vec<_>>(), Vec::<&String>::new(), "{name}");
    }
}
