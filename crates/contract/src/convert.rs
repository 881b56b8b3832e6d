//! Schemas of OpenAPI as JSON Schema 2020-12.
//!
//! OpenAPI 3.0 writes `nullable`, and bounds that exclude, in a way of its own. What is only read is not asked of a request,
//! and what is only written not of an answer. Formats of integers become bounds.

use serde_json::{Map, Value, json};

use crate::document::{Document, is_data};
use crate::schema::View;

/// Keys of a schema under which a map of schemas stands.
const MAPS: [&str; 5] = ["properties", "patternProperties", "$defs", "definitions", "dependentSchemas"];
/// Keys under which one schema stands.
const ONES: [&str; 11] = [
    "items",
    "additionalProperties",
    "not",
    "if",
    "then",
    "else",
    "contains",
    "propertyNames",
    "unevaluatedItems",
    "unevaluatedProperties",
    "contentSchema",
];
/// Keys under which a list of schemas stands.
const LISTS: [&str; 4] = ["allOf", "anyOf", "oneOf", "prefixItems"];

/// The document with all its schemas converted for one direction.
pub(crate) fn converted(document: &Document, view: View) -> Value {
    let mut root = document.root.clone();
    let convert = Convert { document, view };
    if let Some(Value::Object(schemas)) = root.pointer_mut("/components/schemas") {
        schemas.values_mut().for_each(|schema| convert.schema(schema));
    }
    convert.walk(&mut root);
    root
}

struct Convert<'d> {
    document: &'d Document,
    view: View,
}

impl Convert<'_> {
    /// Finds schemas wherever they stand outside of `components/schemas`.
    fn walk(&self, value: &mut Value) {
        match value {
            Value::Array(items) => items.iter_mut().for_each(|item| self.walk(item)),
            Value::Object(entries) => {
                for (key, value) in entries.iter_mut() {
                    match key.as_str() {
                        "schemas" => {}
                        "schema" => self.schema(value),
                        key if is_data(key) => {}
                        _ => self.walk(value),
                    }
                }
            }
            _ => {}
        }
    }

    fn schema(&self, value: &mut Value) {
        let Value::Object(schema) = value else { return };
        if self.document.is_30 {
            if let Some(reference) = schema.get("$ref").cloned() {
                // In 3.0 nothing beside a reference counts.
                schema.clear();
                schema.insert("$ref".into(), reference);
                return;
            }
            older(schema);
        }
        for key in ["example", "discriminator", "xml", "externalDocs"] {
            schema.remove(key);
        }
        bounds(schema);
        self.one_way(schema);
        for key in MAPS {
            if let Some(Value::Object(inner)) = schema.get_mut(key) {
                inner.values_mut().for_each(|schema| self.schema(schema));
            }
        }
        for key in ONES {
            if let Some(inner) = schema.get_mut(key) {
                self.schema(inner);
            }
        }
        for key in LISTS {
            if let Some(Value::Array(inner)) = schema.get_mut(key) {
                inner.iter_mut().for_each(|schema| self.schema(schema));
            }
        }
    }

    /// Does not ask for what goes the other way only.
    fn one_way(&self, schema: &mut Map<String, Value>) {
        let mark = match self.view {
            View::Request => "readOnly",
            View::Answer => "writeOnly",
        };
        let is_other = |property: &Value| {
            let resolved = self.document.resolved(property).unwrap_or(property);
            [property, resolved].iter().any(|schema| schema.get(mark).and_then(Value::as_bool) == Some(true))
        };
        let Some(Value::Object(properties)) = schema.get("properties") else { return };
        let others: Vec<String> =
            properties.iter().filter(|(_, value)| is_other(value)).map(|(name, _)| name.clone()).collect();
        if let Some(Value::Array(required)) = schema.get_mut("required") {
            required.retain(|name| !others.iter().any(|other| name.as_str() == Some(other)));
        }
    }
}

/// What OpenAPI 3.0 writes in its own way.
fn older(schema: &mut Map<String, Value>) {
    for (exclusive, bound) in [("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")] {
        match schema.get(exclusive).and_then(Value::as_bool) {
            Some(true) => {
                schema.remove(exclusive);
                if let Some(bound) = schema.remove(bound) {
                    schema.insert(exclusive.into(), bound);
                }
            }
            Some(false) => drop(schema.remove(exclusive)),
            None => {}
        }
    }
    let nullable = schema.remove("nullable").and_then(|nullable| nullable.as_bool()) == Some(true);
    if !nullable {
        return;
    }
    if let Some(Value::String(kind)) = schema.get("type").cloned() {
        schema.insert("type".into(), json!([kind, "null"]));
        if let Some(Value::Array(values)) = schema.get_mut("enum")
            && !values.contains(&Value::Null)
        {
            values.push(Value::Null);
        }
    } else if schema.keys().any(|key| LISTS.contains(&key.as_str())) {
        // `nullable` beside `allOf` and a reference is how 3.0 documents say it.
        let inner = std::mem::take(schema);
        schema.insert("anyOf".into(), json!([{ "type": "null" }, inner]));
    }
}

/// Formats of integers as bounds.
fn bounds(schema: &mut Map<String, Value>) {
    let is_integer = schema.get("type").is_some_and(|kind| match kind {
        Value::String(kind) => kind == "integer",
        Value::Array(kinds) => kinds.iter().any(|kind| kind == "integer"),
        _ => false,
    });
    let (least, most) = match schema.get("format").and_then(Value::as_str) {
        Some("int32") if is_integer => (i64::from(i32::MIN), i64::from(i32::MAX)),
        Some("int64") if is_integer => (i64::MIN, i64::MAX),
        _ => return,
    };
    for (key, exclusive, bound) in
        [("minimum", "exclusiveMinimum", least), ("maximum", "exclusiveMaximum", most)]
    {
        if !schema.contains_key(key) && !schema.contains_key(exclusive) {
            schema.insert(key.into(), bound.into());
        }
    }
}
