//! Aggregates as written: one answer made of the answers of several services.
//!
//! A part's policies stay raw nodes, as those of a route do. Names are checked here, what leads from part to part when it is
//! compiled.

use super::codes;
use super::decode::{decode, decode_key};
use super::diagnostic::Diagnostics;
use super::node::{Entry, Kind, Node};
use super::pairs::{Named, OneOrMany, Pairs};
use super::pattern::Method;
use super::place::{Span, Spanned};
use super::read::unknown_key;
use super::route::To;
use crate::values::composed::Field;
use crate::values::{Composed, Duration, HeaderName, HeaderValue, Invalid, Name, Size, Source, text_value};
use schemars::{JsonSchema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer, ser::SerializeMap};
use serde_json::{Map, Value, json};
use std::{fmt, str::FromStr};

/// The policies that a part may have.
const PART_POLICIES: &[&str] = &["cache", "concurrency", "fallback", "hedge", "quota", "rate_limit", "retry"];
/// The keys of a part that are no policies.
const PART_KEYS: &[&str] = &[
    "from",
    "after",
    "headers",
    "body",
    "timeout",
    "optional",
    "default",
    "for_each",
    "max_items",
    "at_once",
    "select",
    "flatten",
    "max_size",
];

/// The keys of the long form.
const KEYS: [&str; 3] = ["parts", "template", "content_type"];

/// One answer made of several.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Aggregate {
    /// The parts by name.
    pub parts: Named<Part>,
    /// The answer: JSON with places, or a text that is a template of minijinja.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<Spanned<Value>>,
    /// The type of an answer that is made of a text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_type: Option<Spanned<HeaderValue>>,
}

/// One part.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// What it asks for, and what becomes of the answer.
    pub settings: PartSettings,
    /// Its policies.
    pub policies: Named<Node>,
}

impl Serialize for Part {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if let Ok(Value::Object(settings)) = serde_json::to_value(&self.settings) {
            for (name, value) in &settings {
                map.serialize_entry(name, value)?;
            }
        }
        for (name, settings) in &self.policies {
            map.serialize_entry(name, settings)?;
        }
        map.end()
    }
}

/// A part of an aggregate: what it asks for, and what becomes of its answer. Besides these keys it may have the policies `cache`,
/// `concurrency`, `fallback`, `hedge`, `quota`, `rate_limit` and `retry` of its own.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[schemars(rename = "AggregatePart")]
pub struct PartSettings {
    /// What is asked for: a service or URL and a path, with a method before them unless it is GET: `users /users/{jwt.sub}`,
    /// `POST search /find`. Places are the sources of templates and what other parts answered: `{user.body.id}`.
    pub from: Spanned<From>,
    /// Parts that come before this one though it uses nothing of their answers.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub after: OneOrMany<Spanned<String>>,
    /// Headers besides those of the client.
    #[serde(default, skip_serializing_if = "Pairs::is_empty")]
    pub headers: Pairs<HeaderName, Spanned<Composed>>,
    /// The body that is sent, as JSON with places. A text that is nothing but one place keeps the type of its value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Spanned<Value>>,
    /// Time for the part, its answer's body included. Default: what the route's `timeout` leaves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Spanned<Duration>>,
    /// Whether the whole may do without it: then it is left out, and named in `Tidegate-Partial`. Default: false.
    #[serde(default)]
    pub optional: bool,
    /// What stands in its place when it fails, as JSON; the part is named in `Tidegate-Partial` all the same.
    #[serde(default, deserialize_with = "some", skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
    /// A list of another part's answer: this part is asked once for each of its elements, `{item}`, and its answer is the list of
    /// their answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_each: Option<Spanned<List>>,
    /// Elements at most; a longer list makes the part fail. 1 to 100. Default: 20.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_items: Option<Spanned<u32>>,
    /// How many elements are asked for at a time. Default: 8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_once: Option<Spanned<u32>>,
    /// What of the answer counts: keys that lead to one value (`data.items`), or a list of such values, which become an object.
    /// Default: all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub select: Option<Select>,
    /// Whether the members of the answer stand beside the names of the other parts, and not under its own. Where two have the same
    /// name, that of the part that is written first stands. Default: false.
    #[serde(default)]
    pub flatten: bool,
    /// How large the part's answer may be, at most 64MiB. Default: 1MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_size: Option<Spanned<Size>>,
}

