//! Whether a request or an answer is what its operation says.
//!
//! Takes the parts as they came, gives what is wrong with each: where it stands, and a sentence that repeats no value.

use serde_json::Value;

use crate::api::{Media, Operation, Response};
use crate::json;
use crate::media::{self, MediaKind, fits};
use crate::parameter::{Parameter, Place};
use crate::schema::Schema;

/// What bounds a check.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Violations that are told.
    pub violations: usize,
    /// Levels of a JSON body.
    pub depth: usize,
    /// Whether parameters of the query that the document does not know are violations.
    pub strict_query: bool,
}

/// Something that is not as it must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// `path`, `query`, `header`, `cookie`, `body` or `status`.
    pub place: &'static str,
    /// The name of the parameter or header; empty for the body.
    pub name: String,
    /// A JSON pointer into its value; empty for all of it.
    pub pointer: String,
    /// What is wrong.
    pub detail: String,
}

impl Violation {
    fn of(place: &'static str, name: &str, detail: impl Into<String>) -> Violation {
        Violation { place, name: name.to_owned(), pointer: String::new(), detail: detail.into() }
    }
}

/// A request without its body.
pub struct Asked<'a> {
    /// What the names in the path stand for.
    pub names: &'a [(String, String)],
    /// The query as it came.
    pub query: &'a [u8],
    /// All values of a header; several lines are one list.
    pub header: &'a dyn Fn(&str) -> Option<String>,
    /// The value of a cookie.
    pub cookie: &'a dyn Fn(&str) -> Option<String>,
}

impl Operation {
    /// What is wrong with a request beside its body.
    pub fn check(&self, asked: &Asked<'_>, limits: Limits) -> Vec<Violation> {
        let query: Vec<(String, String)> = media::pairs(asked.query).collect();
        let mut found = Vec::new();
        for parameter in &self.parameters {
            if found.len() >= limits.violations {
                break;
            }
            let left = limits.violations.saturating_sub(found.len());
            found.extend(parameter.check(asked, &query, left));
        }
        if limits.strict_query {
            let unknown = query.iter().filter(|(name, _)| !self.knows(name));
            found
                .extend(unknown.map(|(name, _)| Violation::of("query", name, "this parameter is not known")));
        }
        found.truncate(limits.violations);
        found
    }

    fn knows(&self, name: &str) -> bool {
        let queries = self.parameters.iter().filter(|parameter| parameter.place == Place::Query);
        queries.into_iter().any(|parameter| {
            let key = name.strip_prefix(parameter.name.as_str());
            parameter.name == name
                || key.is_some_and(|key| key.starts_with('['))
                || parameter.shape.properties.iter().any(|(own, _)| own == name)
        })
    }

    /// How a body of this type is to be read, or what is wrong with the type. `None` when there is no body to be.
    pub fn media(&self, content_type: Option<&[u8]>, has_body: bool) -> Result<Option<&Media>, Violation> {
        let Some(body) = &self.body else { return Ok(None) };
        if !has_body {
            let missing = || Violation::of("body", "", "the body is missing");
            return if body.required { Err(missing()) } else { Ok(None) };
        }
        if body.content.is_empty() {
            return Ok(None);
        }
        chosen(&body.content, content_type).map(Some).ok_or_else(|| {
            let names: Vec<&str> = body.content.iter().map(|media| media.name.as_str()).collect();
            Violation::of("header", "Content-Type", format!("the body is to be one of {}", names.join(", ")))
        })
    }

    /// The answer of a status: the exact one, its class, or the default.
    pub fn response(&self, status: u16) -> Option<&Response> {
        let class = format!("{}XX", status / 100);
        let find = |wanted: &str| self.responses.iter().find(|(own, _)| own == wanted);
        find(&status.to_string()).or_else(|| find(&class)).or_else(|| find("DEFAULT")).map(|(_, found)| found)
    }
}

impl Response {
    /// How the body is to be read, or what is wrong with its type.
    pub fn media(&self, content_type: Option<&[u8]>) -> Result<Option<&Media>, Violation> {
        if self.content.is_empty() {
            return Ok(None);
        }
        chosen(&self.content, content_type).map(Some).ok_or_else(|| {
            let names: Vec<&str> = self.content.iter().map(|media| media.name.as_str()).collect();
            Violation::of("header", "Content-Type", format!("the body is to be one of {}", names.join(", ")))
        })
    }

