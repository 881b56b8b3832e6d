//! The whole effective configuration: every value that is in force, and where it comes from.
//!
//! Takes what was loaded; gives a tree of values each with its origin, a file and line or `default`. What it prints as
//! YAML can be loaded again and means the same. Secrets and what `${...}` brought are shown as written or as `***`.

use super::load::Loaded;
use super::node::{Form, Kind, Node, Scalar};
use super::place::{Files, Span};
use super::read::{inherited, long_form};
use super::split;
use serde::Serialize;
use serde_json::Value;
use std::fmt;

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// From this file and line.
    Written {
        /// The file as the user named it.
        file: String,
        /// The line, from 1.
        line: usize,
    },
    /// Written nowhere.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Written { file, line } => write!(f, "{file}:{line}"),
            Self::Default => f.write_str("default"),
        }
    }
}

impl Serialize for Origin {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// One value that is in force.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Setting {
    /// The keys and indices that lead to it.
    pub path: Vec<String>,
    /// The value.
    pub value: Value,
    /// Where it comes from.
    pub origin: Origin,
}

/// All values in force, as a tree.
#[derive(Debug, Clone, PartialEq)]
pub enum Effective {
    /// A value that has no parts.
    Leaf(Value, Origin),
    /// A list with something in it.
    List(Vec<Effective>),
    /// A map with something in it.
    Map(Vec<(String, Effective)>),
}

/// What is in force. `settings` gives the settings of a policy with its defaults filled in and its secrets hidden; where
/// it gives none, they are shown as written.
pub fn effective(loaded: &Loaded, settings: &dyn Fn(&str, &Node) -> Option<Value>) -> Effective {
    let walk = Walk { files: loaded.diagnostics.files(), settings };
    let Ok(Value::Object(config)) = serde_json::to_value(&loaded.config) else {
        return Effective::Map(Vec::new());
    };
    let root = &loaded.tree;
    let parts = config.into_iter().map(|(key, value)| {
        let node = root.get(&key);
        let part = match key.as_str() {
            "listeners" => walk.named(value, &|name| {
                let written = node.and_then(|all| all.get(name)).or_else(|| root.get("listen"))?;
                Some(inherited(root, &long_form(written, "address")))
            }),
            "services" => walk.named(value, &|name| Some(long_form(node?.get(name)?, "targets"))),
            "consumers" => walk.named(value, &|name| node?.get(name).cloned()),
            "admin" => walk.value(value, node.map(|node| long_form(node, "listen")).as_ref()),
            "redis" => walk.value(value, node.map(|node| long_form(node, "url")).as_ref()),
            "routes" => walk.routes(value, node),
            "policies" => walk.bundles(value, node),
            "defaults" => walk.policies(value, node),
            _ => walk.value(value, node),
        };
        (key, part)
    });
    Effective::Map(parts.collect())
}

struct Walk<'a> {
    files: &'a Files,
    settings: &'a dyn Fn(&str, &Node) -> Option<Value>,
}

impl Walk<'_> {
    fn origin(&self, span: Option<Span>) -> Origin {
        match span.and_then(|span| self.files.place(span)) {
            Some(place) => Origin::Written { file: place.file.to_string(), line: place.line },
            None => Origin::Default,
        }
    }

    /// A value and the node that it was read from, which may be a short form of it.
    fn value(&self, value: Value, node: Option<&Node>) -> Effective {
        match value {
            Value::Object(map) if !map.is_empty() => {
                let entries: Vec<(String, Value)> = map.into_iter().collect();
                let short = node.filter(|node| matches!(node.kind, Kind::Scalar(_))).and_then(Node::text);
                let holder = short.map(|short| {
                    let same = |(_, value): &(String, Value)| value.as_str() == Some(short);
                    entries.iter().position(same).unwrap_or(0)
                });
                let walked = entries.into_iter().enumerate().map(|(index, (key, value))| {
                    let inner = match (holder, key.as_str()) {
                        (Some(holder), _) => node.filter(|_| index == holder),
                        // An answer's `json` is in force as its body.
                        (None, "body") => node.and_then(|node| node.get("body").or_else(|| node.get("json"))),
                        (None, key) => node.and_then(|node| node.get(key)),
                    };
                    let part = self.value(value, inner);
                    (key, part)
                });
                Effective::Map(walked.collect())
            }
            Value::Array(items) if !items.is_empty() => {
                let one = node.filter(|node| !matches!(node.kind, Kind::List(_)));
                let inner = |index: usize| one.or_else(|| node.and_then(|node| node.items().get(index)));
                Effective::List(
                    items.into_iter().enumerate().map(|(i, value)| self.value(value, inner(i))).collect(),
                )
            }
            leaf => {
                let shown = node.and_then(without_variables).unwrap_or(leaf);
                Effective::Leaf(shown, self.origin(node.map(|node| node.span)))
            }
        }
    }

    /// Named things, each with the node in its long form.
    fn named(&self, value: Value, node: &dyn Fn(&str) -> Option<Node>) -> Effective {
        let walked = entries(value).map(|(name, value)| {
            let part = self.value(value, node(&name).as_ref());
            (name, part)
        });
        map(walked.collect())
    }

    fn bundles(&self, value: Value, node: Option<&Node>) -> Effective {
        let walked = entries(value).map(|(name, value)| {
            let inner = node.and_then(|node| node.get(&name));
            let part = self.policies(value, inner);
            (name, part)
        });
        map(walked.collect())
    }

    /// A bundle, or the defaults: policies, and `use`.
    fn policies(&self, value: Value, node: Option<&Node>) -> Effective {
        map(entries(value).map(|(key, value)| self.policy(key, value, node)).collect())
    }

    fn policy(&self, key: String, value: Value, node: Option<&Node>) -> (String, Effective) {
        let inner = node.and_then(|node| node.get(&key));
        let settings = inner.and_then(|inner| (self.settings)(&key, inner));
        let part = self.value(settings.unwrap_or(value), inner);
        (key, part)
    }

    fn routes(&self, value: Value, node: Option<&Node>) -> Effective {
        let walked = entries(value).map(|(name, value)| {
            let inner = node.and_then(|node| node.get(&name));
            let part = self.route(value, inner);
            (name, part)
        });
        map(walked.collect())
    }

    /// A route, without the conditions that its key says.
    fn route(&self, value: Value, node: Option<&Node>) -> Effective {
        let mut walked = Vec::new();
        for (key, value) in entries(value) {
            let inner = node.and_then(|node| node.get(&key));
            match key.as_str() {
                "match" => {
                    let own =
                        entries(value).filter(|(key, _)| inner.is_some_and(|inner| inner.get(key).is_some()));
                    let own: serde_json::Map<String, Value> = own.collect();
                    if !own.is_empty() {
                        walked.push((key, self.value(Value::Object(own), inner)));
                    }
                }
                "split" => walked.push((key, self.value(value, inner.map(split::long_form).as_ref()))),
                "to" | "respond" | "mock" | "redirect" | "use" => {
                    walked.push((key, self.value(value, inner)))
                }
                _ => walked.push(self.policy(key, value, node)),
            }
        }
        map(walked)
    }
}

