//! Faults of a configuration and the collector that takes them all.
//!
//! Takes a code, a span and a sentence from whoever reads or checks; gives a list in the order of the files. Knows
//! the texts of the files, so that whoever reports needs only a span. How a list is printed stands in `render`.

use super::codes::Code;
use super::place::{Files, Place, Span};
use serde::Serialize;

/// How grave a diagnostic is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The configuration cannot be applied.
    Error,
    /// The configuration is applied; something in it is probably not as meant.
    Warning,
}

/// One fault with its place, its consequence and its remedy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// Whether this stops the configuration from being applied.
    pub severity: Severity,
    /// The stable code.
    pub code: Code,
    /// What is wrong: one sentence, lower case, no full stop.
    pub message: String,
    /// Where; none for what stands in no file.
    pub place: Option<Place>,
    /// A few words at the place.
    pub label: Option<String>,
    /// What to do.
    pub help: Option<String>,
    /// Other places that belong to it.
    pub notes: Vec<Note>,
    #[serde(skip)]
    span: Span,
}

/// A second place of a fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Note {
    /// What is there.
    pub message: String,
    /// Where it is.
    pub place: Place,
}

/// All the faults and warnings of one configuration.
#[derive(Debug, Clone, Default)]
pub struct Diagnostics {
    files: Files,
    list: Vec<Diagnostic>,
    subject: Option<String>,
}

/// A diagnostic just reported, to which more can be said.
#[derive(Debug)]
pub struct Report<'d> {
    files: &'d Files,
    diagnostic: Option<&'d mut Diagnostic>,
}

/// After so many faults nobody reads on.
const MOST: usize = 500;

impl Diagnostics {
    /// A collector for faults in these files.
    pub fn new(files: Files) -> Self {
        Self { files, ..Self::default() }
    }

    /// Reports a fault.
    pub fn error(&mut self, code: Code, span: Span, message: impl Into<String>) -> Report<'_> {
        self.report(Severity::Error, code, span, message.into())
    }

    /// Reports something that does not stop the configuration from being applied.
    pub fn warning(&mut self, code: Code, span: Span, message: impl Into<String>) -> Report<'_> {
        self.report(Severity::Warning, code, span, message.into())
    }

    fn report(&mut self, severity: Severity, code: Code, span: Span, message: String) -> Report<'_> {
        let place = self.files.place(span);
        let diagnostic =
            Diagnostic { severity, code, message, place, label: None, help: None, notes: Vec::new(), span };
        // The same node can be read twice, as a limit that two listeners inherit.
        let known = self
            .list
            .iter()
            .any(|other| other.span == span && other.code == code && other.message == diagnostic.message);
        if known || self.list.len() >= MOST {
            return Report { files: &self.files, diagnostic: None };
        }
        self.list.push(diagnostic);
        Report { files: &self.files, diagnostic: self.list.last_mut() }
    }

    /// Runs `read` with a subject such as "route `GET /a`", which the messages of [`super::decode`] then name.
    pub fn within<R>(&mut self, subject: impl Into<String>, read: impl FnOnce(&mut Self) -> R) -> R {
        let outer = self.subject.replace(subject.into());
        let result = read(self);
        self.subject = outer;
        result
    }

    /// What is being read, as set by [`Diagnostics::within`].
    pub fn subject(&self) -> Option<&str> {
        self.subject.as_deref()
    }

    /// The texts of the files.
    pub fn files(&self) -> &Files {
        &self.files
    }

    pub(super) fn files_mut(&mut self) -> &mut Files {
        &mut self.files
    }

    /// All diagnostics, in the order of the files and of the places in them.
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        let mut sorted: Vec<&Diagnostic> = self.list.iter().collect();
        sorted.sort_by_key(|diagnostic| (diagnostic.span.file, diagnostic.span.start));
        sorted.into_iter()
    }

    /// Whether the configuration cannot be applied.
    pub fn has_errors(&self) -> bool {
        self.errors() > 0
    }

    /// How many faults there are.
    pub fn errors(&self) -> usize {
        self.list.iter().filter(|diagnostic| diagnostic.severity == Severity::Error).count()
    }

    /// How many warnings there are.
    pub fn warnings(&self) -> usize {
        self.list.len().saturating_sub(self.errors())
    }

    /// Whether nothing was reported.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
}

impl Report<'_> {
    /// A few words beside the marked place.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        if let Some(diagnostic) = &mut self.diagnostic {
            diagnostic.label = Some(label.into());
        }
        self
    }

    /// What to do.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        if let Some(diagnostic) = &mut self.diagnostic {
            diagnostic.help = Some(help.into()).filter(|help| !help.is_empty());
        }
        self
    }

    /// What to do, if there is something to say.
    pub fn help_if(self, help: Option<String>) -> Self {
        match help {
            Some(help) => self.help(help),
            None => self,
        }
    }

    /// Another place that belongs to it.
    pub fn note(mut self, span: Span, message: impl Into<String>) -> Self {
        if let (Some(diagnostic), Some(place)) = (&mut self.diagnostic, self.files.place(span)) {
            diagnostic.notes.push(Note { message: message.into(), place });
        }
        self
    }
}
