//! The kinds of values that expressions work with, as far as they are known beforehand.

use std::fmt;

/// What kind a value is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    /// True or false.
    Truth,
    /// A whole number, with or without a sign.
    Number,
    /// A number with a fraction.
    Fraction,
    /// A text.
    Text,
    /// Bytes.
    Bytes,
    /// Nothing.
    Null,
    /// A list of these.
    List(Box<Kind>),
    /// Something whose parts have names: a name of the language.
    Parts(&'static str),
    /// Known when it is there.
    Any,
}

impl Kind {
    /// Whether a value of this kind can also be of that kind.
    pub(super) fn may_be(&self, other: &Kind) -> bool {
        match (self, other) {
            (Kind::Any, _) | (_, Kind::Any) => true,
            (Kind::Number | Kind::Fraction, Kind::Number | Kind::Fraction) => true,
            (Kind::List(one), Kind::List(other)) => one.may_be(other),
            (one, other) => one == other,
        }
    }

    /// The kind of what is one or the other.
    pub(super) fn or(self, other: Kind) -> Kind {
        match (self, other) {
            (one, other) if one == other => one,
            (Kind::List(one), Kind::List(other)) => Kind::List(Box::new(one.or(*other))),
            _ => Kind::Any,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Truth => "true or false",
            Kind::Number => "a number",
            Kind::Fraction => "a fraction",
            Kind::Text => "a text",
            Kind::Bytes => "bytes",
            Kind::Null => "null",
            Kind::List(_) => "a list",
            Kind::Parts(name) => return write!(f, "`{name}`"),
            Kind::Any => "anything",
        })
    }
}
