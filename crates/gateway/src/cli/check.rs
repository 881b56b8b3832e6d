//! `tidegate check`: every fault of a configuration, with its place and its remedy.
//!
//! Reads and compiles as `run` does, runs the tests of the configuration when asked to, and starts nothing.

use std::path::PathBuf;

use serde_json::json;

use super::{Exit, file_or_usual, output};
use crate::admin::cases;
use crate::admin::control::Source;
use crate::config::{Diagnostics, Loaded};

/// What the command is told.
#[derive(clap::Args)]
pub struct Options {
    /// The configuration: a file, or a folder of *.yaml files [default: gateway.yaml]
    file: Option<PathBuf>,
    /// Also run the tests of the configuration; one that does not hold is a fault
    #[arg(long)]
    test: bool,
    /// How to print what is found
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// The same as --format json
    #[arg(long, conflicts_with = "format")]
    json: bool,
}

/// How findings are printed.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people, on stderr
    Text,
    /// One object, on stdout
    Json,
    /// Annotations of a review on GitHub, on stdout
    Github,
}

/// Runs the command.
pub fn run(options: Options) -> Exit {
    let file = file_or_usual(options.file);
    let name = file.display().to_string();
    let outcome = Source::Path(file).compile(1, None, 1).and_then(|(mut loaded, snapshot)| {
        if options.test {
            let all = cases::run(&loaded.config, &snapshot, "");
            cases::report(&all, &mut loaded.diagnostics);
        }
        if loaded.diagnostics.has_errors() { Err(loaded.diagnostics) } else { Ok(loaded) }
    });
    let (loaded, diagnostics) = match &outcome {
        Ok(loaded) => (Some(loaded), &loaded.diagnostics),
        Err(diagnostics) => (None, diagnostics),
    };
    match if options.json { Format::Json } else { options.format } {
        Format::Text => tell(&name, loaded, diagnostics),
        Format::Json => tell_programs(&name, loaded, diagnostics),
        Format::Github => output::data(&diagnostics.to_github()),
    }
    if loaded.is_some() { Exit::Good } else { Exit::No }
}

fn tell(name: &str, loaded: Option<&Loaded>, diagnostics: &Diagnostics) {
    let color = wants_color();
    let found = diagnostics.render(color);
    let space = if found.is_empty() { "" } else { "\n" };
    output::talk(&format!("{found}{space}{}", diagnostics.summary("", color)));
    if let Some(Loaded { config, .. }) = loaded {
        let parts = [
            count(config.listeners.len(), "listener"),
            count(config.services.len(), "service"),
            count(config.routes.len(), "route"),
        ];
        let tests = Some(config.tests.len()).filter(|tests| *tests > 0).map(|tests| count(tests, "test"));
        let parts: Vec<String> = parts.into_iter().chain(tests).collect();
        output::talk(&format!("{name} is good: {}\n", parts.join(", ")));
    }
}

fn tell_programs(name: &str, loaded: Option<&Loaded>, diagnostics: &Diagnostics) {
    let mut told = json!({ "file": name, "valid": loaded.is_some() });
    if let (Some(told), serde_json::Value::Object(found)) = (told.as_object_mut(), diagnostics.to_json()) {
        told.extend(found);
    }
    output::json(&told);
}

/// `1 route`, `2 routes`.
pub fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// Prints the faults of a configuration that another command cannot use.
pub fn refuse(faults: &Diagnostics) -> Exit {
    let color = wants_color();
    output::talk(&format!("{}\n{}", faults.render(color), faults.summary("", color)));
    Exit::No
}

/// Whether stderr is a terminal that wants colours (https://no-color.org).
pub fn wants_color() -> bool {
    let asked_not = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    std::io::IsTerminal::is_terminal(&std::io::stderr()) && !asked_not
}
