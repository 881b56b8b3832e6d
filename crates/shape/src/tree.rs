//! Documents that are held whole, within their bounds: made of tokens, and told as tokens again.

use crate::keys::Names;
use crate::scan::Scanner;
use crate::token::{Sink, Token};
use crate::write::Writer;
use crate::{Limits, Misfit, Value};

/// Bytes that one value counts for at least: what holding it costs is bounded by what it weighs.
const WEIGHT: usize = 4;

/// Makes values of tokens.
pub(crate) struct Builder {
    limits: Limits,
    open: Vec<Open>,
    weight: usize,
    text: Vec<u8>,
    whole: Option<Value>,
}

enum Open {
    Array(Vec<Value>),
    /// With the name under which the next value stands.
    Object(Vec<(Box<[u8]>, Value)>, Box<[u8]>),
}

impl Builder {
    pub(crate) fn new(limits: Limits) -> Builder {
        Builder { limits, open: Vec::new(), weight: 0, text: Vec::new(), whole: None }
    }

    /// The value, once it is whole; after that the builder can make another.
    pub(crate) fn take_whole(&mut self) -> Option<Value> {
        let whole = self.whole.take()?;
        self.weight = 0;
        Some(whole)
    }

    fn weigh(&mut self, bytes: usize) -> Result<(), Misfit> {
        self.weight = self.weight.saturating_add(bytes);
        if self.weight > self.limits.size { Err(Misfit::Large(self.limits.size as u64)) } else { Ok(()) }
    }

    fn put(&mut self, value: Value) -> Result<(), Misfit> {
        match self.open.last_mut() {
            None => self.whole = Some(value),
            Some(Open::Array(elements)) => elements.push(value),
            Some(Open::Object(members, name)) => {
                if members.len() >= self.limits.members {
                    return Err(Misfit::Wide(self.limits.members));
                }
                members.push((std::mem::take(name), value));
            }
        }
        Ok(())
    }
}

impl Sink for Builder {
    fn take(&mut self, token: Token<'_>) -> Result<(), Misfit> {
        match token {
            Token::ObjectStart | Token::ArrayStart => {
                self.weigh(WEIGHT)?;
                // What formats other than JSON bring is bounded here.
                if self.open.len() >= self.limits.depth {
                    return Err(Misfit::Deep(self.limits.depth));
                }
                let is_object = token == Token::ObjectStart;
                self.open.push(if is_object {
                    Open::Object(Vec::new(), Box::default())
                } else {
                    Open::Array(Vec::new())
                });
            }
            Token::ObjectEnd | Token::ArrayEnd => {
                let value = match self.open.pop() {
                    Some(Open::Object(members, _)) => Value::Object(members),
                    Some(Open::Array(elements)) => Value::Array(elements),
                    None => return Ok(()),
                };
                self.put(value)?;
            }
            Token::Name(name) => {
                self.weigh(name.len().saturating_add(WEIGHT))?;
                if let Some(Open::Object(_, next)) = self.open.last_mut() {
                    *next = name.into();
                }
            }
            Token::Text(text) => {
                self.weigh(text.len().saturating_add(WEIGHT))?;
                self.put(Value::Text(text.into()))?;
            }
            Token::TextStart => {
                self.weigh(WEIGHT)?;
                self.text.clear();
            }
            Token::TextPart(part) => {
                self.weigh(part.len())?;
                self.text.extend_from_slice(part);
            }
            Token::TextEnd => {
                let text = std::mem::take(&mut self.text);
                self.put(Value::Text(text.into()))?;
            }
            Token::Scalar(word) => {
                self.weigh(word.len().saturating_add(WEIGHT))?;
                self.put(Value::Scalar(word.into()))?;
            }
            Token::End => {}
        }
        Ok(())
    }
}

