//! What a text of a path, query, header or form may become by its schema: numbers and truth values are texts there.
//!
//! Looks at the types that a schema names, through references and combinations, to a bounded depth; makes a value of which
//! the schema then judges.

use serde_json::{Map, Value};

use crate::document::Document;

/// Levels of a schema that are looked through.
const MOST_DEPTH: usize = 12;
/// Properties that are known by name.
const MOST_PROPERTIES: usize = 256;

/// The types that a schema names.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Shape {
    string: bool,
    number: bool,
    boolean: bool,
    null: bool,
    pub(crate) array: bool,
    pub(crate) object: bool,
    /// Of the items of a list.
    items: Option<Box<Shape>>,
    /// Of the properties of an object.
    pub(crate) properties: Vec<(String, Shape)>,
}

impl Shape {
    /// That of a schema.
    pub(crate) fn of(document: &Document, schema: &Value) -> Shape {
        let mut shape = Shape::default();
        shape.add(document, schema, MOST_DEPTH);
        shape
    }

    fn add(&mut self, document: &Document, schema: &Value, left: usize) {
        let (Some(left), Some(schema)) = (left.checked_sub(1), document.resolved(schema)) else { return };
        match schema.get("type") {
            Some(Value::String(kind)) => self.add_kind(kind),
            Some(Value::Array(kinds)) => {
                kinds.iter().filter_map(Value::as_str).for_each(|kind| self.add_kind(kind));
            }
            _ => {}
        }
        self.null |= schema.get("nullable").and_then(Value::as_bool) == Some(true);
        if let Some(items) = schema.get("items") {
            self.items.get_or_insert_default().add(document, items, left);
        }
        for (name, property) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
            self.object |= schema.get("type").is_none();
            if self.properties.len() < MOST_PROPERTIES {
                let mut shape = Shape::default();
                shape.add(document, property, left);
                self.properties.push((name.clone(), shape));
            }
        }
        for key in ["allOf", "anyOf", "oneOf"] {
            for inner in schema.get(key).and_then(Value::as_array).into_iter().flatten() {
                self.add(document, inner, left);
            }
        }
    }

    fn add_kind(&mut self, kind: &str) {
        match kind {
            "string" => self.string = true,
            "integer" | "number" => self.number = true,
            "boolean" => self.boolean = true,
            "null" => self.null = true,
            "array" => self.array = true,
            "object" => self.object = true,
            _ => {}
        }
    }

    /// A text as what it may be.
    pub(crate) fn scalar(&self, text: &str) -> Value {
        let known = self.string || self.number || self.boolean || self.null;
        if self.boolean && matches!(text, "true" | "false") {
            return Value::Bool(text == "true");
        }
        // Only what JSON has as a number: no `+1`, no `0x1`, no blanks.
        let is_number = text.starts_with(|c: char| c == '-' || c.is_ascii_digit());
        if self.number
            && is_number
            && let Ok(number) = serde_json::from_str::<serde_json::Number>(text)
        {
            return Value::Number(number);
        }
        if self.null && known && text.is_empty() && !self.string {
            return Value::Null;
        }
        Value::String(text.to_owned())
    }

    /// Texts as a list.
    pub(crate) fn list<'t>(&self, texts: impl Iterator<Item = &'t str>) -> Value {
        let anything = Shape::default();
        let items = self.items.as_deref().unwrap_or(&anything);
        Value::Array(texts.map(|text| items.scalar(text)).collect())
    }

    /// Names and texts as an object. A name that comes again makes a list, as a property that is one does.
    pub(crate) fn object(&self, pairs: impl Iterator<Item = (String, String)>) -> Value {
        let anything = Shape::default();
        let mut map: Map<String, Value> = Map::new();
        for (name, text) in pairs {
            let own = self.properties.iter().find(|(known, _)| *known == name);
            let shape = own.map_or(&anything, |(_, shape)| shape);
            let is_list = shape.array && !shape.string;
            let value =
                if is_list { shape.items.as_deref().unwrap_or(&anything) } else { shape }.scalar(&text);
            match map.get_mut(&name) {
                Some(Value::Array(list)) if is_list => list.push(value),
                Some(known) => {
                    let first = known.take();
                    *known = match first {
                        Value::Array(mut list) => {
                            list.push(value);
                            Value::Array(list)
                        }
                        first => Value::Array(vec![first, value]),
                    };
                }
                None => {
                    let value = if is_list { Value::Array(vec![value]) } else { value };
                    map.insert(name, value);
                }
            }
        }
        Value::Object(map)
    }
}
