//! The JSON schema of the language, for editors and for the console.
//!
//! Made from the types and their doc comments, so it cannot say something else than the reader. Allows `${...}`
//! wherever a number, a truth value or one of several words is wanted.

use super::answers::{Redirect, Respond};
use super::read::{ACTIONS, IDENTITY_HEADERS, WRITTEN_IDENTITY_HEADERS};
use super::route::{Match, To, Use};
use super::{Config, Consumer, Listener, OneOrMany, Service, Target};
use crate::values::{Address, Template};
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};

/// The schema of a configuration file. `policies` gives the name and the schema of the settings of each policy.
pub fn schema(policies: impl FnOnce(&mut SchemaGenerator) -> Vec<(String, Schema)>) -> Value {
    let mut generator = SchemaSettings::draft07().for_deserialize().into_generator();
    let policies = policies(&mut generator);
    let bundle: Map<String, Value> =
        policies.into_iter().map(|(name, schema)| (name, schema.to_value())).collect();
    let uses = generator.subschema_for::<OneOrMany<Use>>().to_value();
    let uses = described(uses, "Bundles of policies added, or with `-` before the name taken away.");
    let route = route(&mut generator, &bundle, &uses);
    let mut defaults = bundle.clone();
    defaults.insert("use".into(), uses);
    let definitions = [
        ("Bundle", object(bundle), "A named bundle of policies."),
        ("Defaults", object(defaults), "Policies and bundles for every route that does not say otherwise."),
        ("Route", route, "A route: which requests, what to do with them, and with which policies."),
    ];
    for (name, schema, description) in definitions {
        generator.definitions_mut().insert(name.into(), described(schema, description));
    }
    let mut root = generator.into_root_schema_for::<Config>().to_value();
    if let Some(properties) = root.get_mut("properties").and_then(Value::as_object_mut) {
        properties
            .insert("version".into(), json!({ "const": 1, "description": "The version of the language." }));
        let include =
            json!({ "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }] });
        let about = "Further files: paths, or patterns with `*` in their last part, relative to this file. A folder \
                     stands for all its YAML files.";
        properties.insert("include".into(), described(include, about));
        let listen = json!({ "$ref": "#/definitions/Address" });
        let about = "The address on which clients arrive: short for one listener named `main`.";
        properties.insert("listen".into(), described(json!({ "allOf": [listen] }), about));
    }
    if let Some(root) = root.as_object_mut() {
        root.remove("required");
        root.insert("title".into(), "Tidegate configuration".into());
    }
    finish(&mut root);
    root
}

fn route(generator: &mut SchemaGenerator, policies: &Map<String, Value>, uses: &Value) -> Value {
    let mut properties = Map::new();
    let parts = [
        (
            "match",
            generator.subschema_for::<Match>(),
            "Conditions that do not fit into the key of the route.",
        ),
        ("to", generator.subschema_for::<To>(), "Forward to this service, or to this URL."),
        (
            "split",
            super::split::schema(generator),
            "Spread the requests over services by weight: `{ users: 90, users-next: 10 }`, or a map with `to`.",
        ),
        (
            "respond",
            generator.subschema_for::<Respond>(),
            "Answer without asking a service: a status, a text, or a map.",
        ),
        (
            "mock",
            generator.subschema_for::<super::Mock>(),
            "Answer with examples of an OpenAPI document: its file, or a map.",
        ),
        (
            "redirect",
            generator.subschema_for::<Redirect>(),
            "Send the client elsewhere: a URL or path, or a map.",
        ),
    ];
    for (name, schema, description) in parts {
        properties.insert(name.into(), described(json!({ "allOf": [schema] }), description));
    }
    let about = "Ask several services and make one answer of theirs: parts by name, each a service and a path, or a map.";
    properties.insert("aggregate".into(), described(super::aggregate::schema(generator, policies), about));
    properties.insert("use".into(), uses.clone());
    properties.extend(policies.clone());
    let mut route = object(properties);
    let one_action: Vec<Value> = ACTIONS.iter().map(|action| json!({ "required": [action] })).collect();
    if let Some(route) = route.as_object_mut() {
        route.insert("oneOf".into(), one_action.into());
    }
    route
}

fn object(properties: Map<String, Value>) -> Value {
    json!({ "type": "object", "properties": properties, "additionalProperties": false })
}

fn described(mut schema: Value, description: &str) -> Value {
    if let Some(schema) = schema.as_object_mut() {
        schema.insert("description".into(), description.into());
    }
    schema
}

/// Closes every map against unknown keys and lets `${...}` stand for numbers, truth values and words.
fn finish(schema: &mut Value) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(finish),
        Value::Object(object) => {
            for (key, value) in object.iter_mut() {
                if !matches!(key.as_str(), "default" | "examples" | "enum" | "const") {
                    finish(value);
                }
            }
            if let Some(Value::String(description)) = object.get_mut("description") {
                // Comments are broken into lines for the width of the source, paragraphs are meant.
                let joined = |text: &str| {
                    // Code stays as it is.
                    if text.starts_with("```") { text.to_owned() } else { text.replace('\n', " ") }
                };
                let paragraphs: Vec<_> = description.split("\n\n").map(joined).collect();
                *description = paragraphs.join("\n\n");
            }
            if object.get("properties").is_some_and(Value::is_object)
                && object.get("type").is_some_and(Value::is_string)
            {
                object.entry("additionalProperties").or_insert(Value::Bool(false));
            }
            let variable = json!({ "type": "string", "pattern": r"\$\{" });
            if let Some(Value::Array(choices)) = object.get_mut("oneOf")
                && choices.iter().any(|choice| choice.get("const").is_some())
            {
                choices.push(variable);
                return;
            }
            let kind = object.get("type").and_then(Value::as_str);
            if matches!(kind, Some("integer" | "number" | "boolean"))
                || object.get("enum").is_some_and(Value::is_array)
            {
                let described: Map<String, Value> = ["description", "default", "title"]
                    .into_iter()
                    .filter_map(|key| Some((key.to_owned(), object.remove(key)?)))
                    .collect();
                let plain = Value::Object(std::mem::replace(object, described));
                object.insert("anyOf".into(), json!([plain, variable]));
            }
        }
        _ => {}
    }
}

