//! Reads JSON as it comes (RFC 8259), strictly: pieces of bytes in, tokens out, in memory that does not grow with the body.
//!
//! What it holds between two pieces is one unfinished word, and a bit for each level. Must never give a token that a
//! second reader could take for another: no byte order mark, no lone surrogates, no lenient numbers.

use crate::token::{Sink, Token};
use crate::{Limits, Misfit, text};

/// Bytes of a text that are collected to be given whole.
const WHOLE: usize = 64 * 1024;

/// What may come next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Expect {
    Value,
    ValueOrEnd,
    NameOrEnd,
    Name,
    Colon,
    CommaOrEnd,
    Nothing,
}

/// The word that has begun.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Word {
    None,
    Name,
    Text,
    LongText,
    Scalar,
}

/// A reader of one JSON text, or of one for each line.
pub struct Scanner {
    limits: Limits,
    expect: Expect,
    word: Word,
    /// Whether the text that has begun ended in a backslash that escapes what follows.
    escaping: bool,
    /// Open objects and arrays: whether each is an object.
    open: Vec<bool>,
    carry: Vec<u8>,
    seen: u64,
    /// Where the word began.
    began: u64,
    lines: bool,
}

impl Scanner {
    /// A reader of one text; with `lines`, of one after the other, each on its line.
    pub fn new(limits: Limits, lines: bool) -> Scanner {
        Scanner {
            limits,
            expect: Expect::Value,
            word: Word::None,
            escaping: false,
            open: Vec::new(),
            carry: Vec::new(),
            seen: 0,
            began: 0,
            lines,
        }
    }

    /// Reads a piece.
    ///
    /// # Errors
    /// It is no JSON, or beyond a limit, or the sink does not take it.
    pub fn push(&mut self, piece: &[u8], sink: &mut impl Sink) -> Result<(), Misfit> {
        let mut rest = piece;
        while let Some((byte, after)) = rest.split_first() {
            let before = rest.len();
            rest = match self.word {
                Word::None => self.between(*byte, after, sink)?,
                Word::Scalar => self.scalar(rest, sink)?,
                Word::Name | Word::Text => self.words(rest, sink)?,
                Word::LongText => self.long_text(rest, sink)?,
            };
            self.seen = self.seen.saturating_add(before.saturating_sub(rest.len()) as u64);
        }
        Ok(())
    }

    /// The body is whole.
    ///
    /// # Errors
    /// It is not.
    pub fn finish(&mut self, sink: &mut impl Sink) -> Result<(), Misfit> {
        if self.word == Word::Scalar {
            self.end_scalar(sink)?;
        }
        let between = self.lines && self.expect == Expect::Value && self.open.is_empty();
        if self.word == Word::None && (self.expect == Expect::Nothing || between) {
            return Ok(());
        }
        Err(Misfit::Cut)
    }

    fn wrong_word(&self, what: &'static str) -> Misfit {
        Misfit::Syntax(what, self.began)
    }

    fn wrong(&self, what: &'static str) -> Misfit {
        Misfit::Syntax(what, self.seen)
    }

