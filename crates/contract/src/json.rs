//! JSON read strictly: bounded depth, no key twice, nothing behind the value.
//!
//! Two readers of a document with a key twice may see two values: such a one is refused, not guessed at.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Why a text is not taken for JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JsonFlaw {
    /// It is not JSON.
    Syntax,
    /// It is deeper than is taken.
    TooDeep,
    /// A key stands twice in one object.
    KeyTwice,
}

impl JsonFlaw {
    /// One sentence.
    pub fn told(self) -> &'static str {
        match self {
            JsonFlaw::Syntax => "not JSON",
            JsonFlaw::TooDeep => "lists and objects are nested too deep",
            JsonFlaw::KeyTwice => "an object has the same key twice",
        }
    }
}

/// Reads a text of at most this depth.
///
/// # Errors
/// See [`JsonFlaw`].
pub fn read(text: &[u8], most_depth: usize) -> Result<Value, JsonFlaw> {
    let flaw = Cell::new(JsonFlaw::Syntax);
    let mut reader = serde_json::Deserializer::from_slice(text);
    let level = Level { left: most_depth, flaw: &flaw };
    let value = level.deserialize(&mut reader).map_err(|_| flaw.get())?;
    reader.end().map_err(|_| JsonFlaw::Syntax)?;
    Ok(value)
}

/// A value with so many levels left below it.
#[derive(Clone, Copy)]
struct Level<'f> {
    left: usize,
    flaw: &'f Cell<JsonFlaw>,
}

impl<'f> Level<'f> {
    fn below<E: Error>(self) -> Result<Level<'f>, E> {
        match self.left.checked_sub(1) {
            Some(left) => Ok(Level { left, ..self }),
            None => {
                self.flaw.set(JsonFlaw::TooDeep);
                Err(E::custom("too deep"))
            }
        }
    }
}

impl<'de> DeserializeSeed<'de> for Level<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Level<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("not a number"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let below = self.below()?;
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(below)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let below = self.below()?;
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            if map.contains_key(&key) {
                self.flaw.set(JsonFlaw::KeyTwice);
                return Err(A::Error::custom("a key twice"));
            }
            let value = entries.next_value_seed(below)?;
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_and_what_is_refused() {
        for text in ["1", "[]", r#"{"a":[1,2.5,"x",null,true]}"#, " -7 ", r#""é""#] {
            assert_eq!(read(text.as_bytes(), 4).unwrap(), serde_json::from_str::<Value>(text).unwrap());
        }
        for (text, flaw) in [
            ("", JsonFlaw::Syntax),
            ("[1,]", JsonFlaw::Syntax),
            ("{} {}", JsonFlaw::Syntax),
            ("1e1000000000", JsonFlaw::Syntax),
            ("NaN", JsonFlaw::Syntax),
            ("\"\u{1}\"", JsonFlaw::Syntax),
            (r#"{"a":1,"b":{"c":1,"c":2}}"#, JsonFlaw::KeyTwice),
            (r#"{"a":1,"\u0061":2}"#, JsonFlaw::KeyTwice),
            ("[[[[[1]]]]]", JsonFlaw::TooDeep),
        ] {
            assert_eq!(read(text.as_bytes(), 4), Err(flaw), "{text}");
        }
        assert_eq!(read(b"\"\xff\"", 4), Err(JsonFlaw::Syntax));
        let bomb = "[".repeat(100_000);
        assert_eq!(read(bomb.as_bytes(), 64), Err(JsonFlaw::TooDeep));
    }
}
