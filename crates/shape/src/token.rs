//! What a JSON text is made of, as it passes: the one currency between reader, operations and writer.

use crate::Misfit;

/// One piece of a JSON text. Texts are as they are written, between their quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token<'t> {
    /// `{`
    ObjectStart,
    /// `}`
    ObjectEnd,
    /// `[`
    ArrayStart,
    /// `]`
    ArrayEnd,
    /// The name of a member.
    Name(&'t [u8]),
    /// A text, whole.
    Text(&'t [u8]),
    /// A long text begins.
    TextStart,
    /// More of it, never ending inside an escape or a character.
    TextPart(&'t [u8]),
    /// It is whole.
    TextEnd,
    /// A number, `true`, `false` or `null`.
    Scalar(&'t [u8]),
    /// The document is whole.
    End,
}

/// Takes tokens.
pub trait Sink {
    /// Takes the next one.
    ///
    /// # Errors
    /// It does not fit.
    fn take(&mut self, token: Token<'_>) -> Result<(), Misfit>;
}

impl<F: FnMut(Token<'_>) -> Result<(), Misfit>> Sink for F {
    fn take(&mut self, token: Token<'_>) -> Result<(), Misfit> {
        self(token)
    }
}