    /// Looks at a byte between two words; gives what is left behind it.
    fn between<'p>(&mut self, byte: u8, after: &'p [u8], sink: &mut impl Sink) -> Result<&'p [u8], Misfit> {
        use Expect::{Colon, CommaOrEnd, Name, NameOrEnd, Nothing, Value, ValueOrEnd};
        match (byte, self.expect) {
            (b'\n', Nothing) if self.lines => self.expect = Value,
            (b' ' | b'\n' | b'\r' | b'\t', _) => {}
            (b'"', Name | NameOrEnd) => return self.begin(Word::Name, after, sink),
            (b'"', Value | ValueOrEnd) => return self.begin(Word::Text, after, sink),
            (b':', Colon) => self.expect = Value,
            (b',', CommaOrEnd) => {
                self.expect = if self.open.last() == Some(&true) { Name } else { Value };
            }
            (b'{', Value | ValueOrEnd) => {
                self.enter(true)?;
                sink.take(Token::ObjectStart)?;
                self.expect = NameOrEnd;
            }
            (b'[', Value | ValueOrEnd) => {
                self.enter(false)?;
                sink.take(Token::ArrayStart)?;
                self.expect = ValueOrEnd;
            }
            (b'}', NameOrEnd | CommaOrEnd) if self.open.last() == Some(&true) => {
                self.open.pop();
                sink.take(Token::ObjectEnd)?;
                self.after_value(sink)?;
            }
            (b']', ValueOrEnd | CommaOrEnd) if self.open.last() == Some(&false) => {
                self.open.pop();
                sink.take(Token::ArrayEnd)?;
                self.after_value(sink)?;
            }
            (b'-' | b'0'..=b'9' | b'a'..=b'z', Value | ValueOrEnd) => {
                (self.word, self.began) = (Word::Scalar, self.seen);
                self.carry.clear();
                self.carry.push(byte);
            }
            (_, Nothing) => return Err(self.wrong("something stands behind the JSON text")),
            (_, Name | NameOrEnd) => return Err(self.wrong("the name of a member was expected")),
            (_, Colon) => return Err(self.wrong("a colon was expected")),
            (_, CommaOrEnd) => {
                return Err(self.wrong("a comma or the end of an object or array was expected"));
            }
            (_, Value | ValueOrEnd) => return Err(self.wrong("a JSON value was expected")),
        }
        Ok(after)
    }

    fn enter(&mut self, object: bool) -> Result<(), Misfit> {
        if self.open.len() >= self.limits.depth {
            return Err(Misfit::Deep(self.limits.depth));
        }
        self.open.push(object);
        Ok(())
    }

    fn after_value(&mut self, sink: &mut impl Sink) -> Result<(), Misfit> {
        if self.open.is_empty() {
            self.expect = Expect::Nothing;
            return sink.take(Token::End);
        }
        self.expect = Expect::CommaOrEnd;
        Ok(())
    }

    /// A name or text begins; one that stands whole in the piece is given without a copy.
    fn begin<'p>(&mut self, word: Word, after: &'p [u8], sink: &mut impl Sink) -> Result<&'p [u8], Misfit> {
        (self.escaping, self.began) = (false, self.seen);
        self.carry.clear();
        match end_of_text(after, &mut self.escaping) {
            Some(end) => {
                let (text, rest) = after.split_at_checked(end).unwrap_or_default();
                self.word = word;
                self.end_word(text, sink)?;
                Ok(rest.get(1..).unwrap_or_default())
            }
            None => {
                self.word = word;
                self.keep(after, sink)?;
                Ok(b"")
            }
        }
    }

    /// More of a name or text that has begun.
    fn words<'p>(&mut self, rest: &'p [u8], sink: &mut impl Sink) -> Result<&'p [u8], Misfit> {
        match end_of_text(rest, &mut self.escaping) {
            Some(end) => {
                let (text, rest) = rest.split_at_checked(end).unwrap_or_default();
                let mut carry = std::mem::take(&mut self.carry);
                carry.extend_from_slice(text);
                let ended = self.end_word(&carry, sink);
                self.carry = carry;
                ended.map(|()| rest.get(1..).unwrap_or_default())
            }
            None => self.keep(rest, sink).map(|()| &b""[..]),
        }
    }

    fn end_word(&mut self, word: &[u8], sink: &mut impl Sink) -> Result<(), Misfit> {
        text::checked(word, true).map_err(|what| self.wrong_word(what))?;
        let is_name = self.word == Word::Name;
        self.word = Word::None;
        if is_name {
            if word.len() > self.limits.name {
                return Err(Misfit::Long("a name", self.limits.name));
            }
            self.expect = Expect::Colon;
            return sink.take(Token::Name(word));
        }
        sink.take(Token::Text(word))?;
        self.after_value(sink)
    }

    /// Keeps an unfinished word; a text that grows too long is given in parts from here on.
    fn keep(&mut self, more: &[u8], sink: &mut impl Sink) -> Result<(), Misfit> {
        self.carry.extend_from_slice(more);
        match self.word {
            Word::Name if self.carry.len() > self.limits.name => {
                Err(Misfit::Long("a name", self.limits.name))
            }
            Word::Text if self.carry.len() > WHOLE => {
                self.word = Word::LongText;
                sink.take(Token::TextStart)?;
                self.give_part(false, sink)
            }
            _ => Ok(()),
        }
    }

    fn long_text<'p>(&mut self, rest: &'p [u8], sink: &mut impl Sink) -> Result<&'p [u8], Misfit> {
        match end_of_text(rest, &mut self.escaping) {
            Some(end) => {
                let (text, rest) = rest.split_at_checked(end).unwrap_or_default();
                self.carry.extend_from_slice(text);
                self.give_part(true, sink)?;
                self.word = Word::None;
                sink.take(Token::TextEnd)?;
                self.after_value(sink)?;
                Ok(rest.get(1..).unwrap_or_default())
            }
            None => {
                self.carry.extend_from_slice(rest);
                self.give_part(false, sink)?;
                Ok(b"")
            }
        }
    }

    fn give_part(&mut self, whole: bool, sink: &mut impl Sink) -> Result<(), Misfit> {
        let good = text::checked(&self.carry, whole).map_err(|what| self.wrong_word(what))?;
        let (part, _) = self.carry.split_at_checked(good).unwrap_or_default();
        if !part.is_empty() {
            sink.take(Token::TextPart(part))?;
        }
        self.carry.drain(..good);
        Ok(())
    }

    /// More of a number or word.
    fn scalar<'p>(&mut self, rest: &'p [u8], sink: &mut impl Sink) -> Result<&'p [u8], Misfit> {
        let belongs = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
        let length = rest.iter().position(|byte| !belongs(byte)).unwrap_or(rest.len());
        let (word, rest) = rest.split_at_checked(length).unwrap_or_default();
        if self.carry.len().saturating_add(word.len()) > self.limits.number {
            return Err(Misfit::Long("a number", self.limits.number));
        }
        self.carry.extend_from_slice(word);
        if !rest.is_empty() {
            self.end_scalar(sink)?;
        }
        Ok(rest)
    }

    fn end_scalar(&mut self, sink: &mut impl Sink) -> Result<(), Misfit> {
        self.word = Word::None;
        let known = matches!(self.carry.as_slice(), b"true" | b"false" | b"null");
        if !known && !text::is_number(&self.carry) {
            return Err(self.wrong_word("this is neither a number nor true, false or null"));
        }
        let word = std::mem::take(&mut self.carry);
        let taken = sink.take(Token::Scalar(&word));
        self.carry = word;
        taken?;
        self.after_value(sink)
    }
}

