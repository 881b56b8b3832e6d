//! Answers made up from a document: its examples, else values made from its schemas. The same question gets the same answer.

use serde_json::{Map, Value, json};

use crate::api::{Api, Operation, Response};
use crate::document::{Document, pointer_of};
use crate::media::{MediaKind, essence, fits, kind};

/// Levels of a made value.
const MOST_DEPTH: usize = 10;
/// Items of a made list, and properties of a made object.
const MOST_ITEMS: u64 = 5;
const MOST_PROPERTIES: usize = 200;
/// The largest made text.
const MOST_TEXT: u64 = 1_000;
/// The largest answer.
const MOST_BODY: usize = 1 << 20;

/// Which of the answers is wanted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted<'a> {
    /// The status.
    pub status: Option<u16>,
    /// The name of an example.
    pub example: Option<&'a str>,
    /// The media types that the client takes, as in `Accept`.
    pub accept: Option<&'a str>,
}

/// An answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Mocked {
    /// Its status.
    pub status: u16,
    /// What the body is; empty for none.
    pub content_type: String,
    /// The body.
    pub body: Vec<u8>,
    /// Headers that the document has an example or a schema for.
    pub headers: Vec<(String, String)>,
}

impl Api {
    /// The answer of an operation; `None` when the document has none of the wanted status.
    pub fn mock(&self, operation: &Operation, wanted: Wanted<'_>) -> Option<Mocked> {
        let (status, response) = chosen(operation, wanted.status)?;
        let document = &self.document;
        let written = document.root.pointer(&response.pointer)?;
        let maker = Maker { document };
        let mut mocked =
            Mocked { status, content_type: String::new(), body: Vec::new(), headers: Vec::new() };
        for (name, header) in written.get("headers").and_then(Value::as_object).into_iter().flatten() {
            let Some(header) = document.resolved(header) else { continue };
            let text = maker.of_media(header, None).map(|value| plain(&value)).unwrap_or_default();
            let good = !text.is_empty() && text.bytes().all(|byte| (b' '..0x7f).contains(&byte));
            if good
                && !name.eq_ignore_ascii_case("content-type")
                && !name.eq_ignore_ascii_case("content-length")
            {
                mocked.headers.push((name.clone(), text));
            }
        }
        if matches!(status, 204 | 205 | 304) {
            return Some(mocked);
        }
        if let Some((name, media)) = media(written, response, wanted.accept) {
            let essence = essence(name.as_bytes());
            let value = maker.of_media(document.resolved(media)?, wanted.example);
            let is_json = kind(&essence) == MediaKind::Json || name.contains('*');
            mocked.content_type = if name.contains('*') { "application/json".into() } else { name.clone() };
            mocked.body = match value {
                Some(value) if is_json => value.to_string().into_bytes(),
                Some(value) => plain(&value).into_bytes(),
                None => Vec::new(),
            };
            if mocked.body.len() > MOST_BODY {
                return None;
            }
        }
        Some(mocked)
    }
}

/// The answer of the wanted status; without a wish the first good one.
fn chosen(operation: &Operation, wanted: Option<u16>) -> Option<(u16, &Response)> {
    if let Some(status) = wanted {
        return operation.response(status).map(|response| (status, response));
    }
    let number = |text: &str, class: u16| -> Option<u16> {
        match text {
            "DEFAULT" => Some(if class == 2 { 200 } else { 500 }),
            text => match text.strip_suffix("XX") {
                Some(digit) => digit.parse::<u16>().ok()?.checked_mul(100),
                None => text.parse().ok(),
            },
        }
    };
    let good = operation.responses.iter().find_map(|(text, response)| {
        let status = number(text, 0).filter(|status| (200..300).contains(status))?;
        Some((status, response))
    });
    let other = || {
        let first = operation.responses.first()?;
        Some((number(&first.0, 2).filter(|status| (200..600).contains(status))?, &first.1))
    };
    good.or_else(other)
}

