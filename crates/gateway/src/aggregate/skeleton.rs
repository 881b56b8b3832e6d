//! JSON with places: a body that a part sends, or the answer that an aggregate gives.
//!
//! Takes what is known; writes JSON in which each place holds the very text of its value, so that types and digits stay. A
//! text with more than one place in it becomes a string.

use serde_json::Value as Json;

use super::document::Bounds;
use super::text::{Known, Piece, Text, Unfilled};

/// JSON with places.
#[derive(Debug)]
pub struct Skeleton(pub Vec<Bone>);

/// A stretch of it.
#[derive(Debug)]
pub enum Bone {
    /// JSON as it is.
    Literal(Vec<u8>),
    /// One place: its value with its type.
    Value(Piece),
    /// A string with places in it.
    String(Text),
}

impl Skeleton {
    /// Takes JSON as it was written apart; `text` reads its strings. `None` when one of them cannot be read.
    pub fn new(written: &Json, text: &mut dyn FnMut(&str) -> Option<Text>) -> Option<Skeleton> {
        let mut skeleton = Skeleton(Vec::new());
        skeleton.bone(written, text, Bounds::default().depth)?;
        Some(skeleton)
    }

    fn bone(
        &mut self,
        written: &Json,
        text: &mut dyn FnMut(&str) -> Option<Text>,
        depth: usize,
    ) -> Option<()> {
        let deeper = depth.checked_sub(1)?;
        match written {
            Json::Object(members) => {
                for (nth, (name, member)) in members.iter().enumerate() {
                    self.literal(if nth == 0 { "{" } else { "," });
                    self.literal(&Json::from(name.as_str()).to_string());
                    self.literal(":");
                    self.bone(member, text, deeper)?;
                }
                self.literal(if members.is_empty() { "{}" } else { "}" });
            }
            Json::Array(items) => {
                for (nth, item) in items.iter().enumerate() {
                    self.literal(if nth == 0 { "[" } else { "," });
                    self.bone(item, text, deeper)?;
                }
                self.literal(if items.is_empty() { "[]" } else { "]" });
            }
            Json::String(written) => {
                let mut pieces = text(written)?.0.into_vec();
                match (pieces.pop(), pieces.is_empty()) {
                    (None, _) => self.literal("\"\""),
                    (Some(Piece::Literal(text)), true) => self.literal(&Json::from(&*text).to_string()),
                    (Some(place), true) => self.0.push(Bone::Value(place)),
                    (Some(last), false) => {
                        pieces.push(last);
                        self.0.push(Bone::String(Text(pieces.into())));
                    }
                }
            }
            plain => self.literal(&plain.to_string()),
        }
        Some(())
    }

    fn literal(&mut self, text: &str) {
        match self.0.last_mut() {
            Some(Bone::Literal(known)) => known.extend_from_slice(text.as_bytes()),
            _ => self.0.push(Bone::Literal(text.as_bytes().to_vec())),
        }
    }

    /// All its places.
    pub fn pieces(&self) -> impl Iterator<Item = &Piece> {
        self.0.iter().flat_map(|bone| match bone {
            Bone::Literal(_) => &[][..],
            Bone::Value(piece) => std::slice::from_ref(piece),
            Bone::String(text) => &text.0,
        })
    }

    /// Writes it with its places filled. What is missing becomes `null`, or nothing inside a text.
    ///
    /// # Errors
    /// A value is ambiguous.
    pub fn write(&self, known: &Known<'_>, out: &mut Vec<u8>) -> Result<(), Unfilled> {
        for bone in &self.0 {
            match bone {
                Bone::Literal(text) => out.extend_from_slice(text),
                Bone::Value(Piece::Value(value)) => {
                    out.extend_from_slice(&known.json(value)?.unwrap_or_else(|| b"null"[..].into()));
                }
                Bone::Value(Piece::Source(source)) => match known.exchange.source(source) {
                    Some(text) => string(&text, out),
                    None => out.extend_from_slice(b"null"),
                },
                Bone::Value(Piece::Literal(text)) => string(text.as_bytes(), out),
                Bone::String(text) => string(&text.plain(known)?, out),
            }
        }
        Ok(())
    }
}

/// Appends a text as a JSON string. Bytes that are no UTF-8 are replaced.
pub(super) fn string(text: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(Json::from(String::from_utf8_lossy(text)).to_string().as_bytes());
}