/// Listeners by name, each an address or a map.
pub(super) fn listeners(generator: &mut SchemaGenerator) -> Schema {
    named(generator, &[<Address as JsonSchema>::json_schema, <Listener as JsonSchema>::json_schema])
}

/// Services by name, each a URL, a list of targets, or a map.
pub(super) fn services(generator: &mut SchemaGenerator) -> Schema {
    named(generator, &[<OneOrMany<Target> as JsonSchema>::json_schema, <Service as JsonSchema>::json_schema])
}

/// Consumers by name.
pub(super) fn consumers(generator: &mut SchemaGenerator) -> Schema {
    let mut consumer = Consumer::json_schema(generator);
    if let Some(Value::Object(properties)) = consumer.get_mut("properties") {
        let about = "How often it may ask, on all routes that learn who calls, together and besides what limits a route has of \
                     its own: what the policy `rate_limit` takes, without `per`, `scope`, `cost` and `mode`.";
        let settings = json!({ "description": about, "allOf": [{ "$ref": "#/definitions/RateLimit" }] });
        properties.insert("rate_limit".to_owned(), settings);
    }
    json_schema!({ "type": ["object", "null"], "additionalProperties": { "anyOf": [consumer] } })
}

/// Names of headers and what stands in them.
pub(super) fn written_identity_headers(generator: &mut SchemaGenerator) -> Schema {
    let text = generator.subschema_for::<Template>();
    let default: Map<String, Value> =
        WRITTEN_IDENTITY_HEADERS.iter().map(|(name, text)| ((*name).to_owned(), (*text).into())).collect();
    json_schema!({ "type": "object", "additionalProperties": text, "default": default })
}

/// A map of names to one of several forms.
fn named(generator: &mut SchemaGenerator, forms: &[fn(&mut SchemaGenerator) -> Schema]) -> Schema {
    let forms: Vec<Schema> = forms.iter().map(|form| form(generator)).collect();
    json_schema!({ "type": ["object", "null"], "additionalProperties": { "anyOf": forms } })
}

/// A map of names to a definition that depends on the policies.
fn named_definition(name: &str) -> Schema {
    let reference = format!("#/definitions/{name}");
    json_schema!({ "type": ["object", "null"], "additionalProperties": { "$ref": reference } })
}

pub(super) fn bundles(_: &mut SchemaGenerator) -> Schema {
    named_definition("Bundle")
}

pub(super) fn routes(_: &mut SchemaGenerator) -> Schema {
    named_definition("Route")
}

pub(super) fn defaults(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "allOf": [{ "$ref": "#/definitions/Defaults" }] })
}

/// The admin address: an address, or a map.
pub(super) fn admin(generator: &mut SchemaGenerator) -> Schema {
    let short = generator.subschema_for::<super::AdminListen>();
    let long = generator.subschema_for::<super::Admin>();
    json_schema!({ "anyOf": [short, long] })
}

/// The shared Redis: an address, or a map.
pub(super) fn redis(generator: &mut SchemaGenerator) -> Schema {
    let short = generator.subschema_for::<crate::values::RedisUrl>();
    let long = generator.subschema_for::<super::Redis>();
    json_schema!({ "anyOf": [short, long] })
}

pub(super) fn identity_headers() -> Vec<&'static str> {
    IDENTITY_HEADERS.to_vec()
}
