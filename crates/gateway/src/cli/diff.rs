//! `tidegate diff`: what changes between two configurations, line by line and in words.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::admin_client::{self, At, Told};
use super::{Exit, check, output};
use crate::admin::changes::{self, answers};
use crate::admin::source::Source;

/// What the command is told.
#[derive(clap::Args)]
pub struct Options {
    /// The configuration to compare
    file: PathBuf,
    /// Another one, which is the newer of the two; without it, FILE is compared with the one of the running gateway
    other: Option<PathBuf>,
    #[command(flatten)]
    admin: At,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command: good when they are the same, "no" when they differ.
pub fn run(options: Options) -> Exit {
    let told = match &options.other {
        Some(other) => files(&options.file, other),
        None => running(&options),
    };
    let told = match told {
        Ok(told) => told,
        Err(exit) => return exit,
    };
    let text = |name: &str| told.get(name).and_then(Value::as_str).unwrap_or_default();
    if options.json {
        output::json(&told);
    } else {
        output::data(text("diff"));
        for change in told.get("changes").and_then(Value::as_array).into_iter().flatten() {
            let mark = if change.get("breaking") == Some(&Value::Bool(true)) { "! " } else { "  " };
            output::talk(&format!(
                "{mark}{}\n",
                change.get("text").and_then(Value::as_str).unwrap_or_default()
            ));
        }
        output::talk(&format!("{}\n", text("summary")));
    }
    if text("diff").is_empty() { Exit::Good } else { Exit::No }
}

fn files(old: &PathBuf, new: &PathBuf) -> Result<Value, Exit> {
    let load = |path: &PathBuf| {
        let source = Source::Path(path.clone());
        let loaded = source.compile(1, None, 1).map_err(|faults| check::refuse(&faults))?.0;
        // A folder has no one text; its meaning is compared all the same.
        Ok((source.text().unwrap_or_default(), loaded.config))
    };
    let ((old_text, old), (new_text, new)) = (load(old)?, load(new)?);
    let found = changes::compare(&old, &new);
    Ok(json!({
        "diff": answers::unified(&old_text, &new_text),
        "summary": changes::summary(&found),
        "changes": found,
    }))
}

fn running(options: &Options) -> Result<Value, Exit> {
    let text = std::fs::read_to_string(&options.file).map_err(|error| {
        admin_client::refuse(&format!("cannot read {}: {error}", options.file.display()), Exit::Usage)
    })?;
    let body = json!({ "text": text });
    let Told { body, .. } =
        admin_client::told(&options.admin, "POST", "/api/v1/config/diff", &[], Some(&body))?;
    Ok(body)
}
