//! Fills templates for a path, a query or a host, each encoded as its place demands.
//!
//! Parts of the canonical path come percent-encoded and stay so; every other source is foreign text and is encoded here.

use std::borrow::Cow;

use super::Refused;
use crate::exchange::Exchange;
use crate::values::{Part, Source, Template};

const MISSING: Refused = Refused("the request lacks a value that its rewritten path or host needs");

/// Appends a template for a path.
pub(super) fn path(exchange: &Exchange, template: &Template, out: &mut Vec<u8>) -> Result<(), Refused> {
    for part in template.parts() {
        match part {
            Part::Literal(text) => out.extend_from_slice(text.as_bytes()),
            Part::Source(source) if is_of_the_path(source) => {
                out.extend_from_slice(&exchange.source(source).ok_or(MISSING)?);
            }
            Part::Source(source) => {
                let text = foreign(exchange, source)?;
                // Encoded slashes are data to us; a service that decodes them early would walk these segments.
                let mut segments = text.split(|byte| matches!(byte, b'/' | b'\\'));
                if segments.any(|segment| matches!(segment, b"." | b"..")) {
                    return Err(Refused("a value for the rewritten path holds a dot segment"));
                }
                encode(&text, out);
            }
        }
    }
    Ok(())
}

/// A template for a host, as it is: the host is checked as a whole.
pub(super) fn plain(exchange: &Exchange, template: &Template) -> Result<Vec<u8>, Refused> {
    let mut out = Vec::new();
    for part in template.parts() {
        match part {
            Part::Literal(text) => out.extend_from_slice(text.as_bytes()),
            Part::Source(source) => out.extend_from_slice(&foreign(exchange, source)?),
        }
    }
    Ok(out)
}

/// A template for the value of a query parameter; `None` when it has nothing but sources, and these no text.
pub(super) fn value(exchange: &Exchange, template: &Template) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    for part in template.parts() {
        match part {
            Part::Literal(text) => encode(text.as_bytes(), &mut out),
            Part::Source(source) => {
                let text = exchange.source(source).unwrap_or_default();
                if is_of_the_path(source) { encode_rest(&text, &mut out) } else { encode(&text, &mut out) }
            }
        }
    }
    (!out.is_empty() || template.as_literal().is_some()).then_some(out)
}

/// A template with something plain in the place of each source, for looking at it before there is a request.
pub(super) fn sample(template: &Template, something: &str) -> String {
    let parts = template.parts().iter().map(|part| match part {
        Part::Literal(text) => text.clone(),
        Part::Source(Source::Path) => format!("/{something}"),
        Part::Source(_) => something.to_owned(),
    });
    parts.collect()
}

/// Whether a source gives bytes of the canonical path.
pub(super) fn is_of_the_path(source: &Source) -> bool {
    matches!(source, Source::Path | Source::PathParam(_))
}

fn foreign<'e>(exchange: &'e Exchange, source: &Source) -> Result<Cow<'e, [u8]>, Refused> {
    exchange.source(source).filter(|text| !text.is_empty()).ok_or(MISSING)
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// Appends text percent-encoded, all but the unreserved bytes (RFC 3986 section 2.3).
pub(super) fn encode(text: &[u8], out: &mut Vec<u8>) {
    for &byte in text {
        if is_unreserved(byte) {
            out.push(byte);
        } else {
            escape(byte, out);
        }
    }
}

/// Appends text whose escapes are made already: what they leave and a query would take apart is escaped too.
pub(super) fn encode_rest(text: &[u8], out: &mut Vec<u8>) {
    for &byte in text {
        if byte == b'%' || is_unreserved(byte) {
            out.push(byte);
        } else {
            escape(byte, out);
        }
    }
}

fn escape(byte: u8, out: &mut Vec<u8>) {
    let digit = |value: u8| b"0123456789ABCDEF".get(usize::from(value)).copied().unwrap_or(b'0');
    out.extend_from_slice(&[b'%', digit(byte >> 4), digit(byte & 0x0f)]);
}
