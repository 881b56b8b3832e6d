//! The tree of a configuration before its meaning is known: scalars, lists, maps, each with its place.
//!
//! Scalars keep their text: what wants a text gets what was written (`1.10` stays `1.10`), what wants a number gets
//! the number of the YAML 1.2 core schema. Equality leaves places aside.

use super::place::{Span, Spanned};
use serde::{Serialize, Serializer, ser::SerializeMap};

/// One value of the tree.
#[derive(Debug, Clone)]
pub struct Node {
    /// Where it stands.
    pub span: Span,
    /// What it is.
    pub kind: Kind,
}

/// What a node is.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// A text, number, truth value or nothing.
    Scalar(Scalar),
    /// A list.
    List(Vec<Node>),
    /// A map, in the order of the file.
    Map(Vec<Entry>),
}

/// One key of a map with its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The key.
    pub key: Spanned<String>,
    /// The value.
    pub value: Node,
}

/// A scalar as written.
#[derive(Debug, Clone)]
pub struct Scalar {
    /// The text, without quotes, variables replaced.
    pub text: String,
    /// How it was written.
    pub form: Form,
}

/// How a scalar was written, which decides what it may become.
#[derive(Debug, Clone, PartialEq)]
pub enum Form {
    /// Without quotes: may be a number, a truth value, nothing.
    Plain,
    /// In quotes or as a block: a text.
    Quoted,
    /// With `${...}` in it, replaced: may be a number or a truth value, never nothing. Holds the text before.
    Replaced(String),
}

/// What a scalar is by the YAML 1.2 core schema.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Value<'a> {
    Null,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Text(&'a str),
}

impl PartialEq for Node {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind
    }
}

impl PartialEq for Scalar {
    fn eq(&self, other: &Self) -> bool {
        // A quoted `"1"` and a plain `1` differ; where the text came from does not matter.
        self.value() == other.value()
    }
}

impl Node {
    /// A map, such as one put together from two.
    pub const fn map(span: Span, entries: Vec<Entry>) -> Self {
        Self { span, kind: Kind::Map(entries) }
    }

    /// The value of a key, if this is a map that has it.
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.entries().iter().find(|entry| *entry.key == key).map(|entry| &entry.value)
    }

    /// A map without the entry of a key, and the value of that entry.
    pub fn without(&self, key: &str) -> (Self, Option<Self>) {
        let Kind::Map(entries) = &self.kind else { return (self.clone(), None) };
        let (taken, rest): (Vec<_>, Vec<_>) = entries.iter().cloned().partition(|entry| *entry.key == key);
        (Self::map(self.span, rest), taken.into_iter().next().map(|entry| entry.value))
    }

    /// The entries, if this is a map; else none.
    pub fn entries(&self) -> &[Entry] {
        if let Kind::Map(entries) = &self.kind { entries } else { &[] }
    }

    /// The items, if this is a list; else none.
    pub fn items(&self) -> &[Self] {
        if let Kind::List(items) = &self.kind { items } else { &[] }
    }

    /// The text, if this is a scalar other than nothing.
    pub fn text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Scalar(scalar) if scalar.value() != Value::Null => Some(&scalar.text),
            _ => None,
        }
    }

    /// Whether `${...}` brought any part of it.
    pub fn has_variables(&self) -> bool {
        match &self.kind {
            Kind::Scalar(scalar) => matches!(scalar.form, Form::Replaced(_)),
            Kind::List(items) => items.iter().any(Self::has_variables),
            Kind::Map(entries) => entries.iter().any(|entry| entry.value.has_variables()),
        }
    }

    /// Whether nothing was written, as in `key:`.
    pub fn is_null(&self) -> bool {
        matches!(&self.kind, Kind::Scalar(scalar) if scalar.value() == Value::Null)
    }

    /// What this is, for messages: `text`, `a list`, ...
    pub(super) fn describe(&self) -> String {
        match &self.kind {
            Kind::List(_) => "a list".into(),
            Kind::Map(_) => "a map".into(),
            Kind::Scalar(scalar) => match scalar.value() {
                Value::Null => "nothing".into(),
                Value::Bool(_) | Value::Unsigned(_) | Value::Signed(_) | Value::Float(_) => {
                    format!("`{}`", scalar.text)
                }
                Value::Text(text) if text.chars().count() <= 40 && !text.contains('\n') => {
                    format!("the text `{text}`")
                }
                Value::Text(_) => "a text".into(),
            },
        }
    }

    /// This map with the entries of `base` that it does not have itself. What is no map stays as it is.
    pub(super) fn over(self, base: Option<&Self>) -> Self {
        match self.kind {
            Kind::Map(mut entries) => {
                for entry in base.map_or(&[][..], Self::entries) {
                    if !entries.iter().any(|own| own.key == entry.key) {
                        entries.push(entry.clone());
                    }
                }
                Self { span: self.span, kind: Kind::Map(entries) }
            }
            _ => self,
        }
    }
}

