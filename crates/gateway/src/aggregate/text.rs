//! Texts of a part with their places filled: a path, a query, a header.
//!
//! Takes what is known (the request, the answers so far, the element of a fan-out); gives bytes encoded as their place
//! demands. What came from outside can never add a segment, a parameter or a line.

use std::borrow::Cow;

use super::State;
use super::document::{Document, Item, Refused, plain};
use crate::exchange::Exchange;
use crate::http::path::{PathOptions, canonicalise};
use crate::values::Source;

/// Keys that lead to a value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Path(pub Box<[Box<str>]>);

/// A text with places.
#[derive(Debug, Default)]
pub struct Text(pub Box<[Piece]>);

/// A path with places. One without is brought into its canonical spelling once and for all.
#[derive(Debug)]
pub struct PathText {
    text: Text,
    settled: Option<Box<[u8]>>,
}

/// A stretch of it.
#[derive(Debug)]
pub enum Piece {
    /// Text as it is.
    Literal(Box<str>),
    /// Of the request.
    Source(Source),
    /// Of an answer.
    Value(Value),
}

/// Something of an answer.
#[derive(Debug)]
pub enum Value {
    /// The status of a part's answer.
    Status(usize),
    /// A value of a part's answer.
    Body(usize, Path),
    /// A value of the element.
    Item(Path),
}

/// What is known when a text is filled.
#[derive(Clone, Copy)]
pub struct Known<'k> {
    /// The request.
    pub exchange: &'k Exchange,
    /// What came of the parts so far.
    pub states: &'k [State],
    /// The element that a fan-out is about.
    pub item: Option<(&'k Document, Item)>,
}

/// Why a text cannot be filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unfilled {
    /// The stable word for it.
    pub code: &'static str,
    /// Whether the request is to blame, and not an answer.
    pub by_request: bool,
}

impl Unfilled {
    const fn request(code: &'static str) -> Unfilled {
        Unfilled { code, by_request: true }
    }

    /// An answer is to blame.
    pub(super) const fn answer(code: &'static str) -> Unfilled {
        Unfilled { code, by_request: false }
    }
}

impl From<Refused> for Unfilled {
    fn from(refused: Refused) -> Unfilled {
        Unfilled::answer(refused.code())
    }
}

/// Plain text, and whether it is percent-encoded already.
type Plain<'p> = (Cow<'p, [u8]>, bool);

impl Known<'_> {
    /// A value of an answer as JSON; `None` where there is none.
    ///
    /// # Errors
    /// A key that leads to it stands twice.
    pub(super) fn json(&self, value: &Value) -> Result<Option<Cow<'_, [u8]>>, Refused> {
        let got = |part: &usize| self.states.get(*part).and_then(State::got);
        Ok(match value {
            Value::Status(part) => got(part).map(|got| Cow::Owned(got.status.to_string().into_bytes())),
            Value::Body(part, path) => match got(part) {
                None => None,
                Some(got) if path.0.is_empty() => Some(Cow::Borrowed(&got.body[..])),
                Some(got) => match &got.document {
                    Some(document) => document.find(&path.0)?.map(Cow::Borrowed),
                    None => None,
                },
            },
            Value::Item(path) => match self.item {
                Some((document, item)) => document.find_in(item, &path.0)?.map(Cow::Borrowed),
                None => None,
            },
        })
    }

    /// The plain text of a piece; `None` where there is none.
    fn plain<'p>(&'p self, piece: &'p Piece) -> Result<Option<Plain<'p>>, Unfilled> {
        Ok(match piece {
            Piece::Literal(text) => Some((Cow::Borrowed(text.as_bytes()), true)),
            Piece::Source(source) => {
                let encoded = matches!(source, Source::Path | Source::PathParam(_));
                self.exchange.source(source).map(|text| (text, encoded))
            }
            Piece::Value(value) => {
                self.json(value)?.and_then(|raw| plain(&raw)).map(|text| (Cow::Owned(text), false))
            }
        })
    }
}

impl PathText {
    /// The path that a text says.
    pub fn new(text: Text) -> PathText {
        let literals = text.0.iter().map(|piece| match piece {
            Piece::Literal(text) => Some(text.as_bytes()),
            Piece::Source(_) | Piece::Value(_) => None,
        });
        let built = literals.collect::<Option<Vec<_>>>().map(|literals| literals.concat());
        let mut path = Vec::new();
        let is_good = built.is_some_and(|built| canonical(&built, &mut path).is_ok());
        PathText { text, settled: is_good.then(|| path.into()) }
    }

    /// The text as it was written.
    pub fn text(&self) -> &Text {
        &self.text
    }