/// What is shown in the place of what `${...}` brought, which may be a secret; none where it brought nothing.
fn without_variables(node: &Node) -> Option<Value> {
    match &node.kind {
        Kind::Scalar(Scalar { form: Form::Replaced(written), .. }) => Some(written.as_str().into()),
        // A text made of a whole tree, as the body that `json` gives.
        _ if node.has_variables() => Some("***".into()),
        _ => None,
    }
}

fn entries(value: Value) -> impl Iterator<Item = (String, Value)> {
    let map = if let Value::Object(map) = value { map } else { serde_json::Map::new() };
    map.into_iter()
}

fn map(entries: Vec<(String, Effective)>) -> Effective {
    if entries.is_empty() {
        return Effective::Leaf(Value::Object(serde_json::Map::new()), Origin::Default);
    }
    Effective::Map(entries)
}

impl Effective {
    /// All values, one after the other.
    pub fn settings(&self) -> Vec<Setting> {
        let mut settings = Vec::new();
        self.collect(&mut Vec::new(), &mut settings);
        settings
    }

    fn collect(&self, path: &mut Vec<String>, settings: &mut Vec<Setting>) {
        let mut inner = |step: String, part: &Self| {
            path.push(step);
            part.collect(path, settings);
            path.pop();
        };
        match self {
            Self::List(items) => {
                items.iter().enumerate().for_each(|(index, item)| inner(index.to_string(), item))
            }
            Self::Map(entries) => entries.iter().for_each(|(key, part)| inner(key.clone(), part)),
            Self::Leaf(value, origin) => {
                settings.push(Setting { path: path.clone(), value: value.clone(), origin: origin.clone() });
            }
        }
    }

    /// As YAML, each value with its origin as a comment. Can be loaded again.
    pub fn to_yaml(&self) -> String {
        let mut lines = Vec::new();
        self.lines(0, String::new(), &mut lines);
        let widest = lines
            .iter()
            .map(|(line, _)| line.chars().count())
            .filter(|width| *width <= 60)
            .max()
            .unwrap_or(0);
        let mut text = String::new();
        for (line, origin) in lines {
            match origin {
                Some(origin) => text.push_str(&format!("{line:<widest$}  # {origin}\n")),
                None => text.push_str(&format!("{line}\n")),
            }
        }
        text
    }

    /// `lead` is what already stands on the line: `key:` or `-`.
    fn lines(&self, depth: usize, lead: String, lines: &mut Vec<(String, Option<String>)>) {
        let indent = "  ".repeat(depth);
        match self {
            Self::Leaf(value, origin) => {
                let line = format!("{indent}{lead} {}", written(value));
                lines.push((line.trim_end().to_owned(), Some(origin.to_string())));
            }
            Self::List(items) => {
                lines.push((format!("{indent}{lead}"), None));
                items.iter().for_each(|item| item.lines(depth.saturating_add(1), "-".into(), lines));
            }
            Self::Map(entries) => {
                let mut depth = depth;
                if !lead.is_empty() {
                    lines.push((format!("{indent}{lead}"), None));
                    depth = depth.saturating_add(1);
                }
                for (key, part) in entries {
                    part.lines(depth, format!("{}:", text(key)), lines);
                }
            }
        }
    }
}

/// A value without parts as YAML.
fn written(value: &Value) -> String {
    match value {
        Value::String(string) => text(string),
        // JSON is YAML.
        other => other.to_string(),
    }
}

/// A text as YAML: as it is where that is safe, else in quotes.
fn text(text: &str) -> String {
    let plain = |c: char| {
        c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | ':' | '*' | '+' | ' ' | ',')
    };
    let safe = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/')
        && text.chars().all(plain)
        && !text.ends_with([':', ' '])
        && !text.contains(": ")
        && !matches!(text.to_ascii_lowercase().as_str(), "true" | "false" | "null");
    if safe { text.to_owned() } else { Value::from(text).to_string() }
}
