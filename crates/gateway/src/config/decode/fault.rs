//! A fault on its way out of `serde`, before it is a diagnostic.

use super::super::place::Span;
use crate::values::nearest;
use serde::de;
use std::fmt;

/// What kind of fault this is, from which its code follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    WrongType,
    BadValue,
    UnknownKey,
    MissingKey,
}

/// One fault. `serde` makes it without a place; the first node it passes gives it one.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) kind: Kind,
    pub(super) message: String,
    pub(super) label: Option<String>,
    pub(super) help: Option<String>,
    /// The key that is missing, for [`Kind::MissingKey`].
    pub(super) missing: Option<&'static str>,
    pub(super) place: Option<Box<FaultPlace>>,
    /// Follows from a fault that was reported before.
    pub(super) silent: bool,
    /// The value around it is on the list of what to leave out in the next round.
    pub(super) put_aside: bool,
}

/// Where a fault is: in the file and in the tree.
#[derive(Debug)]
pub(super) struct FaultPlace {
    pub(super) span: Span,
    /// Keys from the value that is read, `cors.origins[0]`.
    pub(super) path: String,
    /// What is read, `route `GET /a``.
    pub(super) subject: Option<String>,
}

impl FaultPlace {
    /// For the end of a sentence: " in `cors` of route `GET /a`".
    pub(super) fn inside(&self) -> String {
        match (self.path.as_str(), &self.subject) {
            ("", None) => String::new(),
            ("", Some(subject)) => format!(" in {subject}"),
            (path, None) => format!(" in `{path}`"),
            (path, Some(subject)) => format!(" in `{path}` of {subject}"),
        }
    }

    /// For the beginning of a sentence: "`timeout` of service `users`: ".
    pub(super) fn before(&self) -> String {
        match (self.path.as_str(), &self.subject) {
            ("", None) => String::new(),
            ("", Some(subject)) => format!("{subject}: "),
            (path, None) => format!("`{path}`: "),
            (path, Some(subject)) => format!("`{path}` of {subject}: "),
        }
    }
}

impl Fault {
    pub(super) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            label: None,
            help: None,
            missing: None,
            place: None,
            silent: false,
            put_aside: false,
        }
    }

    /// One kind of value is needed and another was found.
    pub(super) fn wrong_type(wanted: &str, found: &str) -> Self {
        let short = !wanted.contains(" or ") && !wanted.contains(" such as ");
        Self {
            label: short.then(|| format!("not {wanted}")),
            ..Self::new(Kind::WrongType, format!("expected {wanted}, found {found}"))
        }
    }

    /// One of a list of words is needed and another was found.
    fn not_one_of(word: &str, known: &[&str]) -> Self {
        let list = list_of(known);
        let help = match nearest(word, known.iter().copied()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("write one of {list}"),
        };
        Self { help: Some(help), ..Self::new(Kind::BadValue, format!("`{word}` is not one of {list}")) }
    }
}

/// Words in backticks, with commas.
pub(super) fn list_of(words: &[&str]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Fault {}

impl de::Error for Fault {
    fn custom<T: fmt::Display>(message: T) -> Self {
        let text = message.to_string();
        match text.split_once('\n') {
            Some((message, help)) => Self {
                help: Some(help.to_owned()).filter(|help| !help.is_empty()),
                ..Self::new(Kind::BadValue, message)
            },
            None => Self::new(Kind::BadValue, text),
        }
    }

    fn invalid_type(unexpected: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::wrong_type(&expected.to_string(), &unexpected.to_string())
    }

    fn invalid_value(unexpected: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::new(Kind::BadValue, format!("expected {expected}, found {unexpected}"))
    }

    fn invalid_length(length: usize, expected: &dyn de::Expected) -> Self {
        Self::new(Kind::BadValue, format!("expected {expected}, found {length} items"))
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        Self::not_one_of(variant, expected)
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        Self {
            help: Some(format!("known here: {}", list_of(expected))),
            ..Self::new(Kind::UnknownKey, format!("unknown key `{field}`"))
        }
    }

    fn missing_field(field: &'static str) -> Self {
        Self { missing: Some(field), ..Self::new(Kind::MissingKey, format!("the key `{field}` is missing")) }
    }
}
