//! From a path or a text to a configuration: the stages in their order.

use super::Config;
use super::codes;
use super::diagnostic::Diagnostics;
use super::node::Node;
use super::place::{Files, Span};
use super::{read, tree};
use std::io;
use std::path::{Path, PathBuf};

/// What the caller knows and the configuration may name.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// The names of all policies.
    pub policies: &'a [&'a str],
}

/// What surrounds the configuration: variables and the files named by `${file:...}`.
pub trait Environment {
    /// The value of an environment variable; `None` when it is not set.
    fn variable(&self, name: &str) -> Option<String>;

    /// The text of a file.
    ///
    /// # Errors
    /// What reading it gives.
    fn file(&self, path: &Path) -> io::Result<String>;
}

/// The environment of this process.
#[derive(Debug, Clone, Copy)]
pub struct System;

impl Environment for System {
    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn file(&self, path: &Path) -> io::Result<String> {
        std::fs::read_to_string(path)
    }
}

/// A configuration that was read without a fault.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// What was written, defaults filled in.
    pub config: Config,
    /// The tree from which it was read, all files together.
    pub tree: Node,
    /// Every file that was read, in order: what to watch for changes.
    pub paths: Vec<PathBuf>,
    /// Warnings, and the texts of the files for faults found later, as by `snapshot::compile`.
    pub diagnostics: Diagnostics,
}

/// Reads a configuration from a file or from a folder of files.
///
/// # Errors
/// All the faults that were found.
pub fn load(path: &Path, environment: &dyn Environment, known: &Known<'_>) -> Result<Loaded, Diagnostics> {
    let name = path.display().to_string();
    match std::fs::read_to_string(path) {
        Ok(text) => {
            let mut loaded = load_text(&name, text, environment, known)?;
            loaded.paths.push(path.to_owned());
            Ok(loaded)
        }
        Err(error) => {
            let mut diagnostics = Diagnostics::new(Files::default());
            diagnostics.error(codes::UNREADABLE, Span::NONE, format!("cannot read `{name}`: {error}"));
            Err(diagnostics)
        }
    }
}

/// Reads a configuration from a text; `name` stands for the file in messages.
///
/// # Errors
/// All the faults that were found.
pub fn load_text(
    name: &str,
    text: impl Into<String>,
    _environment: &dyn Environment,
    known: &Known<'_>,
) -> Result<Loaded, Diagnostics> {
    let mut diagnostics = Diagnostics::new(Files::default());
    let text = text.into();
    let text = text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text);
    let file = diagnostics.files_mut().add(name, text);
    let Some(tree) = tree::parse(file, &mut diagnostics) else { return Err(diagnostics) };
    let config = read::config(&tree, known, &mut diagnostics);
    match config {
        Some(config) if !diagnostics.has_errors() => {
            Ok(Loaded { config, tree, paths: Vec::new(), diagnostics })
        }
        _ => Err(diagnostics),
    }
}
