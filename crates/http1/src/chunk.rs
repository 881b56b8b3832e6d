//! The line before the data of a chunk (RFC 9112 section 7.1).
//!
//! Takes it byte by byte, so that any split gives the same, gives the size of the chunk. Extensions are checked
//! and dropped: they end at the next party (RFC 9112 section 7.1.1). No white space is taken outside of quotes,
//! and a size is never more than 16 hexadecimal digits.

use crate::error::BodyError;
use crate::octets;

/// Where in the line the reading stands, and what it has cost.
#[derive(Clone, Default, Debug)]
pub(crate) struct ChunkLine {
    step: Step,
    size: u64,
    /// Bytes of this line so far.
    length: usize,
    /// Bytes of extensions in all lines so far.
    extensions: usize,
}

#[derive(Copy, Clone, PartialEq, Eq, Default, Debug)]
enum Step {
    #[default]
    First,
    Size,
    NameStart,
    Name,
    ValueStart,
    Value,
    Quoted,
    QuotedPair,
    AfterQuoted,
    Lf,
}

/// The limits of one line and of all extensions of a body, in bytes.
#[derive(Copy, Clone)]
pub(crate) struct ChunkLimits {
    pub(crate) line: usize,
    pub(crate) extensions: usize,
}

impl ChunkLine {
    /// Takes one byte; gives the size at the end of the line, ready for the next line.
    #[inline]
    pub(crate) fn feed(&mut self, byte: u8, limits: ChunkLimits) -> Result<Option<u64>, BodyError> {
        if self.step == Step::Lf {
            return match byte {
                b'\n' => Ok(Some(self.end())),
                _ => Err(BodyError::BareCr),
            };
        }
        if byte == b'\n' {
            return Err(BodyError::BareLf);
        }
        if byte == b'\r' {
            self.step = self.cr()?;
            return Ok(None);
        }
        self.length += 1;
        if self.length > limits.line {
            return Err(BodyError::ChunkLineTooLong);
        }
        if matches!(self.step, Step::First | Step::Size) {
            self.size(byte)?;
        } else {
            self.step = self.extension(byte)?;
        }
        if !matches!(self.step, Step::First | Step::Size) {
            self.extensions += 1;
            if self.extensions > limits.extensions {
                return Err(BodyError::ExtensionsTooLong);
            }
        }
        Ok(None)
    }

    fn end(&mut self) -> u64 {
        let size = self.size;
        *self = ChunkLine { extensions: self.extensions, ..ChunkLine::default() };
        size
    }

    /// Whether the line may end here.
    fn cr(&self) -> Result<Step, BodyError> {
        match self.step {
            Step::Size | Step::Name | Step::Value | Step::AfterQuoted => Ok(Step::Lf),
            Step::First => Err(BodyError::BadChunkSize),
            _ => Err(BodyError::BadChunkExtension),
        }
    }

    fn size(&mut self, byte: u8) -> Result<(), BodyError> {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            b'A'..=b'F' => byte - b'A' + 10,
            b';' if self.step == Step::Size => {
                self.step = Step::NameStart;
                return Ok(());
            }
            _ => return Err(BodyError::BadChunkSize),
        };
        if self.length > 16 {
            return Err(BodyError::ChunkSizeTooLong);
        }
        self.size = self.size << 4 | u64::from(digit);
        self.step = Step::Size;
        Ok(())
    }

    fn extension(&self, byte: u8) -> Result<Step, BodyError> {
        let token = octets::is_tchar(byte);
        match (self.step, byte) {
            (Step::NameStart | Step::Name, _) if token => Ok(Step::Name),
            (Step::ValueStart | Step::Value, _) if token => Ok(Step::Value),
            (Step::Name, b'=') => Ok(Step::ValueStart),
            (Step::ValueStart, b'"') => Ok(Step::Quoted),
            (Step::Name | Step::Value | Step::AfterQuoted, b';') => Ok(Step::NameStart),
            (Step::Quoted, b'"') => Ok(Step::AfterQuoted),
            (Step::Quoted, b'\\') => Ok(Step::QuotedPair),
            (Step::Quoted | Step::QuotedPair, _) if octets::is_value_byte(byte) => Ok(Step::Quoted),
            _ => Err(BodyError::BadChunkExtension),
        }
    }
}
