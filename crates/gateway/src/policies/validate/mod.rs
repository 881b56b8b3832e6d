//! `validate` and `openapi`: requests and answers are what schemas, or a document, say.
//!
//! Looks at the head of a request at once; bodies are judged by whoever drives the exchange, when all of them is there.

mod bounds;
mod contracts;
mod judge;
mod openapi;
mod schemas;

use std::sync::Arc;

use contract::{Limits, Schema, Violation};
use schemars::{JsonSchema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use contracts::Contracts;
pub use openapi::OpenApi;

use super::{Context, Place, Policy, Settings};
use crate::config::{Diagnostics, OneOrMany, Pairs, Spanned, codes};
use crate::exchange::{Exchange, Verdict};
use crate::upstream::request;
use crate::values::{Size, Source};
use judge::{Rules, Wanted};
use schemas::Schemas;

/// The name of the setting in messages.
const TOO_DEEP: &str = "max_depth";

/// Lets only requests pass that are what JSON Schemas say, and the same for answers.
///
/// A schema is written as YAML, or comes as JSON text from a file: `${file:order.schema.json}`. References lead to places
/// within it. Faults are told as problem details with a JSON pointer each (400, or 415 for a media type); an answer that is
/// not what it must be becomes a 502. Bodies are read whole, up to `max_body` and `max_answer`; larger ones are refused, never
/// passed on unjudged. A key that stands twice in one object is refused. What a `request` or `response` on the route makes of
/// bodies is on the client's side of this: a request is judged as the service gets it, an answer as the service gave it.
///
/// ```yaml
/// validate:
///   request:
///     body: { type: object, required: [name], properties: { name: { type: string, maxLength: 100 } } }
///     texts: { query.limit: { type: integer, maximum: 100 }, header.x-tenant: { pattern: "^[a-z]+$" } }
///     required: header.x-tenant
/// ```
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct Validate {
    /// What a request must be.
    #[serde(default)]
    pub request: RequestRules,
    /// What an answer must be.
    #[serde(default)]
    pub answer: AnswerRules,
    /// The largest body of a request that is judged; a larger one is refused with 413. Default 1MiB.
    #[serde(default = "bounds::body")]
    pub max_body: Size,
    /// The largest body of an answer that is judged; a larger one becomes a 502. Default 1MiB.
    #[serde(default = "bounds::body")]
    pub max_answer: Size,
    /// Levels of lists and objects in a body, 1 to 100. Default 64.
    #[serde(default = "bounds::depth")]
    pub max_depth: Spanned<usize>,
    /// Faults that are told of one request, 1 to 100. Default 10.
    #[serde(default = "bounds::errors")]
    pub max_errors: Spanned<usize>,
}

/// What a request must be.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[schemars(rename = "ValidateRequest")]
#[serde(default)]
pub struct RequestRules {
    /// The schema of its body, which is JSON. Requests without a body pass unless `body_required` says otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "a_schema")]
    pub body: Option<Value>,
    /// Whether there must be a body. Default false.
    pub body_required: bool,
    /// The media types that its body may have when the service gets it: `application/json`. Default: any; with `body`, JSON.
    #[serde(skip_serializing_if = "is_empty")]
    pub content_types: OneOrMany<String>,
    /// Schemas of texts by their sources: `query.limit`, `path.id`, `header.x-tenant`, `cookie.sid`. A text that is a number may be
    /// meant as one.
    #[serde(skip_serializing_if = "Pairs::is_empty")]
    #[schemars(schema_with = "schemas_by_source")]
    pub texts: Pairs<Spanned<Source>, Value>,
    /// Sources that must be there.
    #[serde(skip_serializing_if = "is_empty")]
    pub required: OneOrMany<Source>,
}

/// What an answer must be.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[schemars(rename = "ValidateAnswer")]
#[serde(default)]
pub struct AnswerRules {
    /// The schema of the body of good answers (2xx), which is JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "a_schema")]
    pub body: Option<Value>,
}

/// A JSON Schema, or the text of one.
fn a_schema(_: &mut SchemaGenerator) -> schemars::Schema {
    json_schema!({ "type": ["object", "string"] })
}

fn schemas_by_source(_: &mut SchemaGenerator) -> schemars::Schema {
    json_schema!({ "type": "object", "additionalProperties": { "type": ["object", "string"] } })
}

fn is_empty<T>(values: &OneOrMany<T>) -> bool {
    values.is_empty()
}

impl Settings for Validate {
    const NAME: &'static str = "validate";
    const REFUSES: bool = true;

    fn compile(
        self,
        key: &Spanned<String>,
        _: &Context,
        faults: &mut Diagnostics,
    ) -> Option<Box<dyn Policy>> {
        let before = faults.errors();
        let limits = Limits {
            violations: bounds::within(&self.max_errors, "max_errors", faults)?,
            depth: bounds::within(&self.max_depth, TOO_DEEP, faults)?,
            strict_query: false,
        };
        let mut schemas = Schemas {
            body: self.request.body.as_ref().and_then(|written| schema(written, key.span(), faults)),
            answer: self.answer.body.as_ref().and_then(|written| schema(written, key.span(), faults)),
            types: self.request.content_types.iter().map(|name| name.to_ascii_lowercase()).collect(),
            required: self.request.required.to_vec(),
            texts: Vec::new(),
            body_required: self.request.body_required,
        };
        for (source, written) in &self.request.texts {
            let compiled = schema(written, source.span(), faults);
            schemas.texts.extend(compiled.map(|compiled| ((**source).clone(), compiled)));
        }
        if schemas.types.is_empty() && schemas.body.is_some() {
            schemas.types = vec!["application/json".into(), "+json".into()];
        }
        if faults.errors() > before {
            return None;
        }
        if self.request == RequestRules::default() && self.answer == AnswerRules::default() {
            faults
                .error(codes::BAD_POLICY, key.span(), "`validate` says nothing of requests or answers")
                .help("write `request: { body: SCHEMA }`, or point at a document with `openapi`");
            return None;
        }
        let rules = Rules {
            by: Self::NAME,
            shadow: false,
            limits,
            max_body: self.max_body.as_usize(),
            max_answer: self.max_answer.as_usize(),
        };
        Some(Box::new(Compiled { schemas: Arc::new(schemas), rules: Arc::new(rules) }))
    }
}

/// A schema as written, or as the text of a file.
fn schema(written: &Value, span: crate::config::Span, faults: &mut Diagnostics) -> Option<Schema> {
    let read = match written {
        Value::String(text) => {
            contract::read_json(text.as_bytes(), 100).map_err(|flaw| flaw.told().to_owned())
        }
        other => Ok(other.clone()),
    };
    match read.and_then(|read| Schema::new(&read)) {
        Ok(schema) => Some(schema),
        Err(why) => {
            let fault = format!("the schema cannot be used: {why}");
            faults.error(codes::BAD_POLICY, span, fault).help("write a JSON Schema (2020-12)");
            None
        }
    }
}

/// Compiled: schemas, and what bounds them.
struct Compiled {
    schemas: Arc<Schemas>,
    rules: Arc<Rules>,
}

impl Compiled {
    /// What is wrong with the head of a request.
    fn head(&self, exchange: &Exchange) -> Vec<Violation> {
        let most = self.rules.limits.violations;
        let mut found = Vec::new();
        for source in &self.schemas.required {
            if exchange.source(source).is_none() {
                found.push(violation(source, "it is missing"));
            }
        }
        for (source, schema) in &self.schemas.texts {
            let Some(text) = exchange.source(source) else { continue };
            let text = String::from_utf8_lossy(&text);
            let (place, name) = named(source);
            let wrong = schema.check_text((place, &name), &text, most.saturating_sub(found.len()).max(1));
            found.extend(wrong);
        }
        if request::is_bodyless(exchange) {
            let missing = self.schemas.body_required.then_some("the body is missing");
            found.extend(missing.map(|detail| of_body("body", "", detail.into())));
        }
        found.truncate(most);
        found
    }
}

fn of_body(place: &'static str, name: &str, detail: String) -> Violation {
    Violation { place, name: name.to_owned(), pointer: String::new(), detail }
}

/// Where a source stands, and its name.
fn named(source: &Source) -> (contract::Place, String) {
    let (place, name) = match source {
        Source::PathParam(name) => (contract::Place::Path, name.clone()),
        Source::Query(name) => (contract::Place::Query, name.clone()),
        Source::Cookie(name) => (contract::Place::Cookie, name.clone()),
        other => (contract::Place::Header, other.to_string()),
    };
    (place, name.strip_prefix("header.").map_or(name.clone(), str::to_owned))
}

fn violation(source: &Source, detail: &str) -> Violation {
    let (place, name) = named(source);
    of_body(place.word(), &name, detail.to_owned())
}

impl Policy for Compiled {
    fn settle(&mut self, place: &mut Place<'_, '_>) {
        if let Some(rules) = Arc::get_mut(&mut self.rules) {
            rules.shadow = place.shadow;
        }
    }

    fn request<'a>(&'a self, exchange: &'a mut Exchange) -> Verdict<'a> {
        let found = self.head(exchange);
        if !found.is_empty() {
            exchange.record.why = judge::sentence(&found).into();
            return Verdict::answer(judge::refusal(&found));
        }
        if self.schemas.answer.is_some() {
            exchange.judges();
        }
        let judged = self.schemas.body.is_some() || !self.schemas.types.is_empty();
        if judged && !request::is_bodyless(exchange) {
            judge::judge_body(exchange, &self.rules, Wanted::Schemas(self.schemas.clone()));
        }
        Verdict::Go
    }

    fn response(&self, exchange: &mut Exchange) {
        judge::forget(exchange, &self.rules);
        let is_good = (200..300).contains(&exchange.response.status);
        let judged = self.schemas.answer.is_some() && is_good;
        if judged && judge::is_of_service(exchange) && judge::has_body(exchange) {
            judge::judge_answer(exchange, &self.rules, Wanted::Schemas(self.schemas.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::fault;

    #[test]
    fn what_cannot_be() {
        for (lines, told) in [
            (
                "validate: {}",
                "`validate` says nothing of requests or answers: write `request: { body: SCHEMA }`, or point at a document with \
                 `openapi`",
            ),
            (
                "validate: { request: { body: {} }, max_depth: 1000 }",
                "`max_depth: 1000` is not between 1 and 100: leave it out for the default",
            ),
        ] {
            assert_eq!(fault(lines), told);
        }
        for lines in [
            "validate: { request: { body: { type: objekt } } }",
            "validate: { request: { body: { $ref: \"https://example.com/a.json\" } } }",
            "validate: { answer: { body: \"{\" } }",
            "validate: { request: { texts: { query.a: { pattern: \"(\" } } } }",
        ] {
            assert!(fault(lines).starts_with("the schema cannot be used: "), "{lines}");
        }
    }
}