impl Value {
    /// Tells the value as tokens. It is no deeper than the limits let it become.
    pub(crate) fn tell(&self, sink: &mut dyn Sink) -> Result<(), Misfit> {
        match self {
            Value::Scalar(word) => sink.take(Token::Scalar(word)),
            Value::Text(text) => sink.take(Token::Text(text)),
            Value::Array(elements) => {
                sink.take(Token::ArrayStart)?;
                elements.iter().try_for_each(|element| element.tell(sink))?;
                sink.take(Token::ArrayEnd)
            }
            Value::Object(members) => {
                sink.take(Token::ObjectStart)?;
                for (name, value) in members {
                    sink.take(Token::Name(name))?;
                    value.tell(sink)?;
                }
                sink.take(Token::ObjectEnd)
            }
        }
    }

    /// The value as JSON, without any space.
    ///
    /// # Errors
    /// An object has two members of one name.
    pub fn write(&self, limits: &Limits) -> Result<Vec<u8>, Misfit> {
        let mut writer = Writer::new(limits, false);
        self.tell(&mut writer)?;
        Ok(writer.out)
    }
}

/// Reads a whole JSON text; two members of one name stay two.
///
/// # Errors
/// It is no JSON, or beyond a limit.
pub fn parse(text: &[u8], limits: Limits) -> Result<Value, Misfit> {
    let mut builder = Builder::new(limits);
    let mut scanner = Scanner::new(limits, false);
    scanner.push(text, &mut builder)?;
    scanner.finish(&mut builder)?;
    builder.take_whole().ok_or(Misfit::Cut)
}

/// Reads a whole JSON text in which no object has two members of one name.
///
/// # Errors
/// It is no JSON, or beyond a limit, or has a name twice.
pub fn parse_strict(text: &[u8], limits: Limits) -> Result<Value, Misfit> {
    let mut builder = Builder::new(limits);
    let mut scanner = Scanner::new(limits, false);
    let mut names = Names::new(limits.members);
    let mut sink = |token: Token<'_>| {
        match token {
            Token::ObjectStart => names.enter(),
            Token::ObjectEnd => names.leave(),
            Token::Name(name) => names.add(name)?,
            _ => {}
        }
        builder.take(token)
    };
    scanner.push(text, &mut sink)?;
    scanner.finish(&mut sink)?;
    builder.take_whole().ok_or(Misfit::Cut)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_written_as_it_was_read() {
        let text = br#"{"a":[1.50e3,"\u0041",{}],"b":{"c":null},"a":true}"#;
        let value = parse(text, Limits::default()).unwrap();
        let mut told = Writer::new(&Limits::default(), false);
        assert_eq!(value.tell(&mut told), Err(Misfit::Duplicate));
        assert_eq!(parse_strict(text, Limits::default()), Err(Misfit::Duplicate));
        let text = br#"{"a":[1.50e3,"\u0041",{}],"b":{"c":null}}"#;
        let value = parse_strict(text, Limits::default()).unwrap();
        assert_eq!(value.write(&Limits::default()).unwrap(), text);
        assert_eq!(value.to_serde(), serde_json::json!({ "a": [1500.0, "A", {}], "b": { "c": null } }));
        assert_eq!(
            Value::from_serde(&serde_json::json!({ "b\n": [1, "A"] })).write(&Limits::default()).unwrap(),
            br#"{"b\n":[1,"A"]}"#
        );
    }

    #[test]
    fn a_document_weighs_what_it_costs() {
        let limits = Limits { size: 1000, ..Limits::default() };
        assert!(parse(format!("[{}1]", "1,".repeat(100)).as_bytes(), limits).is_ok());
        assert_eq!(parse(format!("[{}1]", "1,".repeat(300)).as_bytes(), limits), Err(Misfit::Large(1000)));
        assert_eq!(parse(format!("\"{}\"", "x".repeat(70_000)).as_bytes(), limits), Err(Misfit::Large(1000)));
        let limits = Limits { members: 2, ..Limits::default() };
        assert_eq!(parse(br#"{"a":1,"b":1,"c":1}"#, limits), Err(Misfit::Wide(2)));
    }
}