    /// Fills the places and writes the path, in its canonical spelling, in the place of what is there.
    ///
    /// # Errors
    /// A value is missing or empty, or leads elsewhere.
    pub fn write(&self, known: &Known<'_>, path: &mut Vec<u8>) -> Result<(), Unfilled> {
        path.clear();
        if let Some(settled) = &self.settled {
            path.extend_from_slice(settled);
            return Ok(());
        }
        let mut built = Vec::new();
        for piece in &self.text.0 {
            let blame = |code| match piece {
                Piece::Value(_) => Unfilled::answer(code),
                Piece::Literal(_) | Piece::Source(_) => Unfilled::request(code),
            };
            let (text, encoded) =
                known.plain(piece)?.filter(|(text, _)| !text.is_empty()).ok_or(blame("missing_value"))?;
            if encoded {
                built.extend_from_slice(&text);
                continue;
            }
            // An encoded slash is data to us; a service that decodes it early would walk these segments.
            if text.split(|byte| matches!(byte, b'/' | b'\\')).any(|part| matches!(part, b"." | b"..")) {
                return Err(blame("dot_segment"));
            }
            encode(&text, &mut built);
        }
        canonical(&built, path)
    }
}

/// Writes a path that was put together in its canonical spelling.
fn canonical(built: &[u8], path: &mut Vec<u8>) -> Result<(), Unfilled> {
    canonicalise(built, path, PathOptions::default()).map_err(|error| Unfilled::request(error.code()))?;
    let segments =
        |path: &[u8]| path.split(|byte| *byte == b'/').filter(|segment| !segment.is_empty()).count();
    // Merged slashes cost no segment, a dot segment does.
    if segments(path) == segments(built) { Ok(()) } else { Err(Unfilled::request("dot_segment")) }
}

impl Text {
    /// As a query. A value that is missing leaves nothing behind.
    ///
    /// # Errors
    /// A value is ambiguous.
    pub fn query(&self, known: &Known<'_>) -> Result<Vec<u8>, Unfilled> {
        let mut query = Vec::new();
        for piece in &self.0 {
            match (piece, known.plain(piece)?) {
                (Piece::Literal(text), _) => query.extend_from_slice(text.as_bytes()),
                (_, Some((text, true))) => encode_rest(&text, &mut query),
                (_, Some((text, false))) => encode(&text, &mut query),
                (_, None) => {}
            }
        }
        Ok(query)
    }

    /// As the value of a header; `None` where it has nothing but places, and these no text.
    ///
    /// # Errors
    /// A value is ambiguous, or has bytes that end a line.
    pub fn header(&self, known: &Known<'_>) -> Result<Option<Vec<u8>>, Unfilled> {
        let mut value = Vec::new();
        for piece in &self.0 {
            let Some((text, _)) = known.plain(piece)? else { continue };
            if text.iter().any(|byte| (*byte < 0x20 && *byte != b'\t') || *byte == 0x7f) {
                return Err(match piece {
                    Piece::Value(_) => Unfilled::answer("header_value"),
                    Piece::Literal(_) | Piece::Source(_) => Unfilled::request("header_value"),
                });
            }
            value.extend_from_slice(&text);
        }
        Ok((!value.is_empty()).then_some(value))
    }

    /// As plain text. A value that is missing leaves nothing behind.
    ///
    /// # Errors
    /// A value is ambiguous.
    pub(super) fn plain(&self, known: &Known<'_>) -> Result<Vec<u8>, Unfilled> {
        let mut out = Vec::new();
        for piece in &self.0 {
            out.extend_from_slice(&known.plain(piece)?.map(|(text, _)| text).unwrap_or_default());
        }
        Ok(out)
    }

    /// Whether it waits for other parts.
    pub fn waits(&self) -> bool {
        self.0.iter().any(|piece| matches!(piece, Piece::Value(_)))
    }
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// Appends text percent-encoded, all but the unreserved bytes (RFC 3986 section 2.3).
fn encode(text: &[u8], out: &mut Vec<u8>) {
    for &byte in text {
        if is_unreserved(byte) { out.push(byte) } else { escape(byte, out) }
    }
}

/// Appends text whose escapes are made already.
fn encode_rest(text: &[u8], out: &mut Vec<u8>) {
    for &byte in text {
        if byte == b'%' || is_unreserved(byte) { out.push(byte) } else { escape(byte, out) }
    }
}

fn escape(byte: u8, out: &mut Vec<u8>) {
    let digit = |value: u8| b"0123456789ABCDEF".get(usize::from(value)).copied().unwrap_or(b'0');
    out.extend_from_slice(&[b'%', digit(byte >> 4), digit(byte & 0x0f)]);
}
