//! From a path or a text to a configuration: the stages in their order.
//!
//! Gather the files into one tree, read the types from it, check what types cannot say. Every stage reports all it
//! finds; a configuration with a fault is not given out.

use super::decode::decode;
use super::diagnostic::Diagnostics;
use super::include::Gathering;
use super::node::Node;
use super::place::{Files, Span};
use super::{AdminListen, Config};
use super::{case, check, read};
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

    /// The bytes of a file that is no text.
    ///
    /// # Errors
    /// What reading it gives.
    fn bytes(&self, path: &Path) -> io::Result<Vec<u8>> {
        std::fs::read(path)
    }
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
    /// The tree from which it was read, all files together, without `include`.
    pub tree: Node,
    /// Every file that was read, those of `${file:...}` among them: what to watch for changes.
    pub paths: Vec<PathBuf>,
    /// Warnings, and the texts of the files for faults found later, as by `snapshot::compile`.
    pub diagnostics: Diagnostics,
}

/// Reads a configuration from a file or from a folder of files.
///
/// # Errors
/// All the faults that were found.
pub fn load(path: &Path, environment: &dyn Environment, known: &Known<'_>) -> Result<Loaded, Diagnostics> {
    gathered(environment, known, |gathering| gathering.path(path, Span::NONE))
}

/// Reads a configuration as if this text stood in the file.
///
/// # Errors
/// All the faults that were found.
pub fn load_draft(
    path: &Path,
    text: &str,
    environment: &dyn Environment,
    known: &Known<'_>,
) -> Result<Loaded, Diagnostics> {
    gathered(environment, known, |gathering| gathering.draft(path, text))
}

/// Reads a configuration from a text; `name` stands for the file in messages. It can include no files.
///
/// # Errors
/// All the faults that were found.
pub fn load_text(
    name: &str,
    text: impl Into<String>,
    environment: &dyn Environment,
    known: &Known<'_>,
) -> Result<Loaded, Diagnostics> {
    gathered(environment, known, |gathering| gathering.text(name, text.into(), None))
}

/// Where a configuration says that the admin address is, whatever else may be wrong with it; `None` when it says nothing that
/// can be read.
pub fn admin_listen(path: &Path, environment: &dyn Environment) -> Option<AdminListen> {
    let mut diagnostics = Diagnostics::new(Files::default());
    let mut gathering = Gathering::new(environment, &mut diagnostics);
    gathering.path(path, Span::NONE);
    let (tree, ..) = gathering.finish();
    let written = read::entry(&tree, "admin")?;
    let mut aside = Diagnostics::default();
    let listen = read::long_form(&written.value, "listen");
    decode(listen.get("listen")?, &mut aside)
}

fn gathered(
    environment: &dyn Environment,
    known: &Known<'_>,
    gather: impl FnOnce(&mut Gathering<'_>),
) -> Result<Loaded, Diagnostics> {
    let mut diagnostics = Diagnostics::new(Files::default());
    let mut gathering = Gathering::new(environment, &mut diagnostics);
    gather(&mut gathering);
    let (tree, documents, paths) = gathering.finish();
    // Without a single tree there is nothing about which more could be said.
    if tree.span.is_none() {
        return Err(diagnostics);
    }
    let config = read::config(&tree, documents, known, &mut diagnostics);
    check::config(&config, &tree, &mut diagnostics);
    case::check(&config, known, &mut diagnostics);
    if diagnostics.has_errors() {
        return Err(diagnostics);
    }
    Ok(Loaded { config, tree, paths, diagnostics })
}
