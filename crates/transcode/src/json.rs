//! JSON becomes a message: read strictly first, then by the mapping of protobuf, every fault with the path of its place.

use prost_reflect::{DeserializeOptions, DynamicMessage, MessageDescriptor};
use serde_path_to_error::{Deserializer, Track};
use shape::keys::Names;
use shape::scan::Scanner;
use shape::token::{Sink, Token};
use shape::{Limits, Misfit};

use crate::Wrong;

/// Values of one body: each takes more memory than the two bytes that may say it.
const VALUES: usize = 250_000;
/// Objects and arrays inside each other.
const DEEPEST: usize = 64;

/// Makes a message of a JSON text.
///
/// # Errors
/// What is wrong with it, and where.
pub(crate) fn message(
    kind: &MessageDescriptor,
    text: &[u8],
    ignore_unknown: bool,
) -> Result<DynamicMessage, Wrong> {
    check(text)?;
    checked(kind, text, ignore_unknown)
}

/// Makes a message of the JSON text of one of its fields; `name` is written as in JSON.
///
/// # Errors
/// What is wrong with it, and where.
pub(crate) fn member(
    kind: &MessageDescriptor,
    name: &str,
    text: &[u8],
    ignore_unknown: bool,
) -> Result<DynamicMessage, Wrong> {
    // One whole text, before anything stands around it.
    check(text)?;
    checked(kind, &[b"{", name.as_bytes(), b":", text, b"}"].concat(), ignore_unknown)
}

fn checked(kind: &MessageDescriptor, text: &[u8], ignore_unknown: bool) -> Result<DynamicMessage, Wrong> {
    let mut json = serde_json::Deserializer::from_slice(text);
    let mut track = Track::new();
    let options = DeserializeOptions::new().deny_unknown_fields(!ignore_unknown);
    let tracked = Deserializer::new(&mut json, &mut track);
    let read = DynamicMessage::deserialize_with_options(kind.clone(), tracked, &options);
    read.map_err(|error| {
        let path = track.path().to_string();
        told(if path == "." { "" } else { &path }, &error.to_string())
    })
}

/// What the readers of JSON and of messages say, in our own words.
fn told(path: &str, error: &str) -> Wrong {
    let error = error.rsplit_once(" at line ").map_or(error, |(what, _)| what);
    let unknown = error.strip_prefix("unrecognized field name '").and_then(|rest| rest.strip_suffix('\''));
    if let Some(name) = unknown {
        let dot = if path.is_empty() { "" } else { "." };
        return Wrong::at(format!("{path}{dot}{name}"), "there is no such field");
    }
    let wanted = error.starts_with("invalid ").then(|| error.rsplit_once(", expected ")).flatten();
    match wanted {
        // Nothing of the value is told again.
        Some((_, wanted)) => Wrong::at(path, format!("{wanted} was expected")),
        None => Wrong::at(path, error),
    }
}

/// Reads a text by the rules of JSON and the bounds of this place.
fn check(text: &[u8]) -> Result<(), Wrong> {
    let limits = Limits { depth: DEEPEST, ..Limits::default() };
    let mut place = Watch { open: Vec::new(), names: Names::new(limits.members), values: 0, too_many: false };
    let mut scanner = Scanner::new(limits, false);
    let read = scanner.push(text, &mut place).and_then(|()| scanner.finish(&mut place));
    read.map_err(|misfit| match place.too_many {
        true => Wrong::at(place.path(), format!("the body has more than {VALUES} values")),
        false => Wrong::at(place.path(), misfit.to_string()),
    })
}

/// Watches a text as it is read.
struct Watch {
    open: Vec<Level>,
    names: Names,
    values: usize,
    too_many: bool,
}

/// Where in an object or array.
enum Level {
    /// Behind this name.
    Object(String),
    /// At this element.
    Array(usize),
}

impl Watch {
    fn value(&mut self) -> Result<(), Misfit> {
        self.values = self.values.saturating_add(1);
        self.too_many = self.values > VALUES;
        if self.too_many { Err(Misfit::Wide(VALUES)) } else { Ok(()) }
    }

    /// A value has ended.
    fn after(&mut self) {
        if let Some(Level::Array(index)) = self.open.last_mut() {
            *index = index.saturating_add(1);
        }
    }

    fn path(&self) -> String {
        let mut path = String::new();
        for level in &self.open {
            match level {
                Level::Object(name) if name.is_empty() => {}
                Level::Object(name) => {
                    let dot = if path.is_empty() { "" } else { "." };
                    path.push_str(&format!("{dot}{name}"));
                }
                Level::Array(index) => path.push_str(&format!("[{index}]")),
            }
        }
        path
    }
}

impl Sink for Watch {
    fn take(&mut self, token: Token<'_>) -> Result<(), Misfit> {
        match token {
            Token::ObjectStart => {
                self.value()?;
                self.names.enter();
                self.open.push(Level::Object(String::new()));
            }
            Token::ArrayStart => {
                self.value()?;
                self.open.push(Level::Array(0));
            }
            Token::ObjectEnd => {
                self.names.leave();
                self.open.pop();
                self.after();
            }
            Token::ArrayEnd => {
                self.open.pop();
                self.after();
            }
            Token::Name(name) => {
                if let Some(Level::Object(known)) = self.open.last_mut() {
                    *known = shape::text::said(name);
                }
                self.names.add(name)?;
            }
            Token::Text(_) | Token::Scalar(_) | Token::TextStart => {
                self.value()?;
                if token != Token::TextStart {
                    self.after();
                }
            }
            Token::TextEnd => self.after(),
            Token::TextPart(_) | Token::End => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_of_the_text_name_their_place() {
        let deep = format!("{{\"a\":{}1{}}}", "[".repeat(64), "]".repeat(64));
        let many = format!("{{\"a\":[{}0]}}", "0,".repeat(VALUES));
        for (text, told) in [
            ("{\"a\":{\"b\":[1,x]}}", "a.b[1]: this is neither a number nor true, false or null, at byte 13"),
            ("{\"a\":1,\"\\u0061\":2}", "a: an object of the body has two members of one name"),
            ("{\"a\":", "a: the body ends before it is whole"),
            ("[", "[0]: the body ends before it is whole"),
            (&deep, &format!("a{}: the body is nested deeper than 64", "[0]".repeat(63))),
            (&many, "a[249998]: the body has more than 250000 values"),
        ] {
            assert_eq!(
                check(text.as_bytes()).unwrap_err().to_string(),
                told,
                "{}",
                text.get(..20).unwrap_or(text)
            );
        }
        let broken = b"{\"a\":{\"b\":\"\xff\"}}";
        assert_eq!(check(broken).unwrap_err().field, "a.b");
        check(b"{\"a\":[1,{\"b\":null}],\"c\":\"d\"}").unwrap();
    }

    #[test]
    fn what_others_say_is_said_in_our_words() {
        for (path, error, said) in [
            (
                "a.b",
                "invalid type: string \"secret\", expected a boolean at line 1 column 9",
                "a.b: a boolean was expected",
            ),
            ("", "unrecognized field name 'x' at line 1 column 3", "x: there is no such field"),
            ("a", "unrecognized field name 'x'", "a.x: there is no such field"),
            (
                "a",
                "multiple fields provided for oneof 'kind' at line 2 column 1",
                "a: multiple fields provided for oneof 'kind'",
            ),
        ] {
            assert_eq!(told(path, error).to_string(), said);
        }
    }
}
