//! What is wrong with a request that is to become a message: the field, and one sentence.

use std::fmt;

/// Bytes of a field's path and of a sentence that are told: both may repeat what a client sent.
const MOST: usize = 200;

/// What is wrong with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// The path of the field: `shelf.books[2].isbn`; empty for the request as a whole.
    pub field: String,
    /// One sentence.
    pub what: String,
}

impl Wrong {
    /// Of a field.
    pub(crate) fn at(field: impl Into<String>, what: impl Into<String>) -> Wrong {
        Wrong { field: cut(field.into()), what: cut(what.into()) }
    }

    /// Of the request as a whole.
    pub(crate) fn whole(what: impl Into<String>) -> Wrong {
        Wrong::at("", what)
    }
}

fn cut(mut text: String) -> String {
    if text.len() > MOST {
        let end = (0..=MOST).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
        text.push_str("..");
    }
    text
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.field.as_str() {
            "" => f.write_str(&self.what),
            field => write!(f, "{field}: {}", self.what),
        }
    }
}

impl std::error::Error for Wrong {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_bounded() {
        let wrong = Wrong::at("ä".repeat(500), "too long");
        assert!(wrong.field.len() < MOST + 3 && wrong.field.ends_with("ä.."));
        assert_eq!(Wrong::at("a.b", "no").to_string(), "a.b: no");
        assert_eq!(Wrong::whole("no").to_string(), "no");
    }
}
