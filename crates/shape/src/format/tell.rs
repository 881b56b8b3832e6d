//! What the readers of binary formats share: bytes taken one after the other, and a document told within its limits.

use crate::text::written;
use crate::token::{Sink, Token};
use crate::tree::Builder;
use crate::{Limits, Misfit, Value};

/// Bytes that are read from the front.
pub(super) struct Bytes<'b> {
    rest: &'b [u8],
    length: usize,
}

impl<'b> Bytes<'b> {
    pub(super) fn new(bytes: &'b [u8]) -> Bytes<'b> {
        Bytes { rest: bytes, length: bytes.len() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(super) fn wrong(&self, what: &'static str) -> Misfit {
        Misfit::Syntax(what, self.length.saturating_sub(self.rest.len()) as u64)
    }

    pub(super) fn byte(&mut self) -> Result<u8, Misfit> {
        let (byte, rest) = self.rest.split_first().ok_or(Misfit::Cut)?;
        self.rest = rest;
        Ok(*byte)
    }

    pub(super) fn take(&mut self, count: u64) -> Result<&'b [u8], Misfit> {
        let count = usize::try_from(count).map_err(|_| Misfit::Cut)?;
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(Misfit::Cut)?;
        self.rest = rest;
        Ok(taken)
    }

    /// A number of so many bytes, the highest first.
    pub(super) fn number(&mut self, count: u64) -> Result<u64, Misfit> {
        let bytes = self.take(count)?;
        Ok(bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    pub(super) fn text(&mut self, count: u64) -> Result<&'b str, Misfit> {
        let bytes = self.take(count)?;
        std::str::from_utf8(bytes).map_err(|_| self.wrong("a text is not UTF-8"))
    }
}

/// A document that is told as it is read.
pub(super) struct Telling {
    builder: Builder,
    limits: Limits,
}

impl Telling {
    pub(super) fn new(limits: Limits) -> Telling {
        Telling { builder: Builder::new(limits), limits }
    }

    pub(super) fn token(&mut self, token: Token<'_>) -> Result<(), Misfit> {
        self.builder.take(token)
    }

    pub(super) fn name(&mut self, name: &str) -> Result<(), Misfit> {
        if name.len() > self.limits.name {
            return Err(Misfit::Long("a name", self.limits.name));
        }
        self.token(Token::Name(&written(name)))
    }

    pub(super) fn text(&mut self, text: &str) -> Result<(), Misfit> {
        self.token(Token::Text(&written(text)))
    }

    pub(super) fn scalar(&mut self, word: &str) -> Result<(), Misfit> {
        self.token(Token::Scalar(word.as_bytes()))
    }

    /// A number of floating point; what JSON cannot say is refused.
    pub(super) fn float(&mut self, number: f64) -> Result<(), Misfit> {
        if !number.is_finite() {
            return Err(Misfit::Unsayable("the body holds a number that JSON cannot say"));
        }
        // A point or an exponent tells readers that it is no whole number.
        self.scalar(&format!("{number:?}"))
    }

    pub(super) fn whole(mut self) -> Result<Value, Misfit> {
        self.builder.take_whole().ok_or(Misfit::Cut)
    }
}

/// What a number of JSON is for a binary format.
pub(super) enum Number {
    Positive(u64),
    /// One less than what it is below nothing: -1 is 0.
    Negative(u64),
    Float(f64),
}

/// The number that a scalar writes; what no format holds exactly as it is becomes the nearest double.
pub(super) fn number(word: &[u8]) -> Result<Number, Misfit> {
    let text = std::str::from_utf8(word).unwrap_or_default();
    if let Ok(positive) = text.parse::<u64>() {
        return Ok(Number::Positive(positive));
    }
    if let Ok(below) = text.parse::<i128>()
        && below < 0
        && let Ok(negative) = u64::try_from(-1_i128 - below)
    {
        return Ok(Number::Negative(negative));
    }
    let float: f64 = text.parse().unwrap_or(f64::NAN);
    if float.is_finite() { Ok(Number::Float(float)) } else { Err(Misfit::Unsayable("a number is too large")) }
}
