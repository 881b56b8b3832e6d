//! `tidegate test`: the tests that stand in a configuration, run without a gateway.
//!
//! Reads and compiles as `run` does, asks what `explain` would tell of each request, and starts nothing.

use std::path::PathBuf;

use serde_json::json;

use super::check::{Format, count, refuse, wants_color};
use super::{Exit, file_or_usual, output};
use crate::admin::cases::{self, Ran};
use crate::admin::control::Source;
use crate::config::Diagnostics;

/// What the command is told.
#[derive(clap::Args)]
pub struct Options {
    /// The configuration: a file, or a folder of *.yaml files [default: gateway.yaml]
    file: Option<PathBuf>,
    /// Run only the tests whose names contain this
    #[arg(long, default_value = "", value_name = "TEXT")]
    only: String,
    /// How to print what is found
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// The same as --format json
    #[arg(long, conflicts_with = "format")]
    json: bool,
}

/// Runs the command: "no" when a test does not hold, or the configuration has faults.
pub fn run(options: Options) -> Exit {
    let file = file_or_usual(options.file);
    let name = file.display().to_string();
    let (mut loaded, snapshot) = match Source::Path(file).compile(1, None, 1) {
        Ok(compiled) => compiled,
        Err(faults) => return refuse(&faults),
    };
    let all = cases::run(&loaded.config, &snapshot, &options.only);
    cases::report(&all, &mut loaded.diagnostics);
    let failed = all.iter().filter(|ran| !ran.misses.is_empty()).count();
    match if options.json { Format::Json } else { options.format } {
        Format::Text => tell(&name, &all, failed, &loaded.diagnostics),
        Format::Json => output::json(&json!({
            "file": name,
            "tests": all.len(),
            "failed": failed,
            "cases": cases::to_json(&all, &loaded.diagnostics),
        })),
        Format::Github => output::data(&loaded.diagnostics.to_github()),
    }
    if failed == 0 { Exit::Good } else { Exit::No }
}

/// A line for each test on stdout; why they do not hold on stderr.
fn tell(name: &str, all: &[Ran], failed: usize, diagnostics: &Diagnostics) {
    for ran in all {
        let place = diagnostics.files().place(ran.span);
        let at = place.map(|place| format!(" ({}:{})", place.file, place.line)).unwrap_or_default();
        let line = if ran.misses.is_empty() {
            format!("ok    {}", ran.name)
        } else {
            format!("FAIL  {}{at}", ran.name)
        };
        // What stands in a file must not steer the terminal.
        let clean: String = line.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
        output::data(&format!("{clean}\n"));
    }
    let found = diagnostics.render(wants_color());
    let space = if found.is_empty() { "" } else { "\n" };
    let told = match (all.len(), failed) {
        (0, _) => "no test was run; they stand under `tests:`".to_owned(),
        (_, 0) => format!("{}, all good", count(all.len(), "test")),
        (all, failed) => format!("{}, {failed} failed", count(all, "test")),
    };
    output::talk(&format!("{found}{space}{name}: {told}\n"));
}
