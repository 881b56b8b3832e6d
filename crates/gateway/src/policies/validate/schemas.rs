//! Schemas that stand in the configuration, compiled.

use contract::{Limits, Schema, Violation};

use super::of_body;
use crate::values::Source;

/// What a request and its answer must be.
#[derive(Default)]
pub(super) struct Schemas {
    pub(super) body: Option<Schema>,
    pub(super) answer: Option<Schema>,
    /// Media types of the request's body; empty for any.
    pub(super) types: Vec<String>,
    /// Sources that must be there.
    pub(super) required: Vec<Source>,
    /// What texts must be, by their sources.
    pub(super) texts: Vec<(Source, Schema)>,
    pub(super) body_required: bool,
}

impl Schemas {
    /// What is wrong with a body of this `Content-Type`.
    pub(super) fn kind(&self, kind: Option<&[u8]>) -> Option<Violation> {
        let kind = kind.unwrap_or_default().split(|byte| *byte == b';').next().unwrap_or_default();
        let kind = String::from_utf8_lossy(kind).trim().to_ascii_lowercase();
        let fits =
            |wanted: &String| *wanted == kind || (wanted.starts_with('+') && kind.ends_with(wanted.as_str()));
        if self.types.is_empty() || self.types.iter().any(fits) {
            return None;
        }
        let detail = format!("the body is to be one of {}", self.types.join(", "));
        Some(of_body("header", "Content-Type", detail))
    }

    pub(super) fn body(&self, body: &[u8], limits: Limits) -> Vec<Violation> {
        self.body.as_ref().map(|schema| schema.check_json(body, limits)).unwrap_or_default()
    }

    pub(super) fn answer(&self, body: &[u8], limits: Limits) -> Vec<Violation> {
        self.answer.as_ref().map(|schema| schema.check_json(body, limits)).unwrap_or_default()
    }
}
