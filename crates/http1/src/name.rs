//! Field names: checked text together with the number of the well-known ones.
//!
//! Takes the text of a name, gives a [`Name`] that is a token by construction. Finding the number is one table
//! look-up and one comparison that ignores case. A name must never hold a byte that could end its line.

use core::fmt;

use crate::names::{ALL, FieldId};
use crate::octets;

/// A field name: its number and its text, the text as given. Equal are names that differ only in ASCII case.
#[derive(Copy, Clone)]
pub struct Name<'a> {
    id: FieldId,
    text: &'a [u8],
}

/// The text is no field name: empty, longer than 65,535 bytes, or not a token (RFC 9110 section 5.6.2).
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct InvalidName;

impl<'a> Name<'a> {
    /// Checks the text (RFC 9110 section 5.6.2) and finds its number.
    ///
    /// # Errors
    /// [`InvalidName`] if the text is no token.
    pub fn new(text: &'a [u8]) -> Result<Name<'a>, InvalidName> {
        let id = find(text);
        if id == FieldId::Other && (!octets::is_token(text) || text.len() > usize::from(u16::MAX)) {
            return Err(InvalidName);
        }
        Ok(Name { id, text })
    }

    pub(crate) const fn known(id: FieldId, text: &'a [u8]) -> Name<'a> {
        Name { id, text }
    }

    /// The number, [`FieldId::Other`] for a name the codec does not know.
    pub fn id(&self) -> FieldId {
        self.id
    }

    /// The text in the case it was given in.
    pub fn text(&self) -> &'a [u8] {
        self.text
    }

    /// Whether a field line with this number and text bears this name.
    pub(crate) fn names(&self, id: FieldId, text: &[u8]) -> bool {
        self.id == id && (id != FieldId::Other || self.text.eq_ignore_ascii_case(text))
    }
}

impl PartialEq for Name<'_> {
    fn eq(&self, other: &Name<'_>) -> bool {
        self.names(other.id, other.text)
    }
}

impl Eq for Name<'_> {}

impl fmt::Debug for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&String::from_utf8_lossy(self.text), f)
    }
}

impl fmt::Display for InvalidName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a field name: it must be a token of letters, digits and !#$%&'*+-.^_`|~")
    }
}

impl core::error::Error for InvalidName {}

/// An owned name, for what is compiled once and used for every message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NameBuf {
    id: FieldId,
    text: Box<[u8]>,
}

impl NameBuf {
    /// Checks and keeps the text.
    ///
    /// # Errors
    /// [`InvalidName`] if the text is no token.
    pub fn new(text: &str) -> Result<NameBuf, InvalidName> {
        let name = Name::new(text.as_bytes())?;
        Ok(NameBuf { id: name.id, text: text.as_bytes().into() })
    }

    /// The name as the fields take it.
    pub fn as_name(&self) -> Name<'_> {
        Name { id: self.id, text: &self.text }
    }
}

/// The number of a name, [`FieldId::Other`] if it has none.
pub(crate) fn find(text: &[u8]) -> FieldId {
    let (Some(&first), Some(&last)) = (text.first(), text.last()) else { return FieldId::Other };
    let slot = slot(text.len(), first, last);
    let mut candidate = FIRST.get(usize::from(slot)).copied().unwrap_or(FieldId::Other);
    while candidate != FieldId::Other {
        let at = candidate as usize;
        if ALL.get(at - 1).is_some_and(|name| name.text.eq_ignore_ascii_case(text)) {
            return candidate;
        }
        candidate = NEXT.get(at).copied().unwrap_or(FieldId::Other);
    }
    FieldId::Other
}

/// Length, first and last letter tell nearly all of the names apart.
const fn slot(length: usize, first: u8, last: u8) -> u8 {
    let length = (length & 0x3f) as u8;
    (first | 0x20).wrapping_mul(117) ^ (last | 0x20).wrapping_mul(97) ^ length.wrapping_mul(91)
}

#[expect(
    clippy::indexing_slicing,
    reason = "runs in the compiler, where an index out of bounds does not build"
)]
const fn chains() -> ([FieldId; 256], [FieldId; ALL.len() + 1]) {
    let mut first = [FieldId::Other; 256];
    let mut next = [FieldId::Other; ALL.len() + 1];
    let mut at = 0;
    while at < ALL.len() {
        let Name { id, text } = ALL[at];
        let slot = slot(text.len(), text[0], text[text.len() - 1]) as usize;
        next[id as usize] = first[slot];
        first[slot] = id;
        at += 1;
    }
    (first, next)
}

/// The first candidate for a slot, and for each candidate the next one of the same slot.
static FIRST: [FieldId; 256] = chains().0;
static NEXT: [FieldId; ALL.len() + 1] = chains().1;
