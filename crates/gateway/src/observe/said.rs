//! Sentences that can be said in other languages: a template with named places, and what stands in them.
//!
//! Takes an English template and its values; gives the English sentence, and both parts for whoever has the template in
//! another language. Must never be put together from pieces of sentences: words stand elsewhere in other languages. That
//! the console knows every template is a rule of `tests/tidy.rs`.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

/// A sentence, or a name for something inside of one; made by `said!`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Said {
    message: &'static str,
    with: BTreeMap<&'static str, Value>,
    #[serde(skip)]
    english: String,
}

/// What stands in a place of a template.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Value {
    /// The same in every language: a name, a number.
    Plain(String),
    /// Words of their own.
    Said(Said),
}

impl Said {
    /// For `said!` alone, which sees to it that the three are about one thing.
    pub(crate) fn new(message: &'static str, with: BTreeMap<&'static str, Value>, english: String) -> Said {
        Said { message, with, english }
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.english)
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Plain(text) => f.write_str(text),
            Value::Said(said) => said.fmt(f),
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::Plain(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Value {
        Value::Plain(text)
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Value {
        Value::Plain(number.to_string())
    }
}

impl From<Said> for Value {
    fn from(said: Said) -> Value {
        Value::Said(said)
    }
}

/// A sentence from its template and the values of its places: `said!("{name} has {count}", name = "a", count = 2_u64)`.
///
/// The compiler refuses a place without a value and a value without a place. `concat!` is there for that: without it a
/// place could take a variable of the same name that the other languages would not get.
macro_rules! said {
    ($message:literal $(, $place:ident = $value:expr)* $(,)?) => {{
        let ($($place,)*) = ($($crate::observe::said::Value::from($value),)*);
        let english = format!(concat!($message), $($place = $place),*);
        let with = [$((stringify!($place), $place)),*];
        $crate::observe::said::Said::new($message, with.into(), english)
    }};
}

pub(crate) use said;

#[cfg(test)]
mod tests {
    #[test]
    fn a_sentence_is_english_and_its_parts() {
        let what = said!("the quota `{name}`", name = "{name}");
        let name = "not this one";
        let said = said!(
            "{what} of {name} has {left} left, {what}",
            what = what,
            left = 3_u64,
            name = format!("/{}", name.len())
        );
        assert_eq!(said.to_string(), "the quota `{name}` of /12 has 3 left, the quota `{name}`");
        let parts = serde_json::json!({
            "message": "{what} of {name} has {left} left, {what}",
            "with": {
                "what": { "message": "the quota `{name}`", "with": { "name": "{name}" } },
                "name": "/12",
                "left": "3",
            },
        });
        assert_eq!(serde_json::to_value(&said).unwrap(), parts);
        let bare = serde_json::json!({ "message": "it is down", "with": {} });
        assert_eq!(serde_json::to_value(said!("it is down")).unwrap(), bare);
    }
}
