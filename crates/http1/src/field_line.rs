//! One field line: name, colon, value (RFC 9112 section 5).
//!
//! Takes a line without its CRLF, gives the name's number and the ranges of name and value. It must never let
//! through white space before the colon, a folded line or a control byte.

use crate::error::HeadError;
use crate::fields::Line;
use crate::name;
use crate::names::FieldId;
use crate::octets;

/// Reads one line that starts at `base` of the head.
#[inline(always)]
pub(crate) fn read(line: &[u8], base: usize) -> Result<(Line, &[u8], &[u8]), HeadError> {
    let colon = octets::colon(line).ok_or_else(|| wrong_name(line))?;
    let (name, rest) = line.split_at_checked(colon).ok_or(HeadError::BadName)?;
    // A well-known name is a token, so only the others need the look at each byte.
    let id = name::find(name);
    if id == FieldId::Other && !octets::is_token(name) {
        return Err(wrong_name(name));
    }
    let value = octets::trim_start(rest.get(1..).unwrap_or_default());
    let indent = line.len() - value.len();
    let value = octets::trim_end(value);
    if !octets::is_value(value) {
        return Err(if value.contains(&b'\r') { HeadError::BareCr } else { HeadError::BadValue });
    }
    let is_wire = matches!(rest, [b':', b' ', bare @ ..] if bare.len() == value.len());
    let place = || {
        Some(Line {
            name: u32::try_from(base).ok()?,
            value: u32::try_from(base + indent).ok()?,
            value_len: u32::try_from(value.len()).ok()?,
            name_len: u16::try_from(name.len()).ok()?,
            id,
            is_wire,
        })
    };
    // A name beyond 65,535 bytes only passes a field limit that was raised that far.
    Ok((place().ok_or(HeadError::FieldTooLong)?, name, value))
}

/// The most telling error for what stands where a name and its colon should be.
#[cold]
fn wrong_name(name: &[u8]) -> HeadError {
    match name {
        [b' ' | b'\t', ..] => HeadError::ObsFold,
        _ if name.contains(&b'\r') => HeadError::BareCr,
        _ => match octets::trim_end(name) {
            trimmed if trimmed.len() < name.len() && octets::is_token(trimmed) => HeadError::SpaceBeforeColon,
            _ => HeadError::BadName,
        },
    }
}