/// What is written, also where that is `null`.
fn some<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

fn is_empty<T>(values: &OneOrMany<T>) -> bool {
    values.is_empty()
}

/// What of an answer counts: one value, or several.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename = "$shape", rename_all = "lowercase")]
#[schemars(rename = "AggregateSelect", untagged)]
pub enum Select {
    /// The keys that lead to one value.
    Text(Spanned<String>),
    /// Those that lead to several.
    List(Vec<Spanned<String>>),
}

impl Serialize for Select {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Select::Text(keys) => keys.serialize(serializer),
            Select::List(list) => list.serialize(serializer),
        }
    }
}

/// What a part asks for: `POST search /find?q={query.q}`.
#[derive(Debug, Clone, PartialEq)]
pub struct From {
    /// The method.
    pub method: Method,
    /// The service, or a URL.
    pub to: To,
    /// Path and query.
    pub path: Composed,
}

impl FromStr for From {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let shape = "write a service and a path, as in `users /users/{jwt.sub}`, or a method before them";
        let words: Vec<&str> = text.split_whitespace().collect();
        let (method, to, path) = match words.as_slice() {
            [to, path] => ("GET", *to, *path),
            [method, to, path] => (*method, *to, *path),
            _ => return Err(Invalid::new(format!("`{}` is nothing to ask for", text.escape_debug()), shape)),
        };
        if !path.starts_with('/') {
            return Err(Invalid::new(format!("`{}` does not begin with `/`", path.escape_debug()), shape));
        }
        Ok(From { method: method.parse()?, to: to.parse()?, path: path.parse()? })
    }
}

impl fmt::Display for From {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let method = self.method.to_string();
        if method != "GET" {
            write!(f, "{method} ")?;
        }
        write!(f, "{} {}", self.to, self.path)
    }
}

text_value!(From, "AggregateFrom", "a service and a path, such as `users /users/{jwt.sub}`", {
    "type": "string",
    "description": "A service or URL and a path, with a method before them unless it is GET.",
    "examples": ["users /users/{jwt.sub}", "POST search /find?q={query.q}"]
});

/// A list of another part's answer: `orders.items`, or in full `orders.body.items`.
#[derive(Debug, Clone, PartialEq)]
pub struct List(pub Field);

impl FromStr for List {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let bare = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or(text);
        let (part, keys) = bare.split_once('.').unwrap_or((bare, "body"));
        let full = match keys {
            "body" => format!("{part}.body"),
            keys if keys.starts_with("body.") => format!("{part}.{keys}"),
            keys => format!("{part}.body.{keys}"),
        };
        full.parse().map(List)
    }
}

impl fmt::Display for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

text_value!(List, "AggregateList", "a list of another part's answer, such as orders.items", {
    "type": "string",
    "description": "A list of another part's answer: the part's name and the keys that lead to it.",
    "examples": ["orders.items"]
});

impl Aggregate {
    /// All that its parts ask, each with its place.
    pub fn asked(&self) -> impl Iterator<Item = (&To, Span)> {
        self.parts.iter().map(|(_, part)| (&part.settings.from.to, part.settings.from.span()))
    }
}

/// The action with its parts under `parts`.
pub(super) fn long_form(node: &Node) -> Node {
    if node.get("parts").is_some_and(|parts| matches!(parts.kind, Kind::Map(_))) {
        return node.clone();
    }
    let key = Spanned::new("parts".to_owned(), node.span);
    Node::map(node.span, vec![Entry { key, value: node.clone() }])
}