/// The media type that the client takes: JSON where that is among them.
fn media<'d>(
    written: &'d Value,
    response: &Response,
    accept: Option<&str>,
) -> Option<(&'d String, &'d Value)> {
    let content = written.get("content").and_then(Value::as_object)?;
    let ranges: Vec<String> = accept.unwrap_or("*/*").split(',').map(|one| essence(one.as_bytes())).collect();
    let taken = |name: &str| {
        let own = essence(name.as_bytes());
        ranges.iter().any(|range| fits(range, &own).is_some())
    };
    let first = response.content.iter().find(|media| media.kind == MediaKind::Json && taken(&media.name));
    let name = first.or_else(|| response.content.iter().find(|media| taken(&media.name)));
    let name = name.or_else(|| response.content.first())?;
    content.iter().find(|(own, _)| **own == name.name)
}

/// A value as a text.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

struct Maker<'d> {
    document: &'d Document,
}

impl Maker<'_> {
    /// The example of a media type or a header, else a value made from its schema.
    fn of_media(&self, media: &Value, wanted: Option<&str>) -> Option<Value> {
        let examples = media.get("examples").and_then(Value::as_object);
        let named = |name: &str| self.example(examples?.get(name)?);
        let first = || self.example(examples?.values().next()?);
        let own = || media.get("example").cloned();
        wanted.and_then(named).or_else(own).or_else(first).or_else(|| {
            let schema = media.get("schema")?;
            Some(self.value(schema, MOST_DEPTH, &mut Vec::new()))
        })
    }

    fn example(&self, example: &Value) -> Option<Value> {
        self.document.resolved(example)?.get("value").cloned()
    }

    /// A value of a schema. `open` are the references that are being followed.
    fn value(&self, schema: &Value, left: usize, open: &mut Vec<String>) -> Value {
        if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
            let pointer = pointer_of(reference).unwrap_or_default();
            if open.iter().filter(|known| **known == pointer).count() > 1 || left == 0 {
                return Value::Null;
            }
            let Some(target) = self.document.root.pointer(&pointer) else { return Value::Null };
            open.push(pointer);
            let value = self.value(target, left, open);
            open.pop();
            return value;
        }
        for key in ["example", "default", "const"] {
            if let Some(value) = schema.get(key).filter(|value| !value.is_null()) {
                return value.clone();
            }
        }
        for key in ["examples", "enum"] {
            if let Some(value) = schema.get(key).and_then(Value::as_array).and_then(|values| values.first()) {
                return value.clone();
            }
        }
        if schema.get("allOf").is_some() {
            return self.merged(schema, left, open);
        }
        for key in ["oneOf", "anyOf"] {
            let choices = schema.get(key).and_then(Value::as_array).into_iter().flatten();
            let is_null = |choice: &&Value| choice.get("type").and_then(Value::as_str) == Some("null");
            if let Some(first) = choices.filter(|choice| !is_null(choice)).next() {
                let chosen = self.value(first, left, open);
                if !schema.get("properties").is_some_and(Value::is_object) || !chosen.is_object() {
                    return chosen;
                }
                return joined(self.typed(schema, left, open), chosen);
            }
        }
        self.typed(schema, left, open)
    }

    fn merged(&self, schema: &Value, left: usize, open: &mut Vec<String>) -> Value {
        let mut merged = self.typed(schema, left, open);
        for part in schema.get("allOf").and_then(Value::as_array).into_iter().flatten() {
            let part = self.value(part, left, open);
            merged = if merged.is_null() || !merged.is_object() { part } else { joined(merged, part) };
        }
        merged
    }

    /// By type alone.
    fn typed(&self, schema: &Value, left: usize, open: &mut Vec<String>) -> Value {
        let kind = match schema.get("type") {
            Some(Value::String(kind)) => kind.as_str(),
            Some(Value::Array(kinds)) => {
                kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null").unwrap_or("null")
            }
            _ if schema.get("properties").is_some() || schema.get("additionalProperties").is_some() => {
                "object"
            }
            _ if schema.get("items").is_some() => "array",
            _ => "",
        };
        match kind {
            "object" => self.object(schema, left, open),
            "array" => self.list(schema, left, open),
            "string" => Value::String(text(schema)),
            "integer" | "number" => number(schema, kind == "integer"),
            "boolean" => Value::Bool(true),
            _ => Value::Null,
        }
    }

    fn object(&self, schema: &Value, left: usize, open: &mut Vec<String>) -> Value {
        let Some(left) = left.checked_sub(1) else { return json!({}) };
        let required = schema.get("required").and_then(Value::as_array);
        let is_required =
            |name: &str| required.is_some_and(|names| names.iter().any(|own| own.as_str() == Some(name)));
        let mut made = Map::new();
        let properties = schema.get("properties").and_then(Value::as_object);
        for (name, property) in properties.into_iter().flatten() {
            let resolved = self.document.resolved(property).unwrap_or(property);
            let is_written = resolved.get("writeOnly").and_then(Value::as_bool) == Some(true);
            if made.len() >= MOST_PROPERTIES || (is_written && !is_required(name)) {
                continue;
            }
            let value = self.value(property, left, open);
            // What could not be made to its end is left out where it may be.
            if !value.is_null() || is_required(name) {
                made.insert(name.clone(), value);
            }
        }
        let more = schema.get("additionalProperties").filter(|more| more.is_object());
        if let (Some(more), true) = (more, made.is_empty()) {
            let value = self.value(more, left, open);
            if !value.is_null() {
                made.insert("key".into(), value);
            }
        }
        Value::Object(made)
    }

    fn list(&self, schema: &Value, left: usize, open: &mut Vec<String>) -> Value {
        let Some(left) = left.checked_sub(1) else { return json!([]) };
        let least = schema.get("minItems").and_then(Value::as_u64).unwrap_or(1).clamp(1, MOST_ITEMS);
        let most = schema.get("maxItems").and_then(Value::as_u64).unwrap_or(least);
        let Some(items) = schema.get("items") else { return json!([]) };
        let made = (0..least.min(most)).map(|_| self.value(items, left, open));
        Value::Array(made.filter(|item| !item.is_null()).collect())
    }
}