    /// What is wrong with the headers.
    pub fn check(&self, header: &dyn Fn(&str) -> Option<String>, limits: Limits) -> Vec<Violation> {
        let mut found = Vec::new();
        for (name, required, shape, schema) in &self.headers {
            match (header(name), schema) {
                (None, _) if *required => found.push(Violation::of("header", name, "it is missing")),
                (Some(text), Some(schema)) => {
                    let value = if shape.array {
                        shape.list(text.split(',').map(str::trim))
                    } else {
                        shape.scalar(&text)
                    };
                    found.extend(schema.check(("header", name), (&value, text.len()), limits.violations));
                }
                _ => {}
            }
        }
        found.truncate(limits.violations);
        found
    }
}

/// The media type that a body is of; without a word about it, JSON where that is among them.
fn chosen<'m>(content: &'m [Media], content_type: Option<&[u8]>) -> Option<&'m Media> {
    let Some(content_type) = content_type else {
        return content.iter().find(|media| media.kind == MediaKind::Json || media.name == "*/*");
    };
    let essence = media::essence(content_type);
    let fitting = content.iter().filter_map(|media| Some((fits(&media.name, &essence)?, media)));
    fitting.max_by_key(|(fit, _)| *fit).map(|(_, media)| media)
}

impl Media {
    /// Whether its bodies are read, being of this type.
    pub fn reads(&self, content_type: Option<&[u8]>) -> bool {
        self.schema.is_some() && self.kind_of(content_type) != MediaKind::Other
    }

    fn kind_of(&self, content_type: Option<&[u8]>) -> MediaKind {
        match (self.kind, content_type) {
            (MediaKind::Other, Some(own)) => media::kind(&media::essence(own)),
            (kind, _) => kind,
        }
    }

    /// What is wrong with a body, decoded.
    pub fn check(&self, content_type: Option<&[u8]>, body: &[u8], limits: Limits) -> Vec<Violation> {
        let Some(schema) = &self.schema else { return Vec::new() };
        let value = match self.kind_of(content_type) {
            MediaKind::Json => match json::read(body, limits.depth) {
                Ok(value) => value,
                Err(flaw) => return vec![Violation::of("body", "", flaw.told())],
            },
            MediaKind::Form => self.shape.object(media::pairs(body)),
            MediaKind::Other => return Vec::new(),
        };
        schema.check(("body", ""), (&value, body.len()), limits.violations)
    }
}

impl Schema {
    /// What is wrong with a body of JSON.
    pub fn check_json(&self, body: &[u8], limits: Limits) -> Vec<Violation> {
        match json::read(body, limits.depth) {
            Ok(value) => self.check(("body", ""), (&value, body.len()), limits.violations),
            Err(flaw) => vec![Violation::of("body", "", flaw.told())],
        }
    }

    /// What is wrong with a text that stands in a query, a header or a cookie.
    pub fn check_text(&self, (place, name): (Place, &str), text: &str, most: usize) -> Vec<Violation> {
        // A text that is a number may be meant as one: either will do.
        let as_json =
            serde_json::from_str::<Value>(text).ok().filter(|value| !value.is_object() && !value.is_array());
        if as_json.is_some_and(|value| self.takes(&value)) {
            return Vec::new();
        }
        self.check((place.word(), name), (&Value::from(text), text.len()), most)
    }
}

impl Parameter {
    fn check(&self, asked: &Asked<'_>, query: &[(String, String)], most: usize) -> Vec<Violation> {
        let place = self.place.word();
        let owned: Vec<String> = match self.place {
            Place::Path => named(asked.names, &self.name),
            Place::Query => named(query, &self.name),
            Place::Header => (asked.header)(&self.name).into_iter().collect(),
            Place::Cookie => (asked.cookie)(&self.name).into_iter().collect(),
        };
        let texts: Vec<&str> = owned.iter().map(String::as_str).collect();
        if self.style == crate::parameter::Style::Other {
            let missing = self.required && texts.is_empty();
            return missing.then(|| Violation::of(place, &self.name, "it is missing")).into_iter().collect();
        }
        let Some(value) = self.value(&texts, query) else {
            let missing = self.required.then(|| Violation::of(place, &self.name, "it is missing"));
            return missing.into_iter().collect();
        };
        if texts.len() > 1 && !self.shape.array && !self.shape.object && self.place == Place::Query {
            // Which of them the service would take is anybody's guess.
            return vec![Violation::of(place, &self.name, "it stands there more than once")];
        }
        let length = texts.iter().map(|text| text.len()).sum();
        let Some(schema) = &self.schema else { return Vec::new() };
        schema.check((place, &self.name), (&value, length), most)
    }
}

fn named(pairs: &[(String, String)], name: &str) -> Vec<String> {
    pairs.iter().filter(|(own, _)| own == name).map(|(_, text)| text.clone()).collect()
}