/// Reads the action `aggregate`: parts by name, or a map with `parts` and more.
pub(super) fn read(entry: &Entry, diagnostics: &mut Diagnostics) -> Option<Aggregate> {
    let long = long_form(&entry.value);
    let parts = long.get("parts").unwrap_or(&entry.value);
    let (mut template, mut content_type) = (None, None);
    for inner in long.entries() {
        match inner.key.as_str() {
            "parts" => {}
            "template" => template = decode_key(&inner.key, &inner.value, diagnostics),
            "content_type" => content_type = decode_key(&inner.key, &inner.value, diagnostics),
            _ => _ = unknown_key(inner, &KEYS, "not a key of `aggregate`", diagnostics),
        }
    }
    if !matches!(parts.kind, Kind::Map(_)) || parts.entries().is_empty() {
        diagnostics
            .error(codes::WRONG_TYPE, entry.key.span(), "`aggregate` is a map of parts by name")
            .help("write a name, a colon, and what the part asks for: `user: users /users/{jwt.sub}`");
        return None;
    }
    let mut read = Named::default();
    for inner in parts.entries() {
        if let Some(part) = part(inner, diagnostics) {
            read.push(inner.key.clone(), part);
        }
    }
    Some(Aggregate { parts: read, template, content_type })
}

fn part(entry: &Entry, diagnostics: &mut Diagnostics) -> Option<Part> {
    let name = &entry.key;
    if let Err(invalid) = name.parse::<Name>() {
        diagnostics.error(codes::BAD_VALUE, name.span(), invalid.what).help(invalid.remedy);
    }
    let is_word = name.parse::<Source>().is_ok() || format!("{}.x", **name).parse::<Source>().is_ok();
    if is_word || name.contains('.') || **name == "item" {
        diagnostics
            .error(codes::BAD_VALUE, name.span(), format!("a part cannot be named `{}`", **name))
            .label("means something else in a template")
            .help("give it another name, without dots");
    }
    let node = super::read::long_form(&entry.value, "from");
    let all: Vec<&str> = PART_KEYS.iter().chain(PART_POLICIES).copied().collect();
    let (mut settings, mut policies) = (Vec::new(), Named::default());
    for inner in node.entries() {
        match inner.key.as_str() {
            key if PART_KEYS.contains(&key) => settings.push(inner.clone()),
            key if PART_POLICIES.contains(&key) => policies.push(inner.key.clone(), inner.value.clone()),
            _ => _ = unknown_key(inner, &all, "neither a key nor a policy of a part", diagnostics),
        }
    }
    let at_name = Node { span: name.span(), kind: Kind::Map(settings) };
    let settings = decode(&at_name, diagnostics)?;
    Some(Part { settings, policies })
}

/// The schema of the action: parts by name, or a map with `parts` and more.
pub(super) fn schema(generator: &mut SchemaGenerator, policies: &Map<String, Value>) -> Value {
    let mut part = PartSettings::json_schema(generator).to_value();
    if let Some(properties) = part.get_mut("properties").and_then(Value::as_object_mut) {
        let own = policies.iter().filter(|(name, _)| PART_POLICIES.contains(&name.as_str()));
        properties.extend(own.map(|(name, schema)| (name.clone(), schema.clone())));
    }
    let short = generator.subschema_for::<From>().to_value();
    let parts = json!({
        "type": "object",
        "minProperties": 1,
        "additionalProperties": { "anyOf": [short, part] },
        "description": "The parts by name.",
    });
    let long = json!({
        "type": "object",
        "required": ["parts"],
        "additionalProperties": false,
        "properties": {
            "parts": parts.clone(),
            "template": { "description": "The answer: JSON with places such as `{user.body.name}`, or a text that is a template of minijinja, \
                with `{{ user.body.name }}`, loops and conditions. Default: an object with the parts' names." },
            "content_type": {
                "type": "string",
                "description": "The type of an answer that is made of a text. What is to be JSON is checked to be it. Default: application/json.",
                "examples": ["text/html; charset=utf-8"],
            },
        },
    });
    json!({ "anyOf": [parts, long] })
}
