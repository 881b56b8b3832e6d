//! From what a route says of made up answers to where they come from.

use std::collections::HashMap;

use contract::Judged;

use super::compile::answer;
use crate::config::{self, Diagnostics, codes};
use crate::policies::validate::Contracts;
use crate::route::mock::Mock;
use crate::values::nearest;

/// Compiles it; none when there are faults.
pub(super) fn compile(
    written: &config::Mock,
    documents: &Contracts,
    faults: &mut Diagnostics,
) -> Option<Mock> {
    let written = written.settings();
    let api = documents.api(&written.openapi, Judged::NOTHING, faults)?;
    let mut answers = HashMap::new();
    for (name, respond) in &written.answers {
        let told = |operation: &contract::Operation| format!("{} {}", operation.method, operation.path.text);
        let is_named = |operation: &contract::Operation| operation.id == **name || told(operation) == **name;
        match api.operations.iter().position(is_named) {
            Some(place) => drop(answers.insert(place, answer(respond))),
            None => {
                let meant = nearest(name, api.operations.iter().map(|operation| operation.id.as_str()));
                let what = format!("the document has no operation `{}`", **name);
                let fault = faults.error(codes::UNKNOWN_NAME, name.span(), what);
                fault.help_if(meant.map(|meant| format!("did you mean `{meant}`?")));
            }
        }
    }
    Some(Mock { api, base: written.base, status: written.status.map(config::Status::get), answers })
}
