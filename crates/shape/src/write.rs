//! Writes tokens as JSON without any space, and refuses objects with two members of one name: what one reader takes for
//! the first and another for the last is nobody's to pass on.

use crate::keys::Names;
use crate::token::{Sink, Token};
use crate::{Limits, Misfit};

/// A writer of JSON.
pub(crate) struct Writer {
    /// What was written and not taken yet.
    pub(crate) out: Vec<u8>,
    names: Names,
    comma: bool,
    lines: bool,
}

impl Writer {
    pub(crate) fn new(limits: &Limits, lines: bool) -> Writer {
        Writer { out: Vec::new(), names: Names::new(limits.members), comma: false, lines }
    }

    pub(crate) fn is_lines(&self) -> bool {
        self.lines
    }

    fn between(&mut self) {
        if self.comma {
            self.out.push(b',');
        }
    }
}

impl Sink for Writer {
    fn take(&mut self, token: Token<'_>) -> Result<(), Misfit> {
        match token {
            Token::ObjectStart => {
                self.between();
                self.out.push(b'{');
                self.names.enter();
                self.comma = false;
            }
            Token::ArrayStart => {
                self.between();
                self.out.push(b'[');
                self.comma = false;
            }
            Token::ObjectEnd => {
                self.out.push(b'}');
                self.names.leave();
                self.comma = true;
            }
            Token::ArrayEnd => {
                self.out.push(b']');
                self.comma = true;
            }
            Token::Name(name) => {
                self.names.add(name)?;
                self.between();
                self.out.push(b'"');
                self.out.extend_from_slice(name);
                self.out.extend_from_slice(b"\":");
                self.comma = false;
            }
            Token::Text(text) => {
                self.between();
                self.out.push(b'"');
                self.out.extend_from_slice(text);
                self.out.push(b'"');
                self.comma = true;
            }
            Token::TextStart => {
                self.between();
                self.out.push(b'"');
            }
            Token::TextPart(part) => self.out.extend_from_slice(part),
            Token::TextEnd => {
                self.out.push(b'"');
                self.comma = true;
            }
            Token::Scalar(word) => {
                self.between();
                self.out.extend_from_slice(word);
                self.comma = true;
            }
            Token::End => {
                if self.lines {
                    self.out.push(b'\n');
                }
                self.comma = false;
            }
        }
        Ok(())
    }
}