/// Where a text ends: the place of its quote. `escaping` tells, before and after, whether a backslash waits for its byte.
fn end_of_text(bytes: &[u8], escaping: &mut bool) -> Option<usize> {
    let mut from = 0;
    if std::mem::take(escaping) && !bytes.is_empty() {
        from = 1;
    }
    loop {
        let rest = bytes.get(from..).unwrap_or_default();
        let at = memchr::memchr2(b'"', b'\\', rest)?;
        let place = from.saturating_add(at);
        if rest.get(at) == Some(&b'"') {
            return Some(place);
        }
        from = place.saturating_add(2);
        if from > bytes.len() {
            *escaping = true;
            return None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is read of a text that comes in pieces of this size.
    fn read(text: &[u8], size: usize, lines: bool) -> Result<String, Misfit> {
        let mut told = String::new();
        let mut scanner = Scanner::new(Limits { depth: 4, ..Limits::default() }, lines);
        let mut sink = |token: Token<'_>| {
            match token {
                Token::ObjectStart => told.push('{'),
                Token::ObjectEnd => told.push('}'),
                Token::ArrayStart => told.push('['),
                Token::ArrayEnd => told.push(']'),
                Token::Name(name) => told.push_str(&format!("{}:", String::from_utf8_lossy(name))),
                Token::Text(text) => told.push_str(&format!("'{}' ", String::from_utf8_lossy(text))),
                Token::TextStart | Token::TextEnd => told.push('|'),
                Token::TextPart(part) => told.push_str(&String::from_utf8_lossy(part)),
                Token::Scalar(word) => told.push_str(&format!("{} ", String::from_utf8_lossy(word))),
                Token::End => told.push('.'),
            }
            Ok(())
        };
        for piece in text.chunks(size) {
            scanner.push(piece, &mut sink)?;
        }
        scanner.finish(&mut sink)?;
        Ok(told)
    }

    #[test]
    fn a_text_is_read_in_any_pieces() {
        for (text, told) in [
            (r#"{"a":[1,-2.5e3,true,null],"b":{"c":"x\"y"}}"#, r#"{a:[1 -2.5e3 true null ]b:{c:'x\"y' }}."#),
            (" [ ] ", "[]."),
            ("{ }", "{}."),
            ("7", "7 ."),
            (r#""\ud83d\ude00ü""#, r"'\ud83d\ude00ü' ."),
        ] {
            for size in 1..=text.len() {
                assert_eq!(read(text.as_bytes(), size, false).as_deref(), Ok(told), "{text} by {size}");
            }
        }
    }

    #[test]
    fn what_is_no_json_is_refused_in_any_pieces() {
        for text in [
            "",
            " ",
            "{",
            "[1,]",
            "{\"a\":1,}",
            "{\"a\" 1}",
            "{a:1}",
            "[1 2]",
            "1 2",
            "[1]]",
            "tru",
            "nul",
            "[}",
            "{]",
            "{\"a\":}",
            "'a'",
            "\"a",
            "\u{feff}1",
            "NaN",
            "[-]",
            "[01]",
            "{\"a\":1 \"b\":2}",
            "\"\\ud800\"",
            "/*1*/",
            "{,}",
            "[,1]",
            "{\"a\"}",
        ] {
            for size in 1..=text.len().max(1) {
                let whole = read(text.as_bytes(), text.len().max(1), false);
                assert!(whole.is_err(), "{text}");
                assert_eq!(read(text.as_bytes(), size, false), whole, "{text} by {size}");
            }
        }
        assert_eq!(read(b"[[[[[", 9, false), Err(Misfit::Deep(4)));
        assert_eq!(
            read(b"[1,x]", 9, false).unwrap_err().to_string(),
            "this is neither a number nor true, false or null, at byte 3"
        );
        assert_eq!(read(&[b'1'; 2000], 100, false), Err(Misfit::Long("a number", 1024)));
        let name = format!("{{\"{}\":1}}", "n".repeat(5000));
        assert_eq!(read(name.as_bytes(), 9000, false), Err(Misfit::Long("a name", 4096)));
        assert_eq!(read(name.as_bytes(), 100, false), Err(Misfit::Long("a name", 4096)));
    }

    #[test]
    fn a_long_text_passes_in_parts_that_stand_alone() {
        let long = r"\ud83d\ude00ü\n".repeat(10_000);
        for size in [7, 1000, 65_000] {
            let told = read(format!("[\"{long}\"]").as_bytes(), size, false).unwrap();
            assert_eq!(told, format!("[|{long}|]."));
        }
    }

    #[test]
    fn lines_hold_one_text_each() {
        assert_eq!(read(b"{\"a\":1}\n\n[2]\n", 3, true).as_deref(), Ok("{a:1 }.[2 ]."));
        assert!(read(b"1 2", 3, true).is_err() && read(b"{\n", 3, true).is_err());
        assert_eq!(read(b"", 3, true).as_deref(), Ok(""));
    }
}