fn joined(one: Value, other: Value) -> Value {
    match (one, other) {
        (Value::Object(mut one), Value::Object(other)) => {
            one.extend(other);
            Value::Object(one)
        }
        (one, Value::Null) => one,
        (_, other) => other,
    }
}

fn text(schema: &Value) -> String {
    let pattern = schema.get("pattern").and_then(Value::as_str);
    if let Some(text) = pattern.and_then(crate::sample::of).filter(|text| !text.is_empty()) {
        return text;
    }
    let made = match schema.get("format").and_then(Value::as_str).unwrap_or_default() {
        "date-time" => "2024-01-01T00:00:00Z",
        "date" => "2024-01-01",
        "time" => "00:00:00Z",
        "duration" => "P1D",
        "uuid" => "00000000-0000-4000-8000-000000000000",
        "email" | "idn-email" => "user@example.com",
        "uri" | "url" | "iri" => "https://example.com/",
        "uri-reference" => "/",
        "hostname" | "idn-hostname" => "example.com",
        "ipv4" => "192.0.2.1",
        "ipv6" => "2001:db8::1",
        "byte" => "dGV4dA==",
        "json-pointer" => "/a",
        "regex" => ".*",
        _ => "text",
    };
    let bound = |key: &str| schema.get(key).and_then(Value::as_u64);
    let (least, most) = (bound("minLength").unwrap_or(0).min(MOST_TEXT), bound("maxLength"));
    let mut text = made.to_owned();
    while (text.len() as u64) < least {
        text.push('x');
    }
    match most {
        Some(most) => text.chars().take(usize::try_from(most).unwrap_or(usize::MAX)).collect(),
        None => text,
    }
}

fn number(schema: &Value, whole: bool) -> Value {
    let bound = |key: &str| schema.get(key).and_then(Value::as_f64);
    let beyond = |inclusive: &str, exclusive: &str, by: f64| match schema.get(exclusive) {
        Some(Value::Bool(true)) => bound(inclusive).map(|bound| bound + by),
        Some(Value::Number(_)) => bound(exclusive).map(|bound| bound + by),
        _ => bound(inclusive),
    };
    let (least, most) =
        (beyond("minimum", "exclusiveMinimum", 1.0), beyond("maximum", "exclusiveMaximum", -1.0));
    let mut made = 1.0_f64;
    if let Some(least) = least {
        made = made.max(least);
    }
    if let Some(most) = most {
        made = made.min(most);
    }
    if let Some(step) = bound("multipleOf").filter(|step| *step > 0.0) {
        made = (made / step).ceil() * step;
    }
    let made = if whole { made.ceil() } else { made };
    // 1 rather than 1.0, which not everybody takes for the same.
    if made.fract() == 0.0 && made.abs() < 9e15 { json!(made as i64) } else { json!(made) }
}