impl Scalar {
    /// What this is by the core schema (YAML 1.2.2 section 10.3.2).
    pub(super) fn value(&self) -> Value<'_> {
        match self.form {
            Form::Quoted => Value::Text(&self.text),
            Form::Plain if matches!(self.text.as_str(), "" | "~" | "null" | "Null" | "NULL") => Value::Null,
            Form::Plain | Form::Replaced(_) => plain_value(&self.text),
        }
    }
}

fn plain_value(text: &str) -> Value<'_> {
    match text {
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return Value::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => return Value::Float(f64::NEG_INFINITY),
        ".nan" | ".NaN" | ".NAN" => return Value::Float(f64::NAN),
        _ => {}
    }
    let radix = |prefix: &str, radix| {
        text.strip_prefix(prefix)
            .filter(|digits| digits.chars().all(|c| c.is_digit(radix)))
            .and_then(|digits| u64::from_str_radix(digits, radix).ok())
    };
    if let Some(number) = radix("0x", 16).or_else(|| radix("0o", 8)) {
        return Value::Unsigned(number);
    }
    if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.')) {
        return Value::Text(text);
    }
    if let Ok(number) = text.parse::<u64>() {
        return Value::Unsigned(number);
    }
    if let Ok(number) = text.parse::<i64>() {
        return Value::Signed(number);
    }
    let numeric = |c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.' | 'e' | 'E');
    match text.parse::<f64>() {
        Ok(number) if text.chars().all(numeric) => Value::Float(number),
        _ => Value::Text(text),
    }
}

impl Serialize for Node {
    /// What was replaced from the environment or a file is shown as it was written: it may be a secret.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.kind {
            Kind::List(items) => serializer.collect_seq(items),
            Kind::Map(entries) => {
                let mut map = serializer.serialize_map(Some(entries.len()))?;
                for entry in entries {
                    map.serialize_entry(&entry.key, &entry.value)?;
                }
                map.end()
            }
            Kind::Scalar(Scalar { form: Form::Replaced(written), .. }) => serializer.serialize_str(written),
            Kind::Scalar(scalar) => match scalar.value() {
                Value::Null => serializer.serialize_unit(),
                Value::Bool(value) => serializer.serialize_bool(value),
                Value::Unsigned(value) => serializer.serialize_u64(value),
                Value::Signed(value) => serializer.serialize_i64(value),
                Value::Float(value) => serializer.serialize_f64(value),
                Value::Text(text) => serializer.serialize_str(text),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn core_schema() {
        for (text, value) in [
            ("", Value::Null),
            ("~", Value::Null),
            ("null", Value::Null),
            ("true", Value::Bool(true)),
            ("FALSE", Value::Bool(false)),
            ("yes", Value::Text("yes")),
            ("off", Value::Text("off")),
            ("12", Value::Unsigned(12)),
            ("-12", Value::Signed(-12)),
            ("+12", Value::Unsigned(12)),
            ("0o17", Value::Unsigned(15)),
            ("0xfF", Value::Unsigned(255)),
            ("0x+1", Value::Text("0x+1")),
            ("1.5", Value::Float(1.5)),
            ("1e3", Value::Float(1000.0)),
            ("1.", Value::Float(1.0)),
            ("-", Value::Text("-")),
            ("1_000", Value::Text("1_000")),
            ("inf", Value::Text("inf")),
            ("12:30", Value::Text("12:30")),
            ("10.0.0.1", Value::Text("10.0.0.1")),
        ] {
            assert_eq!(Scalar { text: text.into(), form: Form::Plain }.value(), value, "{text}");
        }
        assert_eq!(Scalar { text: "1".into(), form: Form::Quoted }.value(), Value::Text("1"));
        let replaced = Scalar { text: String::new(), form: Form::Replaced("${X}".into()) };
        assert_eq!(replaced.value(), Value::Text(""));
    }
}
