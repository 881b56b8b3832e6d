//! A value as YAML: a scalar, a flow on one line, or a block.

use serde_json::Value;

use crate::config::node::{Form, Scalar, Value as Core};

/// The longest flow that is written on one line beside its key.
const WIDEST: usize = 96;

/// How quotes are chosen.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Quotes {
    /// None where the text is safe without.
    Needed,
    /// Always double ones, as JSON has them.
    Double,
    /// Always single ones, where the text allows them.
    Single,
}

/// A key of a map.
pub(super) fn key(name: &str, quotes: Quotes) -> String {
    text(name, quotes)
}

/// A value on one line.
pub(super) fn flow(value: &Value, quotes: Quotes) -> String {
    match value {
        Value::Null => "null".into(),
        Value::Bool(value) => value.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(value) => text(value, quotes),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(|item| flow(item, quotes)).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(map) if map.is_empty() => "{}".into(),
        Value::Object(map) => {
            let entry =
                |(name, value): (&String, &Value)| format!("{}: {}", key(name, quotes), flow(value, quotes));
            format!("{{ {} }}", map.iter().map(entry).collect::<Vec<_>>().join(", "))
        }
    }
}

/// What stands behind `key:` in a block, the space or line end before it included.
pub(super) fn behind_key(value: &Value, indent: usize, newline: &str) -> String {
    let line = flow(value, Quotes::Needed);
    let fits = indent.saturating_add(line.chars().count()) <= WIDEST;
    match value {
        Value::Object(map) if !fits && !map.is_empty() => {
            let inner = indent.saturating_add(2);
            let mut block = String::new();
            for (name, value) in map {
                block.push_str(newline);
                block.push_str(&" ".repeat(inner));
                block.push_str(&key(name, Quotes::Needed));
                block.push(':');
                block.push_str(&behind_key(value, inner, newline));
            }
            block
        }
        Value::Array(items) if !fits && !items.is_empty() => {
            let mut block = String::new();
            for item in items {
                block.push_str(newline);
                block.push_str(&" ".repeat(indent.saturating_add(2)));
                block.push_str("- ");
                block.push_str(&flow(item, Quotes::Needed));
            }
            block
        }
        _ => format!(" {line}"),
    }
}

fn text(value: &str, quotes: Quotes) -> String {
    match quotes {
        Quotes::Needed if is_safe(value) => value.to_owned(),
        Quotes::Single if !value.chars().any(char::is_control) => format!("'{}'", value.replace('\'', "''")),
        _ => Value::from(value).to_string(),
    }
}

/// Whether a text means itself without quotes, in blocks and flows alike.
fn is_safe(text: &str) -> bool {
    let first = text.chars().next().is_some_and(|first| first.is_ascii_alphanumeric() || first == '/');
    let plain = |c: char| {
        c.is_ascii_alphanumeric()
            || matches!(c, ' ' | '_' | '-' | '.' | '/' | '%' | '*' | '+' | '=' | '@' | ':')
    };
    let scalar = Scalar { text: text.to_owned(), form: Form::Plain };
    first
        && text.chars().all(plain)
        && !text.contains(": ")
        && !text.ends_with([':', ' '])
        && matches!(scalar.value(), Core::Text(_))
}
