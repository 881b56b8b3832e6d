//! `tidegate schema`: the JSON schema of the configuration, for editors.

use super::{Exit, output};
use crate::{config, policies};

/// Runs the command.
pub fn run() -> Exit {
    output::data(&text());
    Exit::Good
}

/// The schema with all policies.
pub fn text() -> String {
    format!("{:#}\n", config::schema(policies::schemas))
}
