//! A document and the references within it.
//!
//! References lead to other places of the same document; one that leads elsewhere is a flaw, and nothing is ever fetched.

use serde_json::Value;

use crate::{Flaw, escaped};

/// References that are followed one after the other.
const MOST_STEPS: usize = 32;
/// Flaws that are told.
const MOST_FLAWS: usize = 20;

/// A document.
pub(crate) struct Document {
    pub(crate) root: Value,
    /// Whether it is of version 3.0, whose schemas are written in another way.
    pub(crate) is_30: bool,
}

impl Document {
    /// Looks at the version and at the references.
    pub(crate) fn new(root: Value) -> Result<Document, Vec<Flaw>> {
        let version = root.get("openapi").and_then(Value::as_str).unwrap_or_default();
        let is_30 = version.starts_with("3.0");
        if !is_30 && !version.starts_with("3.1") {
            let what = match root.get("swagger").and_then(Value::as_str) {
                Some(version) => format!("the document is of Swagger {version}: convert it to OpenAPI 3"),
                None if version.is_empty() => {
                    "no OpenAPI document: `openapi: 3.0.x` or `3.1.x` is missing".into()
                }
                None => format!("OpenAPI {version} is not known here: 3.0 and 3.1 are"),
            };
            return Err(vec![Flaw::new("", what)]);
        }
        let document = Document { root, is_30 };
        let mut flaws = Vec::new();
        document.references(&document.root, &mut String::new(), &mut flaws);
        if flaws.is_empty() { Ok(document) } else { Err(flaws) }
    }

    /// Finds references that lead nowhere. What stands in examples is no reference.
    fn references(&self, value: &Value, pointer: &mut String, flaws: &mut Vec<Flaw>) {
        if flaws.len() >= MOST_FLAWS {
            return;
        }
        match value {
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.step(&index.to_string(), item, pointer, flaws);
                }
            }
            Value::Object(entries) => {
                if let Some(Value::String(reference)) = entries.get("$ref") {
                    if !reference.starts_with('#') {
                        let what = format!("`{reference}` leads out of the document: put it into one file");
                        flaws.push(Flaw::new(pointer.clone(), what));
                    } else if self.target(reference).is_none() {
                        flaws.push(Flaw::new(pointer.clone(), format!("`{reference}` leads nowhere")));
                    }
                }
                for (key, item) in entries {
                    if !is_data(key) {
                        self.step(key, item, pointer, flaws);
                    }
                }
            }
            _ => {}
        }
    }

    fn step(&self, key: &str, value: &Value, pointer: &mut String, flaws: &mut Vec<Flaw>) {
        let length = pointer.len();
        pointer.push('/');
        pointer.push_str(&escaped(key));
        self.references(value, pointer, flaws);
        pointer.truncate(length);
    }

    /// What a reference leads to.
    pub(crate) fn target(&self, reference: &str) -> Option<&Value> {
        self.root.pointer(&pointer_of(reference)?)
    }

    /// What stands at a pointer, after all references; with the pointer where it stands in the end.
    pub(crate) fn follow(&self, pointer: &str) -> Option<(String, &Value)> {
        let mut at = pointer.to_owned();
        for _ in 0..MOST_STEPS {
            let value = self.root.pointer(&at)?;
            match value.get("$ref").and_then(Value::as_str) {
                Some(reference) => at = pointer_of(reference)?,
                None => return Some((at, value)),
            }
        }
        None
    }

    /// The value after all references.
    pub(crate) fn resolved<'d>(&'d self, value: &'d Value) -> Option<&'d Value> {
        match value.get("$ref").and_then(Value::as_str) {
            Some(reference) => self.follow(&pointer_of(reference)?).map(|(_, value)| value),
            None => Some(value),
        }
    }
}

/// Whether what stands under a key is an example, and not a part of the document.
pub(crate) fn is_data(key: &str) -> bool {
    matches!(key, "example" | "examples" | "default" | "enum" | "const") || key.starts_with("x-")
}

/// The JSON pointer of a reference within the document.
pub(crate) fn pointer_of(reference: &str) -> Option<String> {
    let fragment = reference.strip_prefix('#')?;
    let decoded = percent_decoded(fragment.as_bytes());
    String::from_utf8(decoded).ok().filter(|pointer| pointer.is_empty() || pointer.starts_with('/'))
}

/// Bytes with `%XX` resolved; what is no such escape stays.
pub(crate) fn percent_decoded(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        let hex = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        match after {
            [high, low, behind @ ..] if *byte == b'%' => match (hex(high), hex(low)) {
                (Some(high), Some(low)) => {
                    out.push(high << 4 | low);
                    rest = behind;
                }
                _ => out.push(*byte),
            },
            _ => out.push(*byte),
        }
    }
    out
}
