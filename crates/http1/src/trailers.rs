//! The trailer section of a chunked body (RFC 9112 section 7.1.2).
//!
//! Takes its bytes in any pieces, gives the fields that may stand there. Fields that frame, route, authorise,
//! describe the content or belong to the connection are read and dropped (RFC 9110 section 6.5.1); a trailer
//! must never become a header.

use memchr::memchr;

use crate::error::{BodyError, HeadError};
use crate::field_line;
use crate::fields::Fields;
use crate::name::{self, Name};
use crate::names::FieldId;
use crate::octets;

/// Reads trailer lines. Holds a line only while its end has not come.
#[derive(Clone, Default, Debug)]
pub(crate) struct Trailers {
    line: Vec<u8>,
    bytes: usize,
    count: usize,
    kept: Fields,
}

impl Trailers {
    pub(crate) fn kept(&self) -> &Fields {
        &self.kept
    }

    pub(crate) fn kept_mut(&mut self) -> &mut Fields {
        &mut self.kept
    }

    /// Takes a prefix of the input: how many bytes, and whether the section ended.
    pub(crate) fn feed(
        &mut self,
        input: &[u8],
        max_bytes: usize,
        max_fields: usize,
    ) -> Result<(usize, bool), BodyError> {
        let found = memchr(b'\n', input);
        let taken = found.map_or(input.len(), |at| at + 1);
        let (piece, _) = input.split_at_checked(taken).unwrap_or((input, &[]));
        // The CRLF that ends the section is not counted, so that the limit is one of fields.
        if self.bytes + self.line.len() + taken > max_bytes.saturating_add(2) {
            return Err(BodyError::TrailersTooLong);
        }
        if found.is_none() {
            self.line.extend_from_slice(piece);
            return Ok((taken, false));
        }
        let mut whole = core::mem::take(&mut self.line);
        let line = if whole.is_empty() {
            piece
        } else {
            whole.extend_from_slice(piece);
            &whole
        };
        self.bytes += line.len();
        let ended = self.read(line, max_bytes, max_fields)?;
        Ok((taken, ended))
    }

    /// Reads one line with its LF; true if it is the empty one.
    fn read(&mut self, line: &[u8], max_bytes: usize, max_fields: usize) -> Result<bool, BodyError> {
        let [line @ .., b'\r', b'\n'] = line else { return Err(BodyError::BareLf) };
        if line.is_empty() {
            return Ok(true);
        }
        if self.bytes > max_bytes {
            return Err(BodyError::TrailersTooLong);
        }
        self.count += 1;
        if self.count > max_fields {
            return Err(BodyError::TooManyTrailers);
        }
        let (_, name, value) = field_line::read(line, 0).map_err(|error| match error {
            HeadError::BareCr => BodyError::BareCr,
            _ => BodyError::BadTrailer,
        })?;
        if let Ok(name) = Name::new(name)
            && may_trail(name)
        {
            self.kept.push(name, value);
        }
        Ok(false)
    }
}

/// Whether a field may stand in a trailer section. Of the well-known ones only `ETag` says so of itself
/// (RFC 9110 section 8.8.3); of the others those are refused whose kind cannot be a trailer, also in the
/// spellings that lenient origins take for the same.
pub(crate) fn may_trail(name: Name<'_>) -> bool {
    const KINDS: [&[u8]; 7] =
        [b"content-", b"proxy-", b"sec-", b"if-", b"access-control-", b"x-forwarded-", b"x-original-"];
    let mut folded = [0_u8; 40];
    let text = name.text();
    for (to, from) in folded.iter_mut().zip(text) {
        *to = octets::fold(*from);
    }
    let folded = folded.get(..text.len()).unwrap_or(&folded);
    match name::find(folded) {
        FieldId::Other => !KINDS.iter().any(|kind| folded.starts_with(kind)),
        FieldId::Etag => true,
        _ => false,
    }
}
