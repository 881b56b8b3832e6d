//! Schemas, compiled: each place of a document once for each direction.

use std::collections::HashMap;
use std::sync::Arc;

use jsonschema::{Draft, PatternOptions, Registry, Validator};
use serde_json::{Value, json};

use crate::Flaw;
use crate::check::Violation;
use crate::convert::converted;
use crate::document::Document;

/// The name that the document has for its own references.
const NAME: &str = "urn:tidegate:document";
/// How often a pattern with look-around may step back on one text.
const MOST_STEPS_BACK: usize = 100_000;
/// The largest compiled pattern.
const MOST_PATTERN: usize = 1 << 20;
/// Larger texts have only their first violation told: to find all takes memory for each.
const MOST_THOROUGH: usize = 16 * 1024;
/// The longest sentence about a violation.
const MOST_DETAIL: usize = 240;

/// The direction in which something goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum View {
    /// To the service.
    Request,
    /// From the service.
    Answer,
}

/// What of a document is judged: the rest is not compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Judged {
    /// Requests.
    pub requests: bool,
    /// Answers.
    pub answers: bool,
    /// Whether `format` counts.
    pub formats: bool,
}

impl Judged {
    /// Everything.
    pub const ALL: Judged = Judged { requests: true, answers: true, formats: true };
    /// Nothing: the document is only looked things up in.
    pub const NOTHING: Judged = Judged { requests: false, answers: false, formats: false };
}

/// A schema, compiled.
#[derive(Clone)]
pub struct Schema {
    validator: Arc<Validator>,
}

impl Schema {
    /// A JSON Schema that stands by itself. References lead to places within it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(schema: &Value) -> Result<Schema, String> {
        let options = jsonschema::options()
            .with_draft(draft_of(schema))
            .offline()
            .should_validate_formats(true)
            .with_pattern_options(patterns());
        match options.build(schema) {
            Ok(validator) => Ok(Schema { validator: Arc::new(validator) }),
            Err(error) => Err(cut(&error.to_string())),
        }
    }

    /// Whether a value is as it says.
    pub fn takes(&self, value: &Value) -> bool {
        self.validator.is_valid(value)
    }

    /// What is wrong with a value whose text was so long: at most `most` violations.
    pub(crate) fn violations(&self, value: &Value, length: usize, most: usize) -> Vec<(String, String)> {
        if self.validator.is_valid(value) {
            return Vec::new();
        }
        let most = if length > MOST_THOROUGH { 1 } else { most };
        let told = |error: &jsonschema::ValidationError<'_>| {
            // Without the value, which may be long and is nobody's business.
            (error.instance_path().as_str().to_owned(), cut(&error.masked().to_string()))
        };
        if most <= 1 {
            return self.validator.validate(value).err().iter().map(told).collect();
        }
        self.validator.iter_errors(value).take(most).map(|error| told(&error)).collect()
    }

    /// The same as violations of a part of a request or an answer.
    pub(crate) fn check(
        &self,
        (place, name): (&'static str, &str),
        (value, length): (&Value, usize),
        most: usize,
    ) -> Vec<Violation> {
        let found = self.violations(value, length, most).into_iter();
        found.map(|(pointer, detail)| Violation { place, name: name.to_owned(), pointer, detail }).collect()
    }
}

fn draft_of(schema: &Value) -> Draft {
    match schema.get("$schema").and_then(Value::as_str) {
        Some(name) if name.contains("draft-07") => Draft::Draft7,
        Some(name) if name.contains("draft-06") => Draft::Draft6,
        Some(name) if name.contains("draft-04") => Draft::Draft4,
        Some(name) if name.contains("2019-09") => Draft::Draft201909,
        _ => Draft::Draft202012,
    }
}

fn patterns() -> PatternOptions<jsonschema::FancyRegex> {
    PatternOptions::fancy_regex().backtrack_limit(MOST_STEPS_BACK).size_limit(MOST_PATTERN)
}

fn cut(text: &str) -> String {
    text.chars().take(MOST_DETAIL).collect()
}

/// Compiles the schemas of a document.
pub(crate) struct Schemas {
    judged: Judged,
    known: HashMap<(View, String), Schema>,
    pub(crate) flaws: Vec<Flaw>,
}

/// The schemas of a document, ready to be compiled.
pub(crate) struct Registered<'s> {
    request: Option<Registry<'s>>,
    answer: Option<Registry<'s>>,
}

impl Schemas {
    pub(crate) fn new(judged: Judged) -> Schemas {
        Schemas { judged, known: HashMap::new(), flaws: Vec::new() }
    }

    /// The schema at a place of the document. None when it cannot be used, which is written down.
    pub(crate) fn compile(
        &mut self,
        registered: &Registered<'_>,
        document: &Document,
        pointer: &str,
        view: View,
    ) -> Option<Schema> {
        let registry = match view {
            View::Request => registered.request.as_ref()?,
            View::Answer => registered.answer.as_ref()?,
        };
        // The same place by other ways is compiled once.
        let at = document.follow(pointer).map_or_else(|| pointer.to_owned(), |(at, _)| at);
        if let Some(known) = self.known.get(&(view, at.clone())) {
            return Some(known.clone());
        }
        let options = jsonschema::options()
            .with_draft(Draft::Draft202012)
            .offline()
            .should_validate_formats(self.judged.formats)
            .with_pattern_options(patterns())
            .with_registry(registry);
        match options.build(&json!({ "$ref": format!("{NAME}#{}", encoded(&at)) })) {
            Ok(validator) => {
                let schema = Schema { validator: Arc::new(validator) };
                self.known.insert((view, at), schema.clone());
                Some(schema)
            }
            Err(error) => {
                self.flaws
                    .push(Flaw::new(at, format!("the schema cannot be used: {}", cut(&error.to_string()))));
                None
            }
        }
    }
}

/// The document for each direction that is judged.
pub(crate) type Views = (Option<Value>, Option<Value>);

pub(crate) fn views(document: &Document, judged: Judged) -> Views {
    let of = |wanted: bool, view| wanted.then(|| converted(document, view));
    (of(judged.requests, View::Request), of(judged.answers, View::Answer))
}

impl<'s> Registered<'s> {
    pub(crate) fn new((request, answer): &'s Views) -> Result<Registered<'s>, Flaw> {
        let of = |document: &'s Value| {
            let builder = Registry::new().draft(Draft::Draft202012).add(NAME, document);
            let registry = builder.and_then(jsonschema::RegistryBuilder::prepare);
            registry.map_err(|error| Flaw::new("", cut(&error.to_string())))
        };
        Ok(Registered {
            request: request.as_ref().map(of).transpose()?,
            answer: answer.as_ref().map(of).transpose()?,
        })
    }
}

/// A JSON pointer as the fragment of a URI (RFC 6901 section 6).
fn encoded(pointer: &str) -> String {
    let mut out = String::with_capacity(pointer.len());
    for byte in pointer.bytes() {
        let plain = byte.is_ascii_alphanumeric() || b"-._~/!$&'()*+,;=:@".contains(&byte);
        if plain { out.push(char::from(byte)) } else { out.push_str(&format!("%{byte:02X}")) }
    }
    out
}
