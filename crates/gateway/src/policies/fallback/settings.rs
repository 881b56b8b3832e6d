//! The steps of `fallback` as written.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};

use crate::config::{Pairs, Spanned, Status};
use crate::values::{Duration, HeaderName, HeaderValue, Template};

/// One step: the name of a service, or a map.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename = "$shape", rename_all = "lowercase")]
#[schemars(rename = "FallbackStep", untagged)]
pub enum StepSettings {
    /// A service by its name.
    Text(Spanned<String>),
    /// Another way to stand in.
    Map(Box<StepMap>),
}

/// A step other than a service.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[schemars(rename = "FallbackStepMap")]
#[serde(default)]
pub struct StepMap {
    /// How old the last good answer may be that is given again: `1h`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_good: Option<Duration>,
    /// Whether all callers get the same last good answer. Default false: each gets its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shared: Option<bool>,
    /// The status of an answer that is written here. Default 503.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    /// Its body as JSON, written as YAML.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub json: Option<serde_json::Value>,
    /// Its body as text. From a file: `${file:sorry.html}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// Its body as text in which places such as `{path.id}` and `{request_id}` are filled in, escaped as `content_type` demands:
    /// for HTML, JSON or as plain text. Braces are written twice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<Template>,
    /// What the body is. Default `application/json` for `json`, else `text/plain; charset=utf-8`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_type: Option<HeaderValue>,
    /// Further headers, such as `Retry-After`.
    #[serde(skip_serializing_if = "Pairs::is_empty")]
    pub headers: Pairs<HeaderName, HeaderValue>,
}

impl Serialize for StepSettings {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            StepSettings::Text(name) => name.serialize(serializer),
            StepSettings::Map(map) => map.serialize(serializer),
        }
    }
}

/// What a step is.
pub(super) enum Kind {
    Service(Spanned<String>),
    LastGood { age: Duration, shared: bool },
    Answer(Box<Written>),
}

/// An answer as written.
pub(super) struct Written {
    pub status: u16,
    pub content_type: String,
    pub body: Content,
    pub headers: Vec<(String, Vec<u8>)>,
}

/// The body of an answer.
pub(super) enum Content {
    Text(String),
    Template(Template),
}

impl StepSettings {
    /// What it is, or what is wrong with it and the remedy.
    pub(super) fn kind(self) -> Result<Kind, (String, &'static str)> {
        let map = match self {
            StepSettings::Text(name) => return Ok(Kind::Service(name)),
            StepSettings::Map(map) => *map,
        };
        let writes =
            map.status.is_some() || map.json.is_some() || map.body.is_some() || map.template.is_some();
        let dresses = map.content_type.is_some() || !map.headers.is_empty();
        if let Some(age) = map.last_good {
            if writes || dresses {
                let fault = "`last_good` and an answer that is written here are two steps".to_owned();
                return Err((fault, "write them one after the other"));
            }
            return Ok(Kind::LastGood { age, shared: map.shared.unwrap_or(false) });
        }
        if map.shared.is_some() {
            return Err(("`shared` is about `last_good`".to_owned(), "leave it out"));
        }
        if !writes {
            let fault = "a step of `fallback` that does nothing".to_owned();
            return Err((
                fault,
                "write the name of a service, `last_good: 1h`, or `status` and `json` or `body`",
            ));
        }
        let bodies = [map.json.is_some(), map.body.is_some(), map.template.is_some()];
        if bodies.iter().filter(|written| **written).count() > 1 {
            return Err(("`json`, `body` and `template` are one body".to_owned(), "keep one of them"));
        }
        let usual = if map.json.is_some() { "application/json" } else { "text/plain; charset=utf-8" };
        let body = match (map.json, map.template) {
            (Some(json), _) => Content::Text(json.to_string()),
            (None, Some(template)) => Content::Template(template),
            (None, None) => Content::Text(map.body.unwrap_or_default()),
        };
        if let Some((name, _)) = map.headers.iter().find(|(name, _)| is_framing(name.as_str())) {
            return Err((
                format!("the header `{name}` is set by the gateway"),
                "leave it out; use `content_type`",
            ));
        }
        let status = map.status.map_or(503, Status::get);
        if matches!(status, 204 | 205 | 304) && bodies.contains(&true) {
            return Err((
                format!("an answer with status {status} has no body"),
                "remove the body or change the status",
            ));
        }
        let headers = map.headers.iter();
        Ok(Kind::Answer(Box::new(Written {
            status,
            content_type: map.content_type.map_or_else(|| usual.to_owned(), |kind| kind.as_str().to_owned()),
            body,
            headers: headers
                .map(|(name, value)| (name.as_str().to_owned(), value.as_str().as_bytes().to_vec()))
                .collect(),
        })))
    }
}

/// Whether a field is the gateway's to write.
fn is_framing(name: &str) -> bool {
    ["content-type", "content-length", "transfer-encoding", "connection"]
        .iter()
        .any(|framing| framing.eq_ignore_ascii_case(name))
}
