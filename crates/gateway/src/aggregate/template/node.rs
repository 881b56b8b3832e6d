//! What a part has answered, as a value of a template: looked into where the template looks, not taken apart before.
//!
//! Takes a document and a place in it; gives single values as they are and the rest as places. Its own text is kept: no number
//! loses a digit where it is told as JSON. Gives nothing more once nobody waits for it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use minijinja::value::{Enumerator, Object, ObjectRepr, Value};
use minijinja::{Error, ErrorKind};

use super::super::document::{Document, Item, Kind, plain};

/// Digits that a number of 64 bits can tell apart; one with more of them is not counted with.
const DIGITS: usize = 17;

/// An object, a list, or a number that cannot be counted with.
#[derive(Debug)]
pub(super) struct Node {
    document: Arc<Document>,
    item: Item,
    stop: Arc<AtomicBool>,
}

impl Node {
    /// All of a document.
    pub(super) fn whole(document: Document, stop: &Arc<AtomicBool>) -> Value {
        Node { document: Arc::new(document), item: Item::WHOLE, stop: stop.clone() }.into_value()
    }

    /// The JSON that it is.
    pub(super) fn text(&self) -> &str {
        std::str::from_utf8(self.document.text(self.item)).unwrap_or_default()
    }

    fn at(&self, item: Item) -> Value {
        Node { document: self.document.clone(), item, stop: self.stop.clone() }.into_value()
    }

    /// Nothing is the same as no value, as in the other templates.
    fn into_value(self) -> Value {
        if self.document.kind(self.item) != Kind::Other {
            return Value::from_object(self);
        }
        match self.text() {
            "true" => Value::from(true),
            "false" => Value::from(false),
            "null" => Value::UNDEFINED,
            text if text.starts_with('"') => {
                let said = plain(text.as_bytes()).and_then(|said| String::from_utf8(said).ok());
                said.map_or(Value::UNDEFINED, Value::from)
            }
            text => number(text).unwrap_or_else(|| Value::from_object(self)),
        }
    }

    /// The refusal to go on, once nobody waits.
    fn stopped(&self) -> Option<Value> {
        let stopped = self.stop.load(Ordering::Relaxed);
        stopped.then(|| Value::from(Error::new(ErrorKind::InvalidOperation, "it takes longer than it may")))
    }
}

/// A number that can be counted with as it is written.
fn number(text: &str) -> Option<Value> {
    if text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-') {
        return text.parse::<i128>().ok().map(Value::from);
    }
    let digits =
        text.bytes().take_while(|byte| !matches!(byte, b'e' | b'E')).filter(u8::is_ascii_digit).count();
    let value: f64 = text.parse().ok()?;
    (digits <= DIGITS && value.is_finite()).then(|| Value::from(value))
}

/// A key as it is written, without quotes.
fn name(written: &[u8]) -> Value {
    let quoted = [b"\"", written, b"\""].concat();
    let said = plain(&quoted).and_then(|said| String::from_utf8(said).ok());
    said.map_or(Value::UNDEFINED, Value::from)
}

impl Object for Node {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        match self.document.kind(self.item) {
            Kind::Object => ObjectRepr::Map,
            Kind::List => ObjectRepr::Seq,
            Kind::Other => ObjectRepr::Plain,
        }
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        if let Some(stopped) = self.stopped() {
            return Some(stopped);
        }
        let key = match (key.as_str(), key.as_usize()) {
            (Some(key), _) => self.document.step(self.item, key),
            (None, Some(nth)) if self.document.kind(self.item) == Kind::List => {
                self.document.step(self.item, &nth.to_string())
            }
            _ => Ok(None),
        };
        match key {
            Ok(item) => item.map(|item| self.at(item)),
            Err(refused) => Some(Value::from(Error::new(ErrorKind::InvalidOperation, refused.code()))),
        }
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        if let Some(stopped) = self.stopped() {
            return Enumerator::Values(vec![stopped]);
        }
        let inside = self.document.inside(self.item);
        match self.document.kind(self.item) {
            Kind::Object => {
                let pairs: Vec<(Value, Value)> =
                    inside.map(|(key, item)| (name(key), self.at(item))).collect();
                Enumerator::RevKeyValueIter(Box::new(pairs.into_iter()))
            }
            Kind::List => Enumerator::Values(inside.map(|(_, item)| self.at(item)).collect()),
            Kind::Other => Enumerator::NonEnumerable,
        }
    }

    fn enumerator_len(self: &Arc<Self>) -> Option<usize> {
        let single = self.document.kind(self.item) == Kind::Other;
        (!single).then(|| self.document.inside(self.item).count())
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}
