//! `openapi`: requests and answers are what an OpenAPI document says.

use std::sync::Arc;

use contract::{Api, Asked, Found, Judged, Limits};
use http1::names;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};

use super::judge::{self, Rules, Wanted};
use super::{Context, Place, Policy, Settings, TOO_DEEP, bounds};
use crate::config::{Diagnostics, Spanned};
use crate::exchange::{Answer, Exchange, Verdict};
use crate::upstream::request;
use crate::values::Size;

/// Lets only requests pass that an OpenAPI document knows: the file of the document, or a map.
///
/// The operation is found by path and method. Its parameters, the media type and the body of the request must be what the
/// document says; else the client gets 400 (or 415) as problem details with a JSON pointer for each fault, a path that the
/// document does not have gets 404, a method 405. With `answers: true` the answer of the service is judged too: one that is
/// not what it must be becomes a 502, before the client gets any of it.
///
/// Bodies of JSON and of forms are read whole, up to `max_body` and `max_answer`; larger ones are refused, never passed on
/// unjudged. A key that stands twice in one object is refused. OpenAPI 3.0 and 3.1; references lead to places within the
/// document. The document is read with the configuration, and again when it changes. Bodies that a `request` or `response` on
/// the route makes others are judged as the service gets and gives them.
///
/// ```yaml
/// openapi: { file: shop.yaml, answers: true, mode: shadow }
/// ```
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename = "$shape", rename_all = "lowercase")]
#[schemars(rename = "OpenApi", untagged)]
pub enum OpenApi {
    /// The file of the document.
    Text(Spanned<String>),
    /// All about it.
    Map(Box<OpenApiMap>),
}

/// The long form.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[schemars(rename = "OpenApiSettings")]
pub struct OpenApiMap {
    /// The file of the document, relative to the file that names it.
    pub(super) file: Spanned<String>,
    /// What stands before the paths of the document: `/api/v2`. Default: the paths of its `servers`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) base: Option<String>,
    /// Whether requests are judged. Default true.
    #[serde(default = "yes")]
    pub(super) requests: bool,
    /// Whether answers are judged. Default false.
    #[serde(default)]
    pub(super) answers: bool,
    /// Whether requests pass that the document does not have. Default false.
    #[serde(default)]
    pub(super) undocumented: bool,
    /// Whether parameters of the query are refused that the document does not have. Default false.
    #[serde(default)]
    pub(super) strict_query: bool,
    /// Whether `format` counts, such as `date-time` and `uuid`. Default true.
    #[serde(default = "yes")]
    pub(super) formats: bool,
    /// The largest body of a request that is judged; a larger one is refused with 413. Default 1MiB.
    #[serde(default = "bounds::body")]
    pub(super) max_body: Size,
    /// The largest body of an answer that is judged; a larger one becomes a 502. Default 1MiB.
    #[serde(default = "bounds::body")]
    pub(super) max_answer: Size,
    /// Levels of lists and objects in a body, 1 to 100. Default 64.
    #[serde(default = "bounds::depth")]
    pub(super) max_depth: Spanned<usize>,
    /// Faults that are told of one request, 1 to 100. Default 10.
    #[serde(default = "bounds::errors")]
    pub(super) max_errors: Spanned<usize>,
}

const fn yes() -> bool {
    true
}

impl Serialize for OpenApi {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            OpenApi::Text(file) => file.serialize(serializer),
            OpenApi::Map(map) => map.serialize(serializer),
        }
    }
}

impl OpenApi {
    fn settings(self) -> OpenApiMap {
        match self {
            OpenApi::Map(map) => *map,
            OpenApi::Text(file) => OpenApiMap {
                file,
                base: None,
                requests: true,
                answers: false,
                undocumented: false,
                strict_query: false,
                formats: true,
                max_body: bounds::body(),
                max_answer: bounds::body(),
                max_depth: bounds::depth(),
                max_errors: bounds::errors(),
            },
        }
    }
}

impl Settings for OpenApi {
    const NAME: &'static str = "openapi";
    const REFUSES: bool = true;

    fn compile(
        self,
        _: &Spanned<String>,
        context: &Context,
        faults: &mut Diagnostics,
    ) -> Option<Box<dyn Policy>> {
        let written = self.settings();
        let limits = Limits {
            violations: bounds::within(&written.max_errors, "max_errors", faults)?,
            depth: bounds::within(&written.max_depth, TOO_DEEP, faults)?,
            strict_query: written.strict_query,
        };
        let judged =
            Judged { requests: written.requests, answers: written.answers, formats: written.formats };
        if !context.documents.is_whole() {
            return Some(Box::new(Alone));
        }
        let api = context.documents.api(&written.file, judged, faults)?;
        let rules = Rules {
            by: Self::NAME,
            shadow: false,
            limits,
            max_body: written.max_body.as_usize(),
            max_answer: written.max_answer.as_usize(),
        };
        Some(Box::new(Compiled {
            api,
            base: written.base,
            requests: written.requests,
            answers: written.answers,
            undocumented: written.undocumented,
            rules: Arc::new(rules),
        }))
    }
}

