//! Schemas that stand in the configuration, compiled.

use contract::{Limits, Schema, Violation};

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
    pub(super) fn body(&self, body: &[u8], limits: Limits) -> Vec<Violation> {
        self.body.as_ref().map(|schema| schema.check_json(body, limits)).unwrap_or_default()
    }

    pub(super) fn answer(&self, body: &[u8], limits: Limits) -> Vec<Violation> {
        self.answer.as_ref().map(|schema| schema.check_json(body, limits)).unwrap_or_default()
    }
}
