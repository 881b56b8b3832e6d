//! `${NAME}`, `${NAME:-default}` and `${file:path}` inside values, `$$` for a dollar.
//!
//! Works on the tree, after parsing: what comes in can never change the structure of the file. Takes variables and
//! files from an `Environment`; remembers which files, so that a change of one can be seen.

use super::codes;
use super::diagnostic::Diagnostics;
use super::load::Environment;
use super::node::{Form, Kind, Node, Scalar};
use super::place::Span;
use std::path::{Path, PathBuf};

/// The largest text that one `${file:...}` may bring, in bytes.
const LARGEST: usize = 1 << 20;

/// Replaces the variables in all scalars of a tree. Relative paths start at `folder`.
pub(super) fn replace(
    tree: &mut Node,
    folder: &Path,
    environment: &dyn Environment,
    diagnostics: &mut Diagnostics,
) -> Vec<PathBuf> {
    let mut replacer = Replacer { folder, environment, diagnostics, read: Vec::new() };
    replacer.node(tree);
    replacer.read
}

struct Replacer<'a> {
    folder: &'a Path,
    environment: &'a dyn Environment,
    diagnostics: &'a mut Diagnostics,
    read: Vec<PathBuf>,
}

impl Replacer<'_> {
    fn node(&mut self, node: &mut Node) {
        match &mut node.kind {
            Kind::List(items) => items.iter_mut().for_each(|item| self.node(item)),
            Kind::Map(entries) => entries.iter_mut().for_each(|entry| self.node(&mut entry.value)),
            Kind::Scalar(scalar) if scalar.text.contains('$') => self.scalar(scalar, node.span),
            Kind::Scalar(_) => {}
        }
    }

    fn scalar(&mut self, scalar: &mut Scalar, span: Span) {
        let written = scalar.text.clone();
        let mut text = String::with_capacity(written.len());
        let mut rest = written.as_str();
        let mut replaced = false;
        while let Some(at) = rest.find('$') {
            let (before, dollar) = rest.split_at_checked(at).unwrap_or((rest, ""));
            text.push_str(before);
            let after = dollar.strip_prefix('$').unwrap_or("");
            if let Some(after) = after.strip_prefix('$') {
                text.push('$');
                rest = after;
            } else if let Some(inner) = after.strip_prefix('{') {
                let Some((name, after)) = inner.split_once('}') else {
                    self.fault(span, "${", "`${` is not closed")
                        .help("write `${NAME}`, or `$$` for a dollar");
                    return;
                };
                replaced = true;
                text.push_str(&self.value(name, span).unwrap_or_default());
                rest = after;
            } else {
                // A lone dollar stands for itself: it ends many a regular expression.
                text.push('$');
                rest = after;
            }
        }
        text.push_str(rest);
        scalar.text = text;
        if replaced {
            scalar.form = Form::Replaced(written);
        }
    }

    fn value(&mut self, written: &str, span: Span) -> Option<String> {
        let shown = format!("${{{written}");
        if let Some(path) = written.strip_prefix("file:") {
            return self.file(path, &shown, span);
        }
        let (name, default) = match written.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (written, None),
        };
        let good = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if name.is_empty() || !name.chars().all(good) || name.starts_with(|c: char| c.is_ascii_digit()) {
            self.fault(span, &shown, &format!("`{name}` is not the name of a variable"))
                .help("write `${NAME}`, `${NAME:-default}`, `${file:path}`, or `$$` for a dollar");
            return None;
        }
        match (self.environment.variable(name), default) {
            (Some(value), default) if !value.is_empty() || default.is_none() => Some(value),
            (_, Some(default)) => Some(default.to_owned()),
            _ => {
                self.fault(span, &shown, &format!("the variable `{name}` is not set"))
                    .help(format!("set it, or give a default: `${{{name}:-default}}`"));
                None
            }
        }
    }

    fn file(&mut self, path: &str, shown: &str, span: Span) -> Option<String> {
        let path = self.folder.join(path);
        let text = match self.environment.file(&path) {
            Ok(text) if text.len() <= LARGEST => text,
            Ok(_) => {
                let message = format!("the file `{}` is larger than 1 MiB", path.display());
                self.diagnostics.error(codes::TOO_LARGE, span, message);
                return None;
            }
            Err(error) => {
                self.fault(span, shown, &format!("cannot read the file `{}`: {error}", path.display()))
                    .help("relative paths start at the folder of the file that names them");
                return None;
            }
        };
        if !self.read.contains(&path) {
            self.read.push(path);
        }
        // Editors and `echo` end a file with a line break that nobody means.
        let text =
            text.strip_suffix('\n').map(|text| text.strip_suffix('\r').unwrap_or(text)).unwrap_or(&text);
        Some(text.to_owned())
    }

    /// A fault at the place of `${...` within the scalar, as far as it is found there as it was read.
    fn fault(&mut self, span: Span, shown: &str, message: &str) -> super::diagnostic::Report<'_> {
        let found = self.diagnostics.files().slice(span).find(shown).and_then(|at| u32::try_from(at).ok());
        let span = match found {
            Some(at) => {
                let start = span.start.saturating_add(at);
                let length = u32::try_from(shown.len()).unwrap_or(0).saturating_add(1);
                Span { start, end: start.saturating_add(length).min(span.end), ..span }
            }
            None => span,
        };
        self.diagnostics.error(codes::MISSING_VARIABLE, span, message)
    }
}