/// Looked at alone, without any document: it is well written, and that is all.
struct Alone;

impl Policy for Alone {}

/// Compiled: a document and what is judged by it.
struct Compiled {
    api: Arc<Api>,
    base: Option<String>,
    requests: bool,
    answers: bool,
    undocumented: bool,
    rules: Arc<Rules>,
}

/// The operation of a request, until its answer is there.
struct Matched(usize);

impl Compiled {
    fn judge<'a>(&'a self, exchange: &mut Exchange) -> Verdict<'a> {
        let method = String::from_utf8_lossy(exchange.request.method_text());
        let (place, operation, names) = match self.api.find(&method, &exchange.path, self.base.as_deref()) {
            Found::Operation(place, operation, names) => (place, operation, names),
            Found::Nothing | Found::OtherMethods(_) if self.undocumented => return Verdict::Go,
            Found::Nothing => {
                let told = "the service has no such path";
                return Verdict::answer(Answer::problem(404, "not_documented", told));
            }
            Found::OtherMethods(methods) => {
                let told = "the path exists, but not with this method; see the Allow header";
                let answer = Answer::problem(405, "not_documented", told).with("Allow", methods.join(", "));
                return Verdict::answer(answer);
            }
        };
        if self.answers {
            exchange.judges();
            exchange.notes.put(Matched(place));
        }
        if !self.requests {
            return Verdict::Go;
        }
        let fields = &exchange.request.fields;
        let cookie =
            |name: &str| exchange.cookie(name).map(|value| String::from_utf8_lossy(value).into_owned());
        let asked = Asked {
            names: &names,
            query: &exchange.query,
            header: &|name| judge::header(fields, name),
            cookie: &cookie,
        };
        let mut found = operation.check(&asked, self.rules.limits);
        // What there is of a body is judged once it is what the service would get.
        let has_body = !request::is_bodyless(exchange);
        if !has_body {
            found.extend(operation.media(fields.get(names::CONTENT_TYPE), false).err());
        }
        if !found.is_empty() {
            exchange.record.why = judge::sentence(&found).into();
            return Verdict::answer(judge::refusal(&found));
        }
        if has_body {
            judge::judge_body(exchange, &self.rules, Wanted::Operation(self.api.clone(), place));
        }
        Verdict::Go
    }
}

impl Policy for Compiled {
    fn settle(&mut self, place: &mut Place<'_, '_>) {
        if let Some(rules) = Arc::get_mut(&mut self.rules) {
            rules.shadow = place.shadow;
        }
    }

    fn request<'a>(&'a self, exchange: &'a mut Exchange) -> Verdict<'a> {
        self.judge(exchange)
    }

    fn response(&self, exchange: &mut Exchange) {
        let Some(place) = exchange.notes.get::<Matched>().map(|matched| matched.0) else { return };
        judge::forget(exchange, &self.rules);
        if !judge::is_of_service(exchange) {
            return;
        }
        let Some(operation) = self.api.operations.get(place) else { return };
        let (status, fields) = (exchange.response.status, judge::came(exchange));
        let Some(response) = operation.response(status) else {
            // What is not written of failures is left to whoever fails.
            if status < 400 {
                let detail = format!("the status {status} is not one of the operation `{}`", operation.id);
                let violation = contract::Violation {
                    place: "status",
                    name: String::new(),
                    pointer: String::new(),
                    detail,
                };
                judge::refuse_answer(exchange, &self.rules, &[violation]);
            }
            return;
        };
        let mut found = response.check(&|name| judge::header(fields, name), self.rules.limits);
        let (kind, has_body) = (fields.get(names::CONTENT_TYPE), judge::has_body(exchange));
        let reads = match response.media(kind) {
            Ok(media) => has_body && media.is_some_and(|media| media.reads(kind)),
            Err(violation) => {
                found.extend(has_body.then_some(violation));
                false
            }
        };
        if !found.is_empty() {
            judge::refuse_answer(exchange, &self.rules, &found);
        } else if reads {
            judge::judge_answer(exchange, &self.rules, Wanted::Operation(self.api.clone(), place));
        }
    }
}
